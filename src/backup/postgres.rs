//! A PostgreSQL server: its roles, and each database as `pg_dump` writes it, parallel and compressed, from one database
//! snapshot in which the rows are also counted and hashed. Both programs run in the container, where their version
//! matches the server.

mod compare;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::compare::compare;
use super::Progress;
use super::archive::{PART, Reader, Writer};
use super::inside::{Place, Script, owner_of};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::run::postgres::{Connection, Login, Refusal, Rows, open};

/// How many connections dump or restore one database.
const JOBS: usize = 4;

/// What is saved of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// `server_version`.
    pub version: String,
    /// The database the service is made for.
    pub own: String,
    /// All of its databases.
    pub databases: Vec<Database>,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// How many members its dump is in.
    pub parts: usize,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// What a table is compared by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// As SQL: `public.users`.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The sum of a hash of each.
    pub content: String,
}

/// Where a server is.
#[derive(Debug)]
pub struct Server<'a> {
    /// Its service.
    pub service: String,
    /// The engine.
    pub engine: &'a Engine,
    /// Its container.
    pub container: String,
    /// Variables for its programs.
    pub env: Vec<String>,
    /// Its address from here.
    pub address: SocketAddr,
    /// Whose login is used.
    pub user: String,
    /// Its password.
    pub password: Option<String>,
    /// The database the service is made for.
    pub own: String,
}

/// All databases but those that `db fork` made, which are copies.
const DATABASES: &str = "select datname from pg_database where datallowconn and not datistemplate \
    and coalesce(shobj_description(oid, 'pg_database'), '') not like 'taskava %' order by datname";

/// Tables with rows of their own that `pg_dump` saves.
const TABLES: &str = "select format('%I.%I', nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace \
    where relkind = 'r' and relpersistence <> 't' and nspname !~ '^pg_' and nspname <> 'information_schema' \
    and not exists (select from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype = 'e') \
    order by 1";

/// Whether anything was created in it.
const USED: &str = "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace \
    where nspname !~ '^pg_' and nspname <> 'information_schema' and relkind in ('r', 'p', 'v', 'm', 'S', 'f') \
    and not exists (select from pg_depend d where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype = 'e')";

/// The same text for the same row, whichever client asks.
const ALIKE: &str = "set extra_float_digits = 3; set timezone = 'UTC'; set datestyle = 'ISO, MDY'; \
    set intervalstyle = 'postgres'; set bytea_output = 'hex'; set row_security = off; set statement_timeout = 0; \
    set idle_in_transaction_session_timeout = 0";

/// Dumps to a folder, sends that as a tar, removes it; also when the receiver is dropped, and that before the dump
/// is done: `$!` is what was begun last, even before its number could be kept. The dump is compressed, and made of one
/// file a table.
///
/// Nothing that was killed may outlive the shell: it would become a child of process 1, which is the server, and PostgreSQL
/// takes a child that died of a signal for a crash of its own and restarts. So each is waited for, and who watches is one process.
const DUMP: &str = r#"umask 077
d=$(mktemp -d "${TMPDIR:-/tmp}/taskava-backup.XXXXXX") || exit 1
trap 'rm -rf "$d"' EXIT
trap 'kill $w $! 2>/dev/null; wait; exit 143' HUP INT TERM
exec 3<&0
{ while read -r _ <&3; do :; done; kill -TERM $$; } 2>/dev/null &
w=$!
unwatch() { kill $w 2>/dev/null; wait $w; }
pg_dump --format=directory --jobs="$JOBS" --compress=3 --snapshot="$SNAPSHOT" --file="$d/dump" --dbname="$DATABASE" &
p=$!
wait $p || { unwatch; exit 1; }
tar -C "$d/dump" -cf - . &
p=$!
wait $p || { unwatch; exit 1; }
unwatch
exit 0"#;

/// Takes a dump as a tar and restores it, and leaves no file behind.
const RESTORE: &str = r#"umask 077
d=$(mktemp -d "${TMPDIR:-/tmp}/taskava-restore.XXXXXX") || exit 1
trap 'rm -rf "$d"' EXIT
trap 'exit 143' HUP INT TERM
tar -C "$d" -xf - || exit 1
[ -f "$d/toc.dat" ] || exit 1
pg_restore --create --exit-on-error --jobs="$JOBS" --dbname=template1 "$d""#;

/// Where the data is, for a shell in the container.
const DATA: &str = "${PGDATA:-/var/lib/postgresql/data}";

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A database of a server, logged in to.
struct Session {
    connection: Connection,
    place: String,
}

impl Session {
    async fn query(&mut self, sql: &str) -> Result<Rows> {
        self.connection
            .query(sql)
            .await?
            .map_err(|refusal| Error::new(ErrorKind::Other, format_args!("{}: {}", self.place, refusal.message)))
    }

    /// The first column.
    async fn column(&mut self, sql: &str) -> Result<Vec<String>> {
        Ok(self.query(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    async fn tables(&mut self) -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for name in self.column(TABLES).await? {
            let sql = format!(
                "select count(*), coalesce(sum(hashtextextended(taskava_row::text, 0)::numeric), 0) from only {name} taskava_row"
            );
            let mut rows = self.query(&sql).await?;
            let row = rows.pop().unwrap_or_default();
            let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
            tables.push(Table { rows: text(0).parse().unwrap_or(0), content: text(1), name });
        }
        Ok(tables)
    }
}

/// SQLSTATE of a login to a database that does not exist, and to one of which only a part is left: a restore that was cut off
/// while it dropped it. The server finishes a drop whose client is gone, and lists the database until then.
const DROPPED: [&str; 2] = ["3D000", "55000"];

impl Server<'_> {
    async fn session(&self, database: &str) -> Result<Session> {
        self.login(database).await?.map_err(|refusal| self.refused(database, &refusal.message))
    }

    /// The same; none when the database was dropped, or half of it.
    async fn session_unless_dropped(&self, database: &str) -> Result<Option<Session>> {
        match self.login(database).await? {
            Ok(session) => Ok(Some(session)),
            Err(refusal) if DROPPED.contains(&refusal.code.as_str()) => Ok(None),
            Err(refusal) => Err(self.refused(database, &refusal.message)),
        }
    }

    async fn login(&self, database: &str) -> Result<Result<Session, Refusal>> {
        match open(self.address, &self.user, self.password.as_deref(), database).await {
            Ok(Login::Done(connection)) => {
                Ok(Ok(Session { connection, place: format!("database {database} of {}", self.service) }))
            }
            Ok(Login::Refused(refusal)) => Ok(Err(refusal)),
            Ok(Login::Asked) => Err(self.refused(database, &"it requires a password that is unknown here")),
            Err(error) => Err(self.refused(database, &error)),
        }
    }

    fn refused(&self, database: &str, why: &dyn std::fmt::Display) -> Error {
        let message = format!("can't log in to database {database} of {} at {}: {why}", self.service, self.address);
        Error::new(ErrorKind::NotReady, message).hint(format!("taskava dev explain {}", self.service))
    }

    fn place<'a>(&'a self, env: &'a [String]) -> Place<'a> {
        Place { engine: self.engine, container: &self.container, env }
    }

    fn env(&self, more: &[(&str, &str)]) -> Vec<String> {
        let more = more.iter().map(|(name, value)| format!("{name}={value}"));
        self.env.iter().cloned().chain(more).collect()
    }

    /// Where a saved database goes: that of the service to that of the service, whatever they are called.
    fn target<'a>(&'a self, saved: &'a Saved, database: &'a Database) -> &'a str {
        let taken = saved.databases.iter().any(|other| other.name == self.own);
        if database.name == saved.own && !taken { &self.own } else { &database.name }
    }

    /// Databases that a restore would replace and that something was created in.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn used(&self, saved: &Saved) -> Result<Vec<String>> {
        let there = self.session("template1").await?.column(DATABASES).await?;
        let mut used = Vec::new();
        for database in there {
            let concerns =
                |saved_one: &Database| saved_one.name == database || self.target(saved, saved_one) == database;
            if !saved.databases.iter().any(concerns) {
                continue;
            }
            let Some(mut session) = self.session_unless_dropped(&database).await? else { continue };
            if session.column(USED).await? != ["0"] {
                used.push(database);
            }
        }
        Ok(used)
    }
}

/// Saves a server.
///
/// # Errors
/// When it can't be asked, a program fails, or the file can't be written.
pub async fn save(server: &Server<'_>, to: &mut Writer<impl Write>, progress: &mut Progress) -> Result<Saved> {
    let mut session = server.session("template1").await?;
    let version = session.column("show server_version").await?.pop().unwrap_or_default();
    let names = session.column(DATABASES).await?;
    let roles = roles(server).await?;
    to.member(&format!("postgres/{}/roles.sql", server.service), &roles)?;
    let mut databases = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        progress.begin(format!("saving database {name} of {}", server.service));
        databases.push(dump(server, at, name, to, progress).await?);
    }
    Ok(Saved { version, own: server.own.clone(), databases })
}

/// Roles and who is in which, without passwords.
async fn roles(server: &Server<'_>) -> Result<Vec<u8>> {
    let env = server.env(&[("PGCLIENTENCODING", "UTF8")]);
    let mut script = Script::start(server.place(&env), "exec pg_dumpall --roles-only --no-role-passwords").await?;
    let mut roles = Vec::new();
    while let Some(piece) = script.next().await? {
        roles.extend(piece);
    }
    script.end(&format!("can't save the roles of {}", server.service)).await?;
    Ok(roles)
}

async fn dump(
    server: &Server<'_>,
    at: usize,
    name: String,
    to: &mut Writer<impl Write>,
    progress: &mut Progress,
) -> Result<Database> {
    let mut session = server.session(&name).await?;
    session.query(ALIKE).await?;
    session.query("begin isolation level repeatable read read only").await?;
    let snapshot = session.column("select pg_export_snapshot()").await?.pop().unwrap_or_default();
    let jobs = JOBS.to_string();
    let connection = format!("dbname={}", quoted(&name));
    let env = server.env(&[("JOBS", &jobs), ("SNAPSHOT", &snapshot), ("DATABASE", &connection)]);
    let mut script = Script::start(server.place(&env), DUMP).await?;
    let folder = format!("postgres/{}/{at:03}", server.service);
    let copying = async {
        let (mut part, mut parts) = (Vec::with_capacity(PART), 0);
        loop {
            let piece = tokio::select! {
                piece = script.next() => piece?,
                () = tokio::time::sleep(Duration::from_secs(1)) => { progress.tick(); continue }
            };
            let last = piece.is_none();
            part.extend(piece.unwrap_or_default());
            if part.len() >= PART || last && !part.is_empty() {
                to.member(&format!("{folder}/{parts:06}"), &part)?;
                progress.add(part.len());
                part.clear();
                parts += 1;
            }
            if last {
                script.end(&format!("can't dump database {name} of {}", server.service)).await?;
                return Ok(parts);
            }
        }
    };
    let (parts, tables) = tokio::try_join!(copying, session.tables())?;
    session.query("commit").await?;
    Ok(Database { name, parts, tables })
}

/// A value in a connection string.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Puts a server's databases in the place of those of the same name, and compares each table with what was saved. Returns
/// what differs.
///
/// # Errors
/// When it can't be asked, or a program fails.
pub async fn restore(
    server: &Server<'_>,
    saved: &Saved,
    roles: &[String],
    from: &mut Reader<impl Read>,
    progress: &mut Progress,
) -> Result<Vec<String>> {
    // The member of the roles, which were read when the file was checked.
    from.member()?;
    restore_roles(server, roles).await?;
    let mut differences = Vec::new();
    for database in &saved.databases {
        let target = server.target(saved, database);
        progress.begin(format!("restoring database {target} of {}", server.service));
        load(server, database, target, from, progress).await?;
        progress.begin(format!("checking database {target} of {}", server.service));
        let mut session = server.session(target).await?;
        session.query(ALIKE).await?;
        let tables = tokio::select! {
            tables = session.tables() => tables?,
            () = ticking(progress) => Vec::new(),
        };
        differences.extend(compare(&format!("{} {target}", server.service), &database.tables, &tables));
    }
    Ok(differences)
}

/// Ticks until it is no longer waited for.
async fn ticking(progress: &mut Progress) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        progress.tick();
    }
}

/// SQLSTATE: there is such a role already; they are a member already, as older versions say it.
const THERE: [&str; 2] = ["42710", "42701"];

/// Roles that are there already stay as they are, but for what they may. Each statement is sent by itself: no program
/// reads the file.
async fn restore_roles(server: &Server<'_>, roles: &[String]) -> Result<()> {
    let mut session = server.session("template1").await?;
    session.query("set client_encoding = 'UTF8'; set standard_conforming_strings = on").await?;
    for statement in roles {
        if let Err(refusal) = session.connection.query(statement).await?
            && !THERE.contains(&refusal.code.as_str())
        {
            let what = format!("can't restore the roles of {}: {}", server.service, refusal.message);
            return Err(Error::new(ErrorKind::Other, what).hint(format!("the statement was: {statement}")));
        }
    }
    Ok(())
}

async fn load(
    server: &Server<'_>,
    database: &Database,
    target: &str,
    from: &mut Reader<impl Read>,
    progress: &mut Progress,
) -> Result<()> {
    let mut session = server.session("template1").await?;
    let mut gone = vec![database.name.as_str(), target];
    gone.dedup();
    for name in gone {
        let drop = format!("drop database if exists {}", identifier(name));
        // Before version 13 connections have to be ended first.
        if session.query(&format!("{drop} with (force)")).await.is_err() {
            let end =
                format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = {}", literal(name));
            session.query(&end).await?;
            session.query(&drop).await?;
        }
    }
    let jobs = JOBS.to_string();
    let env = server.env(&[("JOBS", &jobs)]);
    let owner = owner_of(server.place(&env), DATA).await?;
    let mut script = Script::start_as(owner, server.place(&env), RESTORE).await?;
    for _ in 0..database.parts {
        let Some((_, part)) = from.member()? else { break };
        if !script.send(&part).await? {
            break;
        }
        progress.add(part.len());
    }
    let what = format!("can't restore database {target} of {}", server.service);
    tokio::select! {
        ended = script.end(&what) => drop(ended?),
        () = ticking(progress) => {}
    }
    if database.name != target {
        session
            .query(&format!("alter database {} rename to {}", identifier(&database.name), identifier(target)))
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(quoted(r"a'b\c"), r"'a\'b\\c'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("a'b"), r"E'a\'b'");
    }
}

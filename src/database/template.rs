//! The template from which all forks are copied: created once, for the first fork. Handles clients that are connected
//! to the source, and the comment that records the state of the source.

use std::time::Duration;

use super::unfinished::MAKING;
use super::{InUse, MARK, Server, identifier, literal, random, refused};
use crate::diag::{Error, ErrorKind, Result};

/// Longest name of a source: that of its template has to fit in PostgreSQL's 63 bytes.
const LONGEST_SOURCE: usize = 40;

/// How often copying is tried while a connection to its source is just being closed.
const TRIES: usize = 3;

/// Pauses between two looks at the connections to a source: one that was just closed is gone before the last.
const PAUSES: [u64; 6] = [0, 2, 5, 10, 20, 40];

/// Dumps and restores a database with the server's own programs. The dump is consistent even while clients keep
/// writing; the wait for a client that holds an exclusive lock on a table is limited.
const DUMP: &str = r#"
file="/tmp/$COPY.dump"
pg_dump --no-password --format=custom --compress=0 --lock-wait-timeout=30s --file="$file" &&
    pg_restore --no-password --exit-on-error --dbname="$COPY" "$file"
code=$?
rm -f "$file"
exit $code
"#;

/// Name of the template of a database.
pub(super) fn name(from: &str) -> String {
    format!("{from}_taskava_template")
}

impl Server {
    /// Copies the source.
    pub(super) async fn make_template(&mut self, from: &str, in_use: InUse) -> Result<()> {
        if from.len() > LONGEST_SOURCE {
            let message = format!("the name of {from} is too long: at most {LONGEST_SOURCE} bytes");
            return Err(Error::new(ErrorKind::Usage, message));
        }
        // The server itself would wait for five seconds.
        if in_use == InUse::Dump && !self.is_left_alone(from).await? {
            return self.dump(from).await;
        }
        let create = format!(
            "CREATE DATABASE {} TEMPLATE {} ALLOW_CONNECTIONS false",
            identifier(&name(from)),
            identifier(from)
        );
        for _ in 0..TRIES {
            if in_use == InUse::Disconnect {
                let others = format!("datname = {} AND pid <> pg_backend_pid()", literal(from));
                self.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")).await?;
            }
            match self.ask(&create).await? {
                // Made by another run just now.
                Ok(_) => return Ok(()),
                Err(refusal) if refusal.code == "42P04" => return Ok(()),
                // The server has waited five seconds for them to go.
                Err(refusal) if refusal.code == "55006" => match in_use {
                    InUse::Refuse => return Err(self.in_use(from).await),
                    InUse::Disconnect => {}
                    InUse::Dump => return self.dump(from).await,
                },
                Err(refusal) => return Err(refused(&format!("can't copy {from}"), &refusal)),
            }
        }
        Err(self.in_use(from).await)
    }

    /// Waits shortly until no client is connected to a database, and returns whether that is so. Clients that the
    /// server disconnects itself don't count.
    async fn is_left_alone(&mut self, from: &str) -> Result<bool> {
        let others =
            format!("datname = {} AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'", literal(from));
        for pause in PAUSES {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let rows = self.run(&format!("SELECT FROM pg_stat_activity WHERE {others} LIMIT 1")).await?;
            if rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Copies a database that others are connected to, without their noticing. It has another name until it is whole.
    async fn dump(&mut self, from: &str) -> Result<()> {
        let copy = format!("taskava_copy_{:08x}", random());
        let create = self.empty_like(from, &copy).await?;
        self.begin(&copy).await?;
        let named = self.dump_into(from, &copy, &create).await;
        let dropped = if named.as_ref().is_ok_and(|named| *named) { Ok(()) } else { self.drop_one(&copy).await };
        named?;
        dropped?;
        self.end(&copy).await
    }

    /// Whether the copy became the template: another run may have made that meanwhile.
    async fn dump_into(&mut self, from: &str, copy: &str, create: &str) -> Result<bool> {
        self.run(create).await?;
        self.read_and_write(from, copy).await?;
        let (own, final_name) = (identifier(copy), identifier(&name(from)));
        // In one transaction: it is whole under its name, or unfinished under the other.
        let rename = format!(
            "ALTER DATABASE {own} ALLOW_CONNECTIONS false CONNECTION LIMIT -1; ALTER DATABASE {own} RENAME TO {final_name}"
        );
        match self.ask(&rename).await? {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.code == "42P04" => Ok(false),
            Err(refusal) => Err(refused(&format!("can't copy {from}"), &refusal)),
        }
    }

    /// The statement that makes a database without content, with the owner and the rules of order of another.
    async fn empty_like(&mut self, from: &str, copy: &str) -> Result<String> {
        // Columns that not every version has.
        let sql = format!(
            "SELECT pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, pg_get_userbyid(d.datdba), \
             to_jsonb(d)->>'datlocprovider', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale') \
             FROM pg_database d WHERE d.datname = {}",
            literal(from)
        );
        let row = self.run(&sql).await?.into_iter().next();
        let row = row.ok_or_else(|| Error::new(ErrorKind::Usage, format_args!("there is no database `{from}`")))?;
        let text = |at: usize| literal(row.get(at).and_then(Option::as_deref).unwrap_or_default());
        let owner = identifier(row.get(3).and_then(Option::as_deref).unwrap_or_default());
        let provider = match row.get(4).and_then(Option::as_deref) {
            Some("i") => format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", text(5)),
            Some("b") => format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", text(5)),
            Some(_) => " LOCALE_PROVIDER libc".into(),
            None => String::new(),
        };
        let (encoding, collate, ctype) = (text(0), text(1), text(2));
        Ok(format!(
            "CREATE DATABASE {} TEMPLATE template0 OWNER {owner} ENCODING {encoding} LC_COLLATE {collate} \
             LC_CTYPE {ctype}{provider} CONNECTION LIMIT {MAKING}",
            identifier(copy)
        ))
    }

    async fn read_and_write(&self, from: &str, copy: &str) -> Result<()> {
        let mut env = vec![
            format!("PGDATABASE={from}"),
            format!("COPY={copy}"),
            format!("PGUSER={}", self.user),
            format!("PGPORT={}", self.inside.port),
        ];
        env.extend(self.password.as_ref().map(|password| format!("PGPASSWORD={password}")));
        let command = ["sh", "-c", DUMP].map(String::from);
        let ended = self.inside.engine.exec_with(&self.inside.container, &command, env, bytes::Bytes::new()).await?;
        if ended.code == 0 {
            return Ok(());
        }
        let why = ended.output.lines().last().unwrap_or("the container has no pg_dump").to_owned();
        Err(Error::new(ErrorKind::Other, format_args!("{from} is in use, and could not be copied meanwhile: {why}")))
    }

    async fn in_use(&mut self, from: &str) -> Error {
        let sql = format!(
            "SELECT coalesce(nullif(application_name, ''), 'a client') || ' (' || count(*) || ')' \
             FROM pg_stat_activity WHERE datname = {} AND pid <> pg_backend_pid() GROUP BY application_name ORDER BY 1",
            literal(from)
        );
        let rows = self.run(&sql).await.unwrap_or_default();
        let clients: Vec<String> = rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        Error::new(ErrorKind::Other, format_args!("{from} is in use, so it can't be copied: {}", clients.join(", ")))
            .hint("close these connections; or let them be closed: --disconnect")
            .hint("only the first fork of a database needs that: the next ones copy its template")
    }

    /// Writes down what the template needs to be remembered for.
    pub(super) async fn note(&mut self, from: &str, pool: usize) -> Result<()> {
        let counter = format!(
            "(SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = {})",
            literal(from)
        );
        let mark = literal(&format!("{MARK}template of {from}, pool of {pool}, at "));
        // A comment has to be a constant.
        let text = format!("SELECT quote_literal({mark} || {counter})");
        let rows = self.run(&text).await?;
        let quoted = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default();
        self.run(&format!("COMMENT ON DATABASE {} IS {quoted}", identifier(&name(from)))).await.map(drop)
    }
}

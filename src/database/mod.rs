//! Private copies of a database inside one server, in milliseconds.
//!
//! A database with open connections can't be copied. So it is copied once, to a template that does not accept
//! connections; copies are created from the template, some in advance in a pool: a fork then only takes one and renames
//! it. Databases that taskava created carry a comment, and no others are ever listed or dropped. The comments are the
//! only state.
//!
//! `template` creates the first copy, `unfinished` those of the pool, and drops copies that were cut off; the rest is
//! here.

mod template;
mod unfinished;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::kinds;
use crate::model::{CopyName, Probe, Service};
use crate::plan::observed::Container;
use crate::run::actual::{self, Actual};
use crate::run::address;
use crate::run::postgres::{Connection, Login, Refusal, Rows, open};

/// How the comments of our databases begin; what follows is a [`Role`] and the source.
const MARK: &str = "taskava ";

/// How long a server may take to answer; copying a database is not limited.
const CONNECT: Duration = Duration::from_secs(5);

/// A server and whose login is used.
#[derive(Debug)]
pub struct Server {
    connection: Connection,
    address: SocketAddr,
    user: String,
    password: Option<String>,
    /// The database the service is made for.
    database: String,
    /// It takes connections over TLS alone.
    tls: bool,
    /// Where its own programs are.
    inside: Inside,
    /// The connection was lost.
    gone: bool,
}

/// The container of a server, and the port that it has in there.
#[derive(Debug)]
struct Inside {
    engine: Engine,
    container: String,
    port: u16,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// `15.8`.
    pub version: String,
    /// Servers that follow it.
    pub standbys: usize,
}

/// How a fork is made.
#[derive(Debug, Clone, Default)]
pub struct ForkOptions {
    /// The database it is a copy of; otherwise the one the service is made for.
    pub from: Option<String>,
    /// How many copies are kept ready; otherwise as many as were asked for last.
    pub pool: Option<usize>,
    /// Copy the source again: it changed since its template was created.
    pub refresh: bool,
    /// What to do if clients are connected to the source when it is copied for the first time.
    pub in_use: InUse,
}

/// What to do about connections to a database that is to be copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InUse {
    /// Say who it is.
    #[default]
    Refuse,
    /// End them.
    Disconnect,
    /// Leave them alone, and have the server's own programs read and write everything, which takes longer.
    Dump,
}

/// A private copy.
#[derive(Debug, Clone, Serialize)]
pub struct Fork {
    /// Its name.
    pub database: String,
    /// The database it is a copy of.
    pub from: String,
    /// Where it can be reached, with the password.
    pub url: String,
    /// It had been made ahead of time.
    pub pooled: bool,
    /// How many are left ready, and how many there should be.
    #[serde(skip)]
    pub ready: (usize, usize),
    /// The source was written to since the template was made.
    pub stale: bool,
}

/// One of the databases that we made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Its name.
    pub database: String,
    /// What it is for.
    pub role: Role,
    /// The database it is a copy of.
    pub from: String,
    /// Size in bytes.
    pub size: u64,
    /// Connections to it.
    pub connections: u64,
    /// Of a template: how many copies are to be kept ready, and the source's counter of writes.
    #[serde(skip)]
    state: (usize, u64),
}

/// What a database of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Taken by a fork.
    Fork,
    /// Ready to be given away.
    Pool,
    /// What the others are copied from.
    Template,
}

impl Server {
    /// Logs in to the server of a service.
    ///
    /// # Errors
    /// When it is no PostgreSQL, can't be reached from here, or refuses.
    pub async fn connect(engine: &Engine, service: &Service, container: &Container) -> Result<Self> {
        let Actual { service, unknown } = actual::service(engine, service, container).await;
        let Probe::Postgres { port, user, password, database, tls } = service.own.clone() else {
            return Err(Error::new(ErrorKind::Usage, format_args!("{} is not PostgreSQL", service.name)));
        };
        let (Some(user), Some(database)) = (user, database) else {
            return Err(Error::new(ErrorKind::NotReady, unknown.unwrap_or_default()));
        };
        let address = address::of_port(&engine.about, &service, container, port)?;
        let failed = |why: &dyn std::fmt::Display| {
            Error::new(ErrorKind::NotReady, format_args!("can't log in to {} at {address}: {why}", service.name))
                .hint(format!("taskava dev explain {}", service.name))
        };
        match tokio::time::timeout(CONNECT, open(address, &user, password.as_deref(), "postgres")).await {
            Ok(Ok(Login::Done(connection))) => {
                let inside = Inside { engine: engine.clone(), container: container.id.clone(), port };
                Ok(Self { connection, address, user, password, database, tls, inside, gone: false })
            }
            Ok(Ok(Login::Asked)) => Err(failed(&"it requires a password that is unknown here")),
            Ok(Ok(Login::Refused(refusal))) => Err(failed(&refusal.message)),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"no answer")),
        }
    }

    /// The database that the service is made for.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// What kind of server it is, in its own words.
    ///
    /// # Errors
    /// When it is removed.
    pub async fn about(&mut self) -> Result<About> {
        let rows = self.run("SHOW server_version; SELECT count(*) FROM pg_stat_replication").await?;
        let text = |at: usize| rows.get(at).and_then(|row| row.first()?.clone()).unwrap_or_default();
        // `15.8 (Debian 15.8-1)`
        let version = text(0).split(' ').next().unwrap_or_default().to_owned();
        Ok(About { version, standbys: text(1).parse().unwrap_or_default() })
    }

    /// Makes a private copy.
    ///
    /// # Errors
    /// When the name is taken, or the source is in use and there is no template of it yet.
    pub async fn fork(&mut self, name: &CopyName, options: &ForkOptions) -> Result<Fork> {
        let from = options.from.clone().unwrap_or_else(|| self.database.clone());
        let (mut ours, writes, taken) = self.look(&from, name.as_str(), false).await?;
        if taken {
            let own = ours.iter().any(|copy| copy.database == name.as_str() && copy.role == Role::Fork);
            let hint = if own { format!("drop it: taskava dev db drop {name}") } else { "choose another name".into() };
            return Err(Error::new(ErrorKind::Usage, format_args!("database `{name}` already exists")).hint(hint));
        }
        if options.refresh {
            self.drop_template(&ours, &from).await?;
            ours.clear();
        }
        ours.retain(|copy| copy.from == from);
        let template = ours.iter().find(|copy| copy.role == Role::Template);
        let known = template.map(|template| template.state);
        let (size, stale) = match known {
            Some((pool, seen)) => (options.pool.unwrap_or(pool), seen != writes),
            None => {
                self.make_template(&from, options.in_use).await?;
                (options.pool.unwrap_or_default(), false)
            }
        };
        if known.is_none_or(|(pool, _)| pool != size) {
            self.note(&from, size).await?;
        }
        let mut pool: Vec<String> =
            ours.into_iter().filter(|copy| copy.role == Role::Pool).map(|copy| copy.database).collect();
        let pooled = !pool.is_empty();
        self.take(&mut pool, name, &from).await?;
        let url = kinds::postgres_url(&self.user, self.password.as_deref(), self.address, name.as_str(), self.tls);
        Ok(Fork { database: name.to_string(), from, url, pooled, ready: (pool.len(), size), stale })
    }

    /// Gives a copy of the pool a name. Another run may be faster: then the next one is taken, at last a new one.
    async fn take(&mut self, pool: &mut Vec<String>, name: &CopyName, from: &str) -> Result<()> {
        loop {
            let copy = match pool.pop() {
                Some(copy) => copy,
                None => self.add(from).await?,
            };
            let rename = format!("ALTER DATABASE {} RENAME TO {}", identifier(&copy), identifier(name.as_str()));
            match self.ask(&rename).await? {
                Ok(_) => {
                    let mark = format!("{MARK}fork of {from}");
                    return self.run(&comment(name.as_str(), &mark)).await.map(drop);
                }
                Err(refusal) if refusal.code == "3D000" => {}
                Err(refusal) => return Err(refused(&format!("can't create {name}"), &refusal)),
            }
        }
    }

    /// Makes copies until as many are ready as were asked for. Another run that does so already is left to it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn fill(&mut self, from: Option<&str>) -> Result<()> {
        let from = from.unwrap_or(&self.database).to_owned();
        let lock = format!("pg_try_advisory_lock(hashtext({}))", literal(&format!("{MARK}{from}")));
        if self.run(&format!("SELECT {lock}")).await?.first().and_then(|row| row[0].as_deref()) != Some("t") {
            return Ok(());
        }
        while self.fill_one(Some(&from)).await? {}
        Ok(())
    }

    /// Creates one copy, unless the requested number is ready. For callers that do other work in between.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn fill_one(&mut self, from: Option<&str>) -> Result<bool> {
        let from = from.unwrap_or(&self.database).to_owned();
        let (ours, ..) = self.look(&from, "", false).await?;
        let ours: Vec<Copy> = ours.into_iter().filter(|copy| copy.from == from).collect();
        let template = ours.iter().find(|copy| copy.role == Role::Template);
        let ready = ours.iter().filter(|copy| copy.role == Role::Pool).count();
        let missing = template.is_some_and(|template| ready < template.state.0);
        if missing {
            self.add(&from).await?;
        }
        Ok(missing)
    }

    /// Forgets how a database was: the next fork copies it as it is then.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn refresh(&mut self, from: Option<&str>) -> Result<()> {
        let from = from.unwrap_or(&self.database).to_owned();
        let ours = self.list().await?;
        self.drop_template(&ours, &from).await
    }

    /// Drops the template of a database and what is kept ready.
    async fn drop_template(&mut self, ours: &[Copy], from: &str) -> Result<()> {
        for copy in ours.iter().filter(|copy| copy.from == from && copy.role != Role::Fork) {
            self.drop_one(&copy.database).await?;
        }
        Ok(())
    }

    /// Our databases, those that are used first.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn list(&mut self) -> Result<Vec<Copy>> {
        Ok(self.look("", "", true).await?.0)
    }

    /// Drops databases of ours by name, even if clients are connected to them.
    ///
    /// # Errors
    /// When one of them does not exist, or is not ours: then none is dropped.
    pub async fn drop(&mut self, names: &[String]) -> Result<()> {
        let ours = self.list().await?;
        if let Some(other) = names.iter().find(|name| ours.iter().all(|copy| copy.database != **name)) {
            let forks: Vec<&str> = ours.iter().map(|copy| copy.database.as_str()).collect();
            let hint =
                if forks.is_empty() { "there is none".into() } else { format!("there are: {}", forks.join(", ")) };
            let message = format!("`{other}` was not created by `db fork`; it is left alone");
            return Err(Error::new(ErrorKind::Usage, message).hint(hint));
        }
        for name in names {
            self.drop_one(name).await?;
        }
        Ok(())
    }

    async fn drop_one(&mut self, name: &str) -> Result<()> {
        self.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", identifier(name))).await.map(drop)
    }

    /// Our databases, how often the source was written to, and whether a name is taken: in one question. What is left of some
    /// whose making was cut off goes.
    async fn look(&mut self, from: &str, name: &str, sizes: bool) -> Result<(Vec<Copy>, u64, bool)> {
        // The server looks at each file for it.
        let size = if sizes { "pg_database_size(d.oid)" } else { "0" };
        let sql = format!(
            "SELECT d.datname, shobj_description(d.oid, 'pg_database') AS mark, {size}, \
             s.numbackends, s.tup_inserted + s.tup_updated + s.tup_deleted, d.datconnlimit = {} \
             FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid \
             WHERE shobj_description(d.oid, 'pg_database') LIKE '{MARK}%' OR d.datname IN ({}, {}) \
             OR d.datconnlimit = {0} ORDER BY mark, d.datname",
            unfinished::MAKING,
            literal(from),
            literal(name)
        );
        let rows = self.run(&sql).await?;
        let unfinished = rows.iter().filter(|row| row[5].as_deref() == Some("t")).filter_map(|row| row[0].clone());
        self.sweep(&unfinished.collect::<Vec<_>>()).await?;
        let of = |wanted: &str| rows.iter().find(|row| row[0].as_deref() == Some(wanted));
        let writes = of(from).and_then(|row| row[4].as_deref()?.parse().ok()).unwrap_or_default();
        Ok((rows.iter().filter_map(|row| copy(row)).collect(), writes, of(name).is_some()))
    }

    /// Whether the connection was lost: a new one may succeed.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    async fn ask(&mut self, sql: &str) -> Result<Result<Rows, Refusal>> {
        let answer = self.connection.query(sql).await;
        self.gone |= answer.is_err();
        answer.map_err(|error| {
            Error::new(ErrorKind::Other, format_args!("lost the connection to the database server: {error}"))
        })
    }

    async fn run(&mut self, sql: &str) -> Result<Rows> {
        self.ask(sql).await?.map_err(|refusal| refused("the database server refuses", &refusal))
    }
}

fn refused(what: &str, refusal: &Refusal) -> Error {
    Error::new(ErrorKind::Other, format_args!("{what}: {}", refusal.message))
}

/// One of ours, from its row.
fn copy(row: &[Option<String>]) -> Option<Copy> {
    let text = |at: usize| row[at].as_deref();
    let (role, rest) = text(1)?.strip_prefix(MARK)?.split_once(" of ")?;
    let role = match role {
        "fork" => Role::Fork,
        "pool" => Role::Pool,
        "template" => Role::Template,
        _ => return None,
    };
    // Between its new name and its new comment, a copy is already taken: no other fork may take it by its old comment.
    let role = match role {
        Role::Pool if !text(0)?.starts_with(&pooled(rest)) => Role::Fork,
        role => role,
    };
    let (from, state) = match (role, rest.rsplit_once(", pool of ")) {
        (Role::Template, Some((from, state))) => (from, state.split_once(", at ")?),
        _ => (rest, ("0", "0")),
    };
    let number = |text: &str| text.parse::<u64>().ok();
    Some(Copy {
        database: text(0)?.into(),
        role,
        from: from.into(),
        size: number(text(2)?)?,
        connections: number(text(3)?)?,
        state: (state.0.parse().ok()?, number(state.1)?),
    })
}

/// How the names of copies in the pool begin.
fn pooled(from: &str) -> String {
    format!("{from}_taskava_")
}

fn comment(database: &str, text: &str) -> String {
    format!("COMMENT ON DATABASE {} IS {}", identifier(database), literal(text))
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn random() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    (RandomState::new().hash_one(std::process::id()) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("a'b\\"), "E'a\\'b\\\\'");
    }

    #[test]
    fn what_is_ours_is_told_by_its_comment() {
        let row = |mark: Option<&str>| {
            let row = [Some("x"), mark, Some("7"), Some("1"), Some("5")];
            copy(&row.map(|text| text.map(String::from)))
        };
        let found = row(Some("taskava template of a, pool of b, pool of 8, at 42")).unwrap();
        assert_eq!((found.role, found.from.as_str(), found.state), (Role::Template, "a, pool of b", (8, 42)));
        let found = row(Some("taskava fork of app")).unwrap();
        assert_eq!((found.role, found.from.as_str(), found.size), (Role::Fork, "app", 7));
        for other in [None, Some("default administrative connection database"), Some("taskava x of y")] {
            assert_eq!(row(other), None);
        }
    }
}

//! Queries the server itself, over the network or inside its container: where it listens, and which logins it accepts.

use std::time::Duration;

use tokio::time::timeout;

use super::{Actual, address_of, given, kind_of};
use crate::engine::Engine;
use crate::kinds::{self, Login as Redis};
use crate::model::{Kind, Probe, Service};
use crate::plan::observed::Container;
use crate::run::postgres::{self, Login};
use crate::run::probe::{self, Answer};

/// How long one question may take.
const SOON: Duration = Duration::from_secs(2);

/// The folder of PostgreSQL's data where no variable says it.
const PGDATA: &str = "/var/lib/postgresql/data";

/// Lists what processes inside call themselves. Redis writes into it where it listens.
const TITLES: &str = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <\"$f\"; echo; done 2>/dev/null";

/// The service with the port or socket that its server really has; none where that is not known, or nothing new.
pub async fn elsewhere(engine: &Engine, service: &Service, id: &str) -> Option<Service> {
    let mut found = service.clone();
    match kind_of(&service.ready.probe).or(kind_of(&service.own))? {
        Kind::Postgres => {
            let listens = postmaster(engine, service, id).await?.port?;
            for probe in [&mut found.own, &mut found.ready.probe] {
                if let Probe::Postgres { port, .. } = probe {
                    *port = listens;
                }
            }
        }
        Kind::Redis => {
            let listed = engine.exec(id, &["sh", "-c", TITLES].map(String::from)).await.ok()?;
            let (listens, path) = listed.output.lines().find_map(listens)?;
            for probe in [&mut found.own, &mut found.ready.probe] {
                if let Probe::Redis { port, socket, .. } = probe {
                    *port = listens;
                    *socket = path.clone().or(socket.take());
                }
            }
        }
        _ => return None,
    }
    (found != *service).then_some(found)
}

/// Port, or 0 and a unix socket, of `redis-server *:6380` or `redis-server unixsocket:/data/r.sock`.
fn listens(title: &str) -> Option<(u16, Option<String>)> {
    let mut words = title.split_whitespace();
    words.find(|word| {
        ["redis-server", "valkey-server", "keydb-server"].contains(&word.rsplit('/').next().unwrap_or(word))
    })?;
    let at = words.next()?;
    if let Some(path) = at.strip_prefix("unixsocket:") {
        return Some((0, Some(path.into())));
    }
    let port: u16 = at.rsplit_once(':')?.1.parse().ok()?;
    (port > 0).then_some((port, None))
}

/// What PostgreSQL notes about itself while it runs.
struct Postmaster {
    pid: Option<u32>,
    port: Option<u16>,
}

async fn postmaster(engine: &Engine, service: &Service, id: &str) -> Option<Postmaster> {
    let folder = service.env.get("PGDATA").map_or(PGDATA, |set| set.value.as_str()).trim_end_matches('/').to_owned();
    let text = super::file(engine, id, &format!("{folder}/postmaster.pid")).await?;
    let mut lines = text.lines().map(str::trim);
    Some(Postmaster {
        pid: lines.next().and_then(|pid| pid.parse().ok()),
        port: lines.nth(2).and_then(|port| port.parse().ok()),
    })
}

/// The variables of the server's process, as a script in front of it left them. Only its own user may read them.
async fn environ(engine: &Engine, id: &str, pid: u32) -> Option<Vec<(String, String)>> {
    let owner = ["stat".into(), "-c".into(), "%u".into(), format!("/proc/{pid}")];
    let uid = engine.exec(id, &owner).await.ok().filter(|done| done.code == 0)?.output;
    let read = ["cat".into(), format!("/proc/{pid}/environ")];
    let read = engine.exec_as(id, &uid, &read).await.ok().filter(|done| done.code == 0)?;
    let variable = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(read.output.split('\0').filter_map(variable).collect())
}

/// Finds out with whose login a server can be used.
pub(super) async fn logins(engine: &Engine, service: Service, container: &Container) -> Actual {
    match kind_of(&service.own).or(kind_of(&service.ready.probe)) {
        Some(Kind::Postgres) => postgres(engine, service, container).await,
        Some(Kind::Redis) => redis(engine, service, container).await,
        _ => Actual { service, unknown: None },
    }
}

async fn postgres(engine: &Engine, mut service: Service, container: &Container) -> Actual {
    let id = &container.id;
    let Some(mut login) = first(&service, Kind::Postgres) else { return Actual { service, unknown: None } };
    let lacks = |login: &Probe| {
        matches!(
            login,
            Probe::Postgres { user: None, .. }
                | Probe::Postgres { password: None, .. }
                | Probe::Postgres { database: None, .. }
        )
    };
    let Probe::Postgres { port, .. } = login else { return Actual { service, unknown: None } };
    let listens = match address_of(engine, &service, container, port) {
        Some(address) => timeout(SOON, tokio::net::TcpStream::connect(address)).await.is_ok_and(|done| done.is_ok()),
        None => false,
    };
    if (!listens || lacks(&login))
        && let Some(Postmaster { pid, port: real }) = postmaster(engine, &service, id).await
    {
        let environ = match pid.filter(|_| lacks(&login)) {
            Some(pid) => environ(engine, id, pid).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let of = |name: &str| {
            let found = environ.iter().find(|(found, _)| found == name);
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        if let Probe::Postgres { port, user, password, database, .. } = &mut login {
            *port = real.unwrap_or(*port);
            *user = user.take().or_else(|| of("POSTGRES_USER"));
            *password = password.take().or_else(|| of("POSTGRES_PASSWORD"));
            *database = database.take().or_else(|| of("POSTGRES_DB")).or_else(|| user.clone());
        }
    }
    if let Probe::Postgres { port, user, database, tls, .. } = &mut login
        && let Some(address) = address_of(engine, &service, container, *port)
    {
        let user = user.as_deref().unwrap_or("postgres");
        let asked = postgres::takes_tls_alone(address, user, database.as_deref().unwrap_or(user));
        *tls = matches!(timeout(SOON, asked).await, Ok(Ok(true)));
    }
    let unknown = unknown_of_postgres(engine, &service, container, &login).await;
    set(&mut service, &login);
    Actual { service, unknown }
}

async fn unknown_of_postgres(
    engine: &Engine,
    service: &Service,
    container: &Container,
    login: &Probe,
) -> Option<String> {
    let name = &service.name;
    let Probe::Postgres { port, user, password, database, .. } = login else { return None };
    let Some(user) = user else {
        return Some(format!(
            "{name}: its user is unknown; set it in services.toml: `env.POSTGRES_USER` of services.{name}"
        ));
    };
    if password.is_some() {
        return None;
    }
    let address = address_of(engine, service, container, *port)?;
    let opened = postgres::open(address, user, None, database.as_deref().unwrap_or(user));
    match timeout(SOON, opened).await {
        Ok(Ok(Login::Asked)) => Some(format!(
            "{name}: its password is unknown; set it in services.toml: `env.POSTGRES_PASSWORD` of services.{name}"
        )),
        _ => None,
    }
}

async fn redis(engine: &Engine, mut service: Service, container: &Container) -> Actual {
    let Some(first) = first(&service, Kind::Redis) else { return Actual { service, unknown: None } };
    let (mut login, mut answer) = (first.clone(), knock(engine, &service, container, &first).await);
    if matches!(answer, Knock::Nothing)
        && let Some(found) = elsewhere(engine, &service, &container.id).await
    {
        service = found;
        let Some(found) = self::first(&service, Kind::Redis) else { return Actual { service, unknown: None } };
        answer = knock(engine, &service, container, &found).await;
        login = found;
    }
    if let (Knock::Open { tls: found } | Knock::Closed { tls: found }, Probe::Redis { tls, .. }) = (&answer, &mut login)
    {
        *tls = *found;
    }
    let mut unknown = None;
    if matches!(answer, Knock::Closed { .. }) {
        let files = super::files(engine, &service, &container.id, &[Kind::Redis]).await;
        let others = kinds::logins(Kind::Redis, given(&service, &files));
        let mut opened = None;
        for other in std::iter::once(Redis::default()).chain(others) {
            let tried = with(&login, other);
            if tried != login && matches!(knock(engine, &service, container, &tried).await, Knock::Open { .. }) {
                opened = Some(tried);
                break;
            }
        }
        let name = &service.name;
        login = opened.unwrap_or_else(|| {
            unknown = Some(format!(
                "{name}: its password is unknown; set it in services.toml: `--requirepass` in `command` of services.{name}"
            ));
            with(&login, Redis::default())
        });
    }
    set(&mut service, &login);
    Actual { service, unknown }
}

/// How Redis answers to a login.
enum Knock {
    /// It lets in.
    Open { tls: bool },
    /// It is there, and does not.
    Closed { tls: bool },
    /// Nothing that is Redis answers.
    Nothing,
}

async fn knock(engine: &Engine, service: &Service, container: &Container, login: &Probe) -> Knock {
    let Probe::Redis { port, user, password, tls, socket } = login else { return Knock::Nothing };
    if *port == 0 && socket.is_some() {
        let Some(client) = kinds::client(&alike(service, login)) else { return Knock::Nothing };
        return match answered(engine, &container.id, &client, &["PING".into()]).await {
            Some(said) if said.contains("PONG") => Knock::Open { tls: false },
            Some(_) => Knock::Closed { tls: false },
            None => Knock::Nothing,
        };
    }
    let Some(address) = address_of(engine, &alike(service, login), container, *port) else { return Knock::Nothing };
    match timeout(SOON, probe::redis_answer(address, *tls, user.as_deref(), password.as_deref())).await {
        Ok(Ok((said, tls))) if said.iter().all(|line| line.starts_with('+')) => Knock::Open { tls },
        // Protected mode: a password would not help. Whether it is ready is the probe's to say.
        Ok(Ok((said, _))) if said.iter().any(|line| line.starts_with("-DENIED")) => Knock::Nothing,
        Ok(Ok((_, tls))) => Knock::Closed { tls },
        Ok(Err(_)) | Err(_) => Knock::Nothing,
    }
}

/// Asks a server inside its container, by its own client; none where a probe has no client.
///
/// # Errors
/// When the engine does not answer.
pub async fn inside(engine: &Engine, service: &Service, id: &str, probe: &Probe) -> Option<Answer> {
    match probe {
        Probe::Postgres { port, .. } => {
            // `pg_isready` does not log in: any name works.
            let port = port.to_string();
            let command = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-d", "postgres"];
            let done = engine.exec(id, &command.map(String::from)).await;
            Some(match done {
                Ok(done) if done.code == 0 => Answer::Ready,
                Ok(done) if done.code == 1 => Answer::NotYet("the database system is starting up".into()),
                Ok(done) if done.code == 2 => Answer::NotYet("connection refused inside".into()),
                Ok(done) => Answer::NotYet(format!("`{}` exits with {}", command.join(" "), done.code)),
                Err(error) => Answer::NotYet(error.to_string()),
            })
        }
        Probe::Redis { .. } => {
            let client = kinds::client(&alike(service, &with(probe, Redis::default())))?;
            Some(match answered(engine, id, &client, &["PING".into()]).await {
                Some(said) => probe::understand_redis(&said),
                None => Answer::NotYet("its image has no client that could probe it inside".into()),
            })
        }
        _ => None,
    }
}

/// What a client inside says; none where there is none.
async fn answered(engine: &Engine, id: &str, client: &kinds::Client, query: &[String]) -> Option<String> {
    for program in &client.programs {
        let done = engine
            .exec_with(id, &client.command(program, query), client.env.clone(), bytes::Bytes::new())
            .await
            .ok()?;
        if !matches!(done.code, 126 | 127) {
            return Some(done.output);
        }
    }
    None
}

/// The first probe of a service that is of this kind.
fn first(service: &Service, kind: Kind) -> Option<Probe> {
    [&service.own, &service.ready.probe].into_iter().find(|probe| kind_of(probe) == Some(kind)).cloned()
}

/// A service that is asked so.
fn alike(service: &Service, probe: &Probe) -> Service {
    let mut alike = service.clone();
    (alike.own, alike.ready.probe) = (probe.clone(), probe.clone());
    alike
}

fn with(probe: &Probe, login: Redis) -> Probe {
    let mut probe = probe.clone();
    if let Probe::Redis { user, password, .. } = &mut probe {
        (*user, *password) = (login.user, login.password);
    }
    probe
}

/// Puts what was found in the place of what was known before.
fn set(service: &mut Service, found: &Probe) {
    for probe in [&mut service.own, &mut service.ready.probe] {
        if kind_of(probe) == kind_of(found) {
            *probe = found.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_says_where_it_listens() {
        for (title, expected) in [
            ("redis-server *:6380", Some((6380, None))),
            ("/usr/bin/redis-server 0.0.0.0:6379 [cluster]", Some((6379, None))),
            ("valkey-server [::]:7000", Some((7000, None))),
            ("redis-server unixsocket:/data/r.sock", Some((0, Some("/data/r.sock".into())))),
            ("sh -c exec redis-server --port 6380", None),
            ("redis-server *:0", None),
            ("nginx: master *:80", None),
            ("", None),
        ] {
            assert_eq!(listens(title), expected, "{title}");
        }
    }
}

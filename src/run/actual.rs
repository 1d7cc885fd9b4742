//! The actual settings of a running server: the one place where user, password, database and port of a container are
//! determined.
//!
//! services.toml does not contain all of them: an image sets variables, a variable names a file in the container
//! (`POSTGRES_PASSWORD_FILE`), a script in front of the server computes its arguments. So the container is inspected:
//! its environment and command as the engine has them, the files that these name, and, if that is not enough, the
//! server itself. Nothing of it is stored.

mod ask;

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::address;
use super::probe::Answer;
use crate::engine::{Engine, Inspected};
use crate::kinds::{self, Files, Given};
use crate::masks::Masks;
use crate::model::{Kind, Probe, Service, Stack};
use crate::plan::observed::Container;

pub use ask::{elsewhere, inside};

/// Files that include files that include files: deeper is not looked.
const ROUNDS: usize = 5;

/// A service as its container really is.
#[derive(Debug, Clone)]
pub struct Actual {
    /// With environment, command and login of the container.
    pub service: Service,
    /// What could not be found out, as a sentence; none = everything is known.
    pub unknown: Option<String>,
}

/// A service with the environment and command that its container has, and the settings that these and the files they name
/// hold. What can't be found stays as services.toml says it.
pub async fn read(engine: &Engine, service: &Service, id: &str) -> Service {
    if kind_of(&service.own).is_none() && kind_of(&service.ready.probe).is_none() {
        return service.clone();
    }
    match engine.inspect(id).await {
        Ok(Some(seen)) => filled(engine, service, id, &seen).await,
        // Who asks it next hears why.
        Ok(None) | Err(_) => service.clone(),
    }
}

/// The same for who logs in: what only the server knows is asked of it.
pub async fn service(engine: &Engine, service: &Service, container: &Container) -> Actual {
    let found = read(engine, service, &container.id).await;
    if kind_of(&found.own).is_none() && kind_of(&found.ready.probe).is_none() {
        return Actual { service: found, unknown: None };
    }
    ask::logins(engine, found, container).await
}

/// The same of all services of a stack that run.
pub async fn read_stack(engine: &Engine, stack: &Stack, containers: &[Container]) -> Stack {
    let asked = stack.services.values().map(async |one| {
        let container = containers.iter().find(|seen| seen.service == one.name && seen.is_up())?;
        Some(read(engine, one, &container.id).await)
    });
    let mut found = stack.clone();
    let read = join_all(asked).await.into_iter().flatten();
    found.services.extend(read.map(|service| (service.name.clone(), service)));
    found
}

/// A stack with its services as their containers really are, and what could not be found out.
pub async fn stack(engine: &Engine, stack: &Stack, containers: &[Container]) -> (Stack, Vec<String>) {
    let asked = stack.services.values().map(async |one| {
        let container = containers.iter().find(|seen| seen.service == one.name && seen.is_up())?;
        Some(service(engine, one, container).await)
    });
    let (mut found, mut unknown) = (stack.clone(), Vec::new());
    for actual in join_all(asked).await.into_iter().flatten() {
        unknown.extend(actual.unknown);
        found.services.insert(actual.service.name.clone(), actual.service);
    }
    (found, unknown)
}

/// Masks the secrets that only the container of a service knows, too.
pub(super) fn masks(stack: &Stack, service: &Service) -> Masks {
    let mut stack = stack.clone();
    stack.services.insert(service.name.clone(), service.clone());
    Masks::of(&stack)
}

/// The kind whose settings a probe holds.
fn kind_of(probe: &Probe) -> Option<Kind> {
    match probe {
        Probe::Postgres { .. } => Some(Kind::Postgres),
        Probe::Redis { .. } => Some(Kind::Redis),
        Probe::Localstack { .. } => Some(Kind::Localstack),
        Probe::Ministack { .. } => Some(Kind::Ministack),
        Probe::Mail { .. } => Some(Kind::Mailhog),
        _ => None,
    }
}

async fn filled(engine: &Engine, service: &Service, id: &str, seen: &Inspected) -> Service {
    // An engine that does not tell.
    if seen.env.is_empty() && seen.entrypoint.is_empty() && seen.command.is_empty() {
        return service.clone();
    }
    let mut found = service.with_env(&seen.env);
    found.entrypoint = Some(seen.entrypoint.clone());
    found.command = Some(seen.command.clone());
    // The kind of what is only probed so, too: `ready = { postgres = true }` of an image of one's own.
    let probed = kind_of(&service.ready.probe).filter(|_| service.ready.probe != service.own);
    let kinds: Vec<Kind> = [Some(service.kind), probed].into_iter().flatten().collect();
    let files = files(engine, &found, id, &kinds).await;
    let own = kinds::probe(service.kind, given(&found, &files));
    found.ready.probe = match probed {
        None if kind_of(&service.ready.probe).is_some() => own.clone(),
        None => service.ready.probe.clone(),
        Some(kind) => with_port(kinds::probe(kind, given(&found, &files)), service, kind),
    };
    found.own = own;
    found
}

/// The port that `ready` names stays.
fn with_port(mut probe: Probe, service: &Service, kind: Kind) -> Probe {
    let declared = Given::declared(&service.env, service.entrypoint.as_deref(), service.command.as_deref());
    let port_of = |probe: &Probe| match probe {
        Probe::Postgres { port, .. } | Probe::Redis { port, .. } => Some(*port),
        _ => None,
    };
    let written = port_of(&service.ready.probe).filter(|port| port_of(&kinds::probe(kind, declared)) != Some(*port));
    if let (Some(written), Probe::Postgres { port, .. } | Probe::Redis { port, .. }) = (written, &mut probe) {
        *port = written;
    }
    probe
}

fn given<'a>(service: &'a Service, files: &'a Files) -> Given<'a> {
    Given {
        env: &service.env,
        entrypoint: service.entrypoint.as_deref(),
        command: service.command.as_deref(),
        files,
        whole: true,
    }
}

/// The files inside that hold settings.
async fn files(engine: &Engine, service: &Service, id: &str, kinds: &[Kind]) -> Files {
    let mut files: Files = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut wanted: Vec<String> =
            kinds.iter().flat_map(|kind| kinds::files(*kind, given(service, &files))).collect();
        wanted.dedup();
        if wanted.is_empty() {
            break;
        }
        let read = wanted.into_iter().map(async |path| {
            let text = file(engine, id, &path).await;
            (path, text)
        });
        files.extend(join_all(read).await);
    }
    files
}

/// A file inside. The engine does not see what is in a memory file system; a command inside does.
async fn file(engine: &Engine, id: &str, path: &str) -> Option<String> {
    if let Ok(Some(bytes)) = engine.read_file(id, path).await {
        // A link's archive is empty.
        if !bytes.is_empty() {
            return String::from_utf8(bytes).ok();
        }
    }
    let read = engine.exec(id, &["cat", path].map(String::from)).await.ok()?;
    (read.code == 0).then_some(read.output)
}

/// Whether an answer says that nothing was found where it was asked.
pub(super) fn is_elsewhere(answer: &Answer) -> bool {
    let Answer::NotYet(why) = answer else { return false };
    let why = why.to_lowercase();
    ["connection refused", "accepted, then closed", "not accepted", "can't be reached"]
        .iter()
        .any(|words| why.contains(words))
}

/// The address of a port of a container.
fn address_of(engine: &Engine, service: &Service, container: &Container, port: u16) -> Option<std::net::SocketAddr> {
    address::of(&engine.about, service, container).get(&port).copied()
}

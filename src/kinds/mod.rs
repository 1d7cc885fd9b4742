//! What is special about a service: how it is probed, reached, stopped and explained. One file a kind.
//! Pure: what is asked over the network is `run::probe`'s.

mod arguments;
mod endpoints;
mod failures;
mod generic;
mod job;
mod localstack;
mod mail;
mod mailhog;
mod mailpit;
mod ministack;
mod postgres;
mod redis;

use std::time::Duration;

use indexmap::IndexMap;

use crate::diag::ErrorKind;
use crate::event::{Endpoint, Failure};
use crate::model::{EnvValue, Kind, Probe, Service};
use crate::plan::observed::PublishedPort;

pub use endpoints::postgres_url;

/// What a kind sets where services.toml is silent.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// Image, for kinds that are one product.
    pub image: Option<&'static str>,
    /// How long until it is given up.
    pub ready_timeout: Duration,
    /// Time to stop by itself before it is killed.
    pub stop_timeout: Duration,
    /// Where it keeps its data, inside.
    pub data_path: Option<&'static str>,
}

impl Defaults {
    /// Of something of which nothing is known.
    const UNKNOWN: Self = Self {
        image: None,
        ready_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(10),
        data_path: None,
    };
}

/// What a kind sets where services.toml is silent.
pub fn defaults(kind: Kind) -> Defaults {
    match kind {
        Kind::Postgres => postgres::DEFAULTS,
        Kind::Redis => redis::DEFAULTS,
        Kind::Localstack => localstack::DEFAULTS,
        Kind::Mailhog => mailhog::DEFAULTS,
        Kind::Mailpit => mailpit::DEFAULTS,
        Kind::Ministack => ministack::DEFAULTS,
        Kind::Generic => Defaults::UNKNOWN,
        Kind::Job => job::DEFAULTS,
    }
}

/// How a service of this kind is asked whether it is ready, from its environment and command.
pub fn probe(kind: Kind, env: &IndexMap<String, EnvValue>, command: Option<&[String]>) -> Probe {
    let arguments = arguments::Arguments::new(env, command);
    match kind {
        Kind::Postgres => postgres::probe(&arguments),
        Kind::Redis => redis::probe(&arguments),
        Kind::Localstack => localstack::probe(&arguments),
        Kind::Mailhog => mailhog::probe(&arguments),
        Kind::Mailpit => mailpit::probe(&arguments),
        Kind::Ministack => ministack::probe(&arguments),
        Kind::Generic => Probe::Auto,
        Kind::Job => Probe::Exit,
    }
}

/// Where a service can be reached from the host, passwords masked. `host`: where the engine's ports are reached.
pub fn endpoints(service: &Service, host: &str, published: &[PublishedPort]) -> Vec<Endpoint> {
    endpoints::endpoints(service, host, published)
}

/// Adds the likely reason and what to do next to a failure, where it is a known one. What is filled in stays.
pub fn explain(service: &Service, failure: &mut Failure) {
    // Other failures are not the container's: who reports them knows why.
    let is_containers = matches!(failure.kind, ErrorKind::Crashed | ErrorKind::NotReady | ErrorKind::Other);
    if !is_containers || failure.reason.is_some() {
        return;
    }
    let own = match service.kind {
        Kind::Postgres => postgres::KNOWN,
        Kind::Redis => redis::KNOWN,
        Kind::Localstack => localstack::KNOWN,
        Kind::Mailhog => mailhog::KNOWN,
        Kind::Generic => generic::KNOWN,
        Kind::Mailpit | Kind::Ministack | Kind::Job => &[],
    };
    failures::explain(own, data_path(service).as_deref(), service, failure);
}

/// Whether a log line was caused by being asked whether it is ready: nothing that tells why a service failed.
pub fn is_probe_noise(kind: Kind, line: &str) -> bool {
    match kind {
        Kind::Postgres => line.contains("FATAL:  the database system is starting up"),
        Kind::Localstack => line.contains(": GET /_localstack/init => "),
        Kind::Ministack => line.contains("/_ministack/ready"),
        Kind::Mailhog => line.contains("[APIv2] GET /api/v2/messages") || line.contains("[SMTP "),
        Kind::Redis | Kind::Mailpit | Kind::Generic | Kind::Job => false,
    }
}

/// Where a service keeps its data, inside.
pub fn data_path(service: &Service) -> Option<String> {
    let moved = (service.kind == Kind::Postgres).then(|| service.env.get("PGDATA")).flatten();
    moved.map(|env| env.value.clone()).or_else(|| defaults(service.kind).data_path.map(Into::into))
}

/// Whether a service keeps its data where it is told to, so that this can be another place than its image's.
pub fn is_movable(service: &Service) -> bool {
    match service.kind {
        Kind::Postgres => postgres::is_movable(service),
        Kind::Redis => redis::is_movable(service),
        _ => false,
    }
}

/// Tells a service of which that is true where to keep its data.
pub fn move_data(service: &mut Service, to: &str) {
    match service.kind {
        Kind::Postgres => postgres::move_data(service, to),
        Kind::Redis => service.working_dir = Some(to.into()),
        _ => {}
    }
}

#[cfg(test)]
mod tests;

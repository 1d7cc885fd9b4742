//! What is special about a service: how it is probed, reached, stopped and explained. One file a kind.
//! Pure: what is asked over the network is `run::probe`'s.

mod arguments;
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

use crate::event::{Endpoint, Failure};
use crate::model::{EnvValue, Kind, Probe, Service};
use crate::plan::observed::PublishedPort;

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

/// Where a service can be reached from the host, passwords masked.
pub fn endpoints(service: &Service, host: &str, published: &[PublishedPort]) -> Vec<Endpoint> {
    let _ = (service, host, published);
    Vec::new()
}

/// Adds the likely reason and what to do next to a failure, where it is a known one.
pub fn explain(service: &Service, failure: &mut Failure) {
    let _ = (service, failure);
}

/// Where a service keeps its data, inside.
pub fn data_path(service: &Service) -> Option<String> {
    let moved = (service.kind == Kind::Postgres).then(|| service.env.get("PGDATA")).flatten();
    moved.map(|env| env.value.clone()).or_else(|| defaults(service.kind).data_path.map(Into::into))
}

#[cfg(test)]
mod tests;

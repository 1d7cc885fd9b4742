//! What is special about a service: how it is probed, reached, stopped and explained. One file a kind.
//! Pure: what is asked over the network is `run::probe`'s.

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

/// What a kind sets where services.toml is silent.
pub fn defaults(kind: Kind) -> Defaults {
    let _ = kind;
    Defaults {
        image: None,
        ready_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(10),
        data_path: None,
    }
}

/// How a service of this kind is asked whether it is ready, from its environment and command.
pub fn probe(kind: Kind, env: &IndexMap<String, EnvValue>, command: Option<&[String]>) -> Probe {
    let _ = (env, command);
    if kind == Kind::Job { Probe::Exit } else { Probe::Auto }
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
    defaults(service.kind).data_path.map(Into::into)
}

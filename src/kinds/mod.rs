//! What is specific to a service: how it is probed, reached, stopped and explained. One file per kind. Pure: probing
//! over the network is up to `run::probe`.

mod arguments;
mod clients;
mod databases;
mod endpoints;
mod exports;
mod failures;
mod generic;
mod job;
mod localstack;
mod mail;
mod mailhog;
mod mailpit;
mod ministack;
mod names;
mod postgres;
mod redis;
mod script;
mod spec;

use arguments::Arguments;
use spec::KindSpec;

use crate::diag::ErrorKind;
use crate::model::{Endpoint, Failure, Kind, Probe, PublishedPort, Service, Stack};

pub use arguments::{Files, Given};
pub use clients::{Client, client};
pub use databases::may_hold_database;
pub use endpoints::{Url, postgres_url};
pub use exports::{Variable, variables, variables_with};
pub use redis::Login;
pub use spec::Defaults;

/// What each kind says of itself.
fn spec(kind: Kind) -> &'static KindSpec {
    match kind {
        Kind::Postgres => &postgres::SPEC,
        Kind::Redis => &redis::SPEC,
        Kind::Localstack => &localstack::SPEC,
        Kind::Mailhog => &mailhog::SPEC,
        Kind::Mailpit => &mailpit::SPEC,
        Kind::Ministack => &ministack::SPEC,
        Kind::Generic => &generic::SPEC,
        Kind::Job => &job::SPEC,
    }
}

/// What a kind sets where services.toml is silent.
pub fn defaults(kind: Kind) -> Defaults {
    spec(kind).defaults.clone()
}

/// How a service of this kind is asked whether it is ready, from what it is given.
pub fn probe(kind: Kind, given: Given<'_>) -> Probe {
    (spec(kind).probe)(&Arguments::new(given))
}

/// The files inside that hold settings and were not read yet.
pub fn files(kind: Kind, given: Given<'_>) -> Vec<String> {
    let arguments = Arguments::new(given);
    (spec(kind).probe)(&arguments);
    (spec(kind).logins)(&arguments);
    arguments.wanted()
}

/// Logins that a server of this kind may accept in addition to that of its probe, most likely first.
pub fn logins(kind: Kind, given: Given<'_>) -> Vec<Login> {
    (spec(kind).logins)(&Arguments::new(given))
}

/// Where a service can be reached from the host, passwords masked. `host`: where the engine's ports are reached.
pub fn endpoints(service: &Service, host: &str, published: &[PublishedPort]) -> Vec<Endpoint> {
    endpoints::endpoints(service, host, published)
}

/// The URLs of a service's published ports, those a browser can show first. `secrets`: passwords in clear text.
pub fn urls(service: &Service, host: &str, published: &[PublishedPort], secrets: bool) -> Vec<Url> {
    let passwords = if secrets { endpoints::Passwords::Shown } else { endpoints::Passwords::Masked };
    endpoints::urls(service, host, published, passwords)
}

/// Why a container of this image would not do what services.toml says, where that is known before it starts.
/// `image_env`: the image's own environment, `NAME=value`.
pub fn refuse(service: &Service, image_env: &[String]) -> Option<String> {
    (spec(service.kind).refuse)(service, image_env)
}

/// Adds the likely reason and what to do next to a failure, where it is a known one. An existing reason is kept.
pub fn explain(stack: &Stack, service: &Service, failure: &mut Failure) {
    if failure.reason.is_some() {
        return;
    }
    let own = match failure.kind {
        ErrorKind::Image => return failures::explain(failures::IMAGE, stack, service, failure),
        ErrorKind::Crashed | ErrorKind::NotReady | ErrorKind::Other | ErrorKind::Usage => spec(service.kind).failures,
        // Who reports these knows why.
        _ => return,
    };
    failures::explain(own, stack, service, failure);
    if failure.reason.is_none()
        && let Some((reason, next)) = names::explain(stack, service, failure)
    {
        (failure.reason, failure.next) = (Some(reason), Some(next));
    }
    if failure.reason.is_none() {
        failures::explain(failures::COMMON, stack, service, failure);
    }
}

/// Whether a log line was caused by being asked whether it is ready: nothing that tells why a service failed.
pub fn is_probe_noise(kind: Kind, line: &str) -> bool {
    (spec(kind).is_probe_noise)(line)
}

/// Where a service keeps its data, inside. An image can say so too: see `Observed::on_image`.
pub fn data_path(service: &Service) -> Option<String> {
    let spec = spec(service.kind);
    (spec.moved_data_path)(service).or_else(|| spec.defaults.data_path.map(Into::into))
}

/// The same; none where it is not known for sure, by a variable or the image's tag.
pub fn known_data_path(service: &Service) -> Option<String> {
    (spec(service.kind).known_data_path)(service)
}

/// Whether all that a service keeps belongs together, so that a part of its folder is of no use by itself.
pub fn is_one_database(kind: Kind) -> bool {
    spec(kind).is_one_database
}

/// The folders that the image of a service declares as volumes, when that is known by its kind and tag.
pub fn declared(service: &Service) -> Option<Vec<String>> {
    (spec(service.kind).declared)(service)
}

/// Whether a service keeps its data where it is configured to, so that this can be another place than its image's.
pub fn is_movable(service: &Service) -> bool {
    (spec(service.kind).is_movable)(service)
}

/// Tells a service of which that is true where to keep its data.
pub fn move_data(service: &mut Service, to: &str) {
    (spec(service.kind).move_data)(service, to);
}

#[cfg(test)]
mod tests;

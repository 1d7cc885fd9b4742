//! What is special about a service: how it is probed, reached, stopped and explained. One file a kind.
//! Pure: what is asked over the network is `run::probe`'s.

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

use std::time::Duration;

use arguments::Arguments;

use crate::diag::ErrorKind;
use crate::model::PublishedPort;
use crate::model::{Endpoint, Failure};
use crate::model::{Kind, Probe, Service, Stack};

pub use arguments::{Files, Given};
pub use clients::{Client, client};
pub use databases::may_hold_database;
pub use endpoints::{Url, postgres_url};
pub use exports::{Variable, variables, variables_with};
pub use redis::Login;

/// What a kind sets where services.toml is silent.
#[derive(Debug, Clone, PartialEq)]
pub struct Defaults {
    /// Image, for kinds that are one product.
    pub image: Option<&'static str>,
    /// How long until it is given up.
    pub ready_timeout: Duration,
    /// Time to stop by itself before it is killed.
    pub stop_timeout: Duration,
    /// The same while it is visibly still at work.
    pub stop_limit: Duration,
    /// It is a server that others leave data with, and saves it when it is asked to stop.
    pub keeps_data: bool,
    /// Where it keeps its data, inside.
    pub data_path: Option<&'static str>,
    /// Takes about a second or more from its start to being ready, so that others are better started after it.
    pub slow_start: bool,
}

impl Defaults {
    /// Of something of which nothing is known.
    const UNKNOWN: Self = Self {
        image: None,
        ready_timeout: Duration::from_secs(60),
        // Docker's own.
        stop_timeout: Duration::from_secs(10),
        stop_limit: Duration::from_secs(10),
        keeps_data: false,
        data_path: None,
        slow_start: false,
    };

    /// Of a server with data: how long it saves depends on how much there is. One that is done sooner stops sooner.
    const KEEPS_DATA: Self = Self {
        stop_timeout: Duration::from_secs(60),
        stop_limit: Duration::from_secs(300),
        keeps_data: true,
        ..Self::UNKNOWN
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

/// How a service of this kind is asked whether it is ready, from what it is given.
pub fn probe(kind: Kind, given: Given<'_>) -> Probe {
    of_arguments(kind, &Arguments::new(given))
}

fn of_arguments(kind: Kind, arguments: &Arguments<'_>) -> Probe {
    match kind {
        Kind::Postgres => postgres::probe(arguments),
        Kind::Redis => redis::probe(arguments),
        Kind::Localstack => localstack::probe(arguments),
        Kind::Mailhog => mailhog::probe(arguments),
        Kind::Mailpit => mailpit::probe(arguments),
        Kind::Ministack => ministack::probe(arguments),
        Kind::Generic => Probe::Auto,
        Kind::Job => Probe::Exit,
    }
}

/// The files inside that hold settings and were not read yet.
pub fn files(kind: Kind, given: Given<'_>) -> Vec<String> {
    let arguments = Arguments::new(given);
    of_arguments(kind, &arguments);
    logins_of(kind, &arguments);
    arguments.wanted()
}

/// Whom a server of this kind may let in besides the login of its probe, the likeliest first.
pub fn logins(kind: Kind, given: Given<'_>) -> Vec<Login> {
    logins_of(kind, &Arguments::new(given))
}

fn logins_of(kind: Kind, arguments: &Arguments<'_>) -> Vec<Login> {
    match kind {
        Kind::Redis => redis::logins(arguments),
        _ => Vec::new(),
    }
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
    match service.kind {
        Kind::Postgres => postgres::refuse(service, image_env),
        _ => None,
    }
}

/// Adds the likely reason and what to do next to a failure, where it is a known one. A reason that is there stays.
pub fn explain(stack: &Stack, service: &Service, failure: &mut Failure) {
    if failure.reason.is_some() {
        return;
    }
    let own = match failure.kind {
        ErrorKind::Image => return failures::explain(failures::IMAGE, stack, service, failure),
        ErrorKind::Crashed | ErrorKind::NotReady | ErrorKind::Other | ErrorKind::Usage => known(service.kind),
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

fn known(kind: Kind) -> &'static [failures::Known] {
    match kind {
        Kind::Postgres => postgres::KNOWN,
        Kind::Redis => redis::KNOWN,
        Kind::Localstack => localstack::KNOWN,
        Kind::Mailhog => mailhog::KNOWN,
        Kind::Generic => generic::KNOWN,
        Kind::Mailpit | Kind::Ministack | Kind::Job => &[],
    }
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

/// Where a service keeps its data, inside. An image can say so too: see `Observed::on_image`.
pub fn data_path(service: &Service) -> Option<String> {
    let moved = match service.kind {
        Kind::Postgres => service.env.get("PGDATA").map(|env| env.value.clone()),
        Kind::Ministack => ministack::data_path(service),
        _ => None,
    };
    moved.or_else(|| defaults(service.kind).data_path.map(Into::into))
}

/// The same; none where it is not known for sure, by a variable or the image's tag.
pub fn known_data_path(service: &Service) -> Option<String> {
    match service.kind {
        Kind::Postgres => postgres::known_data_path(service),
        Kind::Redis => redis::known_data_path(service),
        Kind::Localstack if service.entrypoint.is_none() => data_path(service),
        Kind::Ministack if ministack::is_kept(service) => data_path(service),
        _ => None,
    }
}

/// Whether all that a service keeps belongs together, so that a part of its folder is of no use by itself.
pub fn is_one_database(kind: Kind) -> bool {
    matches!(kind, Kind::Postgres | Kind::Redis)
}

/// The folders that the image of a service declares as volumes, when that is known by its kind and tag.
pub fn declared(service: &Service) -> Option<Vec<String>> {
    match service.kind {
        Kind::Postgres => postgres::declared(service),
        Kind::Redis | Kind::Localstack if service.build.is_none() => {
            defaults(service.kind).data_path.map(|path| vec![path.into()])
        }
        Kind::Ministack if service.build.is_none() => Some(Vec::new()),
        _ => None,
    }
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

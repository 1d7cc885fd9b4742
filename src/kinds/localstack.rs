//! LocalStack, community edition.

use std::time::Duration;

use super::Defaults;
use super::arguments::Arguments;
use crate::model::Probe;

pub(super) const DEFAULTS: Defaults = Defaults {
    // The last version that runs without an account.
    image: Some("localstack/localstack:4.14.0"),
    ready_timeout: Duration::from_secs(120),
    stop_timeout: Duration::from_secs(3),
    data_path: Some("/var/lib/localstack"),
};

pub(super) fn probe(arguments: &Arguments<'_>) -> Probe {
    // It may listen on several; the first is as good as any.
    let listen = arguments.env("GATEWAY_LISTEN").and_then(|listen| listen.split(',').next());
    Probe::Localstack { port: Arguments::port(listen).unwrap_or(4566) }
}

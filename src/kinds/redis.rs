//! Redis. The official image reads no variables: what is configured is in the command.

use std::time::Duration;

use super::Defaults;
use super::arguments::Arguments;
use crate::model::Probe;

pub(super) const DEFAULTS: Defaults = Defaults {
    image: Some("redis:7-alpine"),
    stop_timeout: Duration::from_secs(2),
    data_path: Some("/data"),
    ..Defaults::UNKNOWN
};

pub(super) fn probe(arguments: &Arguments<'_>) -> Probe {
    Probe::Redis {
        port: Arguments::port(arguments.flag(&["--port"])).unwrap_or(6379),
        password: arguments.flag(&["--requirepass"]).map(Into::into),
    }
}

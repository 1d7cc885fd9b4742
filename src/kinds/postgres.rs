//! PostgreSQL, as the official image configures it.

use std::time::Duration;

use super::Defaults;
use super::arguments::Arguments;
use crate::model::Probe;

pub(super) const DEFAULTS: Defaults = Defaults {
    image: Some("postgres:15-alpine"),
    // A fast shutdown writes a checkpoint; killing it before that costs a recovery at the next start.
    stop_timeout: Duration::from_secs(5),
    data_path: Some("/var/lib/postgresql/data"),
    ..Defaults::UNKNOWN
};

pub(super) fn probe(arguments: &Arguments<'_>) -> Probe {
    let setting = arguments.flags(&["-c"]).filter_map(|setting| setting.strip_prefix("port=")).last();
    let port = arguments.flag(&["-p", "--port"]).or(setting).or(arguments.env("PGPORT"));
    let user = arguments.env("POSTGRES_USER").unwrap_or("postgres");
    Probe::Postgres {
        port: Arguments::port(port).unwrap_or(5432),
        user: user.into(),
        // One given as a file stays unknown: being asked for it is then the answer.
        password: arguments.env("POSTGRES_PASSWORD").map(Into::into),
        database: arguments.env("POSTGRES_DB").unwrap_or(user).into(),
    }
}

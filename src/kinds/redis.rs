//! Redis. The official image reads no variables: what is configured is in the command.

use super::Defaults;
use super::arguments::Arguments;
use super::failures::{Known, Sign};
use crate::model::{Probe, Service};

pub(super) const DEFAULTS: Defaults =
    Defaults { image: Some("redis:7-alpine"), data_path: Some("/data"), ..Defaults::KEEPS_DATA };

pub(super) fn probe(arguments: &Arguments<'_>) -> Probe {
    Probe::Redis {
        port: Arguments::port(arguments.flag(&["--port"])).unwrap_or(6379),
        password: arguments.flag(&["--requirepass"]).map(Into::into),
    }
}

/// The server keeps its data in the folder it is started in, unless it is told otherwise.
pub(super) fn is_movable(service: &Service) -> bool {
    let elsewhere = |word: &String| word == "--dir" || word.ends_with(".conf");
    service.working_dir.is_none() && !service.command.iter().flatten().any(elsewhere)
}

/// Where it keeps its data; none when that is not known for sure.
pub(super) fn data_path_in(service: &Service) -> Option<String> {
    let arguments = Arguments::new(&service.env, service.command.as_deref());
    let file = service.command.iter().flatten().any(|word| word.ends_with(".conf"));
    match arguments.flag(&["--dir"]) {
        Some(path) if path.starts_with('/') => Some(path.into()),
        None if !file && service.entrypoint.is_none() => {
            service.working_dir.clone().or_else(|| DEFAULTS.data_path.map(Into::into))
        }
        _ => None,
    }
}

pub(super) const KNOWN: &[Known] = &[
    Known {
        sign: Sign::Line(&["can't handle rdb format version"]),
        reason: "the data was made by a newer Redis than {image}",
        next: "go back to the newer image; or start on fresh data: {reset}",
    },
    Known {
        sign: Sign::Line(&["bad file format reading the append only file"]),
        reason: "the append-only file is damaged",
        next: "repair it with `redis-check-aof --fix` in a container on the same volume; or start on fresh data: {reset}",
    },
    Known {
        sign: Sign::Line(&["wrong signature trying to load db"]),
        reason: "dump.rdb is no Redis data",
        next: "remove the file; or start on fresh data: {reset}",
    },
    Known {
        sign: Sign::Line(&["fatal error loading the db"]),
        reason: "the data is damaged",
        next: "restore a copy, if there is one; or start on fresh data: {reset}",
    },
    Known {
        sign: Sign::Line(&["bad directive or wrong number of arguments"]),
        reason: "a setting is not one of this Redis version",
        next: "edit `command` of services.{service}",
    },
    Known {
        sign: Sign::Line(&["fatal config file error"]),
        reason: "a setting has a value that Redis does not take",
        next: "edit `command` of services.{service}",
    },
    Known {
        sign: Sign::Answer("MISCONF"),
        reason: "it can't save its data: the disk is full, or /data belongs to another user",
        next: "taskava dev logs {service}",
    },
    Known {
        sign: Sign::Answer("WRONGPASS"),
        reason: "it has another password than the one that is configured",
        next: "make `ready.redis` and `--requirepass` of services.{service} the same",
    },
    Known {
        sign: Sign::Answer("ERR AUTH"),
        reason: "a password is configured, but the server has none",
        next: "add `--requirepass` to `command` of services.{service}",
    },
    Known {
        sign: Sign::Answer("DENIED"),
        reason: "it is in protected mode: without a password it serves only its own container",
        next: "add `--protected-mode no` to `command` of services.{service}",
    },
];

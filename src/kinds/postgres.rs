//! PostgreSQL, as the official image configures it.

use super::arguments::{Arguments, Setting};
use super::failures::{FULL_DISK, FailurePattern, Matcher};
use super::spec::{Defaults, KindSpec};
use crate::model::reference::Reference;
use crate::model::{EnvValue, Probe, Service};

/// Where the image keeps its data, before version 18.
const DATA: &str = "/var/lib/postgresql/data";

pub(super) const SPEC: KindSpec = KindSpec {
    defaults: Defaults {
        image: Some("postgres:15-alpine"),
        data_path: Some(DATA),
        slow_start: true,
        ..Defaults::KEEPS_DATA
    },
    probe,
    refuse,
    failures: KNOWN,
    is_probe_noise: |line| line.contains("FATAL:  the database system is starting up"),
    moved_data_path: |service| service.env.get("PGDATA").map(|env| env.value.clone()),
    known_data_path,
    is_one_database: true,
    declared,
    is_movable,
    move_data,
    ..KindSpec::GENERIC
};

fn probe(arguments: &Arguments<'_>) -> Probe {
    let setting = |name: &str| {
        let values = arguments.flags(&["-c"]).filter_map(|setting| setting.split_once('='));
        values.filter(|(found, _)| *found == name).map(|(_, value)| value).last()
    };
    let config = setting("config_file").or(arguments.flag(&["--config_file", "--config-file"]));
    let configured = config.and_then(|path| configured_port(arguments.file(path)?));
    let port = arguments.flag(&["-p", "--port"]).or(setting("port")).or(configured).or(arguments.env("PGPORT"));
    let user = match arguments.env_or_file("POSTGRES_USER") {
        Setting::Unset => Some("postgres".to_owned()),
        user => user.known(),
    };
    let database = match arguments.env_or_file("POSTGRES_DB") {
        Setting::Unset => user.clone(),
        database => database.known(),
    };
    Probe::Postgres {
        port: Arguments::port(port).unwrap_or(5432),
        user,
        // One that is not known: being asked for it is then the answer.
        password: arguments.env_or_file("POSTGRES_PASSWORD").known(),
        database,
        tls: false,
    }
}

/// `port` of a postgresql.conf; the last one counts.
fn configured_port(text: &str) -> Option<&str> {
    text.lines().rev().find_map(|line| {
        let rest = line.trim_start().strip_prefix("port")?.trim_start_matches([' ', '\t', '=', '\'']);
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

/// The image's entrypoint makes PGDATA and hands it to the server, unless it is configured otherwise.
fn is_movable(service: &Service) -> bool {
    let elsewhere = |word: &String| word == "-D" || word.contains("data_directory") || word.contains("config_file");
    !service.command.iter().flatten().any(elsewhere) && !service.env.contains_key("POSTGRES_INITDB_WALDIR")
}

fn move_data(service: &mut Service, to: &str) {
    let value = EnvValue { value: to.into(), origin: vec!["prepared data".into()], secret: false };
    service.env.insert("PGDATA".into(), value);
}

/// The first major version whose image keeps its data in `/var/lib/postgresql/MAJOR/docker`.
const DATA_MOVED: u32 = 18;

/// The major version in the tag of an image.
fn tagged(service: &Service) -> Option<u32> {
    let tag = Reference::of(&service.image).tag?;
    let digits = tag.find(|c: char| !c.is_ascii_digit()).unwrap_or(tag.len());
    tag[..digits].parse().ok().filter(|_| service.build.is_none())
}

/// Where it keeps its data; none when nothing says so.
fn known_data_path(service: &Service) -> Option<String> {
    let given = service.env.get("PGDATA").map(|env| env.value.clone());
    if !is_movable(service) {
        return None;
    }
    given.or_else(|| match tagged(service)? {
        major @ DATA_MOVED.. => Some(format!("/var/lib/postgresql/{major}/docker")),
        _ => Some(DATA.into()),
    })
}

/// The folder that the official image declares as a volume.
fn declared(service: &Service) -> Option<Vec<String>> {
    let path = if tagged(service)? < DATA_MOVED { DATA } else { "/var/lib/postgresql" };
    Some(vec![path.into()])
}

/// A mount where images of older versions kept their data stays empty with a newer one, and its entrypoint only says so
/// when there is data in it.
fn refuse(service: &Service, image_env: &[String]) -> Option<String> {
    let of_image = |name: &str| image_env.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let major: u32 = of_image("PG_MAJOR")?.parse().ok()?;
    if major < DATA_MOVED || service.env.contains_key("PGDATA") {
        return None;
    }
    let kept = of_image("PGDATA").unwrap_or("/var/lib/postgresql/MAJOR/docker");
    let mount = service.mounts.iter().find(|mount| mount.target.trim_end_matches('/') == DATA)?;
    let place = mount.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    Some(format!("PostgreSQL {major} keeps its data in {kept}, but the volume is mounted at {}{place}", mount.target))
}

const MOVED: &str = "from version 18 on the image keeps its data elsewhere";
const MOUNT_HIGHER: &str = "mount the volume of services.{service} at /var/lib/postgresql; data of an older version is carried over with pg_dump";
const ANOTHER_VERSION: &str =
    "go back to the old image and save the data with pg_dump; or start on fresh data: {reset}";
const INIT_SCRIPT: &str = "it came no further than an init script: {line}";
const CORRECT_SCRIPT: &str =
    "correct the script, or raise `ready.timeout` of services.{service}; then start on fresh data: {reset}";
const CR_LF: &str =
    "an init script has Windows line ends (CR LF), or its `#!` line names a program that is not there: {line}";
const CONVERT: &str =
    "convert its line ends (`dos2unix`, `*.sh text eol=lf` in .gitattributes); then start on fresh data: {reset}";
const OTHER_CREDENTIALS: &str =
    "the data was created with other credentials than those in services.toml, which only apply to an empty volume";

/// Inside the container the image accepts every login: no data has to be removed to set a new password.
const PASSWORD: &str = "restore the old password; or set the new one in the database, with `\\password` in: taskava dev connect {service}; or start on fresh data: {reset}";

const KNOWN: &[FailurePattern] = &[
    FULL_DISK,
    FailurePattern {
        sign: Matcher::Line(&["superuser password is not specified"]),
        reason: "PostgreSQL does not create a database without a superuser password",
        next: "set `env.POSTGRES_PASSWORD` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["the data directory was initialized by postgresql version"]),
        reason: "the data was created by another major version: {line}",
        next: ANOTHER_VERSION,
    },
    FailurePattern {
        sign: Matcher::Line(&["database files are incompatible with server"]),
        reason: "the data was created by another major version of PostgreSQL",
        next: ANOTHER_VERSION,
    },
    FailurePattern {
        sign: Matcher::Line(&["counter to that, there appears to be postgresql data in"]),
        reason: MOVED,
        next: MOUNT_HIGHER,
    },
    FailurePattern {
        sign: Matcher::Line(&["keeps its data in", "but the volume is mounted at"]),
        reason: MOVED,
        next: MOUNT_HIGHER,
    },
    FailurePattern {
        sign: Matcher::Line(&["psql:/docker-entrypoint-initdb.d/", "error"]),
        reason: "an init script failed: {line}",
        next: "correct the script, then start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["/docker-entrypoint-initdb.d/", "required file not found"]),
        reason: CR_LF,
        next: CONVERT,
    },
    FailurePattern {
        sign: Matcher::Line(&["/docker-entrypoint-initdb.d/", "bad interpreter"]),
        reason: CR_LF,
        next: CONVERT,
    },
    FailurePattern { sign: Matcher::Line(&["/docker-entrypoint-initdb.d/", "\\r"]), reason: CR_LF, next: CONVERT },
    FailurePattern {
        sign: Matcher::EndedBetween("sourcing /docker-entrypoint-initdb.d/", "init process complete"),
        reason: "an init script that may not be executed is read by the image's own script, and its `exit` ended that: {line}",
        next: "chmod +x the script, or end it without `exit`; then start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Between("sourcing /docker-entrypoint-initdb.d/", "init process complete"),
        reason: INIT_SCRIPT,
        next: CORRECT_SCRIPT,
    },
    FailurePattern {
        sign: Matcher::Between("running /docker-entrypoint-initdb.d/", "init process complete"),
        reason: INIT_SCRIPT,
        next: CORRECT_SCRIPT,
    },
    FailurePattern {
        sign: Matcher::StillBetween("files belonging to this database system", "init process complete"),
        reason: "its first boot is not over yet",
        next: "give it more time, `ready.timeout` of services.{service}, then: taskava dev up {service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["could not access the server configuration file"]),
        reason: "the first start was interrupted: the data is incomplete",
        next: "start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["error: directory", "exists but is not empty"]),
        reason: "there are files in the data directory that are not a database",
        next: "mount the volume one level higher, with `env.PGDATA` a folder in it; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["lock file", "postmaster.pid"]),
        reason: "another server is running on the same data, or was a moment ago",
        next: "stop what else uses the volume, then: taskava dev up {service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["data directory", "has wrong ownership"]),
        reason: "the data belongs to another user than the one PostgreSQL runs as",
        next: "remove `user` of services.{service}; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["could not change permissions of directory"]),
        reason: "the data belongs to another user than the one PostgreSQL runs as",
        next: "remove `user` of services.{service}; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["/var/lib/postgresql", "permission denied"]),
        reason: "PostgreSQL may not use its data directory",
        next: "remove `user` of services.{service}; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["could not locate a valid checkpoint record"]),
        reason: "the data is damaged",
        next: "restore a backup, if there is one; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["could not resize shared memory segment"]),
        reason: "it has too little shared memory",
        next: "set `shm_size = \"256m\"` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["unrecognized configuration parameter"]),
        reason: "a setting is not one of this PostgreSQL version: {line}",
        next: "edit `command` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["requires a value"]),
        reason: "a flag is not one of PostgreSQL's: {line}",
        next: "edit `command` of services.{service}",
    },
    // The message may be in any language; its code is not, nor is the name of the file.
    FailurePattern {
        sign: Matcher::Answer("pg_hba.conf"),
        reason: "pg_hba.conf in the data allows no login from outside the container",
        next: "add `host all all all scram-sha-256` to it, then: taskava dev restart {service}",
    },
    FailurePattern { sign: Matcher::Answer("(SQLSTATE 28P01)"), reason: OTHER_CREDENTIALS, next: PASSWORD },
    FailurePattern {
        sign: Matcher::Answer("(SQLSTATE 28000)"),
        reason: OTHER_CREDENTIALS,
        next: "restore the old `env.POSTGRES_USER`; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Answer("(SQLSTATE 3D000)"),
        reason: "the data was created for another database; the one in services.toml only applies to an empty volume",
        next: "restore the old `env.POSTGRES_DB`, or create the new database: taskava dev exec {service} createdb -U USER NAME; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Answer("(SQLSTATE 53300)"),
        reason: "all connections are in use",
        next: "add `-c max_connections=200` to `command` of services.{service}",
    },
];

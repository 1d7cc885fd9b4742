//! Redis. The official image reads no variables: its configuration is in the command.

use super::Given;
use super::arguments::Arguments;
use super::failures::{FailurePattern, Matcher};
use super::spec::{Defaults, KindSpec};
use crate::config::scalars::words;
use crate::model::{Probe, Service};

/// Where the image keeps its data.
const DATA: &str = "/data";

pub(super) const SPEC: KindSpec = KindSpec {
    defaults: Defaults { image: Some("redis:7-alpine"), data_path: Some(DATA), ..Defaults::KEEPS_DATA },
    probe,
    logins,
    failures: KNOWN,
    known_data_path,
    is_one_database: true,
    declared: |service| service.build.is_none().then(|| vec![DATA.into()]),
    is_movable,
    move_data: |service, to| service.working_dir = Some(to.into()),
    ..KindSpec::GENERIC
};

fn probe(arguments: &Arguments<'_>) -> Probe {
    let settings = Settings::of(arguments);
    let number = |name: &str| settings.last(name).and_then(|port| port.parse::<u16>().ok());
    let (plain, secure) = (number("port"), number("tls-port").filter(|port| *port > 0));
    let (port, tls) = match (plain, secure) {
        (Some(0), Some(secure)) => (secure, true),
        (plain, _) => (plain.unwrap_or(6379), false),
    };
    let Login { user, password } = settings.logins().into_iter().next().unwrap_or_default();
    Probe::Redis { port, user, password, tls, socket: settings.last("unixsocket").map(Into::into) }
}

/// Whom a server may let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// User; none = the default one.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
}

impl Login {
    fn password(password: &str) -> Self {
        Self { user: None, password: Some(password.into()) }
    }
}

/// Variables that images around Redis take a password from; the official one takes none.
const PASSWORDS: [&str; 5] = ["REDIS_PASSWORD", "VALKEY_PASSWORD", "KEYDB_PASSWORD", "REDISCLI_AUTH", "VALKEYCLI_AUTH"];

/// Whom the server may let in, the likeliest first: the server says which of them it does.
fn logins(arguments: &Arguments<'_>) -> Vec<Login> {
    let mut found = Settings::of(arguments).logins();
    for name in PASSWORDS {
        found.extend(arguments.env_or_file(name).known().as_deref().map(Login::password));
    }
    found
}

/// The settings of the configuration files and of the command, in the order in which they count.
struct Settings<'a>(Vec<Vec<&'a str>>, Vec<Vec<String>>);

/// So many files of files are read.
const DEPTH: usize = 4;

impl<'a> Settings<'a> {
    fn of(arguments: &'a Arguments<'_>) -> Self {
        let (mut given, mut lines): (Vec<Vec<&str>>, Vec<Vec<String>>) = Default::default();
        let config = arguments.words().iter().take_while(|word| !word.text.starts_with("--"));
        if let Some(config) = config.into_iter().find(|word| word.known && word.text.ends_with(".conf")) {
            read(arguments, &in_data(&config.text), &mut lines, DEPTH);
        }
        for word in arguments.words() {
            match (word.text.strip_prefix("--"), given.last_mut()) {
                (Some(name), _) if !name.is_empty() => given.push(vec![name]),
                (None, _) if word.text == ";" => given.push(Vec::new()),
                // What only the shell inside knows ends it: an empty value is none.
                (_, Some(setting)) => setting.push(if word.known { &word.text } else { "" }),
                (_, None) => {}
            }
        }
        given.retain(|setting| setting.len() > 1);
        let acl = lines.iter().map(|line| line.iter().map(String::as_str).collect()).chain(given.iter().cloned());
        let acl: Vec<Vec<&str>> = acl.filter(|setting: &Vec<&str>| setting[0] == "aclfile").collect();
        let paths: Vec<String> = acl.iter().filter_map(|setting| Some(in_data(setting.get(1)?))).collect();
        for path in paths {
            read(arguments, &path, &mut lines, 0);
        }
        Self(given, lines)
    }

    /// All of them, those of the command last.
    fn all(&self) -> impl DoubleEndedIterator<Item = Vec<&str>> {
        let lines = self.1.iter().map(|line| line.iter().map(String::as_str).collect::<Vec<_>>());
        lines.chain(self.0.iter().cloned())
    }

    fn last(&self, name: &str) -> Option<&str> {
        let of_command = self.0.iter().rev().find(|setting| setting[0] == name).map(|setting| setting[1]);
        let of_file = || Some(self.1.iter().rev().find(|line| line[0].eq_ignore_ascii_case(name))?.get(1)?.as_str());
        of_command.or_else(of_file).filter(|value| !value.is_empty())
    }

    fn logins(&self) -> Vec<Login> {
        let mut found: Vec<Login> = self.last("requirepass").map(Login::password).into_iter().collect();
        for setting in self.all().filter(|setting| setting[0] == "user") {
            let [_, name, rules @ ..] = &setting[..] else { continue };
            let password = rules.iter().rev().find_map(|rule| rule.strip_prefix('>'));
            let Some(password) = password.filter(|password| !password.is_empty() && rules.contains(&"on")) else {
                continue;
            };
            let login =
                Login { user: Some((*name).into()).filter(|name| name != "default"), ..Login::password(password) };
            // Who may do everything first.
            let all = rules.iter().any(|rule| matches!(*rule, "+@all" | "allcommands"));
            if all && found.first().is_none_or(|first| first.user.is_some()) {
                found.insert(0, login);
            } else {
                found.push(login);
            }
        }
        found
    }
}

/// Settings of a file and of those it includes.
fn read(arguments: &Arguments<'_>, path: &str, lines: &mut Vec<Vec<String>>, depth: usize) {
    for line in arguments.file(path).unwrap_or_default().lines().filter(|line| !line.trim_start().starts_with('#')) {
        let words = words(line).unwrap_or_default();
        match &words[..] {
            [name, path] if name.eq_ignore_ascii_case("include") && depth > 0 => {
                read(arguments, &in_data(path), lines, depth - 1);
            }
            [] => {}
            _ => lines.push(words),
        }
    }
}

/// A path of a setting: the server is started where its data is.
fn in_data(path: &str) -> String {
    if path.starts_with('/') { path.into() } else { format!("/data/{path}") }
}

/// The server keeps its data in the folder it is started in, unless it is configured otherwise.
fn is_movable(service: &Service) -> bool {
    let elsewhere = |word: &String| word == "--dir" || word.ends_with(".conf");
    service.working_dir.is_none() && !service.command.iter().flatten().any(elsewhere)
}

/// Where it keeps its data; none when that is not known for sure.
fn known_data_path(service: &Service) -> Option<String> {
    let arguments =
        Arguments::new(Given::declared(&service.env, service.entrypoint.as_deref(), service.command.as_deref()));
    let file = service.command.iter().flatten().any(|word| word.ends_with(".conf"));
    match arguments.flag(&["--dir"]) {
        Some(path) if path.starts_with('/') => Some(path.into()),
        None if !file && service.entrypoint.is_none() => service.working_dir.clone().or_else(|| Some(DATA.into())),
        _ => None,
    }
}

const KNOWN: &[FailurePattern] = &[
    FailurePattern {
        sign: Matcher::Line(&["can't handle rdb format version"]),
        reason: "the data was created by a newer Redis than {image}",
        next: "go back to the newer image; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["bad file format reading the append only file"]),
        reason: "the append-only file is damaged",
        next: "repair it with `redis-check-aof --fix` in a container on the same volume; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["wrong signature trying to load db"]),
        reason: "dump.rdb is not Redis data",
        next: "remove the file; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["fatal error loading the db"]),
        reason: "the data is damaged",
        next: "restore a backup, if there is one; or start on fresh data: {reset}",
    },
    FailurePattern {
        sign: Matcher::Line(&["bad directive or wrong number of arguments"]),
        reason: "a setting is not one of this Redis version",
        next: "edit `command` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Line(&["fatal config file error"]),
        reason: "a setting has a value that Redis does not take",
        next: "edit `command` of services.{service}",
    },
    FailurePattern {
        sign: Matcher::Answer("MISCONF"),
        reason: "it can't save its data: the disk is full, or /data belongs to another user",
        next: "taskava dev logs {service}",
    },
    FailurePattern {
        sign: Matcher::Answer("DENIED"),
        reason: "it is in protected mode: without a password it serves only its own container",
        next: "add `--protected-mode no` to `command` of services.{service}",
    },
];

//! The variables an application finds the stack by: `DATABASE_URL`, `REDIS_URL`, `AWS_ENDPOINT_URL`, …
//!
//! Each service has `NAME_URL`, `NAME_HOST` and `NAME_PORT`; the first of its kind also the names that clients of that kind
//! read by themselves. `exports` in services.toml replaces all of a service's own. Where a port can be reached is the
//! caller's: from the host it is the published one, inside the stack's network the service's name.

use std::fmt::Write as _;

use super::endpoints::{Passwords, form};
use crate::model::secret::is_secret_name;
use crate::model::{Kind, Probe, Protocol, Service, ServiceName, Stack};

/// Account and keys of every emulator: they take any, and clients insist on some.
const EMULATOR_KEY: &str = "test";

/// A variable for the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, passwords in clear text.
    pub value: String,
    /// Masked when shown to people.
    pub secret: bool,
    /// The service it leads to.
    pub service: ServiceName,
}

/// Host and port where a TCP port of a service can be reached; none where it can't.
type Reach<'a> = &'a dyn Fn(&Service, u16) -> Option<(String, u16)>;

/// The variables of a stack's active services, each name once, in the order of the file. `reach`: host and port where a
/// TCP port of a service can be reached; none where it can't, and then what needs it is left out.
pub fn variables(stack: &Stack, reach: impl Fn(&Service, u16) -> Option<(String, u16)>) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    let active = || stack.services.values().filter(|service| service.active);
    let declared = active().flat_map(|service| declared(service, &reach));
    let named = active().flat_map(|service| named(service, &reach));
    let usual = active().flat_map(|service| usual(service, &reach));
    // What the user declared wins over what a kind has by itself, and a service's own names over those shared by a kind.
    for variable in declared.chain(named).chain(usual) {
        if found.iter().all(|other| other.name != variable.name) {
            found.push(variable);
        }
    }
    let order = |variable: &Variable| stack.services.get_index_of(&variable.service);
    found.sort_by_key(order);
    found
}

/// What `exports` says.
fn declared(service: &Service, reach: Reach<'_>) -> Vec<Variable> {
    let filled = |(name, template): (&String, &String)| {
        let value = fill(template, service, reach)?;
        Some(Variable { secret: is_secret(name, &value), name: name.clone(), value, service: service.name.clone() })
    };
    service.exports.iter().filter_map(filled).collect()
}

/// Fills `${host}`, `${port}` (the first port) and `${port.5432}` in.
fn fill(template: &str, service: &Service, reach: Reach<'_>) -> Option<String> {
    let first = main_port(service);
    let (mut filled, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        match name.split_once('.') {
            None if name == "host" => filled.push_str(&reach(service, first?)?.0),
            None if name == "port" => filled.push_str(&reach(service, first?)?.1.to_string()),
            Some(("port", port)) => filled.push_str(&reach(service, port.parse().ok()?)?.1.to_string()),
            _ => return None,
        }
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// `POSTGRES_URL`, `POSTGRES_HOST`, `POSTGRES_PORT`; further ports as `MAILHOG_PORT_1025`.
fn named(service: &Service, reach: Reach<'_>) -> Vec<Variable> {
    let mut found = Vec::new();
    let Some(main) = main_port(service).filter(|_| service.exports.is_empty() && service.kind != Kind::Job) else {
        return found;
    };
    let prefix = service.name.as_str().to_ascii_uppercase().replace(['-', '.'], "_");
    let mut add = |suffix: &str, value: String| {
        let name = format!("{prefix}_{suffix}");
        found.push(Variable { secret: is_secret(&name, &value), name, value, service: service.name.clone() });
    };
    if let Some((host, port)) = reach(service, main) {
        let form = form(service, main, Protocol::Tcp, Passwords::Shown);
        if form.has_scheme() {
            add("URL", form.url(&authority(&host, port)));
        }
        add("HOST", host);
        add("PORT", port.to_string());
    }
    for other in tcp_ports(service).filter(|other| *other != main) {
        if let Some((_, port)) = reach(service, other) {
            add(&format!("PORT_{other}"), port.to_string());
        }
    }
    found
}

/// The names that clients of a kind read by themselves.
fn usual(service: &Service, reach: Reach<'_>) -> Vec<Variable> {
    if !service.exports.is_empty() {
        return Vec::new();
    }
    let at = |port: u16| reach(service, port).map(|(host, port)| (authority(&host, port), host, port));
    let url = |port: u16, authority: &str| form(service, port, Protocol::Tcp, Passwords::Shown).url(authority);
    let pairs: Vec<(&str, String)> = match super::probe(service.kind, &service.env, service.command.as_deref()) {
        Probe::Postgres { port, user, password, database } => {
            at(port).map_or_else(Vec::new, |(authority, host, at)| {
                let mut pairs = vec![
                    ("DATABASE_URL", url(port, &authority)),
                    ("PGHOST", host),
                    ("PGPORT", at.to_string()),
                    ("PGUSER", user),
                    ("PGDATABASE", database),
                ];
                pairs.extend(password.map(|password| ("PGPASSWORD", password)));
                pairs
            })
        }
        Probe::Redis { port, .. } => {
            at(port).into_iter().map(|(authority, ..)| ("REDIS_URL", url(port, &authority))).collect()
        }
        Probe::Localstack { port } | Probe::Ministack { port } => {
            at(port).map_or_else(Vec::new, |(authority, ..)| emulator(service, &format!("http://{authority}")))
        }
        Probe::Mail { http, smtp, .. } => {
            let smtp = at(smtp).map(|(authority, host, port)| {
                [("SMTP_URL", format!("smtp://{authority}")), ("SMTP_HOST", host), ("SMTP_PORT", port.to_string())]
            });
            let http = at(http).map(|(authority, ..)| ("MAIL_URL", format!("http://{authority}")));
            smtp.into_iter().flatten().chain(http).collect()
        }
        _ => Vec::new(),
    };
    let variable = |(name, value): (&str, String)| Variable {
        secret: is_secret(name, &value) && value != EMULATOR_KEY,
        name: name.into(),
        value,
        service: service.name.clone(),
    };
    pairs.into_iter().map(variable).collect()
}

/// What the SDKs and the CLI of AWS read.
fn emulator(service: &Service, url: &str) -> Vec<(&'static str, String)> {
    let of_service = ["AWS_DEFAULT_REGION", "AWS_REGION"].iter().find_map(|name| service.env.get(*name));
    let region = of_service.map_or("us-east-1", |region| region.value.as_str());
    vec![
        ("AWS_ENDPOINT_URL", url.into()),
        ("AWS_ACCESS_KEY_ID", EMULATOR_KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", EMULATOR_KEY.into()),
        ("AWS_REGION", region.into()),
        ("AWS_DEFAULT_REGION", region.into()),
    ]
}

/// Passwords hide in URLs too.
fn is_secret(name: &str, value: &str) -> bool {
    is_secret_name(name) || matches!(crate::model::secret::mask_urls(value), std::borrow::Cow::Owned(_))
}

/// The port one means when one says only the service's name: what its kind speaks on, else the first published one.
fn main_port(service: &Service) -> Option<u16> {
    match super::probe(service.kind, &service.env, service.command.as_deref()) {
        Probe::Postgres { port, .. }
        | Probe::Redis { port, .. }
        | Probe::Localstack { port }
        | Probe::Ministack { port } => Some(port),
        Probe::Mail { http, .. } => Some(http),
        _ => tcp_ports(service).next(),
    }
}

fn tcp_ports(service: &Service) -> impl Iterator<Item = u16> {
    service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.container)
}

fn authority(host: &str, port: u16) -> String {
    let mut text = String::new();
    let _ = if host.contains(':') { write!(text, "[{host}]:{port}") } else { write!(text, "{host}:{port}") };
    text
}

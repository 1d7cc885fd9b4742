//! The variables through which an application finds the stack: `DATABASE_URL`, `REDIS_URL`, `AWS_ENDPOINT_URL`, …
//!
//! Each service has `NAME_URL`, `NAME_HOST` and `NAME_PORT`; the first of its kind also the names that clients of that
//! kind read themselves. `exports` in services.toml replaces all of them for a service. Where a port can be reached is
//! up to the caller: from the host it is the published port, inside the stack's network the service's name.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::endpoints::{Passwords, SSL_MODE, form};
use crate::model::aws::{Emulators, ResourceId, ResourceKind};
use crate::model::secret::is_secret_name;
use crate::model::{Kind, Probe, Protocol, Service, ServiceName, Stack};

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
    variables_with(stack, reach, &IndexMap::new())
}

/// The same with what AWS resources are called in the emulators, as far as that is known: only they know.
pub fn variables_with(
    stack: &Stack,
    reach: impl Fn(&Service, u16) -> Option<(String, u16)>,
    ids: &IndexMap<ResourceId, String>,
) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    let active = || stack.written().filter(|service| service.active);
    let declared = active().flat_map(|service| declared(service, &reach, ids));
    let named = active().flat_map(|service| named(service, &reach));
    let usual = active().flat_map(|service| usual(stack, service, &reach));
    let resources = resources(stack, ids);
    // What the user declared wins over what a kind has by itself, and a service's own names over those shared by a kind.
    for variable in declared.chain(named).chain(usual).chain(resources) {
        if found.iter().all(|other| other.name != variable.name) {
            found.push(variable);
        }
    }
    let order = |variable: &Variable| stack.services.get_index_of(&variable.service);
    found.sort_by_key(order);
    found
}

/// What `exports` says.
fn declared(service: &Service, reach: Reach<'_>, ids: &IndexMap<ResourceId, String>) -> Vec<Variable> {
    let filled = |(name, template): (&String, &String)| {
        let value = fill(template, service, reach, ids)?;
        Some(Variable { secret: is_secret(name, &value), name: name.clone(), value, service: service.name.clone() })
    };
    service.exports.iter().filter_map(filled).collect()
}

/// Fills `${host}`, `${port}` (the first port), `${port.5432}` and names of resources (`${user_pool.app}`) in.
fn fill(template: &str, service: &Service, reach: Reach<'_>, ids: &IndexMap<ResourceId, String>) -> Option<String> {
    let first = main_port(service);
    let (mut filled, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}')?;
        filled.push_str(before);
        match name.split_once('.') {
            None if name == "host" => filled.push_str(&reach(service, first?)?.0),
            None if name == "port" => filled.push_str(&reach(service, first?)?.1.to_string()),
            Some(("port", port)) => filled.push_str(&reach(service, port.parse().ok()?)?.1.to_string()),
            Some((kind, of)) => filled.push_str(ids.get(&ResourceId::new(ResourceKind::parse(kind)?, of))?),
            None => return None,
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
fn usual(stack: &Stack, service: &Service, reach: Reach<'_>) -> Vec<Variable> {
    if !service.exports.is_empty() {
        return Vec::new();
    }
    let at = |port: u16| reach(service, port).map(|(host, port)| (authority(&host, port), host, port));
    let url = |port: u16, authority: &str| form(service, port, Protocol::Tcp, Passwords::Shown).url(authority);
    if matches!(service.kind, Kind::Localstack | Kind::Ministack) {
        return emulator(stack, service, reach);
    }
    let pairs: Vec<(&str, String)> = match service.own.clone() {
        Probe::Postgres { port, user, password, database, tls } => {
            at(port).map_or_else(Vec::new, |(authority, host, at)| {
                let mut pairs =
                    vec![("DATABASE_URL", url(port, &authority)), ("PGHOST", host), ("PGPORT", at.to_string())];
                pairs.extend(user.map(|user| ("PGUSER", user)));
                pairs.extend(database.map(|database| ("PGDATABASE", database)));
                pairs.extend(password.map(|password| ("PGPASSWORD", password)));
                pairs.extend(tls.then(|| ("PGSSLMODE", SSL_MODE.into())));
                pairs
            })
        }
        Probe::Redis { port, .. } => {
            at(port).into_iter().map(|(authority, ..)| ("REDIS_URL", url(port, &authority))).collect()
        }
        Probe::Mail { http, smtp, .. } => {
            let smtp = at(smtp).map(|(authority, host, port)| {
                [("SMTP_URL", format!("smtp://{authority}")), ("SMTP_HOST", host), ("SMTP_PORT", port.to_string())]
            });
            let http = at(http).map(|(authority, ..)| ("MAIL_URL", url(http, &authority)));
            smtp.into_iter().flatten().chain(http).collect()
        }
        _ => Vec::new(),
    };
    let variable = |(name, value): (&str, String)| Variable {
        secret: is_secret(name, &value),
        name: name.into(),
        value,
        service: service.name.clone(),
    };
    pairs.into_iter().map(variable).collect()
}

/// What the SDKs and the CLI of AWS read, as far as it is this emulator's. An emulator that is none of the stack's two has
/// only its own names.
fn emulator(stack: &Stack, service: &Service, reach: Reach<'_>) -> Vec<Variable> {
    let Some(emulators) = Emulators::of(stack) else { return Vec::new() };
    let url = |one: &Service| {
        let (host, port) = reach(one, crate::model::aws::port(one)?)?;
        Some(format!("http://{}", authority(&host, port)))
    };
    let is_main = emulators.main.name == service.name;
    // Each variable is listed under the service it leads to.
    let beside = |name: &str| name.strip_prefix("AWS_ENDPOINT_URL_").is_some();
    let is_beside = emulators.beside.is_some_and(|one| one.name == service.name);
    let all = emulators.variables(&stack.region(), |one| url(one).filter(|_| one.name == service.name));
    let own =
        all.into_iter().filter(|(name, _)| if beside(name) { is_beside } else { is_main && url(service).is_some() });
    // The keys are arbitrary, and not secret.
    own.map(|(name, value)| Variable { name, value, secret: false, service: service.name.clone() }).collect()
}

/// What an application finds declared resources by that have no name of their own choice: `COGNITO_APP_USER_POOL_ID`. Where
/// there is only one of its kind, also without the name.
fn resources(stack: &Stack, ids: &IndexMap<ResourceId, String>) -> Vec<Variable> {
    let Some(emulators) = Emulators::of(stack) else { return Vec::new() };
    let alone = |kind: ResourceKind| ids.keys().filter(|id| id.kind == kind).count() == 1;
    let mut found = Vec::new();
    for (id, value) in ids {
        let Some((before, after)) = id.kind.variable() else { continue };
        let service = emulators.serving(id.kind.api()).name.clone();
        let middle: String =
            id.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        let mut add = |name: String| {
            found.push(Variable {
                secret: is_secret_name(&name),
                name,
                value: value.clone(),
                service: service.clone(),
            });
        };
        add(format!("{before}_{middle}_{after}"));
        if alone(id.kind) {
            add(format!("{before}_{after}"));
        }
    }
    found
}

/// Passwords hide in URLs too.
fn is_secret(name: &str, value: &str) -> bool {
    is_secret_name(name) || matches!(crate::model::secret::mask_urls(value), std::borrow::Cow::Owned(_))
}

/// The port one means when one says only the service's name: what its kind speaks on, else the first published one.
fn main_port(service: &Service) -> Option<u16> {
    match &service.own {
        Probe::Postgres { port, .. } | Probe::Localstack { port } | Probe::Ministack { port } => Some(*port),
        Probe::Redis { port, .. } => Some(*port).filter(|port| *port > 0),
        Probe::Mail { http, .. } => Some(*http),
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

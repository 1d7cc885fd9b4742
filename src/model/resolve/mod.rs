//! [`Config`] → [`Stack`], and every reason why not. No I/O: what must be true of paths is returned as [`PathUse`]s, which
//! `load` checks; env files come in as they were read.
//!
//! This file looks at what concerns several services, `service` at one, `ready` at its readiness, `aws` at `[aws]`.

mod aws;
mod ready;
mod service;

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, PathBuf};

use indexmap::IndexMap;

use super::{Network, Port, Service, ServiceName, Stack, StackName, Volume};
use crate::config::decode::{Entry, similar};
use crate::config::{Config, dotenv, schema};
use crate::diag::{Diagnostic, Place};

/// What a configuration is resolved against.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Canonical folder of services.toml.
    pub root: PathBuf,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// Project name that was asked for.
    pub project: Option<String>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// Env files that could be read, by absolute path: name as shown, and entries.
    pub env_files: BTreeMap<PathBuf, (String, Vec<dotenv::Entry>)>,
}

impl Surroundings {
    /// A path as written, made absolute without looking at the file system.
    pub fn absolute(&self, path: &str) -> PathBuf {
        let path = match (path.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => self.root.join(path),
        };
        let mut out = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    out.pop();
                }
                Component::CurDir => {}
                part => out.push(part),
            }
        }
        out
    }
}

/// A path that is used and what must be true of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// Absolute.
    pub path: PathBuf,
    /// As written.
    pub written: String,
    /// What it is, for messages: `build context`.
    pub role: &'static str,
    /// What must be there.
    pub must_be: MustBe,
    /// Where it is written.
    pub place: Place,
}

/// What must be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustBe {
    /// Anything.
    Anything,
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// What came out.
#[derive(Debug)]
pub struct Resolved {
    /// The stack; only to be used when there are no errors.
    pub stack: Stack,
    /// The paths it uses.
    pub paths: Vec<PathUse>,
}

/// Collects what the parts of the resolution find.
struct Resolver<'a> {
    config: &'a Config,
    around: &'a Surroundings,
    name: StackName,
    problems: &'a mut Vec<Diagnostic>,
    paths: Vec<PathUse>,
    volumes: IndexMap<String, Volume>,
    networks: IndexMap<String, Network>,
}

/// Builds the stack as far as it can be understood, and adds what is wrong to `problems`.
pub fn resolve(config: &Config, around: &Surroundings, problems: &mut Vec<Diagnostic>) -> Resolved {
    let name = stack_name(config, around, problems);
    let mut resolver = Resolver {
        config,
        around,
        name: name.clone(),
        problems,
        paths: Vec::new(),
        volumes: IndexMap::new(),
        networks: IndexMap::new(),
    };
    resolver.declared_volumes();
    resolver.declared_networks();
    let mut services = IndexMap::new();
    for (text, entry) in &config.services {
        match ServiceName::parse(text) {
            Ok(name) => {
                services.insert(name.clone(), resolver.service(name, entry));
            }
            Err(message) => {
                let hint = format!("for example `{}`", sanitised(text));
                resolver.error_hint(&entry.key, format!("`{text}` can't name a service: {message}"), hint);
            }
        }
    }
    resolver.cycles();
    resolver.activate(&mut services);
    resolver.duplicate_ports(&services);
    resolver.aws();
    let Resolver { paths, volumes, networks, .. } = resolver;
    let stack = Stack { name, root: around.root.clone(), services, volumes, networks };
    Resolved { stack, paths }
}

/// The name asked for, else the file's, else the folder's with what a name can't hold replaced.
fn stack_name(config: &Config, around: &Surroundings, problems: &mut Vec<Diagnostic>) -> StackName {
    let (text, place) = match (&around.project, &config.project) {
        (Some(asked), _) => (asked.clone(), None),
        (None, Some(written)) => (written.value.clone(), Some(written.place.clone())),
        (None, None) => {
            let folder = around.root.file_name().map(|name| name.to_string_lossy().into_owned());
            (sanitised(&folder.unwrap_or_default()), None)
        }
    };
    StackName::parse(&text).unwrap_or_else(|message| {
        let hint = format!("for example `{}`", sanitised(&text));
        problems.push(Diagnostic::error(place, format!("`{text}` can't name a project: {message}")).hint(hint));
        StackName::parse("unnamed").expect("it is a valid name")
    })
}

/// The nearest text that can be a name.
fn sanitised(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' };
    let name: String = text.to_lowercase().chars().map(keep).collect();
    let name: String = name.trim_matches(['-', '_']).chars().take(63).collect();
    if name.is_empty() { "taskava".into() } else { name }
}

impl Resolver<'_> {
    fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.problems.push(Diagnostic::error(place.clone(), message));
    }

    fn error_hint(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Diagnostic::error(place.clone(), message).hint(hint));
    }

    fn declared_volumes(&mut self) {
        for (key, volume) in &self.config.volumes {
            self.check_resource_name("volume", key, &volume.key);
            if let Some(name) = &volume.name {
                self.check_resource_name("volume", name, &name.place);
            }
            let external = volume.external.unwrap_or(false);
            if external && (volume.driver.is_some() || !volume.options.0.is_empty()) {
                self.error(
                    &volume.key,
                    format!("volume `{key}` is external: `driver` and `options` have no effect on it"),
                );
            }
            let name = self.engine_name(key, volume.name.as_ref().map(|name| name.value.as_str()), external);
            let labels = self.labels(&volume.labels);
            let options = strings(&volume.options);
            self.volumes.insert(key.clone(), Volume { name, external, driver: volume.driver.clone(), options, labels });
        }
    }

    fn declared_networks(&mut self) {
        for (key, network) in &self.config.networks {
            self.check_resource_name("network", key, &network.key);
            let made = self.network(key, network);
            self.networks.insert(key.clone(), made);
        }
        let name = self.engine_name("default", None, false);
        self.networks.entry("default".into()).or_insert_with(|| Network { name, ..Network::default() });
    }

    fn network(&mut self, key: &str, network: &Entry<schema::Network>) -> Network {
        if let Some(name) = &network.name {
            self.check_resource_name("network", name, &name.place);
        }
        let external = network.external.unwrap_or(false);
        if external && (network.driver.is_some() || network.subnet.is_some() || network.internal.is_some()) {
            let message =
                format!("network `{key}` is external: `driver`, `internal` and `subnet` have no effect on it");
            self.error(&network.key, message);
        }
        if let Some(subnet) = network.subnet.as_ref().filter(|subnet| !is_subnet(subnet)) {
            let hint = "write an address and its prefix length, such as \"172.30.0.0/24\"";
            self.error_hint(&subnet.place, format!("`{}` is not a subnet", subnet.value), hint);
        }
        Network {
            name: self.engine_name(key, network.name.as_ref().map(|name| name.value.as_str()), external),
            external,
            driver: network.driver.clone(),
            internal: network.internal.unwrap_or(false),
            subnet: network.subnet.as_ref().map(|subnet| subnet.value.clone()),
            labels: self.labels(&network.labels),
        }
    }

    /// What a volume or network is called on the engine. The name of an external one is its own.
    fn engine_name(&self, key: &str, name: Option<&str>, external: bool) -> String {
        match name {
            Some(name) => name.into(),
            None if external => key.into(),
            None => format!("{}-{key}", self.name),
        }
    }

    fn check_resource_name(&mut self, what: &str, name: &str, place: &Place) {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.len() > 200 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(good) {
            let hint = "use letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
            self.error_hint(place, format!("`{name}` can't name a {what}"), hint);
        }
    }

    fn labels(&mut self, labels: &crate::config::forms::Pairs) -> IndexMap<String, String> {
        for (name, value) in &labels.0 {
            if name.starts_with("dev.taskava.") || name.is_empty() {
                let message = format!("the label `{name}` is not yours to set");
                self.error_hint(
                    &value.place,
                    message,
                    "labels that begin with `dev.taskava.` tell the stack's own things apart",
                );
            }
        }
        strings(labels)
    }

    /// Reports each dependency cycle once, as a path.
    fn cycles(&mut self) {
        let mut done: HashMap<&str, bool> = HashMap::new();
        let mut found = Vec::new();
        for name in self.config.services.keys() {
            visit(self.config, name, &mut Vec::new(), &mut done, &mut found);
        }
        for (path, place) in found {
            let hint = "one of them must start first: remove a dependency";
            self.problems.push(Diagnostic::error(place, format!("dependency cycle: {path}")).hint(hint));
        }
    }

    /// Marks what the active profiles and the dependencies of active services make active.
    fn activate(&mut self, services: &mut IndexMap<ServiceName, Service>) {
        for profile in &self.around.profiles {
            let known: Vec<&str> = services.values().flat_map(|s| s.profiles.iter().map(String::as_str)).collect();
            if !known.contains(&profile.as_str()) {
                let hint = match similar(profile, known.iter().copied()) {
                    Some(similar) => format!("did you mean `{similar}`?"),
                    None if known.is_empty() => "no service has `profiles`".into(),
                    None => format!("known profiles: {}", sorted(&known).join(", ")),
                };
                self.problems
                    .push(Diagnostic::error(None, format!("no service has the profile `{profile}`")).hint(hint));
            }
        }
        let mut queue: Vec<ServiceName> = services.values().filter(|s| s.active).map(|s| s.name.clone()).collect();
        while let Some(name) = queue.pop() {
            for dependency in services[&name].depends_on.keys().cloned().collect::<Vec<_>>() {
                if let Some(service) = services.get_mut(&dependency).filter(|service| !service.active) {
                    service.active = true;
                    queue.push(dependency);
                }
            }
        }
    }

    /// Two active services can't have one host port.
    fn duplicate_ports(&mut self, services: &IndexMap<ServiceName, Service>) {
        let mut seen: Vec<(&ServiceName, &Port)> = Vec::new();
        for service in services.values().filter(|service| service.active) {
            for port in service.ports.iter().filter(|port| port.host.is_some()) {
                let clash = seen.iter().find(|(_, other)| {
                    let overlap = other.address == port.address
                        || other.address.is_unspecified()
                        || port.address.is_unspecified();
                    overlap && other.host == port.host && other.protocol == port.protocol
                });
                if let Some((owner, other)) = clash {
                    let number = port.host.unwrap_or_default();
                    let owner = if *owner == &service.name { "this service".to_owned() } else { format!("`{owner}`") };
                    let place = other.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
                    let message = format!("host port {number} is already published by {owner}{place}");
                    let hint =
                        format!("choose another host port, or write \"{}\" to let the engine choose", port.container);
                    self.problems.push(Diagnostic::error(port.place.clone(), message).hint(hint));
                } else {
                    seen.push((&service.name, port));
                }
            }
        }
    }
}

fn visit<'a>(
    config: &'a Config,
    name: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut HashMap<&'a str, bool>,
    found: &mut Vec<(String, Place)>,
) {
    let Some(service) = config.services.get(name) else { return };
    if done.contains_key(name) {
        return;
    }
    done.insert(name, false);
    path.push(name);
    for (dependency, (place, _)) in &service.depends_on.0 {
        match done.get(dependency.as_str()) {
            Some(true) => {}
            Some(false) => {
                let start = path.iter().position(|step| step == dependency).unwrap_or(0);
                let mut cycle: Vec<&str> = path[start..].to_vec();
                cycle.push(dependency);
                found.push((cycle.join(" → "), place.clone()));
            }
            None => visit(config, dependency, path, done, found),
        }
    }
    path.pop();
    done.insert(name, true);
}

fn strings(pairs: &crate::config::forms::Pairs) -> IndexMap<String, String> {
    pairs.0.iter().map(|(name, value)| (name.clone(), value.value.0.clone())).collect()
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names
}

fn is_subnet(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, prefix)| {
        let bits = match address.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits)
    })
}

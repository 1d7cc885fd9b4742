//! [`Config`] → [`Stack`], or every reason why it is invalid. No I/O: conditions on paths are returned as [`PathUse`]s,
//! which `load` checks; the content of env files is an argument.
//!
//! This file checks what concerns several services, `service` a single one (with `image`, `mounts` and `ready`),
//! `resources` volumes and networks, `aws` the table `[aws]`, and `declared` the resources in it.

mod aws;
mod declared;
mod hooks;
mod image;
pub mod isolate;
mod mounts;
pub mod prepared;
mod ready;
pub mod replicas;
mod resources;
#[cfg(test)]
pub(crate) mod sample;
mod service;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;

use crate::config::scope::Scopes;
use crate::config::{Config, dotenv};
use crate::diag::{Diagnostic, Lines, Place, similar};
use crate::model::{Network, Port, Service, ServiceName, Stack, StackName, Unusable, Volume, fingerprint_of};

/// The content of env files, by path: the name under which each is shown, and its entries.
pub type EnvFiles = BTreeMap<PathBuf, (String, Vec<dotenv::Entry>)>;

/// What a configuration is resolved against.
#[derive(Debug, Default)]
pub struct ResolveContext {
    /// Canonical folder of services.toml.
    pub root: PathBuf,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
    /// Requested project name.
    pub project: Option<String>,
    /// Active profiles.
    pub profiles: Vec<String>,
    /// How many containers services have, instead of what the file says.
    pub scale: BTreeMap<String, u32>,
    /// Env files that could be read, by absolute path: name as shown, and entries.
    pub env_files: EnvFiles,
    /// Values of secret variables that the files take.
    pub secrets: BTreeSet<String>,
    /// What is around each file.
    pub scopes: Scopes,
}

impl ResolveContext {
    /// A path as it is written at a place, made absolute without looking at the file system: relative to the folder of that file.
    pub fn absolute(&self, path: &str, place: &Place) -> PathBuf {
        let folder = self.scopes.elsewhere(place).map_or(&self.root, |scope| &scope.folder);
        absolute(folder, self.home.as_deref(), path)
    }
}

/// A path as written, made absolute without looking at the file system. `home`: what `~` stands for.
pub fn absolute(folder: &Path, home: Option<&Path>, path: &str) -> PathBuf {
    let path = match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => folder.join(path),
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

/// A path that is used, and the condition that it must fulfil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathUse {
    /// Absolute.
    pub path: PathBuf,
    /// As written.
    pub written: String,
    /// Its role, for messages: `build context`.
    pub role: &'static str,
    /// What must exist at the path.
    pub must_be: MustBe,
    /// Where it is written.
    pub place: Place,
    /// The service that uses it.
    pub service: Option<ServiceName>,
}

/// What must exist at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustBe {
    /// Anything.
    Anything,
    /// Anything, or nothing yet: it is created when it is needed.
    Created,
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// The result.
#[derive(Debug)]
pub struct Resolved {
    /// The stack; may only be used if there are no errors.
    pub stack: Stack,
    /// The paths it uses.
    pub paths: Vec<PathUse>,
}

/// Collects the problems that the parts of the resolution find.
struct Resolver<'a> {
    config: &'a Config,
    around: &'a ResolveContext,
    name: StackName,
    problems: &'a mut Vec<Diagnostic>,
    paths: Vec<PathUse>,
    /// Problems of those who ask for the services.
    unusable: Vec<Unusable>,
    /// The service that is currently resolved.
    current: Option<ServiceName>,
    volumes: IndexMap<String, Volume>,
    networks: IndexMap<String, Network>,
    /// Where the lines of each file begin.
    lines: HashMap<String, Lines>,
}

/// Builds the stack as far as possible, and adds problems to `problems`.
pub fn resolve(config: &Config, around: &ResolveContext, problems: &mut Vec<Diagnostic>) -> Resolved {
    let name = stack_name(config, around, problems);
    let mut resolver = Resolver {
        config,
        around,
        name: name.clone(),
        problems,
        paths: Vec::new(),
        unusable: Vec::new(),
        current: None,
        volumes: IndexMap::new(),
        networks: IndexMap::new(),
        lines: HashMap::new(),
    };
    resolver.declared_volumes();
    resolver.declared_networks();
    let mut services = IndexMap::new();
    for (text, entry) in &config.services {
        match ServiceName::parse(text) {
            Ok(name) => {
                resolver.current = Some(name.clone());
                services.insert(name.clone(), resolver.service(name, entry));
                resolver.current = None;
            }
            Err(message) => {
                let hint = format!("for example `{}`", sanitised(text));
                resolver.error_hint(&entry.key, format!("`{text}` can't name a service: {message}"), hint);
            }
        }
    }
    resolver.images_of_contexts(&mut services);
    resolver.scaled(&mut services);
    resolver.cycles();
    resolver.activate(&mut services);
    resolver.accounts(&services);
    resolver.duplicate_ports(&services);
    resolver.container_names(&mut services);
    let aws = resolver.aws(&mut services);
    let Resolver { paths, unusable, volumes, networks, .. } = resolver;
    let (root, secrets) = (around.root.clone(), around.secrets.clone());
    let stack = Stack { name, root, services, volumes, networks, aws, secrets, unusable, isolation: None };
    Resolved { stack, paths }
}

/// The requested name, else the file's, else the folder's with invalid characters replaced.
fn stack_name(config: &Config, around: &ResolveContext, problems: &mut Vec<Diagnostic>) -> StackName {
    let (text, place) = match (&around.project, &config.project) {
        (Some(asked), _) => (asked.clone(), None),
        (None, Some(written)) => (written.value.clone(), Some(written.place.clone())),
        (None, None) => (name_of_folder(&around.root), None),
    };
    StackName::parse(&text).unwrap_or_else(|message| {
        let hint = format!("for example `{}`", sanitised(&text));
        problems.push(Diagnostic::error(place, format!("`{text}` can't name a project: {message}")).hint(hint));
        StackName::parse("unnamed").expect("it is a valid name")
    })
}

/// The name of a stack whose services.toml has none: its folder's, with invalid characters replaced. A folder without a
/// valid letter or digit gets a name derived from its path.
pub fn name_of_folder(root: &Path) -> String {
    let folder = root.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let has = |wanted: fn(char) -> bool| folder.contains(wanted);
    // Digits beside letters that are left out say too little: `проект2` and `プロジェクト2` are two.
    let digits = has(|c| c.is_ascii_digit()) && !has(|c| !c.is_ascii() && c.is_alphanumeric());
    if has(|c| c.is_ascii_lowercase()) || digits {
        return sanitised(&folder);
    }
    format!("stack-{}", &fingerprint_of(root.as_os_str().as_encoded_bytes())[..8])
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

    /// Marks the services that are active by profile or as a dependency of an active service.
    fn activate(&mut self, services: &mut IndexMap<ServiceName, Service>) {
        for profile in &self.around.profiles {
            let known: Vec<&str> = services.values().flat_map(|s| s.profiles.iter().map(String::as_str)).collect();
            // Where no service could be read, something else is said already.
            if !services.is_empty() && !known.contains(&profile.as_str()) {
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
            let needed = services[&name].depends_on.iter().filter(|(_, on)| on.required).map(|(name, _)| name.clone());
            for dependency in needed.collect::<Vec<_>>() {
                if let Some(service) = services.get_mut(&dependency).filter(|service| !service.active) {
                    service.active = true;
                    queue.push(dependency);
                }
            }
        }
    }

    /// Whether the stack has another name than the file's.
    fn is_under_another_name(&self) -> bool {
        let own = || match &self.config.project {
            Some(own) => own.value.clone(),
            None => name_of_folder(&self.around.root),
        };
        self.around.project.as_ref().is_some_and(|asked| *asked != own())
    }

    /// Each container has a name of its own. A stack under another name than the file's leaves those of the file to the stack
    /// that has it; other services still reach it by them.
    fn container_names(&mut self, services: &mut IndexMap<ServiceName, Service>) {
        let is_other = self.is_under_another_name();
        let mut seen: HashMap<String, ServiceName> = HashMap::new();
        for service in services.values_mut() {
            let Some(name) = service.container_name.clone() else { continue };
            // As with ports: those that are never started together may share it.
            if let Some(other) = service.active.then(|| seen.insert(name.clone(), service.name.clone())).flatten() {
                let message = format!("the container name `{name}` is that of `{other}` already");
                let place = self.config.services.get(service.name.as_str());
                let place = place.and_then(|entry| entry.container_name.as_ref()).map(|name| name.place.clone());
                let problem = Diagnostic::error(place, message).hint("only one container can have a name");
                self.unusable.push(Unusable { services: vec![other, service.name.clone()], problem });
            }
            if is_other {
                service.options.aliases.extend(service.container_name.take());
            }
        }
    }

    /// Two active services can't publish the same host port, unless they are never started together.
    fn duplicate_ports(&mut self, services: &IndexMap<ServiceName, Service>) {
        let mut seen: HashMap<_, Vec<(&ServiceName, &Port)>> = HashMap::new();
        for service in services.values().filter(|service| service.active) {
            for port in &service.ports {
                let Some(number) = port.host else { continue };
                let owners = seen.entry((number, port.protocol)).or_default();
                let clash = owners.iter().find(|(_, other)| {
                    other.address == port.address || other.address.is_unspecified() || port.address.is_unspecified()
                });
                if let Some((owner, other)) = clash {
                    let services = vec![(*owner).clone(), service.name.clone()];
                    let owner = if *owner == &service.name { "this service".into() } else { format!("`{owner}`") };
                    let place = other.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
                    let message = format!("host port {number} is already published by {owner}{place}");
                    let hint =
                        format!("choose another host port, or write \"{}\" to let the engine choose", port.container);
                    let problem = Diagnostic::error(port.place.clone(), message).hint(hint);
                    self.unusable.push(Unusable { services, problem });
                } else {
                    owners.push((&service.name, port));
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
    for (dependency, entry) in &service.depends_on.0 {
        match done.get(dependency.as_str()) {
            Some(true) => {}
            Some(false) => {
                let start = path.iter().position(|step| step == dependency).unwrap_or(0);
                let mut cycle: Vec<&str> = path[start..].to_vec();
                cycle.push(dependency);
                found.push((cycle.join(" → "), entry.key.clone()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_letters_that_a_name_can_hold_have_names_of_their_own() {
        let names = ["/w/проект", "/w/プロジェクト", "/v/проект", "/w/проект2", "/w/---", "/"].map(|root| {
            let name = name_of_folder(Path::new(root));
            assert!(StackName::parse(&name).is_ok() && name.starts_with("stack-"), "{root}: {name}");
            name
        });
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        for (root, name) in [("/w/My App", "my-app"), ("/w/2024", "2024"), ("/w/Größe", "gr--e"), ("/w/_x_", "x")] {
            assert_eq!(name_of_folder(Path::new(root)), name);
        }
    }
}

//! One service: every value checked, every default filled in.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::{MustBe, PathUse, Resolver};
use crate::config::decode::{Entry, Spanned};
use crate::config::forms::{Scalar, UlimitSpec};
use crate::config::schema;
use crate::diag::{Diagnostic, Lines, Place, similar};
use crate::kinds::{self, Given};
use crate::model::{
    Condition, Dependency, EnvValue, Kind, Logging, Port, Protocol, RestartPolicy, Service, ServiceName, Ulimit,
    WatchAction, WatchRule, secret,
};

impl Resolver<'_> {
    pub(super) fn service(&mut self, name: ServiceName, entry: &Entry<schema::Service>) -> Service {
        let kind = entry.kind.as_ref().map_or(Kind::Generic, |kind| kind.value);
        let defaults = kinds::defaults(kind);
        let env = self.env(entry);
        let ports = ports(entry, 1);
        let resources = entry.resources.as_ref();
        let command = entry.command.as_ref().map(|command| command.value.0.as_slice());
        let given = Given::declared(&env, entry.entrypoint.as_ref().map(|words| words.0.as_slice()), command);
        self.check_words(entry);
        self.check_network_mode(entry);
        Service {
            image: self.image(&name, kind, entry),
            image_place: entry.image.as_ref().map(|image| image.place.clone()),
            build: self.build(entry),
            ready: self.readiness(kind, entry, given, &ports),
            healthcheck: self.healthcheck(entry),
            own: kinds::probe(kind, given),
            mounts: self.mounts(entry),
            files: self.files(entry),
            tmpfs: self.tmpfs(entry),
            depends_on: self.depends_on(&name, entry),
            watch: self.watch(entry),
            networks: self.joined(entry),
            restart: self.restart(kind, entry),
            logging: self.logging(entry),
            labels: self.labels(&entry.labels),
            active: entry.profiles.is_empty() || entry.profiles.iter().any(|p| self.around.profiles.contains(&p.value)),
            profiles: values(&entry.profiles),
            pull: entry.pull.unwrap_or_default(),
            platform: value(entry.platform.as_ref()),
            command: entry.command.as_ref().map(|command| command.value.0.clone()),
            entrypoint: entry.entrypoint.as_ref().map(|words| words.0.clone()),
            user: entry.user.as_ref().map(|user| user.value.0.clone()),
            working_dir: value(entry.working_dir.as_ref()),
            container_name: value(entry.container_name.as_ref()),
            replicas: self.replica_count(&name, entry),
            replica: None,
            hostname: value(entry.hostname.as_ref()),
            ulimits: entry.ulimits.iter().map(limit).collect(),
            extra_hosts: entry.extra_hosts.as_ref().map(|hosts| hosts.value.0.clone()).unwrap_or_default(),
            stop_signal: value(entry.stop_signal.as_ref()),
            stop_timeout: entry.stop_timeout.unwrap_or(defaults.stop_timeout),
            stop_limit: entry.stop_timeout.unwrap_or(defaults.stop_limit),
            memory: resources.and_then(|r| r.memory).map(|size| size.0),
            nano_cpus: resources.and_then(|r| r.cpus).map(|cpus| cpus.0),
            exports: self.exports(entry, &ports),
            hooks: self.hooks(entry),
            options: entry.options.clone(),
            place: Some(entry.key.clone()),
            kind,
            env,
            ports,
            name,
        }
    }

    /// Notes a path that is used, and makes it absolute.
    pub(super) fn path(&mut self, written: &str, role: &'static str, must_be: MustBe, place: &Place) -> PathBuf {
        let path = self.around.absolute(written, place);
        if written.is_empty() {
            self.error(place, format!("the path of the {role} is empty"));
        } else {
            self.paths.push(PathUse {
                path: path.clone(),
                written: written.into(),
                role,
                must_be,
                place: place.clone(),
                service: self.current.clone(),
            });
        }
        path
    }

    /// Where a value is written, and what it was made of.
    fn origin(&mut self, before: &str, value: &Spanned<Scalar>) -> Vec<String> {
        let Place { source, span } = &value.place;
        let lines = self.lines.entry(source.name.clone()).or_insert_with(|| Lines::of(source));
        let (line, column) = lines.line_column(span.start);
        let place = format!("{before}{}:{line}:{column}", source.name);
        std::iter::once(place).chain(value.story.iter().cloned()).collect()
    }

    /// Env files, then `env`, then the shared `[env]` for what is still missing.
    fn env(&mut self, entry: &Entry<schema::Service>) -> IndexMap<String, EnvValue> {
        let mut env = IndexMap::new();
        for file in &entry.env_file.0 {
            let path = self.around.absolute(file, &file.place);
            if let Some((shown, entries)) = self.around.env_files.get(&path) {
                for line in entries {
                    let origin = vec![format!("{shown}:{}", line.line)];
                    env.insert(line.name.clone(), env_value(&line.name, &line.value, origin));
                }
            }
        }
        for (name, value) in &entry.env.0 {
            let origin = self.origin("", value);
            env.insert(name.clone(), env_value(name, &value.value.0, origin));
        }
        // Each file shares its own with the services that it declares.
        let shared = self.around.scopes.elsewhere(&entry.key).map_or(&self.config.env, |scope| &scope.env);
        for (name, value) in &shared.0 {
            if !env.contains_key(name) {
                let origin = self.origin("[env] ", value);
                env.insert(name.clone(), env_value(name, &value.value.0, origin));
            }
        }
        for (name, value) in &entry.env.0 {
            if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c == '\0') {
                self.error(&value.place, format!("`{name}` can't name an environment variable"));
            }
        }
        env
    }

    /// Templates of variables for the application: what they ask for must be published.
    fn exports(&mut self, entry: &Entry<schema::Service>, ports: &[Port]) -> IndexMap<String, String> {
        let published = |port: &str| {
            let mut tcp = ports.iter().filter(|port| port.protocol == Protocol::Tcp);
            port.is_empty() || port.parse().is_ok_and(|asked: u16| tcp.any(|port| port.container == asked))
        };
        for (name, text) in &entry.exports {
            // What is exported is read by shells.
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !starts || name.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                let hint = "letters, digits and underscores, not beginning with a digit";
                self.error_hint(&text.value.place, format!("`{name}` can't name a variable of the application"), hint);
            }
        }
        for text in entry.exports.values().map(|text| &text.value) {
            for name in text.value.split("${").skip(1) {
                let name = name.split('}').next().unwrap_or_default();
                let port = match name.split_once('.') {
                    None if matches!(name, "host" | "port") => "",
                    Some(("port", port)) if !port.is_empty() => port,
                    _ => {
                        let hint = "there are ${host}, ${port} and ${port.5432}; variables are written in capitals";
                        self.error_hint(&text.place, format!("unknown placeholder `${{{name}}}`"), hint);
                        continue;
                    }
                };
                if !published(port) || !ports.iter().any(|port| port.protocol == Protocol::Tcp) {
                    let missing = if port.is_empty() { "no TCP port".into() } else { format!("port {port} is not") };
                    let verb = if port.is_empty() { " is published" } else { " published" };
                    let message = format!("`${{{name}}}` can't be filled in: {missing}{verb}");
                    self.error_hint(&text.place, message, "add it to `ports` of the service");
                }
            }
        }
        entry.exports.iter().map(|(name, text)| (name.clone(), text.value.value.clone())).collect()
    }

    fn depends_on(&mut self, name: &ServiceName, entry: &Entry<schema::Service>) -> IndexMap<ServiceName, Dependency> {
        let mut all = IndexMap::new();
        for (dependency, on) in &entry.depends_on.0 {
            let known = self.config.services.contains_key(dependency);
            match ServiceName::parse(dependency) {
                Ok(dependency) if known => {
                    all.insert(dependency, on.value);
                }
                // The bad name is reported where it is declared.
                Err(_) if known => {}
                // It is not waited for.
                _ if !on.required => {}
                _ => self.unknown_service(name, dependency, &on.key, "depends on"),
            }
        }
        // Whose namespace it uses has to run.
        for host in entry.options.hosts() {
            match ServiceName::parse(host) {
                Ok(other) if self.config.services.contains_key(host) && other != *name => {
                    all.entry(other).or_insert(Dependency::on(Condition::Started)).required = true;
                }
                _ => self.unknown_service(name, host, &entry.key, "uses a namespace or the volumes of"),
            }
        }
        all
    }

    fn unknown_service(&mut self, name: &ServiceName, other: &str, place: &Place, does: &str) {
        let others = self.config.services.keys().map(String::as_str).filter(|other| *other != name.as_str());
        let hint = match similar(other, others.clone()) {
            Some(similar) => format!("did you mean `{similar}`?"),
            None => format!("services: {}", others.collect::<Vec<_>>().join(", ")),
        };
        self.error_hint(place, format!("`{name}` {does} `{other}`, which doesn't exist"), hint);
    }

    fn watch(&mut self, entry: &Entry<schema::Service>) -> Vec<WatchRule> {
        let mut rules = Vec::new();
        for rule in &entry.watch {
            let action = rule.action.unwrap_or(WatchAction::Restart);
            let path = self.path(&rule.path, "watched path", MustBe::Anything, &rule.place);
            let target = value(rule.target.as_ref());
            match (action, &target, &rule.command) {
                (WatchAction::Sync | WatchAction::SyncRestart, None, _) => {
                    self.error_hint(
                        &rule.place,
                        "`sync` needs a `target`",
                        "say where files go inside: `target = \"/app\"`",
                    );
                }
                (WatchAction::Exec, _, None) => {
                    self.error_hint(
                        &rule.place,
                        "`exec` needs a `command`",
                        "say what to run inside: `command = \"…\"`",
                    );
                }
                (WatchAction::Rebuild, ..) if entry.build.is_none() => {
                    self.error(&rule.place, "`rebuild` needs a service with `build`");
                }
                _ => {}
            }
            if let Some(target) = rule.target.as_ref().filter(|target| !target.starts_with('/')) {
                self.error(&target.place, format!("`{}` is not an absolute path inside the container", target.value));
            }
            let command = rule.command.as_ref().map(|words| words.0.clone());
            rules.push(WatchRule { path, action, target, ignore: values(&rule.ignore.0), command });
        }
        rules
    }

    fn joined(&mut self, entry: &Entry<schema::Service>) -> Vec<String> {
        for network in &entry.networks {
            if !self.networks.contains_key(&network.value) {
                let hint = match similar(network, self.networks.keys().map(String::as_str)) {
                    Some(similar) => format!("did you mean `{similar}`?"),
                    None => format!("declare it: `[networks.{}]`", network.value),
                };
                self.error_hint(&network.place, format!("the network `{}` doesn't exist", network.value), hint);
            }
        }
        if entry.options.network_mode.is_some() {
            return Vec::new();
        }
        if entry.networks.is_empty() { vec!["default".into()] } else { values(&entry.networks) }
    }

    fn restart(&mut self, kind: Kind, entry: &Entry<schema::Service>) -> RestartPolicy {
        let Some(restart) = &entry.restart else { return RestartPolicy::No };
        if kind == Kind::Job && matches!(restart.value, RestartPolicy::Always | RestartPolicy::UnlessStopped) {
            let hint = "remove `restart`, or write \"on-failure:3\" to try again after a failure";
            self.error_hint(&restart.place, "a job ends: it can't be restarted whenever it does", hint);
        }
        restart.value
    }

    fn logging(&mut self, entry: &Entry<schema::Service>) -> Logging {
        let written = entry.logging.clone().unwrap_or_default();
        if let Some(size) = &written.max_size {
            let digits = size.trim_end_matches(['k', 'm', 'g']);
            if digits.len() + 1 < size.len() || digits.parse::<u32>().is_err() {
                let message = format!("`{}` is not a size as the engine's log driver writes it", size.value);
                self.error_hint(&size.place, message, "a whole number with k, m or g: \"10m\"");
            }
        }
        if let Some(files) = written.max_files.as_ref().filter(|files| files.value == 0) {
            self.error(&files.place, "at least one log file is needed");
        }
        let by_line = entry.ready.as_ref().is_some_and(|ready| ready.log.is_some());
        if let Some(files) = written.max_files.as_ref().filter(|files| files.value == 1 && by_line) {
            let message = "a single log file is emptied when it is full, and the line of `ready.log` is lost then";
            let hint = "keep two: `max_files = 2`";
            self.problems.push(Diagnostic::warning(files.place.clone(), message).hint(hint));
        }
        Logging {
            max_size: value(written.max_size.as_ref()).unwrap_or_else(|| "10m".into()),
            max_files: written.max_files.map_or(3, |files| files.value),
            driver: written.driver,
            options: super::strings(&written.options),
        }
    }

    /// What has the network of something else has neither networks nor ports of its own.
    fn check_network_mode(&mut self, entry: &Entry<schema::Service>) {
        let Some(mode) = &entry.options.network_mode else { return };
        let known = matches!(mode.as_str(), "host" | "none" | "bridge")
            || ["service:", "container:"].iter().any(|of| mode.strip_prefix(of).is_some_and(|name| !name.is_empty()));
        if !known {
            let hint =
                "write \"host\", \"none\", \"service:NAME\" or \"container:NAME\"; networks are named under `networks`";
            self.error_hint(&entry.key, format!("`network_mode = \"{mode}\"` is not a network"), hint);
        }
        if let Some(network) = entry.networks.first() {
            self.error_hint(&network.place, "`network_mode` and `networks` exclude each other", "remove one of them");
        }
        if let Some(port) = entry.ports.first().filter(|_| mode != "bridge") {
            let hint = match mode.strip_prefix("service:") {
                Some(name) => format!("publish it in [services.{name}], whose network it is"),
                None if mode == "host" => "its ports are those of this machine: remove `ports`".into(),
                None => "remove `ports`".into(),
            };
            self.error_hint(
                &port.place,
                format!("a service with `network_mode = \"{mode}\"` publishes no ports"),
                hint,
            );
        }
    }

    /// Notations that the engine would refuse only when the container is created.
    fn check_words(&mut self, entry: &Entry<schema::Service>) {
        if let Some(platform) = &entry.platform {
            let parts: Vec<&str> = platform.split('/').collect();
            if !(2..=3).contains(&parts.len()) || parts.iter().any(|part| part.is_empty()) {
                self.error(&platform.place, format!("`{}` is not a platform such as \"linux/amd64\"", platform.value));
            }
        }
        if let Some(folder) = entry.working_dir.as_ref().filter(|folder| !folder.starts_with('/')) {
            self.error(&folder.place, format!("`{}` is not an absolute path inside the container", folder.value));
        }
        if let Some(name) = &entry.container_name {
            self.check_resource_name("container", name, &name.place);
        }
        if let Some(signal) = entry.stop_signal.as_ref().filter(|signal| !crate::model::signal::is_signal(signal)) {
            self.error(&signal.place, format!("`{}` is not a signal such as \"SIGINT\"", signal.value));
        }
        for profile in entry.profiles.iter().filter(|profile| profile.is_empty()) {
            self.error(&profile.place, "the name of a profile can't be empty");
        }
        if let Some(command) = entry.command.as_ref().filter(|command| command.value.0.is_empty()) {
            self.error_hint(&command.place, "the command is empty", "remove the key to run the image's own command");
        }
    }
}

fn env_value(name: &str, value: &str, origin: Vec<String>) -> EnvValue {
    // A password keeps being one under another name.
    let took_secret = origin
        .iter()
        .skip(1)
        .filter_map(|step| step.split_once(" from "))
        .any(|(name, _)| secret::is_secret_name(name));
    EnvValue { value: value.into(), secret: secret::is_secret_name(name) || took_secret, origin }
}

/// The ports of a service's container of this number, from 1: of a range of host ports for one port inside, each has its own.
pub(super) fn ports(entry: &Entry<schema::Service>, number: u32) -> Vec<Port> {
    let mut ports = Vec::new();
    for spec in &entry.ports {
        for (index, container) in spec.container.clone().enumerate() {
            let index =
                if spec.container.len() == 1 { Some(number as usize - 1) } else { Some(index).filter(|_| number == 1) };
            let host = spec.host.as_ref().zip(index).and_then(|(host, index)| host.clone().nth(index));
            let place = Some(spec.place.clone());
            let is_shared = number == 1 && spec.container.len() == 1;
            let through = spec.host.as_ref().filter(|host| is_shared && host.len() > 1).map(|host| *host.end());
            ports.push(Port {
                address: spec.address,
                host,
                through,
                chosen: None,
                container,
                protocol: spec.protocol,
                place,
            });
        }
    }
    ports
}

/// A limit by its name.
pub(super) fn limit((name, written): (&String, &Entry<UlimitSpec>)) -> (String, Ulimit) {
    (name.clone(), Ulimit { soft: written.value.0, hard: written.value.1 })
}

fn value(at: Option<&Spanned<String>>) -> Option<String> {
    at.map(|at| at.value.clone())
}

fn values(list: &[Spanned<String>]) -> Vec<String> {
    list.iter().map(|at| at.value.clone()).collect()
}

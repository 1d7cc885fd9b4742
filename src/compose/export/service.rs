//! Writes one service with Compose's keys.

use std::net::IpAddr;
use std::path::Path;

use super::health::{self, Health, health};
use super::parts::{build_options, endpoint, joined, limits, log_driver, mount_options, option, parts_of, size_text};
use super::raw::{text, verbatim};
use super::yaml::Yaml;
use super::{Exporter, put};
use crate::compose::template::{split, to_compose};
use crate::compose::{EXTENSION, Note, guess};
use crate::config::node::{Node, Value};
use crate::config::scalars::show_duration;
use crate::model::{
    Build, Condition, InlineFile, Kind, MountSource, NamedContext, Port, PullPolicy, RestartPolicy, Service,
    WatchAction,
};

type Map = Vec<(String, Yaml)>;

impl Exporter<'_> {
    #[expect(clippy::too_many_lines, reason = "a line for each field")]
    pub(super) fn service(&mut self, service: &Service) -> Yaml {
        // Every field is named, so that a new one can't be forgotten. Those that are not written here are read by what is called.
        let Service {
            name,
            place: _,
            kind: _,
            active: _,
            profiles,
            image,
            image_place: _,
            build,
            pull,
            platform,
            command,
            entrypoint,
            env: _,
            ports: _,
            mounts: _,
            files,
            tmpfs,
            depends_on: _,
            ready: _,
            healthcheck,
            own: _,
            watch: _,
            user,
            working_dir,
            container_name,
            replicas,
            replica: _,
            hostname,
            networks,
            labels,
            ulimits,
            extra_hosts,
            stop_signal,
            stop_timeout,
            stop_limit: _,
            restart,
            memory,
            nano_cpus,
            logging,
            hooks,
            // In our own words, with what else Compose has none for.
            exports: _,
            options,
        } = service;
        let name = name.as_str();
        let mut map = Map::new();
        let written = self.raw.of(name, "image").and_then(text);
        if written.is_some() || build.is_none() {
            map.push(("image".into(), self.raw.templated(written, image)));
        }
        if let Some(build) = build {
            map.push(("build".into(), self.build(name, build)));
        }
        let word = |map: &mut Map, key: &str, value: &Option<String>| {
            if let Some(value) = value {
                map.push((key.into(), Yaml::text(value)));
            }
        };
        if *pull != PullPolicy::Missing {
            map.push(("pull_policy".into(), Yaml::text(pull.as_str())));
        }
        word(&mut map, "platform", platform);
        self.words(&mut map, name, "command", command.as_deref());
        self.words(&mut map, name, "entrypoint", entrypoint.as_deref());
        put(&mut map, "ports", Yaml::List(self.ports(service)));
        put(&mut map, "environment", self.environment(service));
        put(&mut map, "env_file", self.env_files(name));
        put(&mut map, "volumes", Yaml::List(self.mounts(service)));
        put(&mut map, "configs", Yaml::List(self.files(name, files)));
        let tmpfs = tmpfs.iter().map(|tmpfs| match tmpfs.options.as_str() {
            "" => Yaml::text(&tmpfs.target),
            options => Yaml::text(&format!("{}:{options}", tmpfs.target)),
        });
        put(&mut map, "tmpfs", Yaml::List(tmpfs.collect()));
        let mut own = self.raw.rest(name);
        self.kind(service, &mut own);
        put(&mut map, "depends_on", self.depends_on(service, &mut own));
        match (healthcheck, health(service)) {
            (Some(check), _) => map.push(("healthcheck".into(), health::declared(check))),
            (None, Health::Check(check)) => map.push(("healthcheck".into(), check)),
            (None, _) => {}
        }
        put(&mut map, "profiles", Yaml::texts(profiles));
        put(&mut map, "develop", self.develop(service, &mut own));
        word(&mut map, "user", user);
        word(&mut map, "working_dir", working_dir);
        word(&mut map, "container_name", container_name);
        word(&mut map, "hostname", hostname);
        if *replicas != 1 {
            map.push(("scale".into(), Yaml::plain(*replicas)));
        }
        if options.network_mode.is_none() && (*networks != ["default"] || !endpoint(options, "default").is_empty()) {
            map.push(("networks".into(), joined(networks, options)));
        }
        put(&mut map, "labels", Yaml::pairs(labels));
        // Those of its networks and dependencies are written with them.
        put(&mut map, "blkio_config", parts_of("blkio_config", options));
        let options = options.written().into_iter().filter(|(key, _)| !key.compose.contains('.'));
        map.extend(options.map(|(key, value)| (key.compose.to_owned(), option(key, value))));
        put(&mut map, "ulimits", limits(ulimits));
        put(&mut map, "extra_hosts", Yaml::texts(extra_hosts));
        self.hooks(&mut map, &service.name, hooks);
        word(&mut map, "stop_signal", stop_signal);
        map.push(("stop_grace_period".into(), Yaml::text(&show_duration(*stop_timeout))));
        if *restart != RestartPolicy::No {
            map.push(("restart".into(), Yaml::text(&restart.to_string())));
        }
        if let Some(memory) = memory {
            map.push(("mem_limit".into(), Yaml::text(&size_text(*memory))));
        }
        if let Some(cpus) = nano_cpus {
            map.push(("cpus".into(), Yaml::plain(*cpus as f64 / 1e9)));
        }
        map.push(("logging".into(), log_driver(logging)));
        put(&mut map, EXTENSION, Yaml::Map(own));
        Yaml::Map(map)
    }

    fn build(&mut self, name: &str, build: &Build) -> Yaml {
        let mut map = vec![("context".to_owned(), Yaml::text(&self.path(&build.context)))];
        if let Some(dockerfile) = &build.inline {
            let written = self.raw.of(name, "build").and_then(|build| build.get("dockerfile_inline")).and_then(text);
            map.push(("dockerfile_inline".into(), self.raw.templated(written, dockerfile)));
        } else if build.dockerfile != "Dockerfile" {
            map.push(("dockerfile".into(), Yaml::text(&build.dockerfile)));
        }
        if let Some(target) = &build.target {
            map.push(("target".into(), Yaml::text(target)));
        }
        let context = |(name, context): (&String, &NamedContext)| {
            (name.clone(), Yaml::text(&context.written(|folder| self.path(folder))))
        };
        put(&mut map, "additional_contexts", Yaml::Map(build.contexts.iter().map(context).collect()));
        let args = self.raw.of(name, "build").and_then(|build| build.get("args"));
        let arg = |(key, value): (&String, &String)| {
            let written = args.and_then(|args| args.get(key)).and_then(text);
            (key.clone(), self.raw.templated(written, value))
        };
        put(&mut map, "args", Yaml::Map(build.args.iter().map(arg).collect()));
        put(&mut map, "cache_from", Yaml::texts(&build.cache_from));
        let mut secrets = Vec::new();
        for (id, file) in &build.secrets {
            let source = format!("{name}-{id}");
            let declared = Yaml::Map(vec![("file".into(), Yaml::text(&self.path(file)))]);
            self.secrets.push((source.clone(), declared));
            secrets.push(Yaml::Map(vec![("source".into(), Yaml::text(&source)), ("target".into(), Yaml::text(id))]));
        }
        put(&mut map, "secrets", Yaml::List(secrets));
        let agents = build.options.written_ssh(|socket| self.path(socket));
        put(&mut map, "ssh", Yaml::List(agents.map(|agent| Yaml::text(&agent)).collect()));
        build_options(&mut map, &build.options);
        Yaml::Map(map)
    }

    /// Files with their content: configs, which Compose declares at the top.
    fn files(&mut self, name: &str, files: &[InlineFile]) -> Vec<Yaml> {
        let written = match self.raw.of(name, "files").map(|node| &node.value) {
            Some(Value::Array(items)) => items.as_slice(),
            _ => &[],
        };
        let mut all = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let source = format!("{name}-file-{}", index + 1);
            let written = written.get(index).and_then(|item| item.get("content")).and_then(text);
            let content = self.raw.templated(written, &file.content);
            self.configs.push((source.clone(), Yaml::Map(vec![("content".into(), content)])));
            let mode = Yaml::plain(format!("0{:o}", file.mode));
            let own = [("source", Yaml::text(&source)), ("target", Yaml::text(&file.target)), ("mode", mode)];
            let mut map: Map = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            for (key, number) in [("uid", file.uid), ("gid", file.gid)] {
                map.extend((number > 0).then(|| (key.to_owned(), Yaml::text(&number.to_string()))));
            }
            all.push(Yaml::Map(map));
        }
        all
    }

    /// A path as Compose wants it: relative inside the project.
    fn path(&self, path: &Path) -> String {
        match path.strip_prefix(&self.stack.root) {
            Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
            Ok(inside) => format!("./{}", inside.display()),
            Err(_) => path.display().to_string(),
        }
    }

    fn words(&self, map: &mut Map, name: &str, key: &str, resolved: Option<&[String]>) {
        let Some(resolved) = resolved else { return };
        map.push((key.into(), self.words_as_written(self.raw.of(name, key), resolved)));
    }

    /// A command, with the variables that it is written with.
    pub(super) fn words_as_written(&self, written: Option<&Node>, resolved: &[String]) -> Yaml {
        match written.map(|node| &node.value) {
            Some(Value::String(text)) if self.raw.has_variables(text) => Yaml::Text(to_compose(text)),
            Some(Value::Array(items)) if items.len() == resolved.len() => {
                let words = items.iter().zip(resolved).map(|(item, word)| self.raw.templated(text(item), word));
                Yaml::List(words.collect())
            }
            _ => Yaml::texts(resolved),
        }
    }

    fn environment(&self, service: &Service) -> Yaml {
        let name = service.name.as_str();
        let mut map = Map::new();
        for (variable, value) in &service.env {
            let origin = value.origin.first().map_or("", String::as_str);
            let written = match self.raw.env(name, variable) {
                Some(written) => Some(written),
                None if origin.starts_with("[env]") => self.raw.shared(variable),
                None => None,
            };
            // What came from an env file still does.
            let listed = self.raw.of(name, "env").is_some_and(|env| match &env.value {
                Value::Table(table) => table.contains_key(variable),
                _ => written.is_some(),
            });
            if listed || origin.starts_with("[env]") {
                map.push((variable.clone(), self.raw.templated(written, &value.value)));
            }
        }
        Yaml::Map(map)
    }

    fn env_files(&self, name: &str) -> Yaml {
        let files: Vec<&Node> = match self.raw.of(name, "env_file") {
            None => Vec::new(),
            Some(node) => {
                if let Value::Array(items) = &node.value {
                    items.iter().collect()
                } else {
                    vec![node]
                }
            }
        };
        Yaml::List(files.into_iter().map(|file| verbatim(file, false)).collect())
    }

    /// Always with the address: without one Compose opens ports to the network.
    fn ports(&self, service: &Service) -> Vec<Yaml> {
        let written = match self.raw.of(service.name.as_str(), "ports").map(|node| &node.value) {
            Some(Value::Array(items)) => items.as_slice(),
            _ => &[],
        };
        let with_variables = |node: &Node| text(node).is_some_and(|text| self.raw.has_variables(text));
        if !written.iter().any(with_variables) {
            return service.ports.iter().map(|port| Yaml::text(&port_text(port))).collect();
        }
        let mut rest = service.ports.iter();
        let mut ports = Vec::new();
        for node in written {
            match text(node) {
                Some(text) => {
                    ports.push(Yaml::Text(to_compose(&with_address(text))));
                    // As many as it stands for have to be skipped; with variables that is known of the resolved ones only.
                    let place = Some(&node.place);
                    while rest.as_slice().first().is_some_and(|port| port.place.as_ref() == place) {
                        rest.next();
                    }
                }
                None => ports.extend(rest.next().map(|port| Yaml::text(&port_text(port)))),
            }
        }
        ports
    }

    fn mounts(&self, service: &Service) -> Vec<Yaml> {
        let written = match self.raw.of(service.name.as_str(), "volumes").map(|node| &node.value) {
            Some(Value::Array(items)) => items.as_slice(),
            _ => &[],
        };
        let mount = |(index, mount): (usize, &crate::model::Mount)| {
            let written = written.get(index).and_then(|node| match text(node) {
                Some(text) => (split(text, ':').len() > 1).then(|| split(text, ':')[0]),
                None => node.get("source").or(node.get("image")).and_then(text),
            });
            let kept =
                written.filter(|source| source.starts_with('~') || self.raw.has_variables(source)).map(to_compose);
            let source = kept.or_else(|| match &mount.source {
                MountSource::Volume(name) => Some(name.clone()),
                MountSource::Bind(path) | MountSource::View { of: path, .. } => {
                    Some(self.path(path).replace('$', "$$"))
                }
                MountSource::Image(image) => Some(image.replace('$', "$$")),
                MountSource::Anonymous => None,
            });
            let target = mount.target.replace('$', "$$");
            let (words, all_said) = mount.options.words();
            let kind = match mount.source {
                MountSource::Volume(_) | MountSource::Anonymous => "volume",
                MountSource::Bind(_) | MountSource::View { .. } => "bind",
                MountSource::Image(_) => "image",
            };
            if let (true, Some(source)) = (mount.shared || !all_said || kind == "image", &source) {
                let long = [("type", kind), ("source", source.as_str()), ("target", target.as_str())];
                let mut long: Map =
                    long.into_iter().map(|(key, text)| (key.to_owned(), Yaml::Text(text.into()))).collect();
                long.extend(mount.read_only.then(|| ("read_only".to_owned(), Yaml::plain(true))));
                put(&mut long, kind, Yaml::Map(mount_options(&mount.options)));
                // Compose has it among the options of paths, whatever is mounted.
                if let (Some(selinux), "volume") = (&mount.options.selinux, kind) {
                    put(&mut long, "bind", Yaml::Map(vec![("selinux".into(), Yaml::text(selinux))]));
                }
                let shared = mount.shared.then(|| ("shared".to_owned(), Yaml::plain(true)));
                put(&mut long, EXTENSION, Yaml::Map(shared.into_iter().collect()));
                return Yaml::Map(long);
            }
            let words: Vec<&str> = mount.read_only.then_some("ro").into_iter().chain(words).collect();
            let end = if words.is_empty() { String::new() } else { format!(":{}", words.join(",")) };
            Yaml::Text(source.map_or_else(|| target.clone(), |source| format!("{source}:{target}{end}")))
        };
        service.mounts.iter().enumerate().map(mount).collect()
    }

    /// The kind, where `import` would not come to it by itself.
    fn kind(&self, service: &Service, own: &mut Map) {
        let run = service.entrypoint.as_deref().filter(|words| !words.is_empty()).or(service.command.as_deref());
        let waited_for = self.stack.services.values().any(|other| other.waits_until_ready(&service.name));
        let built = service.build.is_some() && self.raw.of(service.name.as_str(), "image").is_none();
        let image = if built { "" } else { &service.image };
        let guessed = guess::kind(image, run).unwrap_or(Kind::Generic);
        let known = if service.kind == Kind::Job { waited_for } else { guessed == service.kind };
        if !known {
            own.insert(0, ("kind".into(), Yaml::text(service.kind.as_str())));
        }
    }

    fn depends_on(&mut self, service: &Service, own: &mut Map) -> Yaml {
        let mut map = Map::new();
        let mut all_said = true;
        let written = service.depends_on.iter().map(|(name, on)| (name, on, &self.stack.services[name]));
        for (name, on, dependency) in written.filter(|(.., dependency)| dependency.replica.is_none()) {
            let word = match (on.condition, dependency.kind, health(dependency)) {
                (Condition::Started, ..) => "service_started",
                (Condition::Ready, Kind::Job, _) => "service_completed_successfully",
                (Condition::Ready, _, Health::Check(_) | Health::Image) => "service_healthy",
                (Condition::Ready, _, Health::Unknown(why)) => {
                    all_said = false;
                    let message = format!("{} waits only for the start of {name}", service.name);
                    let remedy = format!("{why}; give {name} a `ready` that Compose can ask, such as `exec`");
                    let place = service.place.clone();
                    self.notes.push(Note { place, number: None, lost: true, message, remedy });
                    "service_started"
                }
            };
            let mut words = vec![("condition".to_owned(), Yaml::text(word))];
            words.extend(on.restart.then(|| ("restart".to_owned(), Yaml::plain(true))));
            words.extend((!on.required).then(|| ("required".to_owned(), Yaml::plain(false))));
            map.push((name.to_string(), Yaml::Map(words)));
        }
        if let Some(written) = self.raw.of(service.name.as_str(), "depends_on").filter(|_| !all_said) {
            own.push(("depends_on".into(), verbatim(written, false)));
        }
        Yaml::Map(map)
    }

    /// Watch rules; those that Compose does not have go with the others into our own words.
    fn develop(&mut self, service: &Service, own: &mut Map) -> Yaml {
        let mut rules = Vec::new();
        for rule in &service.watch {
            if rule.action == WatchAction::Exec {
                let message = format!("{} runs a command when files change, which Compose does not", service.name);
                let (place, remedy) = (service.place.clone(), "it is kept for `import`".into());
                self.notes.push(Note { place, number: None, lost: true, message, remedy });
                continue;
            }
            let mut map = vec![
                ("path".to_owned(), Yaml::text(&self.path(&rule.path))),
                ("action".into(), Yaml::text(rule.action.as_str())),
            ];
            if let Some(target) = &rule.target {
                map.push(("target".into(), Yaml::text(target)));
            }
            put(&mut map, "ignore", Yaml::texts(&rule.ignore));
            rules.push(Yaml::Map(map));
        }
        if rules.len() < service.watch.len()
            && let Some(written) = self.raw.of(service.name.as_str(), "watch")
        {
            own.push(("watch".into(), verbatim(written, false)));
        }
        if rules.is_empty() { Yaml::Map(Vec::new()) } else { Yaml::Map(vec![("watch".into(), Yaml::List(rules))]) }
    }
}

fn port_text(port: &Port) -> String {
    let address = match port.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let host = port.written_host();
    let protocol = if port.protocol.as_str() == "tcp" { "" } else { "/udp" };
    format!("{address}:{host}:{}{protocol}", port.container)
}

/// A port as it is written, with the address that holds where none is.
fn with_address(text: &str) -> String {
    match split(text, ':').len() {
        1 => format!("127.0.0.1::{text}"),
        2 => format!("127.0.0.1:{text}"),
        _ => text.to_owned(),
    }
}

//! `config`: the resolved configuration, with overrides, variables and defaults applied. The output of `--show-secrets`
//! can be read again and means the same.

use std::process::ExitCode;

use toml::{Table, Value};

use crate::cli::Context;
use crate::cli::session::load_stack;
use crate::config::scalars::show_duration;
use crate::diag::{Error, Result};
use crate::model::{MountSource, Network, Port, Probe, RestartPolicy, Service, Stack, Volume, WatchAction, secret};
use crate::ui::Format;

/// Show the resolved configuration, with overrides, variables and defaults applied
///
/// Passwords, tokens and keys are masked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show passwords, tokens and keys
    #[arg(long)]
    pub show_secrets: bool,
    /// Print only the names of active services
    #[arg(long)]
    pub services: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let stack = load_stack(context)?;
    if args.services {
        let names: Vec<&str> = stack.services.values().filter(|s| s.active).map(|s| s.name.as_str()).collect();
        if context.format() == Format::Json {
            context.screen.json(&names)?;
        } else {
            context.screen.out(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // As with docker compose: the check alone.
    if context.global.quiet {
        return Ok(ExitCode::SUCCESS);
    }
    let table = resolved(&stack, args.show_secrets);
    if context.format() == Format::Json {
        context.screen.json(&table)?;
    } else {
        let text = toml::to_string(&table).map_err(|error| Error::from(anyhow::Error::from(error)))?;
        context.screen.data(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A stack as services.toml would say it.
pub fn resolved(stack: &Stack, secrets: bool) -> Table {
    let show = Show { stack, secrets };
    let services = stack.services.values().map(|service| (service.name.to_string(), show.service(service).into()));
    let volumes = stack.volumes.iter().map(|(key, volume)| (key.clone(), show.volume(volume).into()));
    let networks = stack.networks.iter().map(|(key, network)| (key.clone(), show.network(network).into()));
    let mut table = Table::new();
    table.insert("project".into(), stack.name.as_str().into());
    table.insert("services".into(), services.collect::<Table>().into());
    put(&mut table, "volumes", volumes.collect::<Table>());
    table.insert("networks".into(), networks.collect::<Table>().into());
    if let Some(aws) = &stack.aws.written {
        table.insert("aws".into(), show.aws(aws, false));
    }
    table
}

struct Show<'a> {
    stack: &'a Stack,
    secrets: bool,
}

/// Adds a key unless there is nothing to say.
fn put(table: &mut Table, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let nothing = match &value {
        Value::Array(items) => items.is_empty(),
        Value::Table(table) => table.is_empty(),
        _ => false,
    };
    if !nothing {
        table.insert(key.into(), value);
    }
}

/// A dollar sign is written twice, or it would be taken for a variable.
fn text(value: &str) -> String {
    value.replace('$', "$$")
}

fn list<'a>(values: impl IntoIterator<Item = &'a String>) -> Value {
    values.into_iter().map(|value| Value::from(text(value))).collect::<Vec<_>>().into()
}

impl Show<'_> {
    /// A part of `[aws]`; `secret`: what is in it is masked.
    fn aws(&self, value: &Value, secret: bool) -> Value {
        match value {
            Value::String(_) if secret && !self.secrets => secret::MASK.into(),
            Value::String(written) => text(written).into(),
            Value::Array(items) => items.iter().map(|item| self.aws(item, false)).collect::<Vec<_>>().into(),
            Value::Table(table) => {
                let entries = table.iter().map(|(key, value)| {
                    let hidden = matches!(key.as_str(), "secrets" | "users") || secret::is_secret_in_aws(table, key);
                    (key.clone(), self.aws(value, (secret || hidden) && key != "type"))
                });
                entries.collect::<Table>().into()
            }
            other => other.clone(),
        }
    }

    fn service(&self, service: &Service) -> Table {
        // A new field does not compile before it is shown below, or left out on purpose.
        let Service {
            name: _,
            place: _,
            kind: _,
            active: _,
            profiles: _,
            image: _,
            image_place: _,
            build: _,
            pull: _,
            platform: _,
            command: _,
            entrypoint: _,
            env: _,
            ports: _,
            mounts: _,
            tmpfs: _,
            depends_on: _,
            ready: _,
            own: _,
            watch: _,
            user: _,
            working_dir: _,
            hostname: _,
            networks: _,
            labels: _,
            init: _,
            read_only: _,
            shm_size: _,
            ulimits: _,
            cap_add: _,
            cap_drop: _,
            extra_hosts: _,
            dns: _,
            stop_signal: _,
            stop_timeout: _,
            stop_limit: _,
            restart: _,
            memory: _,
            nano_cpus: _,
            logging: _,
            exports: _,
            ready_hooks: _,
        } = service;
        let mut table = Table::new();
        put(&mut table, "kind", service.kind.as_str());
        put(&mut table, "image", text(&service.image));
        put(
            &mut table,
            "pull",
            match service.pull {
                crate::model::PullPolicy::Missing => "missing",
                crate::model::PullPolicy::Always => "always",
                crate::model::PullPolicy::Never => "never",
            },
        );
        self.process(service, &mut table);
        put(&mut table, "ports", service.ports.iter().map(|port| port_text(port).into()).collect::<Vec<Value>>());
        put(&mut table, "volumes", self.mounts(service));
        let tmpfs = service.tmpfs.iter().map(|tmpfs| match tmpfs.options.as_str() {
            "" => text(&tmpfs.target),
            options => text(&format!("{}:{options}", tmpfs.target)),
        });
        put(&mut table, "tmpfs", tmpfs.map(Value::from).collect::<Vec<_>>());
        put(&mut table, "networks", list(&service.networks));
        put(&mut table, "profiles", list(&service.profiles));
        self.engine_words(service, &mut table);
        // Tables last: a plain key after a `[table]` would belong to it.
        put(&mut table, "build", self.build(service));
        let env = service.env.iter().map(|(name, value)| {
            let shown = if self.secrets { value.value.as_str().into() } else { secret::shown(value) };
            (name.clone(), text(&shown).into())
        });
        put(&mut table, "env", env.collect::<Table>());
        let depends_on = service.depends_on.iter().map(|(name, condition)| {
            let condition = match condition {
                crate::model::Condition::Ready => "ready",
                crate::model::Condition::Started => "started",
            };
            (name.to_string(), condition.into())
        });
        put(&mut table, "depends_on", depends_on.collect::<Table>());
        put(&mut table, "ready", self.ready(service));
        put(&mut table, "watch", self.watch(service));
        put(
            &mut table,
            "exports",
            service.exports.iter().map(|(k, v)| (k.clone(), self.url(v).into())).collect::<Table>(),
        );
        let hooks = service.ready_hooks.iter().map(|words| self.words(words)).collect::<Vec<_>>();
        if !hooks.is_empty() {
            put(&mut table, "hooks", Table::from_iter([("ready".to_owned(), Value::from(hooks))]));
        }
        table
    }

    fn process(&self, service: &Service, table: &mut Table) {
        let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| self.words(words));
        let all = [("command", words(&service.command)), ("entrypoint", words(&service.entrypoint))];
        all.into_iter().for_each(|(key, value)| value.into_iter().for_each(|value| put(table, key, value)));
        let optional = [
            ("platform", &service.platform),
            ("user", &service.user),
            ("working_dir", &service.working_dir),
            ("hostname", &service.hostname),
            ("stop_signal", &service.stop_signal),
        ];
        for (key, value) in optional {
            value.iter().for_each(|value| put(table, key, text(value)));
        }
        // Written down it would hold exactly; without it, a server at work has until the limit.
        if service.stop_limit == service.stop_timeout {
            put(table, "stop_timeout", show_duration(service.stop_timeout));
        }
        put(
            table,
            "restart",
            match service.restart {
                RestartPolicy::No => "no".to_owned(),
                RestartPolicy::OnFailure(0) => "on-failure".to_owned(),
                RestartPolicy::OnFailure(times) => format!("on-failure:{times}"),
                RestartPolicy::Always => "always".to_owned(),
                RestartPolicy::UnlessStopped => "unless-stopped".to_owned(),
            },
        );
    }

    fn engine_words(&self, service: &Service, table: &mut Table) {
        put(table, "init", service.init);
        put(table, "read_only", service.read_only);
        service.shm_size.into_iter().for_each(|bytes| put(table, "shm_size", number(bytes)));
        put(table, "cap_add", list(&service.cap_add));
        put(table, "cap_drop", list(&service.cap_drop));
        put(table, "extra_hosts", list(&service.extra_hosts));
        put(table, "dns", list(&service.dns));
        put(table, "labels", service.labels.iter().map(|(k, v)| (k.clone(), text(v).into())).collect::<Table>());
        let ulimits = service.ulimits.iter().map(|(name, limit)| {
            let both = [("soft".to_owned(), limit.soft.into()), ("hard".to_owned(), limit.hard.into())];
            (name.clone(), Value::Table(Table::from_iter(both)))
        });
        put(table, "ulimits", ulimits.collect::<Table>());
        let mut resources = Table::new();
        service.memory.into_iter().for_each(|bytes| put(&mut resources, "memory", number(bytes)));
        #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
        service.nano_cpus.into_iter().for_each(|nano| put(&mut resources, "cpus", nano as f64 / 1e9));
        put(table, "resources", resources);
        let files = i64::from(service.logging.max_files).into();
        let logging =
            [("max_size".to_owned(), service.logging.max_size.as_str().into()), ("max_files".to_owned(), files)];
        put(table, "logging", Table::from_iter(logging));
    }

    fn mounts(&self, service: &Service) -> Vec<Value> {
        let mounts = service.mounts.iter().map(|mount| {
            let source = match &mount.source {
                MountSource::Volume(name) => Some(name.clone()),
                MountSource::Bind(path) | MountSource::View { of: path, .. } => Some(self.path(path)),
                MountSource::Anonymous => None,
            };
            let short = !mount.shared
                && !mount.target.contains(':')
                && !source.as_ref().is_some_and(|source| source.contains(':'));
            if short && (source.is_some() || !mount.read_only) {
                let source = source.map(|source| source + ":").unwrap_or_default();
                return Value::from(text(&format!(
                    "{source}{}{}",
                    mount.target,
                    if mount.read_only { ":ro" } else { "" }
                )));
            }
            let mut table = Table::new();
            source.iter().for_each(|source| put(&mut table, "source", text(source)));
            put(&mut table, "target", text(&mount.target));
            put(&mut table, "read_only", mount.read_only);
            if mount.shared {
                put(&mut table, "shared", true);
            }
            table.into()
        });
        mounts.collect()
    }

    /// Inside the project, a path is shown relative to it.
    fn path(&self, path: &std::path::Path) -> String {
        match path.strip_prefix(&self.stack.root) {
            Ok(inside) if inside.as_os_str().is_empty() => ".".into(),
            Ok(inside) => format!("./{}", inside.display()),
            Err(_) => path.display().to_string(),
        }
    }

    fn build(&self, service: &Service) -> Table {
        let mut table = Table::new();
        let Some(build) = &service.build else { return table };
        put(&mut table, "context", text(&self.path(&build.context)));
        put(&mut table, "dockerfile", text(&build.dockerfile));
        build.target.iter().for_each(|target| put(&mut table, "target", text(target)));
        put(&mut table, "cache_from", list(&build.cache_from));
        let args = build.args.iter().map(|(name, value)| {
            let masked = !self.secrets && secret::is_secret_name(name);
            (name.clone(), if masked { secret::MASK.into() } else { self.url(&text(value)).into() })
        });
        put(&mut table, "args", args.collect::<Table>());
        let secrets = build.secrets.iter().map(|(id, path)| (id.clone(), text(&self.path(path)).into()));
        put(&mut table, "secrets", secrets.collect::<Table>());
        table
    }

    fn ready(&self, service: &Service) -> Table {
        let mut table = Table::new();
        let port = |port: u16| i64::from(port);
        match &service.ready.probe {
            Probe::Postgres { port: number, .. } => put(&mut table, "postgres", port(*number)),
            Probe::Redis { port: number, .. } => put(&mut table, "redis", port(*number)),
            Probe::Smtp { port: number } => put(&mut table, "smtp", port(*number)),
            Probe::Http { port, path } => put(&mut table, "http", text(&format!("http://:{port}{path}"))),
            Probe::Tcp { ports } if ports.is_empty() => put(&mut table, "tcp", true),
            Probe::Tcp { ports } => {
                put(&mut table, "tcp", ports.iter().map(|p| port(*p).into()).collect::<Vec<Value>>());
            }
            Probe::Log { pattern } => put(&mut table, "log", text(pattern)),
            Probe::Exec { command } => put(&mut table, "exec", self.words(command)),
            Probe::Engine => put(&mut table, "engine", true),
            // What the kind defines and no key says.
            Probe::Localstack { .. } | Probe::Ministack { .. } | Probe::Mail { .. } | Probe::Exit | Probe::Auto => {}
        }
        put(&mut table, "timeout", show_duration(service.ready.timeout));
        service.ready.interval.into_iter().for_each(|interval| put(&mut table, "interval", show_duration(interval)));
        table
    }

    fn watch(&self, service: &Service) -> Vec<Value> {
        let rules = service.watch.iter().map(|rule| {
            let mut table = Table::new();
            put(&mut table, "path", text(&self.path(&rule.path)));
            put(
                &mut table,
                "action",
                match rule.action {
                    WatchAction::Restart => "restart",
                    WatchAction::Rebuild => "rebuild",
                    WatchAction::Sync => "sync",
                    WatchAction::SyncRestart => "sync+restart",
                    WatchAction::Exec => "exec",
                },
            );
            rule.target.iter().for_each(|target| put(&mut table, "target", text(target)));
            put(&mut table, "ignore", list(&rule.ignore));
            rule.command.iter().for_each(|words| put(&mut table, "command", self.words(words)));
            table.into()
        });
        rules.collect()
    }

    fn volume(&self, volume: &Volume) -> Table {
        let mut table = Table::new();
        put(&mut table, "name", text(&volume.name));
        put(&mut table, "external", volume.external);
        volume.driver.iter().for_each(|driver| put(&mut table, "driver", text(driver)));
        put(&mut table, "options", volume.options.iter().map(|(k, v)| (k.clone(), text(v).into())).collect::<Table>());
        put(&mut table, "labels", volume.labels.iter().map(|(k, v)| (k.clone(), text(v).into())).collect::<Table>());
        table
    }

    fn network(&self, network: &Network) -> Table {
        let mut table = Table::new();
        put(&mut table, "name", text(&network.name));
        put(&mut table, "external", network.external);
        network.driver.iter().for_each(|driver| put(&mut table, "driver", text(driver)));
        if !network.external {
            put(&mut table, "internal", network.internal);
        }
        network.subnet.iter().for_each(|subnet| put(&mut table, "subnet", text(subnet)));
        put(&mut table, "labels", network.labels.iter().map(|(k, v)| (k.clone(), text(v).into())).collect::<Table>());
        table
    }

    fn words(&self, words: &[String]) -> Value {
        let shown = if self.secrets { words.to_vec() } else { secret::mask_words(words) };
        list(&shown)
    }

    fn url(&self, text: &str) -> String {
        if self.secrets { text.into() } else { secret::mask_urls(text).into_owned() }
    }
}

fn number(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn port_text(port: &Port) -> String {
    let address = match port.address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    let host = port.host.map(|host| host.to_string()).unwrap_or_default();
    let protocol = if port.protocol == crate::model::Protocol::Udp { "/udp" } else { "" };
    format!("{address}:{host}:{}{protocol}", port.container)
}

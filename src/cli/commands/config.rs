//! `config`: the resolved configuration, with overrides, variables and defaults applied. The output of `--show-secrets`
//! can be read again and means the same.

mod lists;

use std::process::ExitCode;

use indexmap::IndexMap;
use toml::{Table, Value};

use crate::cli::Context;
use crate::cli::session::load;
use crate::cli::whole_file;
use crate::config::scalars::show_duration;
use crate::diag::{Error, Result};
use crate::model::options::Written;
use crate::model::{
    Build, Mount, MountSource, Network, Port, Probe, Readiness, Service, Stack, Volume, WatchRule, graph, secret,
};
use crate::ui::Format;

/// Show the resolved configuration, with overrides, variables and defaults applied
///
/// Passwords, tokens and keys are masked.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these services and their dependencies
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub names: Vec<String>,
    /// Show passwords, tokens and keys
    #[arg(long)]
    pub show_secrets: bool,
    /// Write to a file instead of stdout
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<std::path::PathBuf>,
    /// Only one kind of names.
    #[command(flatten)]
    pub list: lists::List,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let mut loaded = load(context)?;
    if !args.names.is_empty() {
        let named = args.names.iter().map(|name| loaded.stack.named(name)).collect::<Result<Vec<_>>>()?;
        let wanted: Vec<_> = graph::closure(&loaded.stack, &named).into_iter().cloned().collect();
        loaded.stack.services.retain(|name, _| wanted.contains(name));
    }
    if lists::show(&args.list, &loaded, args.show_secrets, context)? {
        return Ok(ExitCode::SUCCESS);
    }
    let stack = loaded.stack;
    // As with docker compose: the check alone.
    if context.global.quiet {
        return Ok(ExitCode::SUCCESS);
    }
    let table = resolved(&stack, args.show_secrets);
    if let Some(file) = &args.output {
        let text = match context.format() {
            Format::Json => serde_json::to_string_pretty(&table).map_err(anyhow::Error::from)? + "\n",
            _ => toml::to_string(&table).map_err(|error| Error::from(anyhow::Error::from(error)))?,
        };
        whole_file::write(file, text.as_bytes())?;
    } else if context.format() == Format::Json {
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

    #[expect(clippy::too_many_lines, reason = "a line for each field")]
    fn service(&self, service: &Service) -> Table {
        // Every field is named, so that a new one can't be forgotten.
        let Service {
            name: _,
            place: _,
            kind,
            active: _,
            profiles,
            image,
            image_place: _,
            build,
            pull,
            platform,
            command,
            entrypoint,
            env,
            ports,
            mounts,
            tmpfs,
            depends_on,
            ready,
            own: _,
            watch,
            user,
            working_dir,
            hostname,
            networks,
            labels,
            ulimits,
            extra_hosts,
            stop_signal,
            stop_timeout,
            stop_limit,
            restart,
            memory,
            nano_cpus,
            logging,
            exports,
            ready_hooks,
            options,
        } = service;
        let mut table = Table::new();
        put(&mut table, "kind", kind.as_str());
        put(&mut table, "image", text(image));
        put(&mut table, "pull", pull.as_str());
        for (key, words) in [("command", command), ("entrypoint", entrypoint)] {
            words.iter().for_each(|words| put(&mut table, key, self.words(words)));
        }
        let optional = [
            ("platform", platform),
            ("user", user),
            ("working_dir", working_dir),
            ("hostname", hostname),
            ("stop_signal", stop_signal),
        ];
        for (key, value) in optional {
            value.iter().for_each(|value| put(&mut table, key, text(value)));
        }
        // Written down it would hold exactly; without it, a server at work has until the limit.
        if stop_limit == stop_timeout {
            put(&mut table, "stop_timeout", show_duration(*stop_timeout));
        }
        put(&mut table, "restart", restart.to_string());
        put(&mut table, "ports", ports.iter().map(|port| port_text(port).into()).collect::<Vec<Value>>());
        put(&mut table, "volumes", self.mounts(mounts));
        let tmpfs = tmpfs.iter().map(|tmpfs| match tmpfs.options.as_str() {
            "" => text(&tmpfs.target),
            options => text(&format!("{}:{options}", tmpfs.target)),
        });
        put(&mut table, "tmpfs", tmpfs.map(Value::from).collect::<Vec<_>>());
        put(&mut table, "networks", list(networks));
        put(&mut table, "profiles", list(profiles));
        put(&mut table, "extra_hosts", list(extra_hosts));
        let (tables, plain): (Vec<_>, Vec<_>) = options
            .written()
            .into_iter()
            .map(|(key, value)| (key.own, option(value)))
            .partition(|(_, value)| value.is_table());
        plain.into_iter().for_each(|(key, value)| put(&mut table, key, value));
        // Tables last: a plain key after a `[table]` would belong to it.
        tables.into_iter().for_each(|(key, value)| put(&mut table, key, value));
        put(&mut table, "labels", pairs(labels));
        let ulimits = ulimits.iter().map(|(name, limit)| {
            let both = [("soft".to_owned(), limit.soft.into()), ("hard".to_owned(), limit.hard.into())];
            (name.clone(), Value::Table(Table::from_iter(both)))
        });
        put(&mut table, "ulimits", ulimits.collect::<Table>());
        put(&mut table, "resources", resources(*memory, *nano_cpus));
        let files = i64::from(logging.max_files).into();
        let logging = [("max_size".to_owned(), logging.max_size.as_str().into()), ("max_files".to_owned(), files)];
        put(&mut table, "logging", Table::from_iter(logging));
        build.iter().for_each(|build| put(&mut table, "build", self.build(build)));
        let env = env.iter().map(|(name, value)| {
            let shown = if self.secrets { value.value.as_str().into() } else { secret::shown(value) };
            (name.clone(), text(&shown).into())
        });
        put(&mut table, "env", env.collect::<Table>());
        let depends_on = depends_on.iter().map(|(name, condition)| (name.to_string(), condition.as_str().into()));
        put(&mut table, "depends_on", depends_on.collect::<Table>());
        put(&mut table, "ready", self.ready(ready));
        put(&mut table, "watch", self.watch(watch));
        let exports = exports.iter().map(|(name, template)| (name.clone(), self.url(template).into()));
        put(&mut table, "exports", exports.collect::<Table>());
        let hooks = ready_hooks.iter().map(|words| self.words(words)).collect::<Vec<_>>();
        if !hooks.is_empty() {
            put(&mut table, "hooks", Table::from_iter([("ready".to_owned(), Value::from(hooks))]));
        }
        table
    }

    fn mounts(&self, mounts: &[Mount]) -> Vec<Value> {
        let mounts = mounts.iter().map(|mount| {
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

    fn build(&self, build: &Build) -> Table {
        let mut table = Table::new();
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

    fn ready(&self, ready: &Readiness) -> Table {
        let mut table = Table::new();
        let port = |port: u16| i64::from(port);
        match &ready.probe {
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
        put(&mut table, "timeout", show_duration(ready.timeout));
        ready.interval.into_iter().for_each(|interval| put(&mut table, "interval", show_duration(interval)));
        table
    }

    fn watch(&self, rules: &[WatchRule]) -> Vec<Value> {
        let rules = rules.iter().map(|rule| {
            let mut table = Table::new();
            put(&mut table, "path", text(&self.path(&rule.path)));
            put(&mut table, "action", rule.action.as_str());
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
        put(&mut table, "options", pairs(&volume.options));
        put(&mut table, "labels", pairs(&volume.labels));
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
        put(&mut table, "labels", pairs(&network.labels));
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

fn pairs(pairs: &IndexMap<String, String>) -> Table {
    pairs.iter().map(|(name, value)| (name.clone(), text(value).into())).collect()
}

/// An option that the engine takes as it is written.
fn option(value: Written<'_>) -> Value {
    match value {
        Written::Flag => true.into(),
        Written::Text(value) => text(value).into(),
        Written::Number(number) => number.into(),
        Written::Bytes(bytes) => number(bytes).into(),
        Written::Set(texts) | Written::List(texts) => list(texts),
        Written::Pairs(all) => pairs(all).into(),
    }
}

fn resources(memory: Option<u64>, nano_cpus: Option<u64>) -> Table {
    let mut table = Table::new();
    memory.into_iter().for_each(|bytes| put(&mut table, "memory", number(bytes)));
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    nano_cpus.into_iter().for_each(|nano| put(&mut table, "cpus", nano as f64 / 1e9));
    table
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

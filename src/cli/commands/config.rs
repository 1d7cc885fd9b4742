//! `config`: the resolved configuration, with overrides, variables and defaults applied. The output of `--show-secrets`
//! can be read again and means the same.

mod lists;
mod parts;

use std::process::ExitCode;

use toml::{Table, Value};

use self::parts::{limits, list, number, option, pairs, port_text, put, resources, text};
use crate::cli::Context;
use crate::cli::session::load;
use crate::cli::whole_file;
use crate::config::scalars::show_duration;
use crate::diag::{Error, Result};
use crate::model::{
    Build, BuildOptions, HealthCheck, Hook, Hooks, Mount, MountOptions, MountSource, NamedContext, Probe, Readiness,
    Service, Stack, WatchRule, danger, graph, secret,
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
        let wanted = graph::with_dependencies(&loaded.stack, &loaded.stack.all_named(&args.names)?);
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
        let dangers = stack.written().filter_map(danger::line);
        let dangers = dangers.fold(String::new(), |all, line| all + "# " + &line + "\n");
        context.screen.data(&(dangers + &text))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A stack as services.toml would say it.
pub fn resolved(stack: &Stack, secrets: bool) -> Table {
    let show = Show { stack, secrets };
    let services = stack.written().map(|service| (service.name.to_string(), show.service(service).into()));
    let volumes = stack.volumes.iter().map(|(key, volume)| (key.clone(), parts::volume(volume).into()));
    let networks = stack.networks.iter().map(|(key, network)| (key.clone(), parts::network(network).into()));
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
            files,
            tmpfs,
            depends_on,
            ready,
            healthcheck,
            own: _,
            watch,
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
            stop_limit,
            restart,
            memory,
            nano_cpus,
            logging,
            exports,
            hooks,
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
            ("container_name", container_name),
            ("hostname", hostname),
            ("stop_signal", stop_signal),
        ];
        if *replicas != 1 {
            put(&mut table, "replicas", i64::from(*replicas));
        }
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
        put(&mut table, "ulimits", limits(ulimits));
        put(&mut table, "resources", resources(*memory, *nano_cpus));
        put(&mut table, "logging", parts::logging(logging));
        build.iter().for_each(|build| put(&mut table, "build", self.build(build)));
        let env = env.iter().map(|(name, value)| {
            let shown = if self.secrets { value.value.as_str().into() } else { secret::shown(value) };
            (name.clone(), text(&shown).into())
        });
        put(&mut table, "env", env.collect::<Table>());
        let is_written = |name: &crate::model::ServiceName| {
            self.stack.services.get(name).is_none_or(|other| other.replica.is_none())
        };
        let depends_on = depends_on.iter().filter(|(name, _)| is_written(name));
        put(&mut table, "depends_on", parts::dependencies(depends_on));
        let files = files.iter().map(|file| {
            let mut table = Table::new();
            put(&mut table, "target", text(&file.target));
            let masked = file.is_secret() && !self.secrets;
            put(&mut table, "content", if masked { secret::MASK.into() } else { text(&file.content) });
            put(&mut table, "mode", format!("{:04o}", file.mode));
            put(&mut table, "uid", i64::from(file.uid));
            put(&mut table, "gid", i64::from(file.gid));
            Value::from(table)
        });
        put(&mut table, "files", files.collect::<Vec<_>>());
        put(&mut table, "ready", self.ready(ready));
        healthcheck.iter().for_each(|check| put(&mut table, "healthcheck", self.health(check)));
        put(&mut table, "watch", self.watch(watch));
        let exports = exports.iter().map(|(name, template)| (name.clone(), self.url(template).into()));
        put(&mut table, "exports", exports.collect::<Table>());
        put(&mut table, "hooks", self.hooks(hooks));
        table
    }

    fn hooks(&self, hooks: &Hooks) -> Table {
        let mut table = Table::new();
        for (key, hooks) in hooks.named() {
            put(&mut table, key, hooks.iter().map(|hook| self.hook(hook)).collect::<Vec<_>>());
        }
        table
    }

    fn hook(&self, hook: &Hook) -> Value {
        let Hook { command, user, working_dir, env, privileged } = hook;
        let mut table = Table::new();
        for (key, value) in [("user", user), ("working_dir", working_dir)] {
            value.iter().for_each(|value| put(&mut table, key, text(value)));
        }
        if *privileged {
            put(&mut table, "privileged", true);
        }
        let env = env.iter().map(|(name, value)| {
            let masked = !self.secrets && secret::is_secret_name(name);
            (name.clone(), if masked { secret::MASK.into() } else { self.url(&text(value)).into() })
        });
        put(&mut table, "env", env.collect::<Table>());
        if table.is_empty() {
            return self.words(command);
        }
        put(&mut table, "command", self.words(command));
        table.into()
    }

    fn mounts(&self, mounts: &[Mount]) -> Vec<Value> {
        let mounts = mounts.iter().map(|mount| {
            let source = match &mount.source {
                MountSource::Volume(name) => Some(name.clone()),
                MountSource::Bind(path) | MountSource::View { of: path, .. } => Some(self.path(path)),
                MountSource::Anonymous | MountSource::Image(_) => None,
            };
            let (words, all_said) = mount.options.words();
            let image = if let MountSource::Image(image) = &mount.source { Some(image) } else { None };
            let short = !mount.shared
                && image.is_none()
                && all_said
                && !mount.target.contains(':')
                && !source.as_ref().is_some_and(|source| source.contains(':'));
            if short && (source.is_some() || !mount.read_only) {
                let source = source.map(|source| source + ":").unwrap_or_default();
                let words: Vec<&str> = mount.read_only.then_some("ro").into_iter().chain(words).collect();
                let colon = if words.is_empty() { "" } else { ":" };
                return Value::from(text(&format!("{source}{}{colon}{}", mount.target, words.join(","))));
            }
            let mut table = Table::new();
            source.iter().for_each(|source| put(&mut table, "source", text(source)));
            image.iter().for_each(|image| put(&mut table, "image", text(image)));
            put(&mut table, "target", text(&mount.target));
            put(&mut table, "read_only", mount.read_only);
            let MountOptions { propagation, no_copy, subpath, create, selinux, recursive } = &mount.options;
            for (key, on) in [("shared", mount.shared), ("nocopy", *no_copy), ("create_host_path", *create)] {
                if on {
                    put(&mut table, key, true);
                }
            }
            let texts =
                [("propagation", propagation), ("subpath", subpath), ("selinux", selinux), ("recursive", recursive)];
            for (key, value) in texts {
                value.iter().for_each(|value| put(&mut table, key, text(value)));
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
        match &build.inline {
            Some(dockerfile) => put(&mut table, "dockerfile_inline", text(dockerfile)),
            None => put(&mut table, "dockerfile", text(&build.dockerfile)),
        }
        build.target.iter().for_each(|target| put(&mut table, "target", text(target)));
        let written = |context: &NamedContext| text(&context.written(|folder| self.path(folder)));
        let contexts = build.contexts.iter().map(|(name, context)| (name.clone(), written(context).into()));
        put(&mut table, "additional_contexts", contexts.collect::<Table>());
        put(&mut table, "cache_from", list(&build.cache_from));
        let args = build.args.iter().map(|(name, value)| {
            let masked = !self.secrets && secret::is_secret_name(name);
            (name.clone(), if masked { secret::MASK.into() } else { self.url(&text(value)).into() })
        });
        put(&mut table, "args", args.collect::<Table>());
        let BuildOptions {
            tags,
            labels,
            network,
            extra_hosts,
            shm_size,
            no_cache,
            pull,
            ulimits,
            inline_cache,
            ssh: _,
        } = &build.options;
        if *inline_cache {
            put(&mut table, "cache_to", vec![Value::from("type=inline")]);
        }
        let agents = build.options.written_ssh(|socket| self.path(socket));
        put(&mut table, "ssh", agents.map(|agent| Value::from(text(&agent))).collect::<Vec<_>>());
        put(&mut table, "tags", list(tags));
        put(&mut table, "extra_hosts", list(extra_hosts));
        network.iter().for_each(|network| put(&mut table, "network", text(network)));
        shm_size.iter().for_each(|size| put(&mut table, "shm_size", number(*size)));
        for (key, on) in [("no_cache", *no_cache), ("pull", *pull)] {
            if on {
                put(&mut table, key, true);
            }
        }
        put(&mut table, "ulimits", limits(ulimits));
        put(&mut table, "labels", pairs(labels));
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

    fn health(&self, check: &HealthCheck) -> Table {
        let mut table = Table::new();
        put(&mut table, "test", self.words(&check.test));
        check.times().for_each(|(key, time)| put(&mut table, key, show_duration(time)));
        check.retries.iter().for_each(|retries| put(&mut table, "retries", i64::from(*retries)));
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

    fn words(&self, words: &[String]) -> Value {
        let shown = if self.secrets { words.to_vec() } else { secret::mask_words(words) };
        list(&shown)
    }

    fn url(&self, text: &str) -> String {
        if self.secrets { text.into() } else { secret::mask_urls(text).into_owned() }
    }
}

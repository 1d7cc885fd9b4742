//! The service that a one-off container is made of: the one of services.toml, with what the command line says instead.

use std::path::{Path, PathBuf};

use crate::cli::inside;
use crate::config::mounts::MountSpec;
use crate::config::ports::Ports;
use crate::config::scalars::words;
use crate::diag::{Error, ErrorKind, Result};
use crate::load;
use crate::model::{EnvValue, Mount, MountSource, Port, Service, ServiceName, Stack, fingerprint_of, secret};

/// What differs in a one-off container from its service.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Like {
    /// Set an environment variable; NAME alone passes its value from this environment
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = inside::variable)]
    pub env: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIRECTORY")]
    pub workdir: Option<String>,
    /// Run as this user (and group)
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Override the image's entrypoint; COMMAND becomes its arguments
    #[arg(long, value_name = "COMMAND", value_parser = words)]
    pub entrypoint: Option<Words>,
    /// Publish a port, as in services.toml; repeatable
    #[arg(short, long, value_name = "[HOST:]PORT", value_parser = Ports::parse)]
    pub publish: Vec<Ports>,
    /// Also publish the service's ports
    #[arg(short = 'P', long)]
    pub service_ports: bool,
    /// Set a label; repeatable
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = label)]
    pub label: Vec<String>,
    /// Read environment variables from a file; repeatable
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub env_from_file: Vec<PathBuf>,
    /// Add a Linux capability; repeatable
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Drop a Linux capability; repeatable
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// Mount an additional volume or folder, as in services.toml; repeatable
    #[arg(short, long, value_name = "SOURCE:TARGET[:ro]", value_parser = MountSpec::parse)]
    pub volume: Vec<MountSpec>,
}

/// Checks a `--label`. Ours say whose the container is.
fn label(text: &str) -> Result<String, String> {
    match text.split('=').next() {
        Some("") | None => Err("NAME=VALUE".into()),
        Some(name) if name.starts_with("dev.taskava.") => Err("labels of dev.taskava are taskava's own".into()),
        Some(_) => Ok(text.into()),
    }
}

/// The words of a command line. (clap would take a list for a repeated option.)
type Words = Vec<String>;

/// The service a container is made of.
///
/// # Errors
/// When a mount names a volume that the stack does not have.
pub(super) fn service(args: &Like, stack: &Stack, name: &ServiceName, command: &[String]) -> Result<Service> {
    let mut service = stack.services[name].clone();
    if let Some(entrypoint) = &args.entrypoint {
        service.entrypoint = Some(entrypoint.clone());
        service.command = None;
    }
    if !command.is_empty() {
        service.command = Some(command.to_vec());
    }
    let mut variable = |name: &str, value: &str, origin: &str| {
        let secret = secret::is_secret_name(name);
        service.env.insert(name.into(), EnvValue { value: value.into(), origin: vec![origin.into()], secret });
    };
    for file in &args.env_from_file {
        for (name, value) in load::read_env_file(file)? {
            variable(&name, &value, &file.display().to_string());
        }
    }
    for written in inside::variables(&args.env) {
        let (name, value) = written.split_once('=').unwrap_or((&written, ""));
        variable(name, value, "-e");
    }
    for label in &args.label {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        service.labels.insert(name.into(), value.into());
    }
    service.options.cap_add.extend(args.cap_add.iter().cloned());
    service.options.cap_drop.extend(args.cap_drop.iter().cloned());
    service.working_dir = args.workdir.clone().or(service.working_dir);
    service.user = args.user.clone().or(service.user);
    if !args.service_ports {
        service.ports.clear();
    }
    service.ports.extend(args.publish.iter().flat_map(ports));
    for spec in &args.volume {
        let mount = mount(stack, spec)?;
        service.mounts.retain(|other| other.target != mount.target);
        service.mounts.push(mount);
    }
    Ok(service)
}

fn ports(spec: &Ports) -> impl Iterator<Item = Port> {
    let host = |index| spec.host.clone().and_then(|mut host| host.nth(index));
    spec.container.clone().enumerate().map(move |(index, container)| Port {
        address: spec.address,
        host: host(index),
        through: None,
        chosen: None,
        container,
        protocol: spec.protocol,
        place: None,
    })
}

/// A path is one of here, as for docker; in services.toml it is one of the stack's folder.
fn mount(stack: &Stack, spec: &MountSpec) -> Result<Mount> {
    let usage = |message: String| Error::new(ErrorKind::Usage, message);
    if !spec.target.starts_with('/') {
        return Err(usage(format!("`{}` is not an absolute path inside the container", spec.target)));
    }
    let source = match spec.source.as_deref() {
        None => MountSource::Anonymous,
        Some(source) if source.starts_with(['.', '/', '~']) => {
            let path = absolute(source)?;
            if !path.exists() {
                return Err(usage(format!("{} does not exist", path.display())).hint("make it first"));
            }
            MountSource::Bind(path)
        }
        Some(short) if stack.volumes.contains_key(short) => MountSource::Volume(short.into()),
        Some(other) => {
            let names: Vec<&str> = stack.volumes.keys().map(String::as_str).collect();
            let hint =
                if names.is_empty() { "the stack has none".into() } else { format!("there are: {}", names.join(", ")) };
            let error = usage(format!("no volume `{other}` in {}", stack.name)).hint(hint);
            return Err(error.hint(format!("if it is a path, write ./{other}")));
        }
    };
    let MountSpec { target, read_only, shared, options, .. } = spec.clone();
    Ok(Mount { source, target, read_only, shared, options, place: None })
}

fn absolute(source: &str) -> Result<PathBuf> {
    let path = match (source.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(source),
    };
    // The engine knows no folder that one is in.
    let path = std::path::absolute(path)?;
    Ok(std::fs::canonicalize(&path).unwrap_or_else(|_| Path::new(&path).to_owned()))
}

/// A name of its own: several may run at once.
pub(super) fn name(stack: &Stack, service: &Service) -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    let unique = fingerprint_of(format!("{now} {}", std::process::id()).as_bytes());
    format!("{}-run-{}", stack.container_name(&service.name), &unique[..8])
}

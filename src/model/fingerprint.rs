//! What of a service matters to its container, field by field: so that a change can be seen and named.
//!
//! What only concerns us (`depends_on`, `ready`, `watch`, `profiles`, `exports`, `hooks`, `stop_timeout`, `pull`) is not in
//! it. Fields at their default are left out, so that a key that is new in a later version doesn't recreate everything.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::{Build, MountSource, Network, RestartPolicy, Service, Stack, fingerprint_of};

/// Field as in services.toml → 8 hex digits of the SHA-256 of its canonical text.
pub fn fingerprint(stack: &Stack, service: &Service) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut add = |field: &str, text: String| {
        if !text.is_empty() {
            fields.insert(field.to_owned(), short(&text));
        }
    };
    add("image", service.image.clone());
    add("build", service.build.as_ref().map(|build| build_text(stack, build)).unwrap_or_default());
    add("platform", service.platform.clone().unwrap_or_default());
    add("command", service.command.as_deref().map(words).unwrap_or_default());
    add("entrypoint", service.entrypoint.as_deref().map(words).unwrap_or_default());
    for (name, value) in &service.env {
        // An empty value is a value: the marker keeps it in.
        add(&format!("env.{name}"), format!("={}", value.value));
    }
    add("ports", ports(service));
    add("volumes", mounts(stack, service));
    add("tmpfs", lines(service.tmpfs.iter().map(|tmpfs| format!("{}:{}", tmpfs.target, tmpfs.options))));
    add("networks", networks(stack, service));
    add("user", service.user.clone().unwrap_or_default());
    add("working_dir", service.working_dir.clone().unwrap_or_default());
    add("hostname", service.hostname.clone().unwrap_or_default());
    add("labels", lines(service.labels.iter().map(|(name, value)| format!("{name}={value}"))));
    add("init", if service.init { "true".into() } else { String::new() });
    add("shm_size", service.shm_size.map(|bytes| bytes.to_string()).unwrap_or_default());
    add("ulimits", lines(service.ulimits.iter().map(|(name, limit)| format!("{name}={}:{}", limit.soft, limit.hard))));
    add("cap_add", lines(service.cap_add.iter().cloned()));
    add("cap_drop", lines(service.cap_drop.iter().cloned()));
    add("extra_hosts", lines(service.extra_hosts.iter().cloned()));
    add("dns", service.dns.join("\n"));
    add("stop_signal", service.stop_signal.clone().unwrap_or_default());
    add("restart", restart(service.restart));
    add("resources", resources(service));
    let logging = &service.logging;
    let default = logging.max_size == "10m" && logging.max_files == 3;
    add("logging", if default { String::new() } else { format!("{} {}", logging.max_size, logging.max_files) });
    fields
}

/// What of a network matters to the engine, as one hash. Two that differ mean that it must be made anew.
pub fn network(network: &Network) -> String {
    let driver = network.driver.as_deref().unwrap_or_default();
    let subnet = network.subnet.as_deref().unwrap_or_default();
    let labels = lines(network.labels.iter().map(|(name, value)| format!("{name}={value}")));
    short(&format!("{driver}\n{}\n{subnet}\n{labels}", network.internal))
}

/// The fields that differ between two fingerprints, sorted.
pub fn changed(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut fields: Vec<String> =
        old.keys().chain(new.keys()).filter(|field| old.get(*field) != new.get(*field)).cloned().collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}

fn short(text: &str) -> String {
    let mut digest = fingerprint_of(text.as_bytes());
    digest.truncate(8);
    digest
}

/// Each word with its length, so that no two lists have the same text.
fn words(words: &[String]) -> String {
    words.iter().fold("words".into(), |mut text, word| {
        let _ = write!(text, " {}:{word}", word.len());
        text
    })
}

/// The order of these doesn't matter to the container.
fn lines(lines: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Inside the project, a path is the same wherever the checkout lies.
fn path(stack: &Stack, path: &Path) -> String {
    match path.strip_prefix(&stack.root) {
        Ok(inside) => format!("./{}", inside.display()),
        Err(_) => path.display().to_string(),
    }
}

fn build_text(stack: &Stack, build: &Build) -> String {
    let args = lines(build.args.iter().map(|(name, value)| format!("{name}={value}")));
    let target = build.target.as_deref().unwrap_or_default();
    format!("{}\n{}\n{target}\n{args}", path(stack, &build.context), build.dockerfile)
}

fn ports(service: &Service) -> String {
    lines(service.ports.iter().map(|port| {
        let host = port.host.map(|host| host.to_string()).unwrap_or_default();
        format!("{}:{host}:{}/{}", port.address, port.container, port.protocol.as_str())
    }))
}

fn mounts(stack: &Stack, service: &Service) -> String {
    lines(service.mounts.iter().map(|mount| {
        let source = match &mount.source {
            MountSource::Volume(name) => {
                stack.volumes.get(name).map_or_else(|| name.clone(), |volume| volume.name.clone())
            }
            MountSource::Bind(source) => path(stack, source),
            MountSource::Anonymous => String::new(),
        };
        format!("{source}:{}:{}", mount.target, if mount.read_only { "ro" } else { "rw" })
    }))
}

fn networks(stack: &Stack, service: &Service) -> String {
    if service.networks == ["default"] && stack.networks.get("default").is_none_or(|network| !network.external) {
        return String::new();
    }
    lines(
        service
            .networks
            .iter()
            .map(|name| stack.networks.get(name).map_or_else(|| name.clone(), |network| network.name.clone())),
    )
}

fn restart(policy: RestartPolicy) -> String {
    match policy {
        RestartPolicy::No => String::new(),
        RestartPolicy::OnFailure(times) => format!("on-failure:{times}"),
        RestartPolicy::Always => "always".into(),
        RestartPolicy::UnlessStopped => "unless-stopped".into(),
    }
}

fn resources(service: &Service) -> String {
    match (service.memory, service.nano_cpus) {
        (None, None) => String::new(),
        (memory, cpus) => format!("{} {}", memory.unwrap_or(0), cpus.unwrap_or(0)),
    }
}

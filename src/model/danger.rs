//! What gives a service more power over the engine's machine than a container has otherwise.

use super::{MountSource, Service};

/// Capabilities with which what runs in a container can leave it.
const MIGHTY: [&str; 6] = ["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH"];

/// What it has, in the words of services.toml; nothing for most.
pub fn of(service: &Service) -> Vec<String> {
    let options = &service.options;
    let mut found = Vec::new();
    if options.privileged {
        found.push("privileged".to_owned());
    }
    if service.hooks.all().any(|hook| hook.privileged) {
        found.push("privileged hooks".to_owned());
    }
    let namespaces = [
        ("network_mode", &options.network_mode),
        ("pid", &options.pid),
        ("ipc", &options.ipc),
        ("userns", &options.userns),
        ("cgroup", &options.cgroup),
    ];
    let hosts = namespaces.into_iter().filter(|(_, written)| written.as_deref() == Some("host"));
    found.extend(hosts.map(|(key, _)| format!("{key} = \"host\"")));
    for mount in &service.mounts {
        if let MountSource::Bind(path) = &mount.source {
            if path.file_name().is_some_and(|name| name == "docker.sock" || name == "podman.sock") {
                found.push("the Docker socket".into());
            } else if path.parent().is_none() {
                found.push("all files of the machine".into());
            }
        }
    }
    let mighty = options.cap_add.iter().filter(|name| MIGHTY.contains(&name.trim_start_matches("CAP_")));
    found.extend(mighty.map(|name| format!("cap_add {name}")));
    if !options.devices.is_empty() {
        found.push(format!("devices {}", options.devices.join(", ")));
    }
    let unconfined = options.security_opt.iter().filter(|option| option.contains("unconfined"));
    found.extend(unconfined.map(|option| format!("security_opt {option}")));
    found
}

/// A line about it; none where there is nothing.
pub fn line(service: &Service) -> Option<String> {
    let found = of(service);
    let name = &service.name;
    (!found.is_empty()).then(|| format!("{name} has power over this machine: {}", found.join(", ")))
}

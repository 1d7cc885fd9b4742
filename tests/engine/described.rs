//! A container in words of its own, for comparing those that two tools made.

use std::collections::BTreeMap;

use bollard::models::{ContainerInspectResponse, DeviceMapping};
use serde_json::{Value, json};

/// What services.toml calls a service of a fixture.
pub(crate) fn our_name(name: &str) -> String {
    name.to_lowercase().replace('.', "-").trim_start_matches('_').to_owned()
}

#[expect(clippy::too_many_lines, reason = "a line for each field")]
pub(crate) fn describe(
    seen: &ContainerInspectResponse,
    labels: &std::collections::HashMap<String, String>,
    project: &str,
    separator: char,
) -> Value {
    let config = seen.config.clone().unwrap_or_default();
    let host = seen.host_config.clone().unwrap_or_default();
    let own = |name: &str| {
        let name = name.to_owned();
        name.strip_prefix(&format!("{project}{separator}")).map_or(name.clone(), |short| format!("[own]{short}"))
    };
    let image = config.image.clone().unwrap_or_default();
    // What is built is called by the project and the service, or as the file says.
    let image = image.strip_prefix(&format!("{project}-")).map_or(image.clone(), |rest| format!("[own]{rest}"));
    let image = image.trim_end_matches(":latest").replace(&format!("{}/", project.trim_end_matches('p')), "[own]/");
    let mut env = config.env.unwrap_or_default();
    env.sort();
    // Of ours, where the file leaves the host port open, one is chosen.
    let chosen: BTreeMap<String, u16> =
        labels.get("dev.taskava.chosen-ports").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut ports = Vec::new();
    for (container, bindings) in host.port_bindings.unwrap_or_default() {
        for binding in bindings.unwrap_or_default() {
            let address = binding.host_ip.filter(|address| !address.is_empty()).unwrap_or_else(|| "0.0.0.0".into());
            let host = binding.host_port.unwrap_or_default();
            let is_chosen = chosen.get(&container).is_some_and(|port| port.to_string() == host);
            ports.push(format!("{address}:{}:{container}", if is_chosen { "" } else { &host }));
        }
    }
    ports.sort();
    let mut mounts = Vec::new();
    for mount in seen.mounts.clone().unwrap_or_default() {
        let name = mount.name.clone().unwrap_or_default();
        // Ours have a name on the engine, by which they are found again.
        let is_digest = |word: &str| word.len() == 12 && word.chars().all(|c| c.is_ascii_hexdigit());
        // Ours have a name on the engine, by which they are found again.
        let anonymous = name.len() == 64 || name.rsplit('-').next().is_some_and(is_digest);
        let source = match mount.name {
            Some(_) if anonymous => "[anonymous]".to_owned(),
            Some(name) => own(&name),
            None => mount.source.unwrap_or_default(),
        };
        let kind = mount.typ.unwrap_or_default();
        let target = mount.destination.unwrap_or_default();
        // A memory file system is one, whichever way it was asked for.
        if kind == "tmpfs" {
            mounts.push(format!("tmpfs {target}"));
        } else {
            mounts.push(format!("{kind} {source} {target} {}", if mount.rw == Some(false) { "ro" } else { "rw" }));
        }
    }
    mounts.extend(host.tmpfs.unwrap_or_default().into_keys().map(|target| format!("tmpfs {target}")));
    mounts.sort();
    mounts.dedup();
    let networks = seen.network_settings.clone().and_then(|settings| settings.networks).unwrap_or_default();
    let mut networks: Vec<String> = networks.keys().map(|name| own(name)).collect();
    networks.sort();
    let id = seen.id.clone().unwrap_or_default();
    let mut extra_hosts = host.extra_hosts.unwrap_or_default();
    extra_hosts.sort();
    let tools = ["com.docker.compose.", "dev.taskava.", "desktop.docker.io"];
    let theirs: BTreeMap<_, _> =
        labels.iter().filter(|(name, _)| !tools.iter().any(|tool| name.starts_with(tool))).collect();
    let ulimits: BTreeMap<_, _> = host
        .ulimits
        .unwrap_or_default()
        .into_iter()
        .map(|limit| (limit.name.unwrap_or_default(), (limit.soft, limit.hard)))
        .collect();
    let depends_on = labels.get("com.docker.compose.depends_on").cloned().unwrap_or_default();
    let depends_on: BTreeMap<String, String> = depends_on
        .split(',')
        .filter_map(|one| one.split_once(':'))
        .map(|(name, rest)| (our_name(name), rest.split(':').next().unwrap_or_default().to_owned()))
        .collect();
    let device = |device: DeviceMapping| {
        let [on_host, inside, how] =
            [device.path_on_host, device.path_in_container, device.cgroup_permissions].map(Option::unwrap_or_default);
        format!("{on_host}:{inside}:{how}")
    };
    let devices = sorted(host.devices.unwrap_or_default().into_iter().map(device).collect());
    let restart = host.restart_policy.map(|policy| {
        let name = policy.name.map(|name| name.to_string()).unwrap_or_default();
        (if name.is_empty() { "no".into() } else { name }, policy.maximum_retry_count.unwrap_or(0))
    });
    // Apart: a macro only takes so many.
    let more = json!({
        "network_mode": host.network_mode.clone().filter(|mode| mode != "default" && !mode.contains(project)).map(|mode| without_id(Some(mode))),
        "healthcheck": config.healthcheck.and_then(|check| check.test).filter(|test| test != &["NONE"]),
        "annotations": host.annotations,
        "gpus": host.device_requests.map(|all| all.len()),
        "cpu": [host.cpu_period, host.cpu_quota, host.memory_swap, host.memory_swappiness],
        "logging": host.log_config.and_then(|log| log.typ).filter(|driver| driver != "json-file"),
    });
    let namespaces = [host.pid_mode, host.ipc_mode, host.uts_mode, host.userns_mode, host.cgroup_parent];
    let namespaces = namespaces.map(without_id);
    json!({
        "image": image,
        "env": env,
        "command": config.cmd,
        "entrypoint": config.entrypoint.filter(|words| words.iter().any(|word| !word.is_empty())),
        "ports": ports,
        "mounts": mounts,
        "depends_on": depends_on,
        "networks": networks,
        "user": config.user,
        "working_dir": config.working_dir,
        "hostname": config.hostname.filter(|name| !id.starts_with(name) && host.network_mode.as_deref() != Some("host")),
        "labels": theirs,
        "stop_signal": config.stop_signal,
        "restart": restart,
        "memory": host.memory,
        "cpus": host.nano_cpus,
        "shm_size": host.shm_size,
        "ulimits": ulimits,
        "cap_add": capabilities(host.cap_add),
        "cap_drop": capabilities(host.cap_drop),
        "extra_hosts": extra_hosts,
        "dns": host.dns.filter(|servers| !servers.is_empty()),
        "init": host.init,
        "read_only": host.readonly_rootfs.unwrap_or_default(),
        "privileged": host.privileged.unwrap_or_default(),
        "security_opt": host.security_opt.map(sorted),
        "devices": devices,
        "device_cgroup_rules": host.device_cgroup_rules,
        "sysctls": host.sysctls.filter(|all| !all.is_empty()),
        "namespaces": namespaces,
        "group_add": host.group_add.map(sorted),
        "runtime": host.runtime,
        "terminal": [config.tty, config.open_stdin],
        "limits": [
            host.memory_reservation, host.pids_limit, host.oom_score_adj, host.cpu_shares,
            host.oom_kill_disable.map(i64::from)
        ],
        "cpuset": host.cpuset_cpus,
        "domainname": config.domainname,
        "dns_search": host.dns_search.filter(|all| !all.is_empty()),
        "dns_opt": host.dns_options.filter(|all| !all.is_empty()),
        "more": more,
    })
}

/// Another container is named by an ID, which the two tools do not share.
fn without_id(namespace: Option<String>) -> Option<String> {
    namespace.map(|name| name.split_once(':').map_or(name.clone(), |(kind, _)| format!("{kind}:[id]")))
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

/// Without the prefix that one tool writes and the other does not.
fn capabilities(names: Option<Vec<String>>) -> Vec<String> {
    let plain = |name: String| name.trim_start_matches("CAP_").to_owned();
    names.unwrap_or_default().into_iter().map(plain).collect()
}

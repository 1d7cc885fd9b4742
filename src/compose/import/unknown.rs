//! Keys of Compose without a counterpart, and what to do about each.

use crate::compose::yaml::Node;

/// What to do about a key of a service; none when it changes nothing.
pub(super) fn of_service(key: &str, node: &Node) -> Option<&'static str> {
    let off = node.boolean() == Some(false);
    Some(match key {
        // These are defaults, or only concern how Compose shows things.
        "privileged" | "tty" | "stdin_open" | "oom_kill_disable" | "use_api_socket" if off => {
            return None;
        }
        "attach" => return None,
        "scale" if node.raw() == Some("1") => return None,
        "expose" => return None,
        "privileged" => "grant what it needs one by one with `cap_add`",
        "tty" | "stdin_open" => "only `taskava dev run` and `exec` have a terminal",
        "devices" | "device_cgroup_rules" | "gpus" => {
            "devices are not passed on; run what needs them outside of the stack"
        }
        "security_opt" | "userns_mode" | "cgroup" | "cgroup_parent" | "isolation" => "the engine's own settings apply",
        "sysctls" => "set them on the engine's machine, or leave them out for development",
        "pid" | "ipc" | "uts" => "each container has its own",
        "group_add" => "name the group in `user = \"uid:gid\"`",
        "domainname" => "write the whole name in `hostname`",
        "mac_address" => "the engine chooses one",
        "dns_search" | "dns_opt" => "use full host names",
        "runtime" => "set the engine's default runtime",
        "scale" => "there is one container a service",
        "volumes_from" => "write the other service's `volumes` here too",
        "external_links" => "join the other container's network: declare it under `[networks]` with `external = true`",
        "cpu_shares" | "cpu_quota" | "cpu_period" | "cpu_count" | "cpu_percent" | "cpu_rt_runtime"
        | "cpu_rt_period" | "cpuset" => "limit it with `resources = { cpus = … }`",
        "mem_reservation" | "memswap_limit" | "mem_swappiness" | "oom_score_adj" | "oom_kill_disable" => {
            "limit it with `resources = { memory = … }`"
        }
        "pids_limit" | "blkio_config" | "storage_opt" => "`resources` limits memory and CPU only",
        "pre_stop" => "handle the stop signal in the service",
        "label_file" => "write the labels under `labels`",
        "annotations" => "use `labels`",
        "provider" | "models" => "run what it provides outside of the stack, and give its address in `env`",
        "use_api_socket" => "mount the socket: volumes = [\"/var/run/docker.sock:/var/run/docker.sock\"]",
        "credential_spec" => "it only exists on Windows",
        "volume_driver" => "name the driver under `[volumes.NAME]`",
        _ => "it is not a key of the Compose specification; remove it",
    })
}

/// What to do about a key at the top of the file.
pub(super) fn top_level(key: &str) -> &'static str {
    match key {
        "models" => "run the model outside of the stack, and give its address in `env`",
        "include" => "write what it includes into services.toml",
        _ => "it is not a key of the Compose specification; remove it",
    }
}

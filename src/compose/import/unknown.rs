//! Keys of Compose without a counterpart, and what to do about each.

use crate::compose::yaml::Node;

/// What to do about a key of a service; none when it changes nothing.
pub(super) fn of_service(key: &str, node: &Node) -> Option<&'static str> {
    let off = node.boolean() == Some(false);
    Some(match key {
        // These are defaults, or only concern how Compose shows things.
        "use_api_socket" if off => return None,
        "attach" => return None,
        "scale" if node.raw() == Some("1") => return None,
        "expose" => return None,
        "gpus" => "GPUs are not passed on; run what needs them outside of the stack",
        "cgroup" | "isolation" => "the engine's own settings hold",
        "mac_address" => "the engine chooses one",
        "scale" => "there is one container a service",
        "volumes_from" => "write the other service's `volumes` here too",
        "external_links" => "join the other container's network: declare it under `[networks]` with `external = true`",
        "cpu_quota" | "cpu_period" | "cpu_count" | "cpu_percent" | "cpu_rt_runtime" | "cpu_rt_period" => {
            "limit it with `resources = { cpus = … }`"
        }
        "memswap_limit" | "mem_swappiness" => "limit it with `resources = { memory = … }`",
        "blkio_config" | "storage_opt" => "`resources` limits memory and CPU only",
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

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
        "isolation" | "cpu_count" | "cpu_percent" => "it only exists on Windows",
        "scale" => "there is one container a service",
        "external_links" => "join the other container's network: declare it under `[networks]` with `external = true`",
        "label_file" => "write the labels under `labels`",
        "provider" | "models" => "run what it provides outside of the stack, and give its address in `env`",
        "use_api_socket" => "mount the socket: volumes = [\"/var/run/docker.sock:/var/run/docker.sock\"]",
        "credential_spec" => "it only exists on Windows",
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

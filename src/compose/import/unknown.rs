//! Keys of Compose without a counterpart, and what to do about each.

use crate::compose::yaml::Node;

/// One line for all places that name models.
const MODELS: &str = "run the model outside of the stack, and give its address in `env`";

/// What to do about a key of a service; none when it changes nothing.
pub(super) fn of_service(key: &str, node: &Node) -> Option<&'static str> {
    let off = node.boolean() == Some(false);
    Some(match key {
        // These are defaults, or only concern how Compose shows things.
        "use_api_socket" if off => return None,
        "attach" => return None,
        "isolation" | "cpu_count" | "cpu_percent" => "it only exists on Windows",
        "models" => MODELS,
        "provider" => "run what it provides outside of the stack, and give its address in `env`",
        "use_api_socket" => "mount the socket: volumes = [\"/var/run/docker.sock:/var/run/docker.sock\"]",
        "credential_spec" => "it only exists on Windows",
        _ => "it is not a key of the Compose specification; remove it",
    })
}

/// What to do about a key at the top of the file.
pub(super) fn top_level(key: &str) -> &'static str {
    match key {
        "models" => MODELS,
        "include" => "write what it includes into services.toml",
        _ => "it is not a key of the Compose specification; remove it",
    }
}

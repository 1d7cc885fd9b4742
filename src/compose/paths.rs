//! Relative paths of a Compose file that is in another folder than the result: where they start, and how they are shown.

use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;

use super::yaml::{Entry, Node, Value};

pub(super) fn entries(node: &mut Node) -> Option<&mut IndexMap<String, Entry>> {
    if let Value::Map(map) = &mut node.value { Some(map) } else { None }
}

/// A path as it is shown.
pub(super) fn shown(path: &Path, here: &Path) -> String {
    let here = here.canonicalize().unwrap_or_else(|_| here.to_path_buf());
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// The way from one folder to another, such as `../shared`; empty when they are the same.
pub(super) fn relative(from: &Path, to: &Path) -> PathBuf {
    let plain = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let (from, to) = (plain(from), plain(to));
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

/// Makes the relative paths of a service start elsewhere.
pub(super) fn rebase(service: &mut Node, prefix: &Path) {
    if prefix.as_os_str().is_empty() {
        return;
    }
    let Some(map) = entries(service) else { return };
    for (key, entry) in map {
        let node = &mut entry.node;
        match (key.as_str(), &mut node.value) {
            ("build", Value::Scalar { .. }) => rebase_text(node, prefix, true),
            ("build", Value::Map(_)) => rebase_key(node, "context", prefix),
            ("env_file" | "label_file", Value::List(items)) => {
                for item in items {
                    match &item.value {
                        Value::Map(_) => rebase_key(item, "path", prefix),
                        _ => rebase_text(item, prefix, true),
                    }
                }
            }
            ("env_file" | "label_file", _) => rebase_text(node, prefix, true),
            ("volumes", Value::List(items)) => {
                for item in items {
                    match &item.value {
                        Value::Map(_) if item.get("type").and_then(Node::raw) == Some("bind") => {
                            rebase_key(item, "source", prefix);
                        }
                        Value::Map(_) => {}
                        _ => rebase_text(item, prefix, false),
                    }
                }
            }
            ("develop", _) => {
                let watch = entries(node).and_then(|map| map.get_mut("watch"));
                if let Some(Value::List(rules)) = watch.map(|entry| &mut entry.node.value) {
                    rules.iter_mut().for_each(|rule| rebase_key(rule, "path", prefix));
                }
            }
            _ => {}
        }
    }
}

pub(super) fn rebase_key(node: &mut Node, key: &str, prefix: &Path) {
    if prefix.as_os_str().is_empty() {
        return;
    }
    if let Some(entry) = entries(node).and_then(|map| map.get_mut(key)) {
        rebase_text(&mut entry.node, prefix, true);
    }
}

/// `bare`: a text without a leading dot is a path too, not a name.
fn rebase_text(node: &mut Node, prefix: &Path, bare: bool) {
    let Value::Scalar { text, .. } = &mut node.value else { return };
    let is_relative = text.starts_with('.') || (bare && !text.starts_with(['/', '~', '$']) && !text.contains("://"));
    if is_relative {
        let rest = text.strip_prefix("./").unwrap_or(if text == "." { "" } else { text });
        let joined = format!("{}/{rest}", prefix.display());
        let joined = joined.trim_end_matches('/');
        *text = if joined.starts_with('.') { joined.to_owned() } else { format!("./{joined}") };
    }
}

/// The folder of a volume that is a bind mount under a name.
pub(super) fn rebase_device(volume: &mut Node, prefix: &Path) {
    let Some(options) = entries(volume).and_then(|map| map.get_mut("driver_opts")) else { return };
    if options.node.get("o").and_then(Node::raw).is_some_and(|o| o.split(',').any(|option| option == "bind")) {
        rebase_key(&mut options.node, "device", prefix);
    }
}

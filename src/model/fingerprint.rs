//! The settings of a service that matter to its container, field by field, so that a change can be detected and named.
//!
//! Settings that only concern taskava (`depends_on`, `ready`, `watch`, `profiles`, `exports`, `hooks`, `stop_timeout`,
//! `pull`) are not included, nor is `build`: the image itself records what it was built from ([`super::built`]). Fields
//! with their default value are omitted, so that a key added in a later version doesn't recreate everything.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::options::Written;
use super::{Mount, MountSource, Network, Port, RestartPolicy, Service, Stack, fingerprint_of};

/// Field as in services.toml → 8 hex digits of the SHA-256 of its canonical text.
pub fn fingerprint(stack: &Stack, service: &Service) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut add = |field: &str, text: String| {
        if !text.is_empty() {
            fields.insert(field.to_owned(), short(&text));
        }
    };
    // Every field is named, so that a new one can't be forgotten: a key that is not in here changes nothing when it is edited.
    let Service {
        name: _,
        place: _,
        kind: _,
        replicas: _,
        replica: _,
        active: _,
        profiles: _,
        image,
        image_place: _,
        build: _,
        pull: _,
        platform,
        command,
        entrypoint,
        env,
        ports: published,
        mounts: mounted,
        files,
        tmpfs,
        depends_on: _,
        ready: _,
        healthcheck,
        own: _,
        watch: _,
        user,
        working_dir,
        container_name,
        hostname,
        networks: joined,
        labels,
        ulimits,
        extra_hosts,
        stop_signal,
        stop_timeout: _,
        stop_limit: _,
        restart: policy,
        memory,
        nano_cpus,
        logging,
        exports: _,
        hooks: _,
        options,
    } = service;
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    add("image", image.clone());
    add("platform", optional(platform));
    add("command", command.as_deref().map(words).unwrap_or_default());
    add("entrypoint", entrypoint.as_deref().map(words).unwrap_or_default());
    for (name, value) in env {
        // An empty value is a value: the marker keeps it in.
        add(&format!("env.{name}"), format!("={}", value.value));
    }
    add("ports", ports(published));
    add("volumes", mounts(stack, mounted));
    add("files", files.iter().map(|file| format!("{file:?}\n")).collect());
    add("tmpfs", lines(tmpfs.iter().map(|tmpfs| format!("{}:{}", tmpfs.target, tmpfs.options))));
    add("networks", networks(stack, joined));
    add("user", optional(user));
    add("working_dir", optional(working_dir));
    add("container_name", optional(container_name));
    add("hostname", optional(hostname));
    add("healthcheck", healthcheck.as_ref().map(|check| format!("{check:?}")).unwrap_or_default());
    add("labels", lines(labels.iter().map(|(name, value)| format!("{name}={value}"))));
    add("ulimits", lines(ulimits.iter().map(|(name, limit)| format!("{name}={}:{}", limit.soft, limit.hard))));
    add("extra_hosts", lines(extra_hosts.iter().cloned()));
    add("stop_signal", optional(stop_signal));
    add("restart", restart(*policy));
    add("resources", resources(*memory, *nano_cpus));
    let default = logging.max_size == "10m" && logging.max_files == 3;
    let log_options = lines(logging.options.iter().map(|(name, value)| format!("{name}={value}")));
    add("logging.driver", logging.driver.clone().unwrap_or_default());
    add("logging.options", log_options);
    for (key, value) in options.written() {
        add(key.own, option(value));
    }
    add("logging", if default { String::new() } else { format!("{} {}", logging.max_size, logging.max_files) });
    fields
}

/// The settings of a network that matter to the engine, as one hash. If two differ, it must be recreated.
pub fn network(network: &Network) -> String {
    let driver = network.driver.as_deref().unwrap_or_default();
    let subnet = network.subnet.as_deref().unwrap_or_default();
    let labels = lines(network.labels.iter().map(|(name, value)| format!("{name}={value}")));
    let mut text = format!("{driver}\n{}\n{subnet}\n{labels}", network.internal);
    // Only where they are set: networks of earlier versions stay as they are.
    if !network.pools.is_empty() || network.ipv6 || network.attachable || !network.options.is_empty() {
        let options = lines(network.options.iter().map(|(name, value)| format!("{name}={value}")));
        let _ = write!(text, "\n{:?}\n{}{}\n{options}", network.pools, network.ipv6, network.attachable);
    }
    short(&text)
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

/// An option that the engine takes as it is written.
fn option(value: Written<'_>) -> String {
    match value {
        Written::Flag => "true".into(),
        Written::Text(text) => text.into(),
        Written::Number(number) => number.to_string(),
        Written::Bytes(bytes) => bytes.to_string(),
        Written::Set(texts) => lines(texts.iter().cloned()),
        Written::List(texts) => texts.join("\n"),
        Written::Rates(rates) => lines(rates.iter().map(|(name, rate)| format!("{name}={rate}"))),
        Written::Pairs(pairs) => lines(pairs.iter().map(|(name, value)| format!("{name}={value}"))),
    }
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

fn ports(ports: &[Port]) -> String {
    lines(ports.iter().map(|port| {
        let host = port.host.map(|host| host.to_string()).unwrap_or_default();
        format!("{}:{host}:{}/{}", port.address, port.container, port.protocol.as_str())
    }))
}

fn mounts(stack: &Stack, mounts: &[Mount]) -> String {
    lines(mounts.iter().map(|mount| {
        let source = match &mount.source {
            MountSource::Volume(name) => {
                stack.volumes.get(name).map_or_else(|| name.clone(), |volume| volume.name.clone())
            }
            // How the engine holds a view is not known before it is made.
            MountSource::Bind(source) | MountSource::View { of: source, .. } => path(stack, source),
            MountSource::Anonymous => String::new(),
            MountSource::Image(image) => format!("image {image}"),
        };
        let (words, _) = mount.options.words();
        let options = words.iter().fold(String::new(), |text, word| format!("{text},{word}"));
        let subpath = mount.options.subpath.as_ref().map(|path| format!(":{path}")).unwrap_or_default();
        let recursive = mount.options.recursive.as_ref().map(|word| format!(",{word}")).unwrap_or_default();
        format!("{source}:{}:{}{options}{recursive}{subpath}", mount.target, if mount.read_only { "ro" } else { "rw" })
    }))
}

fn networks(stack: &Stack, networks: &[String]) -> String {
    if networks == ["default"] && stack.networks.get("default").is_none_or(|network| !network.external) {
        return String::new();
    }
    lines(
        networks
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

fn resources(memory: Option<u64>, nano_cpus: Option<u64>) -> String {
    match (memory, nano_cpus) {
        (None, None) => String::new(),
        (memory, cpus) => format!("{} {}", memory.unwrap_or(0), cpus.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::config::{self, Variables};
    use crate::diag::Source;
    use crate::resolve::{ResolveContext, resolve};

    fn stack(root: &str, lines: &str) -> Stack {
        let text = format!("project = \"x\"\n[services.a]\nimage = \"a:1\"\n{lines}\n[services.b]\nimage = \"b:1\"\n");
        let source = Arc::new(Source { name: "services.toml".into(), text });
        let (config, mut problems) = config::parse(&[source], &Variables::default());
        let around = ResolveContext { root: PathBuf::from(root), ..ResolveContext::default() };
        let stack = resolve(&config, &around, &mut problems).stack;
        assert_eq!(problems, [], "{lines}");
        stack
    }

    fn of(lines: &str) -> BTreeMap<String, String> {
        let stack = stack("/project", lines);
        fingerprint(&stack, &stack.services["a"])
    }

    /// What changes when these lines are added to a bare service.
    fn change(lines: &str) -> Vec<String> {
        changed(&of(""), &of(lines))
    }

    #[test]
    fn a_bare_service_is_its_image() {
        let bare = of("");
        assert_eq!(bare.keys().collect::<Vec<_>>(), ["image"]);
        assert!(bare["image"].len() == 8 && bare["image"].chars().all(|c| c.is_ascii_hexdigit()), "{bare:?}");
    }

    #[test]
    fn what_matters_to_the_container_is_named() {
        for (lines, fields) in [
            ("env = { A = \"1\", B = \"\" }", vec!["env.A", "env.B"]),
            ("command = \"a b\"\nentrypoint = \"c\"", vec!["command", "entrypoint"]),
            ("ports = [80]\nvolumes = [\"v:/v\"]\ntmpfs = \"/t\"", vec!["ports", "tmpfs", "volumes"]),
            ("user = 1\nworking_dir = \"/w\"\nhostname = \"h\"", vec!["hostname", "user", "working_dir"]),
            ("init = true\nshm_size = 1\nplatform = \"linux/arm64\"", vec!["init", "platform", "shm_size"]),
            (
                "ulimits = { nofile = 1 }\ncap_add = [\"ALL\"]\ncap_drop = [\"ALL\"]",
                vec!["cap_add", "cap_drop", "ulimits"],
            ),
            (
                "extra_hosts = [\"a:1.1.1.1\"]\ndns = \"1.1.1.1\"\nlabels = { a = 1 }",
                vec!["dns", "extra_hosts", "labels"],
            ),
            ("stop_signal = \"INT\"\nrestart = \"always\"", vec!["restart", "stop_signal"]),
            ("resources = { cpus = 1 }\nlogging = { max_files = 1 }", vec!["logging", "resources"]),
        ] {
            assert_eq!(change(lines), fields, "{lines}");
        }
    }

    #[test]
    fn what_only_concerns_us_is_left_out() {
        for lines in [
            "depends_on = [\"b\"]",
            "build = { context = \".\", args = { A = 1 } }",
            "ready = { tcp = 80, timeout = \"1s\" }",
            "watch = [{ path = \"src\" }]",
            "profiles = [\"p\"]",
            "exports = { A = \"1\" }",
            "hooks = { ready = [\"a\"] }",
            "stop_timeout = \"1s\"",
            "pull = \"always\"",
            "restart = \"no\"\ninit = false\nlogging = { max_size = \"10m\" }\nnetworks = [\"default\"]",
        ] {
            assert_eq!(change(lines), Vec::<String>::new(), "{lines}");
        }
    }

    #[test]
    fn one_service_does_not_change_another() {
        let (before, after) = (stack("/project", ""), stack("/project", "env = { A = \"1\" }\nports = [80]"));
        assert_eq!(fingerprint(&before, &before.services["b"]), fingerprint(&after, &after.services["b"]));
    }

    #[test]
    fn a_checkout_elsewhere_is_the_same() {
        let lines = "volumes = [\"./src:/src\"]";
        let (one, two) = (stack("/one", lines), stack("/two", lines));
        assert_eq!(fingerprint(&one, &one.services["a"]), fingerprint(&two, &two.services["a"]));
    }

    #[test]
    fn order_counts_only_where_it_matters() {
        assert_eq!(changed(&of("ports = [80, 81]"), &of("ports = [81, 80]")), Vec::<String>::new());
        assert_eq!(changed(&of("command = [\"a\", \"b\"]"), &of("command = [\"b\", \"a\"]")), ["command"]);
        assert_eq!(changed(&of("command = [\"a b\"]"), &of("command = [\"a\", \"b\"]")), ["command"]);
        assert_eq!(changed(&of(""), &of("entrypoint = []")), ["entrypoint"], "empty is not the image's own");
    }

    #[test]
    fn a_network_that_must_be_made_anew() {
        let plain = Network { name: "x-default".into(), ..Network::default() };
        let renamed = Network { name: "y-default".into(), ..plain.clone() };
        assert_eq!(network(&plain), network(&renamed), "another name is another network, not a change of this one");
        for other in [
            Network { internal: true, ..plain.clone() },
            Network { driver: Some("bridge".into()), ..plain.clone() },
            Network { subnet: Some("10.9.0.0/24".into()), ..plain.clone() },
            Network { labels: [("a".into(), "1".into())].into(), ..plain.clone() },
            Network { options: [("a".into(), "1".into())].into(), ..plain.clone() },
            Network { ipv6: true, ..plain.clone() },
        ] {
            assert_ne!(network(&plain), network(&other), "{other:?}");
        }
    }
}

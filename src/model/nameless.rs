//! Anonymous volumes: the folders that an image declares as volumes, and mounts such as `volumes = ["/cache"]`.
//!
//! The engine gives each container new ones and does not record whose they were. So each gets a name that depends only
//! on stack, service and folder, and labels that record these: recreating the container finds it again
//! ([why](../../docs/decisions/16-volumes-without-a-name.md)). No I/O.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use serde::Serialize;

use super::{MountSource, Service, ServiceName, StackName, fingerprint_of};

/// How much of a folder's last name is in a volume's name; the rest is only for the digest.
const READABLE: usize = 32;

/// Where a volume without a name belongs: its labels say so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The service.
    pub service: ServiceName,
    /// The folder in its container, without a slash at the end.
    pub target: String,
}

impl Place {
    /// What its volume is called on the engine: at most 175 characters that every engine takes, and no two places of one
    /// engine have the same.
    pub fn volume(&self, stack: &StackName) -> String {
        let Self { service, target } = self;
        let last = target.rsplit('/').next().unwrap_or_default();
        let last: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(READABLE).collect();
        let digest = fingerprint_of(format!("{stack}\n{service}\n{target}").as_bytes());
        let last = if last.is_empty() { "volume" } else { &last };
        format!("{stack}-{service}-{last}-{digest}")
    }
}

/// A path as the engine compares them: absolute, without `.`, `..`, doubled slashes and one at the end.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folders of a service that get a volume without a name: its own such mounts, and those that its image declares
/// (`image_volumes`) where nothing else is mounted.
pub fn targets(service: &Service, image_volumes: &[String]) -> Vec<String> {
    let is_nameless = |mount: &&super::Mount| mount.source == MountSource::Anonymous && !mount.read_only;
    let own = service.mounts.iter().filter(is_nameless).map(|mount| clean(&mount.target));
    let others: BTreeSet<String> = service.mounts.iter().map(|mount| clean(&mount.target)).collect();
    let in_memory: BTreeSet<String> = service.tmpfs.iter().map(|tmpfs| clean(&tmpfs.target)).collect();
    let of_image = image_volumes.iter().map(|path| clean(path));
    let of_image = of_image.filter(|path| path != "/" && !others.contains(path) && !in_memory.contains(path));
    let found: BTreeSet<String> = own.chain(of_image).collect();
    found.into_iter().collect()
}

/// Whether the engine made up the name of a volume.
pub fn is_made_up(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::sample::stack;

    fn place(service: &str, target: &str) -> Place {
        Place { service: ServiceName::parse(service).unwrap(), target: target.into() }
    }

    #[test]
    fn names_are_short_valid_and_their_own() {
        let name =
            |stack: &str, service: &str, target: &str| place(service, target).volume(&StackName::parse(stack).unwrap());
        assert_eq!(name("shop", "db", "/var/lib/postgresql/data"), name("shop", "db", "/var/lib/postgresql/data"));
        assert!(name("shop", "db", "/var/lib/postgresql/data").starts_with("shop-db-data-"));
        let all = [
            name("a", "b-c", "/d"),
            name("a-b", "c", "/d"),
            name("a", "b", "/c/d"),
            name("a", "b", "/e/d"),
            name("a", "b", "/ü"),
            name("a", "b", "/ö"),
            name(&"x".repeat(63), &"y".repeat(63), &format!("/{}", "z".repeat(300))),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        assert!(all.iter().all(|name| name.len() <= 175 && name.chars().all(valid)), "{all:?}");
    }

    #[test]
    fn paths_are_compared_as_the_engine_does() {
        for (path, cleaned) in
            [("/data/", "/data"), ("/a//b/./c", "/a/b/c"), ("/a/../b", "/b"), ("data", "/data"), ("/", "/")]
        {
            assert_eq!(clean(path), cleaned);
        }
    }

    #[test]
    fn only_what_nothing_else_is_mounted_on() {
        let stack = stack(
            "[services.a]\nimage = \"a:1\"\nvolumes = [\"/cache/\", \"v:/data\", \"./src:/src\"]\ntmpfs = \"/tmp\"\n",
        );
        let image = ["/data/", "/src", "/tmp", "/other/", "/data/below", "/cache"].map(String::from);
        assert_eq!(targets(&stack.services["a"], &image), ["/cache", "/data/below", "/other"]);
        assert_eq!(targets(&stack.services["a"], &[]), ["/cache"]);
    }
}

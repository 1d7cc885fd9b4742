//! The content of services.lock: the required digest of each image reference.

use std::collections::BTreeMap;

use super::reference::Reference;

/// Reference → `repository@sha256:…`, in the order of the file.
pub type Pins = BTreeMap<String, String>;

/// Whether a text is a repository with a digest.
pub fn is_digest(text: &str) -> bool {
    let hex = |digest: &str| digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.split_once("@sha256:").is_some_and(|(repository, digest)| !repository.is_empty() && hex(digest))
}

/// The digest that an image has under the repository of a reference. One that was copied between registries has others.
pub fn digest_of<'a>(reference: &str, digests: &'a [String]) -> Option<&'a String> {
    if let Some(pinned) = digests.iter().find(|digest| *digest == reference) {
        return Some(pinned);
    }
    let repository = familiar(Reference::of(reference).repository);
    digests.iter().find(|digest| digest.split_once('@').is_some_and(|(of, _)| familiar(of) == repository))
}

/// A repository as engines show it.
fn familiar(repository: &str) -> &str {
    let repository = repository.strip_prefix("docker.io/").unwrap_or(repository);
    repository.strip_prefix("library/").unwrap_or(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_told_from_other_texts() {
        let digest = "0123456789abcdef".repeat(4);
        assert!(is_digest(&format!("host:5000/a@sha256:{digest}")));
        for wrong in [format!("@sha256:{digest}"), format!("a@sha256:{}", &digest[1..]), "a:1".into()] {
            assert!(!is_digest(&wrong), "{wrong}");
        }
    }

    #[test]
    fn the_digest_of_a_references_own_repository_counts() {
        let digests = ["redis@sha256:1", "host:5000/team/redis@sha256:2"].map(String::from);
        for (reference, expected) in [
            ("redis:7", Some("redis@sha256:1")),
            ("docker.io/library/redis:7", Some("redis@sha256:1")),
            ("host:5000/team/redis", Some("host:5000/team/redis@sha256:2")),
            ("redis:7@sha256:1", Some("redis@sha256:1")),
            ("other:7", None),
        ] {
            assert_eq!(digest_of(reference, &digests).map(String::as_str), expected, "{reference}");
        }
    }
}

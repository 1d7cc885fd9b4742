//! What an image was built from, small enough for one of its labels, so that a change can be detected and named.
//!
//! Like that of containers, the label is a map of part → hash: `args.VERSION`, `context`, `dockerfile`, `platform`,
//! `secrets` (their IDs; their content changes no layer), `target`. `files` names what changed inside the context: one
//! short hash per file, or per folder if there are many. Reading the files is up to `context`.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::{NamedContext, Service, fingerprint, fingerprint_of};

/// The label's parts by name.
pub type Label = BTreeMap<String, String>;

/// How many files or folders are told apart; with 8 characters each, a label stays below 4 KiB.
const MOST: usize = 500;

/// A depth at which every path is whole.
const WHOLE: usize = 1_000;

/// How many changed files are named.
const NAMED: usize = 3;

/// A file of a build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Relative to the context, with slashes.
    pub path: String,
    /// Of everything of it that matters to a build.
    pub hash: [u8; 32],
}

/// What the files of a build amount to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    context: String,
    dockerfile: String,
    /// How many parts of a path are told apart; 0 when there are too many even of the first.
    depth: usize,
    /// Path, cut to `depth` parts → hash of everything below it.
    files: BTreeMap<String, [u8; 32]>,
}

/// Why an image is due to be built again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// The parts that differ, by the names of the label; empty when the image says nothing of what it was built from.
    pub parts: Vec<String>,
    /// Some of the files that differ.
    pub files: Vec<String>,
    /// How many more do.
    pub more: usize,
}

impl Content {
    /// From the Dockerfile and the files of a context.
    pub fn new(dockerfile: &[u8], items: Vec<Item>) -> Self {
        let deepest = items.iter().map(|item| item.path.matches('/').count() + 1).max().unwrap_or(0);
        let groups = |depth: usize| items.iter().map(|item| cut(&item.path, depth)).collect::<BTreeSet<_>>().len();
        let depth = match items.len() {
            ..=MOST => WHOLE,
            _ => (1..deepest).rev().find(|depth| groups(*depth) <= MOST).unwrap_or(0),
        };
        let (mut whole, mut files) = (Vec::new(), BTreeMap::<String, Vec<u8>>::new());
        for item in &items {
            let text = [item.path.as_bytes(), &[0], &item.hash].concat();
            whole.extend_from_slice(&text);
            if depth > 0 {
                files.entry(cut(&item.path, depth).to_owned()).or_default().extend_from_slice(&text);
            }
        }
        let files = files.into_iter().map(|(path, text)| (path, sha256(&text))).collect();
        Self { context: fingerprint_of(&whole), dockerfile: fingerprint_of(dockerfile), depth, files }
    }

    /// The label of an image that is built from this now.
    pub fn label(&self, service: &Service) -> Label {
        let mut label = parts(service);
        label.insert("context".into(), self.context.clone());
        label.insert("dockerfile".into(), self.dockerfile.clone());
        let bytes: Vec<u8> = self.files.iter().flat_map(|(path, hash)| [key(path), short(hash)].concat()).collect();
        label.insert("files".into(), format!("{}:{}", self.depth, BASE64.encode(bytes)));
        label
    }

    /// The first few files that differ, and the number of others.
    fn changed(&self, seen: Option<&String>) -> (Vec<String>, usize) {
        let Some((depth, text)) = seen.and_then(|seen| seen.split_once(':')) else { return (Vec::new(), 0) };
        let bytes = BASE64.decode(text).unwrap_or_default();
        if depth != self.depth.to_string() || bytes.len() % 6 != 0 {
            return (Vec::new(), 0);
        }
        let mut seen: BTreeMap<&[u8], &[u8]> = bytes.chunks(6).map(|entry| entry.split_at(4)).collect();
        let mut differ: Vec<&String> = Vec::new();
        for (path, hash) in &self.files {
            if seen.remove(key(path).as_slice()) != Some(short(hash).as_slice()) {
                differ.push(path);
            }
        }
        // A folder is there because of what is in it, unless nothing is.
        let holds = |folder: &str| differ.iter().any(|path| path.starts_with(&format!("{folder}/")));
        let named: Vec<String> = differ.iter().filter(|path| !holds(path)).map(ToString::to_string).collect();
        // A removed file has left no name.
        let more = named.len().saturating_sub(NAMED) + seen.len();
        (named.into_iter().take(NAMED).collect(), more)
    }
}

/// Whether an image is due, judged by what it says of itself. Without `content`, only by services.toml.
pub fn change(service: &Service, content: Option<&Content>, seen: Option<&Label>) -> Option<Change> {
    let Some(seen) = seen else {
        // It was not built by us; its sources may or may not be these.
        return content.map(|_| Change { parts: Vec::new(), files: Vec::new(), more: 0 });
    };
    let wanted = content.map_or_else(|| parts(service), |content| content.label(service));
    let mut changed = fingerprint::changed(seen, &wanted);
    changed.retain(|part| part != "files" && (content.is_some() || !matches!(part.as_str(), "context" | "dockerfile")));
    if changed.is_empty() {
        return None;
    }
    let (files, more) = match content.filter(|_| changed.iter().any(|part| part == "context")) {
        Some(content) => content.changed(seen.get("files")),
        None => (Vec::new(), 0),
    };
    Some(Change { parts: changed, files, more })
}

/// A named context: the files of a folder are among the context's.
fn named(context: &NamedContext) -> &str {
    match context {
        NamedContext::Folder(_) => "folder",
        NamedContext::Image(image) | NamedContext::Service { image, .. } => image,
    }
}

/// What services.toml says of a build that makes a difference to the image.
fn parts(service: &Service) -> Label {
    let mut parts = Label::new();
    let Some(build) = &service.build else { return parts };
    for (name, value) in &build.args {
        parts.insert(format!("args.{name}"), fingerprint_of(value.as_bytes()));
    }
    let mut ids: Vec<&str> = build.secrets.keys().map(String::as_str).collect();
    ids.sort_unstable();
    let texts = [
        ("platform", service.platform.clone().unwrap_or_default()),
        ("secrets", ids.join("\n")),
        ("target", build.target.clone().unwrap_or_default()),
        (
            "additional_contexts",
            build.contexts.iter().map(|(name, context)| format!("{name}={}\n", named(context))).collect(),
        ),
        ("tags", build.options.tags.join("\n")),
        ("cache_to", if build.options.inline_cache { "inline".into() } else { String::new() }),
        ("labels", build.options.labels.iter().map(|(name, value)| format!("{name}={value}\n")).collect()),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    parts.extend(texts.map(|(name, text)| (name.to_owned(), fingerprint_of(text.as_bytes()))));
    parts
}

/// `build context changed: src/main.rs`, `build changed: target, args.VERSION`.
impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.parts.is_empty() {
            return write!(f, "not known what it was built from");
        }
        let mut files = self.files.clone();
        match self.more {
            0 => {}
            more if files.is_empty() => files.push(format!("{more} gone")),
            more => files.push(format!("{more} more")),
        }
        let files = files.join(", ");
        match (self.parts.as_slice(), files.as_str()) {
            ([part], "") if part == "context" => write!(f, "build context changed"),
            ([part], files) if part == "context" => write!(f, "build context changed: {files}"),
            (parts, "") => write!(f, "build changed: {}", parts.join(", ")),
            (parts, files) => {
                let named = |part: &String| if part == "context" { format!("context ({files})") } else { part.clone() };
                write!(f, "build changed: {}", parts.iter().map(named).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The first parts of a path.
fn cut(path: &str, depth: usize) -> &str {
    let end = path.match_indices('/').nth(depth.saturating_sub(1)).map_or(path.len(), |(end, _)| end);
    &path[..end]
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).into()
}

/// What stands for a path in a label.
fn key(path: &str) -> Vec<u8> {
    sha256(path.as_bytes())[..4].to_vec()
}

/// What stands for a content in a label. That two are the same by chance costs a name, not a build.
fn short(hash: &[u8; 32]) -> Vec<u8> {
    hash[..2].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::sample;

    fn service(build: &str) -> Service {
        let stack = sample::stack(&format!("[services.a]\nbuild = {build}\n"));
        stack.services["a"].clone()
    }

    fn content(files: &[(&str, &str)]) -> Content {
        let item = |(path, text): &(&str, &str)| Item { path: (*path).into(), hash: sha256(text.as_bytes()) };
        Content::new(b"FROM x", files.iter().map(item).collect())
    }

    /// What is said when the one was built and the other is there now.
    fn said(before: &[(&str, &str)], now: &[(&str, &str)]) -> Option<String> {
        let service = service("\".\"");
        let label = content(before).label(&service);
        change(&service, Some(&content(now)), Some(&label)).map(|change| change.to_string())
    }

    #[test]
    fn changed_files_are_named() {
        let before = [("src", "folder"), ("src/a.rs", "1"), ("src/b.rs", "1")];
        assert_eq!(said(&before, &before), None);
        let one = [("src", "folder"), ("src/a.rs", "2"), ("src/b.rs", "1")];
        assert_eq!(said(&before, &one).unwrap(), "build context changed: src/a.rs");
        let new = [("src", "folder"), ("src/a.rs", "1"), ("src/b.rs", "1"), ("src/c", "folder"), ("src/c/d", "1")];
        assert_eq!(said(&before, &new).unwrap(), "build context changed: src/c/d");
        assert_eq!(said(&before, &before[..2]).unwrap(), "build context changed: 1 gone");
        let many: Vec<_> = ["a", "b", "c", "d", "e"].map(|path| (path, "1")).into();
        assert_eq!(said(&[], &many).unwrap(), "build context changed: a, b, c, 2 more");
    }

    #[test]
    fn of_many_files_the_folders_are_named() {
        let paths: Vec<String> = (0..2_000).map(|number| format!("dir{}/file{number}", number % 50)).collect();
        let before: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "1")).collect();
        let mut now = before.clone();
        now[7].1 = "2";
        assert_eq!(said(&before, &now).unwrap(), "build context changed: dir7");
        let label = content(&before).label(&service("\".\""));
        assert!(serde_json::to_string(&label).unwrap().len() < 4_500);

        let flat: Vec<String> = (0..2_000).map(|number| format!("file{number}")).collect();
        let flat: Vec<(&str, &str)> = flat.iter().map(|path| (path.as_str(), "1")).collect();
        assert_eq!(said(&flat, &flat[1..]).unwrap(), "build context changed");
    }

    #[test]
    fn what_services_toml_says_is_told_apart() {
        let (plain, content) = (service("\".\""), content(&[("a", "1")]));
        let label = content.label(&plain);
        for (build, expected) in [
            ("{ target = \"dev\" }", "build changed: target"),
            ("{ args = { VERSION = 1, X = 2 } }", "build changed: args.VERSION, args.X"),
            ("{ secrets = { npmrc = \".npmrc\" } }", "build changed: secrets"),
        ] {
            for content in [Some(&content), None] {
                let change = change(&service(build), content, Some(&label)).expect(build);
                assert_eq!(change.to_string(), expected);
            }
        }
        assert_eq!(change(&service("{ cache_from = \"x\" }"), Some(&content), Some(&label)), None);
    }

    #[test]
    fn files_count_only_where_they_were_read() {
        let service = service("\".\"");
        let other = Content::new(b"FROM y", Vec::new());
        let label = content(&[("a", "1")]).label(&service);
        assert_eq!(change(&service, None, Some(&label)), None);
        let said = change(&service, Some(&other), Some(&label)).unwrap();
        assert_eq!(said.to_string(), "build changed: context (1 gone), dockerfile");
        assert_eq!(change(&service, None, None), None);
        let unknown = change(&service, Some(&other), None).unwrap();
        assert_eq!(unknown.to_string(), "not known what it was built from");
    }
}

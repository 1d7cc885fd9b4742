//! `include`: its notation, and how what an included file declares becomes part of the stack. Reading the files is up to `load`.

use indexmap::IndexMap;

use super::decode::{Decode, Reader, Spanned, table};
use super::describe::Shape;
use super::forms::OneOrMany;
use super::interpolate::{self, Used};
use super::node::{Item, Node, Value};
use super::scope::Scopes;
use crate::diag::{Diagnostic, Place};

table! {
    /// A file whose services, volumes, networks and `[aws]` become part of the stack, as if it were read alone: its paths are relative to its own folder, and its variables come from the environment, from `.env` beside services.toml, from `.env` beside itself and from its own `[env]`, which only its services get. Its `project` and its services.local.toml are not read. What two files declare differently under one name is an error; services.local.toml of the stack can change what is included.
    IncludeSpec "Include" {
        /// The file, or a folder with a services.toml; relative to the file that includes it, with `git` to the top of the repository.
        path: Option<Spanned<String>>, default "services.toml, with `git`", example r#"path = "../shop/services.toml""#;
        /// Files with its variables, instead of `.env` beside it; relative to the file that includes it.
        env_file: OneOrMany<Spanned<String>>, default "`.env` beside it", example r#"env_file = ["shop.env"]"#;
        /// Repository that the file is in: an address that git can fetch. It is fetched once with the command `git`, to the user's cache folder. Its paths have to be inside the repository.
        git: Option<Spanned<String>>, default "this machine", example r#"git = "https://git.example/team/shop.git""#;
        /// Commit of the repository: the full hash, so that it stays the same.
        rev: Option<Spanned<String>>, default "*required* with `git`", example r#"rev = "0123456789abcdef0123456789abcdef01234567""#;
    }
}

/// An item of `include` in either form.
#[derive(Debug, Clone)]
pub struct Include(pub IncludeSpec);

impl Decode for Include {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let spec = match &node.value {
            Value::String(_) => IncludeSpec { path: Some(Spanned::decode(node, reader)?), ..IncludeSpec::default() },
            Value::Table(_) => IncludeSpec::decode(node, reader)?,
            _ => {
                reader.wrong::<Self>(node);
                return None;
            }
        };
        check(&spec, &node.place, reader).then_some(Self(spec))
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a file"), IncludeSpec::shape()])
    }
}

/// Whether all that is needed is there, and nothing that has no meaning.
fn check(spec: &IncludeSpec, place: &Place, reader: &mut Reader) -> bool {
    match (&spec.git, &spec.rev, &spec.path) {
        (None, Some(rev), _) => {
            reader.error(&rev.place, "`rev` is for repositories").hint =
                Some("add `git = \"https://…\"`, or leave it out".into());
            false
        }
        (None, None, None) => {
            reader.error(place, "`path` is missing").hint =
                Some("name the file: path = \"../shop/services.toml\"".into());
            false
        }
        (None, None, Some(_)) => true,
        (Some(git), ..) if !is_address(git) => {
            reader.error(&git.place, format_args!("`{}` is not an address that git can fetch", git.value)).hint =
                Some("write https://…, ssh://…, git@host:… or file:///…; a folder of this machine is a `path`".into());
            false
        }
        (Some(git), None, _) => {
            reader.error(&git.place, "`rev` is missing: what the repository has now may change").hint =
                Some(pin(git, "HEAD"));
            false
        }
        (Some(git), Some(rev), _) if !is_commit(rev) => {
            reader.error(&rev.place, format_args!("`{}` is not the full hash of a commit", rev.value)).hint =
                Some(pin(git, rev));
            false
        }
        (Some(_), Some(_), _) => true,
    }
}

/// How to find what to write as `rev`.
fn pin(git: &str, rev: &str) -> String {
    let abbreviated = rev.len() >= 7 && rev.chars().all(|c| c.is_ascii_hexdigit());
    match abbreviated {
        true => format!("write all 40 digits; in a clone of it they are shown by: git rev-parse {rev}"),
        false => format!("write rev = \"<40 digits>\", which are shown by: git ls-remote {git} {rev}"),
    }
}

/// A full hash, of either kind that git has.
fn is_commit(rev: &str) -> bool {
    matches!(rev.len(), 40 | 64) && rev.chars().all(|c| c.is_ascii_hexdigit())
}

/// `scheme://…` or `host:path`, and nothing that git would take for an option or for a command.
fn is_address(git: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "@._-".contains(c));
    let known = |scheme: &str| matches!(scheme, "https" | "http" | "ssh" | "git" | "file");
    match git.split_once("://") {
        Some((scheme, rest)) => known(scheme) && !rest.is_empty(),
        None => git.split_once(':').is_some_and(|(host, path)| {
            is_word(host) && !git.starts_with('-') && !path.is_empty() && !path.starts_with(':')
        }),
    }
}

/// Adds what an included file declares to what is known so far.
pub fn join(root: &mut Node, part: Node, scopes: &Scopes, problems: &mut Vec<Diagnostic>) {
    let is_fetched = scopes.of(&part.place).is_fetched;
    let (Value::Table(root), Value::Table(part)) = (&mut root.value, part.value) else { return };
    for (key, item) in part {
        match key.as_str() {
            // The stack has its own; and what was fetched can't allow itself more.
            "project" | "env" | "include" => continue,
            "allow_outside" if is_fetched => continue,
            _ => {}
        }
        match root.get_mut(&key) {
            None => {
                root.insert(key, item);
            }
            Some(known) if key == "aws" => join_aws(&mut known.node, item.node, scopes, problems),
            Some(known) => join_named(&key, &mut known.node, item.node, scopes, problems),
        }
    }
}

/// `[aws]`: each kind of resources by name.
fn join_aws(known: &mut Node, part: Node, scopes: &Scopes, problems: &mut Vec<Diagnostic>) {
    let (Value::Table(known), Value::Table(part)) = (&mut known.value, part.value) else { return };
    for (key, item) in part {
        let path = format!("aws.{key}");
        match known.get_mut(&key) {
            None => {
                known.insert(key, item);
            }
            Some(known) if matches!(known.node.value, Value::Table(_) | Value::Array(_)) => {
                join_named(&path, &mut known.node, item.node, scopes, problems);
            }
            Some(known) => differs(&path, known, &item, scopes, problems),
        }
    }
}

/// Tables and lists of names: all of them together.
fn join_named(path: &str, known: &mut Node, part: Node, scopes: &Scopes, problems: &mut Vec<Diagnostic>) {
    if let (Value::Array(known), Value::Array(part)) = (&mut known.value, &part.value) {
        let new = part.iter().filter(|item| !known.iter().any(|other| other.plain() == item.plain()));
        let new: Vec<Node> = new.cloned().collect();
        return known.extend(new);
    }
    name_each(known);
    let mut part = part;
    name_each(&mut part);
    let (Value::Table(known), Value::Table(part)) = (&mut known.value, part.value) else { return };
    for (name, item) in part {
        match known.get(&name) {
            None => {
                known.insert(name, item);
            }
            Some(known) => differs(&format!("{path}.{name}"), known, &item, scopes, problems),
        }
    }
}

/// `["a"]` as `{ a = {} }`, which means the same.
fn name_each(node: &mut Node) {
    let Value::Array(items) = &node.value else { return };
    let entry = |item: &Node| {
        let Value::String(name) = &item.value else { return None };
        let empty = Node { value: Value::Table(IndexMap::new()), place: item.place.clone(), story: Vec::new() };
        Some((name.clone(), Item { key: item.place.clone(), node: empty }))
    };
    node.value = Value::Table(items.iter().filter_map(entry).collect());
}

/// Reports two declarations under one name, unless they say the same.
fn differs(path: &str, known: &Item, other: &Item, scopes: &Scopes, problems: &mut Vec<Diagnostic>) {
    let meant = |item: &Item| {
        let mut node = item.node.clone();
        interpolate::within_scopes(&mut node, scopes, &mut Vec::new(), &mut Used::default());
        node.plain()
    };
    let folder = |item: &Item| &scopes.of(&item.key).folder;
    let same_place = folder(known) == folder(other) || !has_paths(&known.node);
    if !same_place || meant(known) != meant(other) {
        let message = format!("`{path}` is declared differently at {}", other.key);
        let hint = match known.node.value {
            Value::Table(_) => {
                "rename one of them; what is included can be changed in services.local.toml, or built on under \
                 another name with `extends`"
            }
            _ => "write the same in both; what is included can be changed in services.local.toml",
        };
        problems.push(Diagnostic::error(known.key.clone(), message).hint(hint));
    }
}

/// Whether the same text means another path in another folder.
fn has_paths(node: &Node) -> bool {
    match &node.value {
        Value::String(text) => text.starts_with('.'),
        Value::Array(items) => items.iter().any(has_paths),
        Value::Table(table) => table
            .iter()
            .any(|(key, item)| matches!(key.as_str(), "build" | "env_file" | "watch") || has_paths(&item.node)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_git_can_fetch() {
        for good in ["https://host/a.git", "ssh://git@host/a", "git@host:team/a.git", "host:a", "file:///srv/a"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["../a", "/srv/a", "ext::sh -c id", "--upload-pack=id:x", "https://", "", "a:", "host"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}

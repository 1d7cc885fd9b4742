//! What the two sides of `cp` mean, and where something is copied to: the rules of `docker cp`. Nothing is looked at here.

use std::path::PathBuf;

use crate::diag::{Error, ErrorKind, Result};

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Side {
    /// A path of this machine.
    Here(PathBuf),
    /// stdin or stdout.
    Stdio,
    /// A path in a service's container.
    Inside { service: String, path: String },
}

/// Reads one side. A path of this machine that has a colon begins with `/` or `.`.
pub(super) fn side(text: &str) -> Side {
    if text == "-" {
        return Side::Stdio;
    }
    match text.split_once(':') {
        Some((service, path)) if !text.starts_with(['.', '/']) && !service.is_empty() && !service.contains('/') => {
            Side::Inside { service: service.into(), path: format!("/{}", path.trim_start_matches('/')) }
        }
        _ => Side::Here(text.into()),
    }
}

/// A path as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// Without what only says how it is meant.
    pub(super) path: String,
    /// Its last part; empty for the root.
    pub(super) name: String,
    /// What is in the folder is meant: `folder/.`
    pub(super) contents: bool,
    /// A folder is meant: `folder/`
    pub(super) trailing: bool,
}

/// Takes a path apart.
pub(super) fn parts(written: &str) -> Parts {
    let contents = written == "." || written.ends_with("/.");
    let path = written.strip_suffix("/.").unwrap_or(written);
    let trailing = path.ends_with('/');
    let path = match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = if name == "." { "" } else { name };
    Parts { path: path.into(), name: name.into(), contents, trailing }
}

/// What is copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct From<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// It is a folder.
    pub(super) folder: bool,
    /// Only what is in it.
    pub(super) contents: bool,
}

/// What there is at the path that is copied to.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// As it is shown.
    pub(super) shown: String,
    /// Whether it is a folder; none: there is nothing.
    pub(super) exists: Option<bool>,
    /// The folder above, as it is shown.
    pub(super) parent: String,
    /// Whether that is one.
    pub(super) parent_exists: bool,
    /// It was written as a folder.
    pub(super) trailing: bool,
}

/// Where it is copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Into the folder, under its own name.
    Inside,
    /// Exactly there.
    Itself,
}

/// Decides where something is copied to.
///
/// # Errors
/// When it can't be there.
pub(super) fn target(from: &From<'_>, at: &At) -> Result<Target> {
    let refused = |message: String| Err(Error::new(ErrorKind::Usage, message));
    match at.exists {
        Some(true) if from.folder && from.contents => Ok(Target::Itself),
        Some(true) if from.name.is_empty() => Ok(Target::Itself),
        Some(true) => Ok(Target::Inside),
        Some(false) if from.folder => refused(format!("{} is a file: a folder can't be copied onto it", at.shown)),
        Some(false) if at.trailing => refused(format!("{} is a file, not a folder", at.shown)),
        Some(false) => Ok(Target::Itself),
        None if !at.parent_exists => refused(format!("there is no folder {}: create it first", at.parent)),
        None if at.trailing && !from.folder => refused(format!("there is no folder {}: create it first", at.shown)),
        None => Ok(Target::Itself),
    }
}

#[cfg(test)]
mod tests {
    use super::Target::{Inside, Itself};
    use super::*;

    #[test]
    fn a_side_is_in_a_container_when_it_names_one() {
        let inside = |service: &str, path: &str| Side::Inside { service: service.into(), path: path.into() };
        assert_eq!(side("-"), Side::Stdio);
        assert_eq!(side("api:/a/b"), inside("api", "/a/b"));
        assert_eq!(side("api:a"), inside("api", "/a"));
        assert_eq!(side("api:"), inside("api", "/"));
        for here in ["a", "./a:b", "/a:b", "dir/a:b", ":a", ""] {
            assert_eq!(side(here), Side::Here(here.into()), "{here}");
        }
    }

    #[test]
    fn how_a_path_is_written_says_what_is_meant() {
        let of = |text: &str| {
            let parts = parts(text);
            (parts.path, parts.name, parts.contents, parts.trailing)
        };
        assert_eq!(of("/a/b"), ("/a/b".into(), "b".into(), false, false));
        assert_eq!(of("/a/b/"), ("/a/b".into(), "b".into(), false, true));
        assert_eq!(of("/a/b/."), ("/a/b".into(), "b".into(), true, false));
        assert_eq!(of("/"), ("/".into(), String::new(), false, true));
        assert_eq!(of("/."), ("/".into(), String::new(), true, false));
        assert_eq!(of("."), (".".into(), String::new(), true, false));
    }

    #[test]
    fn the_rules_are_those_of_docker_cp() {
        let found = |folder: bool, contents: bool, exists: Option<bool>, parent_exists: bool, trailing: bool| {
            let at = At { shown: "x".into(), exists, parent: "p".into(), parent_exists, trailing };
            target(&From { name: "n", folder, contents }, &at).map_err(|error| error.to_string())
        };
        // A file.
        assert_eq!(found(false, false, Some(true), true, false), Ok(Inside));
        assert_eq!(found(false, false, Some(false), true, false), Ok(Itself));
        assert_eq!(found(false, false, None, true, false), Ok(Itself));
        assert!(found(false, false, None, true, true).unwrap_err().contains("no folder x"));
        assert!(found(false, false, None, false, false).unwrap_err().contains("no folder p"));
        assert!(found(false, false, Some(false), true, true).unwrap_err().contains("not a folder"));
        // A folder.
        assert_eq!(found(true, false, Some(true), true, false), Ok(Inside));
        assert_eq!(found(true, true, Some(true), true, false), Ok(Itself));
        assert_eq!(found(true, false, None, true, true), Ok(Itself));
        assert!(found(true, true, Some(false), true, false).unwrap_err().contains("is a file"));
    }
}

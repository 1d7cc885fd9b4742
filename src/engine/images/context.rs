//! A build context as a tar archive, without what .dockerignore leaves out.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use regex::Regex;

use crate::diag::Result;

/// Packs a folder.
///
/// # Errors
/// When a file can't be read, or a pattern of .dockerignore makes no sense.
pub(super) fn tar(root: &Path, dockerfile: &str) -> Result<Vec<u8>> {
    let ignore = Ignore::read(root, dockerfile)?;
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    append(&mut archive, root, "", &ignore).with_context(|| format!("can't read build context {}", root.display()))?;
    Ok(archive.into_inner()?)
}

fn append(archive: &mut tar::Builder<Vec<u8>>, root: &Path, inside: &str, ignore: &Ignore) -> std::io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(inside))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        let is_dir = entry.file_type()?.is_dir();
        let ignored = ignore.matches(&path);
        if !ignored {
            archive.append_path_with_name(entry.path(), &path)?;
        }
        // A later `!pattern` may bring back something inside an ignored folder.
        if is_dir && (!ignored || ignore.has_exceptions) {
            append(archive, root, &path, ignore)?;
        }
    }
    Ok(())
}

/// The rules of .dockerignore: the last one that matches decides.
struct Ignore {
    rules: Vec<(Regex, bool)>,
    has_exceptions: bool,
}

impl Ignore {
    /// Reads `<dockerfile>.dockerignore`, else `.dockerignore`.
    fn read(root: &Path, dockerfile: &str) -> Result<Self> {
        let own = fs::read_to_string(root.join(format!("{dockerfile}.dockerignore")));
        let text = own.or_else(|_| fs::read_to_string(root.join(".dockerignore"))).unwrap_or_default();
        Self::parse(&text, dockerfile)
    }

    fn parse(text: &str, dockerfile: &str) -> Result<Self> {
        let mut rules = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (pattern, ignored) = line.strip_prefix('!').map_or((line, true), |pattern| (pattern.trim(), false));
            let pattern = pattern.trim_start_matches("./").trim_matches('/');
            let regex = Regex::new(&regex_of(pattern));
            rules.push((regex.with_context(|| format!("bad pattern `{line}` in .dockerignore"))?, ignored));
        }
        let has_exceptions = rules.iter().any(|(_, ignored)| !ignored);
        // The builder itself needs these two, whatever the patterns say.
        for needed in [dockerfile, ".dockerignore"] {
            let regex = Regex::new(&format!("^{}$", regex::escape(needed)));
            rules.push((regex.expect("an escaped text is a regular expression"), false));
        }
        Ok(Self { rules, has_exceptions })
    }

    fn matches(&self, path: &str) -> bool {
        self.rules.iter().rev().find(|(rule, _)| rule.is_match(path)).is_some_and(|(_, ignored)| *ignored)
    }
}

/// A pattern matches the path itself and everything below it.
fn regex_of(pattern: &str) -> String {
    let mut regex = String::from("^");
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**/") {
            regex.push_str("(.*/)?");
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("**") {
            regex.push_str(".*");
            rest = after;
            continue;
        }
        match c {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' | ']' => regex.push(c),
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
        rest = &rest[c.len_utf8()..];
    }
    regex.push_str("(/.*)?$");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_matching_rule_decides() {
        let ignore =
            Ignore::parse("# notes\ntarget\n*.log\n**/node_modules\n!keep.log\n/docs/*.md\n", "Dockerfile").unwrap();
        for path in ["target", "target/debug/x", "a.log", "web/node_modules/x", "docs/a.md"] {
            assert!(ignore.matches(path), "{path}");
        }
        for path in ["keep.log", "src/a.log.rs", "web/a.log", "docs/a/b.md", "Dockerfile", "targets"] {
            assert!(!ignore.matches(path), "{path}");
        }
    }

    #[test]
    fn the_dockerfile_is_sent_even_when_everything_is_ignored() {
        let ignore = Ignore::parse("*\n!src\n", "Dockerfile").unwrap();
        assert!(!ignore.matches("Dockerfile") && !ignore.matches("src/main.rs") && ignore.matches("other"));
    }
}

//! The patterns of a .dockerignore, with the meaning that Docker gives them. Pure: the text is an argument.

use regex::{Regex, RegexSet};

use crate::diag::{Error, ErrorKind, Result};

/// The rules of a .dockerignore: the last one that matches a path decides.
#[derive(Debug, Default)]
pub(crate) struct Ignore {
    rules: RegexSet,
    /// For each rule: whether it brings back (`!`) what earlier ones left out.
    keeps: Vec<bool>,
    /// The beginning of each `!` rule, up to its first wildcard: what may be brought back lies there.
    kept: Vec<String>,
}

impl Ignore {
    /// Reads the patterns; `name` is the file's, for what is wrong with them.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self> {
        let (mut rules, mut keeps, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
            let line = line.trim();
            let (keep, pattern) = line.strip_prefix('!').map_or((false, line), |pattern| (true, pattern.trim()));
            let Some(pattern) = clean(pattern) else { continue };
            let regex = regex_of(&pattern);
            if Regex::new(&regex).is_err() {
                let message = format!("{name}:{}: `{line}` is not a pattern", number + 1);
                return Err(Error::new(ErrorKind::Usage, message).hint("see https://docs.docker.com/go/dockerignore"));
            }
            if keep {
                let wildcard = pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len());
                kept.push(pattern[..wildcard].to_owned());
            }
            rules.push(regex);
            keeps.push(keep);
        }
        let rules = RegexSet::new(rules)
            .map_err(|error| Error::new(ErrorKind::Usage, format_args!("{name} can't be used: {error}")))?;
        Ok(Self { rules, keeps, kept })
    }

    /// Whether a path is left out. It is given with slashes, relative to the context.
    pub(crate) fn leaves_out(&self, path: &str) -> bool {
        self.rules.matches(path).iter().next_back().is_some_and(|rule| !self.keeps[rule])
    }

    /// Whether something inside a folder that is left out may be brought back.
    pub(crate) fn may_keep_inside(&self, folder: &str) -> bool {
        let inside = |kept: &String| kept.starts_with(&format!("{folder}/")) || format!("{folder}/").starts_with(kept);
        self.kept.iter().any(inside)
    }
}

/// A pattern without `.`, `..` and superfluous slashes; none when nothing is left of it.
fn clean(pattern: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// A pattern matches the path itself and everything below it.
fn regex_of(pattern: &str) -> String {
    // A line feed may be part of a name.
    let mut regex = String::from("(?s)^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                // As in .gitignore: `a/**` is everything in `a`, `**/a` is `a` anywhere.
                regex.push_str(if chars.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '\\' => {
                let escaped = chars.next().unwrap_or('\\');
                regex.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            '[' | ']' => regex.push(c),
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push_str("(/.*)?$");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the paths that are left out.
    fn left_out<'a>(patterns: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let ignore = Ignore::parse(patterns, ".dockerignore").unwrap();
        paths.iter().copied().filter(|path| ignore.leaves_out(path)).collect()
    }

    #[test]
    fn patterns_mean_what_they_mean_to_docker() {
        for (pattern, paths, expected) in [
            ("target", vec!["target", "target/debug/x", "targets", "a/target"], vec!["target", "target/debug/x"]),
            ("/docs/", vec!["docs", "docs/a", "x/docs"], vec!["docs", "docs/a"]),
            ("./a/../b//c", vec!["a", "b", "b/c", "b/c/d"], vec!["b/c", "b/c/d"]),
            ("*.log", vec!["a.log", "a.logs", "web/a.log"], vec!["a.log"]),
            ("*/temp*", vec!["temp", "a/temp", "a/temporary/x", "a/b/temp"], vec!["a/temp", "a/temporary/x"]),
            (
                "**/node_modules",
                vec!["node_modules/x", "a/b/node_modules", "node_modules2"],
                vec!["node_modules/x", "a/b/node_modules"],
            ),
            ("**b", vec!["b", "x/y/b", "ab"], vec!["b", "x/y/b"]),
            ("a/**", vec!["a", "a/b", "a/b/c"], vec!["a/b", "a/b/c"]),
            ("a/**/z", vec!["a/z", "a/b/c/z", "a/y"], vec!["a/z", "a/b/c/z"]),
            ("temp?", vec!["temp", "tempa", "temp/"], vec!["tempa"]),
            ("[a-c].txt", vec!["a.txt", "d.txt"], vec!["a.txt"]),
            ("\\*", vec!["*", "a"], vec!["*"]),
            (" spaced \n#no\n\n!", vec!["spaced", "#no"], vec!["spaced"]),
            ("*\n!src\n!**/keep", vec!["src/a", "a/keep", "b"], vec!["b"]),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                vec!["a.md", "README.md", "README-secret.md"],
                vec!["a.md", "README-secret.md"],
            ),
            ("a+(b).{c}", vec!["a+(b).{c}", "aab"], vec!["a+(b).{c}"]),
        ] {
            assert_eq!(left_out(pattern, &paths), expected, "{pattern}");
        }
    }

    #[test]
    fn folders_that_may_hold_exceptions_are_looked_into() {
        let ignore = Ignore::parse("*\n!src/web/*.html\n!docs", "x").unwrap();
        for (folder, may) in [("src", true), ("src/web", true), ("docs", true), ("target", false), ("src/lib", false)] {
            assert_eq!(ignore.may_keep_inside(folder), may, "{folder}");
        }
        let anywhere = Ignore::parse("node_modules\n!**/keep", "x").unwrap();
        assert!(anywhere.may_keep_inside("node_modules/a"));
    }

    #[test]
    fn a_pattern_that_is_none_is_named_with_its_place() {
        let error = Ignore::parse("a\n[b\n", "api/.dockerignore").unwrap_err();
        assert_eq!(error.to_string(), "api/.dockerignore:2: `[b` is not a pattern");
    }
}

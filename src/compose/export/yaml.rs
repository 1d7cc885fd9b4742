//! YAML to be written: block style, texts in double quotes where they need any.

use std::fmt::Write as _;

use indexmap::IndexMap;

use crate::compose;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Yaml {
    /// A text; `$` in it is a variable's.
    Text(String),
    /// A number or boolean.
    Plain(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// A text that holds no variables.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.replace('$', "$$"))
    }

    /// A number or boolean.
    pub(super) fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    /// Texts that hold no variables.
    pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Self {
        Self::List(texts.into_iter().map(|text| Self::text(text)).collect())
    }

    /// Names and values that hold no variables.
    pub(super) fn pairs(pairs: &IndexMap<String, String>) -> Self {
        Self::Map(pairs.iter().map(|(name, value)| (name.clone(), Self::text(value))).collect())
    }

    /// Nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.is_empty(),
            _ => false,
        }
    }
}

/// The text of a document.
pub(super) fn render(root: &[(String, Yaml)]) -> String {
    let mut out = String::new();
    for (index, (key, value)) in root.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        match value {
            // Services, volumes, …: each set apart where it has more than a line.
            Yaml::Map(map) if !map.is_empty() => {
                let _ = writeln!(out, "{}:", scalar(key));
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 && key_lines(value) > 2 {
                        out.push('\n');
                    }
                    entry(&mut out, key, value, 1);
                }
            }
            _ => entry(&mut out, key, value, 0),
        }
    }
    out
}

fn key_lines(value: &Yaml) -> usize {
    if let Yaml::Map(map) = value { map.len() } else { 1 }
}

fn entry(out: &mut String, key: &str, value: &Yaml, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Yaml::Map(map) if !map.is_empty() => {
            let _ = writeln!(out, "{indent}{}:", scalar(key));
            for (key, value) in map {
                entry(out, key, value, depth + 1);
            }
        }
        Yaml::List(items) if !items.is_empty() && !fits(key, value, depth) => {
            let _ = writeln!(out, "{indent}{}:", scalar(key));
            for item in items {
                let _ = writeln!(out, "{indent}  - {}", flow(item));
            }
        }
        _ => {
            let _ = writeln!(out, "{indent}{}: {}", scalar(key), flow(value));
        }
    }
}

/// Whether a list is short enough for one line.
fn fits(key: &str, value: &Yaml, depth: usize) -> bool {
    let Yaml::List(items) = value else { return true };
    let plain = items.iter().all(|item| matches!(item, Yaml::Text(_) | Yaml::Plain(_)));
    plain && depth * 2 + key.len() + flow(value).chars().count() <= 100
}

/// In one line.
fn flow(value: &Yaml) -> String {
    match value {
        Yaml::Text(text) => scalar(text),
        Yaml::Plain(text) => text.clone(),
        Yaml::List(items) => {
            let items: Vec<String> = items.iter().map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
        Yaml::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", scalar(key), quoted(value))).collect();
            if entries.is_empty() { "{}".into() } else { format!("{{ {} }}", entries.join(", ")) }
        }
    }
}

/// Inside a flow list a text is always quoted: commas and brackets mean something there.
fn quoted(value: &Yaml) -> String {
    if let Yaml::Text(text) = value { double(text) } else { flow(value) }
}

/// A text, without quotes where it can't be read as anything else.
fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.' && text.contains('/'))
        && text.chars().all(safe);
    let lower = text.to_ascii_lowercase();
    let meant = matches!(lower.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if word && !meant { text.to_owned() } else { double(text) }
}

fn double(text: &str) -> String {
    compose::quoted(text, |c| c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::compose::yaml::parse;
    use crate::diag::Source;

    #[test]
    fn what_is_written_can_be_read() {
        for text in [
            "plain",
            "yes",
            "1",
            "",
            "a: b",
            "- x",
            "it's \"q\"",
            "two\nlines\n",
            "\u{1}",
            "#no",
            "${A:-b}",
            "./x",
            ".",
        ] {
            let written = render(&[
                ("a".into(), Yaml::Text(text.into())),
                (
                    "b".into(),
                    Yaml::Map(vec![("x y".into(), Yaml::List(vec![Yaml::Text(text.into()), Yaml::Map(vec![])]))]),
                ),
            ]);
            let (root, _) = parse(&Arc::new(Source { name: "c".into(), text: written.clone() })).expect(&written);
            assert_eq!(root.get("a").and_then(|a| a.raw()), Some(text), "{written}");
            let list = root.get("b").and_then(|b| b.get("x y")).and_then(|list| list.list()).expect("a list");
            assert_eq!(list[0].raw(), Some(text), "{written}");
        }
    }
}

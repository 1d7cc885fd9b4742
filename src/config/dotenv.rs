//! `.env` and env files: `NAME=value` lines, `#` comments, single quotes (taken as they are), double quotes (escapes,
//! several lines), an optional `export`. Outside single quotes `${VAR}` is put in.

use std::sync::Arc;

use super::interpolate::{self, Variables};
use crate::diag::{Diagnostic, Place, Source};

/// One `NAME=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// The value, without quotes and with its variables put in.
    pub value: String,
    /// Line it begins on, from 1.
    pub line: usize,
}

/// Reads a text. `variables` and earlier entries can be referred to.
pub fn parse(source: &Arc<Source>, variables: &Variables) -> (Vec<Entry>, Vec<Diagnostic>) {
    let mut scope = variables.clone();
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    let text = source.text.as_str();
    let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |offset| at + offset + 1);
        let line = text[at..end].trim();
        let start = at + (text[at..end].len() - text[at..end].trim_start().len());
        let place = Place { source: source.clone(), span: start..start + line.len() };
        let number = source.line_column(start).0;
        let begin = std::mem::replace(&mut at, end);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, _)) = line.split_once('=').filter(|(name, _)| is_name(name.trim_end())) else {
            problems.push(Diagnostic::error(place, "expected `NAME=value`"));
            continue;
        };
        let name = name.trim_end().to_owned();
        let Some(equals) = text[begin..].find('=').map(|offset| begin + offset + 1) else { continue };
        let value = match value(text, equals, end) {
            Ok((value, next)) => {
                at = next;
                value
            }
            Err(message) => {
                problems.push(Diagnostic::error(place, message));
                continue;
            }
        };
        let value = match value {
            Value::Literal(value) => value,
            Value::Template(template) => {
                let expanded = interpolate::expand(&template, &scope, false);
                problems.extend(expanded.faults.into_iter().map(|fault| {
                    let mut problem = Diagnostic::error(place.clone(), fault.message);
                    problem.hint = fault.hint;
                    problem
                }));
                expanded.text
            }
        };
        scope.add(&name, &value, format!("{}:{number}", source.name));
        entries.push(Entry { name, value, line: number });
    }
    (entries, problems)
}

enum Value {
    Literal(String),
    Template(String),
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// The value that begins after the `=`, and where the next line begins.
fn value(text: &str, start: usize, line_end: usize) -> Result<(Value, usize), &'static str> {
    let line = &text[start..line_end];
    let trimmed = line.trim_start();
    let begin = start + line.len() - trimmed.len();
    let after = |end: usize| text[end..].find('\n').map_or(text.len(), |offset| end + offset + 1);
    if trimmed.starts_with('\'') {
        let end = text[begin + 1..].find('\'').ok_or("the single quote is not closed")? + begin + 1;
        return Ok((Value::Literal(text[begin + 1..end].into()), after(end)));
    }
    if trimmed.starts_with('"') {
        let mut value = String::new();
        let mut chars = text[begin + 1..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => return Ok((Value::Template(value), after(begin + 1 + offset))),
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, '$')) => value.push_str("$$"),
                    Some((_, c)) => value.push(c),
                    None => break,
                },
                c => value.push(c),
            }
        }
        return Err("the double quote is not closed");
    }
    let end = [" #", "\t#"].iter().filter_map(|comment| line.find(comment)).min().unwrap_or(line.len());
    Ok((Value::Template(line[..end].trim().into()), line_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, String, usize)>, Vec<String>) {
        let source = Arc::new(Source { name: ".env".into(), text: text.into() });
        let (entries, problems) = parse(&source, &Variables::default());
        let entries = entries.into_iter().map(|entry| (entry.name, entry.value, entry.line)).collect();
        (
            entries,
            problems.iter().map(|p| format!("{}: {}", p.place.as_ref().expect("all have one"), p.message)).collect(),
        )
    }

    #[test]
    fn reads_what_compose_users_write() {
        let (entries, problems) = read(
            "\u{feff}# comment\r\nA=1\r\nexport B = two words # comment\nC='${A} #'\nD=\"a\\n${A}\nb\"\nE=\nF=a#b\nG=${NONE:-x}\nH=a=b",
        );
        let expect = [
            ("A", "1", 2),
            ("B", "two words", 3),
            ("C", "${A} #", 4),
            ("D", "a\n1\nb", 5),
            ("E", "", 7),
            ("F", "a#b", 8),
            ("G", "x", 9),
            ("H", "a=b", 10),
        ];
        assert_eq!(entries, expect.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line)));
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn says_what_is_wrong() {
        let (entries, problems) = read("oops\n1A=2\nB='open\nC=${NONE}\n");
        assert_eq!(entries.len(), 1);
        assert_eq!(
            problems,
            [
                ".env:1:1: expected `NAME=value`",
                ".env:2:1: expected `NAME=value`",
                ".env:3:1: the single quote is not closed",
                ".env:4:1: NONE is not set",
            ]
        );
    }
}

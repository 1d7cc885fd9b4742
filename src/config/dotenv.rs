//! `.env` and env files, as docker compose reads them: `NAME=value` (or `NAME: value`) lines, `#` comments, an optional
//! `export`. In single quotes only `\'` is an escape; in double quotes `\n`, `\t`, `\"`, `\$` and the like are, and any other
//! backslash stays. Outside single quotes `$VAR` and `${VAR}` are put in. A name alone takes its value from the environment.
//! Quoted values may have several lines.

use std::sync::Arc;

use super::interpolate::Variables;
use super::template;
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

/// Reads a text. `variables` and earlier entries can be referred to. What compose reads as well is at most a warning.
pub fn parse(source: &Arc<Source>, variables: &Variables) -> (Vec<Entry>, Vec<Diagnostic>) {
    let at = if source.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader {
        source,
        text: &source.text,
        at,
        counted: (0, 1),
        outer: variables,
        scope: variables.clone(),
        entries: Vec::new(),
        problems: Vec::new(),
    };
    while reader.skip_to_statement() {
        reader.statement();
    }
    (reader.entries, reader.problems)
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    text: &'a str,
    at: usize,
    /// A place and the number of its line.
    counted: (usize, usize),
    outer: &'a Variables,
    scope: Variables,
    entries: Vec<Entry>,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Passes blank lines and comments; false at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            self.at = self.text.len() - self.text[self.at..].trim_start().len();
            match self.text[self.at..].chars().next() {
                Some('#') => self.at = self.line_end(),
                Some(_) => return true,
                None => return false,
            }
        }
    }

    /// The number of the line of a place, which is behind those that were asked for before.
    fn line_at(&mut self, at: usize) -> usize {
        self.counted.1 += self.text[self.counted.0..at].matches('\n').count();
        self.counted.0 = at;
        self.counted.1
    }

    /// Where the current line ends, before its line feed.
    fn line_end(&self) -> usize {
        self.text[self.at..].find('\n').map_or(self.text.len(), |offset| self.at + offset)
    }

    /// What is left of the line, from `start`.
    fn place(&self, start: usize) -> Place {
        let end = self.text[start..].find('\n').map_or(self.text.len(), |offset| start + offset);
        Place { source: self.source.clone(), span: start..start + self.text[start..end].trim_end().len() }
    }

    fn statement(&mut self) {
        let start = self.at;
        let line = self.line_at(start);
        if let Some(rest) = self.text[start..].strip_prefix("export")
            && rest.starts_with([' ', '\t'])
        {
            self.at = self.text.len() - rest.trim_start_matches([' ', '\t']).len();
        }
        let end = self.line_end();
        let name_start = self.at;
        let name_end = self.text[name_start..end].find(['=', ':']).map_or(end, |offset| name_start + offset);
        let name = self.text[name_start..name_end].trim_end().to_owned();
        if !is_name(&name) {
            self.problems.push(Diagnostic::error(self.place(start), "expected `NAME=value`"));
            self.at = end;
            return;
        }
        if name_end == end {
            self.at = end;
            match self.outer.get(&name) {
                Some(inherited) => self.entries.push(Entry { name, value: inherited.value.clone(), line }),
                None => {
                    let hint = "a name alone takes its value from the environment, where this one is not set";
                    self.problems.push(Diagnostic::warning(self.place(start), "expected `NAME=value`").hint(hint));
                }
            }
            return;
        }
        self.at = name_end + 1;
        let Some(value) = self.value(start) else { return };
        // The environment comes first, then the last line of a name.
        if self.outer.get(&name).is_none() {
            self.scope.replace(&name, &value, format!("{}:{line}", self.source.name));
        }
        self.entries.push(Entry { name, value, line });
    }

    /// The value that begins here; none, and a problem, when it has none. Stands behind it afterwards.
    fn value(&mut self, statement: usize) -> Option<String> {
        let rest = &self.text[self.at..self.line_end()];
        self.at += rest.len() - rest.trim_start().len();
        let Some(quote) = self.text[self.at..].chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            let end = self.line_end();
            let value = &self.text[self.at..end];
            let value = value.find(" #").map_or(value, |comment| &value[..comment]).trim_end();
            self.at = end;
            return self.put_in(value, statement);
        };
        let Some((value, end)) = quoted(&self.text[self.at + 1..], quote) else {
            let kind = if quote == '"' { "double" } else { "single" };
            self.problems.push(Diagnostic::error(self.place(statement), format!("the {kind} quote is not closed")));
            self.at = self.line_end();
            return None;
        };
        self.at += 1 + end;
        self.after_quote();
        if quote == '\'' { Some(value) } else { self.put_in(&unescaped(&value), statement) }
    }

    /// Behind a closing quote another statement may follow, or a comment; anything else is not read by any tool.
    fn after_quote(&mut self) {
        let rest = self.text[self.at..self.line_end()].trim();
        let statement = rest.split_once(['=', ':']).is_some_and(|(name, _)| is_name(name.trim_end()));
        if !rest.is_empty() && !rest.starts_with('#') && !statement {
            let at = self.at + self.text[self.at..].find(rest).unwrap_or_default();
            let message = "what follows the closing quote is not part of the value";
            // Compose takes a word for a name without a value, and refuses the file for anything else.
            let place = self.place(at);
            let problem = match is_name(rest) {
                true => Diagnostic::warning(place, message),
                false => Diagnostic::error(place, message),
            };
            self.problems.push(problem.hint("put the whole value in quotes"));
            self.at = self.line_end();
        }
    }

    /// A value with its variables put in.
    fn put_in(&mut self, value: &str, statement: usize) -> Option<String> {
        let evaluated = template::evaluate(value, &self.scope);
        let place = self.place(statement);
        for name in evaluated.unset {
            let message = format!("{name} is not set: it is empty here");
            self.problems.push(Diagnostic::warning(place.clone(), message).hint("a dollar sign is written `$$`"));
        }
        let faulty = !evaluated.faults.is_empty();
        self.problems.extend(evaluated.faults.into_iter().map(|fault| Diagnostic::error(place.clone(), fault)));
        (!faulty).then_some(evaluated.text)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']'))
}

/// What is between quotes, and where the closing one ends. Only the quote itself can be escaped here.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, at + c.len_utf8())),
            '\\' => match chars.next()?.1 {
                c if c == quote => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    None
}

/// The escapes of double quotes. A backslash before anything else stays.
fn unescaped(text: &str) -> String {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        value.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (put, length) = match tail.chars().next() {
            Some('n') => ("\n", 1),
            Some('t') => ("\t", 1),
            Some('r') => ("\r", 1),
            Some('a') => ("\x07", 1),
            Some('b') => ("\x08", 1),
            Some('f') => ("\x0c", 1),
            Some('v') => ("\x0b", 1),
            Some('"') => ("\"", 1),
            Some('\\') => ("\\", 1),
            // Means a dollar sign to what puts variables in.
            Some('$') => ("$$", 1),
            Some('0') => {
                let (octal, length) = octal(tail);
                value.push_str(&octal);
                ("", length)
            }
            _ => ("\\", 0),
        };
        value.push_str(put);
        rest = &tail[length..];
    }
    value + rest
}

/// `\0123` is the character of this octal number. With fewer digits compose drops the zero and nothing else.
fn octal(tail: &str) -> (String, usize) {
    let digits = tail[1..].bytes().take(3).take_while(u8::is_ascii_digit).count();
    let number = &tail[1..=digits];
    match u8::from_str_radix(number, 8) {
        Ok(code) if digits == 3 && code.is_ascii() => (char::from(code).to_string(), 4),
        _ => (format!("\\{number}"), 1 + digits),
    }
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
        let (entries, problems) = read("oo ps\n=2\n\nC=${NONE:?ask}\nD='a'b\nE=$NONE\nF=x${\nB='open");
        let of = |name: &str, value: &str, line| (name.to_owned(), value.to_owned(), line);
        assert_eq!(entries, [of("D", "a", 5), of("E", "", 6)]);
        assert_eq!(
            problems,
            [
                ".env:1:1: expected `NAME=value`",
                ".env:2:1: expected `NAME=value`",
                ".env:4:1: NONE is not set: ask",
                ".env:5:6: what follows the closing quote is not part of the value",
                ".env:6:1: NONE is not set: it is empty here",
                ".env:7:1: `${` does not begin a variable; write `$$` for a dollar sign",
                ".env:8:1: the single quote is not closed",
            ]
        );
    }

    /// What docker compose 2.40 made of these lines; `tests/compose.rs` asks it again where it can be had.
    #[test]
    fn reads_every_value_as_compose_does() {
        let table: Vec<(String, serde_json::Value)> =
            serde_json::from_str(include_str!("../../tests/fixtures/dotenv.json")).unwrap();
        assert!(table.len() > 100);
        for (lines, expected) in table {
            let source = Arc::new(Source { name: ".env".into(), text: format!("B=base\n{lines}\n") });
            let (entries, problems) = parse(&source, &Variables::default());
            let refused = problems.iter().any(|problem| problem.severity == crate::diag::Severity::Error);
            let Some(expected) = expected.as_object() else {
                assert!(refused, "{lines:?}: compose refuses it");
                continue;
            };
            for name in ["A", "B", "C"] {
                let found = entries.iter().rev().find(|entry| entry.name == name).map(|entry| entry.value.as_str());
                assert_eq!(found, expected[name].as_str(), "{name} of {lines:?}");
            }
        }
    }

    #[test]
    fn a_name_alone_is_taken_from_the_environment() {
        let source = Arc::new(Source { name: ".env".into(), text: "SET\nexport NONE\nA=$SET".into() });
        let mut variables = Variables::default();
        variables.add("SET", "value", "environment");
        let (entries, problems) = parse(&source, &variables);
        let entries: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.value.as_str())).collect();
        assert_eq!(entries, [("SET", "value"), ("A", "value")]);
        assert_eq!(problems.iter().map(|it| it.message.as_str()).collect::<Vec<_>>(), ["expected `NAME=value`"]);
    }
}

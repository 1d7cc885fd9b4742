//! `${VAR}` in string values: puts variables in and notes what was taken from where.
//!
//! Forms: `${VAR}`, `${VAR:-default}` (unset or empty), `${VAR-default}` (unset), `${VAR:?message}`, `${VAR?message}`;
//! `$$` is a dollar sign, and a `$` before anything else stays as it is. Defaults may hold variables themselves.
//! First match wins: process environment, `.env`, the file's `[env]`.

use std::collections::BTreeSet;
use std::ops::Range;

use indexmap::IndexMap;

use super::node::{Node, Value};
use crate::diag::{Diagnostic, Place};

/// What `${…}` can refer to.
#[derive(Debug, Clone, Default)]
pub struct Variables(IndexMap<String, Variable>);

/// A variable's value and where it came from.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its value.
    pub value: String,
    /// `environment`, `.env:2`, …
    pub origin: String,
}

impl Variables {
    /// Adds a variable unless one of this name exists already.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>, origin: impl Into<String>) {
        self.0.entry(name.into()).or_insert_with(|| Variable { value: value.into(), origin: origin.into() });
    }

    /// Adds a variable, in the place of one of this name.
    pub fn replace(&mut self, name: impl Into<String>, value: impl Into<String>, origin: impl Into<String>) {
        self.0.insert(name.into(), Variable { value: value.into(), origin: origin.into() });
    }

    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.0.get(name)
    }

    /// The most similar name, for `did you mean`.
    fn similar(&self, name: &str) -> Option<&str> {
        crate::diag::similar(name, self.0.keys().map(String::as_str))
    }
}

/// A text with its variables put in.
#[derive(Debug, Default, PartialEq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// What was taken, in order.
    pub taken: Vec<Taken>,
    /// What went wrong.
    pub faults: Vec<Fault>,
}

/// Something a text took.
#[derive(Debug, PartialEq)]
pub enum Taken {
    /// A variable, and where it came from.
    Variable(String, String),
    /// The default written in the text, as a range of its bytes.
    Default(Range<usize>),
}

/// Something that is wrong with a `${…}`.
#[derive(Debug, PartialEq)]
pub struct Fault {
    /// Range of its bytes in the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Replaces variables in a text. With `placeholders`, `${name}` in lower case is kept, to be replaced later.
pub fn expand(text: &str, variables: &Variables, placeholders: bool) -> Expanded {
    let mut expander = Expander { text, variables, placeholders, depth: 0, out: Expanded::default() };
    expander.part(0..text.len());
    expander.out
}

/// How deeply defaults may hold variables with defaults.
const MAX_DEPTH: usize = 8;

struct Expander<'a> {
    text: &'a str,
    variables: &'a Variables,
    placeholders: bool,
    depth: usize,
    out: Expanded,
}

impl Expander<'_> {
    fn part(&mut self, range: Range<usize>) {
        let text = self.text;
        let mut at = range.start;
        while let Some(dollar) = text[at..range.end].find('$').map(|offset| at + offset) {
            self.out.text.push_str(&text[at..dollar]);
            let rest = &text[dollar..range.end];
            if rest.starts_with("$$") {
                self.out.text.push('$');
                at = dollar + 2;
            } else if rest.starts_with("${") {
                let Some(end) = closing(text, dollar + 2, range.end) else {
                    return self.fault(dollar..range.end, "`${` has no closing `}`", "write `$$` for a dollar sign");
                };
                self.variable(dollar..end + 1);
                at = end + 1;
            } else {
                self.out.text.push('$');
                at = dollar + 1;
            }
        }
        self.out.text.push_str(&text[at..range.end]);
    }

    fn fault(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        self.out.faults.push(Fault { span, message: message.into(), hint: hint.into() });
    }

    /// One `${…}`, the whole of it in `span`.
    fn variable(&mut self, span: Range<usize>) {
        let whole = &self.text[span.clone()];
        let inner = &whole[2..whole.len() - 1];
        let length = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
        let (name, operator) = inner.split_at(length);
        if self.placeholders && inner.starts_with(|c: char| c.is_ascii_lowercase()) {
            return self.out.text.push_str(whole);
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("`{whole}` does not name a variable");
            return self.fault(span, message, "write `${NAME}`, or `$$` for a dollar sign");
        }
        let found = self.variables.get(name);
        let set = match operator.strip_prefix(':') {
            Some(_) => found.filter(|variable| !variable.value.is_empty()),
            None => found,
        };
        let operand = operator.strip_prefix(':').unwrap_or(operator);
        if let Some(variable) = set.filter(|_| operator.is_empty() || operand.starts_with(['-', '?'])) {
            self.out.text.push_str(&variable.value);
            self.out.taken.push(Taken::Variable(name.into(), variable.origin.clone()));
        } else if operand.starts_with('-') {
            self.default(span.end - operand.len()..span.end - 1);
        } else if let Some(message) = operand.strip_prefix('?') {
            let message = if message.is_empty() { "a value is required" } else { message };
            self.fault(
                span,
                format!("{name} is not set: {message}"),
                format!("set {name} in the environment or in .env"),
            );
        } else if operator.is_empty() {
            let hint = match self.variables.similar(name) {
                Some(similar) => format!("did you mean `{similar}`? A default is written `${{{name}:-default}}`"),
                None => format!("set {name} in the environment or in .env, or give a default: `${{{name}:-default}}`"),
            };
            self.fault(span, format!("{name} is not set"), hint);
        } else {
            let message = format!("`{whole}` is not a form of interpolation");
            let hint = "use `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}` or `${NAME?message}`";
            self.fault(span, message, hint);
        }
    }

    fn default(&mut self, span: Range<usize>) {
        self.out.taken.push(Taken::Default(span.clone()));
        if self.depth == MAX_DEPTH {
            return self.fault(span, "defaults are nested too deeply", "give one of the variables a value");
        }
        self.depth += 1;
        self.part(span);
        self.depth -= 1;
    }
}

/// The `}` before `end` that closes what was opened before `start`. Braces of a default, such as those of JSON, come in pairs.
pub(crate) fn closing(text: &str, start: usize, end: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in start..end {
        match text.as_bytes()[at] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Puts variables into all strings of a document, its own `[env]` first. Adds the names of those that were used to `names`.
pub fn document(root: &mut Node, variables: &Variables, problems: &mut Vec<Diagnostic>, names: &mut BTreeSet<String>) {
    let mut all = variables.clone();
    if let Some(env) = root.get_mut("env") {
        walk(env, variables, false, problems, names);
        if let Value::Table(table) = &env.value {
            for (name, item) in table {
                if let Some(value) = scalar(&item.node) {
                    all.add(name, value, format!("[env] {}", item.node.place));
                }
            }
        }
    }
    let Value::Table(table) = &mut root.value else { return };
    for (_, item) in table.iter_mut().filter(|(key, _)| *key != "env") {
        walk(&mut item.node, &all, false, problems, names);
    }
}

/// A plain value as text.
pub fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(boolean) => Some(boolean.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

fn walk(
    node: &mut Node,
    variables: &Variables,
    placeholders: bool,
    problems: &mut Vec<Diagnostic>,
    names: &mut BTreeSet<String>,
) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, variables, placeholders, problems, names)),
        Value::Table(table) => {
            for (key, item) in table {
                walk(&mut item.node, variables, placeholders || key == "exports", problems, names);
            }
        }
        Value::String(text) if text.contains('$') => {
            let expanded = expand(text, variables, placeholders);
            for fault in expanded.faults {
                let place = within(&node.place, text, fault.span);
                problems.push(Diagnostic::error(place, fault.message).hint(fault.hint));
            }
            for taken in expanded.taken {
                node.story.push(match taken {
                    Taken::Variable(name, origin) => {
                        let story = format!("{name} from {origin}");
                        names.insert(name);
                        story
                    }
                    Taken::Default(span) => format!("default in {}", within(&node.place, text, span)),
                });
            }
            *text = expanded.text;
        }
        _ => {}
    }
}

/// The place of a part of a string value, exact when the string is written without escapes.
fn within(place: &Place, value: &str, part: Range<usize>) -> Place {
    let raw = &place.source.text[place.span.clone()];
    match raw.find(value) {
        Some(offset) => {
            let start = place.span.start + offset;
            Place { source: place.source.clone(), span: start + part.start..start + part.end }
        }
        None => place.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Expanded {
        let mut variables = Variables::default();
        variables.add("SET", "value", "environment");
        variables.add("EMPTY", "", ".env:1");
        variables.add("SET", "shadowed", ".env:2");
        expand(text, &variables, false)
    }

    #[test]
    fn all_forms() {
        for (text, result) in [
            ("a ${SET} b", "a value b"),
            ("${EMPTY}", ""),
            ("${EMPTY:-default}", "default"),
            ("${EMPTY-default}", ""),
            ("${NONE-default}", "default"),
            ("${NONE:-}", ""),
            ("${NONE:-${SET}/x}y", "value/xy"),
            ("${SET:?needed}", "value"),
            ("$$", "$"),
            ("$${SET}", "${SET}"),
            ("$HOME costs 5$", "$HOME costs 5$"),
            ("ä${SET}ö", "ävalueö"),
            (r#"${NONE:-{"a":{}}}|${SET:-{"a":1}}"#, r#"{"a":{}}|value"#),
        ] {
            let expanded = expanded(text);
            assert_eq!(expanded.text, result, "{text}");
            assert_eq!(expanded.faults, [], "{text}");
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, span, message) in [
            ("a${NONE}", 1..8, "NONE is not set"),
            ("${NONE:?ask Kim}", 0..16, "NONE is not set: ask Kim"),
            ("${EMPTY:?}", 0..10, "EMPTY is not set: a value is required"),
            ("x${SET", 1..6, "`${` has no closing `}`"),
            ("${}", 0..3, "`${}` does not name a variable"),
            ("${SET+x}", 0..8, "`${SET+x}` is not a form of interpolation"),
            ("${SET:}", 0..7, "`${SET:}` is not a form of interpolation"),
            ("${NONE::-x}", 0..11, "`${NONE::-x}` is not a form of interpolation"),
        ] {
            let faults = expanded(text).faults;
            assert_eq!(faults.len(), 1, "{text}");
            assert_eq!((faults[0].span.clone(), faults[0].message.as_str()), (span, message));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| expanded(&("${A:-".repeat(depth) + &"}".repeat(depth)));
        assert_eq!(nested(8).faults, []);
        assert_eq!(nested(100_000).faults[0].message, "defaults are nested too deeply");
    }

    #[test]
    fn says_what_was_taken() {
        let taken = expanded("${SET}${NONE:-d}").taken;
        assert_eq!(taken, [Taken::Variable("SET".into(), "environment".into()), Taken::Default(14..15)]);
    }

    #[test]
    fn exports_keep_their_placeholders() {
        let mut variables = Variables::default();
        variables.add("DB", "app", "environment");
        assert_eq!(
            expand("postgres://${host}:${port.5432}/${DB}", &variables, true).text,
            "postgres://${host}:${port.5432}/app"
        );
    }
}

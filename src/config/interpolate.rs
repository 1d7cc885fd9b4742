//! `${VAR}` in string values: puts variables in and notes what was taken from where.
//!
//! Forms: `${VAR}`, `${VAR:-default}` (unset or empty), `${VAR-default}` (unset), `${VAR:?message}`, `${VAR?message}`;
//! `$$` is a dollar sign, and a `$` before anything else stays as it is. Defaults may hold variables themselves.
//! First match wins: process environment, `.env`, the file's `[env]`. Each file of a stack has its own ([`super::scope`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use indexmap::IndexMap;

use super::node::{Node, Value};
use super::scope::Scopes;
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
    /// A variable.
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// Where it came from.
        origin: String,
    },
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
            let (value, origin) = (variable.value.clone(), variable.origin.clone());
            self.out.taken.push(Taken::Variable { name: name.into(), value, origin });
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

/// The variables that were used, by name, and each value that they stood for.
pub type Used = BTreeMap<String, BTreeSet<String>>;

/// Puts variables into all strings of a document, into its own `[env]` first; each file has its own variables.
pub fn document(root: &mut Node, scopes: &Scopes, problems: &mut Vec<Diagnostic>, used: &mut Used) {
    if let Some(env) = root.get_mut("env") {
        Walk { variables: &|place| &scopes.of(place).around, problems, used }.node(env, false);
    }
    let Value::Table(table) = &mut root.value else { return };
    for (_, item) in table.iter_mut().filter(|(key, _)| *key != "env") {
        within_scopes(&mut item.node, scopes, problems, used);
    }
}

/// Puts variables into all strings of a part of a document.
pub fn within_scopes(node: &mut Node, scopes: &Scopes, problems: &mut Vec<Diagnostic>, used: &mut Used) {
    Walk { variables: &|place| &scopes.of(place).variables, problems, used }.node(node, false);
}

/// The same with these variables, wherever a string is written.
pub fn strings(node: &mut Node, variables: &Variables, problems: &mut Vec<Diagnostic>, used: &mut Used) {
    Walk { variables: &|_| variables, problems, used }.node(node, false);
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

/// Puts variables into what files with other variables than the main one say, so that only those of the main file are left.
pub fn settle(root: &mut Node, scopes: &Scopes) {
    settle_in(root, scopes, false);
}

fn settle_in(node: &mut Node, scopes: &Scopes, placeholders: bool) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| settle_in(item, scopes, placeholders)),
        Value::Table(table) => {
            for (key, item) in table {
                settle_in(&mut item.node, scopes, placeholders || key == "exports");
            }
        }
        Value::String(text) => {
            if let Some(scope) = scopes.elsewhere(&node.place).filter(|scope| scope.file != 0 && text.contains('$')) {
                let settled = expand(text, &scope.variables, placeholders).text;
                *text = if placeholders { settled } else { settled.replace('$', "$$") };
            }
        }
        _ => {}
    }
}

struct Walk<'a> {
    /// The variables that count at a place.
    variables: &'a dyn Fn(&Place) -> &'a Variables,
    problems: &'a mut Vec<Diagnostic>,
    used: &'a mut Used,
}

impl Walk<'_> {
    /// `placeholders`: `${name}` in lower case is kept.
    fn node(&mut self, node: &mut Node, placeholders: bool) {
        match &mut node.value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.node(item, placeholders)),
            Value::Table(table) => {
                for (key, item) in table {
                    self.node(&mut item.node, placeholders || key == "exports");
                }
            }
            Value::String(text) if text.contains('$') => {
                let expanded = expand(text, (self.variables)(&node.place), placeholders);
                for fault in expanded.faults {
                    let place = within(&node.place, text, fault.span);
                    self.problems.push(Diagnostic::error(place, fault.message).hint(fault.hint));
                }
                for taken in expanded.taken {
                    node.story.push(match taken {
                        Taken::Variable { name, value, origin } => {
                            let story = format!("{name} from {origin}");
                            self.used.entry(name).or_default().insert(value);
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
        let [name, value, origin] = ["SET", "value", "environment"].map(ToString::to_string);
        let variable = Taken::Variable { name, value, origin };
        assert_eq!(taken, [variable, Taken::Default(14..15)]);
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

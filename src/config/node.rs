//! The tree between TOML and the schema: every value knows the file and place it came from, also after merging.

use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diag::{Diagnostic, Place, Source};

/// A value, its place, and what happened to it.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub place: Place,
    /// Its origin in addition to its place: variables it used, what it overrides.
    pub story: Vec<String>,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the types of TOML")]
pub enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(IndexMap<String, Item>),
}

/// What a table holds under one key.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where the key is written.
    pub key: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// Parses a TOML text; the errors are all syntax errors in it.
    pub fn parse(source: &Arc<Source>) -> Result<Self, Vec<Diagnostic>> {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        if errors.is_empty() {
            let mut problems = Vec::new();
            let reader = Builder { source };
            let node = reader.table(table.span(), table.get_ref(), &mut problems);
            return if problems.is_empty() { Ok(node) } else { Err(problems) };
        }
        let mut problems: Vec<Diagnostic> = Vec::new();
        for error in errors {
            let place = error.span().map(|span| Place { source: source.clone(), span });
            let line = |place: &Option<Place>| place.as_ref().map(|p| p.source.line_column(p.span.start).0);
            // What follows on the same line is mostly a consequence of the first.
            if problems.last().is_none_or(|last| line(&last.place) != line(&place)) {
                problems.push(syntax(place, error.message().trim_end_matches('.')));
            }
        }
        Err(problems)
    }

    /// The value alone.
    pub fn plain(&self) -> toml::Value {
        match &self.value {
            Value::String(text) | Value::Datetime(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Boolean(boolean) => (*boolean).into(),
            Value::Array(items) => items.iter().map(Self::plain).collect::<Vec<_>>().into(),
            Value::Table(table) => {
                let entries = table.iter().map(|(key, item)| (key.clone(), item.node.plain()));
                entries.collect::<toml::Table>().into()
            }
        }
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Puts an override over this one: tables merge key by key, everything else is replaced.
    pub fn merge(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (Value::Table(under), Value::Table(over)) => {
                for (key, item) in over {
                    match under.get_mut(&key) {
                        Some(existing) => existing.node.merge(item.node),
                        None => {
                            under.insert(key, item);
                        }
                    }
                }
            }
            (_, value) => {
                let story = std::iter::once(format!("overrides {}", self.place)).chain(over.story).collect();
                *self = Self { value, place: over.place, story };
            }
        }
    }

    /// What a table holds under a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(table) => table.get(key).map(|item| &item.node),
            _ => None,
        }
    }

    /// Takes a key out of a table.
    pub fn take(&mut self, key: &str) -> Option<Item> {
        match &mut self.value {
            Value::Table(table) => table.shift_remove(key),
            _ => None,
        }
    }

    /// What a table holds under a key, for changing it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        match &mut self.value {
            Value::Table(table) => table.get_mut(key).map(|item| &mut item.node),
            _ => None,
        }
    }
}

/// A syntax error, in the words of this project where the parser's are terse.
fn syntax(place: Option<Place>, message: &str) -> Diagnostic {
    if message.contains("duplicate key") {
        let key = place.as_ref().map(|place| place.source.text[place.span.clone()].to_owned()).unwrap_or_default();
        Diagnostic::error(place, format!("`{key}` is written twice"))
            .hint("a key or table can be written once: merge the two")
    } else if message.contains("recursion") {
        Diagnostic::error(place, "nested too deeply").hint("nothing in services.toml needs to be nested this deeply")
    } else {
        Diagnostic::error(place, message)
    }
}

struct Builder<'a> {
    source: &'a Arc<Source>,
}

impl Builder<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place { source: self.source.clone(), span }
    }

    fn node(&self, spanned: &Spanned<DeValue<'_>>, problems: &mut Vec<Diagnostic>) -> Node {
        let place = self.place(spanned.span());
        let mut out_of_range = || {
            problems.push(Diagnostic::error(place.clone(), "the number is out of range"));
        };
        let value = match spanned.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => {
                    out_of_range();
                    Value::Integer(0)
                }
            },
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Value::Float(number),
                Err(_) => {
                    out_of_range();
                    Value::Float(0.0)
                }
            },
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(date) => Value::Datetime(date.to_string()),
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.node(item, problems)).collect()),
            DeValue::Table(table) => return self.table(spanned.span(), table, problems),
        };
        Node { value, place, story: Vec::new() }
    }

    fn table(&self, span: Range<usize>, table: &DeTable<'_>, problems: &mut Vec<Diagnostic>) -> Node {
        let items = table.iter().map(|(key, value)| {
            let item = Item { key: self.place(key.span()), node: self.node(value, problems) };
            (key.get_ref().to_string(), item)
        });
        Node { value: Value::Table(items.collect()), place: self.place(span), story: Vec::new() }
    }
}

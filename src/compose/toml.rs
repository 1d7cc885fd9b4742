//! Writes a services.toml: tables with comments, laid out as a person would.

use std::fmt::Write as _;

/// Longest line that is made where it can be helped.
const WIDTH: usize = 120;

/// `[services.api]` and what is in it.
#[derive(Debug, Default)]
pub struct Table {
    /// The words of its name; none = the top of the file.
    pub name: Vec<String>,
    /// Comment lines before it.
    pub above: Vec<String>,
    /// Its keys.
    pub fields: Vec<Field>,
    /// Comment lines after the last key.
    pub below: Vec<String>,
}

/// A key, its value and its comments.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Comment lines before it.
    pub above: Vec<String>,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// A comment on the same line.
    pub right: Option<String>,
}

impl Field {
    /// A key without comments.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { above: Vec::new(), key: key.into(), value: value.into(), right: None }
    }
}

/// An item of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Comment lines before it.
    pub above: Vec<String>,
    /// The value.
    pub value: Value,
    /// A comment on the same line.
    pub right: Option<String>,
}

impl<T: Into<Value>> From<T> for Item {
    fn from(value: T) -> Self {
        Self { above: Vec::new(), value: value.into(), right: None }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the types of TOML")]
pub enum Value {
    Text(String),
    Bool(bool),
    Integer(i64),
    /// A number as it is written.
    Number(String),
    List(Vec<Item>),
    Map(Vec<Field>),
    /// In a list: only the comments are written.
    Nothing,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(boolean: bool) -> Self {
        Self::Bool(boolean)
    }
}

impl FromIterator<String> for Value {
    fn from_iter<T: IntoIterator<Item = String>>(texts: T) -> Self {
        Self::List(texts.into_iter().map(Item::from).collect())
    }
}

impl Value {
    fn has_comments(&self) -> bool {
        match self {
            Self::List(items) => {
                items.iter().any(|item| !item.above.is_empty() || item.right.is_some() || item.value.has_comments())
            }
            Self::Map(fields) => fields
                .iter()
                .any(|field| !field.above.is_empty() || field.right.is_some() || field.value.has_comments()),
            _ => false,
        }
    }

    /// In one line. Comments are left out.
    fn inline(&self) -> String {
        match self {
            Self::Text(text) => string(text),
            Self::Bool(boolean) => boolean.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.clone(),
            Self::List(items) => {
                let written = items.iter().filter(|item| item.value != Self::Nothing);
                let items: Vec<String> = written.map(|item| item.value.inline()).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Nothing => String::new(),
            Self::Map(fields) if fields.is_empty() => "{}".into(),
            Self::Map(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|field| format!("{} = {}", key(&field.key), field.value.inline())).collect();
                format!("{{ {} }}", fields.join(", "))
            }
        }
    }
}

/// The text of a file. Tables are set apart by a blank line.
pub fn render(tables: &[Table]) -> String {
    let mut out = String::new();
    for table in tables {
        if !out.is_empty() {
            out.push('\n');
        }
        lines(&mut out, &table.above);
        put_table(&mut out, &table.name, &table.fields, &table.below);
    }
    out
}

fn put_table(out: &mut String, name: &[String], fields: &[Field], below: &[String]) {
    let (tables, plain): (Vec<&Field>, Vec<&Field>) = fields.iter().partition(|field| is_table(field));
    if !name.is_empty() && (!plain.is_empty() || tables.is_empty()) {
        let words: Vec<String> = name.iter().map(|word| key(word)).collect();
        let _ = writeln!(out, "[{}]", words.join("."));
    }
    for field in plain {
        lines(out, &field.above);
        put_field(out, field);
    }
    for (index, field) in tables.into_iter().enumerate() {
        let Value::Map(inner) = &field.value else { continue };
        if index > 0 || !out.is_empty() {
            let blank = !out.ends_with("\n\n") && !out.is_empty() && !ends_with_comment(out);
            out.push_str(if blank { "\n" } else { "" });
        }
        lines(out, &field.above);
        let name: Vec<String> = name.iter().chain([&field.key]).cloned().collect();
        put_table(out, &name, inner, &[]);
    }
    lines(out, below);
}

/// The comment that stands at the end belongs to what follows.
fn ends_with_comment(out: &str) -> bool {
    out.trim_end_matches('\n').rsplit('\n').next().is_some_and(|line| line.starts_with('#'))
}

fn put_field(out: &mut String, field: &Field) {
    let line = format!("{} = {}", key(&field.key), field.value.inline());
    match &field.value {
        Value::List(items)
            if field.value.has_comments() || items.iter().any(is_long) || line.chars().count() > WIDTH =>
        {
            let right = field.right.as_ref().map(|right| format!("  {right}")).unwrap_or_default();
            let _ = writeln!(out, "{} = [{right}", key(&field.key));
            for item in items {
                lines_indented(out, &item.above);
                let right = item.right.as_ref().map(|right| format!("  {right}")).unwrap_or_default();
                let text = match &item.value {
                    Value::Nothing => continue,
                    Value::Text(text) => long_string(text),
                    value => value.inline(),
                };
                let _ = writeln!(out, "  {text},{right}");
            }
            out.push_str("]\n");
            return;
        }
        Value::Text(text) => {
            let _ = write!(out, "{} = {}", key(&field.key), long_string(text));
        }
        _ => out.push_str(&line),
    }
    if let Some(right) = &field.right {
        let _ = write!(out, "  {right}");
    }
    out.push('\n');
}

/// A text of several lines, which is written as such.
fn is_long(item: &Item) -> bool {
    matches!(&item.value, Value::Text(text) if text.trim_end_matches('\n').contains('\n'))
}

/// Whether a map gets a table of its own: it is long, or has comments.
fn is_table(field: &Field) -> bool {
    let Value::Map(fields) = &field.value else { return false };
    let deep = fields.iter().any(|field| matches!(&field.value, Value::Map(inner) if !inner.is_empty()));
    let wide = || format!("{} = {}", key(&field.key), field.value.inline()).chars().count() > WIDTH;
    field.value.has_comments() || deep || fields.len() > 4 || wide()
}

fn lines(out: &mut String, comments: &[String]) {
    for comment in comments {
        out.push_str(comment);
        out.push('\n');
    }
}

fn lines_indented(out: &mut String, comments: &[String]) {
    for comment in comments {
        let _ = writeln!(out, "  {comment}");
    }
}

/// A key, in quotes where it needs them.
pub fn key(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(bare) { text.into() } else { string(text) }
}

/// A text as TOML writes it in one line.
pub fn string(text: &str) -> String {
    let no_escapes = !text.contains(|c: char| c == '\'' || c.is_control());
    if text.contains(['"', '\\']) && no_escapes {
        return format!("'{text}'");
    }
    super::quoted(text, char::is_control)
}

/// The same over several lines, where the text has them.
fn long_string(text: &str) -> String {
    let simple = !text.contains("'''") && !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t');
    let ends_in_quote = text.ends_with('\'');
    if text.trim_end_matches('\n').contains('\n') && simple && !ends_in_quote {
        format!("'''\n{text}'''")
    } else {
        string(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let texts = [
            "plain",
            "a \"b\"",
            "it's",
            "back\\slash",
            "both ' and \"",
            "two\nlines\n",
            "\u{1}\t",
            "'''\nx",
            "x\n'",
            "",
        ];
        for text in texts {
            let table = Table {
                fields: vec![Field::new("key", text), Field::new("list", Value::from_iter([text.to_owned()]))],
                ..Table::default()
            };
            let written = render(&[table]);
            let read: ::toml::Table = written.parse().unwrap_or_else(|error| panic!("{error}\n{written}"));
            assert_eq!(read["key"].as_str(), Some(text), "{written}");
            assert_eq!(read["list"][0].as_str(), Some(text), "{written}");
        }
    }

    #[test]
    fn long_things_get_lines_of_their_own() {
        let long: Vec<String> = (0..12).map(|n| format!("item number {n}")).collect();
        let env: Vec<Field> = (0..5).map(|n| Field::new(format!("VAR_{n}"), "x")).collect();
        let commented = Item { above: vec!["# why".into()], value: "80:80".into(), right: Some("# right".into()) };
        let table = Table {
            name: vec!["services".into(), "api".into()],
            above: vec!["# The API.".into()],
            fields: vec![
                Field::new("command", Value::from_iter(long)),
                Field::new("env", Value::Map(env)),
                Field::new("ports", Value::List(vec![commented])),
                Field::new("labels", Value::Map(vec![Field::new("a.b", "c")])),
            ],
            below: Vec::new(),
        };
        let text = render(&[table]);
        let read: ::toml::Table = text.parse().expect("it is TOML");
        assert_eq!(read["services"]["api"]["env"]["VAR_4"].as_str(), Some("x"));
        assert_eq!(read["services"]["api"]["labels"]["a.b"].as_str(), Some("c"));
        assert!(text.starts_with("# The API.\n[services.api]\ncommand = [\n  \"item number 0\",\n"), "{text}");
        assert!(
            text.contains(
                "ports = [\n  # why\n  \"80:80\",  # right\n]\nlabels = { \"a.b\" = \"c\" }\n\n[services.api.env]\n"
            ),
            "{text}"
        );
    }
}

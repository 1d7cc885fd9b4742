//! The format of services.toml, as data: error messages, JSON Schema and the reference page are generated from it.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value, json};

use super::decode::Decode as _;
use super::schema::Config;

/// What may be written in one place.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A string, described with its article: `a duration such as "60s"`.
    Text(&'static str),
    /// An integer within bounds.
    Integer(i64, i64),
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A list of these.
    List(Box<Shape>),
    /// A table with any keys and these values.
    Map(Box<Shape>),
    /// A table with fixed keys.
    Table(Table),
    /// One of these.
    Any(Vec<Shape>),
}

/// A table with fixed keys.
#[derive(Debug, Clone)]
pub struct Table {
    /// Name of its section in the reference.
    pub title: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its keys.
    pub fields: fn() -> Vec<Field>,
}

/// A key of a table.
#[derive(Debug, Clone)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// What it does.
    pub about: &'static str,
    /// It can't be left out.
    pub required: bool,
    /// What holds when it is left out.
    pub default: &'static str,
    /// TOML to show.
    pub example: &'static str,
    /// What may be written.
    pub shape: Shape,
}

/// In words, with an article: what an error message expects.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(what) => f.write_str(what),
            Self::Integer(low, high) if *low == i64::MIN || *high >= i64::from(u32::MAX) => f.write_str("an integer"),
            Self::Integer(low, high) => write!(f, "an integer from {low} to {high}"),
            Self::Number => f.write_str("a number"),
            Self::Boolean => f.write_str("`true` or `false`"),
            Self::Choice(words) => write!(f, "one of \"{}\"", words.join("\", \"")),
            Self::List(_) => f.write_str("a list"),
            Self::Map(_) | Self::Table(_) => f.write_str("a table"),
            Self::Any(shapes) => {
                let mut words: Vec<String> = Vec::new();
                for word in shapes.iter().map(ToString::to_string) {
                    if !words.contains(&word) {
                        words.push(word);
                    }
                }
                f.write_str(&words.join(" or "))
            }
        }
    }
}

/// The JSON Schema of services.toml, for editors.
pub fn json_schema() -> Value {
    let mut definitions = Map::new();
    let root = Config::shape();
    let mut schema = match &root {
        Shape::Table(table) => object(table, &mut definitions),
        other => schema(other, &mut definitions),
    };
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("services.toml");
    schema["definitions"] = Value::Object(definitions);
    schema
}

fn schema(shape: &Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Text(what) => json!({ "type": "string", "description": what }),
        Shape::Integer(low, high) => {
            let mut schema = json!({ "type": "integer" });
            // The extremes of the number type are not meant as bounds.
            if *low != i64::MIN {
                schema["minimum"] = json!(low);
            }
            if *high != i64::MAX {
                schema["maximum"] = json!(high);
            }
            schema
        }
        Shape::Number => json!({ "type": "number" }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::List(items) => json!({ "type": "array", "items": schema(items, definitions) }),
        Shape::Map(values) => json!({ "type": "object", "additionalProperties": schema(values, definitions) }),
        Shape::Any(shapes) => {
            let all: Vec<Value> = shapes.iter().map(|shape| schema(shape, definitions)).collect();
            json!({ "anyOf": all })
        }
        Shape::Table(table) => {
            let name = table.anchor();
            if !definitions.contains_key(&name) {
                // Taken before it is filled in, so that a table inside itself would end.
                definitions.insert(name.clone(), Value::Null);
                let described = object(table, definitions);
                definitions.insert(name.clone(), described);
            }
            json!({ "$ref": format!("#/definitions/{name}") })
        }
    }
}

fn object(table: &Table, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in (table.fields)() {
        if field.required {
            required.push(field.key);
        }
        let mut described = schema(&field.shape, definitions);
        if described.get("$ref").is_some() {
            // In draft 7 nothing stands beside `$ref`.
            described = json!({ "allOf": [described] });
        }
        described["description"] = json!(one_line(field.about));
        properties.insert(field.key.into(), described);
    }
    let mut object = json!({
        "type": "object",
        "description": one_line(table.about),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// The reference page, one section a table.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut done = Vec::new();
    section(&Config::shape(), &mut out, &mut done);
    out
}

fn section(shape: &Shape, out: &mut String, done: &mut Vec<&'static str>) {
    match shape {
        Shape::List(inner) | Shape::Map(inner) => section(inner, out, done),
        Shape::Any(shapes) => shapes.iter().for_each(|shape| section(shape, out, done)),
        Shape::Table(table) if !done.contains(&table.title) => {
            done.push(table.title);
            let fields = (table.fields)();
            let _ = write!(out, "\n## {}\n\n{}\n\n", table.title, one_line(table.about));
            out.push_str("| key | type | default | description |\n|---|---|---|---|\n");
            for field in &fields {
                let default = match (field.required, field.default) {
                    (true, _) => "*required*".into(),
                    (false, "") => String::new(),
                    (false, default) => default.replace('|', "\\|"),
                };
                let kind = notation(&field.shape).replace('|', "\\|");
                let _ = writeln!(out, "| `{}` | {kind} | {default} | {} |", field.key, one_line(field.about));
            }
            out.push_str("\n```toml\n");
            // Plain keys first: after a `[table]` they would belong to it.
            let (tables, plain): (Vec<_>, Vec<_>) = fields.iter().partition(|field| field.example.starts_with('['));
            for field in plain.into_iter().chain(tables) {
                let _ = writeln!(out, "{}", field.example);
            }
            out.push_str("```\n");
            for field in &fields {
                section(&field.shape, out, done);
            }
        }
        _ => {}
    }
}

/// What may be written, for a cell of the reference.
fn notation(shape: &Shape) -> String {
    match shape {
        Shape::Text(what) => what.trim_start_matches("a ").trim_start_matches("an ").into(),
        Shape::Integer(..) => "integer".into(),
        Shape::Number => "number".into(),
        Shape::Boolean => "boolean".into(),
        Shape::Choice(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" "),
        Shape::List(items) => format!("list of {}", notation(items)),
        Shape::Map(values) => format!("table of {}", notation(values)),
        Shape::Table(table) => format!("[{}](#{})", table.title, table.anchor()),
        Shape::Any(shapes) => shapes.iter().map(notation).collect::<Vec<_>>().join(" or "),
    }
}

/// Documentation comments are wrapped; a cell is one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Table {
    /// Its title as a link target and as a name in the schema.
    fn anchor(&self) -> String {
        self.title.to_lowercase().replace(' ', "-")
    }
}

const INTRODUCTION: &str = r#"# services.toml

<!-- Generated from src/config/schema.rs: `UPDATE_DOCS=1 cargo test --lib describe` writes it again. -->

The file describes the stack. `taskava dev check` validates it, `taskava dev config` shows it with variables and defaults applied, and
`taskava dev schema` prints a JSON Schema for editors (`#:schema docs/services.schema.json` as the first line).

**Location.** `services.toml` in the current folder or the nearest folder above it; `--file` names another file. Relative paths
are relative to its folder. Paths must exist and, after following links, be inside that folder unless `allow_outside` names them; the
Docker socket may be mounted without that.

**Overrides.** `services.local.toml` next to `services.toml` overrides it: tables are merged key by key, everything else is
replaced. It is for settings of one machine and is not committed. With `--file other.toml` it is not read.

**Several files.** `include` makes the services of other files part of the stack; `extends` lets a service build on another one. Paths
are relative to the folder of the file that they are written in, and places in messages name that file.

**Interpolation**, in all strings:

| written | gives |
|---|---|
| `${VAR}` | the value; unset is an error |
| `${VAR:-default}`, `${VAR-default}` | the default when unset or empty; when unset |
| `${VAR:?message}`, `${VAR?message}` | an error with the message when unset or empty; when unset |
| `$$` | a dollar sign |

A value comes from the environment of the command, else from `.env` next to the file, else from the file's `[env]`. Defaults may
contain variables. A mistake in `.env` is a warning, because other tools read that file too; in an `env_file` it is an error. Other
dollar signs (`$HOME` in a command) are kept. In `exports`, lower-case names (`${host}`) are placeholders, replaced when the
service runs. `taskava dev explain SERVICE` shows where a value came from.

**Environment of a service**, from lowest to highest precedence: top-level `[env]`, `env_file`, `env`.

**Notations.** Durations: `"500ms"`, `"60s"`, `"2m"`, `"1h"`. Sizes: bytes as a number, or `"64k"`, `"64m"`, `"1g"`. Commands: a command line that
is split as a shell would split it (no shell runs, and nothing is expanded), or a list of arguments.

**Limits.** 1 MiB, 500 services, UTF-8.
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Variables};
    use crate::diag::Source;

    fn compare(path: &str, generated: &str) {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, generated).unwrap();
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(checked_in == generated, "{path} is out of date: run `UPDATE_DOCS=1 cargo test --lib describe`");
    }

    #[test]
    fn the_reference_is_up_to_date() {
        compare("docs/services-toml.md", &reference());
    }

    #[test]
    fn the_schema_is_up_to_date() {
        let text = serde_json::to_string_pretty(&json_schema()).unwrap();
        compare("docs/services.schema.json", &(text + "\n"));
    }

    /// Each example is decoded where it belongs, so that the reference can't show what is refused.
    #[test]
    fn every_example_is_accepted() {
        fn visit(shape: &Shape, seen: &mut Vec<&'static str>, failures: &mut Vec<String>) {
            match shape {
                Shape::List(inner) | Shape::Map(inner) => visit(inner, seen, failures),
                Shape::Any(shapes) => shapes.iter().for_each(|shape| visit(shape, seen, failures)),
                Shape::Table(table) if !seen.contains(&table.title) => {
                    seen.push(table.title);
                    for field in (table.fields)() {
                        let text = field.example.to_owned();
                        let toml: toml::Table = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
                        if !toml.contains_key(field.key) || toml.len() != 1 {
                            failures.push(format!("{}.{}: {text}", table.title, field.key));
                        }
                        visit(&field.shape, seen, failures);
                    }
                }
                _ => {}
            }
        }
        let (mut seen, mut failures) = (Vec::new(), Vec::new());
        visit(&Config::shape(), &mut seen, &mut failures);
        assert_eq!(failures, Vec::<String>::new());
        assert!(seen.contains(&"Watch") && seen.contains(&"AWS queues"), "{seen:?}");
    }

    #[test]
    fn the_examples_of_a_service_are_accepted_together() {
        let (mut shape, mut text) = (None, String::new());
        if let Shape::Table(table) = Config::shape() {
            shape = (table.fields)().into_iter().find(|field| field.key == "services").map(|field| field.shape);
        }
        let Some(Shape::Map(service)) = shape else { panic!("services is a map") };
        let Shape::Table(table) = *service else { panic!("of tables") };
        text.push_str("[services.x]\n");
        for field in (table.fields)() {
            text.push_str(field.example);
            text.push('\n');
        }
        let source = std::sync::Arc::new(Source { name: "services.toml".into(), text });
        let (_, problems) = config::parse(&[source], &Variables::default());
        assert_eq!(problems, []);
    }
}

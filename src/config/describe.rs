//! What may be written in services.toml, as data: error messages, JSON Schema and the reference page come from it.

use std::fmt;

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

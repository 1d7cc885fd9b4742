//! From the tree to types, collecting every problem; and from the same types to their description.
//!
//! [`table!`](crate::config::decode) declares a table once: struct, decoder, documentation and schema come from it.

use std::collections::BTreeSet;
use std::ops::{Deref, RangeInclusive};

use indexmap::IndexMap;

use super::describe::{Field, Shape};
use super::node::{Item, Node, Value};
use super::words::compose;
use crate::diag::{Diagnostic, Place, similar};

/// A type that can be read from a [`Node`].
pub trait Decode: Sized {
    /// Reads it; if this returns none, a failure has been reported to the reader.
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// The accepted notation, for documentation, schema and error messages.
    fn shape() -> Shape;

    /// Its value when the key is absent; none when the key is required.
    fn absent() -> Option<Self> {
        None
    }

    /// Replaces a value that can't be read, if its name still matters to others.
    fn broken() -> Option<Self> {
        None
    }
}

/// Collects problems and knows which key is being read.
#[derive(Debug)]
pub struct Reader {
    problems: Vec<Diagnostic>,
    path: Vec<String>,
}

impl Reader {
    /// Starts with the problems found so far.
    pub fn new(problems: Vec<Diagnostic>) -> Self {
        Self { problems, path: Vec::new() }
    }

    /// All problems.
    pub fn finish(self) -> Vec<Diagnostic> {
        self.problems
    }

    /// Reports a problem with the key that is being read.
    pub fn error(&mut self, place: &Place, message: impl std::fmt::Display) -> &mut Diagnostic {
        let message = if self.path.is_empty() { message.to_string() } else { format!("`{}`: {message}", self.path()) };
        self.problems.push(Diagnostic::error(place.clone(), message));
        self.problems.last_mut().expect("one was just pushed")
    }

    /// Reports that something else was expected.
    pub fn wrong<T: Decode>(&mut self, node: &Node) {
        self.error(&node.place, format_args!("expected {}, found {}", T::shape(), node.kind()));
    }

    /// Reads what is under a key.
    pub fn under<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let result = read(self);
        self.path.pop();
        result
    }

    /// Turns the result of a text's own parser into a problem.
    pub fn check<T>(&mut self, node: &Node, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.error(&node.place, message)).ok()
    }

    fn path(&self) -> String {
        self.path.join(".")
    }

    /// One field of a table. An invalid optional field counts as absent, so that the rest can still be checked.
    pub fn field<T: Decode>(&mut self, owner: &Node, table: &IndexMap<String, Item>, key: &str) -> Option<T> {
        match table.get(key) {
            Some(item) => self.under(key, |reader| T::decode(&item.node, reader)).or_else(T::absent),
            None => T::absent().or_else(|| {
                self.error(&owner.place, format_args!("the key `{key}` is missing"));
                None
            }),
        }
    }

    /// Reports keys that a table doesn't have.
    pub fn known(&mut self, table: &IndexMap<String, Item>, keys: &[&str]) {
        for (key, item) in table {
            if !keys.contains(&key.as_str()) {
                let hint = match (compose(key).filter(|_| keys.contains(&"image")), similar(key, keys.iter().copied()))
                {
                    (Some(hint), _) => hint.into(),
                    (None, Some(similar)) => format!("did you mean `{similar}`?"),
                    (None, None) => {
                        let sorted: BTreeSet<&str> = keys.iter().copied().collect();
                        format!("known keys: {}", sorted.into_iter().collect::<Vec<_>>().join(", "))
                    }
                };
                let place = item.key.clone();
                self.under(key, |reader| {
                    let message = format!("unknown key `{}`", reader.path());
                    reader.problems.push(Diagnostic::error(place, message).hint(hint));
                });
            }
        }
    }
}

/// A list of keys that a table has besides its own: `..field: Type;` in [`table!`](crate::config::decode).
pub trait Included: Sized {
    /// Its keys.
    const KEYS: &'static [&'static str];

    /// Reads those keys of a table; what is wrong is reported and counts as absent.
    fn read(table: &IndexMap<String, Item>, reader: &mut Reader) -> Self;

    /// The same with their documentation.
    fn fields() -> Vec<Field>;
}

/// Declares a table of services.toml: `key: Type, default "…", example "…";`, and at the end the keys of a list.
macro_rules! table {
    ($(#[doc = $doc:literal])* $name:ident $title:literal {
        $($(#[doc = $about:literal])* $field:ident: $type:ty, default $default:literal, example $example:literal;)*
        $(..$(#[doc = $of:literal])* $included:ident: $keys:ty;)?
    }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default)]
        pub struct $name {
            $($(#[doc = $about])* pub $field: $type,)*
            $($(#[doc = $of])* pub $included: $keys,)?
        }

        impl $crate::config::decode::Decode for $name {
            fn decode(node: &$crate::config::node::Node, reader: &mut $crate::config::decode::Reader) -> Option<Self> {
                let $crate::config::node::Value::Table(table) = &node.value else {
                    reader.wrong::<Self>(node);
                    return None;
                };
                let known = [&[$(stringify!($field).trim_start_matches("r#")),*][..], $(<$keys as $crate::config::decode::Included>::KEYS)?];
                reader.known(table, &known.concat());
                $(let $field = reader.field(node, table, stringify!($field).trim_start_matches("r#"));)*
                $(let $included = <$keys as $crate::config::decode::Included>::read(table, reader);)?
                Some(Self { $($field: $field?,)* $($included)? })
            }

            fn broken() -> Option<Self> {
                Some(Self::default())
            }

            fn shape() -> $crate::config::describe::Shape {
                $crate::config::describe::Shape::Table($crate::config::describe::Table {
                    title: $title,
                    about: concat!($($doc, "\n"),*),
                    fields: || {
                        let own = vec![$($crate::config::describe::Field {
                        key: stringify!($field).trim_start_matches("r#"),
                        about: concat!($($about, "\n"),*),
                        required: <$type as $crate::config::decode::Decode>::absent().is_none(),
                        default: $default,
                        example: $example,
                        shape: <$type as $crate::config::decode::Decode>::shape(),
                        }),*];
                        [own, $(<$keys as $crate::config::decode::Included>::fields())?].into_iter().flatten().collect()
                    },
                })
            }
        }
    };
}
pub(crate) use table;

/// Declares the words of an enum.
macro_rules! choice {
    ($type:ty { $($word:literal => $value:expr),* $(,)? }) => {
        impl $crate::config::decode::Decode for $type {
            fn decode(node: &$crate::config::node::Node, reader: &mut $crate::config::decode::Reader) -> Option<Self> {
                let word = String::decode(node, reader)?;
                match word.as_str() {
                    $($word => Some($value),)*
                    _ => {
                        let hint = $crate::config::words::choose(&word, &[$($word),*]);
                        reader.error(&node.place, format_args!("\"{word}\" is not one of the choices")).hint = Some(hint);
                        None
                    }
                }
            }

            fn shape() -> $crate::config::describe::Shape {
                $crate::config::describe::Shape::Choice(&[$($word),*])
            }
        }
    };
}
pub(crate) use choice;

/// A value with its place and origin.
#[derive(Debug, Clone)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub place: Place,
    /// See [`Node::story`].
    pub story: Vec<String>,
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A value with its place, and as it is written: for what has no other form in the model.
#[derive(Debug, Clone)]
pub struct SpannedRaw<T> {
    /// The value.
    pub value: T,
    /// Where it is written.
    pub place: Place,
    /// The same after interpolation, not decoded yet.
    pub written: toml::Value,
}

impl<T> Deref for SpannedRaw<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Decode> Decode for SpannedRaw<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(Self { value: T::decode(node, reader)?, place: node.place.clone(), written: node.plain() })
    }
    fn shape() -> Shape {
        T::shape()
    }
}

/// An entry of a [`Map`].
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// Where the key is written.
    pub key: Place,
    /// The value.
    pub value: T,
    /// It has reported problems: a missing field in it may only have been invalid.
    pub broken: bool,
}

impl<T> Deref for Entry<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A table whose keys are names chosen by the user.
pub type Map<T> = IndexMap<String, Entry<T>>;

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(Self { value: T::decode(node, reader)?, place: node.place.clone(), story: node.story.clone() })
    }
    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::decode(node, reader).map(Some)
    }
    fn shape() -> Shape {
        T::shape()
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Array(items) = &node.value else {
            reader.wrong::<Self>(node);
            return None;
        };
        Some(items.iter().filter_map(|item| T::decode(item, reader)).collect())
    }
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Decode> Decode for Map<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Table(table) = &node.value else {
            reader.wrong::<Self>(node);
            return None;
        };
        let entries = table.iter().filter_map(|(name, item)| {
            let before = reader.problems.len();
            let value = reader.under(name, |reader| T::decode(&item.node, reader)).or_else(T::broken)?;
            let broken = reader.problems.len() > before;
            Some((name.clone(), Entry { key: item.key.clone(), value, broken }))
        });
        Some(entries.collect())
    }
    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl Decode for String {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::String(text) = &node.value else {
            reader.wrong::<Self>(node);
            return None;
        };
        if text.contains('\0') {
            reader.error(&node.place, "a NUL character can't be passed to a container");
            return None;
        }
        Some(text.clone())
    }
    fn shape() -> Shape {
        Shape::Text("a string")
    }
}

impl Decode for bool {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Boolean(boolean) = &node.value else {
            reader.wrong::<Self>(node);
            return None;
        };
        Some(*boolean)
    }
    fn shape() -> Shape {
        Shape::Boolean
    }
}

/// Reads an integer within limits.
pub fn integer<T: Decode + TryFrom<i64>>(node: &Node, reader: &mut Reader, bounds: RangeInclusive<i64>) -> Option<T> {
    let number = match &node.value {
        Value::Integer(number) => *number,
        // What a variable put in is text; a number is what was meant.
        Value::String(text) if !node.story.is_empty() && text.trim().parse::<i64>().is_ok() => {
            text.trim().parse().ok()?
        }
        _ => {
            reader.wrong::<T>(node);
            return None;
        }
    };
    let converted = T::try_from(number).ok().filter(|_| bounds.contains(&number));
    if converted.is_none() {
        let (low, high) = bounds.into_inner();
        reader.error(&node.place, format_args!("{number} is not between {low} and {high}"));
    }
    converted
}

macro_rules! integers {
    ($($type:ty: $bounds:expr),*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
                integer(node, reader, $bounds)
            }
            fn shape() -> Shape {
                Shape::Integer(*$bounds.start(), *$bounds.end())
            }
        }
    )*};
}
integers!(u16: 0..=65_535, u32: 0..=i64::from(u32::MAX), i64: i64::MIN..=i64::MAX);

//! Types with more than one notation: a string or a list of arguments, one value or a list, a number or a table.

use std::time::Duration;

use indexmap::IndexMap;

use super::decode::{Decode, Entry, Map, Reader, Spanned, choice, table};
use super::describe::Shape;
use super::node::{Node, Value};
use super::{interpolate, scalars, words};
use crate::model::{Condition, Dependency, Kind, Protocol, PullPolicy, RestartPolicy, WatchAction};

impl Decode for Kind {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let word = String::decode(node, reader)?;
        let found = Self::ALL.iter().find(|kind| kind.as_str() == word).copied();
        if found.is_none() {
            let hint = words::choose(&word, Self::WORDS);
            reader.error(&node.place, format_args!("\"{word}\" is not one of the choices")).hint = Some(hint);
        }
        found
    }
    fn shape() -> Shape {
        Shape::Choice(Self::WORDS)
    }
}

choice!(PullPolicy { "missing" => PullPolicy::Missing, "always" => PullPolicy::Always, "never" => PullPolicy::Never });
choice!(Condition { "ready" => Condition::Ready, "started" => Condition::Started });
choice!(Protocol { "tcp" => Protocol::Tcp, "udp" => Protocol::Udp });
choice!(WatchAction {
    "restart" => WatchAction::Restart,
    "rebuild" => WatchAction::Rebuild,
    "sync" => WatchAction::Sync,
    "sync+restart" => WatchAction::SyncRestart,
    "exec" => WatchAction::Exec,
});

impl Decode for Duration {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(text) => reader.check(node, scalars::duration(text)),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Text("a duration such as \"60s\"")
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Decode for Size {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(text) => reader.check(node, scalars::size(text)).map(Self),
            Value::Integer(bytes) => {
                reader.check(node, u64::try_from(*bytes).map_err(|_| "a size can't be negative".into())).map(Self)
            }
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a size such as \"64m\""), Shape::Integer(0, i64::MAX)])
    }
}

/// A number of cores in billionths: `1.5` or `"1.5"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus(pub u64);

impl Decode for Cpus {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let number = match &node.value {
            Value::Integer(_) | Value::Float(_) | Value::String(_) => {
                interpolate::scalar(node)?.trim().parse::<f64>().ok()
            }
            _ => None,
        };
        match number {
            None => reader.wrong::<Self>(node),
            Some(number) if number > 0.0 && number <= 1024.0 => return Some(Self((number * 1e9).round() as u64)),
            Some(number) => {
                reader.error(&node.place, format_args!("{number} is not a number of cores between 0 and 1024"));
            }
        }
        None
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Number, Shape::Text("a number in a string")])
    }
}

/// A plain value as text: strings, numbers, booleans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub String);

impl Decode for Scalar {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match interpolate::scalar(node) {
            Some(text) if !text.contains('\0') => Some(Self(text)),
            Some(_) => {
                reader.error(&node.place, "a NUL character can't be passed to a container");
                None
            }
            None => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a string"), Shape::Number, Shape::Boolean])
    }
}

/// One value or a list of them.
#[derive(Debug, Clone)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Array(_) => Vec::decode(node, reader).map(Self),
            _ => T::decode(node, reader).map(|one| Self(vec![one])),
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![T::shape(), Shape::List(Box::new(T::shape()))])
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// A command: a string that is split as a shell does (but run without one), or the list of its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Decode for Words {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Array(items) => {
                let words = Vec::<Scalar>::decode(node, reader)?;
                // With a word missing it would be another command.
                (words.len() == items.len()).then(|| Self(words.into_iter().map(|word| word.0).collect()))
            }
            Value::String(text) => reader.check(node, scalars::words(text)).map(Self),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a command line"), Shape::List(Box::new(Shape::Text("a string")))])
    }
}

/// `NAME = "value"` pairs: a table, or compose's list of `"NAME=value"`.
#[derive(Debug, Clone, Default)]
pub struct Pairs(pub IndexMap<String, Spanned<Scalar>>);

impl Decode for Pairs {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut pairs = IndexMap::new();
        match &node.value {
            Value::Table(table) => {
                for (name, item) in table {
                    let value = reader.under(name, |reader| Spanned::<Scalar>::decode(&item.node, reader));
                    pairs.extend(value.map(|value| (name.clone(), value)));
                }
            }
            Value::Array(items) => {
                for item in items {
                    let Some(pair) = Spanned::<String>::decode(item, reader) else { continue };
                    let Some((name, value)) = pair.value.split_once('=') else {
                        reader.error(&item.place, "expected \"NAME=value\"").hint =
                            Some(format!("to pass a variable on, write \"{0}=${{{0}}}\"", pair.value));
                        continue;
                    };
                    let value =
                        Spanned { value: Scalar(value.into()), place: pair.place.clone(), story: pair.story.clone() };
                    if pairs.insert(name.to_owned(), value).is_some() {
                        reader.error(&item.place, format_args!("`{name}` is set twice"));
                    }
                }
            }
            _ => {
                reader.wrong::<Self>(node);
                return None;
            }
        }
        Some(Self(pairs))
    }
    fn shape() -> Shape {
        Shape::Any(vec![
            Shape::Map(Box::new(Scalar::shape())),
            Shape::List(Box::new(Shape::Text("a \"NAME=value\" string"))),
        ])
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

table! {
    /// How a service depends on another.
    DependencySpec "Dependencies" {
        /// What it waits for.
        condition: Option<Condition>, default "ready", example r#"condition = "started""#;
        /// Whether the other service is needed. Otherwise it is not started for this one: where it is missing or inactive, it is not waited for, and where it fails, this one starts nevertheless.
        required: Option<bool>, default "true", example "required = false";
        /// Whether it is restarted when `up` or `restart` restarts or recreates the other one.
        restart: Option<bool>, default "false", example "restart = true";
    }
}

impl Decode for Dependency {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => return Condition::decode(node, reader).map(Self::on),
            Value::Table(_) => {}
            _ => {
                reader.wrong::<Self>(node);
                return None;
            }
        }
        let DependencySpec { condition, required, restart } = DependencySpec::decode(node, reader)?;
        let condition = condition.unwrap_or(Condition::Ready);
        Some(Self { condition, required: required.unwrap_or(true), restart: restart.unwrap_or(false) })
    }
    fn shape() -> Shape {
        Shape::Any(vec![Condition::shape(), DependencySpec::shape()])
    }
}

/// `["postgres"]` or `{ postgres = "started" }`.
#[derive(Debug, Clone, Default)]
pub struct DependsOn(pub Map<Dependency>);

impl Decode for DependsOn {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut all = IndexMap::new();
        if let Value::Array(_) = &node.value {
            for name in Vec::<Spanned<String>>::decode(node, reader)? {
                let entry = Entry { key: name.place.clone(), value: Dependency::on(Condition::Ready), broken: false };
                if all.insert(name.value.clone(), entry).is_some() {
                    reader.error(&name.place, format_args!("`{}` is listed twice", name.value));
                }
            }
        } else if let Value::Table(_) = &node.value {
            all = Map::decode(node, reader)?;
        } else {
            reader.wrong::<Self>(node);
            return None;
        }
        Some(Self(all))
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::List(Box::new(Shape::Text("a service"))), Shape::Map(Box::new(Dependency::shape()))])
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl Decode for RestartPolicy {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let text = String::decode(node, reader)?;
        let policy = match text.split_once(':') {
            None => match text.as_str() {
                "no" => Some(Self::No),
                "on-failure" => Some(Self::OnFailure(0)),
                "always" => Some(Self::Always),
                "unless-stopped" => Some(Self::UnlessStopped),
                _ => None,
            },
            Some(("on-failure", times)) => times.parse().ok().map(Self::OnFailure),
            Some(_) => None,
        };
        if policy.is_none() {
            let hint = "one of \"no\", \"on-failure\", \"on-failure:3\", \"always\", \"unless-stopped\"";
            reader.error(&node.place, format_args!("\"{text}\" is not a restart policy")).hint = Some(hint.into());
        }
        policy
    }
    fn shape() -> Shape {
        Shape::Any(vec![
            Shape::Choice(&["no", "on-failure", "always", "unless-stopped"]),
            Shape::Text("\"on-failure:<times>\""),
        ])
    }
}

table! {
    /// A resource limit with separate soft and hard limits.
    UlimitTable "Ulimits" {
        /// Soft limit, which is enforced; -1 = unlimited.
        soft: i64, default "", example "soft = 1024";
        /// Hard limit, up to which the soft limit can be raised; -1 = unlimited.
        hard: i64, default "", example "hard = 65536";
    }
}

/// One number for both bounds, or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UlimitSpec(pub i64, pub i64);

impl Decode for UlimitSpec {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let (soft, hard) = if let Value::Table(_) = &node.value {
            let table = UlimitTable::decode(node, reader)?;
            (table.soft, table.hard)
        } else {
            let both = i64::decode(node, reader)?;
            (both, both)
        };
        if soft < -1 || hard < -1 || (hard != -1 && (soft > hard || soft == -1)) {
            reader.error(&node.place, "the soft limit is above the hard one, or one is below -1");
            return None;
        }
        Some(Self(soft, hard))
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Integer(-1, i64::MAX), UlimitTable::shape()])
    }
}

/// A number with or without a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Decode for Number {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let number = match &node.value {
            Value::Integer(_) | Value::Float(_) => super::interpolate::scalar(node)?.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            reader.wrong::<Self>(node);
        }
        number.map(Self)
    }
    fn shape() -> Shape {
        Shape::Number
    }
}

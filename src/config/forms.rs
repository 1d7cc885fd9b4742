//! Types with more than one way to write them: `"5432:5432"` or `{ host = 5432, container = 5432 }`.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use indexmap::IndexMap;

use super::decode::{At, Decode, Map, Reader, choice, table};
use super::describe::Shape;
use super::node::{Node, Value};
use super::{interpolate, scalars};
use crate::diag::Place;
use crate::model::{Condition, Kind, Protocol, PullPolicy, RestartPolicy, WatchAction};

choice!(Kind {
    "postgres" => Kind::Postgres,
    "redis" => Kind::Redis,
    "localstack" => Kind::Localstack,
    "mailhog" => Kind::Mailhog,
    "mailpit" => Kind::Mailpit,
    "ministack" => Kind::Ministack,
    "generic" => Kind::Generic,
    "job" => Kind::Job,
});
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
pub struct Pairs(pub IndexMap<String, At<Scalar>>);

impl Decode for Pairs {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut pairs = IndexMap::new();
        match &node.value {
            Value::Table(table) => {
                for (name, item) in table {
                    let value = reader.under(name, |reader| At::<Scalar>::decode(&item.node, reader));
                    pairs.extend(value.map(|value| (name.clone(), value)));
                }
            }
            Value::Array(items) => {
                for item in items {
                    let Some(pair) = At::<String>::decode(item, reader) else { continue };
                    let Some((name, value)) = pair.value.split_once('=') else {
                        reader.error(&item.place, "expected \"NAME=value\"").hint =
                            Some(format!("to pass a variable on, write \"{0}=${{{0}}}\"", pair.value));
                        continue;
                    };
                    let value =
                        At { value: Scalar(value.into()), place: pair.place.clone(), story: pair.story.clone() };
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
    /// A published port in its long form.
    PortTable "Ports" {
        /// Port inside the container.
        container: u16, default "", example "container = 5432";
        /// Port on the host; left out, the engine chooses a free one.
        host: Option<u16>, default "chosen by the engine", example "host = 5432";
        /// Host address it is bound to.
        address: Option<String>, default "127.0.0.1", example r#"address = "0.0.0.0""#;
        /// Transport.
        protocol: Option<Protocol>, default "tcp", example r#"protocol = "udp""#;
    }
}

/// Published ports: `[address:][host:]container[/protocol]`, ranges included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// Host address.
    pub address: IpAddr,
    /// Host ports, as many as container ports; none = the engine chooses.
    pub host: Option<RangeInclusive<u16>>,
    /// Ports inside.
    pub container: RangeInclusive<u16>,
    /// Transport.
    pub protocol: Protocol,
}

impl Ports {
    fn new(container: RangeInclusive<u16>) -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), host: None, container, protocol: Protocol::Tcp }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (rest, protocol) = match text.split_once('/') {
            None => (text, Protocol::Tcp),
            Some((rest, "tcp")) => (rest, Protocol::Tcp),
            Some((rest, "udp")) => (rest, Protocol::Udp),
            Some((_, other)) => return Err(format!("`{other}` is not a protocol: tcp or udp")),
        };
        let (rest, container) = match rest.rsplit_once(':') {
            None => (None, port_range(rest)?),
            Some((rest, container)) => (Some(rest), port_range(container)?),
        };
        let mut ports = Self { protocol, ..Self::new(container) };
        let Some(rest) = rest else { return Ok(ports) };
        let host = match rest.rsplit_once(':') {
            None => rest,
            Some((address, host)) => {
                ports.address = parse_address(address)?;
                host
            }
        };
        ports.host = match host {
            "" | "0" => None,
            host => Some(port_range(host)?),
        };
        let count = |range: &RangeInclusive<u16>| usize::from(range.end() - range.start());
        match &ports.host {
            Some(host) if count(host) != count(&ports.container) => {
                Err(format!("the ranges in `{text}` are not equally long"))
            }
            _ => Ok(ports),
        }
    }
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        bare => bare.parse().map_err(|_| format!("`{text}` is not an IP address")),
    }
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    if text.is_empty() {
        return Err("the port is missing".into());
    }
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.starts_with(|c: char| c.is_ascii_digit()) => Ok(port),
        _ => Err(format!("`{text}` is not a port: a number from 1 to 65535")),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (port(first)?, port(last)?) {
        (first, last) if first > last => Err(format!("the range {first}-{last} goes backwards")),
        (first, last) => Ok(first..=last),
    }
}

impl Decode for Ports {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(text) => reader.check(node, Self::parse(text)),
            Value::Integer(number) => {
                let port = u16::try_from(*number).ok().filter(|port| *port > 0);
                let port = port.ok_or_else(|| format!("`{number}` is not a port: a number from 1 to 65535"));
                reader.check(node, port).map(|port| Self::new(port..=port))
            }
            Value::Table(_) => {
                let table = PortTable::decode(node, reader)?;
                let address = match table.address {
                    Some(address) => reader.check(node, parse_address(&address))?,
                    None => Ipv4Addr::LOCALHOST.into(),
                };
                if table.container == 0 {
                    reader.error(&node.place, "`0` is not a port: a number from 1 to 65535");
                    return None;
                }
                let host = table.host.filter(|port| *port > 0).map(|port| port..=port);
                let container = table.container..=table.container;
                Some(Self { address, host, container, protocol: table.protocol.unwrap_or(Protocol::Tcp) })
            }
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a port such as \"5432:5432\""), Shape::Integer(1, 65_535), PortTable::shape()])
    }
}

table! {
    /// A volume or bind mount in its long form.
    MountTable "Mounts" {
        /// A volume's name, or a path (`./…`, `/…`, `~/…`); left out, a nameless volume that goes with the container.
        source: Option<String>, default "a nameless volume", example r#"source = "postgres-data""#;
        /// Where it is mounted, inside.
        target: String, default "", example r#"target = "/var/lib/postgresql/data""#;
        /// The container can't write to it.
        read_only: Option<bool>, default "false", example "read_only = true";
    }
}

/// `source:target[:ro]`, or only a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// Volume name or path as written.
    pub source: Option<String>,
    /// Where, inside.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
}

impl MountSpec {
    fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, options) = match parts[..] {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, options] => (Some(source), target, options),
            _ => return Err(format!("`{text}` has too many colons: source:target[:ro]")),
        };
        if source == Some("") {
            return Err(format!("`{text}` has no source before the colon"));
        }
        let mut read_only = false;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => read_only = true,
                // What compose files carry for other platforms changes nothing here.
                "rw" | "cached" | "delegated" | "consistent" => {}
                _ => return Err(format!("`{option}` is not an option of a mount: ro or rw")),
            }
        }
        Ok(Self { source: source.map(Into::into), target: target.into(), read_only })
    }
}

impl Decode for MountSpec {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => {
                let text = String::decode(node, reader)?;
                reader.check(node, Self::parse(&text))
            }
            Value::Table(_) => MountTable::decode(node, reader).map(|table| Self {
                source: table.source,
                target: table.target,
                read_only: table.read_only.unwrap_or(false),
            }),
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a mount such as \"data:/var/lib/data\""), MountTable::shape()])
    }
}

/// `["postgres"]` or `{ postgres = "started" }`.
#[derive(Debug, Clone, Default)]
pub struct DependsOn(pub IndexMap<String, (Place, Condition)>);

impl Decode for DependsOn {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut all = IndexMap::new();
        if let Value::Array(_) = &node.value {
            for name in Vec::<At<String>>::decode(node, reader)? {
                if all.insert(name.value.clone(), (name.place.clone(), Condition::Ready)).is_some() {
                    reader.error(&name.place, format_args!("`{}` is listed twice", name.value));
                }
            }
        } else if let Value::Table(_) = &node.value {
            let map = Map::<Condition>::decode(node, reader)?;
            all.extend(map.into_iter().map(|(name, entry)| (name, (entry.key, entry.value))));
        } else {
            reader.wrong::<Self>(node);
            return None;
        }
        Some(Self(all))
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::List(Box::new(Shape::Text("a service"))), Shape::Map(Box::new(Condition::shape()))])
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
    /// A limit with separate bounds.
    UlimitTable "Ulimits" {
        /// The bound in force; -1 = none.
        soft: i64, default "", example "soft = 1024";
        /// How far it can be raised; -1 = without bound.
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

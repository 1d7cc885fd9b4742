//! Published ports: `"127.0.0.1:5432:5432/tcp"`, `5432`, ranges, or `{ host = 5432, container = 5432 }`.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use super::decode::{Decode, Reader, table};
use super::describe::Shape;
use super::node::{Node, Value};
use crate::model::Protocol;

table! {
    /// A published port in its long form.
    PortTable "Ports" {
        /// Port inside the container.
        container: u16, default "", example "container = 5432";
        /// Port on the host. Without it, a free one is chosen, the same each time as long as it is free.
        host: Option<u16>, default "chosen", example "host = 5432";
        /// Host address to bind to.
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
    /// Host ports, as many as container ports, or several for one: each container of the service gets one. None = the
    /// engine chooses.
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

    /// Reads the short form.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
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
            Some(host) if count(host) != count(&ports.container) && ports.container.len() > 1 => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms() {
        for (text, address, host, container, protocol) in [
            ("5432", "127.0.0.1", None, 5432..=5432, Protocol::Tcp),
            ("5433:5432", "127.0.0.1", Some(5433..=5433), 5432..=5432, Protocol::Tcp),
            ("0.0.0.0:53:53/udp", "0.0.0.0", Some(53..=53), 53..=53, Protocol::Udp),
            ("[::1]:80:8080", "::1", Some(80..=80), 8080..=8080, Protocol::Tcp),
            ("127.0.0.1::80", "127.0.0.1", None, 80..=80, Protocol::Tcp),
            ("localhost:0:80", "127.0.0.1", None, 80..=80, Protocol::Tcp),
            ("8000-8002:80", "127.0.0.1", Some(8000..=8002), 80..=80, Protocol::Tcp),
            ("8000-8002:9000-9002/tcp", "127.0.0.1", Some(8000..=8002), 9000..=9002, Protocol::Tcp),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(Ports::parse(text), Ok(Ports { address, host, container, protocol }), "{text}");
        }
    }

    #[test]
    fn what_is_no_port() {
        for bad in
            ["", ":", "0", "65536", "a", "1-", "2-1", "1-2:1-3", "1:2/sctp", "x:1:1", "1:2:3:4", "-1", " 80", "80/"]
        {
            assert!(Ports::parse(bad).is_err(), "{bad:?}");
        }
    }
}

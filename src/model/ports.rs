//! Ports of a service: as declared, and as the engine publishes them.

use std::net::IpAddr;

use serde::Serialize;

use crate::diag::Place;

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Host address it is bound to.
    pub address: IpAddr,
    /// Host port; none = the engine chooses.
    pub host: Option<u16>,
    /// Last host port of the range that the containers of its service share, where it has several.
    pub through: Option<u16>,
    /// Host port that was chosen for a container, where services.toml names none; `host` stays none.
    pub chosen: Option<u16>,
    /// Port inside.
    pub container: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it is declared.
    pub place: Option<Place>,
}

impl Port {
    /// As the engine names it: `5432/tcp`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.container, self.protocol.as_str())
    }

    /// The host port as it is written: `8080`, `8080-8082`; empty = the engine chooses.
    pub fn written_host(&self) -> String {
        match (self.host, self.through) {
            (Some(host), Some(last)) => format!("{host}-{last}"),
            (Some(host), None) => host.to_string(),
            (None, _) => String::new(),
        }
    }
}

/// Transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "self-evident")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// As the Engine API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port the host can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct PublishedPort {
    /// Host address it is bound to.
    pub address: IpAddr,
    /// Host port.
    pub host: u16,
    /// Port inside.
    pub container: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

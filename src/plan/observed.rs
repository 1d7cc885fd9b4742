//! What is there, as plain data: everything the planner and `ps` know of the engine. `engine::observe` fills it in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use super::Intent;
use crate::model::{Protocol, ServiceName, built};

/// Everything of one stack on the engine, from a fixed number of list calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Containers that carry the stack's label, whatever their state.
    pub containers: Vec<Container>,
    /// One-off containers (`run`) of the stack; `service` is the one they were made after. None is a service's own.
    pub one_offs: Vec<Container>,
    /// Containers that volumes were copied through and that were left behind.
    pub helpers: Vec<Helper>,
    /// Networks by name on the engine: the stack's own and those it refers to.
    pub networks: Vec<Network>,
    /// Volumes by name on the engine: the stack's own and those it refers to.
    pub volumes: Vec<Volume>,
    /// What has begun and has not ended.
    pub intents: Vec<Intent>,
    /// Emulators that run and have not got back all that was saved of their buckets. Only known where it is looked for.
    pub owed: BTreeSet<ServiceName>,
    /// Images that are there, by the reference that was asked for.
    pub images: BTreeMap<String, Image>,
}

impl Observed {
    /// The containers of a service, the newest first.
    pub fn of<'a>(&'a self, service: &'a ServiceName) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| &container.service == service)
    }
}

/// A container that is never started: a volume is copied through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    /// Full id.
    pub id: String,
    /// Name without the slash.
    pub name: String,
    /// The volume.
    pub volume: String,
    /// The stack it is of.
    pub project: String,
}

/// A container as `GET /containers/json` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Name without the slash.
    pub name: String,
    /// Service it belongs to, from its label.
    pub service: ServiceName,
    /// Which checkout made it, from its label ([`crate::model::Stack::instance`]).
    pub instance: String,
    /// Folder of the services.toml it was made from, from its label.
    pub root: String,
    /// Configuration it was made from, from its label: field → short hash.
    pub config: BTreeMap<String, String>,
    /// Why it was made, in words, from its label.
    pub cause: String,
    /// Reference it was made from.
    pub image: String,
    /// Id of the image it runs.
    pub image_id: String,
    /// What it is doing.
    pub state: ContainerState,
    /// Exit code, when it has ended.
    pub exit_code: Option<i64>,
    /// The engine's own words: `Up 3 minutes (healthy)`.
    pub status: String,
    /// Created at, seconds since 1970 by the engine's clock.
    pub created: i64,
    /// Ports the host can reach.
    pub ports: Vec<PublishedPort>,
    /// Its address in each network, by name on the engine.
    pub networks: BTreeMap<String, Option<IpAddr>>,
}

impl Container {
    /// Whether there is a process to stop.
    pub fn is_up(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
    }
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the engine's words")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl ContainerState {
    /// As the engine writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
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

/// A network on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Name on the engine.
    pub name: String,
    /// Id.
    pub id: String,
    /// Stack it belongs to, from its label; none = not ours.
    pub stack: Option<String>,
    /// Hash of the configuration it was made from, from its label.
    pub config: Option<String>,
}

/// A volume on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name on the engine.
    pub name: String,
    /// Stack it belongs to, from its label; none = not ours.
    pub stack: Option<String>,
    /// Hash of the configuration it was made from, from its label.
    pub config: Option<String>,
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Id (content digest of its configuration).
    pub id: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// The command of its HEALTHCHECK, if it declares one.
    pub healthcheck: Option<Vec<String>>,
    /// Ports it exposes.
    pub exposed: Vec<u16>,
    /// Folders it declares as volumes.
    pub volumes: Vec<String>,
    /// Its own environment, `NAME=value`.
    pub env: Vec<String>,
    /// What it says it was built from.
    pub build: Option<built::Label>,
    /// Digests under which registries know it: `redis@sha256:…`.
    pub digests: Vec<String>,
}

/// A saved copy of a volume: one of a snapshot's images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// Reference of the image.
    pub reference: String,
    /// Name of the snapshot it belongs to.
    pub snapshot: String,
    /// The volume it is a copy of, by name on the engine.
    pub volume: String,
    /// The services that had it mounted.
    pub services: Vec<String>,
    /// Saved at, seconds since 1970 by the engine's clock.
    pub created: i64,
    /// Size in bytes.
    pub size: u64,
    /// All volumes of the snapshot; empty where an older version saved it.
    #[serde(skip)]
    pub set: Vec<String>,
    /// A restore of it had been cut off when it was saved: the command that finishes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// There was nothing in the volume.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
}

//! The state of the engine as plain data: everything that the planner and `ps` know of it. `engine::observe` fills it
//! in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::Intent;
use crate::model::{Place, PublishedPort, Service, ServiceName, built};

/// Everything of one stack on the engine, from a fixed number of list calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The version of the engine's API.
    pub api: (u32, u32),
    /// Containers that carry the stack's label, in any state.
    pub containers: Vec<Container>,
    /// One-off containers (`run`) of the stack; `service` is the one they are based on. They do not belong to the
    /// service.
    pub one_offs: Vec<Container>,
    /// Leftover helper containers, through which volumes were copied.
    pub helpers: Vec<Helper>,
    /// Networks by name on the engine: the stack's own and those it refers to.
    pub networks: Vec<Network>,
    /// Volumes by name on the engine: the stack's own and those it refers to.
    pub volumes: Vec<Volume>,
    /// Intents: operations that have begun and have not ended.
    pub intents: Vec<Intent>,
    /// Running emulators whose saved objects are not all put back. Only filled in for commands that need it.
    pub owed: BTreeSet<ServiceName>,
    /// Images that exist, by the requested reference.
    pub images: BTreeMap<String, Image>,
    /// What docker compose has of the same folder. Only looked at while the stack has no containers.
    pub compose: Option<ComposeProject>,
}

/// A project of docker compose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComposeProject {
    /// Its name.
    pub name: String,
    /// Its services that run.
    pub running: Vec<String>,
    /// Its volumes: the key in the Compose file, and the name on the engine.
    pub volumes: Vec<(String, String)>,
}

impl Observed {
    /// The containers of a service; the first is the one that counts: of the right name, else one that runs, else the newest.
    pub fn of<'a>(&'a self, service: &'a ServiceName) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| &container.service == service)
    }

    /// A service with the variables that its image sets, if the image exists: the location of its data may be one of
    /// them.
    pub fn on_image(&self, service: &Service) -> Service {
        let image = self.images.get(&service.image);
        service.with_env(image.map(|image| image.env.as_slice()).unwrap_or_default())
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
    /// The stack it belongs to.
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
    /// Of a further container of a service that has several: the service, from its label.
    pub replica_of: Option<ServiceName>,
    /// The checkout that created it, from its label ([`crate::model::Stack::instance`]).
    pub instance: String,
    /// Folder of the services.toml it was created from, from its label.
    pub root: String,
    /// Configuration it was created from, from its label: field → short hash.
    pub config: BTreeMap<String, String>,
    /// Why it was created, as text, from its label.
    pub cause: String,
    /// Image reference it was created from.
    pub image: String,
    /// Id of the image it runs.
    pub image_id: String,
    /// Its state.
    pub state: ContainerState,
    /// Exit code, when it has ended.
    pub exit_code: Option<i64>,
    /// The engine's own words: `Up 3 minutes (healthy)`.
    pub status: String,
    /// Created at, seconds since 1970 by the engine's clock.
    pub created: i64,
    /// Published ports; none while it does not run.
    pub ports: Vec<PublishedPort>,
    /// Host ports that were chosen for it, from its label: `5432/tcp` → 20432.
    pub chosen_ports: BTreeMap<String, u16>,
    /// Its endpoint in each network, by the network's name on the engine.
    pub networks: BTreeMap<String, Endpoint>,
    /// Its volumes by their name on the engine, and where they are mounted.
    pub volumes: BTreeMap<String, String>,
    /// The container whose network it uses instead of one of its own, as the engine names it.
    pub network_of: Option<String>,
}

/// A container's endpoint in a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address; none while it does not run.
    pub address: Option<IpAddr>,
    /// Id of the network that it was started in; empty when it never was.
    pub network: String,
}

impl Container {
    /// Whether there is a process to stop.
    pub fn is_up(&self) -> bool {
        matches!(
            self.state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting | ContainerState::Stopping
        )
    }

    /// Whether there is one that is not being stopped.
    pub fn is_usable(&self) -> bool {
        self.is_up() && self.state != ContainerState::Stopping
    }
}

/// The state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the engine's words, but for `Stopping`")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    /// The engine lists it as running, but a run that was cut off, or is still in progress, has asked it to stop.
    Stopping,
    Removing,
    Exited,
    Dead,
}

impl ContainerState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Running,
        Self::Paused,
        Self::Restarting,
        Self::Stopping,
        Self::Removing,
        Self::Exited,
        Self::Dead,
    ];

    /// As the engine writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

/// A network on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Name on the engine.
    pub name: String,
    /// Id.
    pub id: String,
    /// Stack it belongs to, from its label; none = not ours.
    pub stack: Option<String>,
    /// Hash of the configuration it was made from, from its label.
    pub config: Option<String>,
    /// ID and name of the running containers in it. Only known for a network that was created from another
    /// configuration.
    pub others: Vec<(String, String)>,
}

/// A volume on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// Name on the engine.
    pub name: String,
    /// Stack it belongs to, from its label; none = not ours.
    pub stack: Option<String>,
    /// Where it belongs, from its labels, for an anonymous volume.
    pub place: Option<Place>,
    /// Its driver: `local`.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Its labels, except ours and the engine's.
    pub labels: BTreeMap<String, String>,
    /// Running containers that are not the stack's and use it, with the project of docker compose that they are of. Only of
    /// a volume that is adopted.
    pub users: Vec<(String, Option<String>)>,
}

impl Volume {
    /// A volume of which only the name is known.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Id (content digest of its configuration).
    pub id: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// Its HEALTHCHECK, if it declares one.
    pub healthcheck: Option<HealthCheck>,
    /// Ports it exposes.
    pub exposed: Vec<u16>,
    /// Folders it declares as volumes.
    pub volumes: Vec<String>,
    /// Its own environment, `NAME=value`.
    pub env: Vec<String>,
    /// What it was built from, from its label.
    pub build: Option<built::Label>,
    /// Digests under which registries know it: `redis@sha256:…`.
    pub digests: Vec<String>,
}

/// An image's own HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The command, as `exec` takes it.
    pub command: Vec<String>,
    /// How long one check may take, if the image says so.
    pub limit: Option<Duration>,
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
    /// Where it belongs, for an anonymous volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Saved at, seconds since 1970 by the engine's clock.
    pub created: i64,
    /// Size in bytes.
    pub size: u64,
    /// All volumes of the snapshot; empty if an older version saved it.
    #[serde(skip)]
    pub set: Vec<String>,
    /// A restore of it had been cut off when it was saved: the command that finishes that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// The volume was empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
}

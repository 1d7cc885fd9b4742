//! The only module that talks to Docker. No type of bollard leaves it.

mod asked;
pub mod attach;
mod build;
mod compose_project;
pub mod connect;
mod control;
mod copy;
mod credentials;
mod error;
pub mod events;
mod exec;
mod helpers;
mod hijack;
mod images;
mod info;
mod inside;
mod inspect;
mod intents;
mod isolated;
mod labels;
pub mod logs;
mod managed_images;
mod mounts;
mod nameless;
mod networks;
mod observe;
mod ops;
mod prepared;
mod remains;
mod snapshots;
mod spec;
pub mod stats;
mod upload;
mod views;

use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;

pub use asked::{Asked, Hanging};
pub use build::{BuildFailed, How};
pub use control::{CommitOptions, StackInfo};
pub use copy::PathInfo;
pub use exec::Executed;
pub use images::{ImageRemoval, Progress};
pub use info::{ContainerInfo, Info};
pub use inspect::{Health, Inspected};
pub use isolated::IsolatedStack;
pub use managed_images::{ImageOrigin, ManagedImage};
pub use observe::Publisher;
pub use prepared::prepared_reference;
pub use snapshots::Copied;
pub use spec::{OneOffOptions, Size};
pub use upload::{Owner, Removal, Upload};
pub use views::Witness;

use crate::diag::Result;

/// An engine that answered.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    /// Where `docker login` leaves credentials.
    config_dir: PathBuf,
    /// How it is reached, for connections of our own.
    address: connect::Address,
    /// Networks of our own container, if this process runs in one.
    joined: Arc<inside::Joined>,
    /// Its version and settings.
    pub about: About,
}

/// An engine's version and settings, and how it is reached.
#[derive(Debug, Clone)]
pub struct About {
    /// Where it was found: `unix:///var/run/docker.sock`.
    pub address: String,
    /// Where published ports are reached: `127.0.0.1`, or the host of a `tcp://` address.
    pub host: String,
    /// Whether containers' own addresses can be reached from here (a rootful engine on this Linux, or `inside`).
    pub container_network: bool,
    /// This process runs in a container: the host's folders, processes and 127.0.0.1 are not its own.
    pub contained: bool,
    /// In a container of this engine: its ID, or that of the container whose network it shares. Services are then
    /// reached at their own addresses, and never at published ports.
    pub inside: Option<String>,
    /// Engine version: `20.10.24`.
    pub version: String,
    /// Newest API version it speaks, `(1, 41)`.
    pub api: (u32, u32),
    /// The builder it prefers.
    pub builder: Builder,
}

/// What builds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// BuildKit. Engines that report no preference have it, from 18.09 on; if one does not, that is detected when it is
    /// used.
    BuildKit,
    /// The classic builder, and why.
    Classic(&'static str),
}

impl Engine {
    /// Finds an engine and checks that it is new enough.
    pub async fn connect(options: &connect::ConnectOptions) -> Result<Self> {
        let (docker, address, mut about) = connect::connect(options).await?;
        inside::find(&docker, &mut about).await;
        Ok(Self { docker, config_dir: options.config_dir.clone(), address, joined: Arc::default(), about })
    }
}

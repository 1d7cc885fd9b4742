//! The only place that knows Docker. Nothing of bollard leaves this module.

pub mod attach;
mod build;
pub mod connect;
mod credentials;
mod error;
pub mod events;
pub mod frames;
mod helpers;
mod images;
mod intents;
mod labels;
mod lines;
mod networks;
mod observe;
mod ops;
mod own_images;
mod owned;
mod prepared;
mod snapshots;
mod spec;
pub mod stats;
pub mod streams;
mod survey;
mod upload;
mod wire;

use std::path::PathBuf;

use bollard::Docker;

pub use build::{BuildFailed, How};
pub use images::Progress;
pub use observe::Publisher;
pub use ops::{Executed, Health, Inspected};
pub use own_images::{Made, OwnImage};
pub use owned::Owned;
pub use prepared::prepared_reference;
pub use snapshots::Copied;
pub use survey::{Bystander, Info};
pub use upload::{Removal, Upload};

use crate::diag::Result;

/// An engine that answered.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    /// Where `docker login` leaves credentials.
    config_dir: PathBuf,
    /// How it is reached, for connections of our own.
    address: connect::Address,
    /// What it said of itself.
    pub about: About,
}

/// What an engine said of itself, and how it is reached.
#[derive(Debug, Clone)]
pub struct About {
    /// Where it was found: `unix:///var/run/docker.sock`.
    pub address: String,
    /// Where published ports are reached: `127.0.0.1`, or the host of a `tcp://` address.
    pub host: String,
    /// Whether containers' own addresses can be reached from here (a rootful engine on this Linux).
    pub container_network: bool,
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
    /// BuildKit. Engines that do not say which they prefer have it, from 18.09 on; that one has not is seen when it is used.
    BuildKit,
    /// The classic builder, and why.
    Classic(&'static str),
}

impl Engine {
    /// Finds an engine and checks that it is new enough.
    pub async fn connect(ask: &connect::Ask) -> Result<Self> {
        let (docker, address, about) = connect::connect(ask).await?;
        Ok(Self { docker, config_dir: ask.config_dir.clone(), address, about })
    }
}

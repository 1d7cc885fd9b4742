//! Saves a stack's data and configuration to one portable file, and restores it.
//!
//! The file is a tar of small members (`archive`), optionally encrypted (`encryption`), on disk (`sealed`); its second
//! to last member lists the contents ([`Manifest`]), its last is the digest of everything before it. Its content is
//! validated before it is used (`contents`, `dump`, `roles`). What is saved of a service, and how it is restored and
//! checked, is in `postgres`, `redis` and `objects`. Asking the user, and starting a stack, is left to `cli`.

#[cfg(feature = "encrypt")]
mod age;
pub mod archive;
pub mod contents;
mod dump;
#[cfg(feature = "encrypt")]
mod encryption;
#[cfg(not(feature = "encrypt"))]
#[path = "no_encryption.rs"]
mod encryption;
mod inside;
pub mod objects;
pub mod postgres;
mod records;
pub mod redis;
mod resp;
mod roles;
pub mod sealed;
pub mod servers;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::event::{Event, Events, counted, size};

/// Version of the format; another one is refused.
pub const FORMAT: u32 = 1;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the taskava that wrote it.
    pub format: u32,
    /// Version of the taskava that wrote it.
    pub taskava: String,
    /// Name of the stack it was made of.
    pub stack: String,
    /// When.
    pub created: String,
    /// Whether passwords, tokens and keys are in the configuration.
    pub secrets: bool,
    /// What is saved of each service.
    pub services: Vec<Saved>,
    /// Everything before the manifest, in order.
    pub members: Vec<Member>,
}

/// A piece of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the tar.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// What is saved of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Its name.
    pub service: String,
    /// Its data.
    #[serde(flatten)]
    pub data: Data,
}

/// The data of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Data {
    /// A PostgreSQL server.
    Postgres(postgres::Saved),
    /// A Redis.
    Redis(redis::Saved),
    /// The buckets of an emulator of AWS.
    S3(objects::Saved),
}

impl Data {
    /// The word for the kind of service.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
            Self::S3(_) => "s3",
        }
    }

    /// In one line.
    pub fn summary(&self) -> String {
        match self {
            Self::Postgres(saved) => {
                let tables: usize = saved.databases.iter().map(|database| database.tables.len()).sum();
                let rows: u64 =
                    saved.databases.iter().flat_map(|database| &database.tables).map(|table| table.rows).sum();
                [
                    counted(saved.databases.len() as u64, "database"),
                    counted(tables as u64, "table"),
                    counted(rows, "row"),
                ]
                .join(", ")
            }
            Self::Redis(saved) => counted(saved.keys, "key"),
            Self::S3(saved) => {
                let buckets = counted(saved.buckets.len() as u64, "bucket");
                format!("{buckets}, {} of objects ({})", counted(saved.versions, "version"), size(saved.bytes))
            }
        }
    }
}

/// Tells how far it is, not too often.
#[derive(Debug)]
pub struct Progress {
    events: Events,
    every: Duration,
    what: String,
    bytes: u64,
    told: Instant,
}

impl Progress {
    /// Tells at most once in that time.
    pub fn new(events: Events, every: Duration) -> Self {
        Self { events, every, what: String::new(), bytes: 0, told: Instant::now() }
    }

    /// Something else is being done from now on.
    pub fn begin(&mut self, what: impl Into<String>) {
        (self.what, self.bytes) = (what.into(), 0);
        self.events.emit(&Event::Notice { message: self.what.clone() });
        self.told = Instant::now();
    }

    /// So many bytes more are done.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.tick();
    }

    /// Still at it.
    pub fn tick(&mut self) {
        if self.told.elapsed() >= self.every {
            self.told = Instant::now();
            let so_far = if self.bytes > 0 { format!(" ({} so far)", size(self.bytes)) } else { String::new() };
            self.events.emit(&Event::Notice { message: format!("{} …{so_far}", self.what) });
        }
    }
}

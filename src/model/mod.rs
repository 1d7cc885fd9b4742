//! Config → Stack: what the user means, valid by construction. No I/O, no clock, no environment.
//!
//! `service` is everything about one service, `mount` what is mounted into it, `health` its health check, `aws` what has to exist in an emulator of AWS, `names` are checked names, `resolve` builds the [`Stack`] and reports everything wrong with it, `graph` answers
//! questions of order, `fingerprint` says what of a service matters to its container, `gpus` which GPUs it asks for, `isolated` makes of a stack that of one test run, `nameless` names volumes that services.toml does not, `prepared` makes one that
//! begins with its data in place, `built` what an image was built from, `danger` what a container can do to the machine, `pins` which digest it has to have, `reference`
//! takes its name apart, `secret` says what is masked when shown.

pub mod aws;
mod build;
pub mod built;
pub mod danger;
mod dependency;
mod failure;
pub mod fingerprint;
pub mod gpus;
pub mod graph;
mod health;
mod hooks;
mod image_env;
pub mod isolated;
mod kind;
mod mount;
pub mod nameless;
pub mod names;
pub mod options;
pub mod pins;
mod ports;
pub mod reference;
pub mod secret;
mod service;
pub mod signal;
pub mod subnet;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use indexmap::IndexMap;

pub use build::{Build, BuildOptions, NamedContext};
pub use dependency::{Condition, Dependency};
pub use failure::{Endpoint, Failure};
pub use health::HealthCheck;
pub use hooks::{Hook, Hooks};
pub use isolated::{Isolation, Owner};
pub use kind::Kind;
pub use mount::{Held, InlineFile, Mount, MountOptions, MountSource, RECURSIVE, Tmpfs};
pub use nameless::Place;
pub use names::{CopyName, ServiceName, StackName};
pub use pins::Pins;
pub use ports::{Port, Protocol, PublishedPort};
pub use service::{
    EnvValue, Logging, Probe, PullPolicy, Readiness, Replica, RestartPolicy, Service, Ulimit, WatchAction, WatchRule,
};

use crate::diag::{Diagnostic, Error, ErrorKind, Result, similar};

/// A whole stack as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Name: prefix of every container, network and volume.
    pub name: StackName,
    /// Canonical folder of services.toml. Relative paths start here.
    pub root: PathBuf,
    /// All services, those of inactive profiles too, in the order of the file.
    pub services: IndexMap<ServiceName, Service>,
    /// Named volumes by their short name; those only mentioned in a service are here too.
    pub volumes: IndexMap<String, Volume>,
    /// Networks by short name; `default` is always here.
    pub networks: IndexMap<String, Network>,
    /// What has to exist in the emulator of AWS.
    pub aws: aws::Aws,
    /// Values of secret variables that the file takes, wherever it puts them: `${API_TOKEN}` in a command.
    pub secrets: BTreeSet<String>,
    /// What is wrong with some services only: files that are not there, a host port that two of them publish. Only who asks
    /// for them is refused.
    pub unusable: Vec<Unusable>,
    /// Whose it is, when it is the stack of one test run; none for a developer's.
    pub isolation: Option<Isolation>,
}

/// A problem of some services: it refuses those who ask for all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Unusable {
    /// The services.
    pub services: Vec<ServiceName>,
    /// What is wrong.
    pub problem: Diagnostic,
}

impl Stack {
    /// What refuses a request for some services.
    pub fn problems_of<'a>(
        &'a self,
        asked: impl Fn(&ServiceName) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Diagnostic> {
        self.unusable.iter().filter(move |one| one.services.iter().all(&asked)).map(|one| &one.problem)
    }

    /// Whether a service has done its work when it exits with code 0: [`Service::is_one_shot`], and no active service waits
    /// until it is ready.
    pub fn may_end(&self, service: &Service) -> bool {
        let waits = |other: &Service| other.active && other.waits_until_ready(&service.name);
        service.is_one_shot() && !self.services.values().any(waits)
    }

    /// Tells this checkout's stack from another's of the same name: a short digest of [`Stack::root`].
    pub fn instance(&self) -> String {
        fingerprint_of(self.root.as_os_str().as_encoded_bytes())
    }

    /// A service by its name.
    ///
    /// # Errors
    /// When there is none; with the one that may be meant.
    pub fn named(&self, name: &str) -> Result<ServiceName> {
        if let Some((name, _)) = self.services.get_key_value(name) {
            return Ok(name.clone());
        }
        let error = Error::new(ErrorKind::Usage, format_args!("no service `{name}` in {}", self.name));
        let all: Vec<&str> = self.services.keys().map(ServiceName::as_str).collect();
        Err(match similar(name, all.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            // Known by labels alone, with nothing on the engine.
            None if all.is_empty() => error,
            None => error.hint(format!("there are: {}", all.join(", "))),
        })
    }

    /// Services by their names, each with its further containers.
    ///
    /// # Errors
    /// When one of them is not there; as [`Self::named`].
    pub fn all_named(&self, names: &[String]) -> Result<Vec<ServiceName>> {
        let named = names.iter().map(|name| self.named(name)).collect::<Result<Vec<_>>>()?;
        Ok(named.iter().flat_map(|name| self.replicas(name)).cloned().collect())
    }

    /// The services as the file has them: without the further containers of those that have several.
    pub fn written(&self) -> impl Iterator<Item = &Service> {
        self.services.values().filter(|service| service.replica.is_none())
    }

    /// A service and its further containers, in order.
    pub fn replicas<'a>(&'a self, name: &'a ServiceName) -> impl Iterator<Item = &'a ServiceName> {
        let is_one = move |service: &&Service| {
            service.name == *name || service.replica.as_ref().is_some_and(|replica| replica.of == *name)
        };
        self.services.values().filter(is_one).map(|service| &service.name)
    }

    /// A volume of the stack by its name on the engine.
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.values().find(|volume| volume.name == name)
    }

    /// A network of the stack by its name on the engine.
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.values().find(|network| network.name == name)
    }

    /// The service whose `build` makes an image, also for others that only name it.
    pub fn builder(&self, image: &str) -> Option<&Service> {
        self.services.values().find(|service| service.image == image && service.build.is_some())
    }

    /// The name of a service's image that is built without an `image` of its own.
    pub fn built_name(&self, service: &ServiceName) -> String {
        format!("{}-{service}:latest", self.name)
    }

    /// The container's name on the engine: the one that services.toml gives it, else the stack's and the service's.
    pub fn container_name(&self, service: &ServiceName) -> String {
        let written = self.services.get(service).and_then(|service| service.container_name.clone());
        written.unwrap_or_else(|| format!("{}-{service}", self.name))
    }
}

/// First 12 hex digits of SHA-256: enough to tell versions of one thing apart.
pub fn fingerprint_of(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex(&Sha256::digest(bytes)[..6])
}

/// Hexadecimal digits, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volume {
    /// Name on the engine.
    pub name: String,
    /// Not ours: must exist, is never created or removed.
    pub external: bool,
    /// One of this name that is not ours is used, and never removed.
    pub adopt: bool,
    /// Volume driver.
    pub driver: Option<String>,
    /// Driver options.
    pub options: IndexMap<String, String>,
    /// The user's own labels.
    pub labels: IndexMap<String, String>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// Name on the engine.
    pub name: String,
    /// Not ours: must exist, is never created or removed.
    pub external: bool,
    /// Network driver.
    pub driver: Option<String>,
    /// Without a way out.
    pub internal: bool,
    /// `172.30.0.0/24`.
    pub subnet: Option<String>,
    /// Where its addresses come from otherwise.
    pub pools: Vec<AddressPool>,
    /// With IPv6 addresses.
    pub ipv6: bool,
    /// Open to containers of a swarm that are not the stack's.
    pub attachable: bool,
    /// Options of the driver.
    pub options: IndexMap<String, String>,
    /// The user's own labels.
    pub labels: IndexMap<String, String>,
}

/// Where the addresses of a network come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressPool {
    /// `172.30.0.0/24`.
    pub subnet: Option<String>,
    /// Address of the gateway.
    pub gateway: Option<String>,
    /// Part of the subnet for containers.
    pub range: Option<String>,
    /// Addresses that no container gets.
    pub reserved: IndexMap<String, String>,
}

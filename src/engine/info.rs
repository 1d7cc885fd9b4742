//! What `doctor` queries from an engine: about itself, and about other objects on it. Changes nothing.

use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};

use super::connect::answer;
use super::error::failed;
use super::{Engine, compose_project, credentials, labels};
use crate::diag::Result;

/// What an engine says of itself and its machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// `Docker Desktop`, `Debian GNU/Linux 12`, …
    pub system: String,
    /// As images name it: `amd64`, `arm64`.
    pub architecture: String,
    /// Where it keeps its data, on its machine.
    pub root: String,
    /// Bytes of memory.
    pub memory: u64,
    /// Its clock, RFC 3339.
    pub time: String,
    /// It runs as a user, not as root.
    pub rootless: bool,
    /// It may hand packets on between networks.
    pub forwards: bool,
}

/// A container on the engine, created by any program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Its name.
    pub name: String,
    /// The stack it belongs to, if it is one of ours.
    pub project: Option<String>,
    /// The folder of that stack.
    pub root: Option<String>,
    /// The docker compose project it belongs to.
    pub compose: Option<String>,
    /// Host ports it publishes.
    pub ports: Vec<u16>,
}

impl Engine {
    /// What the engine says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn info(&self) -> Result<Info> {
        let seen = answer(self.docker.info()).await.map_err(|error| failed("can't query the engine", &error))?;
        let options = seen.security_options.unwrap_or_default();
        Ok(Info {
            system: seen.operating_system.unwrap_or_default(),
            architecture: architecture(&seen.architecture.unwrap_or_default()).into(),
            root: seen.docker_root_dir.unwrap_or_default(),
            memory: seen.mem_total.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
            time: seen.system_time.unwrap_or_default(),
            rootless: options.iter().any(|option| option.contains("name=rootless")),
            forwards: seen.ipv4_forwarding.unwrap_or(true),
        })
    }

    /// Every container on the engine.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn list_all_containers(&self) -> Result<Vec<ContainerInfo>> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        Ok(listed.map_err(|error| failed("can't list containers", &error))?.into_iter().map(bystander).collect())
    }

    /// How many networks take addresses from the engine's own pools.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn bridges(&self) -> Result<usize> {
        let listed = answer(self.docker.list_networks(None::<ListNetworksOptions>)).await;
        let listed = listed.map_err(|error| failed("can't list networks", &error))?;
        Ok(listed.iter().filter(|network| network.driver.as_deref() == Some("bridge")).count())
    }

    /// Whether an image could be pulled: queries its registry through the engine.
    ///
    /// # Errors
    /// When it could not.
    pub async fn can_pull(&self, reference: &str) -> Result<()> {
        let found = credentials::for_image(&self.config_dir, reference).await?;
        let found = found.map(credentials::Credentials::into_bollard);
        let asked = answer(self.docker.inspect_registry_image(reference, found)).await;
        asked.map(drop).map_err(|error| failed(format_args!("can't look up {reference}"), &error))
    }
}

fn bystander(seen: ContainerSummary) -> ContainerInfo {
    let found = seen.labels.unwrap_or_default();
    let label = |key: &str| found.get(key).filter(|value| !value.is_empty()).cloned();
    let name = seen.names.unwrap_or_default().pop().unwrap_or_default();
    ContainerInfo {
        name: name.trim_start_matches('/').to_owned(),
        project: label(labels::PROJECT),
        root: label(labels::ROOT),
        compose: label(compose_project::PROJECT),
        ports: seen.ports.unwrap_or_default().iter().filter_map(|port| port.public_port).collect(),
    }
}

/// The engine says it as `uname` does, images as Go does.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" => "arm",
        other => other,
    }
}

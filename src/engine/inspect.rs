//! Inspects one container: its state, and how it exited.

use bollard::errors::Error as Bollard;
use bollard::models::{ContainerStateStatusEnum, EndpointSettings, HealthStatusEnum};
use bollard::query_parameters::{InspectContainerOptions, WaitContainerOptions};
use futures_util::StreamExt;

use super::Engine;
use super::connect::answer;
use super::error::{failed, status};
use super::inside::own_ports;
use super::observe::mounted_volume;
use super::ops::short;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Protocol, PublishedPort};

/// What `GET /containers/{id}/json` says, as far as we ask.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspected {
    /// Whether its process runs.
    pub running: bool,
    /// The engine is about to start it again.
    pub restarting: bool,
    /// Its stop signal, or its image's; none: SIGTERM.
    pub stop_signal: Option<String>,
    /// Exit code of the last process, when it does not run.
    pub exit_code: Option<i64>,
    /// The engine ran out of memory for it.
    pub oom_killed: bool,
    /// Why the engine could not start it.
    pub error: Option<String>,
    /// How often the engine restarted it.
    pub restarts: i64,
    /// The state of the health check, if there is one.
    pub health: Option<Health>,
    /// When it was started last, RFC 3339 by the engine's clock.
    pub started_at: Option<String>,
    /// When it ended last, RFC 3339 by the engine's clock.
    pub finished_at: Option<String>,
    /// Ports the host can reach.
    pub ports: Vec<PublishedPort>,
    /// Its addresses in its networks.
    pub addresses: Vec<std::net::IpAddr>,
    /// Id of the image it runs.
    pub image_id: String,
    /// Its environment, `NAME=value`: the image's and its own.
    pub env: Vec<String>,
    /// Its first process, by the number that the engine's machine has for it.
    pub pid: Option<i64>,
    /// What it starts.
    pub entrypoint: Vec<String>,
    /// Arguments of that, or the command where there is no entrypoint.
    pub command: Vec<String>,
}

/// What a health check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// No result that counts yet; output of the last check.
    Starting(String),
    /// The last check succeeded.
    Healthy,
    /// Too many checks failed; output of the last one.
    Unhealthy(String),
}

impl Engine {
    /// Waits until a container does not run. Returns its exit code; none when it was removed meanwhile.
    ///
    /// # Errors
    /// When the connection to the engine is lost.
    pub async fn exited(&self, id: &str) -> Result<Option<i64>> {
        let options = WaitContainerOptions { condition: "not-running".into() };
        let mut waiting = std::pin::pin!(self.docker.wait_container(id, Some(options)));
        match waiting.next().await {
            Some(Ok(answer)) => Ok(Some(answer.status_code)),
            Some(Err(Bollard::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
            Some(Err(error)) if status(&error) == Some(404) => Ok(None),
            Some(Err(error)) => Err(failed(format_args!("lost track of {}", short(id)), &error)),
            None => Err(Error::new(ErrorKind::Engine, format_args!("the engine stopped watching {}", short(id)))),
        }
    }

    /// Inspects one container; none if it no longer exists.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn inspect(&self, id: &str) -> Result<Option<Inspected>> {
        match answer(self.docker.inspect_container(id, None::<InspectContainerOptions>)).await {
            Ok(seen) => {
                let networks = seen.network_settings.as_ref().and_then(|settings| settings.networks.clone());
                let mut seen = inspected(seen);
                if self.about.inside.is_some() {
                    let address = |endpoint: EndpointSettings| endpoint.ip_address.and_then(|ip| ip.parse().ok());
                    let networks = networks.unwrap_or_default().into_iter();
                    let near = self.near(&networks.map(|(name, endpoint)| (name, address(endpoint))).collect()).await?;
                    own_ports(&mut seen.ports, near);
                    seen.addresses = near.into_iter().collect();
                }
                Ok(Some(seen))
            }
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed(format_args!("can't inspect {}", short(id)), &error)),
        }
    }

    /// The writable anonymous volumes of a container, and where they are mounted; none if it no longer exists.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) async fn unnamed_volumes(&self, id: &str) -> Result<Vec<(String, String)>> {
        match answer(self.docker.inspect_container(id, None::<InspectContainerOptions>)).await {
            Ok(seen) => {
                let given = seen.host_config.and_then(|config| config.mounts).unwrap_or_default();
                let is_given = |name: &str| given.iter().any(|mount| mount.source.as_deref() == Some(name));
                let mounted = seen.mounts.unwrap_or_default().into_iter().filter_map(mounted_volume);
                Ok(mounted.filter(|(name, _)| !is_given(name)).collect())
            }
            Err(error) if status(&error) == Some(404) => Ok(Vec::new()),
            Err(error) => Err(failed(format_args!("can't inspect {}", short(id)), &error)),
        }
    }
}

fn inspected(seen: bollard::models::ContainerInspectResponse) -> Inspected {
    let state = seen.state.unwrap_or_default();
    let running = matches!(state.status, Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED));
    let never_ran = state.status == Some(ContainerStateStatusEnum::CREATED);
    let settings = seen.network_settings.unwrap_or_default();
    let config = seen.config.unwrap_or_default();
    let endpoints = settings.networks.unwrap_or_default();
    let ports = settings.ports.unwrap_or_default();
    Inspected {
        running,
        restarting: state.status == Some(ContainerStateStatusEnum::RESTARTING),
        stop_signal: config.stop_signal.clone().filter(|signal| !signal.is_empty()),
        // One that was never started has code 0, as if it had ended well; one that could not be started, 127 or so.
        exit_code: state.exit_code.filter(|code| !running && (*code != 0 || !never_ran)),
        oom_killed: state.oom_killed.unwrap_or_default(),
        error: state.error.filter(|error| !error.is_empty()),
        restarts: seen.restart_count.unwrap_or_default(),
        health: state.health.and_then(health),
        pid: state.pid.filter(|pid| *pid > 0),
        started_at: state.started_at,
        finished_at: state.finished_at,
        ports: ports.into_iter().flat_map(|(key, bindings)| published(&key, bindings.unwrap_or_default())).collect(),
        addresses: endpoints.into_values().filter_map(|endpoint| endpoint.ip_address?.parse().ok()).collect(),
        image_id: seen.image.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
    }
}

fn health(seen: bollard::models::Health) -> Option<Health> {
    let last = seen.log.unwrap_or_default().pop().and_then(|result| result.output).unwrap_or_default();
    let last = last.trim().to_owned();
    match seen.status? {
        HealthStatusEnum::STARTING => Some(Health::Starting(last)),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy(last)),
        _ => None,
    }
}

/// `5432/tcp` and its bindings.
fn published(key: &str, bindings: Vec<bollard::models::PortBinding>) -> Vec<PublishedPort> {
    let Some((container, protocol)) = key.split_once('/') else { return Vec::new() };
    let Ok(container) = container.parse() else { return Vec::new() };
    let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
    let binding = |binding: bollard::models::PortBinding| {
        Some(PublishedPort {
            address: binding.host_ip?.parse().ok()?,
            host: binding.host_port?.parse().ok()?,
            container,
            protocol,
        })
    };
    bindings.into_iter().filter_map(binding).collect()
}

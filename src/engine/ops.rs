//! The calls that change something, and the questions about one container. Each can be repeated: what is already as
//! asked is no error, so a run that was cut off is carried on by the next one.

use std::time::{Duration, Instant};

use bollard::errors::Error as Bollard;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerStateStatusEnum, EndpointSettings, HealthStatusEnum, NetworkConnectRequest, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, InspectContainerOptions, ListContainersOptions,
    RemoveContainerOptions, StartContainerOptions, StopContainerOptions, WaitContainerOptions,
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt as _;

use super::connect::answer;
use super::error::{failed, message, status};
use super::inside::own_ports;
use super::observe::{Listed, mounted_volume};
use super::{Engine, labels, spec};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::PublishedPort;
use crate::model::{Place, Protocol, Service, Stack, Volume, fingerprint};
use crate::plan::observed::ContainerState;

/// What `GET /containers/{id}/json` says, as far as we ask.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inspected {
    /// Whether its process runs.
    pub running: bool,
    /// The engine is about to start it again.
    pub restarting: bool,
    /// Signal that asks it to stop, its image's included; none: SIGTERM.
    pub stop_signal: Option<String>,
    /// Exit code of the last process, when it does not run.
    pub exit_code: Option<i64>,
    /// The engine ran out of memory for it.
    pub oom_killed: bool,
    /// Why the engine could not start it.
    pub error: Option<String>,
    /// How often the engine restarted it.
    pub restarts: i64,
    /// What the health check says, if there is one.
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

/// How a command inside a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Exit code.
    pub code: i64,
    /// The end of what it wrote, both streams.
    pub output: String,
}

/// What is kept of a command's output.
const OUTPUT_LIMIT: usize = 16 * 1024;

/// How long a busy engine may take to create a container.
const CREATION: Duration = Duration::from_secs(30);

/// How often it is asked whether it has.
const CREATION_PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Creates a service's container and notes why on it; a container of that name made from the same configuration is taken as it is.
    /// `declared`: the folders that its image declares as volumes.
    ///
    /// # Errors
    /// When the engine refuses; the message is its own. Returns the id and the engine's warnings.
    pub async fn create(
        &self,
        stack: &Stack,
        service: &Service,
        declared: &[String],
        cause: &str,
    ) -> Result<(String, Vec<String>)> {
        let name = stack.container_name(&service.name);
        let at_once = if self.about.api >= (1, 44) { service.networks.len() } else { 1 };
        let kept = self.kept(stack, service, declared).await?;
        let body = spec::container(stack, service, cause, at_once, &kept);
        let platform = service.platform.clone().unwrap_or_default();
        let options = CreateContainerOptions { name: Some(name.clone()), platform };
        let created = match self.docker.create_container(Some(options), body).await {
            Ok(created) => created,
            Err(error) if status(&error) == Some(409) => return self.adopt(stack, service, &name, &error).await,
            Err(error) => return Err(failed(format_args!("can't create {name}"), &error)),
        };
        for short in service.networks.iter().skip(at_once) {
            let network = &stack.networks[short].name;
            let request =
                NetworkConnectRequest { container: created.id.clone(), endpoint_config: Some(spec::endpoint(service)) };
            let connected = self.docker.connect_network(network, request).await;
            connected.map_err(|error| failed(format_args!("can't connect {name} to network {network}"), &error))?;
        }
        Ok((created.id, created.warnings))
    }

    /// The name is taken. By ourselves, when a call was cut off after the engine had done it: then it is ours.
    async fn adopt(
        &self,
        stack: &Stack,
        service: &Service,
        name: &str,
        error: &Bollard,
    ) -> Result<(String, Vec<String>)> {
        let wanted = fingerprint::fingerprint(stack, service);
        // A name is taken before its container is listed: a call that was cut off is still being carried out.
        let began = Instant::now();
        while began.elapsed() < CREATION && !self.is_listed("name", &format!("^/{name}$")).await? {
            tokio::time::sleep(CREATION_PAUSE).await;
        }
        let listed = self.whole_containers(stack.name.as_str()).await?;
        match listed.own.into_iter().find(|seen| seen.name == name) {
            Some(seen) if seen.config == wanted && seen.service == service.name => Ok((seen.id, Vec::new())),
            Some(_) => Err(failed(format_args!("can't create {name}"), error)
                .hint("another run changed the stack at the same time; run the command again")),
            None => Err(failed(format_args!("can't create {name}"), error).hint(format!(
                "a container of that name exists that this stack did not make; remove or rename it, or give this \
                 stack another name: -p NAME (now {})",
                stack.name
            ))),
        }
    }

    /// The containers of a stack's services, none of them half-made, and its one-off containers: the engine lists one that is being created before it takes
    /// calls about it.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub(super) async fn whole_containers(&self, project: &str) -> Result<Listed> {
        let listed = self.all_containers(project).await?;
        let began = Instant::now();
        for container in listed.own.iter().filter(|seen| seen.state == ContainerState::Created) {
            while began.elapsed() < CREATION
                && self.inspect(&container.id).await?.is_none()
                && self.is_listed("id", &container.id).await?
            {
                tokio::time::sleep(CREATION_PAUSE).await;
            }
        }
        Ok(listed)
    }

    pub(super) async fn is_listed(&self, filter: &str, value: &str) -> Result<bool> {
        let filters = Some([(filter.to_owned(), vec![value.to_owned()])].into());
        let options = ListContainersOptions { all: true, filters, ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        Ok(!listed.map_err(|error| failed("can't list containers", &error))?.is_empty())
    }

    /// Starts a container, or lets a paused one go on.
    ///
    /// # Errors
    /// [`ErrorKind::Port`] when a host port is taken.
    pub async fn start(&self, id: &str, name: impl std::fmt::Display) -> Result<()> {
        match self.docker.start_container(id, None::<StartContainerOptions>).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(304) => Ok(()),
            Err(error) if message(&error).contains("paused") => {
                let unpaused = self.docker.unpause_container(id).await;
                unpaused.map_err(|error| failed(format_args!("can't unpause {name}"), &error))
            }
            Err(error) => Err(failed(format_args!("can't start {name}"), &error)),
        }
    }

    /// Has the engine stop a container: its stop signal, then SIGKILL after `grace`, also when this process has died by
    /// then. For an engine that starts it again otherwise; `run::stop` is for the rest. One that is gone counts as stopped.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn stop(&self, id: &str, name: impl std::fmt::Display, grace: Duration) -> Result<()> {
        let t = i32::try_from(grace.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX);
        let stop = self.docker.stop_container(id, Some(StopContainerOptions { signal: None, t: Some(t) }));
        match tokio::time::timeout(grace + Duration::from_secs(30), stop).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if matches!(status(&error), Some(304 | 404)) => Ok(()),
            Ok(Err(error)) => Err(failed(format_args!("can't stop {name}"), &error)),
            Err(_) => Err(Error::new(ErrorKind::Engine, format_args!("the engine did not stop {name} in time"))
                .hint("restart the engine, then run the command again")),
        }
    }

    /// Removes a container and what is in its nameless volumes; kills it first if it runs. For containers whose data is
    /// meant to go with them: a service's is [`Self::remove_service`]'s. One that is gone is no error.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove(&self, id: &str, name: impl std::fmt::Display) -> Result<()> {
        self.remove_with(id, name, RemoveContainerOptions { force: true, v: true, link: false }).await
    }

    pub(super) async fn remove_with(
        &self,
        id: &str,
        name: impl std::fmt::Display,
        options: RemoveContainerOptions,
    ) -> Result<()> {
        match self.docker.remove_container(id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            // Someone removes it already: done when it is gone.
            Err(error) if status(&error) == Some(409) => self.wait_removed(id).await,
            Err(error) => Err(failed(format_args!("can't remove {name}"), &error)),
        }
    }

    async fn wait_removed(&self, id: &str) -> Result<()> {
        let options = WaitContainerOptions { condition: "removed".into() };
        let mut waiting = std::pin::pin!(self.docker.wait_container(id, Some(options)));
        match tokio::time::timeout(Duration::from_secs(30), waiting.next()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Other, format_args!("{} is being removed without end", short(id)))),
        }
    }

    /// Waits until a container does not run. Returns its exit code; none when it was removed meanwhile.
    ///
    /// # Errors
    /// When the engine goes away.
    pub async fn exited(&self, id: &str) -> Result<Option<i64>> {
        let options = WaitContainerOptions { condition: "not-running".into() };
        let mut waiting = std::pin::pin!(self.docker.wait_container(id, Some(options)));
        match waiting.next().await {
            Some(Ok(answer)) => Ok(Some(answer.status_code)),
            Some(Err(Bollard::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
            Some(Err(error)) if status(&error) == Some(404) => Ok(None),
            Some(Err(error)) => Err(failed(format_args!("lost sight of {}", short(id)), &error)),
            None => Err(Error::new(ErrorKind::Engine, format_args!("the engine stopped watching {}", short(id)))),
        }
    }

    /// Looks at one container; none when it is gone.
    ///
    /// # Errors
    /// When the engine can't be asked.
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

    /// The writable volumes of a container that it was not given by name, and where they are mounted; none when it is gone.
    ///
    /// # Errors
    /// When the engine can't be asked.
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

    /// Creates a volume of a stack. `place`: where it belongs, when services.toml gives it no name.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn create_volume(&self, stack: &Stack, volume: &Volume, place: Option<&Place>) -> Result<()> {
        let mut all_labels = labels::of_stack(stack);
        all_labels.extend(volume.labels.clone());
        all_labels.extend(place.map(labels::of_place).into_iter().flatten());
        let request = VolumeCreateRequest {
            name: Some(volume.name.clone()),
            driver: volume.driver.clone(),
            driver_opts: Some(volume.options.clone().into_iter().collect()),
            labels: Some(all_labels),
            ..Default::default()
        };
        let created = self.docker.create_volume(request).await;
        created.map(drop).map_err(|error| failed(format_args!("can't create volume {}", volume.name), &error))
    }

    /// Removes a volume of this stack and what is in it. The labels are read again just before.
    ///
    /// # Errors
    /// When it is not this stack's, or in use.
    pub async fn remove_volume(&self, stack: &Stack, name: &str) -> Result<()> {
        let seen = match answer(self.docker.inspect_volume(name)).await {
            Ok(seen) => seen,
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(failed(format_args!("can't inspect volume {name}"), &error)),
        };
        let has_lost_its_labels = !seen.labels.contains_key(labels::PROJECT)
            // An engine that was killed while it created it.
            && self.intents(stack.name.as_str()).await?.iter().any(|intent| intent.volumes.contains(name));
        if let Some(why) = labels::left_alone(&seen.labels, stack).filter(|_| !has_lost_its_labels) {
            let message = format!("volume {name} {why}; it is left alone");
            return Err(
                Error::new(ErrorKind::Other, message).hint(format!("see whose it is: docker volume inspect {name}"))
            );
        }
        // The data first: without the volume that says whose it is, nothing would lead to it.
        if let Some(held) = seen.labels.get(labels::HOLDS) {
            self.remove_unused(stack, held).await?;
        }
        self.remove_unused(stack, name).await
    }

    async fn remove_unused(&self, stack: &Stack, name: &str) -> Result<()> {
        match self.remove_volume_and_helper(stack, name).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(format_args!("can't remove volume {name}"), &error)),
        }
    }

    /// Runs a command inside a container.
    ///
    /// # Errors
    /// When the engine refuses, for instance because the container does not run.
    pub async fn exec(&self, id: &str, command: &[String]) -> Result<Executed> {
        self.exec_with(id, command, Vec::new(), Bytes::new()).await
    }

    /// The same as another user (`user[:group]`) than the container's.
    ///
    /// # Errors
    /// As above.
    pub async fn exec_as(&self, id: &str, user: &str, command: &[String]) -> Result<Executed> {
        self.executed(id, Some(user), command, Vec::new(), Bytes::new()).await
    }

    /// The same with variables (`NAME=value`) in its environment, and something on its standard input.
    ///
    /// # Errors
    /// As above.
    pub async fn exec_with(&self, id: &str, command: &[String], env: Vec<String>, input: Bytes) -> Result<Executed> {
        self.executed(id, None, command, env, input).await
    }

    async fn executed(
        &self,
        id: &str,
        user: Option<&str>,
        command: &[String],
        env: Vec<String>,
        input: Bytes,
    ) -> Result<Executed> {
        let failed =
            |error: Bollard| failed(format_args!("can't run `{}` in {}", command.join(" "), short(id)), &error);
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            user: user.map(Into::into),
            env: Some(env),
            attach_stdin: Some(!input.is_empty()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = answer(self.docker.create_exec(id, options)).await.map_err(failed)?;
        self.finish_exec(&exec.id, input).await.map_err(failed)
    }

    /// Starts a prepared command, gives it its standard input, and waits for its end.
    pub(super) async fn finish_exec(&self, exec: &str, input: Bytes) -> std::result::Result<Executed, Bollard> {
        let mut output = Vec::new();
        if let StartExecResults::Attached { output: mut stream, input: mut stdin } =
            self.docker.start_exec(exec, None::<StartExecOptions>).await?
        {
            // Whether it reads what it is given is its own affair: what counts is its output and its end.
            let mut feeding = std::pin::pin!(async {
                let _ = stdin.write_all(&input).await;
                let _ = stdin.shutdown().await;
            });
            let mut fed = input.is_empty();
            loop {
                let frame = tokio::select! {
                    frame = stream.next() => frame,
                    () = &mut feeding, if !fed => {
                        fed = true;
                        continue;
                    }
                };
                let Some(frame) = frame else { break };
                output.extend_from_slice(&frame?.into_bytes());
                if output.len() > 2 * OUTPUT_LIMIT {
                    output.drain(..output.len() - OUTPUT_LIMIT);
                }
            }
        }
        let seen = answer(self.docker.inspect_exec(exec)).await?;
        let output = String::from_utf8_lossy(&output).trim().to_owned();
        Ok(Executed { code: seen.exit_code.unwrap_or(-1), output })
    }

    /// The start of a file in a container, running or not; none when there is no such file.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn read_file(&self, id: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let options = DownloadFromContainerOptions { path: path.into() };
        let mut chunks = self.docker.download_from_container(id, Some(options));
        let mut archive = Vec::new();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => archive.extend_from_slice(&chunk),
                Err(error) if status(&error) == Some(404) => return Ok(None),
                Err(error) => return Err(failed(format_args!("can't read {path} in {}", short(id)), &error)),
            }
            if archive.len() > 2 * START {
                // The start of the file is in it; the tar may go on for ever.
                break;
            }
        }
        let mut archive = tar::Archive::new(archive.as_slice());
        let Some(entry) = archive.entries()?.next() else { return Ok(None) };
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(entry?, START as u64), &mut content)?;
        Ok(Some(content))
    }
}

/// How much of a file in a container is read, in bytes.
const START: usize = 64 * 1024;

/// An id as people see it.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
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

//! The calls that change something, and queries about a single container. Each can be repeated: if the requested state
//! already exists, that is no error, so the next run continues one that was cut off.

use std::time::{Duration, Instant};

use bollard::errors::Error as Bollard;
use bollard::models::{NetworkConnectRequest, VolumeCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, DownloadFromContainerOptions, ListContainersOptions, RemoveContainerOptions,
    StartContainerOptions, StopContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;

use super::connect::answer;
use super::error::{failed, message, status};
use super::observe::Listed;
use super::{Engine, labels, spec};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Place, Service, Stack, Volume, fingerprint};
use crate::plan::Intent;
use crate::plan::observed::ContainerState;

/// How long a busy engine may take to create a container.
const CREATION: Duration = Duration::from_secs(30);

/// How often to check whether it has.
const CREATION_PAUSE: Duration = Duration::from_millis(50);

impl Engine {
    /// Creates a service's container, with the cause in a label; an existing container of that name with the same
    /// configuration is used as it is. `declared`: the folders that its image declares as volumes.
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
            let request = NetworkConnectRequest {
                container: created.id.clone(),
                endpoint_config: Some(spec::endpoint(service, short)),
            };
            let connected = self.docker.connect_network(network, request).await;
            connected.map_err(|error| failed(format_args!("can't connect {name} to network {network}"), &error))?;
        }
        let ignored = super::mounts::ignored(self.about.api, service);
        Ok((created.id, created.warnings.into_iter().chain(ignored).collect()))
    }

    /// The name is in use. If a call was cut off after the engine had carried it out, the container is our own.
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
                "a container of that name exists, but was not created by this stack; remove or rename it, or give this \
                 stack another name: -p NAME (now {})",
                stack.name
            ))),
        }
    }

    /// The containers of a stack's services, all completely created, and its one-off containers: the engine lists a
    /// container that is being created before it accepts calls for it.
    ///
    /// # Errors
    /// When the engine does not answer.
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

    /// Starts a container, or unpauses a paused one.
    ///
    /// # Errors
    /// [`ErrorKind::Port`] when a host port is in use.
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

    /// Has the engine stop a container: its stop signal, then SIGKILL after `grace`, even if this process has ended by
    /// then. For an engine that starts it again otherwise; all other cases use `run::stop`. A missing container counts
    /// as stopped.
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

    /// Removes a container and its anonymous volumes; kills it first if it runs. For containers whose data is meant to
    /// be removed with them: those of services use [`Self::remove_service`]. A missing container is no error.
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
            // Another process removes it already: done when it is gone.
            Err(error) if status(&error) == Some(409) => self.wait_removed(id).await,
            Err(error) => Err(failed(format_args!("can't remove {name}"), &error)),
        }
    }

    async fn wait_removed(&self, id: &str) -> Result<()> {
        let options = WaitContainerOptions { condition: "removed".into() };
        let mut waiting = std::pin::pin!(self.docker.wait_container(id, Some(options)));
        match tokio::time::timeout(Duration::from_secs(30), waiting.next()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::new(ErrorKind::Other, format_args!("removing {} does not finish", short(id)))),
        }
    }

    /// Creates a volume of a stack. `place`: where it belongs, for an anonymous volume.
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

    /// Removes a volume of this stack and its content. The labels are read again immediately before, and `intent` is
    /// recorded until it is removed.
    ///
    /// # Errors
    /// When it is not this stack's, or in use: then it is not changed.
    pub async fn remove_volume(&self, stack: &Stack, name: &str, intent: Option<&Intent>) -> Result<()> {
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
        if let Some(intent) = intent {
            self.begin(stack, intent).await?;
        }
        // The data first: without the volume that says whose it is, nothing would lead to it.
        for part in seen.labels.get(labels::HOLDS).map(String::as_str).into_iter().chain([name]) {
            match self.remove_volume_and_helper(stack, part).await {
                Ok(()) => {}
                Err(error) if status(&error) == Some(404) => {}
                Err(error) => {
                    let is_in_use = status(&error) == Some(409);
                    if let Some(intent) = intent.filter(|_| is_in_use) {
                        self.finish(stack, intent).await?;
                    }
                    return Err(failed(format_args!("can't remove volume {part}"), &error));
                }
            }
        }
        match intent {
            Some(intent) => self.finish(stack, intent).await,
            None => Ok(()),
        }
    }

    /// The start of a file in a container, running or not; none if there is no such file.
    ///
    /// # Errors
    /// When the engine does not answer.
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
                // The start of the file is in it; the tar may have no end.
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

/// A short ID, as shown to users.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

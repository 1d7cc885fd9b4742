//! Anonymous volumes on the engine: found again for a new container, and kept findable when a container is removed.
//!
//! A container created by an earlier version has volumes that the engine named. Before such a container is removed, an
//! empty volume with the name that [`Place::volume`] returns is created; its label names the volume with the data. From
//! then on, operations on the one are applied to the other.

use std::collections::BTreeMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions};

use super::connect::answer;
use super::error::{failed, status};
use super::observe::volume;
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Place, Service, ServiceName, Stack, nameless};
use crate::plan::observed::{Container, Volume};

/// A volume for a folder of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// Whose it is.
    pub(super) place: Place,
    /// Name on the engine of the volume that holds the data, whether it exists or not.
    pub(super) volume: String,
}

impl Engine {
    /// The volumes for a container of a service whose image declares these.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) async fn kept(&self, stack: &Stack, service: &Service, declared: &[String]) -> Result<Vec<Kept>> {
        let targets = nameless::targets(service, declared);
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let mut filters = labels::filter(stack.name.as_str());
        filters.entry("label".into()).or_default().push(labels::HOLDS.into());
        let listed = answer(self.docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) }))).await;
        let listed = listed.map_err(|error| failed("can't list volumes", &error))?.volumes.unwrap_or_default();
        let holders: BTreeMap<String, String> =
            listed.into_iter().filter_map(|mut seen| Some((seen.name, seen.labels.remove(labels::HOLDS)?))).collect();
        let mut kept = Vec::new();
        for target in targets {
            let place = Place { service: service.name.clone(), target };
            let own = place.volume(&stack.name);
            let volume = match holders.get(&own) {
                Some(held) if self.has_volume(held).await? => held.clone(),
                // The data was removed behind our back.
                Some(_) => {
                    self.remove_volume_by_name(&own).await?;
                    own
                }
                None => own,
            };
            kept.push(Kept { place, volume });
        }
        Ok(kept)
    }

    /// Removes a service's container; kills it first if it runs. What is in its volumes stays and can be found. A
    /// missing one is no error.
    ///
    /// `claims`: the places of the service are its; not so for a second container of the service. Returns the volumes
    /// that stay without anything that points to them.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_service(
        &self,
        stack: &Stack,
        service: &ServiceName,
        id: &str,
        claims: bool,
    ) -> Result<Vec<String>> {
        let mut unclaimed = Vec::new();
        for (place, volume) in self.made_up(service, id).await? {
            if !(claims && self.hold(stack, &place, &volume).await?) {
                unclaimed.push(volume);
            }
        }
        let options = RemoveContainerOptions { force: true, v: false, link: false };
        self.remove_with(id, service, options).await?;
        Ok(unclaimed)
    }

    /// The volumes of a container that the engine named, and their places.
    async fn made_up(&self, service: &ServiceName, id: &str) -> Result<Vec<(Place, String)>> {
        let mounts = self.unnamed_volumes(id).await?;
        let made_up = mounts.into_iter().filter(|(volume, _)| nameless::is_made_up(volume));
        let place = |target: String| Place { service: service.clone(), target: nameless::clean(&target) };
        Ok(made_up.map(|(volume, target)| (place(target), volume)).collect())
    }

    /// Notes that a volume holds the data of a place. False when another one does.
    async fn hold(&self, stack: &Stack, place: &Place, volume: &str) -> Result<bool> {
        let name = place.volume(&stack.name);
        match answer(self.docker.inspect_volume(&name)).await {
            Ok(seen) => return Ok(seen.labels.get(labels::HOLDS).is_some_and(|held| held == volume)),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(failed(format_args!("can't inspect volume {name}"), &error)),
        }
        let mut all_labels = labels::of_stack(stack);
        all_labels.extend(labels::of_place(place));
        all_labels.insert(labels::HOLDS.into(), volume.into());
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(all_labels),
            ..VolumeCreateRequest::default()
        };
        let created = self.docker.create_volume(request).await;
        created.map_err(|error| failed(format_args!("can't create volume {name}"), &error))?;
        Ok(true)
    }

    /// The volume that holds the data of one of a stack's volumes, nearly always that one itself; and where it belongs, when
    /// services.toml gives it no name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) async fn holder(&self, stack: &Stack, name: &str) -> Result<(String, Option<Place>)> {
        match answer(self.docker.inspect_volume(name)).await {
            Ok(seen) => {
                let holder = seen.labels.get(labels::HOLDS).cloned();
                return Ok((holder.unwrap_or_else(|| name.into()), volume(seen).place));
            }
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(failed(format_args!("can't inspect volume {name}"), &error)),
        }
        for container in self.containers(stack.name.as_str()).await? {
            for (volume, target) in &container.volumes {
                let place = Place { service: container.service.clone(), target: nameless::clean(target) };
                if nameless::is_made_up(volume) && place.volume(&stack.name) == name {
                    return Ok((volume.clone(), Some(place)));
                }
            }
        }
        Ok((name.into(), None))
    }

    /// Removes the volumes of a stack's places: what is in them is lost.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_nameless(&self, stack: &Stack) -> Result<()> {
        let mut filters = labels::filter(stack.name.as_str());
        filters.entry("label".into()).or_default().push(labels::TARGET.into());
        let listed = answer(self.docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) }))).await;
        let listed = listed.map_err(|error| failed("can't list volumes", &error))?.volumes.unwrap_or_default();
        for volume in listed {
            self.remove_volume(stack, &volume.name, None).await?;
        }
        Ok(())
    }

    async fn has_volume(&self, name: &str) -> Result<bool> {
        match answer(self.docker.inspect_volume(name)).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(failed(format_args!("can't inspect volume {name}"), &error)),
        }
    }

    /// A missing one is no error.
    pub(super) async fn remove_volume_by_name(&self, name: &str) -> Result<()> {
        match self.docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(format_args!("can't remove volume {name}"), &error)),
        }
    }
}

/// The volumes of places that no volume of ours stands for yet: those of containers created by an earlier version.
pub(super) fn not_yet_held(stack: &Stack, containers: &[Container], volumes: &[Volume]) -> Vec<Volume> {
    let mut found: Vec<Volume> = Vec::new();
    for container in containers {
        for (volume, target) in container.volumes.iter().filter(|(volume, _)| nameless::is_made_up(volume)) {
            let place = Place { service: container.service.clone(), target: nameless::clean(target) };
            let name = place.volume(&stack.name);
            let is_declared = stack.volume(volume).is_some();
            let known = is_declared || volumes.iter().any(|seen| seen.name == name || seen.name == *volume);
            if !known && found.iter().all(|other| other.name != name) {
                found.push(Volume { stack: Some(stack.name.to_string()), place: Some(place), ..Volume::named(name) });
            }
        }
    }
    found
}

//! Isolated stacks as the engine shows them: their owners, and removing one completely. Whether one may be removed is
//! up to `gc`.

use std::collections::{BTreeMap, HashMap};

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions, RemoveVolumeOptions,
};
use futures_util::{StreamExt as _, stream, try_join};

use super::connect::answer;
use super::error::{failed, status};
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Owner, Stack, isolated};

/// How many things are removed at once.
const AT_ONCE: usize = 8;

/// An isolated stack on the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IsolatedStack {
    /// Its name.
    pub project: String,
    /// The process it was created for; none if its label can't be read.
    pub owner: Option<Owner>,
    /// When it may be removed, whatever its owner: seconds since 1970. The latest time of its parts.
    pub expires: i64,
    /// Its owner left it on purpose.
    pub kept: bool,
    /// Folder of the services.toml it was created from.
    pub root: String,
    /// How many containers it has.
    pub containers: usize,
    /// How many networks it has.
    pub networks: usize,
    /// How many volumes it has.
    pub volumes: usize,
}

pub(super) type Labels = HashMap<String, String>;

/// What of a stack is on the engine.
pub(super) struct Parts {
    /// Id and labels of each container.
    pub(super) containers: Vec<(String, Labels)>,
    /// Id and labels of each network.
    pub(super) networks: Vec<(String, Labels)>,
    /// Names of the networks.
    pub(super) network_names: Vec<String>,
    /// Name and labels of each volume.
    pub(super) volumes: Vec<(String, Labels)>,
}

impl Parts {
    fn retain(&mut self, is_one: impl Fn(&Labels) -> bool) {
        self.containers.retain(|(_, labels)| is_one(labels));
        self.networks.retain(|(_, labels)| is_one(labels));
        self.volumes.retain(|(_, labels)| is_one(labels));
    }
}

impl Engine {
    /// All isolated stacks, in three list calls.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn isolated_stacks(&self) -> Result<Vec<IsolatedStack>> {
        let Parts { containers, networks, volumes, .. } = self.parts(labels::OWNER).await?;
        let mut found: BTreeMap<String, IsolatedStack> = BTreeMap::new();
        let mut note = |labels: &Labels, count: fn(&mut IsolatedStack) -> &mut usize| {
            let text = |key: &str| labels.get(key).cloned().unwrap_or_default();
            let project = text(labels::PROJECT);
            if !isolated::is_name(&project) || !labels::are_whole(labels) {
                return;
            }
            let isolated_stacks =
                found.entry(project.clone()).or_insert_with(|| IsolatedStack { project, ..IsolatedStack::default() });
            isolated_stacks.owner =
                isolated_stacks.owner.take().or_else(|| serde_json::from_str(&text(labels::OWNER)).ok());
            isolated_stacks.expires = isolated_stacks.expires.max(text(labels::EXPIRES).parse().unwrap_or_default());
            isolated_stacks.kept |= labels.contains_key(labels::KEPT);
            isolated_stacks.root = text(labels::ROOT);
            *count(isolated_stacks) += 1;
        };
        containers.iter().for_each(|(_, labels)| note(labels, |isolated_stacks| &mut isolated_stacks.containers));
        networks.iter().for_each(|(_, labels)| note(labels, |isolated_stacks| &mut isolated_stacks.networks));
        volumes.iter().for_each(|(_, labels)| note(labels, |isolated_stacks| &mut isolated_stacks.volumes));
        Ok(found.into_values().collect())
    }

    /// Removes everything of an isolated stack at once: containers are killed, data is lost. Returns how many things
    /// there were. Objects that are just being created may be missed; repeat until there are none.
    ///
    /// # Errors
    /// When the engine refuses; the rest is removed all the same.
    pub async fn remove_isolated(&self, project: &str) -> Result<usize> {
        if !isolated::is_name(project) {
            return Ok(0);
        }
        let mut parts = self.parts(&format!("{}={project}", labels::PROJECT)).await?;
        parts.retain(|labels| labels::are_whole(labels) && labels.contains_key(labels::OWNER));
        let Parts { containers, networks, volumes, .. } = parts;
        let count = containers.len() + networks.len() + volumes.len();
        let removed =
            all(containers.into_iter().map(async |(id, _)| self.remove(&id, &id[..12.min(id.len())]).await)).await;
        let networks = networks.into_iter().map(async |(id, _)| self.remove_network_by_id(&id, project).await);
        let volumes = volumes.into_iter().map(async |(name, _)| self.remove_isolated_volume(&name).await);
        let (networks, volumes) = futures_util::join!(all(networks), all(volumes));
        removed.and(networks).and(volumes).map(|()| count)
    }

    async fn remove_isolated_volume(&self, name: &str) -> Result<()> {
        match self.docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(format_args!("can't remove volume {name}"), &error)),
        }
    }

    /// Marks an isolated stack as kept on purpose by its owner: with an empty volume, because labels of existing
    /// objects can't be changed. It is removed with the stack.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn keep(&self, stack: &Stack, until: i64) -> Result<()> {
        let name = format!("{}-kept", stack.name);
        let mut all_labels = labels::of_stack(stack);
        all_labels.insert(labels::KEPT.into(), "true".into());
        all_labels.insert(labels::EXPIRES.into(), until.to_string());
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(all_labels),
            ..VolumeCreateRequest::default()
        };
        let created = self.docker.create_volume(request).await;
        created.map(drop).map_err(|error| failed(format_args!("can't create volume {name}"), &error))
    }

    /// Everything that the engine says of a container, as it says it. Nothing in it is masked.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn inspect_whole(&self, id: &str) -> Result<serde_json::Value> {
        let seen = answer(self.docker.inspect_container(id, None::<InspectContainerOptions>)).await;
        let seen = seen.map_err(|error| failed(format_args!("can't inspect {id}"), &error))?;
        Ok(serde_json::to_value(seen).unwrap_or_default())
    }

    /// Everything that the engine says of itself, as it says it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn info_whole(&self) -> Result<serde_json::Value> {
        let info = answer(self.docker.info()).await.map_err(|error| failed("can't query the engine", &error))?;
        Ok(serde_json::to_value(info).unwrap_or_default())
    }

    /// Everything with a label.
    pub(super) async fn parts(&self, label: &str) -> Result<Parts> {
        let filters = || Some(HashMap::from([("label".to_owned(), vec![label.to_owned()])]));
        let containers = ListContainersOptions { all: true, filters: filters(), ..Default::default() };
        let (networks, volumes) =
            (ListNetworksOptions { filters: filters() }, ListVolumesOptions { filters: filters() });
        let (containers, networks, volumes) = try_join!(
            answer(self.docker.list_containers(Some(containers))),
            answer(self.docker.list_networks(Some(networks))),
            answer(self.docker.list_volumes(Some(volumes))),
        )
        .map_err(|error| failed("can't list the engine's objects", &error))?;
        let containers = containers.into_iter().filter_map(|seen| Some((seen.id?, seen.labels.unwrap_or_default())));
        let network_names = networks.iter().filter_map(|seen| seen.name.clone()).collect();
        let networks = networks.into_iter().filter_map(|seen| Some((seen.id?, seen.labels.unwrap_or_default())));
        let volumes = volumes.volumes.unwrap_or_default().into_iter().map(|seen| (seen.name, seen.labels));
        Ok(Parts {
            containers: containers.collect(),
            networks: networks.collect(),
            network_names,
            volumes: volumes.collect(),
        })
    }
}

/// Runs all of them, a few at a time; returns the first error at the end.
async fn all(work: impl Iterator<Item = impl Future<Output = Result<()>>>) -> Result<()> {
    let results: Vec<Result<()>> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
    results.into_iter().collect()
}

//! Helper containers that are never started: through them the engine copies a volume into an image, and back. One that
//! was left over by a killed run belongs to no service; the next command that changes the stack removes it.

use std::time::{Duration, Instant};

use bollard::errors::Error as Bollard;
use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{CreateContainerOptions, ListContainersOptions, RemoveVolumeOptions};

use super::connect::answer;
use super::error::{failed, status};
use super::snapshots::INSIDE;
use super::upload::COPY;
use super::{Engine, labels};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::Stack;
use crate::plan::observed::Helper;

/// How long to wait for a copy that the engine continues after its client was killed.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// How the names of these containers end. No service's container can have such a name: those have no dot.
const SUFFIX: &str = ".copy";

/// What keeps a name or a volume taken.
enum Holder {
    /// One of these containers; it is removed now.
    Removed,
    /// No container that is listed: the engine is still copying for one.
    Copying,
    /// A container that is not one of these.
    Other,
}

impl Engine {
    /// Creates one. It has a name of its own, so what a run that was killed left behind is found and removed here.
    pub(super) async fn helper(
        &self,
        stack: &Stack,
        volume: &str,
        image: &str,
        reads: bool,
    ) -> Result<String, Bollard> {
        let name = name_of(volume);
        let mount = Mount {
            typ: Some(MountType::VOLUME),
            source: Some(volume.into()),
            target: Some(INSIDE.into()),
            read_only: Some(reads),
            volume_options: reads.then(|| MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
            ..Default::default()
        };
        let mut own = labels::of_stack(stack);
        own.insert(labels::HELPER.into(), volume.into());
        // It would inherit its image's, and be taken for a container of that service.
        own.insert(labels::SERVICE.into(), String::new());
        let body = ContainerCreateBody {
            image: Some(image.into()),
            // Never run, but the engine wants one.
            cmd: Some(vec!["-".into()]),
            labels: Some(own),
            host_config: Some(HostConfig { mounts: Some(vec![mount]), ..Default::default() }),
            network_disabled: Some(true),
            ..Default::default()
        };
        let docker = self.docker.clone().with_timeout(COPY);
        let options = CreateContainerOptions { name: Some(name.clone()), platform: String::new() };
        let create = async || docker.create_container(Some(options.clone()), body.clone()).await;
        let made = self.without_helper(stack, volume, ("name", format!("^/{name}$")), create).await;
        made.map(|made| made.id)
    }

    /// Removes a volume, and what copying it left behind.
    pub(super) async fn remove_volume_and_helper(&self, stack: &Stack, volume: &str) -> Result<(), Bollard> {
        let remove = async || self.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await;
        self.without_helper(stack, volume, ("volume", volume.into()), remove).await
    }

    /// Makes a call that a copy stands in the way of: that is removed, or waited for while the engine is still at it.
    async fn without_helper<T>(
        &self,
        stack: &Stack,
        volume: &str,
        filter: (&str, String),
        call: impl AsyncFn() -> Result<T, Bollard>,
    ) -> Result<T, Bollard> {
        let began = Instant::now();
        loop {
            let error = match call().await {
                Err(error) if status(&error) == Some(409) && began.elapsed() < PATIENCE => error,
                answered => return answered,
            };
            match self.in_the_way(stack, volume, &filter).await {
                Ok(Holder::Removed) => {}
                Ok(Holder::Copying) => tokio::time::sleep(PAUSE).await,
                Ok(Holder::Other) | Err(_) => return Err(error),
            }
        }
    }

    /// What keeps a name or a volume taken.
    async fn in_the_way(&self, stack: &Stack, volume: &str, filter: &(&str, String)) -> Result<Holder> {
        let filters = [(filter.0.to_owned(), vec![filter.1.clone()])].into();
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list containers", &error))?;
        let project = |seen: &ContainerSummary| seen.labels.as_ref().and_then(|l| l.get(labels::PROJECT).cloned());
        if listed.iter().any(|seen| project(seen).as_deref() != Some(stack.name.as_str())) {
            return Ok(Holder::Other);
        }
        let helpers: Vec<Helper> = listed.iter().filter_map(helper).filter(|seen| seen.volume == volume).collect();
        match &helpers[..] {
            _ if helpers.len() < listed.len() => Ok(Holder::Other),
            [] => Ok(Holder::Copying),
            // Some engines list one before it is whole.
            [one, ..] if self.inspect(&one.id).await?.is_none() => Ok(Holder::Copying),
            [one, ..] => self.remove(&one.id, &one.name).await.map(|()| Holder::Removed),
        }
    }

    /// Removes one that was left behind; waits until the engine has ended copying.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_helper(&self, helper: &Helper) -> Result<()> {
        let began = Instant::now();
        while self.inspect(&helper.id).await?.is_none() && self.is_listed("id", &helper.id).await? {
            if began.elapsed() > PATIENCE {
                return Err(Error::new(ErrorKind::Other, format_args!("creating {} does not finish", helper.name)));
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.remove(&helper.id, &helper.name).await
    }

    /// Those of all stacks.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn helpers(&self) -> Result<Vec<Helper>> {
        let filters = [("label".to_owned(), vec![labels::PROJECT.to_owned()])].into();
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        Ok(listed.map_err(|error| failed("can't list containers", &error))?.iter().filter_map(helper).collect())
    }
}

/// What a container is, if it is one of these. Those of versions before this had no label of their own.
pub(super) fn helper(seen: &ContainerSummary) -> Option<Helper> {
    let name = seen.names.as_ref()?.first()?.trim_start_matches('/').to_owned();
    let found = seen.labels.as_ref()?;
    let volume = found.get(labels::HELPER).map(String::as_str).or_else(|| name.strip_suffix(SUFFIX))?.to_owned();
    let project = found.get(labels::PROJECT)?.clone();
    Some(Helper { id: seen.id.clone()?, name, volume, project })
}

fn name_of(volume: &str) -> String {
    format!("{volume}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, labels: &[(&str, &str)]) -> Option<Helper> {
        helper(&ContainerSummary {
            id: Some("1".into()),
            names: Some(vec![format!("/{name}")]),
            labels: Some(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()),
            ..ContainerSummary::default()
        })
    }

    #[test]
    fn a_helper_is_told_by_its_label_and_an_older_one_by_its_name() {
        let (project, service) = ((labels::PROJECT, "p"), (labels::SERVICE, "db"));
        assert_eq!(seen("p_data.copy", &[project, (labels::HELPER, "p_data")]).unwrap().volume, "p_data");
        assert_eq!(seen("p_data.copy", &[project, service]).unwrap().volume, "p_data");
        assert_eq!(seen("p-db", &[project, service]), None);
        assert_eq!(seen("a.copy", &[]), None, "another's container");
    }
}

//! Volumes that an engine made when it was killed: their labels are written after their folder, and are lost. One that has
//! nothing in it is made again; any other is somebody's.

use bollard::models::Volume;
use bollard::query_parameters::ListContainersOptions;

use super::connect::answer;
use super::error::{failed, status};
use super::{Engine, helpers};
use crate::diag::Result;
use crate::model::Stack;
use crate::plan::volume_of_another;

impl Engine {
    /// Removes a volume that carries no label, once it is certain that no container has it and nothing is in it.
    ///
    /// # Errors
    /// When it is not so: then it is left alone. When the engine refuses.
    pub async fn discard_blank(&self, stack: &Stack, name: &str) -> Result<()> {
        let seen = match answer(self.docker.inspect_volume(name)).await {
            Ok(seen) => seen,
            Err(error) if status(&error) == Some(404) => return Ok(()),
            Err(error) => return Err(failed(format_args!("can't inspect volume {name}"), &error)),
        };
        if !is_bare(&seen) || self.is_mounted(name).await? || !self.is_empty(stack, name).await? {
            return Err(volume_of_another(stack, name));
        }
        // The engine refuses when a container has it by now.
        match self.remove_volume_and_helper(stack, name).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(format_args!("can't remove volume {name}"), &error)),
        }
    }

    /// Whether a container has a volume, running or not. One that the volume was only looked at through does not count.
    pub(super) async fn is_mounted(&self, volume: &str) -> Result<bool> {
        let filters = [("volume".to_owned(), vec![volume.to_owned()])].into();
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list containers", &error))?;
        Ok(listed.iter().any(|seen| helpers::helper(seen).is_none()))
    }
}

/// Whether nothing is known of a volume but its name.
pub(super) fn is_bare(seen: &Volume) -> bool {
    seen.labels.is_empty() && seen.options.is_empty() && seen.driver == "local"
}

//! Operations that have begun and have not ended, as empty volumes with a label: they outlive the client and the
//! engine, and are listed with the stack's volumes, so reading them needs no extra call.

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};

use super::connect::answer;
use super::error::{failed, status};
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::Stack;
use crate::plan::Intent;

impl Engine {
    /// Writes down that something begins.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn begin(&self, stack: &Stack, intent: &Intent) -> Result<()> {
        let mut own = labels::of_stack(stack);
        own.insert(labels::INTENT.into(), serde_json::json!(intent).to_string());
        let name = intent.name(stack.name.as_str());
        let request = VolumeCreateRequest { name: Some(name), labels: Some(own), ..Default::default() };
        let made = self.docker.create_volume(request).await;
        made.map(drop).map_err(|error| failed(format_args!("can't record that {intent} begins"), &error))
    }

    /// Removes an intent. A missing one is no error.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn finish(&self, stack: &Stack, intent: &Intent) -> Result<()> {
        let name = intent.name(stack.name.as_str());
        match self.docker.remove_volume(&name, None::<RemoveVolumeOptions>).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(format_args!("can't record that {intent} has ended"), &error)),
        }
    }

    /// What has begun in a stack and has not ended.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn intents(&self, project: &str) -> Result<Vec<Intent>> {
        let options = ListVolumesOptions { filters: Some(labels::filter(project)) };
        let listed = answer(self.docker.list_volumes(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list volumes", &error))?.volumes.unwrap_or_default();
        Ok(listed.iter().filter_map(intent).collect())
    }
}

pub(super) fn intent(seen: &Volume) -> Option<Intent> {
    serde_json::from_str(seen.labels.get(labels::INTENT)?).ok()
}

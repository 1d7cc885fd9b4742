//! What docker compose has on the engine: the project of a folder, and who uses a volume.

use std::collections::HashMap;

use bollard::query_parameters::{ListContainersOptions, ListVolumesOptions};

use super::connect::answer;
use super::error::failed;
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::Stack;
use crate::plan::observed::ComposeProject;

pub(super) const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const VOLUME: &str = "com.docker.compose.volume";
const FOLDER: &str = "com.docker.compose.project.working_dir";

impl Engine {
    /// What docker compose has of a stack's folder: its containers that run there, and the volumes of a project called like
    /// them, like the folder or like the stack.
    pub(super) async fn compose_project(&self, stack: &Stack) -> Result<Option<ComposeProject>> {
        let label = |label: String| Some(HashMap::from([("label".to_owned(), vec![label])]));
        let options = ListContainersOptions {
            filters: label(format!("{FOLDER}={}", stack.root.display())),
            ..Default::default()
        };
        let volumes = ListVolumesOptions { filters: label(PROJECT.into()) };
        let (containers, volumes) = futures_util::try_join!(
            answer(self.docker.list_containers(Some(options))),
            answer(self.docker.list_volumes(Some(volumes))),
        )
        .map_err(|error| failed("can't list what docker compose has", &error))?;
        let mut found = ComposeProject::default();
        for container in containers {
            let all = container.labels.unwrap_or_default();
            found.name = all.get(PROJECT).cloned().unwrap_or_default();
            found.running.extend(all.get(SERVICE).cloned());
        }
        let folder = stack.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let names = [plain(&found.name), plain(stack.name.as_str()), plain(&folder)];
        for volume in volumes.volumes.unwrap_or_default() {
            let (Some(project), Some(key)) = (volume.labels.get(PROJECT), volume.labels.get(VOLUME)) else { continue };
            if !labels::are_whole(&volume.labels) && names.contains(&plain(project)) {
                if found.name.is_empty() {
                    found.name.clone_from(project);
                }
                found.volumes.push((key.clone(), volume.name));
            }
        }
        found.running.sort();
        found.volumes.sort();
        Ok((!found.name.is_empty()).then_some(found))
    }

    /// The running containers that use a volume and are not a stack's, with their project of docker compose.
    pub(super) async fn users(&self, volume: &str, stack: &Stack) -> Result<Vec<(String, Option<String>)>> {
        let filters = Some(HashMap::from([("volume".to_owned(), vec![volume.to_owned()])]));
        let options = ListContainersOptions { filters, ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list containers", &error))?;
        let others = listed.into_iter().filter_map(|seen| {
            let all = seen.labels.unwrap_or_default();
            let is_own = all.get(labels::PROJECT).is_some_and(|project| project == stack.name.as_str());
            let name = seen.names.unwrap_or_default().pop()?.trim_start_matches('/').to_owned();
            (!is_own).then(|| (name, all.get(PROJECT).cloned()))
        });
        Ok(others.collect())
    }
}

/// A name as far as both tools keep it.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

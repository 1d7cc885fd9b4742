//! Images of servers with prepared data. Which of them should exist is up to `isolated::prepared`.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::ContainerConfig;
use bollard::query_parameters::CommitContainerOptions;

use super::error::failed;
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Service, Stack};

/// Repository of the images.
pub(super) const REPOSITORY: &str = "taskava-prepared";

/// How long copying what a container wrote may take.
const COPY: Duration = Duration::from_secs(600);

/// What the image of a service is called that was prepared from what has this key.
pub fn prepared_reference(key: &str, service: &Service) -> String {
    format!("{REPOSITORY}:{key}-{}", service.name)
}

impl Engine {
    /// Makes an image of a container that is stopped, with all that it wrote outside of volumes. `machine`: this one.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn commit(
        &self,
        stack: &Stack,
        service: &Service,
        container: &str,
        key: &str,
        machine: &str,
    ) -> Result<()> {
        // The image gets the container's labels. Those of the run that prepared it would name whose it is.
        let mut own: HashMap<String, String> =
            labels::of_stack(stack).into_keys().map(|label| (label, String::new())).collect();
        own.extend(labels::of_service(&service.name, service.kind, "").map(|(label, _)| (label, String::new())));
        own.insert(labels::CAUSE.into(), String::new());
        own.insert(labels::ROOT.into(), stack.root.display().to_string());
        own.insert(labels::MACHINE.into(), machine.into());
        own.insert(labels::PREPARED.into(), key.into());
        let reference = prepared_reference(key, service);
        let (repo, tag) = reference.split_once(':').unwrap_or((&reference, "latest"));
        let options = CommitContainerOptions {
            container: Some(container.into()),
            repo: Some(repo.into()),
            tag: Some(tag.into()),
            pause: false,
            ..Default::default()
        };
        let config = ContainerConfig { labels: Some(own), ..Default::default() };
        let docker = self.docker.clone().with_timeout(COPY);
        let made = docker.commit_container(options, config).await;
        made.map(drop).map_err(|error| failed(format_args!("can't create an image of {}", service.name), &error))
    }
}

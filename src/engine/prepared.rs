//! Images of servers with their data in place. Which there should be is `run::snapshot::prepared`'s to say.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::ContainerConfig;
use bollard::query_parameters::{CommitContainerOptions, ListImagesOptions};

use super::connect::answer;
use super::error::failed;
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Service, Stack};

/// Repository of the images.
const REPOSITORY: &str = "taskava-prepared";

/// How long copying what a container wrote may take.
const COPY: Duration = Duration::from_secs(600);

/// A prepared image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedImage {
    /// Its reference; none when another image took its name, as after a run that was killed.
    pub name: Option<String>,
    /// Its id.
    pub id: String,
    /// Key of what it was prepared from.
    pub key: String,
    /// Folder of the services.toml that it was prepared for.
    pub root: String,
    /// Made at, seconds since 1970 by the engine's clock.
    pub created: i64,
}

/// What the image of a service is called that was prepared from what has this key.
pub fn prepared_reference(key: &str, service: &Service) -> String {
    format!("{REPOSITORY}:{key}-{}", service.name)
}

impl Engine {
    /// Makes an image of a container that is stopped, with all that it wrote outside of volumes.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn commit(&self, stack: &Stack, service: &Service, container: &str, key: &str) -> Result<()> {
        // The image gets the container's labels. Those of the run that prepared it would name whose it is.
        let mut own: HashMap<String, String> =
            labels::of_stack(stack).into_keys().map(|label| (label, String::new())).collect();
        own.extend(labels::of_service(&service.name, service.kind, "").map(|(label, _)| (label, String::new())));
        own.insert(labels::CAUSE.into(), String::new());
        own.insert(labels::ROOT.into(), stack.root.display().to_string());
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
        made.map(drop).map_err(|error| failed(format_args!("can't make an image of {}", service.name), &error))
    }

    /// The prepared images of all checkouts, the newest first.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn prepared(&self) -> Result<Vec<PreparedImage>> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::PREPARED.to_owned()])]);
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_images(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list images", &error))?;
        let image = |seen: bollard::models::ImageSummary| {
            let name = seen.repo_tags.into_iter().find(|tag| tag.starts_with(REPOSITORY));
            let label = |label: &str| seen.labels.get(label).cloned();
            let (key, root, created) = (label(labels::PREPARED)?, label(labels::ROOT)?, seen.created);
            Some(PreparedImage { name, id: seen.id, key, root, created })
        };
        let mut found: Vec<PreparedImage> = listed.into_iter().filter_map(image).collect();
        found.sort_by_key(|image| std::cmp::Reverse(image.created));
        Ok(found)
    }

    /// Removes a prepared image, unless a container was made from it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_prepared(&self, image: &PreparedImage) -> Result<()> {
        self.remove_image(image.name.as_ref().unwrap_or(&image.id)).await
    }
}

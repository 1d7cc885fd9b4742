//! Images created by taskava, as the engine shows them, and removing one. Whether one may be removed is up to `gc`.

use std::collections::{HashMap, HashSet};

use bollard::models::ImageSummary;
use bollard::query_parameters::{ListContainersOptions, ListImagesOptions, RemoveImageOptions};
use futures_util::try_join;

use super::connect::answer;
use super::error::{failed, status};
use super::{Engine, labels, prepared, snapshots};
use crate::diag::Result;

/// What an image of ours is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageOrigin {
    /// A server with its data in place.
    Prepared {
        /// Key of what it was prepared from.
        key: String,
    },
    /// A saved volume.
    Snapshot {
        /// The stack it belongs to.
        project: String,
        /// Name of the snapshot.
        snapshot: String,
    },
    /// The result of a build, which lost its name to a later one. Those that have a name are their user's.
    Build,
}

/// An image created by taskava.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedImage {
    /// What it is.
    pub made: ImageOrigin,
    /// Its id.
    pub id: String,
    /// Its reference; none when another image took its name, or it never got one.
    pub name: Option<String>,
    /// Folder of the services.toml it was created for; empty if unknown.
    pub root: String,
    /// The machine that folder is on; empty where that is not known.
    pub machine: String,
    /// Made at, seconds since 1970 by the engine's clock.
    pub created: i64,
    /// The size freed by removing it, in bytes: without its base, if the engine reports that.
    pub size: u64,
    /// A container uses it.
    pub used: bool,
}

impl Engine {
    /// All images created by taskava, newest first. One to which the user gave another name belongs to the user.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn own_images(&self) -> Result<Vec<ManagedImage>> {
        let containers = ListContainersOptions { all: true, ..Default::default() };
        let (images, containers) = try_join!(
            answer(self.docker.list_images(None::<ListImagesOptions>)),
            answer(self.docker.list_containers(Some(containers))),
        )
        .map_err(|error| failed("can't list images", &error))?;
        let used: HashSet<String> = containers.into_iter().filter_map(|seen| seen.image_id).collect();
        let sizes: HashMap<&str, i64> = images.iter().map(|seen| (seen.id.as_str(), seen.size)).collect();
        let mut found: Vec<ManagedImage> = images.iter().filter_map(|seen| own(seen, &sizes, &used)).collect();
        found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
        Ok(found)
    }

    /// Removes an image of ours, unless a container was made from it, or it is not what it was when it was seen: then it
    /// stays, and false comes back.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_own_image(&self, image: &ManagedImage) -> Result<bool> {
        let reference = image.name.as_ref().unwrap_or(&image.id);
        let seen = match answer(self.docker.inspect_image(reference)).await {
            Ok(seen) => seen,
            Err(error) if status(&error) == Some(404) => return Ok(true),
            Err(error) => return Err(failed(format_args!("can't inspect image {reference}"), &error)),
        };
        let is_same = seen.id.as_ref() == Some(&image.id);
        let named = seen.repo_tags.is_some_and(|names| names.iter().any(|name| is_name(name)));
        if !is_same || named != image.name.is_some() {
            return Ok(false);
        }
        // What a server's image is based on is not ours, even where it has no name; the steps of a build are its own.
        let options = RemoveImageOptions { noprune: image.made != ImageOrigin::Build, ..Default::default() };
        match self.docker.remove_image(reference, Some(options), None).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(true),
            Err(error) if status(&error) == Some(409) => Ok(false),
            Err(error) => Err(failed(format_args!("can't remove image {reference}"), &error)),
        }
    }
}

fn own(seen: &ImageSummary, sizes: &HashMap<&str, i64>, used: &HashSet<String>) -> Option<ManagedImage> {
    let label = |label: &str| seen.labels.get(label).map(String::as_str).unwrap_or_default();
    let (project, key) = (label(labels::PROJECT), label(labels::PREPARED));
    // An image that the user created from one of our containers, or on top of such an image, inherits labels. It has
    // the stack's, which a prepared image and a build have not, or a name of its own; one on top of a build without
    // either can't be told.
    let (made, repository) = if !label(labels::SNAPSHOT).is_empty() {
        let (project, snapshot) = (project.to_owned(), label(labels::SNAPSHOT).to_owned());
        (ImageOrigin::Snapshot { project, snapshot }, snapshots::REPOSITORY)
    } else if !project.is_empty() {
        return None;
    } else if !key.is_empty() {
        (ImageOrigin::Prepared { key: key.to_owned() }, prepared::REPOSITORY)
    } else if !label(labels::BUILD).is_empty() {
        (ImageOrigin::Build, "")
    } else {
        return None;
    };
    let mut names = seen.repo_tags.iter().chain(&seen.repo_digests).filter(|name| is_name(name));
    let is_ours = |name: &String| name.split([':', '@']).next() == Some(repository);
    if !names.all(is_ours) {
        return None;
    }
    let base = sizes.get(seen.parent_id.as_str()).copied().unwrap_or_default();
    Some(ManagedImage {
        made,
        id: seen.id.clone(),
        name: seen.repo_tags.iter().find(|name| is_name(name)).cloned(),
        root: label(labels::ROOT).to_owned(),
        machine: label(labels::MACHINE).to_owned(),
        created: seen.created,
        size: (seen.size - base).try_into().unwrap_or_default(),
        used: used.contains(&seen.id),
    })
}

/// Engines before 25 say `<none>:<none>` and `<none>@<none>` of what has no name.
fn is_name(name: &str) -> bool {
    !name.starts_with("<none>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(labels: &[(&str, &str)], tags: &[&str]) -> Option<ManagedImage> {
        let summary = ImageSummary {
            id: "sha256:1".into(),
            parent_id: "sha256:0".into(),
            repo_tags: tags.iter().map(ToString::to_string).collect(),
            size: 100,
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..ImageSummary::default()
        };
        own(&summary, &HashMap::from([("sha256:0", 90)]), &HashSet::new())
    }

    #[test]
    fn an_image_is_ours_by_its_labels_and_while_nobody_gave_it_another_name() {
        let key = (labels::PREPARED, "k");
        let ours = seen(&[key, (labels::PROJECT, ""), (labels::ROOT, "/p")], &["taskava-prepared:k-db"]);
        let ours = ours.expect("ours");
        assert_eq!((ours.name.as_deref(), ours.root.as_str(), ours.size), (Some("taskava-prepared:k-db"), "/p", 10));
        assert_eq!(seen(&[key], &["taskava-prepared:k-db", "mine:1"]), None);
        assert_eq!(seen(&[key], &["taskava-prepared-not:1"]), None);
        assert_eq!(seen(&[key], &["<none>:<none>"]).expect("ours").name, None);
        assert_eq!(seen(&[key, (labels::PROJECT, "p")], &[]), None, "made of a container by hand");
        assert_eq!(seen(&[], &[]), None);
    }

    #[test]
    fn what_was_built_and_has_a_name_is_its_users() {
        let label = (labels::BUILD, "{}");
        assert_eq!(seen(&[label], &[]).map(|image| image.made), Some(ImageOrigin::Build));
        assert_eq!(seen(&[label], &["p-app:latest"]), None);
        assert_eq!(
            seen(&[label, (labels::PREPARED, "k")], &[]).map(|image| image.made),
            Some(ImageOrigin::Prepared { key: "k".into() })
        );
    }
}

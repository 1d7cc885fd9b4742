//! Copies volumes to images, and back. An image contains one volume and nothing else, in [`INSIDE`]; its labels record
//! stack, snapshot and volume. What is saved when, and which images are removed, is up to `plan` and `run`.
//!
//! No container is ever started for it, so it also works for images without a shell: a volume is read as an archive
//! through a container that was only created, and the archive is streamed into the only layer of an image. To restore,
//! the engine itself copies an image's content to an empty volume mounted over it.

use std::collections::HashMap;
use std::io;

use bollard::body_try_stream;
use bollard::errors::Error as Bollard;
use bollard::query_parameters::{
    CreateImageOptions, DownloadFromContainerOptions, ListImagesOptions, RemoveImageOptions,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::connect::answer;
use super::error::{failed, status};
use super::upload::COPY;
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Place, ServiceName, Stack, fingerprint_of};
use crate::plan::observed::Saved;

/// Path of a volume's content in its image. No image and no engine has its own files there.
pub(super) const INSIDE: &str = "/taskava-volume";

/// Repository of the images.
pub(super) const REPOSITORY: &str = "taskava-snapshot";

/// Tag of the image without content that volumes are read through.
const EMPTY: &str = "empty";

/// An archive of at most this length contains only a folder: that is how an empty volume is recognised.
const GLANCE: usize = 64 * 1024;

/// What is saved, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Copied<'a> {
    /// The volume, by its name on the engine.
    pub volume: &'a str,
    /// Name of the snapshot.
    pub snapshot: &'a str,
    /// The services that have it mounted, with blanks in between.
    pub services: &'a str,
    /// All volumes of the snapshot.
    pub set: &'a [String],
    /// It is incomplete: the command that completes it.
    pub incomplete: Option<&'a str>,
}

impl Engine {
    /// Saves the content of a volume as an image. Returns its size; none if it is empty, which the image records too: a
    /// snapshot is complete if each of its volumes has an image.
    ///
    /// Nothing may write to it meanwhile. `machine`: this one.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn save_volume(&self, stack: &Stack, what: &Copied<'_>, machine: &str) -> Result<Option<u64>> {
        let Copied { volume, snapshot, services, set, incomplete } = *what;
        let (holder, place) = self.holder(stack, volume).await?;
        let reader = self.reader(stack, &holder).await?;
        let mut own = labels::of_stack(stack);
        own.insert(labels::MACHINE.into(), machine.into());
        own.insert(labels::SNAPSHOT.into(), snapshot.into());
        own.insert(labels::VOLUME.into(), volume.into());
        own.insert(labels::SERVICE.into(), services.into());
        own.insert(labels::SET.into(), serde_json::json!(set).to_string());
        own.extend(place.iter().flat_map(labels::of_place));
        own.extend(incomplete.map(|finish| (labels::INCOMPLETE.into(), finish.into())));
        let tag = tag(&[stack.name.as_str(), snapshot, volume]);
        let saved = self.import(&tag, own, &reader).await;
        let removed = self.remove(&reader, volume).await;
        let saved = saved.map_err(|error| failed(format_args!("can't save volume {volume}"), &error))?;
        removed?;
        if !saved {
            return Ok(None);
        }
        let seen = answer(self.docker.inspect_image(&format!("{REPOSITORY}:{tag}"))).await;
        let seen = seen.map_err(|error| failed(format_args!("can't save volume {volume}"), &error))?;
        Ok(Some(seen.size.and_then(|size| size.try_into().ok()).unwrap_or_default()))
    }

    /// Converts the archive of a volume to an image. Returns whether it has content.
    async fn import(&self, tag: &str, mut labels: HashMap<String, String>, reader: &str) -> Result<bool, Bollard> {
        let options = DownloadFromContainerOptions { path: INSIDE.into() };
        let mut archive = Box::pin(self.docker.download_from_container(reader, Some(options)));
        let mut start = Vec::new();
        let mut ended = false;
        while start.len() < GLANCE && !ended {
            match archive.try_next().await? {
                Some(chunk) => start.extend_from_slice(&chunk),
                None => ended = true,
            }
        }
        let empty = ended && entries(&start) <= 1;
        if empty {
            labels.insert(labels::EMPTY.into(), String::new());
        }
        let archive = stream::once(async { Ok(Bytes::from(start)) }).chain(archive.map_err(io::Error::other));
        self.make_image(tag, &labels, archive).await?;
        Ok(!empty)
    }

    /// An image of one layer: an archive as it comes in.
    async fn make_image(
        &self,
        tag: &str,
        labels: &HashMap<String, String>,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), Bollard> {
        let changes: Vec<String> =
            labels.iter().map(|(name, value)| format!("LABEL {}={}", quoted(name), quoted(value))).collect();
        let options = CreateImageOptions {
            from_src: Some("-".into()),
            repo: Some(REPOSITORY.into()),
            tag: Some(tag.into()),
            changes,
            ..Default::default()
        };
        let docker = self.docker.clone().with_timeout(COPY);
        docker.create_image(Some(options), Some(body_try_stream(archive)), None).try_collect::<Vec<_>>().await.map(drop)
    }

    /// Fills an empty volume with what an image of [`Self::save_volume`] holds.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn fill_volume(&self, stack: &Stack, volume: &str, image: &str) -> Result<()> {
        let filler = self.helper(stack, volume, image, false).await;
        let filler = filler.map_err(|error| failed(format_args!("can't fill volume {volume}"), &error))?;
        self.remove(&filler, volume).await
    }

    /// A container that is never started, with the volume in it.
    async fn reader(&self, stack: &Stack, volume: &str) -> Result<String> {
        let image = format!("{REPOSITORY}:{EMPTY}");
        let mut made = self.helper(stack, volume, &image, true).await;
        if made.as_ref().is_err_and(|error| status(error) == Some(404)) {
            // An archive's end and nothing before it.
            let nothing = stream::once(async { Ok(Bytes::from_static(&[0; 1024])) });
            let empty = self.make_image(EMPTY, &HashMap::new(), nothing).await;
            empty.map_err(|error| failed("can't create an empty image", &error))?;
            made = self.helper(stack, volume, &image, true).await;
        }
        made.map_err(|error| failed(format_args!("can't read volume {volume}"), &error))
    }

    /// The saved volumes of a stack, the newest first.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn saved(&self, project: &str) -> Result<Vec<Saved>> {
        let mut filters = labels::filter(project);
        filters.entry("label".into()).or_default().push(labels::SNAPSHOT.into());
        let options = ListImagesOptions { filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_images(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list images", &error))?;
        let mut found: Vec<Saved> = listed.into_iter().filter_map(saved).collect();
        found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.volume.cmp(&b.volume)));
        Ok(found)
    }

    /// Removes a saved volume. A missing one is no error.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_saved(&self, saved: &Saved) -> Result<()> {
        self.remove_image(&saved.reference).await
    }

    pub(super) async fn remove_image(&self, reference: &str) -> Result<()> {
        match self.docker.remove_image(reference, None::<RemoveImageOptions>, None).await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(failed(format_args!("can't remove image {reference}"), &error)),
        }
    }
}

fn saved(seen: bollard::models::ImageSummary) -> Option<Saved> {
    let place = || {
        let service = ServiceName::parse(seen.labels.get(labels::SERVICE)?).ok()?;
        Some(Place { service, target: seen.labels.get(labels::TARGET)?.clone() })
    };
    Some(Saved {
        reference: seen.repo_tags.into_iter().find(|tag| tag.starts_with(REPOSITORY))?,
        snapshot: seen.labels.get(labels::SNAPSHOT)?.clone(),
        volume: seen.labels.get(labels::VOLUME)?.clone(),
        services: seen.labels.get(labels::SERVICE).map(|names| names.split_whitespace().map(Into::into).collect())?,
        place: place(),
        created: seen.created,
        size: seen.size.try_into().unwrap_or_default(),
        set: seen.labels.get(labels::SET).and_then(|set| serde_json::from_str(set).ok()).unwrap_or_default(),
        incomplete: seen.labels.get(labels::INCOMPLETE).cloned(),
        empty: seen.labels.contains_key(labels::EMPTY),
    })
}

/// How many files and folders are in an archive.
fn entries(archive: &[u8]) -> usize {
    tar::Archive::new(archive).entries().map(Iterator::count).unwrap_or_default()
}

/// What these words are called as a tag: readable, and no two lists of words the same.
fn tag(words: &[&str]) -> String {
    let all = words.join(".");
    format!("{}-{}", &all[..all.len().min(100)], fingerprint_of(words.join("\n").as_bytes()))
}

/// As a Dockerfile's words are quoted.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\n', " ").replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_short_and_its_own() {
        let long = "x".repeat(63);
        assert!(tag(&[&long, &long, &long]).len() <= 128);
        assert_ne!(tag(&["a.b", "c"]), tag(&["a", "b.c"]));
        assert!(tag(&["app", "before", "app-data"]).starts_with("app.before.app-data-"));
    }

    #[test]
    fn an_empty_volume_is_one_folder() {
        let archive = |folders: &[&str]| {
            let mut archive = tar::Builder::new(Vec::new());
            for path in folders {
                let mut folder = tar::Header::new_gnu();
                folder.set_entry_type(tar::EntryType::Directory);
                folder.set_size(0);
                archive.append_data(&mut folder, path, io::empty()).unwrap();
            }
            archive.into_inner().unwrap()
        };
        assert_eq!(entries(&archive(&["taskava-volume/"])), 1);
        assert_eq!(entries(&archive(&["taskava-volume/", "taskava-volume/a/"])), 2);
    }
}

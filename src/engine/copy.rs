//! Copies between containers and here, as `docker cp` does: what a path in a container is, and archives both ways.

use std::io;
use std::path::PathBuf;

use bollard::query_parameters::{ContainerArchiveInfoOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::Stream;

use super::Engine;
use super::connect::answer;
use super::error::{failed, status};
use super::upload::{COPY, Owner, Upload};
use crate::diag::Result;

/// Bits of a mode as Go has them.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;

/// A path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// It is a folder.
    pub folder: bool,
    /// Of a link: where it leads in the end, from the root.
    pub link: Option<String>,
}

impl Engine {
    /// What a path in a container is, running or not; none: there is no such path.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn path_info(&self, id: &str, path: &str) -> Result<Option<PathInfo>> {
        let options = ContainerArchiveInfoOptions { path: path.into() };
        match answer(self.docker.get_container_archive_info(id, Some(options))).await {
            Ok(seen) => {
                let mode = seen.file_mode;
                let link = (mode & LINK != 0).then_some(seen.link_target);
                Ok(Some(PathInfo { folder: mode & FOLDER != 0, link }))
            }
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed(format_args!("can't look at {path} in the container"), &error)),
        }
    }

    /// Copies files into a container, running or not. A folder is never replaced by a file, nor the other way round. Returns
    /// what was left out, as [`Self::upload`] does.
    ///
    /// # Errors
    /// When a file can't be read, or the engine refuses.
    pub async fn copy_in(&self, id: &str, files: Vec<Upload>, owner: Owner) -> Result<Vec<PathBuf>> {
        self.send(id, files, owner, kept_apart("/")).await
    }

    /// Unpacks an archive in a folder of a container, as it streams by. A folder is never replaced by a file.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn copy_archive_in(
        &self,
        id: &str,
        folder: &str,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<()> {
        let docker = self.docker.clone().with_timeout(COPY);
        let sent = docker.upload_to_container(id, Some(kept_apart(folder)), bollard::body_try_stream(archive)).await;
        sent.map_err(|error| failed(format_args!("can't copy into {folder} of the container"), &error))
    }
}

/// The engine would remove a whole folder where an archive has a file of its name.
fn kept_apart(folder: &str) -> UploadToContainerOptions {
    let no_overwrite_dir_non_dir = Some("1".into());
    UploadToContainerOptions { path: folder.into(), no_overwrite_dir_non_dir, ..Default::default() }
}

//! Copies files into a container, and removes them.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use tokio::sync::mpsc::Sender;

use super::Engine;
use super::error::failed;
use crate::byte_channel;
use crate::diag::{Error, Result};
use crate::model::InlineFile;

/// How many pieces of an archive may wait.
const PIECES: usize = 4;
/// How much of a list of names fits into one command line.
const COMMAND_LIMIT: usize = 64 * 1024;

/// How long an archive may take, or to begin to be answered; the engine answers an import when it has all of it.
pub(super) const COPY: Duration = Duration::from_secs(3600);

/// A file, folder or link on its way into a container. A link is sent as a link, wherever it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where it is.
    pub from: PathBuf,
    /// The folder that contains it. A file that turns out to be elsewhere when it is opened is skipped.
    pub within: PathBuf,
    /// Absolute target path in the container.
    pub to: String,
}

/// Who files belong to inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A user and a group, by number.
    Is(u64, u64),
    /// Those they belong to outside.
    Kept,
}

/// Whether files could be removed in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// They were deleted.
    Done,
    /// The image has no `rm`.
    NoTool,
}

impl Engine {
    /// Copies files into a container, running or not; missing folders are created. The archive is sent while it is
    /// written. A file that went away meanwhile is left out. Returns the files that were left out because they lie
    /// elsewhere than they seem to: a link took the place of a folder above.
    ///
    /// # Errors
    /// When a file can't be read, or the engine refuses.
    pub async fn upload(&self, id: &str, files: Vec<Upload>, owner: Owner) -> Result<Vec<PathBuf>> {
        let options = UploadToContainerOptions { path: "/".into(), ..Default::default() };
        self.send(id, files, owner, options).await
    }

    pub(super) async fn send(
        &self,
        id: &str,
        files: Vec<Upload>,
        owner: Owner,
        options: UploadToContainerOptions,
    ) -> Result<Vec<PathBuf>> {
        let (sender, archive) = byte_channel::channel(PIECES);
        let writing = tokio::task::spawn_blocking(move || write(&files, owner, sender));
        let docker = self.docker.clone().with_timeout(COPY);
        let sent = docker.upload_to_container(id, Some(options), bollard::body_try_stream(archive)).await;
        let left_out = match writing.await.map_err(io::Error::from)? {
            // The engine stopped reading: its response explains why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Vec::new(),
            // Why the archive broke off says more than that it did.
            written => written?,
        };
        sent.map_err(|error| failed(format_args!("can't copy into {}", super::ops::short(id)), &error))?;
        Ok(left_out)
    }

    /// Puts files with their content into a container, running or not; missing folders are created.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn put_files(&self, id: &str, files: &[InlineFile]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let mut archive = tar::Builder::new(Vec::new());
        for file in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.content.len() as u64);
            header.set_mode(file.mode);
            header.set_uid(file.uid.into());
            header.set_gid(file.gid.into());
            archive.append_data(&mut header, file.target.trim_start_matches('/'), file.content.as_bytes())?;
        }
        let bytes = Bytes::from(archive.into_inner()?);
        let options = UploadToContainerOptions { path: "/".into(), ..Default::default() };
        let sent = self.docker.upload_to_container(id, Some(options), bollard::body_full(bytes)).await;
        sent.map_err(|error| failed(format_args!("can't put files into {}", super::ops::short(id)), &error))
    }

    /// Unpacks an archive in a folder of a container, as it streams by.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn unpack(
        &self,
        id: &str,
        folder: &str,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<()> {
        let options = UploadToContainerOptions { path: folder.into(), ..Default::default() };
        let docker = self.docker.clone().with_timeout(COPY);
        let sent = docker.upload_to_container(id, Some(options), bollard::body_try_stream(archive)).await;
        sent.map_err(|error| failed(format_args!("can't copy into {}", super::ops::short(id)), &error))
    }

    /// A folder of a container as an archive, sorted by name.
    pub fn pack(&self, id: &str, folder: &str) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        let options = DownloadFromContainerOptions { path: folder.into() };
        self.docker.clone().with_timeout(COPY).download_from_container(id, Some(options)).map_err(io::Error::other)
    }

    /// Removes files and folders in a running container, with its own `rm`: the engine has no call for it.
    ///
    /// # Errors
    /// When the engine refuses, or `rm` fails.
    pub async fn remove_files(&self, id: &str, paths: &[String]) -> Result<Removal> {
        let mut rest = paths;
        while !rest.is_empty() {
            let mut room = COMMAND_LIMIT;
            let fits = rest.iter().take_while(|path| {
                room = room.saturating_sub(path.len() + 1);
                room > 0
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            rest = later;
            let mut command: Vec<String> = ["rm", "-rf", "--"].map(Into::into).to_vec();
            command.extend_from_slice(now);
            match self.exec(id, &command).await {
                Ok(done) if done.code == 0 => {}
                Ok(done) if matches!(done.code, 126 | 127) => return Ok(Removal::NoTool),
                Ok(done) => {
                    return Err(
                        anyhow::anyhow!("can't remove files in {}: {}", super::ops::short(id), done.output).into()
                    );
                }
                Err(error) if has_no_tool(&error) => return Ok(Removal::NoTool),
                Err(error) => return Err(error),
            }
        }
        Ok(Removal::Done)
    }

    /// The numbers of the user a container runs as, where they are numbers; else those of root.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn owner(&self, id: &str) -> Result<(u64, u64)> {
        let seen = super::connect::answer(self.docker.inspect_container(id, None)).await;
        let seen = seen.map_err(|error| failed(format_args!("can't inspect {}", super::ops::short(id)), &error))?;
        Ok(numbers(&seen.config.and_then(|config| config.user).unwrap_or_default()))
    }
}

/// `1000` or `1000:1000`.
fn numbers(user: &str) -> (u64, u64) {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let user = user.parse().unwrap_or(0);
    (user, group.parse().unwrap_or(user))
}

fn has_no_tool(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("executable file not found") || text.contains("no such file or directory")
}

fn write(files: &[Upload], owner: Owner, sender: Sender<io::Result<Bytes>>) -> io::Result<Vec<PathBuf>> {
    let mut archive = tar::Builder::new(byte_channel::Writer::new(sender.clone()));
    let mut left_out = Vec::new();
    for file in files {
        match append(&mut archive, file, owner) {
            Ok(true) => {}
            Ok(false) => left_out.push(file.from.clone()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            Err(error) => {
                let error = io::Error::new(error.kind(), format!("can't read {}: {error}", file.from.display()));
                // Lets the request break off instead of ending it as if that were all.
                let _ = sender.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
                return Err(error);
            }
        }
    }
    archive.into_inner()?.flush()?;
    Ok(left_out)
}

/// Adds a file to an archive; false if it is not really inside the folder. Sockets and devices can't be sent.
fn append(archive: &mut tar::Builder<byte_channel::Writer>, file: &Upload, owner: Owner) -> io::Result<bool> {
    let mut found = std::fs::symlink_metadata(&file.from)?;
    let mut content = None;
    if found.is_file() {
        let Some(opened) = byte_channel::open_within(&file.within, &file.from)? else { return Ok(false) };
        found = opened.metadata()?;
        content = Some(opened);
    }
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&found);
    if let Owner::Is(user, group) = owner {
        header.set_uid(user);
        header.set_gid(group);
    }
    let to = file.to.trim_start_matches('/');
    match content {
        Some(mut content) => {
            // It may grow or shrink meanwhile; the archive must not.
            let mut exactly = Exactly { from: &mut content, left: found.len() };
            archive.append_data(&mut header, to, &mut exactly)?;
        }
        None if found.is_symlink() => {
            header.set_size(0);
            archive.append_link(&mut header, to, std::fs::read_link(&file.from)?)?;
        }
        None if found.is_dir() || is_pipe(&found) => {
            header.set_size(0);
            archive.append_data(&mut header, to, io::empty())?;
        }
        None => {}
    }
    Ok(true)
}

#[cfg(unix)]
fn is_pipe(found: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &std::fs::Metadata) -> bool {
    false
}

/// So many bytes of a file, filled up with zeros when it ends before.
struct Exactly<'a> {
    from: &'a mut std::fs::File,
    left: u64,
}

impl io::Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut count = self.from.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            buffer[..room].fill(0);
            count = room;
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_are_taken_from_a_user() {
        assert_eq!(
            [numbers("1000"), numbers("1000:50"), numbers("app"), numbers("")],
            [(1000, 1000), (1000, 50), (0, 0), (0, 0)]
        );
    }

    #[test]
    fn a_file_that_shrinks_keeps_its_size_in_the_archive() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let mut text = Vec::new();
        let mut from = std::fs::File::open(file.path()).unwrap();
        io::Read::read_to_end(&mut Exactly { from: &mut from, left: 5 }, &mut text).unwrap();
        assert_eq!(text, b"abc\0\0");
    }
}

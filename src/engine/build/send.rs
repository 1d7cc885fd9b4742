//! A build context as a tar archive, created while it is sent: memory does not grow with it.

use std::fs::File;
use std::io::{self, Read, Write as _};

use bytes::Bytes;
use futures_util::Stream;

use super::Trouble;
use crate::byte_channel;
use crate::context::{Context, Entry, What};
use crate::diag::{Error, ErrorKind};

/// How many pieces may wait.
const PIECES: usize = 8;

/// The archive. An error ends it, and is stored in `trouble`.
pub(super) fn archive(context: Context, trouble: Trouble) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (sender, archive) = byte_channel::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        if let Err((entry, error)) = pack(&context, byte_channel::Writer::new(sender.clone())) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                let path = entry.map_or_else(String::new, |entry| format!(" {}", entry.source.display()));
                let message = format!("can't send{path} to the builder: {error}");
                trouble.note(
                    Error::new(ErrorKind::Image, message).hint("run the command again once the file no longer changes"),
                );
            }
            let _ = sender.blocking_send(Err(error));
        }
    });
    archive
}

fn pack(context: &Context, pieces: byte_channel::Writer) -> Result<(), (Option<&Entry>, io::Error)> {
    let mut archive = tar::Builder::new(pieces);
    for entry in &context.entries {
        append(&mut archive, entry, context).map_err(|error| (Some(entry), error))?;
    }
    hide_dockerfile(&mut archive, context).map_err(|error| (None, error))?;
    archive.into_inner().and_then(|mut pieces| pieces.flush()).map_err(|error| (None, error))
}

/// The classic builder takes out what the archive's own .dockerignore names, that included. Where it is not among the files,
/// or does not know of a Dockerfile from outside, adding one of our own surprises no user.
fn hide_dockerfile(archive: &mut tar::Builder<byte_channel::Writer>, context: &Context) -> io::Result<()> {
    const PATTERNS: &str = ".dockerignore";
    if !context.hides_dockerfile || context.entries.iter().any(|entry| entry.path == PATTERNS) {
        return Ok(());
    }
    let text = format!("/{}\n{PATTERNS}\n", context.dockerfile);
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, PATTERNS, text.as_bytes())
}

/// Nothing in a header depends on who sends: no names, no owners.
fn append(archive: &mut tar::Builder<byte_channel::Writer>, entry: &Entry, context: &Context) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_mtime(entry.modified);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    match &entry.what {
        What::Folder => {
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, format!("{}/", entry.path), io::empty())
        }
        What::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, &entry.path, target)
        }
        What::Text(text) => {
            header.set_size(text.len() as u64);
            archive.append_data(&mut header, &entry.path, text.as_bytes())
        }
        What::File(_) => {
            // It may have become a link, to something that must not be in the image.
            let file = byte_channel::open_within(context.folder_of(entry), &entry.source)?;
            let file = file.ok_or_else(|| io::Error::other("it was replaced by a link meanwhile"))?;
            // It may have grown since it was listed.
            let size = file.metadata()?.len();
            header.set_size(size);
            archive.append_data(&mut header, &entry.path, Exactly { file, left: size })
        }
    }
}

/// A file of a size that was promised.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::Error::other("it became shorter meanwhile"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::TryStreamExt;

    use super::*;
    use crate::model::Build;

    fn context(root: &std::path::Path) -> Context {
        let (args, secrets) = (indexmap::IndexMap::new(), indexmap::IndexMap::new());
        let build = Build {
            context: root.into(),
            dockerfile: "Dockerfile".into(),
            inline: None,
            contexts: Default::default(),
            target: None,
            args,
            cache_from: Vec::new(),
            secrets,
            options: Default::default(),
        };
        Context::list(&build).unwrap()
    }

    async fn packed(context: Context) -> Vec<u8> {
        archive(context, Trouble::default()).try_collect::<Vec<_>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn an_archive_has_everything_and_nothing_of_the_sender() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
        let long = "long/".repeat(40);
        fs::create_dir_all(folder.path().join(&long)).unwrap();
        fs::write(folder.path().join(&long).join("big"), vec![b'x'; 3 * byte_channel::PIECE + 1]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("Dockerfile", folder.path().join("link")).unwrap();
        let bytes = packed(context(folder.path())).await;
        assert_eq!(bytes, packed(context(folder.path())).await, "the same each time");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
            seen.push((entry.path().unwrap().display().to_string(), entry.size()));
        }
        assert!(seen.contains(&("Dockerfile".into(), 12)), "{seen:?}");
        assert!(seen.contains(&(format!("{long}big"), 3 * byte_channel::PIECE as u64 + 1)), "{seen:?}");
        assert_eq!(seen.len(), 42 + usize::from(cfg!(unix)), "{seen:?}");
    }

    #[tokio::test]
    async fn a_file_that_goes_away_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Dockerfile"), "FROM scratch").unwrap();
        let listed = context(folder.path());
        fs::remove_file(folder.path().join("Dockerfile")).unwrap();
        let trouble = Trouble::default();
        let sent = archive(listed, trouble.clone()).try_collect::<Vec<_>>().await;
        assert!(sent.is_err());
        let error = trouble.take().expect("noted");
        assert!(error.to_string().contains("Dockerfile to the builder: No such file"), "{error}");
    }
}

//! A channel of bytes from a producer to a consumer that sends them: it has room for a few chunks, and its other end is
//! a stream. Memory does not grow with the amount. Also opens a file only if it really is inside a folder.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::mpsc::{self, Sender};

/// How much of what is written goes on at once.
pub(crate) const PIECE: usize = 64 * 1024;

/// A channel in which this number of pieces may wait. It ends when the sender is dropped; an error that is sent breaks it
/// off instead.
pub(crate) fn channel(
    room: usize,
) -> (Sender<io::Result<Bytes>>, impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static) {
    let (sender, mut receiver) = mpsc::channel(room);
    (sender, stream::poll_fn(move |cx| receiver.poll_recv(cx)))
}

/// Gathers what is written, and sends it on in pieces; waits while too many are on their way, so not for async code. When
/// the receiver is dropped, that is a broken pipe.
pub(crate) struct Writer {
    sender: Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(sender: Sender<io::Result<Bytes>>) -> Self {
        Self { sender, buffer: Vec::with_capacity(PIECE) }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Opens a file for reading that is in a folder. None when what was opened is elsewhere, or is no file: a link took
/// its place, or that of a folder above it, after it was looked at. What is opened is what is checked. `folder` is a path
/// without links in it.
///
/// # Errors
/// When it can't be opened.
pub(crate) fn open_within(folder: &Path, path: &Path) -> io::Result<Option<File>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    let opened = file.metadata()?;
    let real = path.canonicalize()?;
    let lies_there = real.starts_with(folder) && is_same(&opened, &fs::metadata(&real)?);
    Ok((opened.is_file() && lies_there).then_some(file))
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.len() == other.len() && one.modified().ok() == other.modified().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_behind_a_link_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let at = |path: &str| top.join(path);
        fs::create_dir_all(at("in/sub")).unwrap();
        fs::create_dir_all(at("out")).unwrap();
        fs::write(at("in/sub/a"), "inside").unwrap();
        fs::write(at("out/a"), "outside").unwrap();
        symlink(at("out/a"), at("in/link")).unwrap();
        symlink("link", at("in/chain")).unwrap();
        symlink(at("out"), at("in/folder")).unwrap();
        let opens = |path: &str| open_within(&at("in"), &at(path)).unwrap().is_some();
        assert!(opens("in/sub/a"));
        for path in ["in/link", "in/chain", "in/folder/a", "in/../out/a", "out/a"] {
            assert!(!opens(path), "{path}");
        }
        // The file may be reached over a link to the folder.
        symlink(at("in"), at("alias")).unwrap();
        assert!(opens("alias/sub/a"));
    }
}

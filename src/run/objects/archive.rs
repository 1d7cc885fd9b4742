//! Objects as a tar archive and back: one file per version, numbered in order; each contains the version's metadata as
//! JSON, preceded by its length, and then its content. The last file records how many there are.
//!
//! The archive is written and read as a stream. The engine unpacks it into a volume and packs it again, sorted by name.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;

use crate::aws::objects::{Bucket, Entry, Object};

/// Name of the last file.
pub(super) const SUMMARY: &str = "summary";

/// Length of everything in an archive is a multiple of it.
const BLOCK: usize = 512;

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// Version of the form.
    pub(super) v: u32,
    /// When, seconds since 1970.
    pub(super) saved: i64,
    /// The buckets.
    pub(super) buckets: Vec<Bucket>,
    /// Versions, delete markers among them.
    pub(super) versions: u64,
    /// Their content, in bytes.
    pub(super) bytes: u64,
}

/// Writes the archive of one folder into a channel.
pub(super) struct Writer {
    folder: String,
    sender: Sender<io::Result<Bytes>>,
    versions: u64,
    bytes: u64,
}

impl Writer {
    /// Begins with the folder itself.
    pub(super) async fn new(folder: &str, sender: Sender<io::Result<Bytes>>) -> io::Result<Self> {
        let writer = Self { folder: folder.into(), sender, versions: 0, bytes: 0 };
        writer.header("", 0).await?;
        Ok(writer)
    }

    /// Adds a version.
    pub(super) async fn add(&mut self, object: Object) -> io::Result<()> {
        let Object { entry, mut content } = object;
        let about = framed(&entry)?;
        let mut left = entry.size;
        self.header(&format!("{:012}", self.versions), about.len() as u64 + left).await?;
        let padding = padding(about.len() as u64 + left);
        self.send(about).await?;
        while let Some(bytes) = content.chunk().await.map_err(|refused| io::Error::other(refused.to_string()))? {
            left = left.checked_sub(bytes.len() as u64).ok_or_else(|| of_other_length(&entry))?;
            self.send(bytes).await?;
        }
        if left > 0 {
            return Err(of_other_length(&entry));
        }
        self.send(Bytes::from(vec![0; padding])).await?;
        self.versions += 1;
        self.bytes += entry.size;
        Ok(())
    }

    /// Adds a small file.
    pub(super) async fn file(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.header(name, content.len() as u64).await?;
        self.send(Bytes::copy_from_slice(content)).await?;
        self.send(Bytes::from(vec![0; padding(content.len() as u64)])).await
    }

    /// Ends it, and says what is in it.
    pub(super) async fn end(self, buckets: Vec<Bucket>, now: i64) -> io::Result<Summary> {
        let summary = Summary { v: 1, saved: now, buckets, versions: self.versions, bytes: self.bytes };
        self.file(SUMMARY, &serde_json::to_vec(&summary)?).await?;
        self.send(Bytes::from(vec![0; 2 * BLOCK])).await?;
        Ok(summary)
    }

    async fn header(&self, name: &str, size: u64) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(format!("{}/{name}", self.folder))?;
        header.set_entry_type(if name.is_empty() { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(if name.is_empty() { 0o755 } else { 0o644 });
        header.set_size(size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        self.send(Bytes::copy_from_slice(header.as_bytes())).await
    }

    async fn send(&self, bytes: Bytes) -> io::Result<()> {
        self.sender.send(Ok(bytes)).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn of_other_length(entry: &Entry) -> io::Error {
    io::Error::other(format!("{}/{} has another length than S3 announced", entry.bucket, entry.key))
}

/// What a version is, behind the length of that.
fn framed(entry: &Entry) -> io::Result<Bytes> {
    let about = serde_json::to_vec(entry)?;
    let length = u32::try_from(about.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes()[..], &about].concat().into())
}

/// What fills a file up to whole blocks.
fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK as u64) - size).unwrap_or_default()
}

/// Reads the archive that the engine makes of the folder.
pub(super) struct Reader<S> {
    stream: S,
    buffer: BytesMut,
    /// What is left of the content of the present version, and what follows it.
    left: u64,
    padding: usize,
    versions: u64,
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), left: 0, padding: 0, versions: 0 }
    }

    /// What the next version is; none after the last one. What was not read of the content before is skipped.
    pub(super) async fn next(&mut self) -> io::Result<Option<Entry>> {
        while self.chunk().await?.is_some() {}
        loop {
            self.take(self.padding).await?;
            self.padding = 0;
            let header = tar::Header::from_byte_slice(&self.take(BLOCK).await?).clone();
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let (size, path) = (header.entry_size()?, header.path()?.to_path_buf());
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_version = header.entry_type().is_file() && name.parse() == Ok(self.versions);
            if !is_version {
                if header.entry_type().is_file() && name.parse::<u64>().is_ok() {
                    return Err(io::Error::other(format!("version {} of what was saved is missing", self.versions)));
                }
                self.left = size;
                self.padding = padding(size);
                while self.chunk().await?.is_some() {}
                continue;
            }
            self.versions += 1;
            let length = self.take(4).await?;
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            let entry: Entry = serde_json::from_slice(&self.take(length as usize).await?)?;
            let ahead = 4 + u64::from(length);
            (self.left, self.padding) = (size.saturating_sub(ahead), padding(size));
            if self.left != entry.size {
                return Err(of_other_length(&entry));
            }
            return Ok(Some(entry));
        }
    }

    /// The next piece of the content of the version that [`Self::next`] told of.
    pub(super) async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.buffer.is_empty() {
            self.more().await?;
        }
        let count = self.buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= count as u64;
        Ok(Some(self.buffer.split_to(count).freeze()))
    }

    async fn take(&mut self, count: usize) -> io::Result<Bytes> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    async fn more(&mut self) -> io::Result<()> {
        let bytes = self.stream.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
        self.buffer.extend_from_slice(&bytes);
        Ok(())
    }
}

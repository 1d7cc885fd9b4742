//! The content of the buckets of an S3 emulator: every version with its headers and tags, as one stream of records,
//! split into members: ten thousand small objects need few members, and a large object is never in memory completely.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Progress;
use super::archive::{PART, Reader, Writer};
use crate::aws::objects::{self, AT_ONCE, Bucket, Entry, Lister, Putter, SMALL, Source};
use crate::aws::{AwsError, Client};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::hex;

/// No entry is longer; S3 bounds keys, headers and tags far below.
pub(super) const LONGEST_ENTRY: usize = 1 << 20;

/// What is saved of an emulator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Its buckets.
    pub buckets: Vec<Bucket>,
    /// How many versions of objects, delete markers among them.
    pub versions: u64,
    /// How long their contents are together.
    pub bytes: u64,
    /// How many members they are in.
    pub parts: usize,
}

/// Where an emulator is.
#[derive(Debug)]
pub struct Server {
    /// Its service.
    pub service: String,
    /// How it is asked.
    pub client: Client,
}

/// What versions of a key are compared by, the oldest first, by bucket and key.
type Digests = BTreeMap<(String, String), Vec<String>>;

impl Server {
    fn refused(&self, refused: &AwsError) -> Error {
        Error::new(ErrorKind::Other, format_args!("{}: {refused}", self.service))
    }

    async fn buckets(&self) -> Result<Vec<Bucket>> {
        if !objects::in_use(&self.client).await.map_err(|refused| self.refused(&refused))? {
            return Ok(Vec::new());
        }
        objects::buckets(&self.client).await.map_err(|refused| self.refused(&refused))
    }

    /// Buckets that get objects back and have some.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn used(&self, saved: &Saved) -> Result<Vec<String>> {
        let mut used = Vec::new();
        for bucket in self.buckets().await? {
            let wanted = saved.buckets.iter().any(|wanted| wanted.name == bucket.name);
            let mut lister = Lister::new(&self.client, &bucket.name);
            if wanted && lister.next().await.map_err(|refused| self.refused(&refused))?.is_some() {
                used.push(bucket.name);
            }
        }
        Ok(used)
    }

    /// Removes every version of everything in these buckets.
    async fn empty(&self, buckets: &[String]) -> Result<()> {
        for bucket in buckets {
            let mut lister = Lister::new(&self.client, bucket);
            let mut doomed = Vec::new();
            while let Some(versions) = lister.next().await.map_err(|refused| self.refused(&refused))? {
                doomed.extend(versions.into_iter().map(|version| (version.key, version.id)));
            }
            for some in doomed.chunks(AT_ONCE) {
                let remove = some.iter().map(async |(key, id)| {
                    let path = format!("/{bucket}/{key}");
                    self.client.s3(Method::DELETE, &path, &[("versionId", id)], Vec::new()).await
                });
                try_join_all(remove).await.map_err(|refused| self.refused(&refused))?;
            }
        }
        Ok(())
    }

    /// What is there, digested.
    async fn digests(&self, buckets: &[Bucket], progress: &mut Progress) -> Result<Digests> {
        let mut found = Digests::new();
        let mut all = std::pin::pin!(objects::objects(&self.client, buckets));
        while let Some(object) = all.next().await {
            let mut object = object.map_err(|refused| self.refused(&refused))?;
            let mut digest = Sha256::new();
            while let Some(piece) = object.content.chunk().await.map_err(|refused| self.refused(&refused))? {
                digest.update(&piece);
                progress.add(piece.len());
            }
            note(&mut found, &object.entry, &digest.finalize());
        }
        Ok(found)
    }
}

/// What is compared of a version: all but its `ETag`, which is another for what was uploaded in parts.
fn note(digests: &mut Digests, entry: &Entry, content: &[u8]) {
    let compared = (entry.deleted, entry.size, &entry.headers, &entry.tags, hex(content));
    let text = serde_json::to_string(&compared).unwrap_or_default();
    let at = (entry.bucket.clone(), entry.key.clone());
    digests.entry(at).or_default().push(hex(&Sha256::digest(text)[..12]));
}

/// Cuts what is written into members.
struct Parts<'a, W> {
    to: &'a mut Writer<W>,
    progress: &'a mut Progress,
    folder: String,
    part: Vec<u8>,
    parts: usize,
}

impl<W: Write> Parts<'_, W> {
    fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PART - self.part.len()));
            self.part.extend_from_slice(now);
            bytes = later;
            if self.part.len() == PART {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.part.is_empty() {
            self.to.member(&format!("{}/{:06}", self.folder, self.parts), &self.part)?;
            self.progress.add(self.part.len());
            self.part.clear();
            self.parts += 1;
        }
        Ok(())
    }
}

/// Saves every version of every object.
///
/// # Errors
/// When the emulator can't be asked, or the file can't be written.
pub async fn save(server: &Server, to: &mut Writer<impl Write>, progress: &mut Progress) -> Result<Saved> {
    progress.begin(format!("saving the buckets of {}", server.service));
    let buckets = server.buckets().await?;
    let (mut versions, mut bytes) = (0, 0);
    let folder = format!("s3/{}", server.service);
    let mut parts = Parts { to, progress, folder, part: Vec::with_capacity(PART), parts: 0 };
    {
        let mut all = std::pin::pin!(objects::objects(&server.client, &buckets));
        while let Some(object) = all.next().await {
            let mut object = object.map_err(|refused| server.refused(&refused))?;
            let entry = serde_json::to_vec(&object.entry).map_err(io::Error::from)?;
            parts.add(&u32::try_from(entry.len()).map_err(io::Error::other)?.to_le_bytes())?;
            parts.add(&entry)?;
            let mut left = object.entry.size;
            while let Some(piece) = object.content.chunk().await.map_err(|refused| server.refused(&refused))? {
                left = left.checked_sub(piece.len() as u64).ok_or_else(|| changed(&object.entry))?;
                parts.add(&piece)?;
            }
            if left > 0 {
                return Err(changed(&object.entry));
            }
            (versions, bytes) = (versions + 1, bytes + object.entry.size);
        }
    }
    parts.flush()?;
    Ok(Saved { versions, bytes, parts: parts.parts, buckets })
}

fn changed(entry: &Entry) -> Error {
    let message = format!("{}/{} has another length than announced", entry.bucket, entry.key);
    Error::new(ErrorKind::Other, message).hint("was it written meanwhile? try again")
}

/// Reads what was cut into members as one again.
struct Joined<'a, R> {
    from: &'a mut Reader<R>,
    progress: &'a mut Progress,
    left: usize,
    part: Bytes,
}

impl<R: Read> Joined<'_, R> {
    /// Up to so many bytes; none at the end.
    fn some(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        while self.part.is_empty() {
            if self.left == 0 {
                return Ok(None);
            }
            self.left -= 1;
            let (_, part) = self.from.member()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.progress.add(part.len());
            self.part = part.into();
        }
        Ok(Some(self.part.split_to(most.min(self.part.len()))))
    }

    /// Exactly so many.
    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            bytes.extend(self.some(length - bytes.len())?.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        Ok(bytes)
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        let Some(first) = self.some(4)? else { return Ok(None) };
        let mut length = first.to_vec();
        length.extend(self.exactly(4 - first.len())?);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        if length > LONGEST_ENTRY {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some(serde_json::from_slice(&self.exactly(length)?)?))
    }
}

/// The versions that were saved; digests each as it is read.
struct Versions<'a, R> {
    joined: Joined<'a, R>,
    /// The one whose content is read, what is left of that, and what was read of it.
    now: Option<Entry>,
    left: u64,
    digest: Sha256,
    /// Of all before.
    digests: Digests,
}

impl<R: Read> Source for Versions<'_, R> {
    async fn next(&mut self) -> io::Result<Option<Entry>> {
        while self.chunk().await?.is_some() {}
        if let Some(entry) = self.now.take() {
            note(&mut self.digests, &entry, &std::mem::take(&mut self.digest).finalize());
        }
        self.now = self.joined.entry()?;
        self.left = self.now.as_ref().map_or(0, |entry| entry.size);
        Ok(self.now.clone())
    }

    async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(self.left.min(SMALL)).unwrap_or(0);
        let piece = self.joined.some(most)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.left -= piece.len() as u64;
        self.digest.update(&piece);
        Ok(Some(piece))
    }
}

/// Puts all objects back, and compares each version with what was saved. Returns what differs. `replace`: buckets that
/// have objects are emptied first.
///
/// # Errors
/// When the emulator can't be asked, or does not take an object.
pub async fn restore(
    server: &Server,
    saved: &Saved,
    replace: bool,
    from: &mut Reader<impl Read>,
    progress: &mut Progress,
) -> Result<Vec<String>> {
    progress.begin(format!("restoring the buckets of {}", server.service));
    if saved.buckets.is_empty() {
        return Ok(Vec::new());
    }
    if replace {
        server.empty(&server.used(saved).await?).await?;
    }
    let expected = put_all(server, saved, from, progress).await?;
    progress.begin(format!("checking the buckets of {}", server.service));
    let found = server.digests(&saved.buckets, progress).await?;
    Ok(compare(&expected, &found))
}

async fn put_all(
    server: &Server,
    saved: &Saved,
    from: &mut Reader<impl Read>,
    progress: &mut Progress,
) -> Result<Digests> {
    let refused = |refused: AwsError| server.refused(&refused);
    let putter = Putter::open(&server.client, &saved.buckets).await.map_err(refused)?;
    let joined = Joined { from, progress, left: saved.parts, part: Bytes::new() };
    let mut versions = Versions { joined, now: None, left: 0, digest: Sha256::new(), digests: Digests::new() };
    putter.put_all(&mut versions, refused).await?;
    putter.close().await.map_err(refused)?;
    Ok(versions.digests)
}

/// What is not as it was saved.
fn compare(expected: &Digests, found: &Digests) -> Vec<String> {
    let mut differences = Vec::new();
    for ((bucket, key), versions) in expected {
        let here = found.get(&(bucket.clone(), key.clone()));
        match here {
            None => differences.push(format!("s3://{bucket}/{key} is missing")),
            Some(here) if here.len() != versions.len() => {
                differences.push(format!(
                    "s3://{bucket}/{key} has {} versions instead of {}",
                    here.len(),
                    versions.len()
                ));
            }
            Some(here) if here != versions => differences.push(format!("s3://{bucket}/{key} differs")),
            Some(_) => {}
        }
    }
    let more = found.keys().filter(|at| !expected.contains_key(*at));
    differences.extend(more.map(|(bucket, key)| format!("s3://{bucket}/{key} was not saved, but exists")));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named() {
        let all = |pairs: &[(&str, &[&str])]| -> Digests {
            let one = |(key, versions): &(&str, &[&str])| {
                (("b".into(), (*key).into()), versions.iter().map(|version| (*version).into()).collect())
            };
            pairs.iter().map(one).collect()
        };
        let expected = all(&[("a", &["1"]), ("b", &["1", "2"]), ("c", &["1"]), ("d", &["1"])]);
        let found = all(&[("a", &["1"]), ("b", &["2"]), ("c", &["3"]), ("e", &["1"])]);
        let said = compare(&expected, &found).join("; ");
        assert_eq!(
            said,
            "s3://b/b has 1 versions instead of 2; s3://b/c differs; s3://b/d is missing; s3://b/e was not saved, but exists"
        );
    }
}

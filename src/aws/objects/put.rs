//! Uploads versions back into buckets, one by one, on top of existing objects.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::{Body, Method};

use super::get::versioning;
use super::list::{Lister, Version};
use super::{Bucket, Entry, Versioning, buckets};
use crate::aws::answer::{Answer, AwsError};
use crate::aws::client::Client;
use crate::aws::sigv4;

/// Puts versions of objects into an endpoint.
///
/// What is there is not lost: when a key's versions are the beginning of those that are put, only the rest is put, so
/// doing it twice, or again after it was cut off, gives the same. Where they differ (a seed file that was edited, something put
/// meanwhile), what was there comes to lie on top of what is put; in a bucket without versions it stays, and nothing is put.
///
/// Versions of one key have to be put one after the other; those of different keys may be put at the same time.
#[derive(Debug)]
pub struct Putter<'a> {
    client: &'a Client,
    /// What each bucket is set to at the end, where that is something else.
    after: BTreeMap<String, Versioning>,
    /// What each key of each bucket had, as far as it was not come upon again.
    there: RefCell<HashMap<(String, String), There>>,
    keeps: BTreeMap<String, bool>,
}

#[derive(Debug, Default)]
struct There {
    versions: VecDeque<Version>,
    /// They are not what is put.
    differs: bool,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It was put.
    Done,
    /// It existed already.
    There,
    /// The bucket keeps no versions and has something else, which stays.
    Left,
}

impl<'a> Putter<'a> {
    /// Makes the buckets that are missing, and looks at what is in the others. Versions are on while objects are put
    /// wherever there are several.
    ///
    /// # Errors
    /// What the endpoint answered.
    pub async fn open(client: &'a Client, wanted: &[Bucket]) -> Answer<Self> {
        let present = buckets(client).await?;
        let mut putter = Self { client, after: BTreeMap::new(), there: RefCell::default(), keeps: BTreeMap::new() };
        for bucket in wanted {
            let now = match present.iter().find(|present| present.name == bucket.name) {
                Some(present) => present.versioning,
                None => {
                    putter.create(&bucket.name).await?;
                    bucket.versioning
                }
            };
            let keeps = bucket.versioning != Versioning::Off || now != Versioning::Off;
            putter.keeps.insert(bucket.name.clone(), keeps);
            if keeps && versioning(client, &bucket.name).await? != Versioning::On {
                putter.set(&bucket.name, Versioning::On).await?;
            }
            if keeps && now != Versioning::On {
                putter.after.insert(bucket.name.clone(), Versioning::Suspended);
            }
            let mut lister = Lister::new(client, &bucket.name);
            while let Some(versions) = lister.next().await? {
                let Some(first) = versions.first() else { continue };
                let at = (bucket.name.clone(), first.key.clone());
                putter.there.get_mut().insert(at, There { versions: versions.into(), differs: false });
            }
        }
        Ok(putter)
    }

    async fn create(&self, bucket: &str) -> Answer<()> {
        let body = match self.client.region() {
            // S3 knows it only as the default that must not be named.
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        self.client.s3(Method::PUT, &format!("/{bucket}"), &[], body.into_bytes()).await.map(drop)
    }

    async fn set(&self, bucket: &str, versioning: Versioning) -> Answer<()> {
        let status = if versioning == Versioning::On { "Enabled" } else { "Suspended" };
        let xml = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        self.client.s3(Method::PUT, &format!("/{bucket}"), &[("versioning", "")], xml.into_bytes()).await.map(drop)
    }

    /// Whether a version would be put, or exists already. To be called once for each, in order.
    fn decide(&self, entry: &Entry) -> Put {
        let mut there = self.there.borrow_mut();
        let Some(there) = there.get_mut(&(entry.bucket.clone(), entry.key.clone())) else { return Put::Done };
        match there.versions.front() {
            Some(version) if !there.differs && is_same(version, entry) => {
                there.versions.pop_front();
                Put::There
            }
            None => Put::Done,
            Some(_) => {
                there.differs = true;
                if self.keeps.get(&entry.bucket) == Some(&true) { Put::Done } else { Put::Left }
            }
        }
    }

    /// Puts one version. `content` has [`Entry::size`] bytes; it is not read when nothing is put.
    pub(super) async fn put(
        &self,
        entry: &Entry,
        content: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Answer<Put> {
        let decided = self.decide(entry);
        if decided != Put::Done {
            return Ok(decided);
        }
        let path = format!("/{}/{}", entry.bucket, entry.key);
        if entry.deleted {
            self.client.s3(Method::DELETE, &path, &[], Vec::new()).await?;
            return Ok(Put::Done);
        }
        let mut headers: Vec<(&str, &str)> =
            entry.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.extend((!entry.tags.is_empty()).then_some(("x-amz-tagging", entry.tags.as_str())));
        let body = match entry.size {
            0 => Body::from(Bytes::new()),
            _ => Body::wrap_stream(content),
        };
        self.client.s3_stream(Method::PUT, &path, &[], &headers, Some((body, entry.size))).await?;
        Ok(Put::Done)
    }

    /// Ends it: what was there and differs comes on top, and buckets that do not keep versions stop keeping them.
    ///
    /// # Errors
    /// What the endpoint answered.
    pub async fn close(self) -> Answer<()> {
        let there = self.there.take();
        for ((bucket, key), there) in there.into_iter().filter(|(_, there)| there.differs) {
            let Some(last) = there.versions.back().filter(|_| self.keeps.get(&bucket) == Some(&true)) else { continue };
            self.bring_up(&bucket, &key, last).await?;
        }
        for (bucket, versioning) in &self.after {
            self.set(bucket, *versioning).await?;
        }
        Ok(())
    }

    /// Makes an old version the newest.
    async fn bring_up(&self, bucket: &str, key: &str, version: &Version) -> Answer<()> {
        let path = format!("/{bucket}/{key}");
        if version.deleted {
            return self.client.s3(Method::DELETE, &path, &[], Vec::new()).await.map(drop);
        }
        let source = format!("{}?versionId={}", sigv4::encode_path(&path), version.id);
        let headers = [("x-amz-copy-source", source.as_str())];
        let answer: Answer<String> = self.client.s3_with(Method::PUT, &path, &[], &headers, Vec::new()).await;
        match answer {
            // A copy may fail after it was answered with 200.
            Ok(xml) if xml.contains("<Error>") => {
                Err(AwsError { status: 200, code: String::new(), message: format!("{key} could not be copied") })
            }
            answer => answer.map(drop),
        }
    }
}

/// Whether an existing version is one that is to be put. The `ETag` of what was uploaded in parts is not that of the
/// same in one piece: there the size has to do.
fn is_same(version: &Version, entry: &Entry) -> bool {
    let plain = |etag: &str| etag.trim_matches('"').to_owned();
    let (a, b) = (plain(&version.etag), plain(&entry.etag));
    let of_parts = a.contains('-') || b.contains('-');
    version.deleted == entry.deleted && (version.deleted || (version.size == entry.size && (of_parts || a == b)))
}

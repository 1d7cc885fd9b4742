//! Reads and writes the content of the buckets of an S3 endpoint: every version in its order, delete markers, content,
//! headers and tags. Where it is stored meanwhile, and in which format, is up to the caller.
//!
//! Reading: [`buckets`], then [`objects`], a stream of one [`Object`] per version. Writing: [`Putter::open`] creates
//! missing buckets, `Putter::put_all` takes the versions in the order in which they were read, [`Putter::close`]
//! finishes. Content is never held in memory completely unless it is small ([`SMALL`]).
//!
//! Values that S3 chooses itself can't be set: version IDs and times of objects are new, and the `ETag` of a multipart
//! upload is that of a single part. ACLs, locks and encryption keys are not copied.

mod feed;
mod get;
mod list;
mod put;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, no_answer};
use super::client::Client;
use crate::model::aws::Api;

pub(crate) use feed::Source;
pub use get::{buckets, is_given_again, objects};
pub use list::{Lister, Version};
use put::Put;
pub use put::Putter;

/// Objects up to this size, in bytes, are read as a whole, several at once.
pub const SMALL: u64 = 256 * 1024;

/// How many small objects are under way at once.
pub const AT_ONCE: usize = 8;

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Whether it keeps old versions.
    pub versioning: Versioning,
}

/// Whether a bucket keeps old versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Versioning {
    /// It never did.
    Off,
    /// It does.
    On,
    /// It did, and has those still.
    Suspended,
}

/// Everything about a version of an object but its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name of the bucket.
    pub bucket: String,
    /// Key of the object.
    pub key: String,
    /// A delete marker: no content, no headers.
    pub deleted: bool,
    /// Length of the content in bytes.
    pub size: u64,
    /// As S3 gave it, with its quotation marks; empty for a delete marker.
    pub etag: String,
    /// Headers to be given again: content type, cache control, user metadata, checksums, …; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Tags, in the form of `x-amz-tagging`; empty without any.
    pub tags: String,
}

/// A version of an object on its way.
#[derive(Debug)]
pub struct Object {
    /// What it is.
    pub entry: Entry,
    /// What is in it: [`Entry::size`] bytes.
    pub content: Content,
}

/// The content of an object: all of it, or what is still to come.
#[derive(Debug)]
pub struct Content(Inner);

#[derive(Debug)]
enum Inner {
    Whole(Option<Bytes>),
    Coming(reqwest::Response),
}

impl Content {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the endpoint breaks off.
    pub async fn chunk(&mut self) -> Answer<Option<Bytes>> {
        match &mut self.0 {
            Inner::Whole(bytes) => Ok(bytes.take().filter(|bytes| !bytes.is_empty())),
            Inner::Coming(response) => response.chunk().await.map_err(|error| no_answer(&error)),
        }
    }
}

/// Whether S3 was used at all since an emulator started: asking one for the first time takes seconds.
///
/// # Errors
/// When it does not answer.
pub async fn in_use(client: &Client) -> Answer<bool> {
    Ok(super::reconcile::in_use(client).await?.contains(&Api::S3))
}

//! Uploads everything from a source into buckets, with as many requests at once as possible.

use std::io;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{TryStreamExt as _, stream};

use super::{AT_ONCE, Entry, Put, Putter, SMALL};
use crate::aws::answer::{Answer, AwsError};
use crate::byte_channel;
use crate::diag::{Error, Result};

/// How many pieces of a large content wait for those who take them.
const PIECES: usize = 4;

/// Where versions that are put come from, in the order in which they came out.
pub(crate) trait Source {
    /// What the next version is; none after the last one. What was not read of the content before is skipped.
    async fn next(&mut self) -> io::Result<Option<Entry>>;

    /// The next piece of the content of the version that [`Self::next`] told of; none at its end.
    async fn chunk(&mut self) -> io::Result<Option<Bytes>>;
}

impl Putter<'_> {
    /// Puts every version of a source. Returns how many were not there. `refused` says whose answer it was.
    pub(crate) async fn put_all(&self, source: &mut impl Source, refused: impl Fn(AwsError) -> Error) -> Result<u64> {
        let mut under_way = FuturesUnordered::new();
        let (mut count, mut last) = (0, None);
        while let Some(entry) = source.next().await? {
            let key = Some((entry.bucket.clone(), entry.key.clone()));
            // The versions of a key one after the other; a large one alone, because others would not be read meanwhile.
            let is_large = entry.size > SMALL;
            let room = if key == last || is_large { 0 } else { AT_ONCE - 1 };
            while under_way.len() > room {
                count += u64::from(under_way.try_next().await.map_err(&refused)? == Some(Put::Done));
            }
            last = key;
            if is_large {
                let done = self.put_large(&entry, source).await?.map_err(&refused)?;
                count += u64::from(done == Put::Done);
                continue;
            }
            let mut content = Vec::new();
            while let Some(bytes) = source.chunk().await? {
                content.push(Ok(bytes));
            }
            under_way.push(async move { self.put(&entry, stream::iter(content)).await });
        }
        while let Some(done) = under_way.try_next().await.map_err(&refused)? {
            count += u64::from(done == Put::Done);
        }
        Ok(count)
    }

    /// Puts one while it is read.
    async fn put_large(&self, entry: &Entry, source: &mut impl Source) -> io::Result<Answer<Put>> {
        let (sender, content) = byte_channel::channel(PIECES);
        let reading = async {
            while let Some(bytes) = source.chunk().await? {
                // What exists already is not taken.
                if sender.send(Ok(bytes)).await.is_err() {
                    break;
                }
            }
            drop(sender);
            io::Result::Ok(())
        };
        let (read, done) = tokio::join!(reading, self.put(entry, content));
        read.map(|()| done)
    }
}

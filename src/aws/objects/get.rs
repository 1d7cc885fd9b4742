//! Reads everything from the buckets, as a stream.

use std::collections::BTreeMap;

use futures_util::{Stream, TryStreamExt as _, stream};
use reqwest::Method;
use reqwest::header::HeaderMap;

use super::list::{Lister, Version};
use super::{AT_ONCE, Bucket, Content, Entry, Inner, Object, SMALL, Versioning};
use crate::aws::answer::{Answer, AwsError};
use crate::aws::client::{Client, whole};
use crate::aws::xml::{self, text};
use crate::aws::{s3, sigv4};

/// Headers of a response that are sent again, in addition to user metadata and checksums.
const KEPT: [&str; 7] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
];

/// Begins the names of user metadata.
const USER: &str = "x-amz-meta-";

/// Begins the names of checksums.
const CHECKSUM: &str = "x-amz-checksum-";

/// The buckets of an endpoint, by name.
///
/// # Errors
/// What the endpoint answered.
pub async fn buckets(client: &Client) -> Answer<Vec<Bucket>> {
    let mut found = Vec::new();
    for name in s3::names(client).await? {
        let versioning = versioning(client, &name).await?;
        found.push(Bucket { name, versioning });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

pub(super) async fn versioning(client: &Client, bucket: &str) -> Answer<Versioning> {
    let answer = client.s3(Method::GET, &format!("/{bucket}"), &[("versioning", "")], Vec::new()).await?;
    Ok(match xml::read(&answer, |answer| text(answer, "Status"))?.as_deref() {
        Some("Enabled") => Versioning::On,
        Some("Suspended") => Versioning::Suspended,
        _ => Versioning::Off,
    })
}

/// Every version of every object of these buckets: bucket by bucket, key by key, the oldest version first. What is
/// deleted while it is read is left out.
pub fn objects<'a>(client: &'a Client, buckets: &'a [Bucket]) -> impl Stream<Item = Answer<Object>> + 'a {
    let of_bucket = move |bucket: &'a Bucket| {
        let keys = stream::try_unfold(Lister::new(client, &bucket.name), async |mut lister| {
            Ok(lister.next().await?.map(|versions| (versions, lister)))
        });
        let versions = keys.map_ok(|versions| stream::iter(versions.into_iter().map(Ok::<_, AwsError>)));
        Ok::<_, AwsError>(versions.try_flatten().map_ok(|version| (bucket.name.as_str(), version)))
    };
    stream::iter(buckets.iter().map(of_bucket))
        .try_flatten()
        .map_ok(move |(bucket, version)| get(client, bucket, version))
        .try_buffered(AT_ONCE)
        .try_filter_map(async |object| Ok(object))
}

/// One version; none when it was removed.
async fn get(client: &Client, bucket: &str, version: Version) -> Answer<Option<Object>> {
    if version.deleted {
        let (headers, tags) = (BTreeMap::new(), String::new());
        let entry = Entry {
            bucket: bucket.into(),
            key: version.key,
            deleted: true,
            size: 0,
            etag: String::new(),
            headers,
            tags,
        };
        return Ok(Some(Object { entry, content: Content(Inner::Whole(None)) }));
    }
    let path = format!("/{bucket}/{}", version.key);
    // A bucket that never kept versions has none to be asked for.
    let query = [("versionId", version.id.as_str())];
    let query = if version.latest && version.id == "null" { &[][..] } else { &query[..] };
    let checksums = [("x-amz-checksum-mode", "ENABLED")];
    let response = match client.s3_stream(Method::GET, &path, query, &checksums, None).await {
        Err(refused) if refused.status == 404 => return Ok(None),
        answer => answer?,
    };
    let headers = kept(response.headers());
    let has_tags = response.headers().get("x-amz-tagging-count").is_some_and(|count| count != "0");
    let size = response.content_length().unwrap_or(version.size);
    let content = match size <= SMALL {
        true => Inner::Whole(Some(whole(response).await?.into())),
        false => Inner::Coming(response),
    };
    let tags = if has_tags { tags(client, &path, query).await? } else { String::new() };
    let entry =
        Entry { bucket: bucket.into(), key: version.key, deleted: false, size, etag: version.etag, headers, tags };
    Ok(Some(Object { entry, content: Content(content) }))
}

/// Whether a header is one of those that an object gets again; in lower case.
pub fn is_given_again(name: &str) -> bool {
    let is_checksum = name.starts_with(CHECKSUM) && name != "x-amz-checksum-type";
    KEPT.contains(&name) || name.starts_with(USER) || is_checksum
}

/// The headers that are given again.
fn kept(headers: &HeaderMap) -> BTreeMap<String, String> {
    // A checksum of parts says nothing of the whole.
    let of_parts = headers.get("x-amz-checksum-type").is_some_and(|kind| kind == "COMPOSITE");
    let wanted = |name: &str| is_given_again(name) && !(of_parts && name.starts_with(CHECKSUM));
    let wanted = headers.iter().filter(|(name, _)| wanted(name.as_str()));
    wanted.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

async fn tags(client: &Client, path: &str, version: &[(&str, &str)]) -> Answer<String> {
    let query = [&[("tagging", "")], version].concat();
    let answer = client.s3(Method::GET, path, &query, Vec::new()).await?;
    let pairs = xml::read(&answer, |answer| xml::tags(answer, "Tag"))?;
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(sigv4::query_string(&pairs))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_an_object_was_given_is_kept_and_what_s3_says_of_it_is_not() {
        let kept = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (
                    name.parse().expect("a name"),
                    reqwest::header::HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
                )
            });
            super::kept(&headers.collect()).into_keys().collect::<Vec<_>>()
        };
        let all = [
            ("content-type", "text/plain"),
            ("content-length", "3"),
            ("cache-control", "no-store"),
            ("x-amz-meta-who", "ä"),
            ("x-amz-checksum-crc32", "AAAAAA=="),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("x-amz-version-id", "1"),
            ("etag", "x"),
        ];
        assert_eq!(kept(&all), ["cache-control", "content-type", "x-amz-checksum-crc32", "x-amz-meta-who"]);
        assert!(kept(&[("x-amz-checksum-crc32", "AAAAAA==-2"), ("x-amz-checksum-type", "COMPOSITE")]).is_empty());
    }
}

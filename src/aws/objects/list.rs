//! Lists the versions of objects, key by key, oldest first. Takes the pages of a listing and returns complete keys.

use std::collections::{BTreeMap, VecDeque};

use reqwest::Method;

use crate::aws::answer::Answer;
use crate::aws::client::Client;
use crate::aws::xml::{self, Node, all, text, verbatim};

/// One version of an object, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Key of the object.
    pub key: String,
    /// Id of the version; `null` for one from before versioning.
    pub id: String,
    /// A delete marker.
    pub deleted: bool,
    /// Size in bytes.
    pub size: u64,
    /// With its quotation marks.
    pub etag: String,
    /// When it was put, RFC 3339.
    modified: String,
    /// The newest one.
    pub latest: bool,
}

/// Lists a bucket, a page at a time.
#[derive(Debug)]
pub struct Lister<'a> {
    client: &'a Client,
    bucket: &'a str,
    pages: Pages,
}

impl<'a> Lister<'a> {
    /// Lists a bucket from its first key on.
    pub fn new(client: &'a Client, bucket: &'a str) -> Self {
        Self { client, bucket, pages: Pages::default() }
    }

    /// All versions of the next key, the oldest first; none after the last key.
    ///
    /// # Errors
    /// What the endpoint answered.
    pub async fn next(&mut self) -> Answer<Option<Vec<Version>>> {
        loop {
            if let Some(versions) = self.pages.complete.pop_front() {
                return Ok(Some(versions));
            }
            if self.pages.ended {
                return Ok(None);
            }
            let mut query = vec![("versions", ""), ("max-keys", "1000")];
            if let Some((key, id)) = &self.pages.next {
                query.push(("key-marker", key));
                query.extend((!id.is_empty()).then_some(("version-id-marker", id.as_str())));
            }
            // Not `encoding-type=url`: LocalStack compares the marker with keys that are encoded, in an order that is not.
            let page = self.client.s3(Method::GET, &format!("/{}", self.bucket), &query, Vec::new()).await?;
            xml::read(&page, |page| self.pages.push(page))?;
        }
    }
}

/// What is known from the pages so far.
#[derive(Debug, Default)]
struct Pages {
    complete: VecDeque<Vec<Version>>,
    /// The last key of a page may go on in the next one.
    open: BTreeMap<String, Vec<Version>>,
    /// Where the next page begins: key and version id.
    next: Option<(String, String)>,
    ended: bool,
}

impl Pages {
    fn push(&mut self, page: Node<'_, '_>) {
        for (name, deleted) in [("Version", false), ("DeleteMarker", true)] {
            for version in all(page, name).filter_map(|version| self::version(version, deleted)) {
                self.open.entry(version.key.clone()).or_default().push(version);
            }
        }
        let next = verbatim(page, "NextKeyMarker").filter(|key| !key.is_empty());
        let next = next.map(|key| (key, text(page, "NextVersionIdMarker").unwrap_or_default()));
        let truncated = text(page, "IsTruncated").as_deref() == Some("true");
        // The same place again would be an endless listing.
        self.ended = !truncated || next.is_none() || next == self.next;
        self.next = next;
        while self.open.len() > usize::from(!self.ended) {
            let Some((_, mut versions)) = self.open.pop_first() else { break };
            versions.sort_by(|a, b| age(a).cmp(&age(b)));
            self.complete.push_back(versions);
        }
    }
}

fn version(element: Node<'_, '_>, deleted: bool) -> Option<Version> {
    let text = |name| text(element, name);
    Some(Version {
        key: verbatim(element, "Key")?,
        id: text("VersionId").unwrap_or_else(|| "null".into()),
        deleted,
        size: text("Size").and_then(|size| size.parse().ok()).unwrap_or_default(),
        etag: text("ETag").unwrap_or_default(),
        modified: text("LastModified").unwrap_or_default(),
        latest: text("IsLatest").as_deref() == Some("true"),
    })
}

/// What orders the versions of a key. LocalStack lists delete markers apart from versions, and tells times in whole
/// seconds; its ids begin with a number that grows.
fn age(version: &Version) -> (bool, &str, Option<Vec<u8>>) {
    (version.latest, &version.modified, sequence(&version.id))
}

/// The number that an id of LocalStack begins with: six bytes in base 64, with letters of its own for the last two.
fn sequence(id: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let id = (id.len() == 32).then(|| id[..8].replace('.', "+").replace('_', "/"))?;
    base64::engine::general_purpose::STANDARD.decode(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(name: &str, key: &str, id: &str, modified: &str, latest: bool) -> String {
        format!(
            "<{name}><Key>{key}</Key><VersionId>{id}</VersionId><LastModified>{modified}</LastModified>\
             <IsLatest>{latest}</IsLatest><ETag>\"{id}\"</ETag><Size>3</Size></{name}>"
        )
    }

    fn page(elements: &[String], next: Option<(&str, &str)>) -> String {
        let next = next.map_or("<IsTruncated>false</IsTruncated>".into(), |(key, id)| {
            format!(
                "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
                 <NextVersionIdMarker>{id}</NextVersionIdMarker>"
            )
        });
        format!("<ListVersionsResult>{next}{}</ListVersionsResult>", elements.concat())
    }

    fn push(pages: &mut Pages, page: &str) {
        xml::read(page, |page| pages.push(page)).unwrap();
    }

    fn ids(pages: &mut Pages) -> Vec<(String, Vec<String>)> {
        let all = pages.complete.drain(..);
        all.map(|of_key| (of_key[0].key.clone(), of_key.into_iter().map(|version| version.id).collect())).collect()
    }

    /// An id as LocalStack makes them.
    fn id(number: u8) -> String {
        use base64::Engine as _;
        let mut bytes = [7; 24];
        bytes[..6].copy_from_slice(&[1, 0xff, 0xfb, 0xef, 0xbe, number]);
        base64::engine::general_purpose::STANDARD.encode(bytes).replace('+', ".").replace('/', "_")
    }

    #[test]
    fn versions_and_delete_markers_of_one_second_are_in_order() {
        let now = "2026-01-01T00:00:00.000Z";
        let mut pages = Pages::default();
        let elements = [
            element("Version", "k", &id(250), now, false),
            element("Version", "k", &id(248), now, false),
            element("DeleteMarker", "k", &id(251), now, true),
            element("DeleteMarker", "k", &id(249), now, false),
        ];
        push(&mut pages, &page(&elements, None));
        assert_eq!(ids(&mut pages), [("k".into(), [248, 249, 250, 251].map(id).to_vec())]);
        assert!(pages.ended);
    }

    #[test]
    fn times_count_where_ids_say_nothing() {
        let at = |second: u8| format!("2026-01-01T00:00:0{second}.000Z");
        let mut pages = Pages::default();
        let elements = [
            element("DeleteMarker", "k", "c", &at(3), true),
            element("Version", "k", "b", &at(2), false),
            element("Version", "k", "null", &at(1), false),
        ];
        push(&mut pages, &page(&elements, None));
        assert_eq!(ids(&mut pages)[0].1, ["null", "b", "c"]);
    }

    #[test]
    fn a_key_that_goes_on_in_the_next_page_comes_whole() {
        let at = |second: u8| format!("2026-01-01T00:00:0{second}.000Z");
        let mut pages = Pages::default();
        let first = [element("Version", "a", "1", &at(1), true), element("Version", "b &amp; c", "3", &at(3), true)];
        push(&mut pages, &page(&first, Some(("b &amp; c", "3"))));
        assert_eq!(ids(&mut pages), [("a".into(), vec!["1".into()])]);
        assert_eq!(pages.next, Some(("b & c".into(), "3".into())));
        let second = [element("Version", "b &amp; c", "2", &at(2), false), element("Version", "d", "4", &at(4), true)];
        push(&mut pages, &page(&second, None));
        let rest = ids(&mut pages);
        assert_eq!(rest[0], ("b & c".into(), vec!["2".into(), "3".into()]));
        assert_eq!(rest[1].0, "d");
    }

    #[test]
    fn a_page_that_leads_to_itself_ends_the_listing() {
        let mut pages = Pages::default();
        let same = page(&[element("Version", "a", "1", "", true)], Some(("a", "1")));
        push(&mut pages, &same);
        assert!(!pages.ended);
        push(&mut pages, &same);
        assert!(pages.ended);
    }
}

//! Validates the records of an emulator's objects while a file is checked: each has the format that `objects` writes
//! and a bucket of the manifest, and their number is that of the manifest.

use std::collections::BTreeSet;

use reqwest::header::{HeaderName, HeaderValue};

use super::objects::{LONGEST_ENTRY, Saved};
use crate::aws::objects::{Bucket, Entry, is_given_again};

/// Longest key, as S3 has it.
const LONGEST_KEY: usize = 1024;

/// The records of one emulator, as they stream by.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The record that is being read: its length, then itself.
    open: Vec<u8>,
    /// So much of the content after it is still to come.
    left: u64,
    buckets: BTreeSet<String>,
    versions: u64,
    wrong: Option<String>,
}

impl Records {
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.wrong.is_none() {
            let content = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            bytes = &bytes[content..];
            self.left -= content as u64;
            let missing = self.length().map_or(4, |length| 4 + length) - self.open.len();
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.open.extend_from_slice(now);
            bytes = later;
            self.wrong = self.whole().err();
        }
    }

    /// The length of the record that is being read, when that is known.
    fn length(&self) -> Option<usize> {
        let length = self.open.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*length)).ok()
    }

    /// Looks at the record, when all of it is there.
    fn whole(&mut self) -> Result<(), String> {
        let Some(length) = self.length() else { return Ok(()) };
        if !(1..=LONGEST_ENTRY).contains(&length) {
            return Err("has an object that is described in too many words or none".into());
        }
        if self.open.len() < 4 + length {
            return Ok(());
        }
        let entry: Entry =
            serde_json::from_slice(&self.open[4..]).map_err(|why| format!("has an object of no S3: {why}"))?;
        self.open.clear();
        could_be(&entry)?;
        self.left = entry.size;
        self.versions += 1;
        self.buckets.insert(entry.bucket);
        Ok(())
    }

    /// All was there.
    ///
    /// # Errors
    /// In words: what is wrong with it.
    pub(super) fn end(self, saved: &Saved) -> Result<(), String> {
        if let Some(why) = self.wrong {
            return Err(why);
        }
        if self.left > 0 || !self.open.is_empty() {
            return Err("ends in the middle of an object".into());
        }
        if let Some(bucket) = self.buckets.iter().find(|name| !has(&saved.buckets, name)) {
            return Err(format!("has an object of {bucket:?}, which its manifest does not have"));
        }
        match self.versions == saved.versions {
            true => Ok(()),
            false => Err(format!("has {} versions of objects, and not {}", self.versions, saved.versions)),
        }
    }
}

fn has(buckets: &[Bucket], name: &str) -> bool {
    buckets.iter().any(|bucket| bucket.name == name)
}

/// Whether S3 could have an object like that.
///
/// # Errors
/// In words: why it could not.
fn could_be(entry: &Entry) -> Result<(), String> {
    let (bucket, key) = (&entry.bucket, &entry.key);
    if key.is_empty() || key.len() > LONGEST_KEY || key.contains('\0') {
        return Err(format!("has an object in {bucket:?} under a key that is none: {key:?}"));
    }
    // They are sent as they are.
    let fits = |name: &str, value: &str| HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
    let foreign = entry.headers.iter().find(|(name, value)| !is_given_again(name) || !fits(name, value));
    if let Some((name, value)) = foreign {
        return Err(format!("has an object {key:?} in {bucket:?} with a header that none has: {name:?}: {value:?}"));
    }
    match HeaderValue::try_from(&entry.tags) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("has an object {key:?} in {bucket:?} with tags that none has: {:?}", entry.tags)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// An object as a file has it.
    pub(in crate::backup) fn record(bucket: &str, key: &str, headers: &[(&str, &str)], content: &[u8]) -> Vec<u8> {
        let headers: serde_json::Map<_, _> =
            headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let entry = json!({
            "bucket": bucket, "key": key, "deleted": false, "size": content.len(), "etag": "", "headers": headers, "tags": "",
        });
        let entry = entry.to_string();
        let length = u32::try_from(entry.len()).unwrap().to_le_bytes();
        [&length, entry.as_bytes(), content].concat()
    }

    fn saved(versions: u64) -> Saved {
        let bucket: Bucket = serde_json::from_value(json!({ "name": "kept", "versioning": "off" })).unwrap();
        Saved { buckets: vec![bucket], versions, bytes: 0, parts: 1 }
    }

    #[test]
    fn pieces_of_any_length_are_the_same() {
        let all = [record("kept", "a", &[], b"content"), record("kept", "b", &[("content-type", "a/b")], b"")].concat();
        for length in [1, 3, 4, 5, 50, all.len()] {
            let mut records = Records::default();
            all.chunks(length).for_each(|piece| records.add(piece));
            assert_eq!(records.end(&saved(2)), Ok(()), "{length}");
        }
        for cut in 1..all.len() {
            let mut records = Records::default();
            records.add(&all[..cut]);
            assert!(records.end(&saved(2)).is_err(), "{cut}");
        }
        assert_eq!(Records::default().end(&saved(0)), Ok(()));
    }
}

//! The backup file as a tar that detects every changed byte.
//!
//! `begin` (the format), members, `manifest.json`, `SHA256`: the digest of all bytes before that last member.
//! Everything after the digest is constant, so a changed byte is detected anywhere. Written and read in one pass,
//! member by member: one member is in memory at a time, and writers keep members small.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::contents::{BEGIN, Contents, Use, too_large};
use super::{FORMAT, Manifest, Member};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::hex;

const MANIFEST: &str = "manifest.json";
const DIGEST: &str = "SHA256";
const BLOCK: usize = 512;
/// The last member and the end of the archive.
const TAIL: usize = 4 * BLOCK;

/// Streams are cut into members of about this size.
pub const PART: usize = 4 << 20;
/// Larger members are not read into memory: a value of Redis, which is never cut, has at most half as much.
const LONGEST: u64 = 1 << 30;
/// Longest manifest, in bytes: enough for the members of a terabyte.
const LONGEST_MANIFEST: u64 = 64 << 20;
/// How many members a file has at most: as many as fit into that manifest.
const MOST_MEMBERS: usize = 500_000;

/// Writes a file.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    digest: Sha256,
    members: Vec<Member>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(to: W) -> io::Result<Self> {
        let mut writer = Self { to, digest: Sha256::new(), members: Vec::new() };
        writer.member(BEGIN, format!("format {FORMAT}\n").as_bytes())?;
        Ok(writer)
    }

    /// Adds a member.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn member(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.write(name, content)?;
        let (name, size, sha256) = (name.to_owned(), content.len() as u64, hex(&Sha256::digest(content)));
        self.members.push(Member { name, size, sha256 });
        Ok(())
    }

    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        for piece in [&header(name, content.len() as u64)?, content, &padding(content.len() as u64)] {
            self.digest.update(piece);
            self.to.write_all(piece)?;
        }
        Ok(())
    }

    /// Ends the file. `manifest` gets the list of members.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(mut self, mut manifest: Manifest) -> io::Result<(W, Manifest)> {
        manifest.members = std::mem::take(&mut self.members);
        let text = serde_json::to_vec_pretty(&manifest)?;
        self.write(MANIFEST, &text)?;
        let tail = tail(self.digest)?;
        self.to.write_all(&tail)?;
        Ok((self.to, manifest))
    }
}

fn header(name: &str, size: u64) -> io::Result<[u8; BLOCK]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(*header.as_bytes())
}

fn padding(size: u64) -> Vec<u8> {
    vec![0; (BLOCK - size as usize % BLOCK) % BLOCK]
}

/// The last member and the end of the archive.
fn tail(digest: Sha256) -> io::Result<Vec<u8>> {
    let text = format!("{}\n", hex(&digest.finalize()));
    let mut tail = header(DIGEST, text.len() as u64)?.to_vec();
    tail.extend(text.as_bytes());
    tail.resize(TAIL, 0);
    Ok(tail)
}

/// Reads members one after the other.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
}

impl<R: Read> Reader<R> {
    /// Reads from here.
    pub fn new(from: R) -> Self {
        Self { from }
    }

    /// Name and size of the next member; none at the end. Its content has to be read before the next one.
    fn next(&mut self) -> io::Result<Option<(String, u64)>> {
        let mut block = [0; BLOCK];
        self.from.read_exact(&mut block)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = tar::Header::from_byte_slice(&block);
        let name = header.path()?.to_string_lossy().into_owned();
        Ok(Some((name, header.entry_size()?)))
    }

    /// Passes the content on, piece by piece.
    fn content(&mut self, size: u64, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut left = size;
        while left > 0 {
            let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.from.read_exact(&mut buffer[..length])?;
            take(&buffer[..length]);
            left -= length as u64;
        }
        self.from.read_exact(&mut buffer[..padding(size).len()])
    }

    /// The next member whole; none when only the manifest follows. For a file that was [verified](verify).
    ///
    /// # Errors
    /// When it can't be read.
    pub fn member(&mut self) -> io::Result<Option<(String, Vec<u8>)>> {
        let Some((name, size)) = self.next()? else { return Ok(None) };
        if name == MANIFEST {
            return Ok(None);
        }
        if size > LONGEST {
            return Err(io::Error::other(too_large(&name, size, LONGEST)));
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.content(size, |piece| content.extend_from_slice(piece))?;
        Ok(Some((name, content)))
    }
}

/// Passes bytes on and digests all but the last [`TAIL`] of them.
struct Digesting<R, F> {
    from: R,
    digest: Sha256,
    held: Vec<u8>,
    told: F,
}

impl<R: Read, F: FnMut(usize)> Read for Digesting<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        (self.told)(length);
        self.held.extend_from_slice(&buffer[..length]);
        let past = self.held.len().saturating_sub(TAIL);
        self.digest.update(&self.held[..past]);
        self.held.drain(..past);
        Ok(length)
    }
}

/// Reads a file whole and compares everything with what it says of itself. Only then anything may be done with it.
///
/// # Errors
/// When it is no backup, of another format, truncated or altered, or holds what no backup of ours does.
pub fn verify(from: impl Read, told: impl FnMut(usize)) -> Result<(Manifest, Contents)> {
    let mut from = Digesting { from, digest: Sha256::new(), held: Vec::new(), told };
    let mut found = Found::default();
    // What is wrong first may follow from what is wrong at the end: the digest decides.
    let read = found.read(&mut Reader::new(&mut from));
    let read = match read {
        Err(wrong @ (Wrong::NoBackup | Wrong::Format(_) | Wrong::Foreign(_))) => return Err(wrong.error()),
        read => read,
    };
    let rest = io::copy(&mut from, &mut io::sink()).map_err(Wrong::from);
    let expected = tail(std::mem::take(&mut from.digest))?;
    let whole = rest.is_ok() && expected == from.held;
    match read.and_then(|()| found.manifest()) {
        Ok((manifest, mut contents)) if whole => {
            contents.check(&manifest).map_err(|why| Wrong::Foreign(why).error())?;
            Ok((manifest, contents))
        }
        Ok(_) => Err(rest.err().unwrap_or_else(|| Wrong::Altered("its digest differs".into())).error()),
        Err(wrong) => Err(wrong.error()),
    }
}

/// What is wrong with a file.
#[derive(Debug)]
enum Wrong {
    NoBackup,
    Format(String),
    Altered(String),
    /// It is whole, but not of ours.
    Foreign(String),
    Unreadable(io::Error),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Altered("it ends too early".into()),
            _ => Self::Unreadable(error),
        }
    }
}

impl Wrong {
    fn error(self) -> Error {
        let error = |message: String| Error::new(ErrorKind::Other, message);
        match self {
            Self::NoBackup => error("this is not a backup".into()).hint("create one with: taskava dev backup FILE"),
            Self::Format(format) => error(format!("this backup has another format ({format}; supported is {FORMAT})"))
                .hint("restore it with the version of taskava that made it"),
            Self::Altered(why) => error(format!("this backup is truncated or altered: {why}; nothing was touched"))
                .hint("use another copy of the file"),
            Self::Foreign(why) => error(format!("taskava does not create such a backup: {why}; nothing was touched"))
                .hint("its digests match, so it was created like this: check where it comes from"),
            Self::Unreadable(why) => error(format!("this backup can't be read completely: {why}; nothing was touched"))
                .hint("use another copy of the file"),
        }
    }
}

/// What was found on the way.
#[derive(Debug, Default)]
struct Found {
    members: Vec<Member>,
    manifest: Vec<u8>,
    contents: Contents,
}

impl Found {
    fn read(&mut self, reader: &mut Reader<impl Read>) -> Result<(), Wrong> {
        let altered = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Wrong::from(error),
            _ => Wrong::Altered(error.to_string()),
        };
        let begin = reader.next().map_err(|error| match error.kind() {
            // What was encrypted can't be decrypted as it is.
            io::ErrorKind::InvalidData => Wrong::Unreadable(error),
            _ => Wrong::NoBackup,
        })?;
        match begin {
            Some((name, size)) if name == BEGIN && size < 64 => {
                let mut text = Vec::new();
                reader.content(size, |piece| text.extend_from_slice(piece))?;
                let text = String::from_utf8_lossy(&text).trim().to_owned();
                if text != format!("format {FORMAT}") {
                    return Err(Wrong::Format(text));
                }
                self.note(BEGIN.into(), size, Sha256::digest(format!("{text}\n")).as_slice());
            }
            _ => return Err(Wrong::NoBackup),
        }
        while let Some((name, size)) = reader.next().map_err(altered)? {
            if name == DIGEST {
                return Ok(());
            }
            if name == MANIFEST {
                if size > LONGEST_MANIFEST {
                    return Err(Wrong::Foreign(too_large(&name, size, LONGEST_MANIFEST)));
                }
                self.manifest.clear();
                reader.content(size, |piece| self.manifest.extend_from_slice(piece))?;
                continue;
            }
            if self.members.len() >= MOST_MEMBERS {
                return Err(Wrong::Foreign(format!("it has more than {MOST_MEMBERS} members")));
            }
            let mut digest = Sha256::new();
            let mut used = self.contents.of_member(&name, size).map_err(Wrong::Foreign)?;
            reader.content(size, |piece| {
                digest.update(piece);
                match &mut used {
                    Use::Keep(kept) => kept.extend_from_slice(piece),
                    Use::Dump(dump) => dump.add(piece),
                    Use::Records(records) => records.add(piece),
                    Use::Nothing => {}
                }
            })?;
            self.note(name, size, &digest.finalize());
        }
        Err(Wrong::Altered("its digest is missing".into()))
    }

    fn note(&mut self, name: String, size: u64, digest: &[u8]) {
        self.members.push(Member { name, size, sha256: hex(digest) });
    }

    fn manifest(self) -> Result<(Manifest, Contents), Wrong> {
        let manifest: Manifest = serde_json::from_slice(&self.manifest)
            .map_err(|error| Wrong::Altered(format!("its manifest can't be read: {error}")))?;
        if manifest.format != FORMAT {
            return Err(Wrong::Format(manifest.format.to_string()));
        }
        let differs = manifest.members.iter().zip(&self.members).find(|(said, found)| said != found);
        match differs {
            Some((said, _)) => Err(Wrong::Altered(format!("{} is another", said.name))),
            None if manifest.members.len() != self.members.len() => {
                Err(Wrong::Altered("members are missing, or too many".into()))
            }
            None => Ok((manifest, self.contents)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn empty() -> Manifest {
        Manifest {
            format: FORMAT,
            taskava: "1".into(),
            stack: "s".into(),
            created: "now".into(),
            secrets: false,
            services: Vec::new(),
            members: Vec::new(),
        }
    }

    fn with_redis() -> Manifest {
        let data = super::super::Data::Redis(super::super::redis::Saved { keys: 1, parts: 1 });
        Manifest { services: vec![super::super::Saved { service: "redis".into(), data }], ..empty() }
    }

    fn file() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.member("services.toml", b"project = \"s\"\n").unwrap();
        writer.member("redis/redis/000000", &[7; 1500]).unwrap();
        writer.finish(with_redis()).unwrap().0
    }

    #[test]
    fn what_is_written_is_read() {
        let file = file();
        let (manifest, contents) = verify(&file[..], |_| {}).unwrap();
        assert_eq!(manifest.members.len(), 3);
        assert_eq!(contents.configuration, b"project = \"s\"\n");
        let mut reader = Reader::new(&file[..]);
        let mut names = Vec::new();
        while let Some((name, content)) = reader.member().unwrap() {
            names.push((name, content.len()));
        }
        let expected = [(BEGIN, 9), ("services.toml", 14), ("redis/redis/000000", 1500)];
        assert_eq!(names, expected.map(|(name, size)| (name.to_owned(), size)));
        // Every tar reads it.
        assert_eq!(tar::Archive::new(&file[..]).entries().unwrap().count(), 5);
    }

    #[test]
    fn other_files_and_formats_are_told_from_damaged_ones() {
        let said = |bytes: &[u8]| verify(bytes, |_| {}).unwrap_err().to_string();
        assert_eq!(said(b"hello"), "this is not a backup");
        assert_eq!(said(&[0; 4096]), "this is not a backup");
        let mut writer = Writer { to: Vec::new(), digest: Sha256::new(), members: Vec::new() };
        writer.member(BEGIN, b"format 9\n").unwrap();
        let (newer, _) = writer.finish(Manifest { format: 9, ..empty() }).unwrap();
        assert!(said(&newer).contains("another format (format 9"), "{}", said(&newer));
        // A manifest that does not fit the members, with a digest that does.
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.member("a", b"1").unwrap();
        writer.members[1].sha256 = "0".repeat(64);
        assert!(said(&writer.finish(empty()).unwrap().0).contains("a is another"));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_found(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut file = file();
            let at = at.index(file.len());
            file[at] ^= 1u8 << bit;
            prop_assert!(verify(&file[..], |_| ()).is_err(), "byte {}", at);
        }

        #[test]
        fn any_truncation_and_addition_is_found(at in any::<prop::sample::Index>()) {
            let file = file();
            let cut = &file[..at.index(file.len())];
            prop_assert!(verify(cut, |_| ()).is_err());
            let mut longer = file;
            longer.resize(longer.len() + 1 + at.index(1024), 0);
            prop_assert!(verify(&longer[..], |_| ()).is_err());
        }
    }
}

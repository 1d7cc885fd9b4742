//! Validates a dump of `pg_dump` in the directory format, as a tar that arrives in pieces, before a container unpacks
//! it.
//!
//! It may contain only plain files with the names that `pg_dump` gives them. The name of its database is at the
//! beginning of its table of contents: `ReadHead` in src/bin/pg_dump/pg_backup_archiver.c of PostgreSQL.

const BLOCK: usize = 512;

/// How much of the table of contents is looked at, in bytes: the name of the database is in the first hundred.
const HEAD: usize = 1024;

/// Looks at a dump.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// A header that is not complete yet.
    header: Vec<u8>,
    /// How much of a file's content and padding is still to come.
    left: u64,
    /// How much of that is of the table of contents.
    of_contents: u64,
    /// The beginning of the table of contents.
    contents: Option<Vec<u8>>,
    ended: bool,
    wrong: Option<String>,
}

impl Dump {
    /// Takes in a piece.
    pub(super) fn add(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() && self.wrong.is_none() && !self.ended {
            if self.left > 0 {
                let length = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (content, rest) = piece.split_at(length);
                if let Some(contents) = self.contents.as_mut().filter(|_| self.of_contents > 0) {
                    let own = length.min(usize::try_from(self.of_contents).unwrap_or(usize::MAX));
                    contents.extend_from_slice(&content[..own.min(HEAD - contents.len().min(HEAD))]);
                    self.of_contents -= own as u64;
                }
                self.left -= length as u64;
                piece = rest;
                continue;
            }
            let (some, rest) = piece.split_at(piece.len().min(BLOCK - self.header.len()));
            self.header.extend_from_slice(some);
            piece = rest;
            if self.header.len() == BLOCK {
                if let Err(why) = self.file() {
                    self.wrong = Some(why);
                }
                self.header.clear();
            }
        }
    }

    /// A header is there.
    fn file(&mut self) -> Result<(), String> {
        if self.header.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(());
        }
        let header = tar::Header::from_byte_slice(&self.header);
        let name = header.path_bytes();
        let name = String::from_utf8_lossy(&name).into_owned();
        let sum: u32 = self.header.iter().enumerate().map(|(at, byte)| checked(at, *byte)).sum();
        if header.cksum().ok() != Some(sum) {
            return Err("is no tar".into());
        }
        let size = header.entry_size().map_err(|_| format!("has a file {name:?} without a length"))?;
        match header.entry_type() {
            tar::EntryType::Directory if matches!(name.as_str(), "." | "./") && size == 0 => return Ok(()),
            tar::EntryType::Regular => {}
            _ => return Err(format!("has {name:?}, which is no plain file")),
        }
        let plain = name.strip_prefix("./").unwrap_or(&name);
        if !is_of_a_dump(plain) {
            return Err(format!("has a file {name:?}, which pg_dump does not make"));
        }
        if plain == "toc.dat" {
            if self.contents.is_some() {
                return Err("has two tables of contents".into());
            }
            (self.contents, self.of_contents) = (Some(Vec::new()), size);
        }
        self.left = size.div_ceil(BLOCK as u64).checked_mul(BLOCK as u64).ok_or("has a file that is too long")?;
        Ok(())
    }

    /// All was there. Returns the name of its database.
    ///
    /// # Errors
    /// In words: what is wrong with it.
    pub(super) fn end(self) -> Result<String, String> {
        match (self.wrong, self.contents) {
            (Some(why), _) => Err(why),
            (None, None) => Err("has no table of contents".into()),
            (None, Some(contents)) => database(&contents).ok_or_else(|| "has a table of contents of no pg_dump".into()),
        }
    }
}

/// What a byte of a header adds to its sum: the sum itself counts as spaces.
fn checked(at: usize, byte: u8) -> u32 {
    if (148..156).contains(&at) { b' '.into() } else { byte.into() }
}

/// `toc.dat`, `3012.dat.gz`, `blobs.toc`, `blobs_16384.toc`, `blob_16385.dat.gz`
fn is_of_a_dump(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = [".gz", ".lz4", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let Some((stem, end)) = name.rsplit_once('.') else { return false };
    let of_large_objects = |stem: &str| stem.strip_prefix("blobs_").is_some_and(number);
    match end {
        "dat" => stem == "toc" || number(stem) || stem.strip_prefix("blob_").is_some_and(number),
        "toc" => stem == "blobs" || of_large_objects(stem),
        _ => false,
    }
}

/// The name of the database in the beginning of a table of contents.
fn database(contents: &[u8]) -> Option<String> {
    let mut head = Head { rest: contents.strip_prefix(b"PGDMP")?, size: 0 };
    // Version, size of an integer and of an offset, format.
    let &[major, minor, _, size, _, _] = head.bytes(6)? else { return None };
    if !((1, 10)..(2, 0)).contains(&(major, minor)) || !(1..=8).contains(&size) {
        return None;
    }
    head.size = size.into();
    // How it is compressed is one byte since 1.15; before, an integer.
    if minor >= 15 {
        head.bytes(1)?;
    } else {
        head.integer()?;
    }
    // When it was made: second to year, and whether it was summer.
    for _ in 0..7 {
        head.integer()?;
    }
    let length = head.integer()?.and_then(|length| usize::try_from(length).ok())?;
    String::from_utf8(head.bytes(length)?.to_vec()).ok()
}

/// The beginning of a table of contents, as far as it is not read.
struct Head<'a> {
    rest: &'a [u8],
    /// Bytes of an integer.
    size: usize,
}

impl<'a> Head<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (some, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(some)
    }

    /// A sign, then the bytes of the number, the lowest first. The inner option is none for a negative number.
    fn integer(&mut self) -> Option<Option<u64>> {
        let [sign, bytes @ ..] = self.bytes(self.size + 1)? else { return None };
        let value = bytes.iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        Some((*sign == 0).then_some(value))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table of contents as versions of `pg_dump` begin it.
    pub(in crate::backup) fn contents(minor: u8, database: &str) -> Vec<u8> {
        let mut toc = b"PGDMP".to_vec();
        toc.extend([1, minor, 0, 4, 8, 5]);
        let integer = |value: u32| [&[0][..], &value.to_le_bytes()].concat();
        toc.extend(if minor >= 15 { vec![1] } else { integer(3) });
        (0..7).for_each(|_| toc.extend(integer(7)));
        toc.extend(integer(u32::try_from(database.len()).unwrap()));
        toc.extend(database.as_bytes());
        toc.extend([0; 2000]);
        toc
    }

    pub(in crate::backup) fn tar(files: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, kind, content) in files {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, *content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn looked_at(bytes: &[u8], at_once: usize) -> Result<String, String> {
        let mut dump = Dump::default();
        bytes.chunks(at_once).for_each(|piece| dump.add(piece));
        dump.end()
    }

    #[test]
    fn the_database_is_known_however_the_dump_is_cut() {
        use tar::EntryType::{Directory, Regular};
        for minor in [14, 15, 16] {
            let toc = contents(minor, "the shop's");
            let all = tar(&[
                ("./", Directory, b""),
                ("./3012.dat.gz", Regular, &[1; 700]),
                ("./toc.dat", Regular, &toc),
                ("./blobs.toc", Regular, b"x"),
                ("./blob_16385.dat.gz", Regular, b"x"),
                ("./blobs_16384.toc", Regular, b""),
            ]);
            for at_once in [1, 7, 512, 4096, all.len()] {
                assert_eq!(looked_at(&all, at_once).as_deref(), Ok("the shop's"), "{minor} {at_once}");
            }
        }
    }

    #[test]
    fn what_pg_dump_does_not_make_is_refused() {
        use tar::EntryType::{Directory, Link, Regular, Symlink, XGlobalHeader};
        let toc = contents(14, "app");
        for (file, said) in [
            (("../toc.dat", Regular, &b"x"[..]), "which pg_dump does not make"),
            (("/etc/cron.d/x", Regular, b"x"), "which pg_dump does not make"),
            (("./x/1.dat", Regular, b"x"), "which pg_dump does not make"),
            (("./1.dat.sh", Regular, b"x"), "which pg_dump does not make"),
            (("./1.dat", Symlink, b""), "which is no plain file"),
            (("./1.dat", Link, b""), "which is no plain file"),
            (("./x", Directory, b""), "which is no plain file"),
            (("x", XGlobalHeader, b"x"), "which is no plain file"),
            (("./toc.dat", Regular, &toc), "two tables of contents"),
        ] {
            let why = looked_at(&tar(&[("./toc.dat", Regular, &toc), file]), 100).unwrap_err();
            assert!(why.contains(said), "{file:?}: {why}");
        }
        assert_eq!(looked_at(&tar(&[]), 100).unwrap_err(), "has no table of contents");
        assert_eq!(looked_at(&[1; 512], 100).unwrap_err(), "is no tar");
        let toc = tar(&[("./toc.dat", Regular, b"PGDMP")]);
        assert_eq!(looked_at(&toc, 100).unwrap_err(), "has a table of contents of no pg_dump");
    }
}

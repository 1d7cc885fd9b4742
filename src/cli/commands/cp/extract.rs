//! Unpacks what a container sends, which may be anything: no entry leaves the target, no link in it is followed, and a file is
//! replaced when the new one is whole.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

use crate::diag::{Error, ErrorKind, Result};

/// The pieces of an archive as a reader, for a thread that may block.
#[derive(Debug)]
pub(super) struct Pieces {
    receiver: Receiver<io::Result<Bytes>>,
    left: Bytes,
}

impl Pieces {
    pub(super) fn of(receiver: Receiver<io::Result<Bytes>>) -> Self {
        Self { receiver, left: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.receiver.blocking_recv() {
                // A reader tries again when it is interrupted; this one has ended.
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                    return Err(io::Error::other("interrupted"));
                }
                Some(piece) => self.left = piece?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.left.len());
        buffer[..count].copy_from_slice(&self.left.split_to(count));
        Ok(count)
    }
}

/// Unpacks an archive: its top entry, or everything in it if it has none (`has_top`), becomes `base`, whose folder is there
/// and is no link. Returns what was left out.
///
/// # Errors
/// When the archive breaks off, has an entry that would be elsewhere, or something can't be written.
pub(super) fn extract(archive: impl Read, base: &Path, has_top: bool, keep_owner: bool) -> Result<Vec<String>> {
    let broken = |error: io::Error| Error::new(ErrorKind::Other, format_args!("can't read the archive: {error}"));
    let mut archive = tar::Archive::new(archive);
    let (mut left_out, mut folders, mut count) = (Vec::new(), Vec::new(), 0_usize);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        count += 1;
        let name = entry.path().map_err(broken)?.into_owned();
        let at = placed(base, &name, has_top)?;
        let header = entry.header().clone();
        let kind = header.entry_type();
        let failed =
            |error: io::Error| Error::new(ErrorKind::Other, format_args!("{} can't be written: {error}", at.display()));
        if kind.is_dir() {
            if !fs::symlink_metadata(&at).is_ok_and(|seen| seen.is_dir()) {
                fs::create_dir(&at).map_err(failed)?;
                folders.push((at.clone(), header.mode().unwrap_or(0o755)));
            }
        } else if kind.is_file() || kind.is_symlink() || kind.is_hard_link() {
            refuse_folder(&at)?;
            let partial = Partial::beside(&at);
            if kind.is_file() {
                let size = entry.size();
                write(&mut entry, size, &header, &partial.0).map_err(failed)?;
            } else {
                let link = entry.link_name().map_err(broken)?.unwrap_or_default().into_owned();
                match kind.is_symlink() {
                    true => symlink(&link, &partial.0).map_err(failed)?,
                    false => hard_link(&placed(base, &link, has_top)?, &partial.0).map_err(failed)?,
                }
            }
            fs::rename(&partial.0, &at).map_err(failed)?;
        } else {
            left_out.push(name.display().to_string());
            continue;
        }
        if keep_owner {
            own(&at, &header).map_err(failed)?;
        }
    }
    // Last: a folder that may not be written to gets its files first.
    for (folder, mode) in folders.into_iter().rev() {
        let set = fs::set_permissions(&folder, permissions(mode));
        set.map_err(|error| Error::new(ErrorKind::Other, format_args!("{}: {error}", folder.display())))?;
    }
    if count == 0 {
        return Err(Error::new(ErrorKind::Other, "the engine sent nothing"));
    }
    Ok(left_out)
}

/// Where an entry is written: below `base`, and not through a link.
fn placed(base: &Path, name: &Path, has_top: bool) -> Result<PathBuf> {
    let refused = |why: &str| {
        let message = format!("refused: an entry of the archive {why}: {}", name.display());
        Error::new(ErrorKind::Other, message)
    };
    let mut parts: Vec<OsString> = Vec::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_owned()),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(refused("leads out of the target")),
        }
    }
    let parts = &parts[usize::from(has_top).min(parts.len())..];
    let mut at = base.to_owned();
    for part in parts {
        // Everything above has to be a folder by now.
        if !fs::symlink_metadata(&at).is_ok_and(|seen| seen.is_dir()) {
            return Err(refused("would be written through a link or a file"));
        }
        at.push(part);
    }
    Ok(at)
}

fn refuse_folder(at: &Path) -> Result<()> {
    if fs::symlink_metadata(at).is_ok_and(|seen| seen.is_dir()) {
        let message = format!("{} is a folder: a file can't be copied onto it", at.display());
        return Err(Error::new(ErrorKind::Other, message));
    }
    Ok(())
}

/// A file that is being written, beside its place; removed unless it was renamed.
struct Partial(PathBuf);

impl Partial {
    fn beside(at: &Path) -> Self {
        let path = at.with_file_name(format!(".taskava-{}.partial", std::process::id()));
        // Of a process of that number that was killed.
        let _ = fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn write(entry: &mut impl Read, size: u64, header: &tar::Header, to: &Path) -> io::Result<()> {
    let mut file = File::create_new(to)?;
    if io::copy(entry, &mut file)? < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.set_permissions(permissions(header.mode().unwrap_or(0o644)))?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(header.mtime().unwrap_or(0)))
}

/// Without the bits by which a program of a container would run as another user here.
#[cfg(unix)]
fn permissions(mode: u32) -> Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode & 0o777)
}

#[cfg(unix)]
fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

/// To a file that this copy has written.
fn hard_link(target: &Path, at: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(target)?.is_file() {
        return Err(io::Error::other("its hard link leads to no file"));
    }
    fs::hard_link(target, at)
}

#[cfg(unix)]
fn own(at: &Path, header: &tar::Header) -> io::Result<()> {
    let number = |number: io::Result<u64>| number.ok().and_then(|number| u32::try_from(number).ok());
    std::os::unix::fs::lchown(at, number(header.uid()), number(header.gid()))
}

#[cfg(not(unix))]
fn permissions(_: u32) -> Permissions {
    fs::metadata(".").map(|seen| seen.permissions()).expect("the current folder")
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn own(_: &Path, _: &tar::Header) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, unix))]
mod tests {
    use tar::EntryType;

    use super::*;

    /// An archive of entries: kind, name, and content or link.
    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, name, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            // As a hostile engine would: the crate itself refuses such names.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            if kind.is_symlink() || kind.is_hard_link() {
                header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
                header.set_size(0);
                header.set_cksum();
                archive.append(&header, io::empty()).expect("in memory");
            } else {
                header.set_size(text.len() as u64);
                header.set_cksum();
                archive.append(&header, text.as_bytes()).expect("in memory");
            }
        }
        archive.into_inner().expect("in memory")
    }

    const FILE: EntryType = EntryType::Regular;
    const FOLDER: EntryType = EntryType::Directory;
    const LINK: EntryType = EntryType::Symlink;
    const HARD: EntryType = EntryType::Link;

    #[test]
    fn an_archive_is_unpacked_under_its_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("new");
        let entries = [
            (FOLDER, "old/", ""),
            (FILE, "old/a", "one"),
            (LINK, "old/link", "/etc/passwd"),
            (HARD, "old/hard", "old/a"),
            (EntryType::Fifo, "old/pipe", ""),
        ];
        assert_eq!(extract(&archive(&entries)[..], &base, true, false).unwrap(), ["old/pipe"]);
        assert_eq!(fs::read(base.join("a")).unwrap(), b"one");
        assert_eq!(fs::read(base.join("hard")).unwrap(), b"one");
        assert_eq!(fs::read_link(base.join("link")).unwrap(), Path::new("/etc/passwd"));
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(base.join("a")).unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o755, "it runs as no other user");
        // Over what is there.
        let again = [(FOLDER, "old/", ""), (FILE, "old/link", "a file now"), (FILE, "old/a", "two")];
        extract(&archive(&again)[..], &base, true, false).unwrap();
        assert_eq!(fs::read(base.join("link")).unwrap(), b"a file now");
        assert_eq!(
            (fs::read(base.join("a")).unwrap(), fs::read(base.join("hard")).unwrap()),
            (b"two".into(), b"one".into())
        );
        assert_eq!(base.read_dir().unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn no_entry_leaves_the_target() {
        for entries in [
            &[(FOLDER, "old/", ""), (FILE, "old/../../out", "x")][..],
            &[(FILE, "../out", "x")],
            &[(FOLDER, "old/", ""), (LINK, "old/up", ".."), (FILE, "old/up/out", "x")],
            &[(FOLDER, "old/", ""), (HARD, "old/hard", "old/../../secret")],
            &[(FOLDER, "old/", ""), (LINK, "old/up", "../secret"), (HARD, "old/hard", "old/up")],
            &[(LINK, "old", "."), (FILE, "old/out", "x")],
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("secret"), "s").unwrap();
            fs::create_dir(folder.path().join("in")).unwrap();
            let base = folder.path().join("in/base");
            assert!(extract(&archive(entries)[..], &base, true, false).is_err(), "{entries:?}");
            assert!(!folder.path().join("out").exists() && !folder.path().join("in/out").exists(), "{entries:?}");
            assert!(!base.join("hard").exists(), "{entries:?}");
        }
    }

    #[test]
    fn a_file_is_replaced_when_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("a");
        fs::write(&base, "old").unwrap();
        let whole = archive(&[(FILE, "a", &"new".repeat(1000))]);
        assert!(extract(&whole[..1024], &base, true, false).is_err());
        assert_eq!((fs::read(&base).unwrap(), folder.path().read_dir().unwrap().count()), (b"old".into(), 1));
        extract(&whole[..], &base, true, false).unwrap();
        assert_eq!(fs::read(&base).unwrap().len(), 3000);
        fs::create_dir(folder.path().join("d")).unwrap();
        assert!(extract(&whole[..], &folder.path().join("d"), true, false).is_err(), "a folder is no file");
    }
}

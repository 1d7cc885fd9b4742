//! The file on disk: written next to its destination and moved there once it is complete; encrypted by `encryption` if
//! requested.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::encryption::{self, Encrypted};
use crate::diag::{Error, ErrorKind, Result};

/// How every file begins that `age` encrypted.
const AGE: &[u8] = b"age-encryption.org/";

/// Who can read a file; see each variant.
#[derive(Debug, Default)]
pub enum Seal {
    /// Everyone.
    #[default]
    Open,
    /// The holders of the keys to these recipients (`age1…`).
    Recipients(Vec<String>),
    /// Everyone who knows the passphrase in this file.
    Passphrase(PathBuf),
}

/// How an encrypted file is opened.
#[derive(Debug, Default)]
pub struct Keys {
    /// A file with identities (`AGE-SECRET-KEY-1…`).
    pub identity: Option<PathBuf>,
    /// A file with the passphrase.
    pub passphrase: Option<PathBuf>,
}

pub(super) fn usage(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Usage, message)
}

impl Seal {
    /// Whether it is encrypted.
    pub fn is_closed(&self) -> bool {
        !matches!(self, Self::Open)
    }
}

/// Where the file's bytes go.
enum To {
    Plain(BufWriter<File>),
    Sealed(Encrypted),
}

/// A file that is being written: `FILE.partial` until it is whole. Removed when it is given up.
pub struct Output {
    to: Option<To>,
    partial: PathBuf,
    place: PathBuf,
    written: u64,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("partial", &self.partial).finish_non_exhaustive()
    }
}

impl Output {
    /// Begins a file.
    ///
    /// # Errors
    /// When there is one already and it is not to be replaced, or it can't be written.
    pub fn create(place: &Path, replace: bool, seal: &Seal) -> Result<Self> {
        let encryptor = encryption::encryptor(seal)?;
        if place.is_dir() {
            return Err(usage(format_args!("{} is a folder", place.display())).hint("name a file in it"));
        }
        if !replace && place.exists() {
            return Err(usage(format_args!("file {} already exists", place.display()))
                .hint("choose another name, or replace it with --force"));
        }
        let mut partial = place.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = private(&partial).map_err(|error| cannot_write(&partial, &error))?;
        let file = BufWriter::with_capacity(256 * 1024, file);
        let mut output = Self { to: None, partial, place: place.into(), written: 0 };
        output.to = Some(match encryptor {
            None => To::Plain(file),
            Some(encryptor) => To::Sealed(encryptor.begin(file)?),
        });
        Ok(output)
    }

    /// Everything is written: puts the file in its place. Returns its size.
    ///
    /// # Errors
    /// When it can't be written to the disk.
    pub fn finish(mut self) -> Result<u64> {
        self.close().map_err(|error| cannot_write(&self.place, &error))
    }

    fn close(&mut self) -> io::Result<u64> {
        let mut file = match self.to.take() {
            Some(To::Plain(file)) => file,
            Some(To::Sealed(sealed)) => sealed.finish()?,
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        file.flush()?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.partial, &self.place)?;
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Not every system can do this with a folder; the file itself is on the disk.
        let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
        Ok(file.metadata()?.len())
    }
}

/// A new file that only its owner can read, as it may hold passwords. It is locked while it is written: what a process left
/// that was killed is removed first, and what another one writes just now is not.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    loop {
        match options.open(path) {
            Ok(file) => {
                // Where files can't be locked, the name alone tells.
                let _ = file.try_lock();
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        // A link would lead elsewhere.
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
            let Ok(stale) = File::open(path) else { return Err(io::ErrorKind::AlreadyExists.into()) };
            if matches!(stale.try_lock(), Err(fs::TryLockError::WouldBlock)) {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another `backup` is writing it"));
            }
            if !is_at(&stale, path) {
                continue;
            }
            fs::remove_file(path)?;
        } else {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
    }
}

/// Whether an open file still has this name: another process may have put it elsewhere.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |found: io::Result<fs::Metadata>| found.map(|found| (found.dev(), found.ino())).ok();
    id(file.metadata()) == id(fs::symlink_metadata(path))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// What to do when a file can't be written.
pub fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some room there, or name a file on another disk")
        }
        io::ErrorKind::AlreadyExists => {
            Some("it is not a file that a `backup` left behind: move it away, or choose another name")
        }
        _ => None,
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    let failed = Error::new(ErrorKind::Other, format_args!("can't write {}: {error}", path.display()));
    remedy(error).map(str::to_owned).into_iter().fold(failed, Error::hint)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.to {
            Some(To::Plain(file)) => file.write(bytes),
            Some(To::Sealed(sealed)) => sealed.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        let written = written
            .map_err(|error| io::Error::new(error.kind(), format!("can't write {}: {error}", self.place.display())))?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After its end it no longer exists.
        self.to = None;
        let _ = fs::remove_file(&self.partial);
    }
}

/// Opens a file for reading; decrypts it, where it is encrypted. Its size, and its bytes.
///
/// # Errors
/// When it can't be read, or the key to it is missing.
pub fn open(path: &Path, keys: &Keys) -> Result<(u64, Box<dyn Read>)> {
    let failed = |error: io::Error| usage(format_args!("can't read {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut file = BufReader::with_capacity(256 * 1024, file);
    let sealed = io::BufRead::fill_buf(&mut file).map_err(failed)?.starts_with(AGE);
    if !sealed {
        return Ok((size, Box::new(file)));
    }
    Ok((size, encryption::decrypt(file, path, keys)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        let begin = |replace| -> Result<Output> {
            let mut output = Output::create(&place, replace, &Seal::Open)?;
            output.write_all(b"text")?;
            Ok(output)
        };
        drop(begin(false).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(begin(false).unwrap().finish().unwrap(), 4);
        assert_eq!(fs::read(&place).unwrap(), b"text");
        assert_eq!(begin(false).unwrap_err().kind, ErrorKind::Usage);
        begin(true).unwrap().finish().unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let nowhere = Output::create(&folder.path().join("no/b"), false, &Seal::Open).unwrap_err();
        assert!(nowhere.to_string().contains("no/b.partial"), "{nowhere}");
    }

    #[test]
    fn a_full_disk_is_named_with_file_and_remedy() {
        let error = cannot_write(Path::new("monday.tar"), &io::ErrorKind::StorageFull.into());
        assert!(error.to_string().starts_with("can't write monday.tar: "), "{error}");
        assert_eq!(error.hints, ["free some room there, or name a file on another disk"]);
    }

    #[test]
    fn what_a_process_left_that_was_killed_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (place, partial) = (folder.path().join("a"), folder.path().join("a.partial"));
        fs::write(&partial, "left behind, and longer than what comes").unwrap();
        let first = Output::create(&place, false, &Seal::Open).unwrap();
        let second = Output::create(&place, false, &Seal::Open).unwrap_err();
        assert!(second.to_string().contains("another `backup` is writing it"), "{second}");
        assert_eq!(first.finish().unwrap(), 0);
        assert_eq!(fs::read(&place).unwrap(), b"");
        #[cfg(unix)]
        {
            let other = folder.path().join("other");
            fs::write(&other, "precious").unwrap();
            std::os::unix::fs::symlink(&other, &partial).unwrap();
            assert!(Output::create(&place, true, &Seal::Open).unwrap_err().hints[0].contains("move it away"));
            assert_eq!(fs::read(&other).unwrap(), b"precious");
        }
    }
}

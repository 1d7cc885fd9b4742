//! Files that are there whole or not at all: written beside their place, and renamed when they are whole.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::diag::{Error, ErrorKind, Result};

/// A file that is being written. Given up, it leaves nothing, and what was in its place stays.
#[derive(Debug)]
pub(super) struct WholeFile {
    file: Option<File>,
    partial: PathBuf,
    place: PathBuf,
}

impl WholeFile {
    /// Begins a file; one in its place is replaced when the new one is whole.
    ///
    /// # Errors
    /// When it can't be created.
    pub(super) fn create(place: &Path) -> Result<Self> {
        // A link stays one, and leads to the new file.
        let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
        let mut name = place.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let partial = place.with_file_name(name);
        match File::create_new(&partial) {
            Ok(file) if !place.is_dir() => Ok(Self { file: Some(file), partial, place }),
            Ok(_) => {
                let _ = std::fs::remove_file(&partial);
                Err(Error::new(ErrorKind::Usage, format_args!("{} is a folder; name a file in it", place.display())))
            }
            Err(error) => Err(failed(&place, &error)),
        }
    }

    /// Appends.
    ///
    /// # Errors
    /// When the disk is full, for instance.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(|error| failed(&self.place, &error)),
            None => Ok(()),
        }
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn finish(mut self) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let done = file.sync_all().and_then(|()| std::fs::rename(&self.partial, &self.place));
        done.map_err(|error| {
            let _ = std::fs::remove_file(&self.partial);
            failed(&self.place, &error)
        })
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Writes a file at once.
///
/// # Errors
/// When it can't be written.
pub(super) fn write(place: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = WholeFile::create(place)?;
    file.write(bytes)?;
    file.finish()
}

fn failed(place: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Other, format_args!("{} can't be written: {error}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_leaves_the_file_that_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        write(&place, b"old").unwrap();
        let mut file = WholeFile::create(&place).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert_eq!((std::fs::read(&place).unwrap(), folder.path().read_dir().unwrap().count()), (b"old".to_vec(), 1));
        write(&place, b"new").unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"new");
        assert!(write(folder.path(), b"x").unwrap_err().to_string().contains("is a folder"));
    }
}

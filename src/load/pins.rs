//! Reads and writes services.lock, next to services.toml.

use std::io::{ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bounded;
use crate::config::{MAX_BYTES, lockfile};
use crate::diag::{Error, ErrorKind, Result, Source};
use crate::model::Pins;

/// The file that says which digest each image has to have.
pub const FILE: &str = "services.lock";

/// What the lock file of a folder says.
///
/// # Errors
/// [`ErrorKind::Usage`] when it is missing, can't be read or is broken; every problem with its place.
pub fn read(root: &Path) -> Result<Pins> {
    let path = root.join(FILE);
    let text = bounded::text(&path, MAX_BYTES as u64).map_err(|error| {
        let reason = match error.kind() {
            Io::NotFound => "it doesn't exist".into(),
            Io::InvalidData => "it is not valid UTF-8".into(),
            _ => error.to_string(),
        };
        Error::new(ErrorKind::Usage, format_args!("{} can't be read: {reason}", path.display()))
            .hint("write it with: taskava dev lock")
    })?;
    let (pins, problems) = lockfile::parse(&Arc::new(Source { name: FILE.into(), text }));
    if problems.is_empty() { Ok(pins) } else { Err(Error::configuration(problems)) }
}

/// Writes the lock file of a folder, whole or not at all.
///
/// # Errors
/// When it can't be written.
pub fn write(root: &Path, pins: &Pins) -> Result<PathBuf> {
    let (path, new) = (root.join(FILE), root.join(format!("{FILE}.new")));
    // A leftover of an earlier run, or a link in its place, is not followed.
    let _ = std::fs::remove_file(&new);
    let written = std::fs::File::create_new(&new)
        .and_then(|mut file| file.write_all(lockfile::render(pins).as_bytes()))
        .and_then(|()| std::fs::rename(&new, &path));
    written.map_err(|error| Error::new(ErrorKind::Other, format_args!("can't write {}: {error}", path.display())))?;
    Ok(path)
}

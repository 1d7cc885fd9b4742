//! Compose files as the services.toml they would become, without writing one: a stack runs from them directly.

use std::path::{Path, PathBuf};

use super::import::{Options, import};
use super::read;
use crate::diag::{Error, ErrorKind, Result};
use crate::load::Converted;

/// Reads Compose files; without any, the ones docker compose would use in the folder. `env_files`: instead of `.env`.
///
/// # Errors
/// When there is none, or one can't be read; every problem with its place. When they have no services.
pub fn convert(files: &[PathBuf], here: &Path, env_files: &[PathBuf]) -> Result<Converted> {
    let document = read::read(files, here, None, env_files)?;
    let imported = import(&document, Options { loopback: false, exists: Path::exists, create_folders: false });
    if imported.services.is_empty() {
        let named: Vec<String> = document.files.iter().map(|file| file.display().to_string()).collect();
        return Err(Error::new(ErrorKind::Usage, format_args!("{} has no services", named.join(", ")))
            .hint("name the file that has them with --file")
            .hint("or create a services.toml here: taskava dev init --fresh"));
    }
    // What is only done in another way matters when the file is converted.
    let lost = imported.notes.iter().filter(|note| note.lost);
    let notes = lost.map(ToString::to_string).collect();
    Ok(Converted { folder: document.folder, files: document.files, text: imported.text, notes })
}

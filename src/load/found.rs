//! Which files a stack is made from: the named ones, or the nearest services.toml, or the nearest Compose files.

use std::path::{Path, PathBuf};

use super::{Convert, LoadOptions};
use crate::config::{FILE, STACK_FILES};
use crate::diag::{Error, ErrorKind, Result};

/// What a stack is made from.
pub(super) struct Found {
    /// What comes first.
    pub(super) first: First,
    /// Whether the file with overrides for one machine, next to it, counts.
    pub(super) with_override: bool,
    /// services.toml files that override it, canonical.
    pub(super) more: Vec<PathBuf>,
}

/// The first file of a stack.
pub(super) enum First {
    /// A services.toml, canonical.
    Toml(PathBuf),
    /// Compose files, as they are named, and what reads them; without any, the ones docker compose would use.
    Compose(Vec<PathBuf>, Convert),
}

impl Found {
    /// What [`LoadOptions`] select, seen from a folder.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when there is nothing, or a named file doesn't exist.
    pub(super) fn of(options: &LoadOptions, here: &Path) -> Result<Self> {
        if options.files.is_empty() { search(options, here) } else { named(options, here) }
    }

    /// The folder of the first file, as far as that is known without reading it.
    pub(super) fn root(&self, here: &Path) -> PathBuf {
        let file = match &self.first {
            First::Toml(file) => Some(file.clone()),
            First::Compose(files, _) => {
                let nearest = || here.ancestors().find_map(compose_file);
                files.first().map(|file| here.join(file)).or_else(nearest)
            }
        };
        let folder = file.as_deref().and_then(Path::parent).unwrap_or(here);
        folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf())
    }
}

/// The Compose file of a folder, if it has one.
pub fn compose_file(folder: &Path) -> Option<PathBuf> {
    STACK_FILES[1..].iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// A path without links in its folder; none if there is no such folder.
pub(super) fn canonical(path: &Path, here: &Path) -> Option<PathBuf> {
    // The folder is made canonical, not the file: a link to a shared services.toml is a file of the folder it is in.
    let folder = here.join(path.parent()?).canonicalize().ok()?;
    Some(folder.join(path.file_name()?))
}

/// Whether a file is a Compose file, by its name.
pub(super) fn is_compose(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

fn named(options: &LoadOptions, here: &Path) -> Result<Found> {
    let of_folder = |folder: &Path| -> PathBuf {
        let toml = folder.join(FILE);
        let compose = || options.convert.and_then(|_| compose_file(folder));
        if toml.is_file() { toml } else { compose().unwrap_or(toml) }
    };
    let files = options.files.iter().map(|asked| {
        let path = here.join(asked);
        let path = if path.is_dir() { of_folder(&path) } else { path };
        canonical(&path, here).filter(|path| path.is_file()).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format_args!("{} doesn't exist", path.display()))
                .hint("name another file with --file")
        })
    });
    let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    if let Some(convert) = options.convert.filter(|_| is_compose(&files[0])) {
        let end = files.iter().position(|file| !is_compose(file)).unwrap_or(files.len());
        let more = files.split_off(end);
        return Ok(Found { first: First::Compose(files, convert), with_override: true, more });
    }
    let file = files.remove(0);
    let with_override = file.file_name().is_some_and(|name| name == FILE);
    Ok(Found { first: First::Toml(file), with_override, more: files })
}

/// The nearest folder that has a file. docker compose prefers the files that `COMPOSE_FILE` names: there, `convert` does.
fn search(options: &LoadOptions, here: &Path) -> Result<Found> {
    let found = |first| Found { first, with_override: true, more: Vec::new() };
    let usual = || options.convert.map(|convert| found(First::Compose(Vec::new(), convert)));
    for folder in here.ancestors() {
        let path = folder.join(FILE);
        if path.is_file() {
            let file = canonical(&path, here)
                .ok_or_else(|| Error::new(ErrorKind::Other, format_args!("{} can't be read", path.display())))?;
            return Ok(found(First::Toml(file)));
        }
        if compose_file(folder).is_some()
            && let Some(found) = usual()
        {
            return Ok(found);
        }
    }
    let by_variable = std::env::var_os("COMPOSE_FILE").is_some_and(|files| !files.is_empty());
    if by_variable && let Some(found) = usual() {
        return Ok(found);
    }
    let message = format!("no {FILE} in {} or a folder above it", here.display());
    let composes = here.ancestors().find_map(compose_file);
    let name = composes.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    Err(Error::new(ErrorKind::Usage, message)
        .hint(match name {
            Some(name) => format!("create one from {name}: taskava dev import"),
            None => "create one: taskava dev init".into(),
        })
        .hint("change to the project's folder, or name the file with --file"))
}

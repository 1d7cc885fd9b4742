//! A build context: which files of a folder belong to it, and their hashes. Reads the file system, changes nothing.
//! Sending it is up to `engine::build`, what follows from a hash is up to `plan`.

mod hash;
mod ignore;
mod stages;

use std::fs;
use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

pub use hash::content;
pub use stages::with_stages;

pub(crate) use self::ignore::Ignore;
use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Build, BuildOptions};

/// Where a Dockerfile from outside the context is put inside it.
const OUTSIDE: &str = ".taskava.dockerfile";

/// The files of a build context, in a fixed order: parents first, names sorted.
#[derive(Debug)]
pub struct Context {
    /// The files.
    pub entries: Vec<Entry>,
    /// The Dockerfile among them.
    pub dockerfile: String,
    /// Where it is on disk.
    pub dockerfile_source: PathBuf,
    /// The Dockerfile is for the builder alone: it is left out by the patterns, or is outside.
    pub hides_dockerfile: bool,
    /// The folder, without links in its path.
    root: PathBuf,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the context, with slashes.
    pub path: String,
    /// Where it is on disk.
    pub source: PathBuf,
    /// What it is.
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Modified at, seconds since 1970. No builder looks at it to know whether a file changed.
    pub modified: u64,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File(u64),
    /// A symbolic link; it is sent as such, wherever it leads.
    Link(PathBuf),
    /// A file that is not on disk: the Dockerfile of services.toml.
    Text(String),
}

impl Context {
    /// Lists what would be sent.
    ///
    /// # Errors
    /// When something can't be read ([`ErrorKind::Image`]), or a pattern of .dockerignore makes no sense.
    pub fn list(build: &Build) -> Result<Self> {
        let dockerfile_source = build.context.join(&build.dockerfile);
        let dockerfile = build.inline.is_none().then(|| inside(&build.context, &dockerfile_source)).flatten();
        let ignore = ignore(build)?;
        let hides_dockerfile = dockerfile.as_ref().is_none_or(|path| ignore.leaves_out(path));
        let mut listing = Listing { ignore, dockerfile: dockerfile.as_deref(), entries: Vec::new() };
        listing.folder(&build.context, "")?;
        let mut entries = listing.entries;
        if let Some(text) = &build.inline {
            let what = What::Text(text.clone());
            entries.push(Entry { path: OUTSIDE.into(), source: PathBuf::new(), what, mode: 0o644, modified: 0 });
        } else if dockerfile.is_none() {
            entries.extend(entry(OUTSIDE.into(), dockerfile_source.clone())?);
        }
        let root = build.context.canonicalize().map_err(|error| unreadable(&build.context, &error))?;
        let dockerfile = dockerfile.unwrap_or_else(|| OUTSIDE.into());
        Ok(Self { entries, dockerfile, dockerfile_source, hides_dockerfile, root })
    }

    /// What the steps of a build see, and the Dockerfile apart, where they are not to see that. None where it is one of the
    /// files.
    ///
    /// # Errors
    /// As [`Context::list`].
    pub(crate) fn without_dockerfile(build: &Build) -> Result<Option<(Self, Entry)>> {
        let context = Self::list(build)?;
        let found = context.entries.iter().find(|entry| entry.path == context.dockerfile);
        let Some(dockerfile) = found.filter(|_| context.hides_dockerfile) else { return Ok(None) };
        let name = context.dockerfile.rsplit('/').next().unwrap_or_default().to_owned();
        let mut dockerfile = Entry { path: name, ..dockerfile.clone() };
        // It may be a link, which would lead nowhere by itself.
        if let What::Link(_) = dockerfile.what {
            let source = dockerfile.source.canonicalize().map_err(|error| unreadable(&dockerfile.source, &error))?;
            let name = dockerfile.path;
            let Some(real) = entry(name, source)? else { return Ok(None) };
            dockerfile = real;
        }
        let mut listing = Listing { ignore: ignore(build)?, dockerfile: None, entries: Vec::new() };
        listing.folder(&build.context, "")?;
        Ok(Some((Self { entries: listing.entries, ..context }, dockerfile)))
    }

    /// The folder that one of its files must lie in when it is read; for a Dockerfile from outside, any.
    pub(crate) fn folder_of(&self, entry: &Entry) -> &Path {
        if entry.path == OUTSIDE { Path::new("/") } else { &self.root }
    }
}

/// The text of a Dockerfile.
///
/// # Errors
/// When its file can't be read.
pub fn dockerfile(build: &Build) -> std::io::Result<String> {
    match &build.inline {
        Some(text) => Ok(text.clone()),
        None => bounded::text(&build.context.join(&build.dockerfile), bounded::WRITTEN),
    }
}

/// How an image of a folder alone is built: what a named context is until the build is done.
pub fn of_folder(folder: &Path) -> Build {
    Build {
        context: folder.to_path_buf(),
        dockerfile: "Dockerfile".into(),
        inline: Some("FROM scratch\nCOPY . /\n".into()),
        target: None,
        contexts: IndexMap::new(),
        args: IndexMap::new(),
        cache_from: Vec::new(),
        secrets: IndexMap::new(),
        options: BuildOptions::default(),
    }
}

/// Where the patterns may be, the first that exists counts: beside the Dockerfile, else at the top of the context.
pub(crate) fn ignore_files(build: &Build) -> [PathBuf; 2] {
    [build.context.join(format!("{}.dockerignore", build.dockerfile)), build.context.join(".dockerignore")]
}

/// The patterns that hold.
pub(crate) fn ignore(build: &Build) -> Result<Ignore> {
    for path in ignore_files(build) {
        match bounded::text(&path, bounded::WRITTEN) {
            Ok(text) => return Ignore::parse(&text, &path.display().to_string()),
            Err(error) if error.kind() == Io::NotFound => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    Ok(Ignore::default())
}

/// A path relative to the context, if it is inside.
fn inside(root: &Path, path: &Path) -> Option<String> {
    let folder = path.parent()?.canonicalize().ok()?;
    let inside = folder.strip_prefix(root.canonicalize().ok()?).ok()?.join(path.file_name()?);
    let parts = inside.iter().map(|part| part.to_str()).collect::<Option<Vec<_>>>()?;
    Some(parts.join("/"))
}

struct Listing<'a> {
    ignore: Ignore,
    dockerfile: Option<&'a str>,
    entries: Vec<Entry>,
}

impl Listing<'_> {
    fn folder(&mut self, folder: &Path, inside: &str) -> Result<()> {
        let read = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut found = read.map_err(|error| unreadable(folder, &error))?;
        found.sort_by_key(fs::DirEntry::file_name);
        for found in found {
            let source = found.path();
            let Ok(name) = found.file_name().into_string() else {
                let message = format!("can't send {} to the builder: its name is not UTF-8", source.display());
                return Err(
                    Error::new(ErrorKind::Image, message).hint("rename it, or name its folder in .dockerignore")
                );
            };
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            let is_folder = found.file_type().is_ok_and(|kind| kind.is_dir());
            let left_out = self.ignore.leaves_out(&path);
            if !left_out || self.is_dockerfile(&path) {
                self.add(&path, &source)?;
            }
            if is_folder && (!left_out || self.ignore.may_keep_inside(&path) || self.leads_to_dockerfile(&path)) {
                self.folder(&source, &path)?;
            }
        }
        Ok(())
    }

    /// The builder needs it, whatever the patterns say.
    fn is_dockerfile(&self, path: &str) -> bool {
        self.dockerfile == Some(path)
    }

    fn leads_to_dockerfile(&self, folder: &str) -> bool {
        self.dockerfile.is_some_and(|path| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Adds a file, after the folders above it that were left out.
    fn add(&mut self, path: &str, source: &Path) -> Result<()> {
        let levels: Vec<&Path> = source.ancestors().skip(1).take(path.matches('/').count()).collect();
        for (level, source) in levels.iter().rev().enumerate() {
            let end = path.match_indices('/').nth(level).map_or(path.len(), |(end, _)| end);
            let folder = &path[..end];
            // Those that were added are right before, one below the other.
            let is_there = |entry: &Entry| entry.path == folder || entry.path.starts_with(&format!("{folder}/"));
            if !self.entries.last().is_some_and(is_there) {
                self.entries.extend(entry(folder.to_owned(), source.to_path_buf())?);
            }
        }
        self.entries.extend(entry(path.to_owned(), source.to_path_buf())?);
        Ok(())
    }
}

/// Looks at a file; none for sockets, pipes and devices, which can't be sent.
fn entry(path: String, source: PathBuf) -> Result<Option<Entry>> {
    let metadata = fs::symlink_metadata(&source).map_err(|error| unreadable(&source, &error))?;
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        What::Folder
    } else if kind.is_file() {
        What::File(metadata.len())
    } else if kind.is_symlink() {
        What::Link(fs::read_link(&source).map_err(|error| unreadable(&source, &error))?)
    } else {
        return Ok(None);
    };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Ok(Some(Entry { path, source, what, mode: mode(&metadata), modified: modified.map_or(0, |time| time.as_secs()) }))
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777
}

/// Where files have no such bits, everything can be run, as with docker.
#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0o755
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Image, format_args!("can't read {} of a build context: {error}", path.display()))
        .hint("make it readable, or name it in .dockerignore if the build does not need it")
}

#[cfg(test)]
mod tests;

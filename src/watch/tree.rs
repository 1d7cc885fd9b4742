//! The watched files as they were when last read, to distinguish a change from a save that changed nothing. Also keeps
//! the set of watched folders up to date, because new folders are found while reading.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Read as _};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::filter::Filter;
use super::source::{Source, Trouble};

/// Files above this size are told apart by size and time alone.
const HASH_LIMIT: u64 = 256 << 20;

/// What a file was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    len: u64,
    modified: Option<SystemTime>,
    executable: bool,
    /// A link, which is what it says; what it leads to is a file of its own.
    link: bool,
    /// Of its content.
    hash: u64,
}

impl Seen {
    /// Whether the file differs for a reader; the time it was written does not matter.
    fn differs(&self, other: &Self) -> bool {
        (self.len, self.executable, self.link, self.hash) != (other.len, other.executable, other.link, other.hash)
    }
}

/// A file that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) path: PathBuf,
    pub(super) gone: bool,
}

/// How much is believed of what the system says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The same size and time mean the same content.
    Times,
    /// Only the content does.
    Nothing,
}

/// The watched files.
#[derive(Debug)]
pub(super) struct Tree {
    filter: Arc<Filter>,
    source: Source,
    known: BTreeMap<PathBuf, Seen>,
    folders: BTreeSet<PathBuf>,
    changed: Vec<Changed>,
    /// Links that lead to where nothing is watched.
    leading_out: Vec<PathBuf>,
    /// What was not known so far is no change.
    adopting: bool,
}

impl Tree {
    /// Looks at everything for the first time.
    pub(super) fn new(filter: Arc<Filter>, source: Source) -> Self {
        let (known, folders) = (BTreeMap::new(), BTreeSet::new());
        let (changed, leading_out) = (Vec::new(), Vec::new());
        let mut tree = Self { filter, source, known, folders, changed, leading_out, adopting: true };
        tree.all(Trust::Nothing);
        tree.adopting = false;
        tree
    }

    /// How many folders and files are watched.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.folders.len(), self.known.len())
    }

    /// Links that were found to lead to where nothing is watched, since this was asked last.
    pub(super) fn take_leading_out(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.leading_out)
    }

    /// Why files have to be looked for, if the system does not tell.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.source.trouble()
    }

    /// Applies other rules. Files that they add count as known, not as changed; other changes are returned.
    pub(super) fn follow(&mut self, filter: Arc<Filter>) -> Vec<Changed> {
        self.filter = filter;
        self.adopt();
        std::mem::take(&mut self.changed)
    }

    /// Which of these paths, and of what is below them, changed.
    pub(super) fn look(&mut self, paths: &[PathBuf]) -> Vec<Changed> {
        if paths.iter().any(|path| self.filter.is_of_ignores(path)) {
            self.filter.forget();
            self.adopt();
        }
        for path in paths {
            self.path(path, Trust::Nothing);
        }
        std::mem::take(&mut self.changed)
    }

    /// Everything that changed.
    pub(super) fn rescan(&mut self, trust: Trust) -> Vec<Changed> {
        if trust == Trust::Nothing {
            // It may be a .gitignore that was missed.
            self.filter.forget();
        }
        self.all(trust);
        std::mem::take(&mut self.changed)
    }

    /// Takes what there is by the rules there are for granted.
    fn adopt(&mut self) {
        let filter = self.filter.clone();
        self.known.retain(|path, _| filter.is_of_stack(path) || !filter.hits(path, false).is_empty());
        self.adopting = true;
        self.all(Trust::Times);
        self.adopting = false;
    }

    fn all(&mut self, trust: Trust) {
        let filter = self.filter.clone();
        for folder in filter.single_folders() {
            self.watch(&folder);
        }
        let known: Vec<PathBuf> = self.known.keys().cloned().collect();
        for root in filter.roots() {
            self.path(root, trust);
        }
        for file in filter.single_files() {
            self.path(file, trust);
        }
        // What is known and was not found was removed, or is found to exist.
        for path in known {
            if fs::symlink_metadata(&path).is_err() {
                self.path(&path, trust);
            }
        }
    }

    /// Looks at whatever is there.
    fn path(&mut self, path: &Path, trust: Trust) {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => self.folder(path, trust),
            // A file that the stack was made from may be a link; what counts is what it leads to.
            Ok(found) if found.is_symlink() && self.filter.is_of_stack(path) => match fs::metadata(path) {
                Ok(found) if found.is_file() => self.file(path, &found, trust),
                _ => self.gone(path),
            },
            Ok(found) if found.is_file() || found.is_symlink() => self.file(path, &found, trust),
            // A socket or a pipe in the place of a file.
            Ok(_) => self.gone(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_no_folder(&error) => self.gone(path),
            // What can't be read can't have been changed for us.
            Err(_) => {}
        }
    }

    fn folder(&mut self, path: &Path, trust: Trust) {
        // A file, or a link, that became a folder.
        if self.known.remove(path).is_some() {
            self.changed.push(Changed { path: path.to_path_buf(), gone: true });
        }
        if !self.filter.walks(path) {
            return;
        }
        // Before it is read, so that nothing falls between.
        self.watch(path);
        let Ok(entries) = fs::read_dir(path) else { return };
        let mut there: BTreeSet<PathBuf> = BTreeSet::new();
        for entry in entries.flatten() {
            self.path(&entry.path(), trust);
            there.insert(entry.path());
        }
        let missing: Vec<PathBuf> =
            self.below(path).filter(|known| !known.ancestors().any(|part| there.contains(part))).cloned().collect();
        for path in missing {
            self.gone(&path);
        }
    }

    fn file(&mut self, path: &Path, found: &Metadata, trust: Trust) {
        if !self.filter.is_of_stack(path) && self.filter.hits(path, false).is_empty() {
            return;
        }
        // A folder that became a file, or a link.
        if self.folders.contains(path) || self.below(path).next().is_some() {
            self.gone(path);
        }
        let link = found.is_symlink();
        if link && !self.known.contains_key(path) && self.leads_out(path) {
            self.leading_out.push(path.to_path_buf());
        }
        let known = self.known.get(path);
        let as_before =
            |known: &Seen| known.len == found.len() && known.modified == found.modified().ok() && known.link == link;
        if trust == Trust::Times && known.is_some_and(as_before) {
            return;
        }
        let read = if link {
            fs::read_link(path).map(|to| hash_of(to.as_os_str().as_encoded_bytes()))
        } else {
            hash(path, found)
        };
        let Ok(hash) = read else { return };
        let executable = !link && is_executable(found);
        let seen = Seen { len: found.len(), modified: found.modified().ok(), executable, link, hash };
        if known.map_or(!self.adopting, |known| known.differs(&seen)) {
            self.changed.push(Changed { path: path.to_path_buf(), gone: false });
        }
        self.known.insert(path.to_path_buf(), seen);
    }

    /// A file that was removed, or a folder with all that was in it.
    fn gone(&mut self, path: &Path) {
        let mut lost: Vec<PathBuf> = self.below(path).cloned().collect();
        lost.extend(self.known.contains_key(path).then(|| path.to_path_buf()));
        for path in lost {
            self.known.remove(&path);
            self.changed.push(Changed { path, gone: true });
        }
        let folders: Vec<PathBuf> = self.folders.iter().filter(|folder| folder.starts_with(path)).cloned().collect();
        for folder in folders {
            self.source.unwatch(&folder);
            self.folders.remove(&folder);
        }
    }

    /// Whether a link leads to where nothing is watched.
    fn leads_out(&self, link: &Path) -> bool {
        link.canonicalize().is_ok_and(|to| !self.filter.roots().any(|root| to.starts_with(root)))
    }

    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        let after = (Bound::Excluded(path.to_path_buf()), Bound::Unbounded);
        self.known.range(after).map(|(known, _)| known).take_while(move |known| known.starts_with(path))
    }

    /// Watches a folder; again, if it was watched already: it may be another one of the same name.
    fn watch(&mut self, folder: &Path) {
        if !self.folders.insert(folder.to_path_buf()) {
            if self.adopting {
                return;
            }
            self.source.unwatch(folder);
        }
        self.source.watch(folder);
    }
}

/// Something above it is a file now.
fn is_no_folder(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn hash(path: &Path, found: &Metadata) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    if found.len() > HASH_LIMIT {
        let modified = found.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        hasher.write_u128(modified.as_nanos());
        return Ok(hasher.finish());
    }
    let mut file = File::open(path)?;
    let mut buffer = vec![0; usize::try_from(found.len().clamp(512, 1 << 16)).unwrap_or(1 << 16)];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.write(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(unix)]
fn is_executable(found: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    found.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}

//! Copy-on-write views: what an isolated stack mounts for a writable host path. An overlay if the engine can mount one,
//! otherwise a copy if it is not large; if neither is possible, the path itself, reported once, or refused if a
//! database may keep its files there. How a view is created is up to `engine::views`.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Engine, Upload, Witness};
use crate::event::{Event, Events};
use crate::kinds;
use crate::model::{Held, Mount, MountSource, Service, Stack};

/// How much is copied at most, in bytes.
const LARGEST: u64 = 256 << 20;

/// What a file counts at least, in bytes: so many take their time, however small they are.
const SMALLEST: u64 = 4096;

/// How many files are looked at for one by which a folder is known again.
const GLANCE: usize = 64;

/// Paths that contain no data, and only work as they are.
const SYSTEM: [&str; 5] = ["/dev", "/proc", "/sys", "/run", "/var/run"];

/// A service with every view that its container is made with; none when it has none that is not known yet. What is not
/// there is made. `turn` is held meanwhile: services may have the same views. The service's image has to be there.
///
/// # Errors
/// When the engine refuses, or a database would work on the files of the developer's ([`ErrorKind::Usage`]).
pub async fn settle(
    engine: &Engine,
    stack: &Stack,
    service: &Service,
    events: &Events,
    turn: &Mutex<()>,
) -> Result<Option<Service>> {
    let is_unknown = |mount: &Mount| matches!(&mount.source, MountSource::View { held: Held::Unknown, .. });
    if !service.mounts.iter().any(is_unknown) {
        return Ok(None);
    }
    let _turn = turn.lock().await;
    let mut settled = service.clone();
    for mount in &mut settled.mounts {
        if let MountSource::View { of, held } = &mut mount.source {
            *held = Viewing { engine, stack, service, events, of, target: &mount.target }.held().await?;
        }
    }
    Ok(Some(settled))
}

/// One mount.
struct Viewing<'a> {
    engine: &'a Engine,
    stack: &'a Stack,
    service: &'a Service,
    events: &'a Events,
    of: &'a Path,
    target: &'a str,
}

impl Viewing<'_> {
    async fn held(&self) -> Result<Held> {
        let found = match fs::metadata(self.of) {
            Ok(found) => found,
            // It is there for the engine alone, or not at all, which the engine says.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Itself),
            Err(error) => return self.shared(&error.to_string()).await,
        };
        let path = self.of.canonicalize()?;
        let data = found.is_dir() || found.is_file();
        if !data || [self.of, &path].iter().any(|path| is_system(path)) {
            return Ok(Held::Itself);
        }
        if let Some(held) = self.engine.view(self.stack, self.of, found.is_file()).await? {
            return Ok(held);
        }
        if found.is_dir()
            && let Some(root) = owner(&found)
            && !has_mounts(&path)
            && let Some(held) =
                self.engine.overlay(self.stack, self.service, self.of, root, witness(&path).as_ref()).await?
        {
            return Ok(held);
        }
        let copied = path.clone();
        let files = tokio::task::spawn_blocking(move || files(&copied)).await.map_err(anyhow::Error::from)?;
        match files {
            Ok(files) => self.engine.copy_view(self.stack, self.service, self.of, files, found.is_file()).await,
            Err(why) => self.shared(&why).await,
        }
    }

    /// The path itself, because there can be no view of it.
    async fn shared(&self, why: &str) -> Result<Held> {
        let (name, target) = (&self.service.name, self.target);
        let source = match self.of.strip_prefix(&self.stack.root) {
            Ok(inside) => format!("./{}", inside.display()),
            Err(_) => self.of.display().to_string(),
        };
        let table = format!("{{ source = \"{source}\", target = \"{target}\", shared = true }}");
        let cannot =
            format!("{source} can't be kept apart for this run: the engine mounts no overlay of it, and {why}");
        let volumes = self.engine.image(&self.service.image).await?.map(|image| image.volumes).unwrap_or_default();
        if kinds::may_hold_database(self.service, &volumes, target) {
            let message = format!("{cannot}; two servers that work on the same files would destroy them");
            return Err(Error::new(ErrorKind::Usage, message).hint(format!(
                "keep the data in a named volume: volumes = [\"{name}-data:{target}\"]; or, if no other server uses these \
                 files, say that they are meant to be shared: {table}"
            )));
        }
        self.events.emit(&Event::Warning {
            message: format!("{name}: {cannot}; what it writes to {target} is written there"),
            hint: Some(format!("if that is intended, say so in `volumes` of [services.{name}]: {table}")),
        });
        Ok(Held::Itself)
    }
}

fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|folder| path.starts_with(folder))
}

/// Owner, group and mode; none where there are no such numbers.
#[cfg(unix)]
fn owner(found: &Metadata) -> Option<(u32, u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((found.uid(), found.gid(), found.mode()))
}

#[cfg(not(unix))]
fn owner(_: &Metadata) -> Option<(u32, u32, u32)> {
    None
}

/// Whether something is mounted below a folder: an overlay would show what lies under it.
fn has_mounts(folder: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(4).map(|point| PathBuf::from(point.replace("\\040", " ")));
    mounts.lines().filter_map(point).any(|point| point != folder && point.starts_with(folder))
}

/// A file of a folder that was not written to for long.
fn witness(folder: &Path) -> Option<Witness> {
    let mut found: Vec<(std::time::SystemTime, Witness)> = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    let mut left = GLANCE;
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten().take(left) {
            left -= 1;
            let Ok(seen) = entry.metadata() else { continue };
            if seen.is_dir() {
                folders.insert(0, entry.path());
            } else if seen.is_file()
                && let (Ok(modified), Some(name)) =
                    (seen.modified(), entry.path().strip_prefix(folder).ok().and_then(Path::to_str))
            {
                found.push((modified, Witness { name: name.into(), size: seen.len() }));
            }
        }
    }
    found.into_iter().min_by_key(|(modified, _)| *modified).map(|(_, witness)| witness)
}

/// Everything below a path, folders before what is in them; or why it is not copied.
fn files(path: &Path) -> std::result::Result<Vec<Upload>, String> {
    let within = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let mut walk = Walk { within, left: LARGEST, files: Vec::new() };
    walk.add(path, String::new())?;
    Ok(walk.files)
}

struct Walk<'a> {
    within: &'a Path,
    /// Bytes that may still be copied.
    left: u64,
    files: Vec<Upload>,
}

impl Walk<'_> {
    fn add(&mut self, path: &Path, to: String) -> std::result::Result<(), String> {
        let unreadable = |error: io::Error| format!("{} can't be read for a copy: {error}", path.display());
        let found = fs::symlink_metadata(path).map_err(unreadable)?;
        let size = if found.is_file() { found.len().max(SMALLEST) } else { SMALLEST };
        self.left = self.left.checked_sub(size).ok_or("it is larger than the 256 MiB that are copied")?;
        if found.is_file() {
            File::open(path).map_err(unreadable)?;
        }
        let entries = if found.is_dir() { Some(fs::read_dir(path).map_err(unreadable)?) } else { None };
        self.files.push(Upload { from: path.into(), within: self.within.into(), to: to.clone() });
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let name =
                name.to_str().ok_or_else(|| format!("{} has a name that is not UTF-8", entry.path().display()))?;
            self.add(&entry.path(), if to.is_empty() { name.into() } else { format!("{to}/{name}") })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_listed_folders_first_and_has_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/c"), "c").unwrap();
        let listed = files(&top).unwrap();
        let names: Vec<&str> = listed.iter().map(|file| file.to.as_str()).collect();
        assert_eq!(names, ["", "a", "a/b", "a/b/c"]);
        assert_eq!(files(&top.join("a/b/c")).unwrap().len(), 1);
        let large = File::create(top.join("a/large")).unwrap();
        large.set_len(LARGEST - 4 * SMALLEST).unwrap();
        assert!(files(&top).is_ok());
        large.set_len(LARGEST - 4 * SMALLEST + 1).unwrap();
        assert!(files(&top).unwrap_err().contains("larger than the 256 MiB"));
    }

    #[test]
    fn a_folder_is_known_again_by_a_file_of_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(witness(folder.path()), None);
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), "four").unwrap();
        assert_eq!(witness(folder.path()), Some(Witness { name: "a/b/c".into(), size: 4 }));
    }

    #[test]
    fn what_is_the_systems_stays_as_it_is() {
        for (path, is) in [("/dev/kvm", true), ("/var/run/x.sock", true), ("/devel/app", false), ("/home/run", false)] {
            assert_eq!(is_system(Path::new(path)), is, "{path}");
        }
    }
}

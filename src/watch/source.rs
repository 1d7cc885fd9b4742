//! Reports that a path was touched: from system events, folder by folder; or, if they are not available, by polling,
//! which is then up to the caller. The only module that uses the crate `notify`.
//!
//! The crate's own polling watcher compares times in seconds and would miss the second of two quick saves.

use std::fs;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::UnboundedSender;

/// What the system tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FsEvent {
    /// These paths were touched.
    Touched(Vec<PathBuf>),
    /// Something was, but it lost count.
    Overflow,
}

/// Why files have to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It was asked for.
    Asked,
    /// No more folders can be watched; the setting that says so.
    Limit(&'static str),
    /// Changes made elsewhere are not told on this kind of file system.
    FileSystem {
        /// `nfs4`, `9p`, …
        kind: String,
        /// Which folder is on it.
        path: PathBuf,
    },
    /// Anything else, in the system's words.
    Other(String),
}

/// The system's watcher, or the reason why there is none.
#[derive(Debug)]
pub(super) struct Source {
    watcher: Option<RecommendedWatcher>,
    trouble: Option<Trouble>,
}

impl Source {
    /// Asks the system to tell about these folders' files, unless it is known that it can't.
    pub(super) fn new<'a>(poll: bool, roots: impl Iterator<Item = &'a Path>, to: UnboundedSender<FsEvent>) -> Self {
        let without = |trouble| Self { watcher: None, trouble: Some(trouble) };
        if poll {
            return without(Trouble::Asked);
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for root in roots {
            if let Some(kind) = file_system(&mounts, root).filter(|kind| is_silent(kind)) {
                return without(Trouble::FileSystem { kind: kind.to_owned(), path: root.to_path_buf() });
            }
        }
        let tell = move |event: notify::Result<notify::Event>| {
            // There is no receiver after the watch has ended.
            let _ = translate(event).map(|told| to.send(told));
        };
        match notify::recommended_watcher(tell) {
            Ok(watcher) => Self { watcher: Some(watcher), trouble: None },
            Err(error) => without(trouble(&error)),
        }
    }

    /// Why files have to be looked for, if they have to.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Wants to be told of what happens in a folder, not below it.
    pub(super) fn watch(&mut self, folder: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {}
            // Gone again, or not ours to read.
            Err(error) if matches!(error.kind, ErrorKind::PathNotFound) || is_passing(&error) => {}
            Err(error) => {
                self.trouble = Some(trouble(&error));
                self.watcher = None;
            }
        }
    }

    /// Stops watching a folder. One that no longer exists is not watched anyway.
    pub(super) fn unwatch(&mut self, folder: &Path) {
        if let Some(watcher) = &mut self.watcher {
            let _ = watcher.unwatch(folder);
        }
    }
}

/// Reading a file is no change, and we read them all.
fn translate(event: notify::Result<notify::Event>) -> Option<FsEvent> {
    match event {
        // It may come without any path.
        Ok(event) if event.need_rescan() => Some(FsEvent::Overflow),
        Ok(event) => match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(FsEvent::Touched(event.paths)),
            EventKind::Access(_) => None,
            _ => Some(FsEvent::Touched(event.paths)),
        },
        // What it could not read may be anything.
        Err(_) => Some(FsEvent::Overflow),
    }
}

fn is_passing(error: &notify::Error) -> bool {
    let kind = |error: &std::io::Error| error.kind();
    matches!(&error.kind, ErrorKind::Io(error)
        if matches!(kind(error), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotADirectory))
}

fn trouble(error: &notify::Error) -> Trouble {
    /// Too many open files: of this process, or inotify instances of this user.
    const EMFILE: i32 = 24;
    const ENOSPC: i32 = 28;
    match &error.kind {
        ErrorKind::MaxFilesWatch => Trouble::Limit("fs.inotify.max_user_watches"),
        ErrorKind::Io(io) if io.raw_os_error() == Some(ENOSPC) => Trouble::Limit("fs.inotify.max_user_watches"),
        ErrorKind::Io(io) if io.raw_os_error() == Some(EMFILE) => Trouble::Limit("fs.inotify.max_user_instances"),
        _ => Trouble::Other(error.to_string()),
    }
}

/// The kind of file system a path is on, from `/proc/self/mountinfo`.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        let kind = after.split(' ').next()?;
        path.starts_with(&point).then(|| (Path::new(&point).components().count(), kind))
    };
    // The innermost counts, and of two at one place the later.
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// File systems on which another machine can make changes that this system does not see.
fn is_silent(kind: &str) -> bool {
    const SILENT: [&str; 14] = [
        "9p",
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "fuse",
        "fuseblk",
        "virtiofs",
        "vboxsf",
        "prl_fs",
        "vmhgfs",
        "fakeowner",
        "afs",
    ];
    SILENT.contains(&kind) || kind.starts_with("fuse.")
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, DataChange, Flag, ModifyKind};

    use super::*;

    #[test]
    fn the_innermost_mount_decides() {
        let mounts = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/c rw - 9p drvfs rw
31 22 0:41 / /home/a\\040b rw shared:7 - nfs4 server:/x rw
32 31 0:42 / /home/a\\040b/local rw - ext4 /dev/sdb rw";
        let of = |path: &str| file_system(mounts, Path::new(path)).unwrap();
        assert_eq!([of("/home/x"), of("/mnt/c/p"), of("/mnt/cd")], ["ext4", "9p", "ext4"]);
        assert_eq!([of("/home/a b/p"), of("/home/a b/local/p")], ["nfs4", "ext4"]);
    }

    #[test]
    fn some_file_systems_do_not_tell() {
        for kind in ["9p", "nfs4", "fuse.sshfs", "fuse", "virtiofs"] {
            assert!(is_silent(kind), "{kind}");
        }
        for kind in ["ext4", "btrfs", "overlay", "tmpfs", "xfs", "fusectl"] {
            assert!(!is_silent(kind), "{kind}");
        }
    }

    #[test]
    fn a_limit_is_named_as_the_system_calls_it() {
        let io = |code| notify::Error::io(std::io::Error::from_raw_os_error(code));
        let watches = Trouble::Limit("fs.inotify.max_user_watches");
        assert_eq!(trouble(&notify::Error::new(ErrorKind::MaxFilesWatch)), watches);
        assert_eq!(trouble(&io(28)), watches);
        assert_eq!(trouble(&io(24)), Trouble::Limit("fs.inotify.max_user_instances"));
    }

    #[test]
    fn reading_is_nothing_and_a_lost_count_is_everything() {
        let event = |kind| Ok(notify::Event::new(kind).add_path("/a".into()));
        let touched = Some(FsEvent::Touched(vec!["/a".into()]));
        assert_eq!(translate(event(EventKind::Access(AccessKind::Open(AccessMode::Any)))), None);
        assert_eq!(translate(event(EventKind::Access(AccessKind::Close(AccessMode::Read)))), None);
        assert_eq!(translate(event(EventKind::Access(AccessKind::Close(AccessMode::Write)))), touched);
        assert_eq!(translate(event(EventKind::Create(CreateKind::File))), touched);
        assert_eq!(translate(event(EventKind::Modify(ModifyKind::Data(DataChange::Any)))), touched);
        let lost = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(translate(Ok(lost)), Some(FsEvent::Overflow));
    }
}

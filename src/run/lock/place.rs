//! Where locks are stored and how they are opened: one folder per user of the machine, independent of the environment,
//! writable only by that user, and one file per stack and engine, independent of the spelling of the engine's address.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::model::fingerprint_of;

/// The lock file of a stack.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    /// Of a stack on the engine at this address.
    pub(super) fn of(engine: &str, project: &str) -> Self {
        let name = format!("{project}-{}.lock", fingerprint_of(same_for_all(engine).as_bytes()));
        Self { folder: folder(), name }
    }

    /// Its path, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Opens it, and makes what is missing. Nothing in it is changed.
    ///
    /// # Errors
    /// When the folder or the file belongs to another user, or is a link.
    pub(super) fn open(&self) -> Result<File> {
        system::open(&self.folder, &self.name)
    }

    /// Whether an open file still is the one that others find here: old files in /tmp are removed by systems.
    pub(super) fn is(&self, file: &File) -> bool {
        system::is_same(file, &self.path())
    }
}

/// Spellings of one address made one: a socket behind a link (/var/run is one to /run), names of hosts in capitals, names
/// of this machine. The engine's own id would say more, but Podman invents another one for each question.
fn same_for_all(address: &str) -> String {
    if let Some(path) = address.strip_prefix("unix://") {
        let path = PathBuf::from(path);
        return format!("unix://{}", path.canonicalize().unwrap_or(path).display());
    }
    let Some((host, port)) = address.strip_prefix("tcp://").and_then(|rest| rest.rsplit_once(':')) else {
        return address.to_lowercase();
    };
    let host = host.trim_matches(['[', ']', '.']).to_lowercase();
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    format!("tcp://{}:{port}", if is_here { "localhost" } else { &host })
}

/// Not in XDG_RUNTIME_DIR, HOME or TMPDIR: a login shell and a cron job of one user differ in them.
#[cfg(unix)]
fn folder() -> PathBuf {
    PathBuf::from(format!("/tmp/taskava-{}", rustix::process::geteuid()))
}

/// Temporary files are the user's own here.
#[cfg(not(unix))]
fn folder() -> PathBuf {
    std::env::temp_dir().join("taskava")
}

#[cfg(unix)]
mod system {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, fchmod, fstat, mkdir, open as open_at_path, openat, statat};

    use super::{Error, ErrorKind, File, Result};

    pub(super) fn open(folder: &Path, name: &str) -> Result<File> {
        let folder = private_folder(folder)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?;
        let seen = fstat(&file)?;
        let is_file = FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile;
        // A file that was removed a moment ago has no name left: it is opened again.
        if !is_file || seen.st_uid != own() || seen.st_nlink > 1 {
            return Err(refused("it is not a private file of this user; remove it"));
        }
        Ok(file.into())
    }

    /// Opens the folder itself, so that it can't be replaced by another one between two checks.
    fn private_folder(path: &Path) -> Result<OwnedFd> {
        match mkdir(path, Mode::RWXU) {
            Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
            _ => {}
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match open_at_path(path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(error) => {
                let seen = statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
                return match FileType::from_raw_mode(seen.st_mode) {
                    FileType::Directory if seen.st_uid == own() => Err(error.into()),
                    FileType::Directory => Err(of_another(seen.st_uid)),
                    _ => Err(refused("it is a link or a file; remove it")),
                };
            }
        };
        let seen = fstat(&folder)?;
        if seen.st_uid != own() {
            return Err(of_another(seen.st_uid));
        }
        if seen.st_mode & 0o777 != 0o700 {
            fchmod(&folder, Mode::RWXU)?;
        }
        Ok(folder)
    }

    fn of_another(owner: u32) -> Error {
        refused(&format!("it belongs to another user (uid {owner}), who has to remove it"))
    }

    fn refused(why: &str) -> Error {
        Error::new(ErrorKind::PermissionDenied, why)
    }

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    pub(super) fn is_same(file: &File, path: &Path) -> bool {
        let (Ok(held), Ok(found)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
        (held.dev(), held.ino()) == (found.dev(), found.ino())
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        use super::*;

        fn mode(path: &Path) -> u32 {
            std::fs::symlink_metadata(path).unwrap().mode() & 0o777
        }

        #[test]
        fn only_folders_of_this_user_alone_are_taken() {
            let there = tempfile::tempdir().unwrap();
            let folder = there.path().join("locks");
            open(&folder, "a.lock").unwrap();
            assert_eq!((mode(&folder), mode(&folder.join("a.lock"))), (0o700, 0o600));
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
            open(&folder, "a.lock").unwrap();
            assert_eq!(mode(&folder), 0o700, "one that is too open is closed");
            let link = there.path().join("link");
            symlink(&folder, &link).unwrap();
            assert!(open(&link, "a.lock").unwrap_err().to_string().contains("is a link"));
            std::fs::write(there.path().join("file"), "").unwrap();
            assert!(open(&there.path().join("file"), "a.lock").is_err());
        }

        #[test]
        fn a_file_that_is_not_ours_alone_is_never_opened() {
            let there = tempfile::tempdir().unwrap();
            let (folder, other) = (there.path().join("locks"), there.path().join("other"));
            open(&folder, "a.lock").unwrap();
            std::fs::write(&other, "precious").unwrap();
            symlink(&other, folder.join("link.lock")).unwrap();
            symlink(there.path().join("new"), folder.join("dangling.lock")).unwrap();
            std::fs::hard_link(&other, folder.join("hard.lock")).unwrap();
            std::fs::create_dir(folder.join("folder.lock")).unwrap();
            for name in ["link.lock", "dangling.lock", "hard.lock", "folder.lock"] {
                open(&folder, name).expect_err(name);
            }
            assert_eq!(std::fs::read_to_string(other).unwrap(), "precious");
            assert!(!there.path().join("new").exists());
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::path::Path;

    use super::{File, Result};

    pub(super) fn open(folder: &Path, name: &str) -> Result<File> {
        std::fs::create_dir_all(folder)?;
        File::options().read(true).write(true).create(true).truncate(false).open(folder.join(name))
    }

    pub(super) fn is_same(_: &File, _: &Path) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_engine_are_one() {
        for (a, b, same) in [
            ("tcp://Box.Example:2375", "tcp://box.example.:2375", true),
            ("tcp://127.0.0.1:2375", "tcp://LOCALHOST:2375", true),
            ("tcp://[::1]:2375", "tcp://localhost:2375", true),
            ("tcp://box:2375", "tcp://box:2376", false),
            ("tcp://box:2375", "tcp://ox:2375", false),
            ("npipe:////./pipe/Docker", "npipe:////./pipe/docker", true),
            ("unix:///nowhere/a.sock", "unix:///nowhere/A.sock", false),
        ] {
            assert_eq!(same_for_all(a) == same_for_all(b), same, "{a} {b}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_socket_behind_a_link_is_the_socket() {
        let there = tempfile::tempdir().unwrap();
        let (real, link) = (there.path().join("run"), there.path().join("var-run"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(real.join("docker.sock")).unwrap();
        let spelled = |folder: &PathBuf| same_for_all(&format!("unix://{}/docker.sock", folder.display()));
        assert_eq!(spelled(&real), spelled(&link));
    }
}

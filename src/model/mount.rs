//! What is mounted into a container: volumes, host paths and memory file systems.

use std::path::PathBuf;

use crate::diag::Place;

/// A volume or bind mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, inside.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
    /// Isolated stacks mount the path itself instead of a view of it.
    pub shared: bool,
    /// What else the engine is told of it.
    pub options: MountOptions,
    /// Where it is declared.
    pub place: Option<Place>,
}

/// What else the engine is told of a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Of a host path: which mounts below it are seen on the other side, such as `rshared`.
    pub propagation: Option<String>,
    /// Of a volume: it does not begin with what the image has there.
    pub no_copy: bool,
    /// Of a volume or image: the folder in it that is mounted.
    pub subpath: Option<String>,
    /// Of a host path: a folder is created where there is nothing.
    pub create: bool,
    /// SELinux label that it gets: `z` or `Z`.
    pub selinux: Option<String>,
    /// Of a host path: what becomes of mounts below it, one of [`RECURSIVE`].
    pub recursive: Option<String>,
}

/// What can become of mounts below a host path.
pub const RECURSIVE: [&str; 4] = ["enabled", "disabled", "writable", "readonly"];

impl MountOptions {
    /// The words for them in the short form, and whether they say everything.
    pub fn words(&self) -> (Vec<&str>, bool) {
        let words = self.propagation.as_deref().into_iter().chain(self.no_copy.then_some("nocopy"));
        let words = words.chain(self.selinux.as_deref());
        (words.collect(), self.subpath.is_none() && !self.create && self.recursive.is_none())
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A volume of [`Stack::volumes`](super::Stack::volumes), by short name.
    Volume(String),
    /// An absolute host path.
    Bind(PathBuf),
    /// A copy-on-write view of a host path, for isolated stacks.
    View {
        /// The absolute host path.
        of: PathBuf,
        /// What the engine mounts for it.
        held: Held,
    },
    /// An anonymous volume ([`super::nameless`]).
    Anonymous,
    /// The files of an image, by its reference. Always read-only.
    Image(String),
}

/// What the engine mounts for a view. Found or created by `run::views` before a container is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Not known yet.
    Unknown,
    /// A volume, by its name on the engine.
    Volume(String),
    /// A file, by its path on the engine's machine.
    File(String),
    /// The host path itself.
    Itself,
}

/// A memory file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where, inside.
    pub target: String,
    /// Engine options such as `size=64m`.
    pub options: String,
}

/// A file that is put into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Where, inside.
    pub target: String,
    /// What is in it.
    pub content: String,
    /// Permission bits.
    pub mode: u32,
    /// User, by number.
    pub uid: u32,
    /// Group, by number.
    pub gid: u32,
}

impl InlineFile {
    /// Whether its content is masked when it is shown.
    pub fn is_secret(&self) -> bool {
        let name = self.target.rsplit('/').next().unwrap_or_default();
        self.target.starts_with("/run/secrets/") || super::secret::is_secret_name(name)
    }
}

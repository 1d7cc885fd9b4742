//! How an image is built.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{ServiceName, Ulimit};

/// How an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Folder sent to the builder, absolute.
    pub context: PathBuf,
    /// Dockerfile, relative to the context.
    pub dockerfile: String,
    /// The text of the Dockerfile, instead of a file.
    pub inline: Option<String>,
    /// Stage to build.
    pub target: Option<String>,
    /// What the Dockerfile can use by a name of its own (`FROM NAME`, `COPY --from=NAME`), besides its context.
    pub contexts: IndexMap<String, NamedContext>,
    /// Build arguments.
    pub args: IndexMap<String, String>,
    /// Images whose layers may be reused.
    pub cache_from: Vec<String>,
    /// Secrets by id: file they come from, absolute.
    pub secrets: IndexMap<String, PathBuf>,
    /// What the builder takes as it is written.
    pub options: BuildOptions,
}

impl Build {
    /// The services on whose images it is built.
    pub fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.contexts.values().filter_map(|context| match context {
            NamedContext::Service { service, .. } => Some(service),
            NamedContext::Folder(_) | NamedContext::Image(_) => None,
        })
    }
}

/// What a Dockerfile uses by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A folder, absolute.
    Folder(PathBuf),
    /// An image.
    Image(String),
    /// The image of a service.
    Service {
        /// The service.
        service: ServiceName,
        /// Its image.
        image: String,
    },
}

impl NamedContext {
    /// As written in services.toml and in Compose files; `path`: how a folder is shown.
    pub fn written(&self, path: impl FnOnce(&Path) -> String) -> String {
        match self {
            Self::Folder(folder) => path(folder),
            Self::Image(image) => format!("docker-image://{image}"),
            Self::Service { service, .. } => format!("service:{service}"),
        }
    }
}

/// What a builder takes as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Further names of the image.
    pub tags: Vec<String>,
    /// Labels of the image.
    pub labels: IndexMap<String, String>,
    /// Network of the steps.
    pub network: Option<String>,
    /// `host:address` lines for /etc/hosts.
    pub extra_hosts: Vec<String>,
    /// Size of /dev/shm.
    pub shm_size: Option<u64>,
    /// Without the cache.
    pub no_cache: bool,
    /// Newer base images are looked for.
    pub pull: bool,
    /// Limits of the steps by name (`nofile`).
    pub ulimits: IndexMap<String, Ulimit>,
    /// The image carries what another build needs to use its layers as a cache.
    pub inline_cache: bool,
    /// SSH agents by id: their socket, absolute; none = that of the environment (`SSH_AUTH_SOCK`).
    pub ssh: IndexMap<String, Option<PathBuf>>,
}

impl BuildOptions {
    /// The SSH agents as written in services.toml and in Compose files; `path`: how a socket is shown.
    pub fn written_ssh(&self, path: impl Fn(&Path) -> String) -> impl Iterator<Item = String> {
        self.ssh.iter().map(move |(id, socket)| match socket {
            Some(socket) => format!("{id}={}", path(socket)),
            None => id.clone(),
        })
    }
}

//! A service with all its settings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;

use super::options::ContainerOptions;
use super::{Build, Condition, Dependency, HealthCheck, Hooks, InlineFile, Kind, Mount, Port, ServiceName, Tmpfs};
use crate::diag::Place;

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name, which is its DNS name on the stack's networks too.
    pub name: ServiceName,
    /// Where it is declared.
    pub place: Option<Place>,
    /// Its kind.
    pub kind: Kind,
    /// How many containers it has. Each after the first is a service of its own in the stack, see [`Service::replica`].
    pub replicas: u32,
    /// Of a further container of a service: which one it is.
    pub replica: Option<Replica>,
    /// False if it belongs to profiles none of which is active, and no active service needs it.
    pub active: bool,
    /// Profiles it belongs to; empty = always.
    pub profiles: Vec<String>,
    /// Image reference, with a tag or digest (default `:latest`). For a built service, the name of the built image.
    pub image: String,
    /// Where the image is declared, if it is.
    pub image_place: Option<Place>,
    /// How to build the image, if it is built.
    pub build: Option<Build>,
    /// When to pull.
    pub pull: PullPolicy,
    /// `linux/amd64` and the like.
    pub platform: Option<String>,
    /// Overrides the image's CMD.
    pub command: Option<Vec<String>>,
    /// Overrides the image's ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Environment, in the order of the file.
    pub env: IndexMap<String, EnvValue>,
    /// Published ports.
    pub ports: Vec<Port>,
    /// Volumes and bind mounts.
    pub mounts: Vec<Mount>,
    /// Files that are put into it.
    pub files: Vec<InlineFile>,
    /// Memory file systems.
    pub tmpfs: Vec<Tmpfs>,
    /// Its dependencies, and what it waits for.
    pub depends_on: IndexMap<ServiceName, Dependency>,
    /// When it is ready.
    pub ready: Readiness,
    /// The container's own health check, if services.toml sets one.
    pub healthcheck: Option<HealthCheck>,
    /// The probe of its kind with its login: as far as services.toml contains it, or, for a running container, as
    /// determined by `run::actual`.
    pub own: Probe,
    /// File-watch rules.
    pub watch: Vec<WatchRule>,
    /// `user[:group]`.
    pub user: Option<String>,
    /// Working directory inside.
    pub working_dir: Option<String>,
    /// Name of its container, if it is not that of the stack and the service.
    pub container_name: Option<String>,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Short names of its networks; none where it has `network_mode`.
    pub networks: Vec<String>,
    /// The user's own labels.
    pub labels: IndexMap<String, String>,
    /// Limits by name (`nofile`).
    pub ulimits: IndexMap<String, Ulimit>,
    /// `host:address` lines for /etc/hosts.
    pub extra_hosts: Vec<String>,
    /// Signal that asks it to stop; the image's STOPSIGNAL otherwise.
    pub stop_signal: Option<String>,
    /// Time to stop before it is killed; by default that of the kind.
    pub stop_timeout: Duration,
    /// The same while it is visibly still working; equal to it if services.toml sets the time.
    pub stop_limit: Duration,
    /// What the engine does when it exits.
    pub restart: RestartPolicy,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// CPU limit in billionths of a core.
    pub nano_cpus: Option<u64>,
    /// Bound on its logs.
    pub logging: Logging,
    /// Variables for the application: name → template (`postgres://${host}:${port}/x`).
    pub exports: IndexMap<String, String>,
    /// Commands run inside at points of its life.
    pub hooks: Hooks,
    /// What the engine takes as it is written.
    pub options: ContainerOptions,
}

impl Service {
    /// Whether it waits until another one is ready.
    pub fn waits_until_ready(&self, other: &ServiceName) -> bool {
        self.depends_on.get(other).is_some_and(|on| on.condition == Condition::Ready)
    }

    /// Whether it has done its work when its process exits with code 0, as docker compose sees it: nothing says that it keeps
    /// running, neither a kind, a probe, a port nor a restart policy.
    pub fn is_one_shot(&self) -> bool {
        let says_nothing = matches!(self.ready.probe, Probe::Auto | Probe::Engine);
        let restarts = !matches!(self.restart, RestartPolicy::No | RestartPolicy::OnFailure(_));
        self.kind == Kind::Generic && says_nothing && !restarts && self.ports.is_empty() && self.healthcheck.is_none()
    }
}

/// A further container of a service that has several. It has the service's settings, a name of its own (`web-2`), and what
/// depends on the service depends on it, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The service.
    pub of: ServiceName,
    /// Number of the container, from 2: the service itself is number 1.
    pub number: u32,
}

impl Replica {
    /// The further container of a service that has this name; none if it is not the name of one.
    pub fn named(name: &ServiceName, of: &ServiceName) -> Option<Self> {
        let number = name.as_str().rsplit_once('-')?.1.parse().ok()?;
        Some(Self { of: of.clone(), number })
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PullPolicy {
    /// If it is missing.
    #[default]
    Missing,
    /// Every time.
    Always,
    /// Never: a missing image is an error.
    Never,
}

impl PullPolicy {
    /// As written in services.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// The value of an environment variable and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvValue {
    /// After interpolation.
    pub value: String,
    /// Where it came from, outermost first: `services.toml:9:3`, then what the interpolation took
    /// (`POSTGRES_PASSWORD from .env:2`, `default in services.toml`).
    pub origin: Vec<String>,
    /// Masked when shown: the name or origin says that it is a password, token or key.
    pub secret: bool,
}

/// When a service counts as ready, and how long that may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// The probe.
    pub probe: Probe,
    /// Time after which the start counts as failed.
    pub timeout: Duration,
    /// Longest pause between two probes; by default 100 ms.
    pub interval: Option<Duration>,
}

impl Readiness {
    /// The probe as short text, as `plan` and `explain` show it.
    pub fn describe(&self) -> String {
        match &self.probe {
            Probe::Postgres { port, .. } => format!("postgres handshake and login on {port}"),
            Probe::Redis { port: 0, socket: Some(socket), .. } => format!("redis PING on {socket}"),
            Probe::Redis { port, .. } => format!("redis PING on {port}"),
            Probe::Localstack { port } => format!("/_localstack/init READY on {port}"),
            Probe::Ministack { port } => format!("/_ministack/ready on {port}"),
            Probe::Mail { http, smtp, .. } => format!("HTTP on {http} and SMTP greeting on {smtp}"),
            Probe::Smtp { port } => format!("SMTP greeting on {port}"),
            Probe::Http { port, path } => format!("HTTP GET :{port}{path}"),
            Probe::Tcp { ports } if ports.is_empty() => "published ports accept".into(),
            Probe::Tcp { ports } => {
                let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
                format!("TCP on {}", ports.join(", "))
            }
            Probe::Log { pattern } => format!("log line matches /{pattern}/"),
            Probe::Exec { command } => format!("`{}` exits with 0", command.join(" ")),
            Probe::Engine => "health check of the engine".into(),
            Probe::Exit => "exit with 0".into(),
            Probe::Auto => "health check of the image, or published ports accept".into(),
        }
    }
}

/// A probe of a service. Ports are the container's; the caller determines the host's.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// Startup handshake, then one login where user and password are known.
    Postgres {
        /// Port inside.
        port: u16,
        /// Role; none if it is unknown.
        user: Option<String>,
        /// Password, if one is known.
        password: Option<String>,
        /// Database; none if it is unknown.
        database: Option<String>,
        /// It only accepts TLS connections; only the server itself reports that.
        tls: bool,
    },
    /// `PING`.
    Redis {
        /// Port inside; 0 = it listens on none.
        port: u16,
        /// User of its access control list; none = the default one.
        user: Option<String>,
        /// Password, if one is known.
        password: Option<String>,
        /// It speaks TLS on that port.
        tls: bool,
        /// Path of its unix socket inside, if it has one.
        socket: Option<String>,
    },
    /// `GET /_localstack/init` → `completed.READY`.
    Localstack {
        /// Port inside.
        port: u16,
    },
    /// `GET /_ministack/ready` → 200.
    Ministack {
        /// Port inside.
        port: u16,
    },
    /// HTTP API answers at `path` and SMTP greets with 220.
    Mail {
        /// HTTP port inside.
        http: u16,
        /// SMTP port inside.
        smtp: u16,
        /// Path of the pages, `` or `/mail`.
        root: String,
        /// Path of the API.
        path: String,
    },
    /// SMTP greets with 220.
    Smtp {
        /// Port inside.
        port: u16,
    },
    /// `GET` answers with a status below 400.
    Http {
        /// Port inside.
        port: u16,
        /// Path with query.
        path: String,
    },
    /// Each port accepts, and stays open.
    Tcp {
        /// Ports inside; empty = all published TCP ports.
        ports: Vec<u16>,
    },
    /// A log line matches.
    Log {
        /// Regular expression.
        pattern: String,
    },
    /// A command inside exits with 0.
    Exec {
        /// The command.
        command: Vec<String>,
    },
    /// The engine's health check (the image's HEALTHCHECK) reports healthy.
    Engine,
    /// The container exited with code 0 (jobs).
    Exit,
    /// No probe is declared (generic): the image's HEALTHCHECK if it has one; otherwise its published TCP ports accept
    /// connections and keep them open; otherwise it runs.
    Auto,
}

/// What the engine does when a container exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Restart after a failure, with the maximum number of times (0 = unlimited).
    OnFailure(u32),
    /// Restart whatever the exit code.
    Always,
    /// Like always, unless it was stopped by hand.
    UnlessStopped,
}

/// As written in services.toml.
impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::OnFailure(0) => f.write_str("on-failure"),
            Self::OnFailure(times) => write!(f, "on-failure:{times}"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

/// Soft and hard limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "self-evident")]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

/// Bound on a container's logs (engine driver `json-file` or `local`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Size of one file, as the engine writes it (`10m`).
    pub max_size: String,
    /// Number of files.
    pub max_files: u32,
    /// Another driver of the engine.
    pub driver: Option<String>,
    /// Options of the driver.
    pub options: IndexMap<String, String>,
}

impl Logging {
    /// Whether the engine keeps the log in files of a bounded size.
    pub fn is_bounded(&self) -> bool {
        self.driver.as_deref().is_none_or(|driver| matches!(driver, "json-file" | "local"))
    }
}

/// What a file change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRule {
    /// Absolute file or folder.
    pub path: PathBuf,
    /// What is done.
    pub action: WatchAction,
    /// Target inside, for sync.
    pub target: Option<String>,
    /// Patterns that are left out.
    pub ignore: Vec<String>,
    /// Command, for exec.
    pub command: Option<Vec<String>>,
}

/// What a file change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "self-evident")]
pub enum WatchAction {
    Restart,
    Rebuild,
    Sync,
    #[serde(rename = "sync+restart")]
    SyncRestart,
    Exec,
}

impl WatchAction {
    /// As written in services.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Rebuild => "rebuild",
            Self::Sync => "sync",
            Self::SyncRestart => "sync+restart",
            Self::Exec => "exec",
        }
    }
}

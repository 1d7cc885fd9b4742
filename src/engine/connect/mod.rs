//! Finds the engine and checks that it is new enough: `--host` or `--context`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the
//! current context, then the usual sockets. `candidates` decides which to try, `transport` creates the client for one,
//! and `trouble` explains why none answers.

mod candidates;
#[cfg(unix)]
mod ping;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
pub(crate) mod tls;
mod transport;
mod trouble;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Bollard;
use bollard::models::SystemVersion;

pub(super) use self::candidates::Address;
use self::candidates::{Candidate, candidates};
use self::trouble::{Trouble, unreachable};
use super::{About, Builder};
use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};

/// The oldest API that has everything needed: engine 20.10.
const OLDEST_API: (u32, u32) = (1, 41);

/// How long an engine in a usual place may take to answer a ping when there are others to try.
const PING_LIMIT: Duration = Duration::from_secs(1);

/// How long a named engine, or the only one, may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// Time limit for an answer that the engine only has to look up. Generous: one that is unpacking images is slow, but
/// not unreachable.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Options that select the engine; all inputs of that decision are here, so that it can be tested.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// `--host`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `DOCKER_HOST`.
    pub env_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub env_context: Option<String>,
    /// `DOCKER_TLS_VERIFY` is set: TLS, and the engine must prove who it is.
    pub tls_verify: bool,
    /// `DOCKER_TLS` is set: TLS.
    pub tls: bool,
    /// `DOCKER_CERT_PATH`.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_CONFIG`, or `.docker` in the home directory: contexts and credentials.
    pub config_dir: PathBuf,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where rootless engines listen.
    pub runtime_dir: Option<PathBuf>,
    /// `COLIMA_HOME`.
    pub colima_home: Option<PathBuf>,
}

impl ConnectOptions {
    /// Takes the flags, and reads the rest from the environment. As for `docker`, an empty variable is one that isn't set.
    pub fn from_environment(host: Option<String>, context: Option<String>) -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = std::env::home_dir();
        Self {
            host,
            context,
            env_host: text("DOCKER_HOST"),
            env_context: text("DOCKER_CONTEXT"),
            tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            tls: text("DOCKER_TLS").is_some(),
            cert_path: path("DOCKER_CERT_PATH"),
            config_dir: path("DOCKER_CONFIG")
                .unwrap_or_else(|| home.clone().unwrap_or_else(|| "/".into()).join(".docker")),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            colima_home: path("COLIMA_HOME"),
            home,
        }
    }
}

/// What an engine said of itself.
struct Said {
    /// Its version.
    version: Option<String>,
    /// The newest API it speaks.
    api: String,
    /// It runs on this machine's kernel, not in a VM or behind a tunnel.
    on_this_kernel: bool,
    /// It prefers its classic builder.
    builds_classic: bool,
}

impl From<SystemVersion> for Said {
    fn from(version: SystemVersion) -> Self {
        let here = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        let kernel = version.kernel_version;
        Self {
            version: version.version,
            api: version.api_version.unwrap_or_default(),
            on_this_kernel: kernel.is_some_and(|kernel| here.is_some_and(|here| here.trim() == kernel)),
            builds_classic: false,
        }
    }
}

/// Tries the engines that may be meant, one after the other. Costs one call where only one can be meant.
pub(super) async fn connect(options: &ConnectOptions) -> Result<(Docker, Address, About)> {
    let candidates = candidates(options, |path: &std::path::Path| bounded::file(path, bounded::WRITTEN))?;
    let several = candidates.iter().filter(|candidate| is_there(&candidate.address).is_ok()).count() > 1;
    let mut tried = Vec::new();
    for candidate in candidates {
        match attempt(&candidate, several).await {
            Ok((docker, said)) => {
                let about = about(&candidate.address, said)?;
                return Ok((docker, candidate.address, about));
            }
            Err(trouble) => tried.push((candidate, trouble)),
        }
    }
    Err(unreachable(&tried, std::env::consts::OS))
}

async fn attempt(candidate: &Candidate, several: bool) -> Result<(Docker, Said), Trouble> {
    is_there(&candidate.address).map_err(Trouble::from)?;
    let docker = transport::client(&candidate.address).map_err(|error| Trouble::Other(format!("{error:#}")))?;
    let limit = if several { PING_LIMIT } else { VERSION_LIMIT };
    match &candidate.address {
        #[cfg(unix)]
        Address::Unix(socket) => {
            let pinged = tokio::time::timeout(limit, ping::ping(socket)).await;
            // The answer of another program, or an incomplete one: the next call reports it.
            if let Some(said) = pinged.map_err(|_| Trouble::Silent(limit))?.unwrap_or_default() {
                return Ok((docker, said));
            }
        }
        _ if several => within(limit, docker.ping()).await.map_err(|error| Trouble::of(&error, limit))?.clear(),
        _ => {}
    }
    let version = within(VERSION_LIMIT, docker.version()).await.map_err(|error| Trouble::of(&error, VERSION_LIMIT))?;
    Ok((docker, version.into()))
}

/// Whether there is something to connect to; a socket's own error says more than that of a failed connection.
fn is_there(address: &Address) -> std::io::Result<()> {
    match address {
        Address::Unix(path) => std::fs::metadata(path).map(drop),
        _ => Ok(()),
    }
}

/// An answer that the engine only has to look up (list, inspect), or [`Bollard::RequestTimeoutError`]. Not for calls
/// that work first: pull, build, create, start, stop, wait and remove have limits of their own.
pub(super) async fn answer<T>(call: impl Future<Output = Result<T, Bollard>>) -> Result<T, Bollard> {
    within(ANSWER_LIMIT, call).await
}

/// An engine's answer, head and body, within a time. bollard's own limit is for the head alone, and in whole seconds.
async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Bollard>>) -> Result<T, Bollard> {
    tokio::time::timeout(limit, call).await.unwrap_or(Err(Bollard::RequestTimeoutError))
}

fn about(address: &Address, said: Said) -> Result<About> {
    let engine = said.version.as_deref().unwrap_or("of unknown version");
    let api = api_version(&said.api).ok_or_else(|| {
        Error::new(ErrorKind::Engine, format_args!("{address} answers, but not as a Docker engine does"))
            .hint("check which service listens there")
    })?;
    if api < OLDEST_API {
        let ((major, minor), reported) = (OLDEST_API, &said.api);
        let message = format!(
            "the engine at {address} ({engine}) is too old: it speaks API {reported}, {major}.{minor} is needed"
        );
        return Err(Error::new(ErrorKind::Engine, message).hint("upgrade it to Docker Engine 20.10 or later"));
    }
    Ok(About {
        host: published_on(address),
        container_network: said.on_this_kernel && reaches_containers(address),
        contained: false,
        inside: None,
        address: address.to_string(),
        version: engine.into(),
        api,
        builder: if said.builds_classic { Builder::Classic("the engine prefers it") } else { Builder::BuildKit },
    })
}

fn api_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where ports published by the engine are reached.
fn published_on(address: &Address) -> String {
    match address {
        // Ports are bound to 127.0.0.1, and `localhost` may mean `::1` first.
        Address::Tcp { host, .. } if host != "localhost" => host.clone(),
        _ => "127.0.0.1".into(),
    }
}

/// Whether the addresses of containers can be reached from here: the engine runs on this kernel, as root (a rootless one
/// or a desktop's VM owns its socket as a user), and its bridge lies in this network namespace (it doesn't when this is a
/// container, or when the engine runs in another one).
#[cfg(target_os = "linux")]
fn reaches_containers(address: &Address) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Address::Unix(socket) = address else { return false };
    let of_root = std::fs::metadata(socket).is_ok_and(|metadata| metadata.uid() == 0);
    of_root && std::path::Path::new("/sys/class/net/docker0").exists()
}

#[cfg(not(target_os = "linux"))]
fn reaches_containers(_: &Address) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(api: &str) -> Said {
        Said { version: Some("19.03.15".into()), api: api.into(), on_this_kernel: true, builds_classic: false }
    }

    fn tcp(host: &str) -> Address {
        Address::Tcp { host: host.into(), port: 2375, tls: None }
    }

    #[test]
    fn an_engine_that_is_too_old_is_refused_with_both_versions() {
        let error = about(&tcp("box"), said("1.40")).expect_err("too old");
        assert_eq!(error.kind, ErrorKind::Engine);
        assert_eq!(
            error.to_string(),
            "the engine at tcp://box:2375 (19.03.15) is too old: it speaks API 1.40, 1.41 is needed"
        );
        assert_eq!(about(&tcp("box"), said("1.41")).expect("new enough").api, (1, 41));
        assert_eq!(about(&tcp("box"), said("2.0")).expect("new enough").api, (2, 0));
        assert!(
            about(&tcp("box"), said(""))
                .expect_err("not a Docker engine")
                .to_string()
                .contains("not as a Docker engine")
        );
    }

    #[test]
    fn ports_are_reached_where_the_engine_is() {
        let host = |address: &Address| about(address, said("1.41")).expect("new enough").host;
        assert_eq!(host(&tcp("box")), "box");
        assert_eq!(host(&tcp("::1")), "::1");
        assert_eq!(host(&tcp("localhost")), "127.0.0.1");
        assert_eq!(host(&Address::Unix("/no/such.sock".into())), "127.0.0.1");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn containers_are_out_of_reach_over_tcp_and_on_another_kernel() {
        let reached = |address: &Address, said| about(address, said).expect("new enough").container_network;
        assert!(!reached(&tcp("localhost"), said("1.41")));
        assert!(!reached(&Address::Unix("/no/such.sock".into()), said("1.41")));
        assert!(!reached(&Address::Unix("/".into()), Said { on_this_kernel: false, ..said("1.41") }));
        let linuxkit = SystemVersion { kernel_version: Some("linuxkit".into()), ..SystemVersion::default() };
        assert!(!Said::from(linuxkit).on_this_kernel);
    }
}

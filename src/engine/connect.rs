//! Finds the engine: `--host`, `DOCKER_HOST`, `--context`, `DOCKER_CONTEXT`, the current context, then the usual sockets.

use bollard::Docker;

use super::About;
use crate::diag::{Error, ErrorKind, Result};

/// Which engine is meant; everything that decides it is here, so that it can be tested.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// `--host`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
}

pub(super) async fn connect(ask: &Ask) -> Result<(Docker, About)> {
    let address = ask.host.clone().unwrap_or_else(|| "unix:///var/run/docker.sock".into());
    let unreachable = |error: bollard::errors::Error| Error::from_source(ErrorKind::Engine, error.into());
    let docker = Docker::connect_with_unix(&address, 120, bollard::API_DEFAULT_VERSION).map_err(unreachable)?;
    let version = docker.version().await.map_err(unreachable)?;
    let api = version.api_version.as_deref().and_then(|v| v.split_once('.'));
    let about = About {
        address,
        host: "127.0.0.1".into(),
        container_network: true,
        version: version.version.unwrap_or_default(),
        api: api.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))).unwrap_or((0, 0)),
        architecture: version.arch.unwrap_or_default(),
    };
    Ok((docker, about))
}

//! Forwards SSH agents to the steps of a build (`RUN --mount=type=ssh`): the bytes of each connection, both ways, between
//! BuildKit and the agent's socket.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes, BytesMut};
use h2::server::SendResponse;
use http::Request;

use super::files::{Receiving, Sending};
use super::proto;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::Build;

/// Whether an agent is there.
pub(super) const CHECK: &str = "/moby.sshforward.v1.SSH/CheckAgent";
/// A connection to it.
pub(super) const FORWARD: &str = "/moby.sshforward.v1.SSH/ForwardAgent";

/// How much is passed on at once.
const PIECE: usize = 32 * 1024;

/// The sockets of the agents that a build asks for.
///
/// # Errors
/// [`ErrorKind::Image`] when one is missing, or is a key: BuildKit's own client would read keys, here an agent holds them.
pub(super) fn agents(image: &str, build: &Build) -> Result<BTreeMap<String, PathBuf>> {
    let failed = |message: String| Error::new(ErrorKind::Image, format_args!("can't build {image}: {message}"));
    let mut found = BTreeMap::new();
    for (id, socket) in &build.options.ssh {
        let socket = match socket {
            Some(path) => path.clone(),
            None => std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from).ok_or_else(
                || {
                    failed(format!("no SSH agent runs for `ssh = [\"{id}\"]`"))
                        .hint("start one: eval $(ssh-agent); ssh-add")
                },
            )?,
        };
        if !is_socket(&socket) {
            let path = socket.display();
            return Err(failed(format!("{path} is not the socket of an SSH agent"))
                .hint("add keys to an agent with ssh-add, and write its socket, or only the id"));
        }
        found.insert(id.clone(), socket);
    }
    Ok(found)
}

#[cfg(unix)]
fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(not(unix))]
fn is_socket(_: &Path) -> bool {
    false
}

/// Passes bytes on until both sides have ended.
#[cfg(unix)]
pub(super) async fn forward(
    socket: &Path,
    call: Request<h2::RecvStream>,
    respond: &mut SendResponse<Bytes>,
) -> io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut to_builder = Sending::begin(respond)?;
    let mut from_builder = Receiving::new(call.into_body());
    let (mut from_agent, mut to_agent) = tokio::net::UnixStream::connect(socket).await?.into_split();
    let up = async {
        while let Some(message) = from_builder.next().await? {
            for (_, value) in proto::fields(&message).filter(|(number, _)| *number == 1) {
                to_agent.write_all(value.bytes()).await?;
            }
        }
        to_agent.shutdown().await
    };
    let down = async {
        let mut buffer = BytesMut::with_capacity(PIECE);
        while from_agent.read_buf(&mut buffer).await? > 0 {
            to_builder.message(&proto::write(1, buffer.chunk())).await?;
            buffer.clear();
        }
        to_builder.end()
    };
    tokio::try_join!(up, down).map(drop)
}

#[cfg(not(unix))]
pub(super) async fn forward(_: &Path, _: Request<h2::RecvStream>, _: &mut SendResponse<Bytes>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

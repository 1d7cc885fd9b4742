//! Replaces `tls` in a build without that feature: anything that needs TLS is refused with the missing feature.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bollard::Docker;
use tokio::net::TcpStream;

use super::candidates::Tls;

/// Never made.
pub(crate) type Connection = TcpStream;

const MISSING: &str = "this program was built without TLS: enable the feature `tls` of the package taskava";

fn missing<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, MISSING))
}

pub(super) fn client(_: &str, _: &Tls, _: Duration) -> anyhow::Result<Docker> {
    Ok(missing()?)
}

pub(in crate::engine) async fn connect(_: TcpStream, _: &str, _: &Tls) -> io::Result<Connection> {
    missing()
}

pub(crate) async fn connect_unverified(_: TcpStream, _: SocketAddr) -> io::Result<Connection> {
    missing()
}

pub(super) fn is_mismatch(_: &(dyn Error + 'static)) -> bool {
    false
}

pub(crate) fn is_refusal(_: &io::Error) -> bool {
    false
}

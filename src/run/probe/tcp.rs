//! Probes of services that only accept connections, or greet like a mail server.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, exchange};

/// Being accepted says little: the engine's port forwarder accepts before a server listens behind it, then closes.
pub(super) async fn stays_open(mut stream: TcpStream, wait: Duration) -> io::Result<Answer> {
    match timeout(wait, stream.read(&mut [0; 1])).await {
        Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(Answer::Ready),
    }
}

/// Whether something listens on a port of a container that has these addresses; none = that can't be said from here.
pub(super) async fn listens(own: &[IpAddr], port: u16, limit: Duration) -> Option<bool> {
    let mut refused = None;
    for address in own {
        match timeout(limit, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(_)) => return Some(true),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => refused = Some(false),
            // No way there, after all.
            Ok(Err(_)) | Err(_) => return None,
        }
    }
    refused
}

/// Greets with `220`.
pub(super) async fn smtp(mut stream: TcpStream) -> io::Result<Answer> {
    let greeting = exchange(&mut stream, b"", 1).await?.remove(0);
    if !greeting.starts_with("220") {
        return Ok(Answer::NotYet(greeting));
    }
    // Politeness only: without it some servers log a broken connection each time.
    let _ = stream.write_all(b"QUIT\r\n").await;
    Ok(Answer::Ready)
}

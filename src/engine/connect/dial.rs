//! A connection to an engine that becomes something else than HTTP/1, which bollard does not hand out.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(in crate::engine) use super::candidates::Address;
use super::transport;

/// The longest line of an answer's head.
const LONGEST_LINE: u64 = 16 * 1024;

/// Why there is no such connection.
#[derive(Debug)]
pub(in crate::engine) enum Refused {
    /// The engine does not offer it; its status.
    Status(u16),
    /// It can't be reached that way.
    Io(io::Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "it answered with status {status}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Both directions of a connection.
pub(in crate::engine) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Asks for another protocol on a connection of its own.
pub(in crate::engine) async fn upgrade(
    address: &Address,
    path: &str,
    protocol: &str,
    headers: &[(&str, &str)],
) -> Result<BufReader<Box<dyn Duplex>>, Refused> {
    let mut stream = BufReader::new(dial(address).await?);
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nContent-Length: 0\r\n"
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await?;
    stream.flush().await?;
    let status = line(&mut stream).await?.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    if status != 101 {
        return Err(Refused::Status(status));
    }
    while !line(&mut stream).await?.is_empty() {}
    Ok(stream)
}

/// A line of the head, without its end.
async fn line(stream: &mut BufReader<Box<dyn Duplex>>) -> io::Result<String> {
    let mut line = String::new();
    tokio::io::AsyncReadExt::take(&mut *stream, LONGEST_LINE).read_line(&mut line).await?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.trim_end_matches('\r').to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A connection to an engine, encrypted where that is asked for.
pub(in crate::engine) async fn dial(address: &Address) -> io::Result<Box<dyn Duplex>> {
    match address {
        #[cfg(unix)]
        Address::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        #[cfg(windows)]
        Address::Pipe(path) => {
            Ok(Box::new(tokio::net::windows::named_pipe::ClientOptions::new().open(path.replace('/', "\\"))?))
        }
        Address::Tcp { host, port, tls } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            // Keystrokes are not to wait for each other.
            stream.set_nodelay(true)?;
            let Some(tls) = tls else { return Ok(Box::new(stream)) };
            let config = transport::tls_config(tls).map_err(io::Error::other)?;
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            Ok(Box::new(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
        }
        other => Err(io::Error::other(format!("{other} can't be used on {}", std::env::consts::OS))),
    }
}

//! A connection to a server of a stack, in clear text or over TLS. Certificates are not verified: developers create
//! their own, and the server is identified by its address.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::engine::connect::tls;

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    /// In clear text.
    Plain(TcpStream),
    /// Over TLS.
    Secure(Box<tls::Connection>),
}

impl Stream {
    /// Connects; `tls`: begins with a TLS handshake.
    ///
    /// # Errors
    /// When nothing listens there, or it speaks no TLS.
    #[cfg(feature = "cli")]
    pub(crate) async fn connect(address: SocketAddr, tls: bool) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        if tls { Self::secure(stream, address).await } else { Ok(Self::Plain(stream)) }
    }

    /// A TLS handshake over a connection.
    ///
    /// # Errors
    /// When the other side speaks no TLS, or none that can be spoken here.
    pub(crate) async fn secure(stream: TcpStream, address: SocketAddr) -> io::Result<Self> {
        Ok(Self::Secure(Box::new(tls::connect_unverified(stream, address).await?)))
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_write(context, buffer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

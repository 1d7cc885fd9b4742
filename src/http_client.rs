//! HTTP to what runs in a stack: to the address in the URL and no other, without proxy, redirects or TLS. What is asked, and
//! what an answer means, is the caller's.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};

/// How long a connection may be silent before the system probes whether the other side is still alive.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What is sent with a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is in memory as a whole.
pub(crate) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body that is sent while it is made. The request needs a `content-length`; without one it is sent in chunks.
pub(crate) fn streamed(body: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(body.map_ok(Frame::data)).boxed_unsync()
}

/// A client. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    inner: legacy::Client<HttpConnector, Body>,
    limit: Duration,
}

impl Client {
    /// A client whose connections are kept for the next request. `connect`: how long it may take to be accepted; `limit`:
    /// how long everything may take, from the first word to the end of the answer.
    pub(crate) fn new(connect: Duration, limit: Duration) -> Self {
        Self::with_idle_connections(connect, limit, usize::MAX)
    }

    /// The same, but each request is made over a connection of its own.
    pub(crate) fn without_pool(connect: Duration, limit: Duration) -> Self {
        Self::with_idle_connections(connect, limit, 0)
    }

    fn with_idle_connections(connect: Duration, limit: Duration, idle: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(idle);
        Self { inner: builder.build(connector), limit }
    }

    /// The same with another limit for everything.
    #[must_use]
    pub(crate) fn with_limit(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    /// Sends a request; returns when the head of the answer is there.
    ///
    /// # Errors
    /// When no answer comes, or none in time.
    pub(crate) async fn send(&self, request: http::Result<Request<Body>>) -> Result<Response, Error> {
        let mut request = request.map_err(Error::other)?;
        request.headers_mut().entry(http::header::ACCEPT).or_insert(http::HeaderValue::from_static("*/*"));
        let deadline = Instant::now() + self.limit;
        let answer = timeout_at(deadline, self.inner.request(request)).await.map_err(|_| Error::NoAnswer)?;
        let (head, body) = answer.map_err(Error::of_request)?.into_parts();
        Ok(Response { status: head.status, headers: head.headers, body, deadline })
    }

    /// `GET` of a URL.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub(crate) async fn get(&self, url: &str) -> Result<Response, Error> {
        self.send(Request::get(url).body(whole(Bytes::new()))).await
    }
}

/// An answer, of which the body may be still to come.
#[derive(Debug)]
pub(crate) struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    deadline: Instant,
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// How long the body is, in bytes, where the answer says it.
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// When the connection breaks off, or the time for the whole answer is over.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await.map_err(|_| Error::NoAnswer)?;
            match frame.transpose().map_err(Error::other)?.map(Frame::into_data) {
                Some(Ok(data)) => return Ok(Some(data)),
                // Trailers.
                Some(Err(_)) => {}
                None => return Ok(None),
            }
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Error {
    /// The connection was not accepted in time.
    NotAccepted,
    /// It was, but no answer came in time, or not all of it.
    NoAnswer,
    /// Anything else; its innermost cause says what happened.
    Other(Box<dyn StdError + Send + Sync>),
}

impl Error {
    fn other(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Other(Box::new(error))
    }

    fn of_request(error: legacy::Error) -> Self {
        let mut cause: Option<&dyn StdError> = Some(&error);
        while let Some(found) = cause {
            if found.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                return if error.is_connect() { Self::NotAccepted } else { Self::NoAnswer };
            }
            cause = found.source();
        }
        Self::other(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAccepted | Self::NoAnswer => f.write_str("operation timed out"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NotAccepted | Self::NoAnswer => None,
            Self::Other(error) => Some(&**error),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends a request to a server that answers this once and then keeps the connection open. What arrived there (in small
    /// letters), and what came back.
    async fn exchange(answer: &str, request: http::request::Builder, body: Body) -> (String, Result<String, Error>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a%20b/../c?d=%2F", listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"END") && !asked.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut asked).await.unwrap();
            }
            (stream, String::from_utf8(asked).unwrap())
        };
        let ask = async {
            let client = Client::without_pool(SECOND, Duration::from_millis(300));
            let mut response = client.send(request.uri(url).body(body)).await?;
            let mut text = format!("{} {:?}: ", response.status().as_u16(), response.length());
            while let Some(chunk) = response.chunk().await? {
                text.push_str(&String::from_utf8_lossy(&chunk));
            }
            Ok(text)
        };
        let ((_open, asked), got) = tokio::join!(serve, ask);
        (asked, got)
    }

    #[tokio::test]
    async fn a_request_is_sent_as_it_is_given_and_no_redirect_is_followed() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nno";
        let (asked, got) = exchange(moved, Request::post("/"), whole("END")).await;
        assert!(asked.starts_with("POST /a%20b/../c?d=%2F HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("content-length: 3\r\n") && asked.contains("host: 127.0.0.1:"), "{asked}");
        assert_eq!(got.unwrap(), "302 Some(2): no");
        let body = futures_util::stream::iter(["E", "ND"]).map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let request = Request::put("/").header("content-length", "3");
        let (asked, got) = exchange("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", request, streamed(body)).await;
        assert!(asked.ends_with("\r\n\r\nEND") && !asked.contains("chunked"), "{asked}");
        assert_eq!(got.unwrap(), "200 Some(0): ");
    }

    #[tokio::test]
    async fn the_limit_holds_for_the_whole_answer() {
        for half in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
            let (_, got) = exchange(half, Request::get("/"), whole("")).await;
            assert!(matches!(got, Err(Error::NoAnswer)), "{half:?}: {got:?}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_the_innermost_cause() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let refused = Client::new(SECOND, SECOND).get(&url).await.unwrap_err();
        let mut innermost: &dyn StdError = &refused;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let innermost = innermost.downcast_ref::<io::Error>().map(io::Error::kind);
        assert_eq!(innermost, Some(io::ErrorKind::ConnectionRefused), "{refused:?}");
        assert!(matches!(Client::new(SECOND, SECOND).get("no url").await, Err(Error::Other(_))));
    }
}

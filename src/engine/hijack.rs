//! Our own connection to the engine, for the few calls after which it becomes a bidirectional byte stream, and for a
//! wait that must be known to have begun.
//!
//! bollard decodes such streams as frames and takes bytes below 3 from a terminal for the start of a frame, so that
//! they are lost. Here bytes are passed unchanged, and the direction to the process can be closed independently.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::connect::{Address, tls};

/// A query string.
pub(super) fn query(pairs: &[(&str, String)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' => {
                    out.push(byte.into());
                }
                byte => out.push_str(&format!("%{byte:02X}")),
            }
            out
        })
    };
    pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

/// What the engine sends.
pub(super) type Reader = BufReader<Pin<Box<dyn AsyncRead + Send>>>;
/// What it is sent. Shutting it down ends this direction alone.
pub(super) type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// How long the connection may take.
const DIAL_LIMIT: Duration = Duration::from_secs(20);

/// More than any engine writes before a body, and more of an error than is worth reading.
const LONGEST_HEAD: u64 = 64 * 1024;

/// Room for what is read at once: as much as the engine sends in a frame.
const ROOM: usize = 32 * 1024;

/// What the connection carries after the headers of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then<'a> {
    /// As bytes both ways.
    Upgrade,
    /// With the body, which ends with the connection.
    Body,
    /// As HTTP/2, with these header lines; the engine is the client then.
    Http2(&'a str),
}

/// Sends a POST and reads the head of its answer; what follows is read from what is returned.
///
/// # Errors
/// As bollard's, so that they are sorted and worded like those of every other call.
pub(super) async fn post(
    address: &Address,
    path: &str,
    body: &str,
    then: Then<'_>,
) -> Result<(Reader, Writer), Bollard> {
    let dialled = tokio::time::timeout(DIAL_LIMIT, dial(address)).await;
    let (reader, mut writer) = dialled.map_err(|_| Bollard::RequestTimeoutError)?.map_err(io_error)?;
    let mut reader = BufReader::with_capacity(ROOM, reader);
    writer.write_all(request(path, body, then).as_bytes()).await.map_err(io_error)?;
    writer.flush().await.map_err(io_error)?;
    let mut head = String::new();
    let mut limited = (&mut reader).take(LONGEST_HEAD);
    while !head.ends_with("\r\n\r\n") {
        if limited.read_line(&mut head).await.map_err(io_error)? == 0 {
            return Err(io_error(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    match status(&head) {
        Some(101 | 200..=299) => Ok((reader, writer)),
        Some(code) => {
            let length = header(&head, "content-length").and_then(|length| length.parse().ok());
            let mut text = Vec::new();
            // Without a length the connection's end is the body's, but an engine may keep it open.
            let mut body = reader.take(length.unwrap_or(LONGEST_HEAD).min(LONGEST_HEAD));
            let _ = tokio::time::timeout(Duration::from_secs(1), body.read_to_end(&mut text)).await;
            Err(Bollard::DockerResponseServerError { status_code: code, message: message(&text) })
        }
        None => Err(io_error(io::Error::other("what answers is not a Docker engine"))),
    }
}

/// HTTP/1.0 ends a body with the connection: no chunks to take apart.
fn request(path: &str, body: &str, then: Then<'_>) -> String {
    let (version, more) = match then {
        Then::Upgrade => ("1.1", "Connection: Upgrade\r\nUpgrade: tcp\r\n".into()),
        Then::Body => ("1.0", String::new()),
        Then::Http2(headers) => ("1.1", format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{headers}")),
    };
    format!(
        "POST {path} HTTP/{version}\r\nHost: engine\r\n{more}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// The engine's words in the body of an error.
fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(said) => said.message,
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

fn io_error(error: io::Error) -> Bollard {
    Bollard::IOError { err: error }
}

async fn dial(address: &Address) -> io::Result<(Pin<Box<dyn AsyncRead + Send>>, Writer)> {
    match address {
        #[cfg(unix)]
        Address::Unix(path) => {
            let (reader, writer) = tokio::net::UnixStream::connect(path).await?.into_split();
            Ok((Box::pin(reader), Box::pin(writer)))
        }
        #[cfg(windows)]
        Address::Pipe(path) => {
            let pipe = tokio::net::windows::named_pipe::ClientOptions::new().open(path.replace('/', "\\"))?;
            let (reader, writer) = tokio::io::split(pipe);
            Ok((Box::pin(reader), Box::pin(writer)))
        }
        Address::Tcp { host, port, tls: files } => {
            let stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await?;
            // Keystrokes are not to wait for each other.
            stream.set_nodelay(true)?;
            let Some(files) = files else {
                let (reader, writer) = stream.into_split();
                return Ok((Box::pin(reader), Box::pin(writer)));
            };
            let (reader, writer) = tokio::io::split(tls::connect(stream, host, files).await?);
            Ok((Box::pin(reader), Box::pin(writer)))
        }
        other => Err(io::Error::other(format!("{other} can't be used on {}", std::env::consts::OS))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_answer_is_understood() {
        let head = "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\ncontent-length: 12\r\n\r\n";
        assert_eq!((status(head), header(head, "Content-Length")), (Some(409), Some("12")));
        assert_eq!(status("HTTP/1.1 101 UPGRADED\r\n\r\n"), Some(101));
        assert_eq!(status("SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(message(br#"{"message":"no such exec"}"#), "no such exec");
        assert_eq!(message(b"bad gateway\n"), "bad gateway");
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn an_error_is_the_engines_own_and_bytes_after_the_head_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let answer = |text: &'static str| {
            let listener = &listener;
            async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(text.as_bytes()).await.unwrap();
                let mut asked = vec![0; 1024];
                let length = stream.read(&mut asked).await.unwrap();
                String::from_utf8_lossy(&asked[..length]).into_owned()
            }
        };
        let address = Address::Unix(path.clone());
        let refused = "HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\n\r\n{\"message\":\"none there\"}";
        let (asked, got) = tokio::join!(answer(refused), post(&address, "/x", "{}", Then::Upgrade));
        assert!(asked.starts_with("POST /x HTTP/1.1\r\n") && asked.ends_with("\r\n\r\n{}"), "{asked}");
        let Err(Bollard::DockerResponseServerError { status_code: 404, message }) = got else { panic!("no error") };
        assert_eq!(message, "none there");

        let (_, got) =
            tokio::join!(answer("HTTP/1.1 101 UPGRADED\r\n\r\nearly"), post(&address, "/", "", Then::Upgrade));
        let mut early = String::new();
        got.unwrap().0.read_to_string(&mut early).await.unwrap();
        assert_eq!(early, "early");
    }
}

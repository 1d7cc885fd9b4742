//! A fast way to identify the engine on a Unix socket: the headers of its response to a ping. `/version` reports more,
//! but costs an engine up to 10 ms, because it runs its helper programs to query their versions.

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::Said;

/// More than any engine's answer; the answer may be that of another program.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// Pings; none when the answer does not say which engine it is of. HTTP/1.0 ends it with the connection.
pub(super) async fn ping(socket: &Path) -> io::Result<Option<Said>> {
    let mut stream = UnixStream::connect(socket).await?;
    let is_visible = stream.peer_cred()?.pid().is_some_and(|pid| pid > 0);
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
    Ok(parse(&String::from_utf8_lossy(&answer), is_visible))
}

/// `Api-Version: 1.41`, `Server: Docker/20.10.24+dfsg1 (linux)`.
fn parse(answer: &str, on_this_kernel: bool) -> Option<Said> {
    let mut lines = answer.lines();
    if lines.next()?.split(' ').nth(1) != Some("200") {
        return None;
    }
    let headers: Vec<(&str, &str)> =
        lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": ")).collect();
    let header =
        |name: &str| headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    let version = header("server")?.split(' ').next()?.split_once('/')?.1;
    Some(Said {
        version: Some(version.into()),
        api: header("api-version")?.into(),
        on_this_kernel,
        // 1 is the classic builder, 2 BuildKit; an engine that has both and prefers none does not say.
        builds_classic: header("builder-version") == Some("1"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_says_in_its_headers_who_it_is() {
        let answer = "HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\nserver: Docker/20.10.24+dfsg1 (linux)\r\n\r\nOK";
        let said = parse(answer, true).expect("an engine");
        assert_eq!((said.version.as_deref(), said.api.as_str()), (Some("20.10.24+dfsg1"), "1.41"));
        assert!(said.on_this_kernel && !said.builds_classic);
        let classic = answer.replacen("server:", "Builder-Version: 1\r\nserver:", 1);
        assert!(parse(&classic, true).expect("an engine").builds_classic);
    }

    #[test]
    fn who_does_not_say_so_is_asked_otherwise() {
        for answer in [
            "",
            "garbage",
            "HTTP/1.1 200 OK\r\n\r\nApi-Version: 1.41\r\nServer: Docker/1 (linux)",
            "HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n",
            "HTTP/1.1 500 Internal Server Error\r\nApi-Version: 1.41\r\nServer: Docker/20.10.24 (linux)\r\n\r\n",
        ] {
            assert!(parse(answer, true).is_none(), "{answer:?}");
        }
    }
}

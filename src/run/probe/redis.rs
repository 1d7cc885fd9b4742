//! Redis: `PING`, after `AUTH` where a password is configured.

use std::io;

use tokio::net::TcpStream;

use super::{Answer, exchange, unexpected};

/// Without a password, being asked for one is an answer of a server that is up.
pub(super) async fn ask(mut stream: TcpStream, password: Option<&str>) -> io::Result<Answer> {
    const PING: &str = "*1\r\n$4\r\nPING\r\n";
    let Some(password) = password else {
        let answers = exchange(&mut stream, PING.as_bytes(), 1).await?;
        return understand(&answers[0]);
    };
    let send = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n{PING}", password.len());
    let answers = exchange(&mut stream, send.as_bytes(), 2).await?;
    match answers[0].strip_prefix('-') {
        // `WRONGPASS …`, or `ERR AUTH <password> called without any password configured …`
        Some(refused) if refused.starts_with("WRONGPASS") || refused.starts_with("ERR AUTH") => {
            Ok(Answer::Never(refused.into()))
        }
        Some(refused) => Ok(Answer::NotYet(refused.into())),
        None => understand(&answers[1]),
    }
}

fn understand(answer: &str) -> io::Result<Answer> {
    match answer.split_at_checked(1) {
        Some(("+", "PONG")) => Ok(Answer::Ready),
        Some(("-", error)) => Ok(match error.split(' ').next().unwrap_or_default() {
            // It knows who may do what: it is up, and a client with the right to will be served.
            "NOAUTH" | "NOPERM" => Answer::Ready,
            // Protected mode: it was told to serve nobody but its own container.
            "DENIED" => Answer::Never(error.into()),
            // LOADING, MASTERDOWN, BUSY, …
            _ => Answer::NotYet(error.into()),
        }),
        _ => Err(unexpected(answer.as_bytes())),
    }
}

//! Redis: `PING`, after `AUTH` if a password is known.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::{Answer, exchange, unexpected};
use crate::engine::connect::tls;
use crate::run::stream::Stream;

/// Who may do what is not asked here: an answer of any kind is one of a server that is up.
pub(super) async fn ask(
    stream: TcpStream,
    address: SocketAddr,
    tls: bool,
    user: Option<&str>,
    password: Option<&str>,
) -> io::Result<Answer> {
    match talk(stream, address, tls, user, password).await {
        Ok((answers, _)) => match answers.last() {
            Some(answer) => understand(answer),
            // It speaks TLS and wants a certificate, which is a client's.
            None => Ok(Answer::Ready),
        },
        Err(error) => Err(error),
    }
}

/// The answers to `AUTH`, where there is a password, and `PING`, and whether it speaks TLS. None where it wants a
/// client's certificate.
pub(crate) async fn answer(
    address: SocketAddr,
    tls: bool,
    user: Option<&str>,
    password: Option<&str>,
) -> io::Result<(Vec<String>, bool)> {
    talk(TcpStream::connect(address).await?, address, tls, user, password).await
}

async fn talk(
    stream: TcpStream,
    address: SocketAddr,
    is_tls: bool,
    user: Option<&str>,
    password: Option<&str>,
) -> io::Result<(Vec<String>, bool)> {
    let mut send = password.map(|password| command(&[Some("AUTH"), user, Some(password)])).unwrap_or_default();
    send.push_str(&command(&[Some("PING")]));
    let lines = if password.is_some() { 2 } else { 1 };
    let stream = if is_tls {
        stream
    } else {
        match exchange(&mut Stream::from(stream), send.as_bytes(), lines).await {
            Err(error) if is_closed(&error) => match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(_) => return Err(error),
            },
            answered => return answered.map(|answers| (answers, false)),
        }
    };
    // One that serves TLS only closes what begins otherwise.
    let mut stream = match Stream::secure(stream, address).await {
        Ok(stream) => stream,
        Err(error) if tls::is_refusal(&error) => return Ok((Vec::new(), true)),
        Err(error) => return Err(error),
    };
    match exchange(&mut stream, send.as_bytes(), lines).await {
        Err(error) if is_closed(&error) || tls::is_refusal(&error) => Ok((Vec::new(), true)),
        answered => answered.map(|answers| (answers, true)),
    }
}

fn command(words: &[Option<&str>]) -> String {
    let words: Vec<&str> = words.iter().flatten().copied().collect();
    let mut text = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| text.push_str(&format!("${}\r\n{word}\r\n", word.len())));
    text
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// What an answer to `PING` means.
pub(crate) fn understand(answer: &str) -> io::Result<Answer> {
    match answer.split_at_checked(1) {
        Some(("+", "PONG")) => Ok(Answer::Ready),
        Some(("-", error)) => Ok(of_error(error)),
        _ => Err(unexpected(answer.as_bytes())),
    }
}

/// The same as a client inside writes it.
pub(crate) fn understand_client(answer: &str) -> Answer {
    let line = answer.lines().next_back().unwrap_or_default().trim();
    let line = line.trim_start_matches("(error) ");
    if line == "PONG" { Answer::Ready } else { of_error(line) }
}

fn of_error(error: &str) -> Answer {
    // Its explanation of protected mode has a thousand characters, in one line.
    let error = error.split_once(". ").map_or(error, |(sentence, _)| sentence);
    match error.split(' ').next().unwrap_or_default() {
        // It knows who may do what: it is up, and a client with the right to will be served.
        "NOAUTH" | "NOPERM" | "WRONGPASS" => Answer::Ready,
        // Protected mode: it is configured to serve only its own container.
        "DENIED" => Answer::Never(error.into()),
        // LOADING, MASTERDOWN, BUSY, …
        _ => Answer::NotYet(error.into()),
    }
}

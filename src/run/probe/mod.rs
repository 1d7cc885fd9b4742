//! Probes a service once, in its own protocol, over the address a client would use.
//!
//! One probe, one [`Answer`]; when to probe again is up to `run::ready`. Logs, commands in the container and the
//! engine's health check are not probed here ([`is_network`]).

mod http;
mod postgres;
mod redis;
mod tcp;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::diag::Result;
use crate::model::Probe;

#[cfg(feature = "cli")]
pub(crate) use http::client as http_client;
pub(super) use redis::{answer as redis_answer, understand_client as understand_redis};

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A client can use it.
    Ready,
    /// Not now, in words: `connection refused`, `the database system is starting up`.
    NotYet(String),
    /// It never will, however long one waits: it refuses the configured password, an init script failed.
    Never(String),
}

/// How long one question may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To be accepted.
    pub connect: Duration,
    /// To be answered, once accepted.
    pub answer: Duration,
    /// A silent connection that is still open after this is taken as open: a port forwarder without a server behind
    /// it closes at once.
    pub stays_open: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(250),
            answer: Duration::from_secs(1),
            stays_open: Duration::from_millis(75),
        }
    }
}

/// Longest answer that is read: none of the protocols needs more, and another program may answer.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Whether a probe is asked over the network, that is by [`Prober::ask`].
pub fn is_network(probe: &Probe) -> bool {
    match probe {
        Probe::Postgres { .. }
        | Probe::Redis { .. }
        | Probe::Localstack { .. }
        | Probe::Ministack { .. }
        | Probe::Mail { .. }
        | Probe::Smtp { .. }
        | Probe::Http { .. }
        | Probe::Tcp { .. } => true,
        Probe::Log { .. } | Probe::Exec { .. } | Probe::Engine | Probe::Exit | Probe::Auto => false,
    }
}

/// Asks services over the network. Made once a run; cheap to clone.
#[derive(Debug, Clone)]
pub struct Prober {
    http: reqwest::Client,
    limits: Limits,
    logs_in: bool,
}

impl Prober {
    /// A prober with these limits.
    pub fn new(limits: Limits) -> Result<Self> {
        Ok(Self { http: http::client(limits)?, limits, logs_in: true })
    }

    /// The same, but PostgreSQL's question ends where it asks for the password: a login costs both sides thousands of
    /// rounds of hashing, and whether it succeeds was settled when the service was started.
    #[must_use]
    pub fn without_login(self) -> Self {
        Self { logs_in: false, ..self }
    }

    /// The same, which waits so long for an answer.
    #[must_use]
    pub fn with_answer_within(mut self, limit: Duration) -> Self {
        self.limits.answer = limit;
        self
    }

    /// The same, for which a connection has to stay open for so long.
    #[must_use]
    pub fn with_open_for(mut self, time: Duration) -> Self {
        self.limits.stays_open = time;
        self.limits.answer = self.limits.answer.max(2 * time);
        self
    }

    /// Asks once. `addresses`: where each container port can be reached from here.
    pub async fn ask(&self, probe: &Probe, addresses: &BTreeMap<u16, SocketAddr>) -> Answer {
        self.ask_of(probe, addresses, &[]).await
    }

    /// The same of a container whose `own` addresses can be reached from here, too: what refuses there is not ready,
    /// whatever a port forwarder in front of it makes of that.
    pub async fn ask_of(&self, probe: &Probe, addresses: &BTreeMap<u16, SocketAddr>, own: &[IpAddr]) -> Answer {
        self.try_ask(probe, addresses, own).await.unwrap_or_else(|refusal| refusal)
    }

    fn http(&self) -> http::Asking<'_> {
        http::Asking { client: &self.http, limit: self.limits.connect + self.limits.answer }
    }

    /// As [`Self::ask`]; `Err` ends it early with what could not be done.
    async fn try_ask(
        &self,
        probe: &Probe,
        addresses: &BTreeMap<u16, SocketAddr>,
        own: &[IpAddr],
    ) -> Result<Answer, Answer> {
        let at = |port: &u16| addresses.get(port).copied().ok_or_else(|| unreachable_port(*port));
        Ok(match probe {
            Probe::Postgres { port, user, password, database, .. } => {
                let (address, password) = (at(port)?, password.as_deref().filter(|_| self.logs_in));
                let (user, database) = (user.as_deref(), database.as_deref());
                self.talk(address, |stream| postgres::ask(stream, address, user, password, database)).await
            }
            Probe::Redis { port, user, password, tls, .. } => {
                let (address, user, password) = (at(port)?, user.as_deref(), password.as_deref());
                self.talk(address, |stream| redis::ask(stream, address, *tls, user, password)).await
            }
            Probe::Localstack { port } => http::localstack(self.http(), at(port)?).await,
            Probe::Ministack { port } => {
                http::status(self.http(), at(port)?, "/_ministack/ready", |status| status == 200).await
            }
            Probe::Mail { http, smtp, path, .. } => {
                // A page that asks for a login is an API that answers.
                let api = http::status(self.http(), at(http)?, path, |status| status == 200 || status == 401);
                let (api, greeting) = tokio::join!(api, self.talk(at(smtp)?, tcp::smtp));
                worst([api.of("HTTP"), greeting.of("SMTP")])
            }
            Probe::Smtp { port } => self.talk(at(port)?, tcp::smtp).await,
            Probe::Http { port, path } => http::status(self.http(), at(port)?, path, |status| status < 400).await,
            Probe::Tcp { ports } => {
                let ports = if ports.is_empty() { addresses.keys().copied().collect() } else { ports.clone() };
                let asked = ports.iter().map(async |port| match at(port) {
                    Ok(address) => self.accepts(*port, address, own).await,
                    Err(refusal) => refusal,
                });
                match futures_util::future::join_all(asked).await {
                    none if none.is_empty() => Answer::NotYet("no port can be reached from the host".into()),
                    answers => worst(answers),
                }
            }
            Probe::Log { .. } | Probe::Exec { .. } | Probe::Engine | Probe::Exit | Probe::Auto => {
                Answer::Never("this probe is not asked over the network".into())
            }
        })
    }

    /// Whether a port accepts and keeps open what it accepted.
    async fn accepts(&self, port: u16, address: SocketAddr, own: &[IpAddr]) -> Answer {
        let inside = tcp::listens(own, port, self.limits.connect).await;
        if inside == Some(false) && !own.contains(&address.ip()) {
            return Answer::NotYet(format!("accepted, then closed: nothing listens on port {port} inside"));
        }
        let once = async || self.talk(address, |stream| tcp::stays_open(stream, self.limits.stays_open)).await;
        let answer = match once().await {
            // Only a port forwarder says so, and one may be late to close what it accepted.
            Answer::Ready if inside.is_none() => once().await,
            // The forwarder died, or the engine never had one for it.
            Answer::NotYet(_) if inside == Some(true) && !own.contains(&address.ip()) => {
                let why = format!("port {port} accepts inside, but not where the engine publishes it ({address})");
                return Answer::NotYet(why);
            }
            answer => answer,
        };
        answer.of(&format!("port {port}"))
    }

    /// Connects and holds a conversation, each within its limit.
    async fn talk<F>(&self, address: SocketAddr, conversation: impl FnOnce(TcpStream) -> F) -> Answer
    where
        F: Future<Output = io::Result<Answer>>,
    {
        let Limits { connect, answer, .. } = self.limits;
        let stream = match timeout(connect, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Answer::NotYet(words(&error)),
            Err(_) => return Answer::NotYet(format!("not accepted within {} ms", connect.as_millis())),
        };
        match timeout(answer, conversation(stream)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::NotYet(words(&error)),
            Err(_) => Answer::NotYet(format!("accepted, but no answer within {} s", answer.as_secs_f64())),
        }
    }
}

impl Answer {
    /// Says which part of the service answered so.
    fn of(self, part: &str) -> Self {
        match self {
            Self::Ready => Self::Ready,
            Self::NotYet(why) => Self::NotYet(format!("{part}: {why}")),
            Self::Never(why) => Self::Never(format!("{part}: {why}")),
        }
    }
}

/// All must be ready; what is hopeless counts more than what takes time.
fn worst(answers: impl IntoIterator<Item = Answer>) -> Answer {
    answers.into_iter().fold(Answer::Ready, |worst, next| match (&worst, &next) {
        (Answer::Ready, _) | (Answer::NotYet(_), Answer::Never(_)) => next,
        _ => worst,
    })
}

/// Not `Never`: a mapping may be missing from the engine's answer for a moment after the start.
fn unreachable_port(port: u16) -> Answer {
    Answer::NotYet(format!("port {port} can't be reached from the host"))
}

/// An I/O error as text for a user who waits for a service.
fn words(error: &io::Error) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
    match error.kind() {
        ConnectionRefused => "connection refused".into(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe => "accepted, then closed".into(),
        // The system's messages contain an error number that is of no use.
        _ if error.raw_os_error().is_some() => {
            error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
        }
        _ => error.to_string(),
    }
}

/// A program answered that does not speak the protocol.
pub(super) fn unexpected(answer: &[u8]) -> io::Error {
    let start = String::from_utf8_lossy(&answer[..answer.len().min(40)]);
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected answer {:?}", start.trim_end()))
}

/// Sends, then reads a number of lines; for line-based protocols.
async fn exchange<S>(stream: &mut S, send: &[u8], lines: usize) -> io::Result<Vec<String>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    stream.write_all(send).await?;
    stream.flush().await?;
    let mut reader = BufReader::new(stream.take(LONGEST_ANSWER as u64));
    let mut answers = Vec::with_capacity(lines);
    while answers.len() < lines {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).await?;
        match line.strip_suffix(b"\n") {
            Some(line) => answers.push(String::from_utf8_lossy(line).trim_end().to_owned()),
            None if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => return Err(unexpected(&line)),
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests;

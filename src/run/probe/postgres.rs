//! PostgreSQL: startup handshake and one login, on one connection.
//!
//! The temporary server that runs init scripts on a first start does not listen on any TCP port, so a server that
//! answers here is the real one. The login detects what a handshake does not: a volume created with another password or
//! database.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Answer;
use crate::run::postgres::{Login, Refusal, continued};

/// Without a known password, a password request is enough; without a user, any answer is.
pub(super) async fn ask(
    stream: TcpStream,
    address: SocketAddr,
    user: Option<&str>,
    password: Option<&str>,
    database: Option<&str>,
) -> io::Result<Answer> {
    let known = user.is_some() && database.is_some();
    let name = user.unwrap_or("postgres");
    let password = password.filter(|_| known);
    match continued(stream, address, name, password, database.unwrap_or(name)).await? {
        Login::Done(connection) => connection.end().await.map(|()| Answer::Ready),
        // What asks for a password is up.
        Login::Asked => Ok(Answer::Ready),
        Login::Refused(refusal) if known || is_starting(&refusal) => Ok(understand(refusal)),
        Login::Refused(_) => Ok(Answer::Ready),
    }
}

/// admin_shutdown, crash_shutdown, cannot_connect_now: it is about to change.
fn is_starting(refusal: &Refusal) -> bool {
    refusal.code.starts_with("57P0")
}

/// What an error at login means for who waits. The code is said, too: the message may be in any language.
fn understand(Refusal { code, message }: Refusal) -> Answer {
    let words = format!("{message} (SQLSTATE {code})");
    match code.as_str() {
        // invalid_password, invalid_authorization_specification (no such role, no pg_hba.conf entry),
        // invalid_catalog_name (no such database)
        "28P01" | "28000" | "3D000" => Answer::Never(words),
        "57P03" => Answer::NotYet(message),
        _ => Answer::NotYet(words),
    }
}

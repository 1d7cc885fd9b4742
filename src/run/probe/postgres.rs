//! PostgreSQL: startup handshake and one login, on one connection.
//!
//! The temporary server that runs init scripts on a first boot listens on no TCP port, so whoever answers here is the
//! real one. The login finds what a handshake does not: a volume made with another password or database.

use std::io;

use tokio::net::TcpStream;

use super::Answer;
use crate::run::postgres::{Login, Refusal, login};

/// Without a password, being asked for one is as far as it goes, and enough.
pub(super) async fn ask(stream: TcpStream, user: &str, password: Option<&str>, database: &str) -> io::Result<Answer> {
    match login(stream, user, password, database).await? {
        Login::Done(connection) => connection.end().await.map(|()| Answer::Ready),
        // Whoever asks for a password is up.
        Login::Asked => Ok(Answer::Ready),
        Login::Refused(refusal) => Ok(understand(refusal)),
    }
}

/// What an error at login means for somebody who waits.
fn understand(Refusal { code, message }: Refusal) -> Answer {
    match code.as_str() {
        // invalid_password, invalid_authorization_specification (no such role, no pg_hba.conf entry),
        // invalid_catalog_name (no such database)
        "28P01" | "28000" | "3D000" => Answer::Never(message),
        _ => Answer::NotYet(message),
    }
}

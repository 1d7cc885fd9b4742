//! PostgreSQL: startup handshake and one login, on one connection.
//!
//! The temporary server that runs init scripts on a first boot listens on no TCP port, so whoever answers here is the
//! real one. The login finds what a handshake does not: a volume made with another password or database.

use std::io;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, LONGEST_ANSWER, unexpected};

/// Without a password, being asked for one is as far as it goes, and enough.
pub(super) async fn ask(
    mut stream: TcpStream,
    user: &str,
    password: Option<&str>,
    database: &str,
) -> io::Result<Answer> {
    let (mut out, mut buffer) = (BytesMut::new(), BytesMut::with_capacity(1024));
    let parameters = [("user", user), ("database", database), ("application_name", "taskava")];
    frontend::startup_message(parameters, &mut out)?;
    let mut scram = None;
    loop {
        stream.write_all_buf(&mut out).await?;
        match next(&mut stream, &mut buffer).await? {
            Message::ErrorResponse(body) => return refusal(&body),
            Message::AuthenticationOk
            | Message::ParameterStatus(_)
            | Message::BackendKeyData(_)
            | Message::NoticeResponse(_) => {}
            Message::ReadyForQuery(_) => break,
            request => {
                // Gone without a goodbye, as a client that has to ask its user first: the server logs nothing then.
                let Some(password) = password else { return Ok(Answer::Ready) };
                if !reply(&request, user, password, &mut scram, &mut out)? {
                    return Ok(Answer::Ready);
                }
            }
        }
    }
    frontend::terminate(&mut out);
    stream.write_all_buf(&mut out).await?;
    Ok(Answer::Ready)
}

/// Answers a request to log in; false if it is for a method that only a real client knows: the server is up.
fn reply(
    request: &Message,
    user: &str,
    password: &str,
    scram: &mut Option<ScramSha256>,
    out: &mut BytesMut,
) -> io::Result<bool> {
    match (request, scram) {
        (Message::AuthenticationCleartextPassword, _) => frontend::password_message(password.as_bytes(), out)?,
        (Message::AuthenticationMd5Password(body), _) => {
            let hash = md5_hash(user.as_bytes(), password.as_bytes(), body.salt());
            frontend::password_message(hash.as_bytes(), out)?;
        }
        (Message::AuthenticationSasl(body), scram) => {
            if !body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
                return Ok(false);
            }
            let fresh = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
            frontend::sasl_initial_response(SCRAM_SHA_256, fresh.message(), out)?;
            *scram = Some(fresh);
        }
        (Message::AuthenticationSaslContinue(body), Some(scram)) => {
            scram.update(body.data())?;
            frontend::sasl_response(scram.message(), out)?;
        }
        (Message::AuthenticationSaslFinal(body), Some(scram)) => scram.finish(body.data())?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads the next message. The length is looked at first: it may be anything if this is not PostgreSQL.
async fn next(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Message> {
    loop {
        let header = Header::parse(buffer).map_err(|_| unexpected(buffer))?;
        if header.is_some_and(|header| header.len().unsigned_abs() as usize > LONGEST_ANSWER) {
            return Err(unexpected(buffer));
        }
        if let Some(message) = Message::parse(buffer)? {
            return Ok(message);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What an error at login means for somebody who waits.
fn refusal(body: &ErrorResponseBody) -> io::Result<Answer> {
    let (mut code, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Some(field) = fields.next()? {
        match field.type_() {
            b'C' => code = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            b'M' => message = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            _ => {}
        }
    }
    Ok(match code.as_str() {
        // invalid_password, invalid_authorization_specification (no such role, no pg_hba.conf entry),
        // invalid_catalog_name (no such database)
        "28P01" | "28000" | "3D000" => Answer::Never(message),
        _ => Answer::NotYet(message),
    })
}

//! A minimal PostgreSQL client: a login, and SQL statements one after the other. Enough for the readiness probe
//! (`probe`) and for copying databases (`database`), so that no complete client is needed.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stream::Stream;

/// Longest message that is read: another program may answer.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// A server's refusal: SQLSTATE and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Five characters.
    pub(crate) code: String,
    /// In the server's words.
    pub(crate) message: String,
}

/// How a login ended.
#[derive(Debug)]
pub(crate) enum Login {
    /// The server waits for a query.
    Done(Connection),
    /// It asks for a password that is not known here, or in a way that only a real client knows.
    Asked,
    /// It refuses.
    Refused(Refusal),
}

/// What a query came to: one row a line, as text.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// A connection that waits for a query.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    buffer: BytesMut,
}

/// Connects and logs in; over TLS where the server takes nothing else.
pub(crate) async fn open(address: SocketAddr, user: &str, password: Option<&str>, database: &str) -> io::Result<Login> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    continued(stream, address, user, password, database).await
}

/// The same over a connection to that address.
pub(crate) async fn continued(
    stream: TcpStream,
    address: SocketAddr,
    user: &str,
    password: Option<&str>,
    database: &str,
) -> io::Result<Login> {
    match login(stream.into(), user, password, database).await? {
        Login::Refused(refusal) if refusal.has_no_rule() => match secure(address).await? {
            // It wants a certificate of the client, or a TLS that is not spoken here.
            Offer::Unusable => Ok(Login::Asked),
            Offer::None => Ok(Login::Refused(refusal)),
            Offer::Stream(stream) => match login(stream, user, password, database).await {
                Ok(Login::Refused(refusal)) if refusal.message.contains("certificate") => Ok(Login::Asked),
                answered => answered,
            },
        },
        answered => Ok(answered),
    }
}

/// Whether a server has no rule for a plain connection, and takes one over TLS.
pub(crate) async fn takes_tls_alone(address: SocketAddr, user: &str, database: &str) -> io::Result<bool> {
    let plain = TcpStream::connect(address).await?;
    match login(plain.into(), user, None, database).await? {
        Login::Refused(refusal) if refusal.has_no_rule() => Ok(!matches!(secure(address).await?, Offer::None)),
        Login::Done(connection) => connection.end().await.map(|()| false),
        Login::Refused(_) | Login::Asked => Ok(false),
    }
}

/// What a server says when it is asked for TLS.
enum Offer {
    None,
    Unusable,
    Stream(Stream),
}

async fn secure(address: SocketAddr) -> io::Result<Offer> {
    let (mut out, mut stream) = (BytesMut::new(), TcpStream::connect(address).await?);
    frontend::ssl_request(&mut out);
    stream.write_all_buf(&mut out).await?;
    match stream.read_u8().await? {
        b'S' => Ok(Stream::secure(stream, address).await.map_or(Offer::Unusable, Offer::Stream)),
        _ => Ok(Offer::None),
    }
}

impl Refusal {
    /// invalid_authorization_specification for which pg_hba.conf is named: no rule for such a connection. Every language's
    /// message names the file.
    fn has_no_rule(&self) -> bool {
        self.code == "28000" && self.message.contains("pg_hba.conf")
    }
}

/// Says hello and logs in.
async fn login(mut stream: Stream, user: &str, password: Option<&str>, database: &str) -> io::Result<Login> {
    let (mut out, mut buffer) = (BytesMut::new(), BytesMut::with_capacity(1024));
    let parameters = [("user", user), ("database", database), ("application_name", "taskava")];
    frontend::startup_message(parameters, &mut out)?;
    let mut scram = None;
    loop {
        stream.write_all_buf(&mut out).await?;
        stream.flush().await?;
        match next(&mut stream, &mut buffer).await? {
            Message::ErrorResponse(body) => return Ok(Login::Refused(refusal(&body)?)),
            Message::AuthenticationOk
            | Message::ParameterStatus(_)
            | Message::BackendKeyData(_)
            | Message::NoticeResponse(_) => {}
            Message::ReadyForQuery(_) => return Ok(Login::Done(Connection { stream, buffer })),
            request => {
                // Gone without a goodbye, as a client that has to ask its user first: the server logs nothing then.
                let Some(password) = password else { return Ok(Login::Asked) };
                if !reply(&request, user, password, &mut scram, &mut out)? {
                    return Ok(Login::Asked);
                }
            }
        }
    }
}

impl Connection {
    /// Runs a text of SQL; the rows of all its statements.
    pub(crate) async fn query(&mut self, sql: &str) -> io::Result<Result<Rows, Refusal>> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        self.stream.write_all_buf(&mut out).await?;
        self.stream.flush().await?;
        let mut answer = Ok(Vec::new());
        loop {
            match next(&mut self.stream, &mut self.buffer).await? {
                Message::ReadyForQuery(_) => return Ok(answer),
                Message::ErrorResponse(body) => answer = Err(refusal(&body)?),
                Message::DataRow(body) => {
                    if let Ok(rows) = &mut answer {
                        rows.push(row(&body)?);
                    }
                }
                _ => {}
            }
        }
    }

    /// Says goodbye.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        let mut out = BytesMut::new();
        frontend::terminate(&mut out);
        self.stream.write_all_buf(&mut out).await?;
        self.stream.flush().await
    }
}

fn row(body: &DataRowBody) -> io::Result<Vec<Option<String>>> {
    let (bytes, mut ranges, mut row) = (body.buffer(), body.ranges(), Vec::new());
    while let Some(range) = ranges.next()? {
        row.push(range.map(|range| String::from_utf8_lossy(&bytes[range]).into_owned()));
    }
    Ok(row)
}

/// Answers a request to log in; false if it is for a method that only a real client knows.
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
async fn next(stream: &mut Stream, buffer: &mut BytesMut) -> io::Result<Message> {
    loop {
        let header = Header::parse(buffer).map_err(|_| unexpected(buffer))?;
        if header.is_some_and(|header| header.len().unsigned_abs() as usize > LONGEST_MESSAGE) {
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

fn unexpected(buffer: &BytesMut) -> io::Error {
    super::probe::unexpected(buffer)
}

fn refusal(body: &ErrorResponseBody) -> io::Result<Refusal> {
    let mut refusal = Refusal { code: String::new(), message: String::new() };
    let mut fields = body.fields();
    while let Some(field) = fields.next()? {
        match field.type_() {
            b'C' => refusal.code = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            b'M' => refusal.message = String::from_utf8_lossy(field.value_bytes()).into_owned(),
            _ => {}
        }
    }
    Ok(refusal)
}

//! Answers BuildKit's requests to its client during a build: secrets, registry logins and health checks. The engine is
//! the caller, over a connection that we open: gRPC on HTTP/2, with the roles reversed.
//!
//! Each value is sent only when it is requested, and nowhere else: not in other requests, labels or logs.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use bollard::errors::Error as Bollard;
use bytes::{BufMut, Bytes, BytesMut};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::task::JoinHandle;

use super::super::connect::Address;
use super::super::credentials::{self, Credentials};
use super::super::hijack::{self, Then};
use super::files::Files;
use super::{Trouble, proto, ssh};
use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};

/// The files of a build.
const FILES: &str = "/moby.filesync.v1.FileSync/DiffCopy";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const LOGIN: &str = "/moby.filesync.v1.Auth/Credentials";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";

/// gRPC's words for how a call ended.
const NOT_FOUND: u8 = 5;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;

/// The longest question that is listened to.
const LONGEST_QUESTION: usize = 64 * 1024;

/// What may be handed out.
#[derive(Debug)]
pub(super) struct Offer {
    /// Secrets by id: the file each is in.
    pub(super) secrets: BTreeMap<String, PathBuf>,
    /// SSH agents by id: the socket of each.
    pub(super) agents: BTreeMap<String, PathBuf>,
    /// Where `docker login` leaves credentials.
    pub(super) config_dir: PathBuf,
    /// The files of the build, where they are not sent as an archive.
    pub(super) files: Option<Files>,
    /// Where to say why something could not be handed out.
    pub(super) trouble: Trouble,
}

/// A session, open until it goes out of scope.
#[derive(Debug)]
pub(super) struct Session {
    /// What the build finds it by.
    pub(super) id: String,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// Opens a session on an engine.
    ///
    /// # Errors
    /// Where the engine has no BuildKit, it has no sessions.
    pub(super) async fn open(address: &Address, offer: Offer) -> Result<Self, Bollard> {
        let half = || RandomState::new().hash_one("session");
        let id = format!("{:016x}{:016x}", half(), half());
        let about = [("Uuid", id.as_str()), ("Name", "taskava"), ("Sharedkey", "")];
        let methods = [HEALTH, LOGIN, SECRET, FILES, ssh::CHECK, ssh::FORWARD].map(|method| ("Grpc-Method", method));
        let offered = methods.iter().filter(|(_, method)| match *method {
            FILES => offer.files.is_some(),
            ssh::CHECK | ssh::FORWARD => !offer.agents.is_empty(),
            _ => true,
        });
        let headers = about.iter().chain(offered);
        let headers: String =
            headers.map(|(name, value)| format!("X-Docker-Expose-Session-{name}: {value}\r\n")).collect();
        let (reader, writer) = hijack::post(address, "/session", "", Then::Http2(&headers)).await?;
        let stream = tokio::io::join(reader, writer);
        let offer = Arc::new(offer);
        let task = tokio::spawn(async move {
            // It ends with the build; an end before that is seen there.
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, response))) = connection.accept().await {
                tokio::spawn(answer(request, response, offer.clone()));
            }
        });
        Ok(Self { id, task })
    }
}

/// Answers one call.
async fn answer(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>, offer: Arc<Offer>) {
    let path = request.uri().path().to_owned();
    if path == FILES
        && let Some(files) = &offer.files
    {
        if let Err(error) = files.serve(request, &mut respond).await {
            let message = format!("can't send the files to the builder: {error}");
            offer.trouble.note(
                Error::new(ErrorKind::Image, message).hint("run the command again once the files no longer change"),
            );
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
        }
        return;
    }
    if path == ssh::FORWARD {
        let id = request.headers().get("buildkit.ssh.id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        match offer.agent(id).cloned() {
            // A step that does not wait for an answer ends the call: nothing of ours has failed.
            Ok(socket) => drop(ssh::forward(&socket, request, &mut respond).await),
            Err(error) => drop(send(&mut respond, Err(error))),
        }
        return;
    }
    let answer = match question(request.into_body()).await {
        Some(question) => offer.answer(&path, &question).await,
        None => Err((INTERNAL, "the request can't be read".into())),
    };
    // An engine that is gone can't receive that.
    let _ = send(&mut respond, answer);
}

fn send(respond: &mut SendResponse<Bytes>, answer: Result<Vec<u8>, (u8, String)>) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut end = HeaderMap::new();
    let (code, message) = match answer {
        Ok(answer) => {
            let mut stream = respond.send_response(head, false)?;
            let mut frame = BytesMut::with_capacity(answer.len() + 5);
            frame.put_u8(0);
            frame.put_u32(u32::try_from(answer.len()).unwrap_or(u32::MAX));
            frame.put_slice(&answer);
            stream.send_data(frame.freeze(), false)?;
            end.insert("grpc-status", HeaderValue::from_static("0"));
            return stream.send_trailers(end);
        }
        Err(error) => error,
    };
    head.headers_mut().insert("grpc-status", HeaderValue::from(u16::from(code)));
    let plain = |c: char| if (' '..='~').contains(&c) && c != '%' { c } else { ' ' };
    let message: String = message.chars().map(plain).collect();
    head.headers_mut()
        .extend(HeaderValue::from_str(&message).ok().map(|text| (http::HeaderName::from_static("grpc-message"), text)));
    respond.send_response(head, true).map(drop)
}

/// The message of a call, without its frame.
async fn question(mut body: h2::RecvStream) -> Option<Bytes> {
    let mut all = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        body.flow_control().release_capacity(piece.len()).ok()?;
        all.extend_from_slice(&piece);
        if all.len() > LONGEST_QUESTION {
            return None;
        }
    }
    // Compressed or not, and the length.
    (all.len() >= 5 && all[0] == 0).then(|| all.freeze().slice(5..))
}

impl Offer {
    async fn answer(&self, path: &str, question: &[u8]) -> Result<Vec<u8>, (u8, String)> {
        let name = proto::fields(question).find(|(number, _)| *number == 1).map(|(_, value)| value.text());
        let name = name.unwrap_or_default();
        match path {
            // 1 = SERVING
            HEALTH => Ok(vec![1 << 3, 1]),
            SECRET => self.secret(&name),
            LOGIN => self.login(&name).await,
            ssh::CHECK => self.agent(&name).map(|_| Vec::new()),
            _ => Err((UNIMPLEMENTED, format!("{path} is not offered"))),
        }
    }

    /// The socket of an agent; without an id, that of the default one.
    fn agent(&self, id: &str) -> Result<&PathBuf, (u8, String)> {
        let id = if id.is_empty() { "default" } else { id };
        self.agents.get(id).ok_or_else(|| (NOT_FOUND, format!("unset ssh forward key {id}")))
    }

    fn secret(&self, id: &str) -> Result<Vec<u8>, (u8, String)> {
        let Some(path) = self.secrets.get(id) else { return Err((NOT_FOUND, format!("secret {id} not found"))) };
        match bounded::file(path, bounded::WRITTEN) {
            Ok(secret) => Ok(proto::write(1, &secret)),
            Err(error) => {
                let message = format!("can't read build secret {id} from {}: {error}", path.display());
                self.trouble.note(Error::new(ErrorKind::Image, &message));
                Err((INTERNAL, message))
            }
        }
    }

    async fn login(&self, host: &str) -> Result<Vec<u8>, (u8, String)> {
        // Docker Hub by the name of its machine: an image there needs no host.
        let reference = if host == "registry-1.docker.io" { "x".into() } else { format!("{host}/x") };
        match credentials::for_image(&self.config_dir, &reference).await {
            Ok(Some(Credentials::Password { username, password })) => {
                Ok([proto::write(1, username.as_bytes()), proto::write(2, password.as_bytes())].concat())
            }
            Ok(Some(Credentials::IdentityToken(token))) => Ok(proto::write(2, token.as_bytes())),
            Ok(Some(Credentials::RegistryToken(_)) | None) => Ok(Vec::new()),
            Err(error) => {
                let message = error.to_string();
                self.trouble.note(error);
                Err((INTERNAL, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(folder: &std::path::Path) -> Offer {
        let secrets = BTreeMap::from([("npmrc".into(), folder.join("secret")), ("gone".into(), folder.join("gone"))]);
        let agents = BTreeMap::from([("default".into(), folder.join("agent"))]);
        Offer { secrets, agents, config_dir: folder.into(), files: None, trouble: Trouble::default() }
    }

    #[tokio::test]
    async fn only_what_is_offered_is_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "t0ken").unwrap();
        let offer = offer(folder.path());
        assert_eq!(offer.answer(SECRET, &proto::write(1, b"npmrc")).await, Ok(proto::write(1, b"t0ken")));
        assert_eq!(offer.answer(SECRET, &proto::write(1, b"../secret")).await.unwrap_err().0, NOT_FOUND);
        assert_eq!(offer.answer("/moby.filesync.v1.FileSync/DiffCopy", b"").await.unwrap_err().0, UNIMPLEMENTED);
        assert_eq!(offer.answer(LOGIN, &proto::write(1, b"registry.example")).await, Ok(Vec::new()));
        assert_eq!(offer.answer(ssh::CHECK, b"").await, Ok(Vec::new()));
        assert_eq!(offer.answer(ssh::CHECK, &proto::write(1, b"other")).await.unwrap_err().0, NOT_FOUND);
        assert!(offer.trouble.take().is_none());
        assert_eq!(offer.answer(SECRET, &proto::write(1, b"gone")).await.unwrap_err().0, INTERNAL);
        assert!(offer.trouble.take().expect("noted").to_string().starts_with("can't read build secret gone from"));
    }

    #[tokio::test]
    async fn logins_are_those_of_docker() {
        let folder = tempfile::tempdir().unwrap();
        // user:pass
        let config = r#"{"auths":{"registry.example":{"auth":"dXNlcjpwYXNz"}}}"#;
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let answer = offer(folder.path()).answer(LOGIN, &proto::write(1, b"registry.example")).await;
        assert_eq!(answer, Ok([proto::write(1, b"user"), proto::write(2, b"pass")].concat()));
    }
}

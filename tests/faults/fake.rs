//! A small engine on a Unix socket, with faults put in where a test wants one. Where it wants none, `healthy` answers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::healthy::{Exit, Healthy, lock};

/// What the fake answers with.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a whole JSON body.
    Json(u16, Value),
    /// Status 200 and this body.
    Text(&'static str),
    /// Status 200 and these lines, then the connection breaks.
    Cut(&'static str),
    /// Status 200, these lines, then nothing.
    Stall(&'static str),
    /// No answer at all.
    Hang,
    /// Does what was asked for, but the answer gets lost.
    Lost,
}

impl Reply {
    /// An engine's error.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::Json(status, json!({ "message": message }))
    }

    /// A status and nothing else.
    pub(crate) fn empty(status: u16) -> Self {
        Self::Json(status, Value::Null)
    }
}

struct Hook {
    method: &'static str,
    path: &'static str,
    left: usize,
    reply: Reply,
}

/// A text behind every string of every answer, but for what is under these keys.
type Poison = (&'static str, Vec<&'static str>);

#[derive(Default)]
struct Shared {
    hooks: Mutex<Vec<Hook>>,
    requests: Mutex<Vec<String>>,
    poison: Mutex<Option<Poison>>,
    engine: Healthy,
}

impl Shared {
    fn hooked(&self, method: &str, path: &str) -> Option<Reply> {
        let mut hooks = lock(&self.hooks);
        let hook = hooks.iter_mut().find(|hook| hook.left > 0 && hook.method == method && fits(hook.path, path))?;
        hook.left -= 1;
        Some(hook.reply.clone())
    }
}

/// A fake engine that is being set up, then runs until it is dropped.
pub(crate) struct Fake {
    shared: Arc<Shared>,
    directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Fake {
    /// A healthy engine.
    pub(crate) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("docker.sock");
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = std::sync::mpsc::channel();
        let served = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = UnixListener::bind(socket).expect("a socket");
                ready.send(()).expect("the test waits");
                tokio::select! {
                    () = serve(listener, served) => {}
                    _ = stopped => {}
                }
            });
        });
        listening.recv().expect("the fake listens");
        Self { shared, directory, stop: Some(stop), thread: Some(thread) }
    }

    /// One that does not say in its headers who it is, so that `/version` is asked, which has this answer.
    pub(crate) fn says(version: Reply) -> Self {
        Self::new().on("GET", "/_ping", Reply::Text("OK")).on("GET", "/version", version)
    }

    /// Answers every such request with this; `*` in the path stands for one part of it.
    pub(crate) fn on(self, method: &'static str, path: &'static str, reply: Reply) -> Self {
        self.first(usize::MAX, method, path, reply)
    }

    /// Answers the first `n` such requests with this.
    pub(crate) fn first(self, n: usize, method: &'static str, path: &'static str, reply: Reply) -> Self {
        lock(&self.shared.hooks).push(Hook { method, path, left: n, reply });
        self
    }

    /// Lets the containers of a service exit as soon as they are started.
    pub(crate) fn exits(self, service: &'static str, code: i64, oom: bool) -> Self {
        lock(&self.shared.engine.kept).exits.insert(service, Exit { code, oom });
        self
    }

    /// What containers have written: frames as on the wire, each line after its time.
    pub(crate) fn log(self, line: &'static str) -> Self {
        lock(&self.shared.engine.kept).log = line;
        self
    }

    /// Has this image only after a pull.
    pub(crate) fn without_image(self, reference: &'static str) -> Self {
        lock(&self.shared.engine.kept).missing.insert(reference);
        self
    }

    /// Puts a text behind every string of every answer from now on, but for what is under some keys.
    pub(crate) fn poison(&self, text: &'static str, keep: &[&'static str]) {
        *lock(&self.shared.poison) = Some((text, keep.to_vec()));
    }

    /// Where it keeps its socket; the rest is free for the test.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    /// The requests so far, as `GET /version`.
    pub(crate) fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    /// References of the images that were made of archives.
    pub(crate) fn images(&self) -> Vec<String> {
        lock(&self.shared.engine.kept).images()
    }

    /// What the containers are doing, by name.
    pub(crate) fn states(&self) -> std::collections::BTreeMap<String, &'static str> {
        lock(&self.shared.engine.kept).states()
    }

    /// Names of what is there, for tests that want nothing left.
    pub(crate) fn left(&self) -> Vec<String> {
        lock(&self.shared.engine.kept).names()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, shared.clone()));
            // Connections end as tests want them to; that is no error here.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let method = head.method.as_str();
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    lock(&shared.requests).push(format!("{method} {path}"));
    let reply = match shared.hooked(method, path) {
        Some(Reply::Lost) => {
            shared.engine.answer(method, path, query, &body).await;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(reply) => return Ok(respond(reply).await),
        None => shared.engine.answer(method, path, query, &body).await,
    };
    let poison = lock(&shared.poison).clone();
    let reply = match (reply, poison) {
        (Reply::Json(status, value), Some((text, keep))) => {
            Reply::Json(status, crate::escapes::poisoned(&value, text, &keep))
        }
        (reply, _) => reply,
    };
    let mut response = respond(reply).await;
    for (name, value) in [("api-version", "1.41"), ("server", "Docker/20.10.24 (linux)")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn fits(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
}

async fn respond(reply: Reply) -> Response<Body> {
    let (status, text, end) = match reply {
        Reply::Json(status, Value::Null) => (status, Bytes::new(), None),
        Reply::Json(status, value) => (status, value.to_string().into(), None),
        Reply::Text(text) => (200, text.into(), None),
        Reply::Cut(text) => (200, text.into(), Some(stream::once(cut()).boxed())),
        Reply::Stall(text) => (200, text.into(), Some(stream::pending().boxed())),
        Reply::Hang | Reply::Lost => std::future::pending().await,
    };
    let body = match end {
        None => http_body_util::Full::new(text).map_err(|never| match never {}).boxed_unsync(),
        Some(end) => {
            let end = end.map(|error: Result<Bytes, io::Error>| error.map(Frame::data));
            BodyExt::boxed_unsync(StreamBody::new(stream::iter([Ok(Frame::data(text))]).chain(end)))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// Breaks the connection, but only when what came before was sent.
async fn cut() -> Result<Bytes, io::Error> {
    tokio::task::yield_now().await;
    Err(io::ErrorKind::ConnectionReset.into())
}

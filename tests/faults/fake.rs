//! A small engine on a Unix socket: healthy by default, with faults put in where a test wants one. It keeps containers,
//! networks, volumes and images as the real one does, but starts no process.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::{Notify, oneshot};

/// What the fake answers with.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and a whole JSON body.
    Json(u16, Value),
    /// Status 200 and this body.
    Text(&'static str),
    /// Status 200 and these lines, then the connection breaks.
    Cut(&'static str),
    /// Status 200, these lines, then nothing any more.
    Stall(&'static str),
    /// No answer at all.
    Hang,
}

impl Reply {
    /// An engine's error.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        Self::Json(status, json!({ "message": message }))
    }

    fn empty(status: u16) -> Self {
        Self::Json(status, Value::Null)
    }
}

/// How containers end that do not keep running.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    /// Exit code.
    pub(crate) code: i64,
    /// Killed for want of memory.
    pub(crate) oom: bool,
}

struct Hook {
    method: &'static str,
    path: &'static str,
    left: usize,
    reply: Reply,
}

#[derive(Debug)]
struct Container {
    name: String,
    body: Value,
    status: &'static str,
    exit: Exit,
}

#[derive(Default)]
struct State {
    hooks: Vec<Hook>,
    exits: BTreeMap<&'static str, Exit>,
    log: &'static str,
    missing: BTreeSet<&'static str>,
    containers: BTreeMap<String, Container>,
    networks: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
    requests: Vec<String>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
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
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Notify::new() });
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("no test panicked with it")
    }

    /// Answers every such request with this; `*` in the path stands for one part of it.
    pub(crate) fn on(self, method: &'static str, path: &'static str, reply: Reply) -> Self {
        self.first(usize::MAX, method, path, reply)
    }

    /// Answers the first `n` such requests with this.
    pub(crate) fn first(self, n: usize, method: &'static str, path: &'static str, reply: Reply) -> Self {
        self.state().hooks.push(Hook { method, path, left: n, reply });
        self
    }

    /// Lets the containers of a service exit as soon as they are started.
    pub(crate) fn exits(self, service: &'static str, code: i64, oom: bool) -> Self {
        self.state().exits.insert(service, Exit { code, oom });
        self
    }

    /// What containers have written.
    pub(crate) fn log(self, line: &'static str) -> Self {
        self.state().log = line;
        self
    }

    /// Has this image only after a pull.
    pub(crate) fn without_image(self, reference: &'static str) -> Self {
        self.state().missing.insert(reference);
        self
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
        self.state().requests.clone()
    }

    /// Names of what is there, for tests that want nothing left.
    pub(crate) fn left(&self) -> Vec<String> {
        let state = self.state();
        let containers = state.containers.values().map(|container| container.name.clone());
        containers.chain(state.networks.keys().cloned()).chain(state.volumes.keys().cloned()).collect()
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

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let method = head.method.as_str();
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let hooked = {
        let mut state = shared.state.lock().expect("no test panicked with it");
        state.requests.push(format!("{method} {path}"));
        let hook = state.hooks.iter_mut().find(|hook| hook.left > 0 && hook.method == method && fits(hook.path, path));
        hook.map(|hook| {
            hook.left -= 1;
            hook.reply.clone()
        })
    };
    let reply = match hooked {
        None => healthy(method, path, query, &body, &shared).await,
        Some(reply) => reply,
    };
    Ok(respond(reply).await)
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
        Reply::Hang => std::future::pending().await,
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

fn parameter(query: &str, name: &str) -> String {
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair.unwrap_or_default().replace("%3A", ":").replace("%2F", "/")
}

/// What a healthy engine does and answers.
async fn healthy(method: &str, path: &str, query: &str, body: &[u8], shared: &Shared) -> Reply {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if let ("POST", ["containers", id, "wait"]) = (method, parts.as_slice()) {
        return wait(id, shared).await;
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut state = shared.state.lock().expect("no test panicked with it");
    let reply = match (method, parts.as_slice()) {
        ("GET", ["_ping"]) => Reply::Text("OK"),
        ("GET", ["version"]) => Reply::Json(200, version("1.41")),
        ("GET", ["info"]) => Reply::Json(200, json!({ "ID": "fake", "OSType": "linux", "Architecture": "x86_64" })),
        ("GET", ["events"]) => Reply::Stall(""),
        (_, ["containers", rest @ ..]) => state.containers(method, rest, query, body),
        ("POST", ["images", "create"]) => {
            let reference = parameter(query, "fromImage");
            state.missing.retain(|missing| *missing != reference);
            Reply::Text("{\"status\":\"Pulling\"}\r\n{\"status\":\"Download complete\"}\r\n")
        }
        ("GET", ["images", reference @ .., "json"]) => {
            let reference = reference.join("/");
            match state.missing.contains(reference.as_str()) {
                true => Reply::error(404, &format!("No such image: {reference}")),
                false => Reply::Json(200, json!({ "Id": "sha256:1", "Architecture": "amd64", "Config": {} })),
            }
        }
        ("GET", ["networks"]) => Reply::Json(200, state.networks.values().cloned().collect()),
        ("POST", ["networks", _, "connect" | "disconnect"]) => Reply::empty(200),
        ("GET", ["volumes"]) => Reply::Json(200, json!({ "Volumes": state.volumes.values().collect::<Vec<_>>() })),
        (_, ["networks", name]) => named(&mut state.networks, method, name, body),
        (_, ["volumes", name]) => named(&mut state.volumes, method, name, body),
        _ => Reply::error(404, &format!("page not found: {method} {path}")),
    };
    drop(state);
    shared.changed.notify_waiters();
    reply
}

/// The answer of `/version` for an API version.
pub(crate) fn version(api: &str) -> Value {
    json!({ "Version": "20.10.24", "ApiVersion": api, "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64" })
}

/// Networks and volumes: create, inspect, remove.
fn named(all: &mut BTreeMap<String, Value>, method: &str, name: &str, mut body: Value) -> Reply {
    let missing = || Reply::error(404, &format!("{name} not found"));
    match (method, name) {
        ("POST", "create") => {
            let name = body["Name"].as_str().unwrap_or_default().to_owned();
            body["Id"] = name.clone().into();
            for (key, value) in [("Driver", "local"), ("Mountpoint", "/"), ("Scope", "local"), ("Warning", "")] {
                body[key] = value.into();
            }
            body["Options"] = json!({});
            all.insert(name, body.clone());
            Reply::Json(201, body)
        }
        ("GET", name) => all.get(name).map_or_else(missing, |found| Reply::Json(200, found.clone())),
        ("DELETE", name) => all.remove(name).map_or_else(missing, |_| Reply::empty(204)),
        _ => missing(),
    }
}

async fn wait(id: &str, shared: &Shared) -> Reply {
    loop {
        let changed = shared.changed.notified();
        match shared.state.lock().expect("no test panicked with it").containers.get(id) {
            None => return Reply::error(404, &format!("No such container: {id}")),
            Some(container) if container.status != "running" => {
                return Reply::Json(200, json!({ "StatusCode": container.exit.code }));
            }
            Some(_) => {}
        }
        changed.await;
    }
}

impl State {
    fn containers(&mut self, method: &str, path: &[&str], query: &str, body: Value) -> Reply {
        match (method, path) {
            ("GET", ["json"]) => {
                return Reply::Json(200, self.containers.iter().map(|(id, container)| container.summary(id)).collect());
            }
            ("POST", ["create"]) => return self.create(parameter(query, "name"), body),
            _ => {}
        }
        let Some(id) = self.id(path[0]) else {
            return Reply::error(404, &format!("No such container: {}", path[0]));
        };
        let container = self.containers.get_mut(&id).expect("just found");
        match (method, &path[1..]) {
            ("GET", ["json"]) => Reply::Json(200, container.inspect(&id)),
            ("GET", ["logs"]) => Reply::Text(self.log),
            ("POST", ["start"]) => {
                let exit = self.exits.iter().find(|(service, _)| container.name.contains(**service));
                container.status = if exit.is_some() { "exited" } else { "running" };
                container.exit = exit.map_or(container.exit, |(_, exit)| *exit);
                Reply::empty(204)
            }
            ("POST", ["stop" | "kill"]) => {
                let was = std::mem::replace(&mut container.status, "exited");
                Reply::empty(if was == "running" { 204 } else { 304 })
            }
            ("DELETE", []) => {
                self.containers.remove(&id);
                Reply::empty(204)
            }
            _ => Reply::error(404, "page not found"),
        }
    }

    fn id(&self, id_or_name: &str) -> Option<String> {
        let found = self.containers.iter().find(|(id, container)| *id == id_or_name || container.name == id_or_name);
        found.map(|(id, _)| id.clone())
    }

    fn create(&mut self, name: String, body: Value) -> Reply {
        if self.id(&name).is_some() {
            return Reply::error(409, &format!("Conflict. The container name \"/{name}\" is already in use"));
        }
        let id = format!("{:064x}", self.containers.len() + 1);
        let exit = Exit { code: 0, oom: false };
        self.containers.insert(id.clone(), Container { name, body, status: "created", exit });
        Reply::Json(201, json!({ "Id": id, "Warnings": [] }))
    }
}

impl Container {
    fn summary(&self, id: &str) -> Value {
        json!({
            "Id": id,
            "Names": [format!("/{}", self.name)],
            "Image": self.body["Image"],
            "ImageID": "sha256:1",
            "Labels": self.body["Labels"],
            "State": self.status,
            "Status": match self.status {
                "exited" => format!("Exited ({}) 1 second ago", self.exit.code),
                other => other.into(),
            },
            "Created": 1,
            "Ports": [],
        })
    }

    fn inspect(&self, id: &str) -> Value {
        json!({
            "Id": id,
            "Name": format!("/{}", self.name),
            "Image": "sha256:1",
            "RestartCount": 0,
            "Config": self.body,
            "State": {
                "Status": self.status,
                "Running": self.status == "running",
                "ExitCode": self.exit.code,
                "OOMKilled": self.exit.oom,
                "StartedAt": "2026-01-01T00:00:00Z",
                "FinishedAt": "2026-01-01T00:00:01Z",
            },
            "NetworkSettings": { "Ports": {}, "Networks": {} },
        })
    }
}

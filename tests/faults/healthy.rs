//! What a healthy engine does and answers: it keeps containers, networks, volumes and images as the real one does, but
//! starts no process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::fake::Reply;

/// An engine without faults.
#[derive(Default)]
pub(crate) struct Healthy {
    pub(crate) kept: Mutex<Kept>,
    changed: Notify,
}

/// What it keeps, and how tests want its containers to be.
#[derive(Default)]
pub(crate) struct Kept {
    /// How containers end whose name has this in it; the others keep running.
    pub(crate) exits: BTreeMap<&'static str, Exit>,
    /// What containers have written.
    pub(crate) log: &'static str,
    /// Images that aren't there yet.
    pub(crate) missing: BTreeSet<&'static str>,
    containers: BTreeMap<String, Container>,
    networks: BTreeMap<String, Value>,
    volumes: BTreeMap<String, Value>,
    /// Images that were made of archives.
    images: Vec<Value>,
}

/// Locks what no other thread can have left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panicked with it")
}

/// How containers end that do not keep running.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    /// Exit code.
    pub(crate) code: i64,
    /// Killed for want of memory.
    pub(crate) oom: bool,
}

#[derive(Debug)]
struct Container {
    name: String,
    body: Value,
    status: &'static str,
    exit: Exit,
}

impl Healthy {
    /// Does what a request asks for.
    pub(crate) async fn answer(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Reply {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        if let ("POST", ["containers", id, "wait"]) = (method, parts.as_slice()) {
            return self.wait(id).await;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut kept = lock(&self.kept);
        let reply = match (method, parts.as_slice()) {
            ("GET", ["_ping"]) => Reply::Text("OK"),
            ("GET", ["version"]) => Reply::Json(200, version("1.41")),
            ("GET", ["info"]) => Reply::Json(200, json!({ "ID": "fake", "OSType": "linux", "Architecture": "x86_64" })),
            ("GET", ["events"]) => Reply::Stall(""),
            (_, ["containers", rest @ ..]) => kept.containers(method, rest, query, body),
            ("POST", ["images", "create"]) if query.contains("fromSrc") => {
                let names = ["project", "snapshot", "volume", "service", "set"];
                let labels: BTreeMap<String, String> =
                    names.iter().map(|name| (format!("dev.taskava.{name}"), label(query, name))).collect();
                let count = kept.images.len();
                kept.images.push(json!({
                    "Id": format!("sha256:{count}"),
                    "RepoTags": [format!("{}:{}", parameter(query, "repo"), parameter(query, "tag"))],
                    "Labels": labels,
                    "Created": 1,
                    "Size": 1,
                    "ParentId": "",
                    "RepoDigests": [],
                    "SharedSize": -1,
                    "Containers": -1,
                }));
                Reply::Text("{\"status\":\"sha256:1\"}\r\n")
            }
            ("DELETE", ["images", name @ ..]) => {
                let name = name.join("/");
                kept.images.retain(|image| image["RepoTags"][0] != name.as_str());
                Reply::Json(200, json!([]))
            }
            ("POST", ["images", "create"]) => {
                let reference = parameter(query, "fromImage");
                kept.missing.retain(|missing| *missing != reference);
                Reply::Text("{\"status\":\"Pulling\"}\r\n{\"status\":\"Download complete\"}\r\n")
            }
            ("GET", ["images", "json"]) => Reply::Json(200, kept.images.clone().into()),
            ("GET", ["images", reference @ .., "json"]) => {
                let reference = reference.join("/");
                match kept.missing.contains(reference.as_str()) {
                    true => Reply::error(404, &format!("No such image: {reference}")),
                    false => Reply::Json(200, json!({ "Id": "sha256:1", "Architecture": "amd64", "Config": {} })),
                }
            }
            ("GET", ["networks"]) => Reply::Json(200, kept.networks.values().cloned().collect()),
            ("POST", ["networks", _, "connect" | "disconnect"]) => Reply::empty(200),
            ("GET", ["volumes"]) => Reply::Json(200, json!({ "Volumes": kept.volumes.values().collect::<Vec<_>>() })),
            (_, ["networks", name]) => named(&mut kept.networks, method, name, body),
            (_, ["volumes", name]) => named(&mut kept.volumes, method, name, body),
            _ => Reply::error(404, &format!("page not found: {method} {path}")),
        };
        drop(kept);
        self.changed.notify_waiters();
        reply
    }

    async fn wait(&self, id: &str) -> Reply {
        loop {
            let changed = self.changed.notified();
            match lock(&self.kept).containers.get(id) {
                None => return Reply::error(404, &format!("No such container: {id}")),
                Some(container) if container.status != "running" => {
                    return Reply::Json(200, json!({ "StatusCode": container.exit.code }));
                }
                Some(_) => {}
            }
            changed.await;
        }
    }
}

fn parameter(query: &str, name: &str) -> String {
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    pair.unwrap_or_default().replace("%3A", ":").replace("%2F", "/")
}

/// A label of those that an image is to get: `LABEL "dev.taskava.set"="…"`, encoded.
fn label(query: &str, name: &str) -> String {
    let mut bytes = query.bytes();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
                u8::from_str_radix(std::str::from_utf8(&digits).expect("digits"), 16).expect("digits")
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(text).expect("UTF-8");
    let after = text.split_once(&format!("\"dev.taskava.{name}\"=\"")).map(|(_, after)| after).unwrap_or_default();
    let mut escaped = false;
    let end = after.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    after[..end.unwrap_or_default()].replace("\\\"", "\"")
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

impl Kept {
    /// References of the images that were made of archives.
    pub(crate) fn images(&self) -> Vec<String> {
        self.images.iter().filter_map(|image| image["RepoTags"][0].as_str().map(Into::into)).collect()
    }

    /// What the containers are doing, by name.
    pub(crate) fn states(&self) -> BTreeMap<String, &'static str> {
        self.containers.values().map(|container| (container.name.clone(), container.status)).collect()
    }

    /// Names of what is there.
    pub(crate) fn names(&self) -> Vec<String> {
        let containers = self.containers.values().map(|container| container.name.clone());
        containers.chain(self.networks.keys().cloned()).chain(self.volumes.keys().cloned()).collect()
    }

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
            ("GET", ["archive"]) => Reply::Text(two_files()),
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

/// What is in every volume.
fn two_files() -> &'static str {
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["taskava-volume/a", "taskava-volume/b"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        archive.append_data(&mut header, name, std::io::empty()).expect("written");
    }
    String::from_utf8(archive.into_inner().expect("written")).expect("ASCII").leak()
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
            "NetworkSettings": { "Networks": self.body["NetworkingConfig"]["EndpointsConfig"] },
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

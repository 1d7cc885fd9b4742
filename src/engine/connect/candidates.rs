//! Decides which engines to try, in which order, and why. Pure: files are read through a parameter, and the environment
//! has been read into [`ConnectOptions`]. Trying them is up to `connect`.

use std::io::{self, ErrorKind as Io};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::ConnectOptions;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::hex;

/// An engine that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) address: Address,
    /// What named it: `DOCKER_HOST`, `context "colima"`; nothing for the usual places.
    pub(super) named_by: Option<String>,
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A Windows named pipe: `//./pipe/docker_engine`.
    Pipe(String),
    /// HTTP over TCP, in clear or with TLS.
    Tcp { host: String, port: u16, tls: Option<Tls> },
}

/// The certificates of a TLS connection, as PEM text read from the files.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::engine) struct Tls {
    /// The only authority to trust; by default the system's.
    pub(super) ca: Option<Vec<u8>>,
    /// Client certificate and its key.
    pub(super) client: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether the server has to prove who it is.
    pub(super) verify: bool,
    /// Where the files are, for messages.
    pub(super) directory: PathBuf,
}

// A key must not reach a log through `{:?}`.
impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("directory", &self.directory).field("verify", &self.verify).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Pipe(path) => write!(f, "npipe://{path}"),
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// Reads a file; a parameter, so that the decision can be tested without one.
pub(super) trait Read: Fn(&Path) -> io::Result<Vec<u8>> {}
impl<F: Fn(&Path) -> io::Result<Vec<u8>>> Read for F {}

/// The engines that may be meant, best first. One that was named is the only one: falling back from it to another would
/// work on the wrong machine.
///
/// A flag wins over the environment; the rest of the order is that of the `docker` command.
pub(super) fn candidates(options: &ConnectOptions, read: impl Read) -> Result<Vec<Candidate>> {
    if options.host.is_some() && options.context.is_some() {
        return Err(usage("--host and --context both say which engine is meant").hint("give only one of them"));
    }
    if let Some(host) = &options.host {
        return named(host, "--host", environment_tls(options, &read)?);
    }
    if let Some(name) = options.context.as_deref().filter(|name| *name != "default") {
        return context(options, name, "--context", &read);
    }
    if let Some(host) = &options.env_host {
        return named(host, "DOCKER_HOST", environment_tls(options, &read)?);
    }
    // `--context default` leaves out the two sources of a context below, as it does for `docker`.
    if options.context.is_none() {
        match options.env_context.as_deref() {
            Some("default") => {}
            Some(name) => return context(options, name, "DOCKER_CONTEXT", &read),
            None => match current_context(options, &read)? {
                Some((name, file)) if name != "default" => return context(options, &name, &file, &read),
                _ => {}
            },
        }
    }
    Ok(usual_places(options).into_iter().map(|address| Candidate { address, named_by: None }).collect())
}

fn usage(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Usage, message)
}

fn named(host: &str, by: &str, tls: Option<Tls>) -> Result<Vec<Candidate>> {
    let address = parse(host, tls, by)?;
    Ok(vec![Candidate { address, named_by: Some(by.into()) }])
}

/// Understands `unix://`, `npipe://`, `tcp://`, `http://`, `https://` and bare `host:port`.
fn parse(text: &str, tls: Option<Tls>, by: &str) -> Result<Address> {
    let wrong = |what: &str| usage(format_args!("{text:?} (from {by}) {what}")).hint(ADDRESS_FORMS);
    let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
    let system_roots = || Tls { ca: None, client: None, verify: true, directory: PathBuf::new() };
    let tls = match scheme {
        "unix" if rest.starts_with('/') => return Ok(Address::Unix(rest.into())),
        "unix" => return Err(wrong("needs an absolute path")),
        "npipe" => return Ok(Address::Pipe(rest.into())),
        "ssh" => return Err(over_ssh(text, rest, by)),
        "http" => None,
        "https" => Some(tls.unwrap_or_else(system_roots)),
        "tcp" => tls,
        _ => return Err(wrong("has an unknown scheme")),
    };
    let (host, port) =
        host_and_port(rest.trim_end_matches('/')).ok_or_else(|| wrong("is not the address of an engine"))?;
    let port = port.unwrap_or(if tls.is_some() { 2376 } else { 2375 });
    Ok(Address::Tcp { host: host.into(), port, tls })
}

fn over_ssh(text: &str, rest: &str, by: &str) -> Error {
    let server = rest.split('/').next().unwrap_or(rest);
    // ssh wants a port as a flag.
    let (server, port) = server.rsplit_once(':').map_or((server, String::new()), |(s, p)| (s, format!("-p {p} ")));
    usage(format_args!("{text} (from {by}): an engine over ssh isn't supported"))
        .hint(format!("forward its socket: ssh -nNT {port}-L /tmp/docker.sock:/var/run/docker.sock {server}"))
        .hint("then name it: DOCKER_HOST=unix:///tmp/docker.sock, or a `docker context` with that host")
}

const ADDRESS_FORMS: &str = "addresses look like unix:///var/run/docker.sock, tcp://host:2375 or https://host:2376";

/// `host`, `host:port`, `[::1]:port`.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let clean = !host.is_empty() && !host.contains(|c: char| c == '/' || c == '@' || c.is_whitespace());
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    clean.then_some((host, port))
}

/// TLS as `DOCKER_TLS_VERIFY`, `DOCKER_TLS` and `DOCKER_CERT_PATH` ask for it.
fn environment_tls(options: &ConnectOptions, read: &impl Read) -> Result<Option<Tls>> {
    if !options.tls_verify && !options.tls {
        return Ok(None);
    }
    let directory = options.cert_path.as_ref().unwrap_or(&options.config_dir);
    let tls = tls_from(directory, options.tls_verify, read)?;
    if let Some(directory) = options.cert_path.as_ref().filter(|_| tls.ca.is_none() && tls.client.is_none()) {
        return Err(usage(format_args!("DOCKER_CERT_PATH={} has no ca.pem, cert.pem or key.pem", directory.display()))
            .hint("point it to the directory with the engine's certificates, or unset it"));
    }
    Ok(Some(tls))
}

fn tls_from(directory: &Path, verify: bool, read: &impl Read) -> Result<Tls> {
    let file = |name: &str| optional(&directory.join(name), read);
    let client = match (file("cert.pem")?, file("key.pem")?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_none() { "cert.pem" } else { "key.pem" };
            return Err(usage(format_args!("{} is missing", directory.join(missing).display()))
                .hint("a client certificate needs both cert.pem and key.pem"));
        }
    };
    Ok(Tls { ca: file("ca.pem")?, client, verify, directory: directory.into() })
}

/// A file's bytes; nothing if there is none.
fn optional(path: &Path, read: &impl Read) -> Result<Option<Vec<u8>>> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), Io::NotFound | Io::NotADirectory) => Ok(None),
        Err(error) => Err(usage(format_args!("can't read {}: {error}", path.display()))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    current_context: Option<String>,
}

/// The current context and the file that says so.
fn current_context(options: &ConnectOptions, read: &impl Read) -> Result<Option<(String, String)>> {
    let path = options.config_dir.join("config.json");
    let text = match read(&path) {
        Ok(text) => text,
        // A config.json left behind by `sudo docker login` must not lock its owner out of the engine.
        Err(error) if error.kind() == Io::PermissionDenied => return Ok(None),
        Err(_) => match optional(&path, read)? {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let config: Config = serde_json::from_slice(&text).map_err(|error| {
        usage(format_args!("{} isn't valid: {error}", path.display()))
            .hint("repair the file, or name an engine with --host")
    })?;
    let name = config.current_context.filter(|name| !name.is_empty());
    Ok(name.map(|name| (name, format!("currentContext in {}", path.display()))))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Endpoint {
    host: Option<String>,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The engine of a context, from the store of the `docker` command.
fn context(options: &ConnectOptions, name: &str, by: &str, read: &impl Read) -> Result<Vec<Candidate>> {
    let wrong = |what: std::fmt::Arguments<'_>| {
        usage(format_args!("context {name:?} (from {by}) {what}"))
            .hint("list the contexts: docker context ls")
            .hint("or name an engine with --host")
    };
    let id = hex(&Sha256::digest(name));
    let contexts = options.config_dir.join("contexts");
    let meta = contexts.join("meta").join(&id).join("meta.json");
    let text = optional(&meta, read)?.ok_or_else(|| wrong(format_args!("doesn't exist")))?;
    let meta: Meta = serde_json::from_slice(&text)
        .map_err(|error| wrong(format_args!("can't be read: {}: {error}", meta.display())))?;
    let endpoint = meta.endpoints.docker.ok_or_else(|| wrong(format_args!("names no Docker engine")))?;
    let host = endpoint.host.filter(|host| !host.is_empty()).ok_or_else(|| wrong(format_args!("names no host")))?;
    let tls = tls_from(&contexts.join("tls").join(&id).join("docker"), !endpoint.skip_tls_verify, read)?;
    // TLS is meant when there is material for it, or when its check was switched off.
    let tls = (tls.ca.is_some() || tls.client.is_some() || !tls.verify).then_some(tls);
    named(&host, &format!("context {name:?}, from {by}"), tls)
}

/// Where engines usually listen.
fn usual_places(options: &ConnectOptions) -> Vec<Address> {
    if cfg!(windows) {
        return ["docker_engine", "dockerDesktopLinuxEngine"]
            .map(|name| Address::Pipe(format!("//./pipe/{name}")))
            .into();
    }
    let in_dir = |dir: &Option<PathBuf>, path: &str| dir.as_ref().map(|dir| dir.join(path));
    let colima = options.colima_home.clone().or_else(|| in_dir(&options.home, ".colima"));
    let places = [
        Some("/var/run/docker.sock".into()),
        in_dir(&options.runtime_dir, "docker.sock"),
        in_dir(&options.home, ".docker/run/docker.sock"),
        in_dir(&options.home, ".docker/desktop/docker.sock"),
        in_dir(&options.home, ".orbstack/run/docker.sock"),
        in_dir(&colima, "default/docker.sock"),
        in_dir(&options.home, ".rd/docker.sock"),
        in_dir(&options.runtime_dir, "podman/podman.sock"),
    ];
    places.into_iter().flatten().map(Address::Unix).collect()
}

#[cfg(test)]
mod tests;

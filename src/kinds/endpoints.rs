//! Where a service can be reached: its published ports, each as a URL of its protocol.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::model::{Endpoint, Kind, Probe, Protocol, PublishedPort, Service};

/// Ports that are almost always HTTP.
const WEB: &[u16] =
    &[80, 3000, 3001, 4000, 4173, 4200, 4321, 5000, 5173, 8000, 8001, 8025, 8080, 8081, 8088, 8888, 9000, 9090, 15672];
/// What clients of a PostgreSQL that requires TLS are configured with; many try a plain connection only. Certificates are of the
/// developer's own making: they are not verified.
pub(super) const SSL_MODE: &str = "require";
/// Ports that are almost always HTTPS.
const SECURE_WEB: &[u16] = &[443, 8443];

pub(super) fn endpoints(service: &Service, host: &str, published: &[PublishedPort]) -> Vec<Endpoint> {
    let mut found: Vec<Endpoint> = Vec::new();
    for port in published {
        let form = form(service, port.container, port.protocol, Passwords::Masked);
        let url = form.url(&authority(host, port));
        let endpoint = Endpoint { service: service.name.clone(), label: form.label, url };
        // The engine lists a port that is bound to every address twice, for IPv4 and IPv6.
        if !found.contains(&endpoint) {
            found.push(endpoint);
        }
    }
    found
}

/// A published port as a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Port inside.
    pub port: u16,
    /// The URL, or `host:port` where no protocol is known.
    pub url: String,
    /// A browser can show it.
    pub web: bool,
}

/// The URLs of a service's published ports; those a browser can show come first.
pub(super) fn urls(service: &Service, host: &str, published: &[PublishedPort], passwords: Passwords) -> Vec<Url> {
    let mut found: Vec<Url> = Vec::new();
    for port in published {
        let form = form(service, port.container, port.protocol, passwords);
        let web = form.before.starts_with("http");
        let url = Url { port: port.container, url: form.url(&authority(host, port)), web };
        if !found.contains(&url) {
            found.push(url);
        }
    }
    found.sort_by_key(|url| !url.web);
    found
}

/// `127.0.0.1:5432`. Bound to every address means: reachable where the engine is.
fn authority(host: &str, port: &PublishedPort) -> String {
    match (port.address.is_unspecified(), host.parse::<IpAddr>()) {
        (false, _) => SocketAddr::new(port.address, port.host).to_string(),
        (true, Ok(address)) => SocketAddr::new(address, port.host).to_string(),
        (true, Err(_)) => format!("{host}:{}", port.host),
    }
}

/// Whether passwords stand in a URL as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passwords {
    Masked,
    Shown,
}

/// How a port is written: its label, and what stands before and after `host:port` in its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) label: String,
    before: String,
    after: String,
}

impl Form {
    /// The URL of the port at `host:port`; just that where no protocol is known.
    pub(super) fn url(&self, authority: &str) -> String {
        format!("{}{authority}{}", self.before, self.after)
    }

    /// Whether a protocol is known.
    pub(super) fn has_scheme(&self) -> bool {
        self.before.contains("://")
    }
}

/// The form of a port of a service, by what is known to speak there.
pub(super) fn form(service: &Service, port: u16, protocol: Protocol, passwords: Passwords) -> Form {
    let plain = |label: &str, scheme: &str| Form {
        label: label.to_owned(),
        before: format!("{scheme}://"),
        after: String::new(),
    };
    let bare = |label: String| Form { label, before: String::new(), after: String::new() };
    if protocol == Protocol::Udp {
        return bare(format!("{port}/udp"));
    }
    // The kind's own idea of its ports first: what is probed may have been chosen otherwise.
    match [&service.own, &service.ready.probe].into_iter().find(|probe| asks(probe, port)) {
        Some(Probe::Postgres { user, password, database, tls, .. }) => {
            postgres(user.as_deref(), secret(password.as_deref(), passwords), database.as_deref(), *tls)
        }
        Some(Probe::Redis { user, password, tls, .. }) => {
            let scheme = if *tls { "rediss" } else { "redis" };
            let who = match (user, password) {
                (None, None) => String::new(),
                (user, password) => {
                    let user = user.as_deref().map(encode).unwrap_or_default();
                    format!("{user}{}@", secret(password.as_deref(), passwords))
                }
            };
            Form { label: "redis".into(), before: format!("{scheme}://{who}"), after: String::new() }
        }
        Some(Probe::Mail { http, root, .. }) if *http == port && !root.is_empty() => {
            Form { after: format!("{root}/"), ..plain("http", "http") }
        }
        Some(Probe::Mail { smtp, .. } | Probe::Smtp { port: smtp }) if *smtp == port => plain("smtp", "smtp"),
        Some(_) => plain("http", "http"),
        None if service.kind == Kind::Generic && WEB.contains(&port) => plain("http", "http"),
        None if service.kind == Kind::Generic && SECURE_WEB.contains(&port) => plain("https", "https"),
        None => bare(port.to_string()),
    }
}

/// Without a user, what follows it would be taken for one.
fn postgres(user: Option<&str>, secret: String, database: Option<&str>, tls: bool) -> Form {
    let who = user.map(|user| format!("{}{secret}@", encode(user))).unwrap_or_default();
    let mut after = database.map(|database| format!("/{}", encode(database))).unwrap_or_default();
    if tls {
        let _ = write!(after, "?sslmode={SSL_MODE}");
    }
    Form { label: "postgres".into(), before: format!("postgres://{who}"), after }
}

/// A password as it stands in a URL, behind its colon.
fn secret(password: Option<&str>, passwords: Passwords) -> String {
    match (password, passwords) {
        (None, _) => String::new(),
        (Some(_), Passwords::Masked) => ":***".into(),
        (Some(password), Passwords::Shown) => format!(":{}", encode(password)),
    }
}

/// Whether a probe says which protocol is spoken on a port.
fn asks(probe: &Probe, asked: u16) -> bool {
    match probe {
        Probe::Postgres { port, .. }
        | Probe::Redis { port, .. }
        | Probe::Localstack { port }
        | Probe::Ministack { port }
        | Probe::Smtp { port }
        | Probe::Http { port, .. } => *port == asked,
        Probe::Mail { http, smtp, .. } => *http == asked || *smtp == asked,
        Probe::Tcp { .. } | Probe::Log { .. } | Probe::Exec { .. } | Probe::Engine | Probe::Exit | Probe::Auto => false,
    }
}

/// The URL of a database, with the password.
pub fn postgres_url(user: &str, password: Option<&str>, at: SocketAddr, database: &str, tls: bool) -> String {
    postgres(Some(user), secret(password, Passwords::Shown), Some(database), tls).url(&at.to_string())
}

/// Percent-encodes what could be taken for a part of the URL.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

//! Converts probes to health checks: run inside the container, with programs that images of that kind contain.

use super::yaml::Yaml;
use crate::compose::EXTENSION;
use crate::config::scalars::show_duration;
use crate::model::{HealthCheck, Probe, Protocol, Service};

/// How Compose learns that a service is ready.
pub(super) enum Health {
    /// This health check says so.
    Check(Yaml),
    /// The image's own does.
    Image,
    /// It can't; why not.
    Unknown(&'static str),
}

/// Times between two questions, in seconds.
const INTERVAL: u64 = 2;

pub(super) fn health(service: &Service) -> Health {
    // One that services.toml has: Compose waits for that.
    if let Some(check) = service.healthcheck.as_ref().filter(|check| check.command().is_some()) {
        return Health::Check(declared(check));
    }
    let test = match &service.ready.probe {
        Probe::Postgres { port, user, database, .. } => {
            // It asks for no login: any names will do where they are not known.
            let [user, database] = [user, database].map(|name| name.as_deref().unwrap_or("postgres"));
            let words =
                ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", user, "-d", database];
            Yaml::List(words.into_iter().map(Yaml::text).collect())
        }
        Probe::Redis { port: 0, socket: Some(socket), .. } => {
            shell(&format!("redis-cli -s '{socket}' ping | grep -Eq 'PONG|NOAUTH'"))
        }
        Probe::Redis { port, tls, .. } => {
            let tls = if *tls { " --tls --insecure" } else { "" };
            shell(&format!("redis-cli -p {port}{tls} ping 2>&1 | grep -Eq 'PONG|NOAUTH'"))
        }
        Probe::Localstack { port } => {
            let url = format!("http://127.0.0.1:{port}/_localstack/init/ready");
            shell(&format!("curl -fsS {url} | grep -q '\"completed\": *true'"))
        }
        Probe::Ministack { port } => http(*port, "/_ministack/ready"),
        Probe::Mail { http: port, path, .. } => http(*port, path),
        Probe::Http { port, path } => http(*port, path),
        Probe::Smtp { port } => tcp(&[*port]),
        Probe::Tcp { ports } if ports.is_empty() => {
            let published = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
            tcp(&published.map(|port| port.container).collect::<Vec<_>>())
        }
        Probe::Tcp { ports } => tcp(ports),
        Probe::Exec { command } => {
            Yaml::List(std::iter::once(Yaml::text("CMD")).chain(command.iter().map(|word| Yaml::text(word))).collect())
        }
        Probe::Engine => return Health::Image,
        Probe::Log { .. } => return Health::Unknown("Compose does not look for lines in a log"),
        Probe::Auto => return Health::Unknown("it has no test of its own"),
        Probe::Exit => return Health::Unknown("it is a job"),
    };
    let seconds = service.ready.timeout.as_secs();
    Health::Check(Yaml::Map(vec![
        ("test".into(), test),
        ("interval".into(), Yaml::text(&format!("{INTERVAL}s"))),
        ("timeout".into(), Yaml::text("5s")),
        ("retries".into(), Yaml::plain(seconds.div_ceil(INTERVAL).max(1))),
        // It only stands for `ready` here: import leaves it out.
        (EXTENSION.into(), Yaml::Map(vec![("of".into(), Yaml::text("ready"))])),
    ]))
}

/// One that services.toml has.
pub(super) fn declared(check: &HealthCheck) -> Yaml {
    let mut map = Vec::new();
    if check.test == ["NONE"] {
        map.push(("disable".to_owned(), Yaml::plain(true)));
    } else if !check.test.is_empty() {
        map.push(("test".into(), Yaml::texts(&check.test)));
    }
    map.extend(check.times().map(|(key, time)| (key.to_owned(), Yaml::text(&show_duration(time)))));
    map.extend(check.retries.map(|retries| ("retries".to_owned(), Yaml::plain(retries))));
    Yaml::Map(map)
}

fn shell(script: &str) -> Yaml {
    Yaml::List(vec![Yaml::text("CMD-SHELL"), Yaml::text(script)])
}

/// With whichever of the two the image has.
fn http(port: u16, path: &str) -> Yaml {
    let url = format!("http://127.0.0.1:{port}{path}").replace('\'', "%27");
    shell(&format!("wget -q -O /dev/null '{url}' || curl -fsS -o /dev/null '{url}'"))
}

fn tcp(ports: &[u16]) -> Yaml {
    let one = |port: &u16| format!("{{ nc -z 127.0.0.1 {port} || bash -c '</dev/tcp/127.0.0.1/{port}'; }}");
    shell(&ports.iter().map(one).collect::<Vec<_>>().join(" && "))
}

//! Finds what holds a host port: a container, or a process of this machine.

use std::net::IpAddr;
use std::path::Path;

use crate::engine::{Engine, Publisher};
use crate::load::sought;
use crate::model::{Protocol, PublishedPort, Service, Stack};
use crate::remedy;

/// Who holds a port.
#[derive(Debug)]
pub struct Holder {
    /// `port 5432 is published by container x`.
    pub text: String,
    /// The command that frees the port, where there is one.
    pub remedy: Option<String>,
}

/// The commands that free a port which a stack's container publishes.
fn remedy(stack: Option<&Stack>, publisher: &Publisher, project: &str) -> String {
    match stack.filter(|stack| stack.name.as_str() == project) {
        // It is this very stack's: of a service that was renamed or left out, or that has another port by now.
        Some(stack) => match publisher.service.as_deref().is_some_and(|name| stack.services.contains_key(name)) {
            true => remedy::dev(&["up"]),
            false => remedy::dev(&["up", "--remove-orphans"]),
        },
        None => sought::down_of(project, Path::new(&publisher.root)),
    }
}

/// Names the holder of the first port of a service that is taken. None if no holder is found: the port may be free
/// again.
pub(super) async fn holder(engine: &Engine, stack: &Stack, service: &Service) -> Option<Holder> {
    for port in service.ports.iter().filter(|port| port.protocol == Protocol::Tcp) {
        let Some(host) = port.host else { continue };
        let publisher = engine.publisher(host, &stack.container_name(&service.name)).await;
        if let Some(holder) = publisher.ok().flatten().map(|publisher| of_publisher(host, &publisher, Some(stack))) {
            return Some(holder);
        }
        if let Some(holder) = of_process(port.address, host) {
            return Some(holder);
        }
    }
    None
}

/// A container that publishes a port, as its holder; `stack`: the one that wants the port.
pub fn of_publisher(port: u16, publisher: &Publisher, stack: Option<&Stack>) -> Holder {
    let name = &publisher.container;
    match &publisher.project {
        Some(project) => Holder {
            text: format!("port {port} is published by {name} of stack {project}"),
            remedy: Some(remedy(stack, publisher, project)),
        },
        None => Holder {
            text: format!("port {port} is published by container {name}"),
            remedy: Some(format!("docker stop {name}")),
        },
    }
}

/// The process of this machine that listens on a port, if there is one.
pub fn of_process(address: IpAddr, port: u16) -> Option<Holder> {
    let process = process(address, port)?;
    Some(Holder { text: format!("port {port} is held by {process}"), remedy: None })
}

/// A host port that a service newly needs and that is in use: reported before running services are stopped for it.
/// Looked at from here, so only where the engine's ports are this machine's.
pub(super) fn unavailable(engine: &Engine, service: &Service, now: &[PublishedPort]) -> Option<u16> {
    if engine.about.host != "127.0.0.1" {
        return None;
    }
    let wanted = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let new = wanted.filter_map(|port| Some((port.address, port.host?)));
    new.filter(|(_, host)| now.iter().all(|held| held.host != *host))
        .find(|(address, host)| {
            let bound = std::net::TcpListener::bind((*address, *host));
            bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
        })
        .map(|(_, host)| host)
}

/// The process that listens on a port, by `/proc` (Linux).
#[cfg(target_os = "linux")]
fn process(address: IpAddr, port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|path| listening_inode(&std::fs::read_to_string(path).ok()?, address, port))?;
    let link = format!("socket:[{inode}]");
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(open) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let holds = |fd: std::fs::DirEntry| std::fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == &*link);
        if open.flatten().any(holds) {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(format!("process {} (pid {pid})", name.trim()));
        }
    }
    Some("a process of another user".into())
}

#[cfg(not(target_os = "linux"))]
fn process(_address: IpAddr, port: u16) -> Option<String> {
    let _ = port;
    None
}

/// The inode of the socket that listens on a port, from the text of `/proc/net/tcp`. A listener on all addresses
/// holds every address.
#[cfg(target_os = "linux")]
fn listening_inode(table: &str, address: IpAddr, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let wanted = match address {
        IpAddr::V4(address) => format!("{:08X}", u32::from_le_bytes(address.octets())),
        IpAddr::V6(_) => String::new(),
    };
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, local_port) = fields.get(1)?.split_once(':')?;
        let everywhere = local.bytes().all(|byte| byte == b'0') || address.is_unspecified();
        let same = u16::from_str_radix(local_port, 16).ok()? == port
            && *fields.get(3)? == LISTEN
            && (everywhere || local == wanted || address.is_ipv6() || local.ends_with(&wanted));
        same.then(|| fields.get(9)?.parse().ok())?
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = process(address.ip(), address.port()).unwrap();
        assert!(found.contains(&std::process::id().to_string()), "{found}");
        drop(listener);
        assert_eq!(process(address.ip(), address.port()), None);
    }
}

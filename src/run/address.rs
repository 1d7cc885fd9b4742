//! Where a container's ports can be reached from here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::About;
use crate::model::{Probe, Protocol, PublishedPort, Service};
use crate::plan::observed::Container;

/// The address of each TCP port of a service: the published one, as a client uses it; else the container's own, where
/// this machine can reach that.
pub fn addresses(
    about: &About,
    service: &Service,
    published: &[PublishedPort],
    own: Option<IpAddr>,
) -> BTreeMap<u16, SocketAddr> {
    let mut found = BTreeMap::new();
    if let Some(own) = own.filter(|_| about.container_network) {
        found.extend(needed(service).into_iter().map(|port| (port, SocketAddr::new(own, port))));
    }
    // With the machine's own network, its ports are there.
    if service.options.network_mode.as_deref() == Some("host")
        && let Some(host) = host(about, Ipv4Addr::UNSPECIFIED.into())
    {
        found.extend(needed(service).into_iter().map(|port| (port, SocketAddr::new(host, port))));
    }
    for port in published.iter().filter(|port| port.protocol == Protocol::Tcp) {
        if let Some(host) = host(about, port.address) {
            found.insert(port.container, SocketAddr::new(host, port.host));
        }
    }
    found
}

/// The same of a container as it was seen.
pub fn of(about: &About, service: &Service, container: &Container) -> BTreeMap<u16, SocketAddr> {
    let own = container.networks.values().find_map(|endpoint| endpoint.address);
    addresses(about, service, &container.ports, own)
}

/// A container's own addresses, where they can be reached from here.
pub fn own(about: &About, container: &Container) -> Vec<IpAddr> {
    let all = container.networks.values().filter_map(|endpoint| endpoint.address);
    if about.container_network { all.collect() } else { Vec::new() }
}

/// The address of one port of a container as it was seen.
///
/// # Errors
/// Where it has none.
pub fn of_port(about: &About, service: &Service, container: &Container, port: u16) -> Result<SocketAddr> {
    of(about, service, container).get(&port).copied().ok_or_else(|| unreachable(service, port))
}

/// What to say of a port that has no address.
pub fn unreachable(service: &Service, port: u16) -> Error {
    Error::new(ErrorKind::Other, format_args!("port {port} of {} can't be reached from here", service.name))
        .hint(format!("publish it: ports = [\"{port}\"] in [services.{}]", service.name))
}

/// Where a TCP port of a service can be reached from here: published by a container that runs.
pub fn published<'a>(
    about: &'a About,
    containers: &'a [Container],
) -> impl Fn(&Service, u16) -> Option<(String, u16)> + 'a {
    |service, port| {
        let container = containers.iter().find(|seen| seen.service == service.name && seen.is_up())?;
        let mut ports = container.ports.iter().filter(|seen| seen.protocol == Protocol::Tcp);
        let found = ports.find(|seen| seen.container == port)?;
        Some((host(about, found.address)?.to_string(), found.host))
    }
}

/// What will be published, as far as services.toml says it: saves asking the engine when all host ports are fixed.
pub(super) fn declared(about: &About, service: &Service) -> Option<Vec<PublishedPort>> {
    if about.inside.is_some() {
        return None;
    }
    let fixed = |port: &crate::model::Port| {
        Some(PublishedPort {
            address: port.address,
            host: port.host?,
            container: port.container,
            protocol: port.protocol,
        })
    };
    let all: Vec<PublishedPort> = service.ports.iter().map(fixed).collect::<Option<_>>()?;
    let reachable = |port: &u16| all.iter().any(|published| published.container == *port);
    needed(service).iter().all(reachable).then_some(all)
}

/// The container ports a probe asks.
pub(super) fn needed(service: &Service) -> Vec<u16> {
    let published = || service.ports.iter().filter(|port| port.protocol == Protocol::Tcp).map(|port| port.container);
    match &service.ready.probe {
        Probe::Postgres { port, .. }
        | Probe::Localstack { port }
        | Probe::Ministack { port }
        | Probe::Smtp { port }
        | Probe::Http { port, .. } => vec![*port],
        Probe::Redis { port, .. } => vec![*port],
        Probe::Mail { http, smtp, .. } => vec![*http, *smtp],
        Probe::Tcp { ports } if !ports.is_empty() => ports.clone(),
        Probe::Tcp { .. } | Probe::Auto => published().collect(),
        Probe::Log { .. } | Probe::Exec { .. } | Probe::Engine | Probe::Exit => Vec::new(),
    }
}

/// A port bound to all addresses is asked on loopback; one of another machine's engine, on that machine; one that was seen
/// from inside, where it was seen.
fn host(about: &About, bound: IpAddr) -> Option<IpAddr> {
    if about.inside.is_some() {
        return Some(bound);
    }
    match about.host.as_str() {
        "127.0.0.1" | "localhost" => Some(match bound {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        }),
        host => host.parse().ok().or_else(|| Some((host, 0).to_socket_addrs().ok()?.next()?.ip())),
    }
}

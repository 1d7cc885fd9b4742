//! Chooses host ports for `ports = [5432]`, where services.toml names none: the same one each time, as long as it is free, so
//! that an address that was written down somewhere still leads there after a restart. The engine would choose another one at
//! each start.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::Duration;

use super::Run;
use crate::diag::Error;
use crate::model::{Port, Protocol, Service, fingerprint_of};

/// Where they are: below the ports that Linux and macOS give to outgoing connections, and that the engine chooses from.
const FIRST: u16 = 20_000;
const COUNT: u64 = 10_000;

/// How many are tried before the engine chooses.
const TRIES: usize = 20;

/// How often it is looked whether a port is free that was just given back: a forwarding process takes a moment to end.
const LOOKS: u32 = 15;
const PAUSE: Duration = Duration::from_millis(20);

/// A service with a host port chosen for each port that names none. `taken`: those that were chosen before.
pub(super) fn choose(run: &Run<'_>, service: &Service, taken: &mut BTreeSet<u16>) -> Service {
    let mut service = service.clone();
    // Stacks of test runs come and go by the dozen, and no one writes their addresses down. What is free on another machine
    // can't be seen from here.
    if run.stack.isolation.is_some() || run.engine.about.host != "127.0.0.1" {
        return service;
    }
    let name = service.name.clone();
    // Also those of containers that do not run at the moment, which have them again when they start.
    let written = run.stack.services.values().flat_map(|other| &other.ports).filter_map(|port| port.host);
    let written: BTreeSet<u16> = written.collect();
    let others = run.seen.containers.iter().filter(|seen| seen.service != name);
    let others =
        others.flat_map(|seen| seen.ports.iter().map(|port| port.host).chain(seen.chosen_ports.values().copied()));
    let others: BTreeSet<u16> = others.collect();
    for port in service.ports.iter_mut().filter(|port| port.host.is_none()) {
        let key = port.key();
        let before = run.seen.of(&name).find_map(|seen| seen.chosen_ports.get(&key).copied());
        let derived = (0..TRIES).map(|attempt| derived(run.stack.name.as_str(), name.as_str(), port, attempt));
        let mut candidates = before.into_iter().chain(derived).enumerate();
        port.chosen = candidates.find_map(|(number, candidate)| {
            let is_known = taken.contains(&candidate) || written.contains(&candidate) || others.contains(&candidate);
            let looks = if number == 0 { LOOKS } else { 1 };
            (!is_known && is_free(port.address, candidate, port.protocol, looks)).then_some(candidate)
        });
        taken.extend(port.chosen);
    }
    service
}

/// Whether the engine refuses a port that was chosen, and none that services.toml names.
pub(super) fn is_about_one(run: &Run<'_>, service: &Service, error: &Error) -> bool {
    let text = error.to_string();
    let is_named = |port: &Port| port.host.is_some_and(|host| text.contains(&format!(":{host}")));
    let chooses = service.ports.iter().any(|port| port.host.is_none());
    chooses && run.stack.isolation.is_none() && !service.ports.iter().any(is_named)
}

/// A port that follows from whose it is.
fn derived(stack: &str, service: &str, port: &Port, attempt: usize) -> u16 {
    let text = format!("{stack} {service} {} {attempt}", port.key());
    let number = u64::from_str_radix(&fingerprint_of(text.as_bytes()), 16).unwrap_or_default();
    FIRST + (number % COUNT) as u16
}

fn is_free(address: IpAddr, port: u16, protocol: Protocol, looks: u32) -> bool {
    let is_free = || match protocol {
        Protocol::Tcp => TcpListener::bind((address, port)).is_ok(),
        Protocol::Udp => UdpSocket::bind((address, port)).is_ok(),
    };
    (0..looks).any(|look| {
        if look > 0 {
            std::thread::sleep(PAUSE);
        }
        is_free()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_follows_from_whose_it_is() {
        let port = |container| Port {
            address: "127.0.0.1".parse().unwrap(),
            host: None,
            through: None,
            chosen: None,
            container,
            protocol: Protocol::Tcp,
            place: None,
        };
        let of = |stack, service, container, attempt| derived(stack, service, &port(container), attempt);
        let one = of("app", "db", 5432, 0);
        assert_eq!(one, of("app", "db", 5432, 0));
        assert!((20_000..30_000).contains(&one));
        let others =
            [of("app2", "db", 5432, 0), of("app", "db2", 5432, 0), of("app", "db", 5433, 0), of("app", "db", 5432, 1)];
        assert!(others.iter().all(|other| *other != one), "{one} {others:?}");
    }

    #[test]
    fn what_is_held_is_not_free() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        assert!(!is_free(address.ip(), address.port(), Protocol::Tcp, 2));
        drop(held);
        assert!(is_free(address.ip(), address.port(), Protocol::Tcp, 15));
    }
}

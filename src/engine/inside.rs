//! When this process itself runs in a container of the engine whose socket it was given: a CI job, a dev container.
//!
//! Published ports are then on the host's 127.0.0.1, which this container can't reach. So our container joins the
//! network of the service, with a mark on that connection, and reaches everything at its own address there. It is
//! disconnected when the network is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bollard::Docker;
use bollard::models::{EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{InspectContainerOptions, InspectNetworkOptions};

use super::connect::answer;
use super::error::{failed, status};
use super::ops::short;
use super::{About, Engine};
use crate::diag::Result;
use crate::model::PublishedPort;
use crate::plan::observed::Container;

/// The mark on a connection to a network that was made by us.
const JOINED: &str = "dev.taskava.joined";

/// Networks that a container is in, as far as we have looked; none = not yet.
pub(super) type Joined = tokio::sync::Mutex<Option<BTreeSet<String>>>;

/// Finds out where this process is, and writes that down.
pub(super) async fn find(docker: &Docker, about: &mut About) {
    let Some(ours) = contained() else { return };
    about.contained = true;
    if about.container_network || !about.address.starts_with("unix:") {
        return;
    }
    // One that the engine does not know may well share a network with it, as where a rootless one runs beside us.
    if let Some(id) = ours
        && let Some(id) = owner_of_network(docker, id).await
    {
        about.container_network = true;
        about.inside = Some(id);
        about.host = gateway().map_or_else(|| "host.docker.internal".into(), |gateway| gateway.to_string());
    }
}

/// The container whose network is that of a container; none when the engine does not know it.
async fn owner_of_network(docker: &Docker, id: String) -> Option<String> {
    let seen = answer(docker.inspect_container(&id, None::<InspectContainerOptions>)).await.ok()?;
    let mode = seen.host_config?.network_mode.unwrap_or_default();
    match mode.split_once(':') {
        Some(("container", other)) => {
            answer(docker.inspect_container(other, None::<InspectContainerOptions>)).await.ok()?.id
        }
        // There is nothing that could be connected to a network.
        _ if mode == "host" || mode == "none" => None,
        _ => seen.id,
    }
}

/// Whether this is a container, and which, where that can be seen.
#[cfg(target_os = "linux")]
fn contained() -> Option<Option<String>> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let id = id_in(&mounts);
    let marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|file| std::path::Path::new(file).exists());
    (marked || id.is_some()).then_some(id)
}

#[cfg(not(target_os = "linux"))]
fn contained() -> Option<Option<String>> {
    None
}

/// The container in whose folder on the host the files are that an engine puts over /etc/hosts and the like.
fn id_in(mounts: &str) -> Option<String> {
    let of_engine =
        |line: &&str| ["/etc/hostname ", "/etc/hosts ", "/etc/resolv.conf "].iter().any(|file| line.contains(file));
    mounts.lines().filter(of_engine).find_map(|line| {
        let (_, rest) = line.split_once("containers/")?;
        let id = rest.get(..64)?;
        id.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| id.to_owned())
    })
}

#[cfg(target_os = "linux")]
fn gateway() -> Option<IpAddr> {
    default_route(&std::fs::read_to_string("/proc/net/route").ok()?)
}

#[cfg(not(target_os = "linux"))]
fn gateway() -> Option<IpAddr> {
    None
}

/// The gateway of the default route in `/proc/net/route`.
#[cfg(any(target_os = "linux", test))]
fn default_route(table: &str) -> Option<IpAddr> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |field: usize| u32::from_str_radix(fields.get(field)?, 16).ok().map(u32::swap_bytes);
        let (destination, gateway) = (number(1)?, number(2)?);
        (destination == 0 && gateway != 0).then(|| std::net::Ipv4Addr::from(gateway).into())
    })
}

impl Engine {
    /// Where containers that were listed are reached from here. Nothing changes unless this process is in a container of
    /// the engine: then their addresses are those in a network that it shares, and their ports are the ones inside.
    pub(super) async fn seen_from_inside(&self, containers: &mut [Container]) -> Result<()> {
        if self.about.inside.is_none() {
            return Ok(());
        }
        for container in containers.iter_mut() {
            let networks = container.networks.iter().map(|(name, endpoint)| (name.clone(), endpoint.address)).collect();
            let address = self.near(&networks).await?;
            let others = container.networks.values_mut().filter(|endpoint| endpoint.address != address);
            others.for_each(|endpoint| endpoint.address = None);
            own_ports(&mut container.ports, address);
        }
        Ok(())
    }

    /// A container's address in a network that our own container shares. Joins one where it shares none.
    pub(super) async fn near(&self, networks: &BTreeMap<String, Option<IpAddr>>) -> Result<Option<IpAddr>> {
        let of = |name: &String| networks.get(name).copied().flatten();
        let Some(ours) = &self.about.inside else { return Ok(networks.values().flatten().next().copied()) };
        let mut joined = self.joined.lock().await;
        let known = match &mut *joined {
            Some(known) => known,
            none => none.insert(self.networks_of(ours).await?.into_keys().collect()),
        };
        if let Some(address) = known.iter().find_map(of) {
            return Ok(Some(address));
        }
        let Some((name, address)) = networks.iter().find_map(|(name, address)| Some((name, (*address)?))) else {
            return Ok(None);
        };
        let mark = EndpointSettings {
            driver_opts: Some([(JOINED.to_owned(), "true".to_owned())].into()),
            // The way out stays what it is.
            gw_priority: (self.about.api >= (1, 48)).then_some(-1000),
            ..EndpointSettings::default()
        };
        let request = NetworkConnectRequest { container: ours.clone(), endpoint_config: Some(mark) };
        match self.docker.connect_network(name, request).await {
            Ok(()) => {}
            // Another run of this container was first; or that is what the network is for.
            Err(error) if status(&error) == Some(403) => {}
            Err(error) => {
                let what =
                    format!("can't connect this container ({}) to network {name}, to reach its services", short(ours));
                return Err(failed(what, &error));
            }
        }
        known.insert(name.clone());
        Ok(Some(address))
    }

    /// Disconnects containers from a network that joined it only to reach its services. Returns whether there was one.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(super) async fn dismiss(&self, network: &str) -> Result<bool> {
        let seen = answer(self.docker.inspect_network(network, None::<InspectNetworkOptions>)).await;
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) if status(&error) == Some(404) => return Ok(false),
            Err(error) => return Err(failed(format_args!("can't inspect network {network}"), &error)),
        };
        let name = seen.name.unwrap_or_default();
        let mut any = false;
        for id in seen.containers.unwrap_or_default().into_keys() {
            let Ok(endpoints) = self.networks_of(&id).await else { continue };
            let joined = endpoints.get(&name).and_then(|endpoint| endpoint.driver_opts.as_ref());
            if joined.is_none_or(|options| !options.contains_key(JOINED)) {
                continue;
            }
            let request = NetworkDisconnectRequest { container: id.clone(), force: Some(true) };
            match self.docker.disconnect_network(network, request).await {
                Ok(()) => any = true,
                Err(error) if matches!(status(&error), Some(403 | 404)) => {}
                Err(error) => {
                    return Err(failed(format_args!("can't take {} out of network {name}", short(&id)), &error));
                }
            }
        }
        *self.joined.lock().await = None;
        Ok(any)
    }

    async fn networks_of(&self, id: &str) -> Result<BTreeMap<String, EndpointSettings>> {
        let seen = answer(self.docker.inspect_container(id, None::<InspectContainerOptions>)).await;
        let seen = seen.map_err(|error| failed(format_args!("can't inspect {}", short(id)), &error))?;
        let networks = seen.network_settings.and_then(|settings| settings.networks);
        Ok(networks.unwrap_or_default().into_iter().collect())
    }
}

/// Published ports as they are reached over the container's own address.
pub(super) fn own_ports(ports: &mut Vec<PublishedPort>, address: Option<IpAddr>) {
    let Some(address) = address else { return ports.clear() };
    for port in ports.iter_mut() {
        (port.address, port.host) = (address, port.container);
    }
    ports.sort_unstable();
    ports.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ca7b373de5cfb116b9c0fbf5feb1e352cf3b69865ba770ea93715e7b47d05dd0";

    #[test]
    fn a_container_is_known_by_what_lies_over_its_files() {
        let line =
            |folder: &str, file: &str| format!("89 72 254:0 {folder}/{ID}/{file} /etc/{file} rw - ext4 /dev/vda rw\n");
        assert_eq!(id_in(&line("/var/lib/docker/containers", "hostname")).as_deref(), Some(ID));
        assert_eq!(id_in(&line("/docker/data/containers", "resolv.conf")).as_deref(), Some(ID));
        assert_eq!(id_in("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"), None);
        let of_another = format!("9 7 0:1 /var/lib/docker/containers/{ID}/data /srv rw - ext4 /dev/vda rw\n");
        assert_eq!(id_in(&of_another), None, "another user's folder");
        assert_eq!(
            id_in("89 72 254:0 /var/lib/docker/containers/short/hosts /etc/hosts rw - ext4 /dev/vda rw\n"),
            None
        );
    }

    #[test]
    fn the_way_out_is_that_of_the_default_route() {
        let table =
            "Iface\tDestination\tGateway\tFlags\neth1\t000017AC\t00000000\t0001\neth0\t00000000\t010011AC\t0003\n";
        assert_eq!(default_route(table), Some("172.17.0.1".parse().unwrap()));
        assert_eq!(default_route("Iface\n"), None);
    }

    #[test]
    fn ports_are_those_inside_and_no_two_alike() {
        let port = |address: &str, host| PublishedPort {
            address: address.parse().unwrap(),
            host,
            container: 5432,
            protocol: crate::model::Protocol::Tcp,
        };
        let mut ports = vec![port("0.0.0.0", 15432), port("::", 15432)];
        own_ports(&mut ports, Some("172.20.0.2".parse().unwrap()));
        assert_eq!(ports, [port("172.20.0.2", 5432)]);
        own_ports(&mut ports, None);
        assert!(ports.is_empty());
    }
}

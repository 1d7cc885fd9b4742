//! Stacks as described by their labels, for commands without a services.toml: which exist, and what one was created
//! from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bollard::models::{ContainerInspectResponse, HostConfig};
use bollard::query_parameters::InspectContainerOptions;
use futures_util::future::try_join_all;

use super::connect::answer;
use super::error::{failed, status};
use super::ops::short;
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Protocol, ServiceName};
use crate::plan::remains::{Made, Published, Remains, Remnant};

impl Engine {
    /// All stacks with any object on the engine, in three list calls, by name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn stacks(&self) -> Result<Vec<Remnant>> {
        let parts = self.parts(labels::PROJECT).await?;
        let mut found: BTreeMap<String, Remnant> = BTreeMap::new();
        for (_, labels) in parts.containers.iter().chain(&parts.networks).chain(&parts.volumes) {
            let Some(name) = labels.get(labels::PROJECT) else { continue };
            let of = found.entry(name.clone()).or_insert_with(|| Remnant { name: name.clone(), ..Remnant::default() });
            of.roots.extend(labels.get(labels::ROOT).map(PathBuf::from));
        }
        Ok(found.into_values().collect())
    }

    /// The objects of a stack, with each of its containers inspected.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn remains(&self, project: &str) -> Result<Remains> {
        let parts = self.parts(&format!("{}={project}", labels::PROJECT)).await?;
        let own = parts.containers.iter().filter(|(_, labels)| labels.contains_key(labels::SERVICE));
        let seen = try_join_all(own.map(async |(id, _)| {
            match answer(self.docker.inspect_container(id, None::<InspectContainerOptions>)).await {
                Ok(seen) => Ok(made(seen)),
                Err(error) if status(&error) == Some(404) => Ok(None),
                Err(error) => Err(failed(format_args!("can't inspect {}", short(id)), &error)),
            }
        }));
        let mut containers: Vec<(Made, PathBuf)> = seen.await?.into_iter().flatten().collect();
        containers.sort_by(|(a, _), (b, _)| b.created.cmp(&a.created));
        let others = parts.containers.iter().chain(&parts.networks).chain(&parts.volumes);
        let others = others.filter_map(|(_, labels)| labels.get(labels::ROOT).map(PathBuf::from));
        let mut roots: Vec<PathBuf> = Vec::new();
        for root in containers.iter().map(|(_, root)| root.clone()).chain(others) {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        let volumes = parts.volumes.into_iter().map(|(name, _)| name).collect();
        let networks = parts.network_names.into_iter().collect();
        Ok(Remains { containers: containers.into_iter().map(|(made, _)| made).collect(), volumes, networks, roots })
    }
}

/// None for a container whose labels are not ours after all.
fn made(seen: ContainerInspectResponse) -> Option<(Made, PathBuf)> {
    let config = seen.config.unwrap_or_default();
    let mut found = config.labels.unwrap_or_default();
    let service = ServiceName::parse(found.get(labels::SERVICE)?).ok()?;
    let host = seen.host_config.unwrap_or_default();
    let asked: Vec<&String> = host.mounts.iter().flatten().filter_map(|mount| mount.source.as_ref()).collect();
    let mounts = seen.mounts.unwrap_or_default().into_iter().filter_map(|mount| {
        let source = match mount.typ.as_deref() {
            Some("bind") => mount.source,
            // A nameless one has a name that the engine made up.
            Some("volume") => mount.name.filter(|name| asked.contains(&name)),
            _ => None,
        };
        Some((source?, mount.destination?))
    });
    let mounts = mounts.collect();
    let networks = seen.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let made = Made {
        service,
        replica_of: found.get(labels::REPLICA_OF).and_then(|name| ServiceName::parse(name).ok()),
        kind: found.remove(labels::KIND).unwrap_or_else(|| "generic".into()),
        depends_on: found.remove(labels::DEPENDS).and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default(),
        image: config.image.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
        ports: published(&host),
        mounts,
        networks: networks.into_keys().collect(),
        stop_signal: config.stop_signal.filter(|signal| !signal.is_empty()),
        stop_timeout: config.stop_timeout,
        created: seen.created.unwrap_or_default(),
    };
    Some((made, found.remove(labels::ROOT).unwrap_or_default().into()))
}

fn published(host: &HostConfig) -> Vec<Published> {
    let mut ports = Vec::new();
    for (key, bindings) in host.port_bindings.iter().flatten() {
        let Some((container, protocol)) = key.split_once('/') else { continue };
        let Ok(container) = container.parse() else { continue };
        let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        for binding in bindings.iter().flatten() {
            let Some(Ok(address)) = binding.host_ip.as_deref().map(str::parse) else { continue };
            let host = binding.host_port.as_deref().and_then(|port| port.parse().ok()).filter(|port| *port != 0);
            ports.push(Published { address, host, container, protocol });
        }
    }
    ports.sort_by_key(|port| (port.container, port.host));
    ports
}

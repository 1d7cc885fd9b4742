//! Observes the engine: a few list calls, all at once, as plain data for the planner and `ps`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, ImageInspect, PortSummaryTypeEnum};
use bollard::query_parameters::{
    InspectNetworkOptions, ListContainersOptions, ListNetworksOptions, ListVolumesOptions,
};
use futures_util::future::{join_all, try_join_all};
use futures_util::try_join;

use super::connect::answer;
use super::error::{failed, status};
use super::{Engine, helpers, intents, labels, nameless};
use crate::diag::Result;
use crate::model::{Place, Protocol, PublishedPort, ServiceName, Stack, fingerprint};
use crate::plan::Intent;
use crate::plan::observed::{
    Container, ContainerState, Endpoint, HealthCheck, Helper, Image, Network, Observed, Volume,
};

/// A container that publishes a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Its name.
    pub container: String,
    /// The stack it belongs to, if it is one of ours.
    pub project: Option<String>,
    /// The service it belongs to.
    pub service: Option<String>,
    /// The folder of that stack; empty if there is none.
    pub root: String,
}

/// The containers of a stack.
pub(super) struct Listed {
    /// Those of its services.
    pub(super) own: Vec<Container>,
    /// One-off ones.
    pub(super) one_offs: Vec<Container>,
    /// Those that volumes are copied through.
    helpers: Vec<Helper>,
}

impl Engine {
    /// Everything of a stack, and of what its services refer to.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let (Listed { own: containers, one_offs, helpers }, networks, (volumes, intents), images) = try_join!(
            self.whole_containers(stack.name.as_str()),
            self.networks(stack),
            self.volumes(stack),
            self.images(stack)
        )?;
        let mut volumes = volumes;
        volumes.extend(nameless::not_yet_held(stack, &containers, &volumes));
        // Before the first `up`: a project that is being moved here may still run, or have data. Only for hints.
        let compose = match containers.is_empty() && stack.isolation.is_none() {
            true => self.compose_project(stack).await.unwrap_or_default(),
            false => None,
        };
        let owed = BTreeSet::new();
        let api = self.about.api;
        Ok(Observed { api, containers, one_offs, helpers, networks, volumes, intents, owed, images, compose })
    }

    /// The containers of a stack's services, whatever their state, in one call.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn containers(&self, project: &str) -> Result<Vec<Container>> {
        Ok(self.all_containers(project).await?.own)
    }

    /// The further containers of services that have several, each with the service it is of.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn further_containers(&self, project: &str) -> Result<Vec<(ServiceName, ServiceName)>> {
        let mut filters = labels::filter(project);
        filters.entry("label".into()).or_default().push(labels::REPLICA_OF.into());
        let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list containers", &error))?;
        let name = |seen: &ContainerSummary, label: &str| ServiceName::parse(seen.labels.as_ref()?.get(label)?).ok();
        let names = |seen: &ContainerSummary| Some((name(seen, labels::SERVICE)?, name(seen, labels::REPLICA_OF)?));
        Ok(listed.iter().filter_map(names).collect())
    }

    /// All containers of a stack.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub(super) async fn all_containers(&self, project: &str) -> Result<Listed> {
        let options = ListContainersOptions { all: true, filters: Some(labels::filter(project)), ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list containers", &error))?;
        let helpers = listed.iter().filter_map(helpers::helper).collect();
        let listed: Vec<_> = listed.into_iter().filter(|seen| helpers::helper(seen).is_none()).collect();
        let is_one_off = |seen: &ContainerSummary| seen.labels.iter().any(|found| found.contains_key(labels::ONEOFF));
        let (one_offs, own): (Vec<_>, Vec<_>) = listed.into_iter().partition(is_one_off);
        let [mut own, one_offs] = [(own, labels::SERVICE), (one_offs, labels::ONEOFF)].map(|(listed, label)| {
            let mut containers: Vec<_> = listed.into_iter().filter_map(|seen| container(seen, label)).collect();
            containers.sort_by(|a, b| precedence(project, a).cmp(&precedence(project, b)));
            containers
        });
        self.seen_from_inside(&mut own).await?;
        Ok(Listed { own, one_offs, helpers })
    }

    /// The container that publishes a host port, other than the one named.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn publisher(&self, port: u16, but: &str) -> Result<Option<Publisher>> {
        let filters = std::collections::HashMap::from([("publish".into(), vec![port.to_string()])]);
        let options = ListContainersOptions { filters: Some(filters), ..Default::default() };
        let listed = answer(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list containers", &error))?;
        let published = |seen: &ContainerSummary| {
            let names = seen.names.iter().flatten();
            seen.ports.iter().flatten().any(|seen| seen.public_port == Some(port))
                && names.into_iter().all(|name| name.trim_start_matches('/') != but)
        };
        let found = listed.into_iter().find(published);
        Ok(found.map(|seen| {
            let mut found = seen.labels.unwrap_or_default();
            Publisher {
                container: seen.names.unwrap_or_default().pop().unwrap_or_default().trim_start_matches('/').to_owned(),
                project: found.remove(labels::PROJECT),
                service: found.remove(labels::SERVICE),
                root: found.remove(labels::ROOT).unwrap_or_default(),
            }
        }))
    }

    async fn networks(&self, stack: &Stack) -> Result<Vec<Network>> {
        let options = ListNetworksOptions { filters: Some(labels::filter(stack.name.as_str())) };
        let listed = answer(self.docker.list_networks(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list networks", &error))?;
        let mut networks: Vec<Network> =
            listed.into_iter().map(|seen| network(seen.name, seen.id, seen.labels)).collect();
        let unseen = stack.networks.values().map(|network| network.name.as_str());
        let unseen = unseen.filter(|name| networks.iter().all(|seen| seen.name != *name)).collect::<BTreeSet<_>>();
        let others = try_join_all(unseen.into_iter().map(|name| async move {
            match answer(self.docker.inspect_network(name, None::<InspectNetworkOptions>)).await {
                Ok(seen) if seen.name.as_deref() == Some(name) => Ok(Some(network(seen.name, seen.id, seen.labels))),
                Ok(_) => Ok(None),
                Err(error) if status(&error) == Some(404) => Ok(None),
                Err(error) => Err(failed(format_args!("can't inspect network {name}"), &error)),
            }
        }));
        networks.extend(others.await?.into_iter().flatten());
        for seen in &mut networks {
            let declared = stack.network(&seen.name).filter(|network| !network.external);
            if declared.is_some_and(|network| seen.config.as_deref() != Some(&fingerprint::network(network))) {
                seen.others = self.inside(&seen.id).await?;
            }
        }
        Ok(networks)
    }

    /// ID and name of the running containers in a network; none if it no longer exists.
    async fn inside(&self, network: &str) -> Result<Vec<(String, String)>> {
        let seen = match answer(self.docker.inspect_network(network, None::<InspectNetworkOptions>)).await {
            Ok(seen) => seen,
            Err(error) if status(&error) == Some(404) => return Ok(Vec::new()),
            Err(error) => return Err(failed(format_args!("can't inspect network {network}"), &error)),
        };
        let inside = seen.containers.unwrap_or_default().into_iter();
        Ok(inside.map(|(id, seen)| (id, seen.name.unwrap_or_default())).collect())
    }

    /// The volumes, and what the empty ones among them say that stand for something unfinished.
    async fn volumes(&self, stack: &Stack) -> Result<(Vec<Volume>, Vec<Intent>)> {
        let options = ListVolumesOptions { filters: Some(labels::filter(stack.name.as_str())) };
        let listed = answer(self.docker.list_volumes(Some(options))).await;
        let listed = listed.map_err(|error| failed("can't list volumes", &error))?.volumes.unwrap_or_default();
        let intents: Vec<Intent> = listed.iter().filter_map(intents::intent).collect();
        let listed = listed.into_iter().filter(|seen| !seen.labels.contains_key(labels::INTENT));
        let mut volumes: Vec<Volume> = listed.map(volume).collect();
        let unseen = stack.volumes.values().map(|volume| volume.name.as_str());
        let unseen = unseen.filter(|name| volumes.iter().all(|seen| seen.name != *name)).collect::<BTreeSet<_>>();
        let others = try_join_all(unseen.into_iter().map(|name| async move {
            match answer(self.docker.inspect_volume(name)).await {
                Ok(seen) => Ok(Some(volume(seen))),
                Err(error) if status(&error) == Some(404) => Ok(None),
                Err(error) => Err(failed(format_args!("can't inspect volume {name}"), &error)),
            }
        }));
        volumes.extend(others.await?.into_iter().flatten());
        for seen in volumes.iter_mut().filter(|seen| seen.stack.as_deref() != Some(stack.name.as_str())) {
            if stack.volume(&seen.name).is_some_and(|volume| volume.adopt) {
                seen.users = self.users(&seen.name, stack).await?;
            }
        }
        // An engine that was killed while it created one has lost its labels; what is written down says whose it is.
        let is_ours = |volume: &&mut Volume| {
            volume.stack.is_none() && intents.iter().any(|intent| intent.volumes.contains(&volume.name))
        };
        for volume in volumes.iter_mut().filter(is_ours) {
            volume.stack = Some(stack.name.to_string());
        }
        Ok((volumes, intents))
    }

    /// Networks and volumes that carry the stack's name and are left alone by it all the same: each with why.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn left_alone(&self, stack: &Stack) -> Result<Vec<(String, String)>> {
        let filters = || Some(labels::filter(stack.name.as_str()));
        let (networks, volumes) = futures_util::try_join!(
            answer(self.docker.list_networks(Some(ListNetworksOptions { filters: filters() }))),
            answer(self.docker.list_volumes(Some(ListVolumesOptions { filters: filters() }))),
        )
        .map_err(|error| failed("can't list the engine's objects", &error))?;
        let networks =
            networks.into_iter().map(|seen| (seen.name.unwrap_or_default(), seen.labels.unwrap_or_default()));
        let volumes = volumes.volumes.unwrap_or_default().into_iter().map(|seen| (seen.name, seen.labels));
        let left = |(name, found): (String, Labels)| Some((name, labels::left_alone(&found, stack)?));
        let networks = networks.filter_map(left).map(|(name, why)| (format!("network {name}"), why));
        Ok(networks.chain(volumes.filter_map(left).map(|(name, why)| (format!("volume {name}"), why))).collect())
    }

    async fn images(&self, stack: &Stack) -> Result<BTreeMap<String, Image>> {
        let mounted = stack.services.values().flat_map(|service| &service.mounts);
        let mounted = mounted.filter_map(|mount| match &mount.source {
            crate::model::MountSource::Image(image) => Some(image.as_str()),
            _ => None,
        });
        let own = stack.services.values().map(|service| service.image.as_str());
        let references: BTreeSet<&str> = own.chain(mounted).collect();
        let seen = join_all(references.into_iter().map(|reference| async move {
            self.image(reference).await.map(|image| image.map(|image| (reference.to_owned(), image)))
        }));
        seen.await.into_iter().filter_map(Result::transpose).collect()
    }

    /// An image, if it exists.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn image(&self, reference: &str) -> Result<Option<Image>> {
        match answer(self.docker.inspect_image(reference)).await {
            Ok(seen) => Ok(Some(image(seen))),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(failed(format_args!("can't inspect image {reference}"), &error)),
        }
    }
}

type Labels = std::collections::HashMap<String, String>;

fn network(name: Option<String>, id: Option<String>, found: Option<Labels>) -> Network {
    let found = found.unwrap_or_default();
    Network {
        name: name.unwrap_or_default(),
        id: id.unwrap_or_default(),
        stack: maker(&found),
        config: found.get(labels::CONFIG).cloned(),
        others: Vec::new(),
    }
}

pub(super) fn volume(seen: bollard::models::Volume) -> Volume {
    let label = |key: &str| seen.labels.get(key).cloned();
    let service = label(labels::SERVICE).and_then(|name| ServiceName::parse(&name).ok());
    let own = |(key, _): &(&String, &String)| !labels::is_ours(key) && !key.starts_with("com.docker.");
    Volume {
        stack: maker(&seen.labels),
        place: service.zip(label(labels::TARGET)).map(|(service, target)| Place { service, target }),
        labels: seen.labels.iter().filter(own).map(|(key, value)| (key.clone(), value.clone())).collect(),
        name: seen.name,
        driver: seen.driver,
        options: seen.options.into_iter().collect(),
        users: Vec::new(),
    }
}

/// The stack that created an object. The name of a stack alone does not count.
fn maker(found: &Labels) -> Option<String> {
    labels::are_whole(found).then(|| found[labels::PROJECT].clone())
}

/// `service`: the label that says which service's it is. None for a container whose labels are not ours after all (someone
/// else's tool copied one).
fn container(seen: ContainerSummary, service: &str) -> Option<Container> {
    let found = seen.labels.unwrap_or_default();
    let label = |key: &str| found.get(key).cloned().unwrap_or_default();
    let status = seen.status.unwrap_or_default();
    let mut ports: Vec<PublishedPort> = seen.ports.unwrap_or_default().into_iter().filter_map(published).collect();
    ports.sort_by_key(|port| (port.container, port.protocol, port.address, port.host));
    let networks = seen.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let endpoint = |seen: bollard::models::EndpointSettings| Endpoint {
        address: seen.ip_address.and_then(|ip| ip.parse().ok()),
        network: seen.network_id.unwrap_or_default(),
    };
    let mounts = seen.mounts.unwrap_or_default().into_iter();
    let mode = seen.host_config.and_then(|host| host.network_mode);
    Some(Container {
        id: seen.id?,
        name: seen.names?.first()?.trim_start_matches('/').to_owned(),
        service: ServiceName::parse(found.get(service)?).ok()?,
        replica_of: found.get(labels::REPLICA_OF).and_then(|name| ServiceName::parse(name).ok()),
        chosen_ports: serde_json::from_str(&label(labels::CHOSEN_PORTS)).unwrap_or_default(),
        instance: label(labels::INSTANCE),
        root: label(labels::ROOT),
        config: serde_json::from_str(&label(labels::CONFIG)).unwrap_or_default(),
        cause: label(labels::CAUSE),
        image: seen.image.unwrap_or_default(),
        image_id: seen.image_id.unwrap_or_default(),
        state: state(seen.state),
        exit_code: exit_code(&status),
        status,
        created: seen.created.unwrap_or_default(),
        ports,
        networks: networks.into_iter().map(|(name, seen)| (name, endpoint(seen))).collect(),
        volumes: mounts.filter_map(mounted_volume).collect(),
        network_of: mode.and_then(|mode| Some(mode.strip_prefix("container:")?.to_owned())),
    })
}

/// Name and folder inside of a mount that is a writable volume.
pub(super) fn mounted_volume(seen: bollard::models::MountPoint) -> Option<(String, String)> {
    let name = seen.name.filter(|name| !name.is_empty() && seen.rw != Some(false))?;
    seen.destination.map(|target| (name, target))
}

fn state(seen: Option<ContainerSummaryStateEnum>) -> ContainerState {
    use ContainerSummaryStateEnum as Seen;
    match seen {
        Some(Seen::RUNNING) => ContainerState::Running,
        Some(Seen::PAUSED) => ContainerState::Paused,
        Some(Seen::RESTARTING) => ContainerState::Restarting,
        Some(Seen::REMOVING) => ContainerState::Removing,
        Some(Seen::CREATED) => ContainerState::Created,
        Some(Seen::DEAD) => ContainerState::Dead,
        // Podman's `stopped` and words of engines to come: not running is what matters.
        _ => ContainerState::Exited,
    }
}

/// Which of two containers of one service comes first: one that has the service's name, one that runs, the newest.
fn precedence<'a>(project: &str, seen: &'a Container) -> impl Ord + use<'a> {
    let is_named = seen.name == format!("{project}-{}", seen.service);
    (!is_named, !seen.is_up(), std::cmp::Reverse(seen.created), &seen.id)
}

/// The list has no exit code but in its words: `Exited (1) 3 minutes ago`.
fn exit_code(status: &str) -> Option<i64> {
    status.strip_prefix("Exited (")?.split_once(')')?.0.parse().ok()
}

fn published(seen: bollard::models::PortSummary) -> Option<PublishedPort> {
    Some(PublishedPort {
        address: seen.ip?.parse().ok()?,
        host: seen.public_port?,
        container: seen.private_port,
        protocol: if seen.typ == Some(PortSummaryTypeEnum::UDP) { Protocol::Udp } else { Protocol::Tcp },
    })
}

fn image(seen: ImageInspect) -> Image {
    let config = seen.config.unwrap_or_default();
    let port = |port: &String| port.split('/').next().and_then(|port| port.parse().ok());
    let shell = config.shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
    let build = config.labels.unwrap_or_default().remove(labels::BUILD);
    Image {
        build: build.and_then(|label| serde_json::from_str(&label).ok()),
        digests: seen.repo_digests.unwrap_or_default(),
        id: seen.id.unwrap_or_default(),
        architecture: seen.architecture.unwrap_or_default(),
        healthcheck: config.healthcheck.and_then(|check| {
            let limit = check.timeout.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
            let command = healthcheck(check.test.unwrap_or_default(), shell)?;
            Some(HealthCheck { command, limit: limit.map(Duration::from_nanos) })
        }),
        exposed: config.exposed_ports.unwrap_or_default().iter().filter_map(port).collect(),
        volumes: config.volumes.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
    }
}

/// The command of a HEALTHCHECK, as `exec` takes it.
fn healthcheck(mut test: Vec<String>, mut shell: Vec<String>) -> Option<Vec<String>> {
    let form = if test.is_empty() { return None } else { test.remove(0) };
    match form.as_str() {
        "CMD" => Some(test),
        "CMD-SHELL" => {
            shell.push(test.join(" "));
            Some(shell)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_read_from_the_status() {
        assert_eq!(exit_code("Exited (137) 3 minutes ago"), Some(137));
        assert_eq!(exit_code("Up 3 minutes"), None);
        assert_eq!(exit_code("Exited"), None);
    }

    #[test]
    fn a_shell_health_check_runs_in_the_images_shell() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let bash = || words("/bin/bash -c");
        assert_eq!(healthcheck(vec!["CMD-SHELL".into(), "a && b".into()], bash()).unwrap()[2], "a && b");
        assert_eq!(healthcheck(words("CMD a b"), bash()), Some(words("a b")));
        assert_eq!(healthcheck(words("NONE"), bash()), None);
    }
}

//! Networks that differ from services.toml, or from those that their containers use. A network can't be changed in
//! place, and a container refers by ID to the network in which it was started: both are created again.

use super::observed::{Container, Network};
use super::{Cause, Observed, Request, Trouble};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Service, Stack, fingerprint};

/// Why a container can't stay because of its networks.
pub(super) fn trouble(stack: &Stack, seen: &Observed, service: &Service, container: &Container) -> Option<Cause> {
    service.networks.iter().find_map(|short| {
        let network = stack.networks[short].name.clone();
        let mut found = seen.networks.iter().filter(|seen| seen.name == network).peekable();
        let trouble = match container.networks.get(&network) {
            _ if found.peek().is_none() => Trouble::Removed,
            _ if is_edited(stack, seen, short) => Trouble::Edited,
            None => Trouble::Disconnected,
            Some(endpoint) if endpoint.network.is_empty() || found.any(|seen| seen.id == endpoint.network) => {
                return None;
            }
            Some(_) => Trouble::Replaced,
        };
        Some(Cause::Network { network, trouble })
    })
}

/// Whether a network of the stack was created from other settings than services.toml has now.
pub(super) fn is_edited(stack: &Stack, seen: &Observed, short: &str) -> bool {
    let network = &stack.networks[short];
    let config = fingerprint::network(network);
    let own = |seen: &&Network| seen.name == network.name && seen.stack.as_deref() == Some(stack.name.as_str());
    !network.external && seen.networks.iter().filter(own).any(|seen| seen.config.as_deref() != Some(&config))
}

/// The networks of these services that were edited, by short name.
pub(super) fn edited<'a>(stack: &Stack, seen: &Observed, services: &[&'a Service]) -> Vec<&'a String> {
    let mut found: Vec<&String> = services.iter().flat_map(|service| &service.networks).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|short| is_edited(stack, seen, short));
    found
}

/// Refuses to create an edited network again while something is in it that this run leaves alone.
///
/// # Errors
/// Says what that is, and what to do.
pub(super) fn refuse_shared(
    stack: &Stack,
    seen: &Observed,
    request: &Request,
    short: &str,
    goes: impl Fn(&Container) -> bool,
) -> Result<()> {
    let network = &stack.networks[short].name;
    let refuse = |who: &str, hint: String| {
        let message = format!("network {network} was edited in [networks.{short}], but {who} is in it");
        Err(Error::new(ErrorKind::Other, message).hint(hint))
    };
    let inside = |container: &&Container| container.is_up() && container.networks.contains_key(network);
    for container in seen.containers.iter().filter(inside) {
        let name = &container.service;
        match stack.services.get(name) {
            _ if goes(container) => {}
            Some(service) if service.active => {
                return refuse(name.as_str(), "recreate all that is in it: taskava dev up".into());
            }
            Some(_) => return refuse(name.as_str(), format!("taskava dev down {name} && taskava dev up")),
            None if request.remove_orphans => {}
            None => return refuse(name.as_str(), "remove it: taskava dev up --remove-orphans".into()),
        }
    }
    if let Some(one_off) = seen.one_offs.iter().find(inside) {
        return refuse(&one_off.name, format!("wait until it ends, or remove it: docker rm -f {}", one_off.name));
    }
    let own = |id: &str| seen.containers.iter().chain(&seen.one_offs).any(|own| own.id == id);
    let others = seen.networks.iter().filter(|seen| seen.name == *network).flat_map(|seen| &seen.others);
    match others.into_iter().find(|(id, _)| !own(id)) {
        Some((_, name)) => refuse(name, format!("disconnect it: docker network disconnect {network} {name}")),
        None => Ok(()),
    }
}

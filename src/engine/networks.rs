//! Networks of a stack: creates them, reduces two with the same name to one, removes them.
//!
//! Engines before 25 accept the same name more than once. A run that was killed while the engine created its network,
//! and the next run, which did not see it yet, end up with two; then no container could be started in either.
//!
//! Isolated stacks get small subnets from their own pool: 30 of them would use up those of the engine.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;

use super::connect::answer;
use super::error::{failed, message, status};
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::subnet::{self, Subnet};
use crate::model::{AddressPool, Isolation, Network, Stack, fingerprint};

/// How often another subnet is chosen after another process took one at the same moment.
const ATTEMPTS: u32 = 50;

impl Engine {
    /// Creates a network of a stack.
    ///
    /// # Errors
    /// When the engine refuses; the address pools may be used up.
    pub async fn create_network(&self, stack: &Stack, network: &Network) -> Result<()> {
        let mut all_labels = labels::of_stack(stack);
        all_labels.extend(network.labels.clone());
        all_labels.insert(labels::CONFIG.into(), fingerprint::network(network));
        let request = NetworkCreateRequest {
            name: network.name.clone(),
            driver: network.driver.clone(),
            internal: network.internal.then_some(true),
            ipam: ipam(network),
            enable_ipv6: network.ipv6.then_some(true),
            attachable: network.attachable.then_some(true),
            options: (!network.options.is_empty()).then(|| network.options.clone().into_iter().collect()),
            labels: Some(all_labels),
            ..Default::default()
        };
        let created = match &stack.isolation {
            Some(isolation) if ipam(network).is_none() && network.driver.as_deref().is_none_or(|d| d == "bridge") => {
                self.create_small(isolation, subnet::prefix_for(stack.services.len()), request).await?
            }
            _ => self.docker.create_network(request).await.map(drop),
        };
        match created {
            Ok(()) => self.settle_network(stack, &network.name).await,
            Err(error) if status(&error) == Some(409) && !self.own_networks(stack, &network.name).await?.is_empty() => {
                Ok(())
            }
            Err(error) => Err(failed(format_args!("can't create network {}", network.name), &error)),
        }
    }

    /// With an unused subnet of the pools for isolated stacks; with one of the engine's if those are used up.
    async fn create_small(
        &self,
        isolation: &Isolation,
        prefix: u8,
        mut request: NetworkCreateRequest,
    ) -> Result<std::result::Result<(), Bollard>> {
        for _ in 0..ATTEMPTS {
            let found = subnet::free(&isolation.pools, prefix, &self.taken().await?, random());
            request.ipam = found.map(|found| pool(found.to_string()));
            match self.docker.create_network(request.clone()).await {
                Err(error) if request.ipam.is_some() && message(&error).contains("overlap") => {}
                created => return Ok(created.map(drop)),
            }
        }
        request.ipam = None;
        Ok(self.docker.create_network(request).await.map(drop))
    }

    /// The subnets of the engine's networks, and those that this machine has a route to.
    async fn taken(&self) -> Result<Vec<Subnet>> {
        let listed = answer(self.docker.list_networks(None)).await;
        let listed = listed.map_err(|error| failed("can't list networks", &error))?;
        let configs = listed.into_iter().filter_map(|seen| seen.ipam?.config).flatten();
        let mut taken: Vec<Subnet> = configs.filter_map(|config| Subnet::parse(&config.subnet?)).collect();
        if self.about.container_network {
            let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
            taken.extend(table.lines().skip(1).filter_map(route));
        }
        Ok(taken)
    }

    /// Leaves one network of a name: the one that containers use, else the oldest.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn settle_network(&self, stack: &Stack, name: &str) -> Result<()> {
        let mut ids = self.own_networks(stack, name).await?;
        let mut left = ids.len();
        while let (Some(id), true) = (ids.pop(), left > 1) {
            // One that is in use, or was removed already, is none of the surplus.
            if self.docker.remove_network(&id).await.is_ok() {
                left -= 1;
            }
        }
        Ok(())
    }

    /// Ids of this stack's networks of a name, the oldest first.
    async fn own_networks(&self, stack: &Stack, name: &str) -> Result<Vec<String>> {
        let options = ListNetworksOptions { filters: Some(labels::filter(stack.name.as_str())) };
        let listed = answer(self.docker.list_networks(Some(options))).await;
        let mut listed = listed.map_err(|error| failed("can't list networks", &error))?;
        let is_own = |labels: &HashMap<String, String>| labels::left_alone(labels, stack).is_none();
        listed.retain(|seen| seen.name.as_deref() == Some(name) && seen.labels.as_ref().is_some_and(is_own));
        listed.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
        Ok(listed.into_iter().filter_map(|seen| seen.id).collect())
    }

    /// Removes a network of this stack. One that is not this stack's is left alone.
    ///
    /// # Errors
    /// When it is in use by a container that is not this stack's.
    pub async fn remove_network(&self, stack: &Stack, name: &str) -> Result<()> {
        for id in self.own_networks(stack, name).await? {
            self.remove_network_by_id(&id, name).await?;
        }
        Ok(())
    }

    /// Endpoints that are just going are waited for.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(super) async fn remove_network_by_id(&self, id: &str, name: &str) -> Result<()> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.docker.remove_network(id).await {
                Ok(()) => return Ok(()),
                Err(error) if status(&error) == Some(404) => return Ok(()),
                Err(error) if message(&error).contains("active endpoints") && pause < Duration::from_secs(1) => {
                    if self.dismiss(id).await? {
                        continue;
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => {
                    let failed = failed(format_args!("can't remove network {name}"), &error);
                    return Err(failed.hint(format!("see what uses it: docker network inspect {name}")));
                }
            }
        }
    }
}

/// Where the addresses of a network come from, where that is said.
fn ipam(network: &Network) -> Option<Ipam> {
    if network.pools.is_empty() {
        return network.subnet.clone().map(pool);
    }
    let config = |pool: &AddressPool| IpamConfig {
        subnet: pool.subnet.clone(),
        gateway: pool.gateway.clone(),
        ip_range: pool.range.clone(),
        auxiliary_addresses: (!pool.reserved.is_empty()).then(|| pool.reserved.clone().into_iter().collect()),
    };
    Some(Ipam { config: Some(network.pools.iter().map(config).collect()), ..Default::default() })
}

fn pool(subnet: String) -> Ipam {
    Ipam { config: Some(vec![IpamConfig { subnet: Some(subnet), ..Default::default() }]), ..Default::default() }
}

/// A number that those who ask at the same time don't share.
fn random() -> u32 {
    let number = RandomState::new().hash_one(std::process::id());
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

/// The destination in a line of `/proc/net/route`; none for the default route, which is everywhere.
fn route(line: &str) -> Option<Subnet> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let number = |field: usize| u32::from_str_radix(fields.get(field)?, 16).ok().map(u32::swap_bytes);
    let (address, mask) = (number(1)?, number(7)?);
    let prefix = u8::try_from(mask.leading_ones()).ok()?;
    (prefix > 0).then(|| Subnet::new(address, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_this_machine_are_taken() {
        let line = |text: &str| route(text).map(|subnet| subnet.to_string());
        assert_eq!(line("eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(line("eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0"), None);
        assert_eq!(line(""), None);
    }
}

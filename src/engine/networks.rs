//! Networks of a stack: made, settled on one where there came to be two, removed.
//!
//! Engines before 25 take a name more than once. A run that was killed while the engine made a network for it, and the
//! next one, which saw none yet, end with two; no container could be started in either.

use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;

use super::connect::answer;
use super::error::{failed, message, status};
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{Network, Stack, fingerprint};

impl Engine {
    /// Creates a network of a stack.
    ///
    /// # Errors
    /// When the engine refuses; the address pools may be used up.
    pub async fn create_network(&self, stack: &Stack, network: &Network) -> Result<()> {
        let mut all_labels = labels::of_stack(stack);
        all_labels.extend(network.labels.clone());
        all_labels.insert(labels::CONFIG.into(), fingerprint::network(network));
        let pool = |subnet: &String| vec![IpamConfig { subnet: Some(subnet.clone()), ..Default::default() }];
        let request = NetworkCreateRequest {
            name: network.name.clone(),
            driver: network.driver.clone(),
            internal: network.internal.then_some(true),
            ipam: network.subnet.as_ref().map(|subnet| Ipam { config: Some(pool(subnet)), ..Default::default() }),
            labels: Some(all_labels),
            ..Default::default()
        };
        match self.docker.create_network(request).await {
            Ok(_) => self.settle_network(stack, &network.name).await,
            Err(error) if status(&error) == Some(409) && !self.own_networks(stack, &network.name).await?.is_empty() => {
                Ok(())
            }
            Err(error) => Err(failed(format_args!("can't create network {}", network.name), &error)),
        }
    }

    /// Leaves one network of a name: the one that containers use, else the oldest.
    ///
    /// # Errors
    /// When the engine can't be asked.
    pub async fn settle_network(&self, stack: &Stack, name: &str) -> Result<()> {
        let mut ids = self.own_networks(stack, name).await?;
        let mut left = ids.len();
        while let (Some(id), true) = (ids.pop(), left > 1) {
            // One that is in use, or that is gone already, is none of the surplus.
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
        listed.retain(|seen| seen.name.as_deref() == Some(name));
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
    async fn remove_network_by_id(&self, id: &str, name: &str) -> Result<()> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.docker.remove_network(id).await {
                Ok(()) => return Ok(()),
                Err(error) if status(&error) == Some(404) => return Ok(()),
                Err(error) if message(&error).contains("active endpoints") && pause < Duration::from_secs(1) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => {
                    let failed = failed(format_args!("can't remove network {name}"), &error);
                    return Err(failed.hint(format!("see who uses it: docker network inspect {name}")));
                }
            }
        }
    }
}

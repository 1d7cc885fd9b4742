//! Volumes, networks and labels.

use indexmap::IndexMap;

use super::{Resolver, strings};
use crate::config::decode::Entry;
use crate::config::forms::Pairs;
use crate::config::schema;
use crate::diag::Place;
use crate::model::{AddressPool, Network, Volume};

impl Resolver<'_> {
    pub(super) fn declared_volumes(&mut self) {
        for (key, volume) in &self.config.volumes {
            self.check_resource_name("volume", key, &volume.key);
            if let Some(name) = &volume.name {
                self.check_resource_name("volume", name, &name.place);
            }
            let external = volume.external.unwrap_or(false);
            if external && (volume.driver.is_some() || !volume.options.0.is_empty()) {
                self.error(
                    &volume.key,
                    format!("volume `{key}` is external: `driver` and `options` have no effect on it"),
                );
            }
            let mut adopt = volume.adopt.unwrap_or(false);
            if external && adopt {
                self.error(&volume.key, format!("volume `{key}` is external: `adopt` has no effect on it"));
            }
            let mut name = volume.name.as_ref().map(|name| name.value.as_str());
            // Two stacks on the same data would destroy it.
            if adopt && self.is_under_another_name() {
                (adopt, name) = (false, None);
            }
            let name = self.engine_name(key, name, external);
            let labels = self.labels(&volume.labels);
            let mut options = strings(&volume.options);
            // The engine knows nothing of the project's folder.
            let is_bind = options.get("o").is_some_and(|o| o.split(',').any(|option| option == "bind"));
            if let Some(device) = volume.options.0.get("device").filter(|device| is_bind && !device.value.0.is_empty())
            {
                let path = self.around.absolute(&device.value.0, &device.place).display().to_string();
                options.insert("device".into(), path);
            }
            let driver = volume.driver.clone();
            self.volumes.insert(key.clone(), Volume { name, external, adopt, driver, options, labels });
        }
    }

    pub(super) fn declared_networks(&mut self) {
        for (key, network) in &self.config.networks {
            self.check_resource_name("network", key, &network.key);
            let made = self.network(key, network);
            self.networks.insert(key.clone(), made);
        }
        let name = self.engine_name("default", None, false);
        self.networks.entry("default".into()).or_insert_with(|| Network { name, ..Network::default() });
    }

    pub(super) fn network(&mut self, key: &str, network: &Entry<schema::Network>) -> Network {
        if let Some(name) = &network.name {
            self.check_resource_name("network", name, &name.place);
        }
        let external = network.external.unwrap_or(false);
        let has_addresses = network.subnet.is_some() || !network.ipam.is_empty() || network.ipv6.is_some();
        let has_settings = network.driver.is_some() || network.internal.is_some() || !network.options.0.is_empty();
        if external && (has_addresses || has_settings) {
            let message = format!(
                "network `{key}` is external: `driver`, `internal`, `subnet`, `ipam`, `ipv6` and `options` have no effect on it"
            );
            self.error(&network.key, message);
        }
        if let (Some(_), Some(pool)) = (&network.subnet, network.ipam.first()) {
            self.error_hint(
                &pool.place,
                "`subnet` and `ipam` both say where addresses come from",
                "write it under `ipam`",
            );
        }
        let subnets = network.subnet.iter().chain(network.ipam.iter().filter_map(|pool| pool.value.subnet.as_ref()));
        for subnet in subnets.filter(|subnet| !is_subnet(subnet)) {
            let hint = "write an address and its prefix length, such as \"172.30.0.0/24\"";
            self.error_hint(&subnet.place, format!("`{}` is not a subnet", subnet.value), hint);
        }
        Network {
            name: self.engine_name(key, network.name.as_ref().map(|name| name.value.as_str()), external),
            external,
            driver: network.driver.clone(),
            internal: network.internal.unwrap_or(false),
            subnet: network.subnet.as_ref().map(|subnet| subnet.value.clone()),
            pools: network.ipam.iter().map(|pool| address_pool(&pool.value)).collect(),
            ipv6: network.ipv6.unwrap_or(false),
            attachable: network.attachable.unwrap_or(false),
            options: strings(&network.options),
            labels: self.labels(&network.labels),
        }
    }

    /// What a volume or network is called on the engine. The name of an external one is its own.
    pub(super) fn engine_name(&self, key: &str, name: Option<&str>, external: bool) -> String {
        match name {
            Some(name) => name.into(),
            None if external => key.into(),
            None => format!("{}-{key}", self.name),
        }
    }

    pub(super) fn check_resource_name(&mut self, what: &str, name: &str, place: &Place) {
        // The engine takes a slash in the name of a network alone.
        let may_have = |c: char| c == '/' && what == "network";
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') || may_have(c);
        if name.len() > 200 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(good) {
            let hint = "use letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
            self.error_hint(place, format!("`{name}` can't name a {what}"), hint);
        }
    }

    pub(super) fn labels(&mut self, labels: &Pairs) -> IndexMap<String, String> {
        for (name, value) in &labels.0 {
            if name.starts_with("dev.taskava.") || name.is_empty() {
                let message = format!("the label `{name}` can't be set");
                self.error_hint(
                    &value.place,
                    message,
                    "labels that begin with `dev.taskava.` mark the stack's own objects",
                );
            }
        }
        strings(labels)
    }
}

fn address_pool(pool: &schema::AddressPool) -> AddressPool {
    AddressPool {
        subnet: pool.subnet.as_ref().map(|subnet| subnet.value.clone()),
        gateway: pool.gateway.clone(),
        range: pool.ip_range.clone(),
        reserved: strings(&pool.reserved),
    }
}

fn is_subnet(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, prefix)| {
        let bits = match address.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits)
    })
}

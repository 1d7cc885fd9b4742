//! A [`Stack`] → a Compose file that starts the same containers.
//!
//! Variables are kept: where services.toml has `${POSTGRES_PASSWORD:-x}`, the Compose file does too. Settings that
//! Compose does not support go into its extension `x-taskava`, where `import` finds them again. `health` converts
//! probes to health checks, `service` writes one service with `hooks` and `parts`, `yaml` the text.

mod health;
mod hooks;
mod parts;
mod raw;
mod service;
mod yaml;

use self::raw::Raw;
use self::yaml::Yaml;
use super::{EXTENSION, Note};
use crate::config::node::Node;
use crate::model::{AddressPool, Network, Stack, Volume};

/// What came out.
#[derive(Debug)]
pub struct Exported {
    /// The text of the Compose file.
    pub text: String,
    /// What Compose can't do.
    pub notes: Vec<Note>,
}

/// Writes a stack as a Compose file. `written`: services.toml as it is written, with its overrides.
pub fn export(stack: &Stack, written: &Node) -> Exported {
    let mut exporter =
        Exporter { stack, raw: Raw::new(written), notes: Vec::new(), secrets: Vec::new(), configs: Vec::new() };
    let services: Vec<_> =
        stack.written().map(|service| (service.name.to_string(), exporter.service(service))).collect();
    let mut root =
        vec![("name".to_owned(), Yaml::text(stack.name.as_str())), ("services".to_owned(), Yaml::Map(services))];
    let volumes = stack.volumes.iter().map(|(key, volume)| (key.clone(), exporter.volume(volume)));
    put(&mut root, "volumes", Yaml::Map(volumes.collect()));
    let networks =
        stack.networks.iter().filter_map(|(key, network)| Some((key.clone(), exporter.network(key, network)?)));
    put(&mut root, "networks", Yaml::Map(networks.collect()));
    put(&mut root, "secrets", Yaml::Map(std::mem::take(&mut exporter.secrets)));
    put(&mut root, "configs", Yaml::Map(std::mem::take(&mut exporter.configs)));
    put(&mut root, EXTENSION, exporter.raw.top_level());
    let head = "# Written by `taskava dev export compose` from services.toml.\n";
    Exported { text: format!("{head}{}", yaml::render(&root)), notes: exporter.notes }
}

struct Exporter<'a> {
    stack: &'a Stack,
    raw: Raw<'a>,
    notes: Vec<Note>,
    /// Files that builds take as secrets, which Compose declares at the top.
    secrets: Vec<(String, Yaml)>,
    /// Files with their content, likewise.
    configs: Vec<(String, Yaml)>,
}

/// Adds a key unless there is nothing to say.
fn put(map: &mut Vec<(String, Yaml)>, key: &str, value: Yaml) {
    if !value.is_empty() {
        map.push((key.into(), value));
    }
}

impl Exporter<'_> {
    fn volume(&self, volume: &Volume) -> Yaml {
        let mut map = vec![("name".to_owned(), Yaml::text(&volume.name))];
        if volume.external {
            map.push(("external".into(), Yaml::plain("true")));
            return Yaml::Map(map);
        }
        if volume.adopt {
            map.push((EXTENSION.into(), Yaml::Map(vec![("adopt".into(), Yaml::plain(true))])));
        }
        if let Some(driver) = &volume.driver {
            map.push(("driver".into(), Yaml::text(driver)));
        }
        put(&mut map, "driver_opts", Yaml::pairs(&volume.options));
        put(&mut map, "labels", Yaml::pairs(&volume.labels));
        Yaml::Map(map)
    }

    /// A network, unless it is as Compose makes it by itself.
    fn network(&self, key: &str, network: &Network) -> Option<Yaml> {
        let mut map = Vec::new();
        if network.name != format!("{}-{key}", self.stack.name) {
            map.push(("name".to_owned(), Yaml::text(&network.name)));
        }
        if network.external {
            map.push(("external".into(), Yaml::plain("true")));
        }
        if let Some(driver) = &network.driver {
            map.push(("driver".into(), Yaml::text(driver)));
        }
        if network.internal {
            map.push(("internal".into(), Yaml::plain("true")));
        }
        let first = network.subnet.clone().map(|subnet| AddressPool { subnet: Some(subnet), ..AddressPool::default() });
        let pools: Vec<Yaml> = first.iter().chain(&network.pools).map(address_pool).collect();
        if !pools.is_empty() {
            map.push(("ipam".into(), Yaml::Map(vec![("config".into(), Yaml::List(pools))])));
        }
        for (key, on) in [("enable_ipv6", network.ipv6), ("attachable", network.attachable)] {
            map.extend(on.then(|| (key.to_owned(), Yaml::plain(true))));
        }
        put(&mut map, "driver_opts", Yaml::pairs(&network.options));
        put(&mut map, "labels", Yaml::pairs(&network.labels));
        (key != "default" || !map.is_empty()).then_some(Yaml::Map(map))
    }
}

fn address_pool(pool: &AddressPool) -> Yaml {
    let texts = [("subnet", &pool.subnet), ("gateway", &pool.gateway), ("ip_range", &pool.range)];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Yaml::text(text.as_ref()?))));
    let mut map: Vec<_> = texts.collect();
    put(&mut map, "aux_addresses", Yaml::pairs(&pool.reserved));
    Yaml::Map(map)
}

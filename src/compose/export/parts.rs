//! Parts of a service in Compose's words that need nothing but themselves.

use indexmap::IndexMap;

use super::put;
use super::yaml::Yaml;
use crate::model::gpus::Gpus;
use crate::model::options::{ContainerOptions, Key, Written};
use crate::model::{BuildOptions, Logging, MountOptions, Ulimit};

type Map = Vec<(String, Yaml)>;

/// An option that the engine takes as it is written.
pub(super) fn option(key: Key, value: Written<'_>) -> Yaml {
    match value {
        Written::Set(texts) if key.own == "gpus" => gpus(texts),
        Written::Flag => Yaml::plain(true),
        Written::Text(text) => Yaml::text(text),
        Written::Number(number) => Yaml::plain(number),
        Written::Bytes(bytes) => Yaml::text(&size_text(bytes)),
        Written::Set(texts) | Written::List(texts) => Yaml::texts(texts),
        Written::Pairs(pairs) => Yaml::pairs(pairs),
        Written::Rates(rates) => {
            let value = if key.own == "blkio_weight_device" { "weight" } else { "rate" };
            let rate = |(path, rate): (&String, &u64)| {
                Yaml::Map(vec![("path".into(), Yaml::text(path)), (value.into(), Yaml::plain(rate))])
            };
            Yaml::List(rates.iter().map(rate).collect())
        }
    }
}

/// The options that are parts of another key of Compose.
pub(super) fn parts_of(compose: &str, options: &ContainerOptions) -> Yaml {
    let parts = options.written().into_iter().filter_map(|(key, value)| {
        let part = key.compose.strip_prefix(compose)?.strip_prefix('.')?;
        Some((part.to_owned(), option(key, value)))
    });
    Yaml::Map(parts.collect())
}

/// The networks of a service, with what it is called there and its addresses.
pub(super) fn joined(networks: &[String], options: &ContainerOptions) -> Yaml {
    let endpoints: Map = networks.iter().map(|name| (name.clone(), Yaml::Map(endpoint(options, name)))).collect();
    match endpoints.iter().all(|(_, endpoint)| endpoint.is_empty()) {
        true => Yaml::texts(networks),
        false => Yaml::Map(endpoints),
    }
}

pub(super) fn endpoint(options: &ContainerOptions, network: &str) -> Map {
    let mut map = Map::new();
    put(&mut map, "aliases", Yaml::texts(&options.aliases));
    for (key, addresses) in [("ipv4_address", &options.ipv4_address), ("ipv6_address", &options.ipv6_address)] {
        map.extend(addresses.get(network).map(|address| (key.to_owned(), Yaml::text(address))));
    }
    map
}

/// What the long form of a mount says besides its source and target.
pub(super) fn mount_options(options: &MountOptions) -> Map {
    let MountOptions { propagation, no_copy, subpath, create, selinux, recursive } = options;
    let mut map = Map::new();
    let texts = [("propagation", propagation), ("subpath", subpath), ("selinux", selinux), ("recursive", recursive)];
    for (key, value) in texts {
        map.extend(value.as_ref().map(|value| (key.to_owned(), Yaml::text(value))));
    }
    for (key, on) in [("nocopy", *no_copy), ("create_host_path", *create)] {
        map.extend(on.then(|| (key.to_owned(), Yaml::plain(true))));
    }
    map
}

/// What the builder takes as it is written.
pub(super) fn build_options(map: &mut Map, options: &BuildOptions) {
    let BuildOptions {
        tags,
        labels,
        network,
        extra_hosts,
        shm_size,
        no_cache,
        pull,
        ulimits,
        inline_cache,
        // With its paths.
        ssh: _,
    } = options;
    map.extend(inline_cache.then(|| ("cache_to".to_owned(), Yaml::List(vec![Yaml::text("type=inline")]))));
    put(map, "ulimits", limits(ulimits));
    put(map, "tags", Yaml::texts(tags));
    put(map, "labels", Yaml::pairs(labels));
    map.extend(network.as_ref().map(|network| ("network".to_owned(), Yaml::text(network))));
    put(map, "extra_hosts", Yaml::texts(extra_hosts));
    map.extend(shm_size.map(|size| ("shm_size".to_owned(), Yaml::text(&size_text(size)))));
    for (key, on) in [("no_cache", *no_cache), ("pull", *pull)] {
        map.extend(on.then(|| (key.to_owned(), Yaml::plain(true))));
    }
}

/// Limits by name.
pub(super) fn limits(limits: &IndexMap<String, Ulimit>) -> Yaml {
    let limits = limits.iter().map(|(name, limit)| {
        let bounds = [("soft", limit.soft), ("hard", limit.hard)];
        (name.clone(), Yaml::Map(bounds.map(|(key, bound)| (key.to_owned(), Yaml::plain(bound))).into()))
    });
    Yaml::Map(limits.collect())
}

fn gpus(requests: &[String]) -> Yaml {
    if requests == ["all"] {
        return Yaml::text("all");
    }
    let requests = requests.iter().map(|written| {
        let gpus = Gpus::parse(written).unwrap_or_default();
        let mut map = Map::new();
        map.extend(gpus.driver.map(|driver| ("driver".to_owned(), Yaml::text(&driver))));
        map.extend(
            gpus.count
                .map(|count| ("count".to_owned(), if count == -1 { Yaml::text("all") } else { Yaml::plain(count) })),
        );
        put(&mut map, "device_ids", Yaml::texts(&gpus.devices));
        put(&mut map, "capabilities", Yaml::texts(&gpus.capabilities));
        Yaml::Map(map)
    });
    Yaml::List(requests.collect())
}

pub(super) fn log_driver(logging: &Logging) -> Yaml {
    let mut options = Map::new();
    if logging.is_bounded() {
        options.push(("max-size".into(), Yaml::text(&logging.max_size)));
        options.push(("max-file".into(), Yaml::Text(logging.max_files.to_string())));
    }
    options.extend(logging.options.iter().map(|(name, value)| (name.clone(), Yaml::text(value))));
    let driver = Yaml::text(logging.driver.as_deref().unwrap_or("json-file"));
    let mut map = vec![("driver".to_owned(), driver)];
    put(&mut map, "options", Yaml::Map(options));
    Yaml::Map(map)
}

/// `512m`
pub(super) fn size_text(bytes: u64) -> String {
    let units = [(30, "g"), (20, "m"), (10, "k")];
    let unit = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(|| format!("{bytes}b"), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

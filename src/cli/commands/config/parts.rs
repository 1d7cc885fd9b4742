//! Parts of the resolved configuration that need nothing but themselves.

use indexmap::IndexMap;
use toml::{Table, Value};

use crate::model::options::Written;
use crate::model::{Dependency, Logging, Network, Port, ServiceName, Ulimit, Volume};

/// Adds a key unless there is nothing to say.
pub(super) fn put(table: &mut Table, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let nothing = match &value {
        Value::Array(items) => items.is_empty(),
        Value::Table(table) => table.is_empty(),
        _ => false,
    };
    if !nothing {
        table.insert(key.into(), value);
    }
}

/// A dollar sign is written twice, or it would be taken for a variable.
pub(super) fn text(value: &str) -> String {
    value.replace('$', "$$")
}

pub(super) fn list<'a>(values: impl IntoIterator<Item = &'a String>) -> Value {
    values.into_iter().map(|value| Value::from(text(value))).collect::<Vec<_>>().into()
}

pub(super) fn pairs(pairs: &IndexMap<String, String>) -> Table {
    pairs.iter().map(|(name, value)| (name.clone(), text(value).into())).collect()
}

/// What a service depends on; tables last, as always.
pub(super) fn dependencies<'a>(all: impl Iterator<Item = (&'a ServiceName, &'a Dependency)>) -> Table {
    let value = |on: &Dependency| -> Value {
        if *on == Dependency::on(on.condition) {
            return on.condition.as_str().into();
        }
        let mut table = Table::from_iter([("condition".to_owned(), on.condition.as_str().into())]);
        table.extend((!on.required).then(|| ("required".to_owned(), false.into())));
        table.extend(on.restart.then(|| ("restart".to_owned(), true.into())));
        table.into()
    };
    let all = all.map(|(name, on)| (name.to_string(), value(on)));
    let (tables, plain): (Vec<_>, Vec<_>) = all.partition(|(_, value)| value.is_table());
    plain.into_iter().chain(tables).collect()
}

/// An option that the engine takes as it is written.
pub(super) fn option(value: Written<'_>) -> Value {
    match value {
        Written::Flag => true.into(),
        Written::Text(value) => text(value).into(),
        Written::Number(number) => number.into(),
        Written::Bytes(bytes) => number(bytes).into(),
        Written::Set(texts) | Written::List(texts) => list(texts),
        Written::Pairs(all) => pairs(all).into(),
        Written::Rates(rates) => {
            Value::Table(rates.iter().map(|(name, rate)| (name.clone(), number(*rate).into())).collect())
        }
    }
}

pub(super) fn limits(limits: &IndexMap<String, Ulimit>) -> Table {
    let limits = limits.iter().map(|(name, limit)| {
        let both = [("soft".to_owned(), limit.soft.into()), ("hard".to_owned(), limit.hard.into())];
        (name.clone(), Value::Table(Table::from_iter(both)))
    });
    limits.collect()
}

pub(super) fn resources(memory: Option<u64>, nano_cpus: Option<u64>) -> Table {
    let mut table = Table::new();
    memory.into_iter().for_each(|bytes| put(&mut table, "memory", number(bytes)));
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    nano_cpus.into_iter().for_each(|nano| put(&mut table, "cpus", nano as f64 / 1e9));
    table
}

pub(super) fn logging(logging: &Logging) -> Table {
    let mut table = Table::new();
    put(&mut table, "max_size", logging.max_size.as_str());
    put(&mut table, "max_files", i64::from(logging.max_files));
    logging.driver.iter().for_each(|driver| put(&mut table, "driver", text(driver)));
    put(&mut table, "options", pairs(&logging.options));
    table
}

pub(super) fn number(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn port_text(port: &Port) -> String {
    let address = match port.address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    let host = port.written_host();
    let protocol = if port.protocol == crate::model::Protocol::Udp { "/udp" } else { "" };
    format!("{address}:{host}:{}{protocol}", port.container)
}

/// A named volume.
pub(super) fn volume(volume: &Volume) -> Table {
    let mut table = Table::new();
    put(&mut table, "name", text(&volume.name));
    put(&mut table, "external", volume.external);
    if volume.adopt {
        put(&mut table, "adopt", true);
    }
    volume.driver.iter().for_each(|driver| put(&mut table, "driver", text(driver)));
    put(&mut table, "options", pairs(&volume.options));
    put(&mut table, "labels", pairs(&volume.labels));
    table
}

/// A network.
pub(super) fn network(network: &Network) -> Table {
    let mut table = Table::new();
    put(&mut table, "name", text(&network.name));
    put(&mut table, "external", network.external);
    network.driver.iter().for_each(|driver| put(&mut table, "driver", text(driver)));
    if !network.external {
        put(&mut table, "internal", network.internal);
    }
    network.subnet.iter().for_each(|subnet| put(&mut table, "subnet", text(subnet)));
    let pools = network.pools.iter().map(|pool| {
        let mut table = Table::new();
        for (key, value) in [("subnet", &pool.subnet), ("gateway", &pool.gateway), ("ip_range", &pool.range)] {
            value.iter().for_each(|value| put(&mut table, key, text(value)));
        }
        put(&mut table, "reserved", pairs(&pool.reserved));
        Value::from(table)
    });
    put(&mut table, "ipam", pools.collect::<Vec<_>>());
    for (key, on) in [("ipv6", network.ipv6), ("attachable", network.attachable)] {
        if on {
            put(&mut table, key, true);
        }
    }
    put(&mut table, "options", pairs(&network.options));
    put(&mut table, "labels", pairs(&network.labels));
    table
}

//! Converts volumes and networks of the whole document.

use super::Importer;
use crate::compose::EXTENSION;
use crate::compose::toml::{Field, Table, Value};
use crate::compose::yaml::{Entry, Node};

impl Importer<'_> {
    pub(super) fn volumes(&mut self) -> Vec<Table> {
        let Some(all) = self.document.root.map().and_then(|root| root.get("volumes")) else { return Vec::new() };
        let first = self.above(&all.key);
        let mut tables = self.resources(all, "volumes");
        for table in &mut tables {
            self.adopt(table);
        }
        with_first(tables, first)
    }

    pub(super) fn networks(&mut self) -> Vec<Table> {
        let Some(all) = self.document.root.map().and_then(|root| root.get("networks")) else { return Vec::new() };
        let first = self.above(&all.key);
        let tables = self.resources(all, "networks");
        with_first(tables, first)
    }

    fn resources(&mut self, all: &Entry, kind: &str) -> Vec<Table> {
        let mut tables = Vec::new();
        for (name, entry) in all.node.map().into_iter().flatten() {
            let mut above = self.above(&entry.key);
            above.extend(self.right(&entry.key));
            let fields = if kind == "volumes" { self.volume(&entry.node) } else { self.network(&entry.node) };
            // The networks need a declaration, and the volumes the name that docker compose gives them.
            let needed = !fields.is_empty() || !above.is_empty() || kind == "volumes" || name != "default";
            if needed {
                let below = self.rest(&entry.key, 0..0);
                tables.push(Table { name: vec![kind.into(), name.clone()], above, fields, below });
            }
        }
        tables
    }

    fn volume(&mut self, node: &Node) -> Vec<Field> {
        let external = self.external(node);
        let mut fields = external.clone();
        for (key, part) in node.map().into_iter().flatten() {
            if self.is_unset(key, part) {
                continue;
            }
            match key.as_str() {
                "external" => {}
                "name" if !external.iter().any(|field| field.key == "name") => {
                    let text = self.text(&part.node);
                    let field = self.field("name", &part.key, text);
                    fields.push(field);
                }
                "driver" | "driver_opts" if !external.is_empty() => {}
                "driver" => {
                    let text = self.text(&part.node);
                    if text != "local" {
                        fields.push(Field::new("driver", text));
                    }
                }
                "driver_opts" => {
                    let options = self.pair_fields(&part.node);
                    fields.push(Field::new("options", Value::Map(options)));
                }
                "labels" => {
                    let labels = self.pair_fields(&part.node);
                    fields.push(Field::new("labels", Value::Map(labels)));
                }
                "name" => {}
                EXTENSION => {
                    let own = part.node.get("adopt").and_then(Node::boolean) == Some(true);
                    fields.extend(own.then(|| Field::new("adopt", true)));
                }
                key if key.starts_with("x-") => {}
                key => self.lost(&part.key, key, "volumes have `name`, `external`, `driver`, `options` and `labels`"),
            }
        }
        fields.retain(|field| !matches!(&field.value, Value::Map(fields) if fields.is_empty()));
        fields
    }

    /// The data that docker compose has is used: its volume is called by the project and the key, unless the file says how.
    fn adopt(&mut self, table: &mut Table) {
        let has = |key: &str| table.fields.iter().any(|field| field.key == key);
        if has("external") || has("name") {
            return;
        }
        let Some(key) = table.name.last() else { return };
        let name = format!("{}_{key}", self.project);
        let name = self.template(&name, &self.document.root.place.clone());
        table.fields.insert(0, Field::new("name", name));
        table.fields.insert(1, Field::new("adopt", true));
    }

    fn network(&mut self, node: &Node) -> Vec<Field> {
        let external = self.external(node);
        let mut fields = external.clone();
        for (key, part) in node.map().into_iter().flatten() {
            if self.is_unset(key, part) {
                continue;
            }
            match key.as_str() {
                "external" => {}
                "name" if external.iter().any(|field| field.key == "name") => {}
                "driver" | "internal" | "ipam" | "driver_opts" | "enable_ipv6" | "attachable" if !external.is_empty() => {}
                "name" => fields.push(Field::new("name", self.text(&part.node))),
                "driver" => {
                    let text = self.text(&part.node);
                    if text != "bridge" && text != "default" {
                        fields.push(Field::new("driver", text));
                    }
                }
                "internal" => {
                    if self.value(&part.node) == "true" {
                        fields.push(Field::new("internal", true));
                    }
                }
                "labels" => {
                    let labels = self.pair_fields(&part.node);
                    fields.push(Field::new("labels", Value::Map(labels)));
                }
                "ipam" => fields.extend(self.ipam(&part.node)),
                "attachable" | "enable_ipv6" => {
                    if self.value(&part.node) == "true" {
                        fields.push(Field::new(if key == "attachable" { key } else { "ipv6" }, true));
                    }
                }
                "enable_ipv4" if self.value(&part.node) == "true" => {}
                "driver_opts" => {
                    let options = self.pair_fields(&part.node);
                    fields.push(Field::new("options", Value::Map(options)));
                }
                key if key.starts_with("x-") => {}
                key => self.lost(
                    &part.key,
                    key,
                    "networks have `name`, `external`, `driver`, `internal`, `ipam`, `ipv6`, `attachable`, `options` and `labels`",
                ),
            }
        }
        fields.retain(|field| !matches!(&field.value, Value::Map(fields) if fields.is_empty()));
        fields
    }

    /// One subnet alone, or all that is said of addresses.
    fn ipam(&mut self, ipam: &Node) -> Option<Field> {
        for (key, part) in ipam.map().into_iter().flatten() {
            let is_default = key == "driver" && matches!(self.value(&part.node).as_str(), "default" | "");
            if key != "config" && !is_default {
                self.lost(&part.key, &format!("ipam.{key}"), "the engine's own driver gives out addresses");
            }
        }
        let mut pools = Vec::new();
        for config in ipam.get("config").and_then(Node::list).unwrap_or_default() {
            let mut fields = Vec::new();
            for (key, part) in config.map().into_iter().flatten() {
                match key.as_str() {
                    "subnet" | "gateway" | "ip_range" => fields.push(Field::new(key, self.text(&part.node))),
                    "aux_addresses" => {
                        let reserved = self.pair_fields(&part.node);
                        fields.push(Field::new("reserved", Value::Map(reserved)));
                    }
                    key => self.lost(&part.key, &format!("ipam.{key}"), "the engine's own driver gives out addresses"),
                }
            }
            pools.push(fields);
        }
        pools.retain(|fields| !fields.is_empty());
        match &mut pools[..] {
            [] => None,
            [fields] if fields.len() == 1 && fields[0].key == "subnet" => fields.pop(),
            _ => Some(Field::new(
                "ipam",
                Value::List(pools.into_iter().map(|fields| Value::Map(fields).into()).collect()),
            )),
        }
    }

    /// `external: true`, or with the name inside as older files have it.
    fn external(&mut self, node: &Node) -> Vec<Field> {
        let Some(external) = node.get("external") else { return Vec::new() };
        let name = external.get("name").or_else(|| node.get("name"));
        if external.map().is_none() && self.value(external) != "true" {
            return Vec::new();
        }
        let mut fields = vec![Field::new("external", true)];
        if let Some(name) = name {
            fields.push(Field::new("name", self.text(name)));
        }
        fields
    }

    /// What `x-taskava` at the top says: tables of ours that Compose has no word for.
    pub(super) fn extension(&mut self) -> Vec<Table> {
        let own = self.document.root.get(EXTENSION).and_then(Node::map);
        let mut tables = Vec::new();
        for (key, entry) in own.into_iter().flatten() {
            match self.verbatim(&entry.node) {
                Value::Map(fields) => tables.push(Table { name: vec![key.clone()], fields, ..Table::default() }),
                Value::List(items) if key == "allow_outside" => {
                    for item in items {
                        if let Value::Text(text) = item.value {
                            self.allow_outside.insert(text);
                        }
                    }
                }
                _ => self.lost(&entry.key, &format!("{EXTENSION}.{key}"), "only tables of services.toml stand there"),
            }
        }
        tables
    }
}

/// Comments before all of them go before the first.
fn with_first(mut tables: Vec<Table>, first: Vec<String>) -> Vec<Table> {
    if let Some(table) = tables.first_mut() {
        let own = std::mem::replace(&mut table.above, first);
        table.above.extend(own);
    }
    tables
}

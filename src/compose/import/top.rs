//! Converts volumes and networks of the whole document, and the networks of a service.

use super::Importer;
use super::service::Draft;
use crate::compose::toml::{Field, Table, Value};
use crate::compose::yaml::{Entry, Node};
use crate::compose::{EXTENSION, Note};

impl Importer<'_> {
    pub(super) fn volumes(&mut self) -> Vec<Table> {
        let Some(all) = self.document.root.map().and_then(|root| root.get("volumes")) else { return Vec::new() };
        let first = self.above(&all.key);
        let tables = self.resources(all, "volumes");
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
            // A volume needs no declaration; a network does.
            let needed = !fields.is_empty() || !above.is_empty() || (kind == "networks" && name != "default");
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
                key if key.starts_with("x-") => {}
                key => self.lost(&part.key, key, "volumes have `name`, `external`, `driver`, `options` and `labels`"),
            }
        }
        fields.retain(|field| !matches!(&field.value, Value::Map(fields) if fields.is_empty()));
        fields
    }

    fn network(&mut self, node: &Node) -> Vec<Field> {
        let external = self.external(node);
        let mut fields = external.clone();
        for (key, part) in node.map().into_iter().flatten() {
            match key.as_str() {
                "external" => {}
                "name" if external.iter().any(|field| field.key == "name") => {}
                "driver" | "internal" | "ipam" if !external.is_empty() => {}
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
                "ipam" => fields.extend(self.subnet(&part.node)),
                "attachable" => {}
                key if key.starts_with("x-") => {}
                key => self.lost(
                    &part.key,
                    key,
                    "networks have `name`, `external`, `driver`, `internal`, `subnet` and `labels`",
                ),
            }
        }
        fields.retain(|field| !matches!(&field.value, Value::Map(fields) if fields.is_empty()));
        fields
    }

    fn subnet(&mut self, ipam: &Node) -> Option<Field> {
        let configs = ipam.get("config").and_then(Node::list).unwrap_or_default();
        let mut subnet = None;
        for (index, config) in configs.iter().enumerate() {
            for (key, part) in config.map().into_iter().flatten() {
                match key.as_str() {
                    "subnet" if index == 0 => subnet = Some(Field::new("subnet", self.text(&part.node))),
                    key => self.lost(
                        &part.key,
                        &format!("ipam.{key}"),
                        "a network has one `subnet`; the engine chooses the rest",
                    ),
                }
            }
        }
        subnet
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

    /// The networks a service joins.
    pub(super) fn joined(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let node = &entry.node;
        if node.list().is_some() {
            let list = self.texts(node);
            let field = self.field("networks", &entry.key, list);
            draft.push(field);
            return;
        }
        let mut names = Vec::new();
        for (name, network) in node.map().into_iter().flatten() {
            let item = self.item(&network.key, name.clone());
            names.push(item);
            for (key, part) in network.node.map().into_iter().flatten() {
                match key.as_str() {
                    "aliases" => self.aliases(draft, part),
                    "priority" | "gw_priority" => {}
                    key => self.lost(&part.key, key, "the engine chooses addresses; services reach each other by name"),
                }
            }
        }
        let field = self.field("networks", &entry.key, Value::List(names));
        draft.push(field);
    }

    fn aliases(&mut self, draft: &Draft<'_>, part: &Entry) {
        let own = self.name(draft.name);
        for alias in part.node.list().unwrap_or_default() {
            let text = self.value(alias);
            if text != own {
                let remedy = format!("other services reach it as `{own}`: use that, or call the service `{text}`");
                self.notes.push(Note::lost(&alias.place, format!("the alias `{text}` has no counterpart"), remedy));
            }
        }
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

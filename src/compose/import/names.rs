//! The other names of a service, and its fixed addresses in networks.

use super::Importer;
use super::service::Draft;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};

impl Importer<'_> {
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
        for (index, (name, network)) in self.by_priority(node).into_iter().enumerate() {
            let item = self.item(&network.key, name.clone());
            names.push(item);
            for (key, part) in network.node.map().into_iter().flatten() {
                match key.as_str() {
                    "aliases" => self.aliases(draft, part),
                    "ipv4_address" | "ipv6_address" => {
                        let address = self.text(&part.node);
                        draft.map(key).push(Field::new(name, address));
                    }
                    "mac_address" if index == 0 && draft.node.get("mac_address").is_none() => {
                        let address = self.text(&part.node);
                        draft.push(Field::new("mac_address", address));
                    }
                    "priority" => {}
                    key if key.starts_with("x-") => {}
                    key => {
                        self.lost(&part.key, &format!("networks.{key}"), "the engine's default for networks applies");
                    }
                }
            }
        }
        let field = self.field("networks", &entry.key, Value::List(names));
        draft.push(field);
    }

    /// As docker compose connects them: the one with the highest `priority` first.
    fn by_priority<'n>(&self, node: &'n Node) -> Vec<(&'n String, &'n Entry)> {
        let priority = |entry: &Entry| {
            let written = entry.node.get("priority").map(|priority| self.value(priority));
            written.and_then(|priority| priority.parse::<i64>().ok()).unwrap_or(0)
        };
        let mut all: Vec<_> = node.map().into_iter().flatten().collect();
        all.sort_by_key(|(_, entry)| std::cmp::Reverse(priority(entry)));
        all
    }

    fn aliases(&mut self, draft: &mut Draft<'_>, part: &Entry) {
        for alias in part.node.list().unwrap_or_default() {
            let text = self.text(alias);
            let item = self.item(&alias.place, text);
            add(draft, item);
        }
    }

    /// Names that a service has because it is called otherwise now, or because another one links to it under them.
    pub(super) fn other_names(&mut self, draft: &mut Draft<'_>) {
        let own = self.name(draft.name);
        let mut names: Vec<String> = Vec::new();
        if own != draft.name {
            names.push(draft.name.to_owned());
        }
        for (_, service) in self.services() {
            for link in service.node.get("links").and_then(Node::list).into_iter().flatten() {
                let link = self.value(link);
                names.extend(
                    link.split_once(':').filter(|(name, _)| *name == draft.name).map(|(_, alias)| alias.into()),
                );
            }
        }
        for name in names {
            add(draft, Item::from(Value::Text(name)));
        }
        // Its name is known to all of them anyway.
        let is_own = |item: &Item| item.value == Value::from(own.as_str());
        draft.list("aliases").retain(|item| !is_own(item));
    }
}

/// Adds a name, once.
fn add(draft: &mut Draft<'_>, item: Item) {
    let all = draft.list("aliases");
    if !all.iter().any(|other| other.value == item.value) {
        all.push(item);
    }
}

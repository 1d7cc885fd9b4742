//! services.toml as written: where its variables are, and which settings Compose does not support.

use super::yaml::Yaml;
use crate::compose::keys;
use crate::compose::template::to_compose;
use crate::config::node::{Node, Value};

/// Keys at the top that are written in Compose's own words.
const TOP: [&str; 5] = ["project", "services", "volumes", "networks", "env"];

pub(super) struct Raw<'a> {
    root: &'a Node,
}

impl<'a> Raw<'a> {
    pub(super) fn new(root: &'a Node) -> Self {
        Self { root }
    }

    /// What is written of a service under a key.
    pub(super) fn of(&self, service: &str, key: &str) -> Option<&'a Node> {
        self.root.get("services")?.get(service)?.get(key)
    }

    /// The text of a variable of a service, as it is written.
    pub(super) fn env(&self, service: &str, name: &str) -> Option<&'a str> {
        pair(self.of(service, "env")?, name)
    }

    /// The same of the shared `[env]`.
    pub(super) fn shared(&self, name: &str) -> Option<&'a str> {
        pair(self.root.get("env")?, name)
    }

    /// A value in Compose's notation: with its variables where it has some, else as it was resolved.
    pub(super) fn templated(&self, written: Option<&str>, resolved: &str) -> Yaml {
        match written.filter(|written| self.has_variables(written)) {
            Some(written) => Yaml::Text(to_compose(written)),
            None => Yaml::text(resolved),
        }
    }

    /// Whether a text takes variables that Compose knows too; `[env]` it does not.
    pub(super) fn has_variables(&self, text: &str) -> bool {
        let shared = |name: &str| {
            text.contains(&format!("${{{name}}}"))
                || text.contains(&format!("${{{name}:"))
                || text.contains(&format!("${{{name}-"))
        };
        let names = match self.root.get("env").map(|env| &env.value) {
            Some(Value::Table(table)) => table.keys().cloned().collect(),
            _ => Vec::new(),
        };
        text.replace("$$", "").contains("${") && !names.iter().any(|name| shared(name))
    }

    /// Keys of a service that Compose has no word for, as they are written.
    pub(super) fn rest(&self, service: &str) -> Vec<(String, Yaml)> {
        let table = self.root.get("services").and_then(|services| services.get(service)).map(|node| &node.value);
        let Some(Value::Table(table)) = table else { return Vec::new() };
        let others = table.iter().filter(|(key, _)| !keys::has_words(key));
        let own = others.filter_map(|(key, item)| {
            let value = match key.as_str() {
                "hooks" => Yaml::Map(vec![("ready".into(), verbatim(item.node.get("ready")?, false))]),
                key => verbatim(&item.node, key == "exports"),
            };
            Some((key.clone(), value))
        });
        own.collect()
    }

    /// The same at the top of the file.
    pub(super) fn top_level(&self) -> Yaml {
        let Value::Table(table) = &self.root.value else { return Yaml::Map(Vec::new()) };
        let others = table.iter().filter(|(key, _)| !TOP.contains(&key.as_str()));
        Yaml::Map(others.map(|(key, item)| (key.clone(), verbatim(&item.node, false))).collect())
    }
}

/// The value of a name in a table, or in a list of `NAME=value`.
fn pair<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    match &node.value {
        Value::Array(items) => items.iter().find_map(|item| match &item.value {
            Value::String(text) => text.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value),
            _ => None,
        }),
        _ => text(node.get(name)?),
    }
}

/// The text of a string.
pub(super) fn text(node: &Node) -> Option<&str> {
    if let Value::String(text) = &node.value { Some(text) } else { None }
}

/// A value of services.toml inside a Compose file. `placeholders`: `${…}` in it is not a variable.
pub(super) fn verbatim(node: &Node, placeholders: bool) -> Yaml {
    match &node.value {
        Value::String(text) if placeholders => Yaml::text(text),
        Value::String(text) => Yaml::Text(to_compose(text)),
        Value::Integer(number) => Yaml::plain(number),
        Value::Float(number) => Yaml::plain(number),
        Value::Boolean(boolean) => Yaml::plain(boolean),
        Value::Datetime(text) => Yaml::text(text),
        Value::Array(items) => Yaml::List(items.iter().map(|item| verbatim(item, placeholders)).collect()),
        Value::Table(table) => {
            Yaml::Map(table.iter().map(|(key, item)| (key.clone(), verbatim(&item.node, placeholders))).collect())
        }
    }
}

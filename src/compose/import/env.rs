//! `NAME=value` pairs: environment, env files, labels, extra hosts.

use super::Importer;
use super::service::Draft;
use crate::compose::merge::pairs;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};

impl Importer<'_> {
    pub(super) fn environment(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let fields = self.assigned(&entry.node, "variable");
        let field = self.field("env", &entry.key, Value::Map(fields));
        draft.push(field);
    }

    /// Names with values: a mapping or a list of `NAME=value`. What has no value takes that of the environment.
    pub(super) fn assigned(&mut self, node: &Node, what: &str) -> Vec<Field> {
        let mut fields = Vec::new();
        for (name, entry) in pairs(node.clone(), &['=']).map().into_iter().flatten() {
            let value = match entry.node.is_null() {
                true => self.passed_on(name, entry, what),
                false => Some(self.text(&entry.node)),
            };
            let Some(value) = value else { continue };
            let name = self.evaluate(name);
            let field = self.field(&name, &entry.key, value);
            fields.push(field);
        }
        fields
    }

    /// What is written without a value takes that of the environment; none where it is not set there, as with Compose.
    pub(super) fn passed_on(&mut self, name: &str, entry: &Entry, what: &str) -> Option<String> {
        let reference = format!("${{{name}}}");
        if self.document.variables.get(name).is_some() || name == super::PROJECT_NAME {
            return Some(self.template(&reference, &entry.key));
        }
        let message = format!("the {what} `{name}` is passed on from the environment, and not set there");
        self.changed(
            &entry.key,
            message,
            format!("it is left out; to pass it on, set it in .env and write: {name} = \"{reference}\""),
        );
        None
    }

    pub(super) fn env_file(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let node = &entry.node;
        let files: Vec<&Node> = node.list().map_or_else(|| vec![node], |list| list.iter().collect());
        let mut items = Vec::new();
        for file in files {
            let path = file.get("path").unwrap_or(file);
            let (text, value) = (self.text(path), self.value(path));
            if let Some(format) = file.get("format") {
                self.lost(&format.place, "format", "`$` in it begins a variable, as in other env files; write `$$`");
            }
            let there = (self.options.exists)(&self.absolute(&value));
            let required = file.get("required").and_then(Node::boolean) != Some(false);
            if !there {
                let remedy = match required {
                    true => format!("make it, and write: env_file = [\"{text}\"]"),
                    false => format!("it may be missing in Compose; where you have it, write: env_file = [\"{text}\"]"),
                };
                self.notes.push(crate::compose::Note::lost(
                    &path.place,
                    format!("the env file `{value}` is not there"),
                    remedy,
                ));
                continue;
            }
            self.outside(&text, &value);
            let item = self.item(&file.place, text);
            items.push(item);
        }
        let field = self.field("env_file", &entry.key, Value::List(items));
        draft.push(field);
    }

    /// Labels: a mapping or a list of `NAME=value`.
    pub(super) fn pairs(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let fields = self.pair_fields(&entry.node);
        let field = self.field(key, &entry.key, Value::Map(fields));
        draft.push(field);
    }

    pub(super) fn pair_fields(&mut self, node: &Node) -> Vec<Field> {
        // Compose puts variables into lines of a list as a whole, and not into keys.
        let is_list = node.list().is_some();
        let node = pairs(node.clone(), &['=']);
        let mut fields = Vec::new();
        for (written, entry) in node.map().into_iter().flatten() {
            let value = self.text(&entry.node);
            let name = if is_list { self.evaluate(written) } else { written.clone() };
            if name.replace('$', "$$") != *written && is_list {
                let message = format!("the name `{written}` is written as it is now: `{name}`");
                self.changed(&entry.key, message, "names have no variables here");
            }
            let field = self.field(&name, &entry.key, value);
            fields.push(field);
        }
        fields
    }

    pub(super) fn extra_hosts(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let items = self.host_items(&entry.node);
        let field = self.field("extra_hosts", &entry.key, Value::List(items));
        draft.push(field);
    }

    /// `host:address` lines.
    pub(super) fn host_items(&mut self, node: &Node) -> Vec<Item> {
        let node = pairs(node.clone(), &['=', ':']);
        let mut items = Vec::new();
        for (host, address) in node.map().into_iter().flatten() {
            let addresses: Vec<&Node> =
                address.node.list().map_or_else(|| vec![&address.node], |list| list.iter().collect());
            for one in addresses {
                let text = self.text(one);
                let text = text.trim_start_matches('[').trim_end_matches(']').to_owned();
                let item = self.item(&address.key, format!("{host}:{text}"));
                items.push(item);
            }
        }
        items
    }
}

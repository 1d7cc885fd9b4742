//! Converts `post_start` and `pre_stop`.

use super::Importer;
use super::service::Draft;
use crate::compose::Note;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};

impl Importer<'_> {
    pub(super) fn hooks(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let mut hooks = Vec::new();
        for node in entry.node.list().unwrap_or_default() {
            hooks.extend(self.hook(key, node));
        }
        if !hooks.is_empty() {
            let field = self.field(key, &entry.key, Value::List(hooks));
            draft.map("hooks").push(field);
        }
    }

    fn hook(&mut self, of: &str, node: &Node) -> Option<Item> {
        let command = node.get("command").filter(|command| match command.list() {
            Some(words) => !words.is_empty(),
            None => !self.value(command).trim().is_empty(),
        });
        let Some(command) = command else {
            let message = format!("a `{of}` hook without a command is left out");
            self.notes.push(Note::lost(&node.place, message, "write its `command`"));
            return None;
        };
        let command = match command.list() {
            Some(_) => self.texts(command),
            None => Value::Text(self.text(command)),
        };
        let mut fields = Vec::new();
        for (key, part) in node.map().into_iter().flatten() {
            match key.as_str() {
                "user" | "working_dir" if !self.is_unset(key, part) => {
                    fields.push(Field::new(key, self.text(&part.node)));
                }
                "privileged" if self.value(&part.node) == "true" => fields.push(Field::new(key, true)),
                "environment" => fields.push(Field::new("env", Value::Map(self.assigned(&part.node, "variable")))),
                "command" | "user" | "working_dir" | "privileged" => {}
                key if key.starts_with("x-") => {}
                key => self.lost(&part.key, &format!("{of}.{key}"), "it is not a key of the Compose specification"),
            }
        }
        fields.retain(|field| field.value != Value::Map(Vec::new()));
        let value = match fields.is_empty() {
            true => command,
            false => {
                fields.insert(0, Field::new("command", command));
                Value::Map(fields)
            }
        };
        Some(self.item(&node.place, value))
    }
}

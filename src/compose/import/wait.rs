//! Converts the dependencies of a service, and when it is ready itself.

use super::Importer;
use super::service::Draft;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};
use crate::compose::{EXTENSION, Note};
use crate::config::scalars;
use crate::model::Kind;

impl Importer<'_> {
    pub(super) fn depends_on(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let all: Vec<(String, &Node, Option<&Node>)> = match entry.node.list() {
            Some(list) => list.iter().filter_map(|node| Some((node.scalar()?, node, None))).collect(),
            None => {
                let map = entry.node.map().into_iter().flatten();
                map.map(|(name, entry)| (name.clone(), &entry.node, Some(&entry.node))).collect()
            }
        };
        for (name, node, long) in all {
            let said = |key: &str| long.and_then(|long| long.get(key)).and_then(Node::boolean);
            let (optional, restart) = (said("required") == Some(false), said("restart") == Some(true));
            let is_missing = self.services().all(|(other, _)| other != name);
            // It is not waited for, with docker compose either.
            if is_missing && optional {
                continue;
            }
            if is_missing {
                let message = format!("`{}` depends on `{name}`, which doesn't exist", draft.name);
                self.notes.push(Note::lost(&node.place, message, "the dependency is left out"));
                continue;
            }
            if !optional && self.leaves_out(draft, &name, &node.place) {
                continue;
            }
            let condition = long.and_then(|long| long.get("condition")).and_then(Node::raw);
            let ready = matches!(condition, Some("service_healthy" | "service_completed_successfully"));
            let condition = if ready { "ready" } else { "started" };
            let mut words = Vec::new();
            if optional || restart {
                words.push(Field::new("condition", condition));
                words.extend(optional.then(|| Field::new("required", false)));
                words.extend(restart.then(|| Field::new("restart", true)));
            }
            let value = if words.is_empty() { Value::from(condition) } else { Value::Map(words) };
            let mut field = Field::new(self.name(&name), value);
            if long.is_none() {
                field.above = self.above(&node.place);
                field.right = self.right(&node.place);
            }
            depend(draft, field);
        }
        let above = self.above(&entry.key);
        draft.comment("depends_on", above);
        shorten(draft);
    }

    pub(super) fn links(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        for node in entry.node.list().unwrap_or_default() {
            let text = self.value(node);
            // What it is called there is one of its other names.
            let name = text.split_once(':').map_or(text.as_str(), |(name, _)| name);
            if self.services().any(|(other, _)| other == name) && !self.leaves_out(draft, name, &node.place) {
                depend(draft, Field::new(self.name(name), "started"));
            }
        }
        shorten(draft);
    }

    /// A namespace of another service is that of the service under the name that it has now.
    pub(super) fn namespace(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let value = self.value(&entry.node);
        let text = match value.strip_prefix("service:") {
            Some(name) => {
                depend(draft, Field::new(self.name(name), "started"));
                shorten(draft);
                format!("service:{}", self.name(name))
            }
            None => self.text(&entry.node),
        };
        let field = self.field(key, &entry.key, text);
        draft.push(field);
    }

    pub(super) fn network_mode(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let mode = self.value(&entry.node);
        let own = ["service:", "container:"].iter().any(|of| mode.starts_with(of));
        match mode.as_str() {
            "default" => {}
            mode if own || matches!(mode, "host" | "none" | "bridge") => self.namespace(draft, "network_mode", entry),
            other => {
                let remedy =
                    "declare that network under `[networks]` with `external = true`, and name it in `networks`";
                self.lost(&entry.key, &format!("network_mode: {other}"), remedy);
            }
        }
        if mode == "host" || mode == "none" || own {
            draft.without_network = Some(mode);
        }
    }

    /// Ports of a service without a network of its own: docker publishes none of them.
    pub(super) fn no_ports(&mut self, draft: &mut Draft<'_>) {
        let Some(mode) = &draft.without_network else { return };
        if let Some(at) = draft.fields.iter().position(|field| field.key == "ports") {
            draft.fields.remove(at);
            if let Some(entry) = draft.node.map().and_then(|map| map.get("ports")) {
                let message = format!("the ports of `{}` are left out: its network is `{mode}`", draft.name);
                self.changed(&entry.key, message, "docker does not publish them either");
            }
        }
    }

    /// The health check, as it is. A generic service without `ready` is ready when it succeeds.
    pub(super) fn healthcheck(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let node = &entry.node;
        // It was written by `export` for `ready`.
        if node.get(EXTENSION).is_some() {
            return;
        }
        let mut fields = Vec::new();
        let test = node.get("test").filter(|test| !test.is_null());
        let words: Vec<String> = test.and_then(Node::list).into_iter().flatten().map(|word| self.text(word)).collect();
        let off = node.get("disable").is_some_and(|off| self.value(off) == "true")
            || words.first().is_some_and(|word| word == "NONE");
        if off {
            fields.push(Field::new("disable", true));
            let publishes = draft.node.get("ports").and_then(Node::list).is_some_and(|ports| !ports.is_empty());
            if draft.kind == Kind::Generic && publishes {
                draft.push(Field::new("ready", Value::Map(vec![Field::new("tcp", true)])));
            }
        }
        for (key, part) in node.map().into_iter().flatten().filter(|(_, part)| !off && !part.node.is_null()) {
            let value = self.value(&part.node);
            match key.as_str() {
                "test" if !words.is_empty() => fields.push(Field::new("test", Value::from_iter(words.clone()))),
                "test" if !value.is_empty() => fields.push(Field::new("test", self.text(&part.node))),
                "retries" if value.parse::<u32>().is_ok() => {
                    fields.push(Field::new("retries", Value::Integer(value.parse().unwrap_or(3))));
                }
                "interval" | "timeout" | "start_period" | "start_interval" if scalars::duration(&value).is_ok() => {
                    fields.push(Field::new(key, self.text(&part.node)));
                }
                "test" | "disable" => {}
                key if value.is_empty() || key.starts_with("x-") => {}
                key => self.lost(
                    &part.key,
                    &format!("healthcheck.{key}: {value}"),
                    "write it as in `healthcheck` of services.toml",
                ),
            }
        }
        let field = self.field("healthcheck", &entry.key, Value::Map(fields));
        draft.push(field);
    }
}

/// Adds a dependency; the stronger condition wins, and what is required once is required.
pub(super) fn depend(draft: &mut Draft<'_>, mut field: Field) {
    let all = draft.map("depends_on");
    let Some(other) = all.iter_mut().find(|other| other.key == field.key) else { return all.push(field) };
    let required = |value: &Value| matches!(value, Value::Text(_));
    let is_required = required(&other.value) || required(&field.value);
    if other.value == Value::from("started") {
        std::mem::swap(&mut other.value, &mut field.value);
    }
    if let (Value::Map(words), true) = (&mut other.value, is_required) {
        words.retain(|word| word.key != "required");
    }
}

/// `depends_on = ["a", "b"]` says that all must be ready.
pub(super) fn shorten(draft: &mut Draft<'_>) {
    let Some(field) = draft.fields.iter_mut().find(|field| field.key == "depends_on") else { return };
    let Value::Map(all) = &field.value else { return };
    if !all.is_empty() && all.iter().all(|one| one.value == Value::from("ready")) {
        let items = all.iter().map(|one| Item {
            above: one.above.clone(),
            value: one.key.clone().into(),
            right: one.right.clone(),
        });
        field.value = Value::List(items.collect());
    }
}

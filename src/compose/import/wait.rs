//! Converts the dependencies of a service, and when it is ready itself.

use std::time::Duration;

use super::Importer;
use super::service::Draft;
use crate::compose::Note;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};
use crate::config::scalars;
use crate::kinds;
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
            if self.services().all(|(other, _)| other != name) {
                let message = format!("`{}` depends on `{name}`, which doesn't exist", draft.name);
                self.notes.push(Note::lost(&node.place, message, "the dependency is left out"));
                continue;
            }
            let required = long.and_then(|long| long.get("required")).and_then(Node::boolean) != Some(false);
            if self.leaves_out(draft, &name, &node.place, required) {
                continue;
            }
            if let Some(entry) =
                long.and_then(Node::map).and_then(|map| map.get("restart")).filter(|e| e.node.boolean() == Some(true))
            {
                let place = entry.key.clone();
                self.lost(
                    &place,
                    "restart",
                    "services are not restarted with what they depend on; `taskava dev restart` does it",
                );
            }
            let condition = long.and_then(|long| long.get("condition")).and_then(Node::raw);
            let ready = matches!(condition, Some("service_healthy" | "service_completed_successfully"));
            let mut field = Field::new(self.name(&name), if ready { "ready" } else { "started" });
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
            if self.services().any(|(other, _)| other == name) && !self.leaves_out(draft, name, &node.place, true) {
                depend(draft, Field::new(self.name(name), "started"));
            }
        }
        shorten(draft);
    }

    pub(super) fn network_mode(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let mode = self.value(&entry.node);
        let remedy = match mode.as_str() {
            "bridge" | "default" => "it joins the stack's own network",
            "host" => "publish its ports; it reaches this machine as `host.docker.internal`, see `extra_hosts`",
            "none" => "declare a network with `internal = true`",
            _ => "it joins the stack's own network; reach the other service by its name",
        };
        self.lost(&entry.key, &format!("network_mode: {mode}"), remedy);
        if let Some(name) = mode.strip_prefix("service:") {
            depend(draft, Field::new(self.name(name), "started"));
            shorten(draft);
        }
    }

    pub(super) fn healthcheck(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let node = &entry.node;
        let test = node.get("test").filter(|test| !test.is_null());
        let words: Vec<String> = test.and_then(Node::list).into_iter().flatten().map(|word| self.text(word)).collect();
        let off = node.get("disable").and_then(Node::boolean) == Some(true)
            || words.first().is_some_and(|word| word == "NONE");
        if draft.kind == Kind::Job {
            self.changed(
                &entry.key,
                "the healthcheck of a job is left out",
                "services that depend on it wait until it has exited with 0",
            );
            return;
        }
        if draft.kind != Kind::Generic {
            let message = format!("the healthcheck is left out: {} is probed in its own protocol", draft.kind.as_str());
            self.changed(&entry.key, message, "that is sooner and surer; `ready = { exec = … }` would bring it back");
            return;
        }
        if off {
            let publishes = draft.node.get("ports").and_then(Node::list).is_some_and(|ports| !ports.is_empty());
            if publishes {
                draft.push(Field::new("ready", Value::Map(vec![Field::new("tcp", true)])));
            }
            return;
        }
        let command = match (test, &words[..]) {
            (Some(test), []) => {
                let text = self.text(test);
                vec!["sh".to_owned(), "-c".to_owned(), text]
            }
            (_, [kind, rest @ ..]) if kind == "CMD-SHELL" => {
                ["sh".to_owned(), "-c".to_owned()].into_iter().chain(rest.iter().cloned()).collect()
            }
            (_, [kind, rest @ ..]) if kind == "CMD" => rest.to_vec(),
            _ => {
                self.changed(
                    &entry.key,
                    "the image's own health check is used, at our pace",
                    "its times are set by `ready = { engine = true, timeout = … }`",
                );
                return;
            }
        };
        let mut ready = vec![Field::new("exec", Value::from_iter(command))];
        let patience = self.patience(node);
        if patience > kinds::defaults(draft.kind).ready_timeout {
            ready.push(Field::new("timeout", scalars::show_duration(patience)));
        }
        let field = self.field("ready", &entry.key, Value::Map(ready));
        draft.push(field);
    }

    /// How long Compose waits at most before it gives up on a health check.
    fn patience(&self, node: &Node) -> Duration {
        let time = |key: &str, default: u64| {
            let text = node.get(key).map(|node| self.value(node));
            text.and_then(|text| scalars::duration(&text).ok()).unwrap_or(Duration::from_secs(default))
        };
        let retries = node.get("retries").and_then(|node| self.value(node).parse::<u32>().ok()).unwrap_or(3);
        let all = time("start_period", 0)
            + (time("interval", 30) + time("timeout", 30).min(Duration::from_secs(5))) * retries.min(1000);
        all.min(Duration::from_secs(3600))
    }

    /// `post_start` is the nearest to our hooks.
    pub(super) fn post_start(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let mut hooks = Vec::new();
        for node in entry.node.list().unwrap_or_default() {
            for key in ["user", "privileged", "working_dir", "environment"] {
                if let Some(place) = node.map().and_then(|map| map.get(key)).map(|entry| entry.key.clone()) {
                    self.lost(&place, key, "hooks run as the service itself does");
                }
            }
            let Some(command) = node.get("command") else { continue };
            let value = match command.list() {
                Some(_) => self.texts(command),
                None => Value::Text(self.text(command)),
            };
            hooks.push(Item::from(value));
        }
        self.changed(
            &entry.key,
            "`post_start` becomes `hooks.ready`",
            "it runs when the service is ready, not as soon as it started",
        );
        let field = self.field("hooks", &entry.key, Value::Map(vec![Field::new("ready", Value::List(hooks))]));
        draft.push(field);
    }
}

/// Adds a dependency; the stronger condition wins.
fn depend(draft: &mut Draft<'_>, field: Field) {
    let all = draft.map("depends_on");
    match all.iter_mut().find(|other| other.key == field.key) {
        Some(other) if other.value == Value::from("started") => other.value = field.value,
        Some(_) => {}
        None => all.push(field),
    }
}

/// `depends_on = ["a", "b"]` says that all must be ready.
fn shorten(draft: &mut Draft<'_>) {
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

//! Converts resource limits and what happens when a container exits: resources, ulimits, logs, restarts, `deploy`.

use super::Importer;
use super::service::Draft;
use crate::compose::toml::{Field, Value};
use crate::compose::yaml::{Entry, Node};
use crate::config::scalars;
use crate::kinds;
use crate::model::Kind;
use crate::model::options::{ContainerOptions, Type};

impl Importer<'_> {
    pub(super) fn memory(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        if self.no_limit("memory", entry) {
            return;
        }
        let text = self.text(&entry.node);
        self.resource(draft, "memory", text.into(), entry);
    }

    pub(super) fn cpus(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        if self.no_limit("cpus", entry) {
            return;
        }
        let text = self.text(&entry.node);
        let value = match text.parse::<f64>() {
            Ok(_) => Value::Number(text),
            Err(_) => Value::Text(text),
        };
        self.resource(draft, "cpus", value, entry);
    }

    /// Whether a limit is 0, or nothing, and so none.
    fn no_limit(&mut self, key: &str, entry: &Entry) -> bool {
        let value = self.value(&entry.node);
        let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if !value.is_empty() && number.parse::<f64>() != Ok(0.0) {
            return false;
        }
        if let Some(written) = entry.node.raw().filter(|written| written.contains('$')) {
            let message = format!("`{key}: {written}` is no limit");
            self.changed(&entry.key, message, "set it under `resources` where the variable has a value");
        }
        true
    }

    fn resource(&mut self, draft: &mut Draft<'_>, key: &str, value: Value, entry: &Entry) {
        let resources = draft.map("resources");
        resources.retain(|field| field.key != key);
        resources.push(Field::new(key, value));
        let above = self.above(&entry.key);
        draft.comment("resources", above);
    }

    pub(super) fn deploy(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        for (key, part) in entry.node.map().into_iter().flatten() {
            match key.as_str() {
                "resources" => self.deploy_resources(draft, part),
                "replicas" if draft.node.get("scale").is_none() => self.replicas(draft, "replicas", part),
                "replicas" => {}
                "restart_policy" if draft.node.get("restart").is_none() => self.deploy_restart(draft, part),
                "restart_policy" => {}
                "mode" if part.node.raw() == Some("replicated") => {}
                key => self.lost(&part.key, &format!("deploy.{key}"), "it only means something to a swarm"),
            }
        }
        let above = self.above(&entry.key);
        draft.comment("resources", above);
    }

    /// `blkio_config`: each part is an option of its own.
    pub(super) fn blkio(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        for (key, part) in entry.node.map().into_iter().flatten() {
            let is_it = |known: &str| known.strip_prefix("blkio_config.") == Some(key.as_str());
            match ContainerOptions::KEYS.iter().find(|(known, _)| is_it(known.compose)) {
                // A weight of 0 is none.
                Some(_) if part.node.is_null() || self.value(&part.node) == "0" => {}
                Some((known, of)) => self.option(draft, known.own, *of, part),
                None => {
                    let remedy = "it is not a key of the Compose specification";
                    self.lost(&part.key, &format!("blkio_config.{key}"), remedy);
                }
            }
        }
    }

    /// Rates or weights of devices: a list of `path` and `rate` or `weight`.
    pub(super) fn rates(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let mut fields = Vec::new();
        for node in entry.node.list().unwrap_or_default() {
            let (Some(path), Some(rate)) = (node.get("path"), node.get("rate").or(node.get("weight"))) else {
                continue;
            };
            let (name, text) = (self.value(path), self.text(rate));
            let rate = text.parse().map_or(Value::Text(text), Value::Integer);
            fields.push(Field::new(name, rate));
        }
        let field = self.field(key, &entry.key, Value::Map(fields));
        draft.push(field);
    }

    fn deploy_resources(&mut self, draft: &mut Draft<'_>, part: &Entry) {
        for (key, entry) in part.node.get("limits").and_then(Node::map).into_iter().flatten() {
            match key.as_str() {
                "memory" => self.memory(draft, entry),
                "cpus" => self.cpus(draft, entry),
                "pids" if draft.node.get("pids_limit").is_some() => {}
                "pids" if matches!(self.value(&entry.node).as_str(), "" | "0") => {}
                "pids" => self.option(draft, "pids_limit", Type::Number, entry),
                key => self.lost(&entry.key, &format!("limits.{key}"), "`resources` limits memory and CPU only"),
            }
        }
        for (key, entry) in part.node.get("reservations").and_then(Node::map).into_iter().flatten() {
            let remedy = match key.as_str() {
                "memory" if draft.node.get("mem_reservation").is_none() => {
                    self.option(draft, "memory_reservation", Type::Bytes, entry);
                    continue;
                }
                "devices" => {
                    self.gpus(draft, &entry.key, &entry.node);
                    continue;
                }
                _ => "nothing is reserved; `resources` sets limits",
            };
            self.lost(&entry.key, &format!("reservations.{key}"), remedy);
        }
    }

    fn deploy_restart(&mut self, draft: &mut Draft<'_>, part: &Entry) {
        let text = |key: &str| part.node.get(key).map(|node| self.value(node));
        let policy = match text("condition").as_deref() {
            Some("none") => return,
            Some("on-failure") => match text("max_attempts") {
                Some(times) => format!("on-failure:{times}"),
                None => "on-failure".into(),
            },
            _ => "always".into(),
        };
        for key in ["delay", "window"] {
            if let Some(place) = part.node.map().and_then(|map| map.get(key)).map(|entry| entry.key.clone()) {
                self.lost(
                    &place,
                    &format!("restart_policy.{key}"),
                    "the engine waits longer from restart to restart by itself",
                );
            }
        }
        self.restart(draft, part, &policy);
    }

    pub(super) fn restart(&mut self, draft: &mut Draft<'_>, entry: &Entry, policy: &str) {
        if policy == "no" || policy == "false" {
            return;
        }
        if draft.kind == Kind::Job && matches!(policy, "always" | "unless-stopped") {
            let message = format!("`restart: {policy}` of a job is left out");
            self.changed(
                &entry.key,
                message,
                "it runs to its end once; \"on-failure:3\" would try again after a failure",
            );
            return;
        }
        let text = if entry.node.raw().is_some() { self.text(&entry.node) } else { policy.to_owned() };
        let field = self.field("restart", &entry.key, text);
        draft.push(field);
    }

    pub(super) fn stop_timeout(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let (mut text, value) = (self.text(&entry.node), self.value(&entry.node));
        if value.parse::<u64>().is_ok() {
            text += "s";
        } else if scalars::duration(&value).is_err() {
            self.lost(&entry.key, "stop_grace_period", "write `stop_timeout` as \"500ms\", \"30s\" or \"2m\"");
            return;
        }
        // What a kind has anyway is left to it: it waits longer while the server is at work.
        let defaults = kinds::defaults(draft.kind);
        if scalars::duration(&text).is_ok_and(|time| time == defaults.stop_timeout)
            && defaults.stop_limit > defaults.stop_timeout
        {
            return;
        }
        let field = self.field("stop_timeout", &entry.key, text);
        draft.push(field);
    }

    pub(super) fn ulimits(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let fields = self.limits(&entry.node);
        let field = self.field("ulimits", &entry.key, Value::Map(fields));
        draft.push(field);
    }

    pub(super) fn limits(&mut self, node: &Node) -> Vec<Field> {
        let mut fields = Vec::new();
        for (name, limit) in node.map().into_iter().flatten() {
            let number = |node: &Node| self.value(node).parse::<i64>().unwrap_or(-1);
            let value = match (limit.node.get("soft"), limit.node.get("hard")) {
                (Some(soft), Some(hard)) => Value::Map(vec![
                    Field::new("soft", Value::Integer(number(soft))),
                    Field::new("hard", Value::Integer(number(hard))),
                ]),
                _ => Value::Integer(number(&limit.node)),
            };
            fields.push(Field::new(name, value));
        }
        fields
    }

    pub(super) fn logging(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let driver = entry.node.get("driver").map_or_else(String::new, |node| self.value(node));
        let bounded = matches!(driver.as_str(), "json-file" | "local" | "");
        let (mut fields, mut options) = (Vec::new(), Vec::new());
        if !matches!(driver.as_str(), "json-file" | "") {
            fields.push(Field::new("driver", driver.as_str()));
        }
        if driver == "none" {
            self.changed(&entry.key, "`logging.driver: none` keeps no log", "`taskava dev logs` shows nothing of it");
        }
        for (key, option) in entry.node.get("options").and_then(Node::map).into_iter().flatten() {
            match key.as_str() {
                "max-size" if bounded => {
                    let size = self.text(&option.node).to_lowercase();
                    fields.push(Field::new("max_size", size.trim_end_matches('b')));
                }
                "max-file" if bounded => {
                    let files = self.value(&option.node).parse::<i64>().unwrap_or(3);
                    fields.push(Field::new("max_files", Value::Integer(files)));
                }
                key => options.push(Field::new(key, self.text(&option.node))),
            }
        }
        if !options.is_empty() {
            fields.push(Field::new("options", Value::Map(options)));
        }
        let field = self.field("logging", &entry.key, Value::Map(fields));
        draft.push(field);
    }
}

//! Converts one service: dispatches each key to the module that handles it.

use super::{Importer, unknown};
use crate::compose::toml::{Field, Table, Value};
use crate::compose::yaml::{Entry, Node};
use crate::compose::{EXTENSION, Note, guess, keys};
use crate::config::scalars;
use crate::model::Kind;
use crate::model::options::{ContainerOptions, Type};

/// What is known of a service while its keys are gone through.
pub(super) struct Draft<'a> {
    pub(super) name: &'a str,
    pub(super) node: &'a Node,
    pub(super) kind: Kind,
    /// Whose network it has instead of one of its own.
    pub(super) without_network: Option<String>,
    pub(super) fields: Vec<Field>,
}

impl Draft<'_> {
    pub(super) fn push(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// The list under a key, created if it is missing.
    pub(super) fn list(&mut self, key: &str) -> &mut Vec<crate::compose::toml::Item> {
        let at = self.slot(key, Value::List(Vec::new()));
        match &mut self.fields[at].value {
            Value::List(items) => items,
            _ => unreachable!("it is made as a list"),
        }
    }

    /// The table under a key, created if it is missing.
    pub(super) fn map(&mut self, key: &str) -> &mut Vec<Field> {
        let at = self.slot(key, Value::Map(Vec::new()));
        match &mut self.fields[at].value {
            Value::Map(fields) => fields,
            _ => unreachable!("it is made as a table"),
        }
    }

    fn slot(&mut self, key: &str, empty: Value) -> usize {
        if let Some(at) = self.fields.iter().position(|field| field.key == key) {
            return at;
        }
        self.fields.push(Field::new(key, empty));
        self.fields.len() - 1
    }

    /// Adds comments of a key that is written as a part of another one.
    pub(super) fn comment(&mut self, key: &str, above: Vec<String>) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.key == key) {
            field.above.extend(above);
        }
    }
}

impl Importer<'_> {
    pub(super) fn service(&mut self, name: &str, entry: &Entry) -> Table {
        let mut above = self.above(&entry.key);
        above.extend(self.right(&entry.key));
        let node = &entry.node;
        let mut draft = Draft { name, node, kind: self.kind(name, node), without_network: None, fields: Vec::new() };
        if draft.kind != Kind::Generic {
            draft.push(Field::new("kind", draft.kind.as_str()));
        }
        if node.get("build").is_some() && node.get("image").is_none() && draft.kind != Kind::Generic {
            // The kind's own image would be taken for the name of what is built.
            draft.fields.retain(|field| field.key != "image");
        }
        for (key, entry) in node.map().into_iter().flatten() {
            self.key(&mut draft, key, entry);
        }
        self.scaled(&mut draft);
        self.other_names(&mut draft);
        self.no_ports(&mut draft);
        self.own_keys(&mut draft);
        draft.fields.retain(|field| match &field.value {
            Value::List(items) => !items.is_empty() || field.key == "entrypoint",
            Value::Map(fields) => !fields.is_empty(),
            _ => true,
        });
        draft.fields.sort_by_key(|field| keys::place(&field.key));
        let lines = self.lines(entry);
        let below = self.rest(&entry.key, lines);
        Table { name: vec!["services".into(), self.name(name)], above, fields: draft.fields, below }
    }

    /// The lines a service is written on: to the next key that is as far out as its own.
    fn lines(&mut self, entry: &Entry) -> std::ops::Range<usize> {
        let (first, column) = self.at(&entry.key);
        let indent = |line: &str| line.chars().take_while(|c| *c == ' ').count();
        let after = self.lines[&entry.key.source.name].from(first + 1);
        let mut ends = after.filter(|(_, line)| !line.trim().is_empty() && indent(line) < column);
        let last = ends.next().map_or(usize::MAX, |(line, _)| line);
        first..last
    }

    fn kind(&self, name: &str, node: &Node) -> Kind {
        let own = node.get(EXTENSION).and_then(|own| own.get("kind")).and_then(Node::raw);
        if let Some(kind) = own.and_then(|own| Kind::ALL.iter().copied().find(|kind| kind.as_str() == own)) {
            return kind;
        }
        if self.jobs.contains(name) {
            return Kind::Job;
        }
        let words = |node: &Node| match node.list() {
            Some(items) => items.iter().map(|item| self.value(item)).collect(),
            None => scalars::words(&self.value(node)).unwrap_or_default(),
        };
        let entrypoint = node.get("entrypoint").filter(|node| !node.is_null()).map(&words);
        let command = node.get("command").filter(|node| !node.is_null()).map(words);
        let run = entrypoint.filter(|words: &Vec<String>| !words.is_empty()).or(command);
        let image = node.get("image").map(|image| self.value(image)).unwrap_or_default();
        guess::kind(&image, run.as_deref()).unwrap_or(Kind::Generic)
    }

    fn key(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let node = &entry.node;
        if node.is_null() || self.is_unset(key, entry) {
            return;
        }
        match key {
            "image" => self.simple(draft, "image", entry),
            "platform" => self.simple(draft, "platform", entry),
            "user" => self.simple(draft, "user", entry),
            "working_dir" => self.simple(draft, "working_dir", entry),
            "hostname" | "container_name" => self.simple(draft, key, entry),
            "stop_signal" => self.simple(draft, "stop_signal", entry),
            "build" => self.build(draft, entry),
            "pull_policy" => self.pull(draft, entry),
            "command" | "entrypoint" => self.words(draft, key, entry),
            "environment" => self.environment(draft, entry),
            "env_file" => self.env_file(draft, entry),
            "ports" => self.ports(draft, entry),
            "volumes" => self.mounts(draft, entry),
            "volumes_from" => self.volumes_from(draft, entry),
            "tmpfs" => self.tmpfs(draft, entry),
            "secrets" => self.secrets(draft, entry, "secrets"),
            "configs" => self.secrets(draft, entry, "configs"),
            "depends_on" => self.depends_on(draft, entry),
            "links" => self.links(draft, entry),
            "healthcheck" => self.healthcheck(draft, entry),
            "deploy" => self.deploy(draft, entry),
            "blkio_config" => self.blkio(draft, entry),
            "mem_limit" => self.memory(draft, entry),
            "cpus" => self.cpus(draft, entry),
            "ulimits" => self.ulimits(draft, entry),
            "logging" => self.logging(draft, entry),
            "restart" => self.restart(draft, entry, &self.value(node)),
            "stop_grace_period" => self.stop_timeout(draft, entry),
            "networks" => self.joined(draft, entry),
            "network_mode" => self.network_mode(draft, entry),
            "labels" => self.pairs(draft, "labels", entry),
            "extra_hosts" => self.extra_hosts(draft, entry),
            "profiles" => self.profiles(draft, entry),
            "scale" => self.replicas(draft, "scale", entry),
            "develop" => self.develop(draft, entry),
            "post_start" | "pre_stop" => self.hooks(draft, key, entry),
            EXTENSION => {}
            key if key.starts_with("x-") => {}
            key => {
                if let Some((key, of)) = ContainerOptions::KEYS.iter().find(|(known, _)| known.compose == key) {
                    self.option(draft, key.own, *of, entry);
                } else if let Some(remedy) = unknown::of_service(key, node) {
                    self.lost(&entry.key, key, remedy);
                }
            }
        }
    }

    /// Whether a key has an empty value, and so is not set. A variable may give it one elsewhere, which is said.
    pub(super) fn is_unset(&mut self, key: &str, entry: &Entry) -> bool {
        !matches!(key, "command" | "entrypoint" | "build") && self.is_unset_item(key, &entry.node)
    }

    /// The same of an item of a list.
    fn is_unset_item(&mut self, key: &str, node: &Node) -> bool {
        let Some(written) = node.raw() else { return false };
        if !self.value(node).is_empty() {
            return false;
        }
        if !written.is_empty() {
            let message = format!("`{key}: {written}` is empty, and so not set");
            self.changed(&node.place, message, "write it where the variable has a value");
        }
        true
    }

    /// An option that the engine takes as it is written.
    pub(super) fn option(&mut self, draft: &mut Draft<'_>, key: &str, of: Type, entry: &Entry) {
        let value = self.value(&entry.node);
        match of {
            // The default, as some write it.
            Type::Flag if value == "false" => {}
            Type::Flag => self.switch(draft, key, entry),
            Type::Text if value.starts_with("service:") => self.namespace(draft, key, entry),
            Type::Text | Type::Bytes | Type::Swap => self.simple(draft, key, entry),
            Type::Gpus => self.gpus(draft, &entry.key, &entry.node),
            Type::Devices => self.devices(draft, key, entry),
            Type::Number => self.number(draft, key, entry),
            Type::Set | Type::List | Type::Addresses | Type::Capabilities => self.list(draft, key, entry),
            Type::Pairs => self.pairs(draft, key, entry),
            Type::Rates => self.rates(draft, key, entry),
        }
    }

    /// Devices: in either form, and those of the Container Device Interface not at all.
    fn devices(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let mut items = Vec::new();
        for node in entry.node.list().into_iter().flatten() {
            let part = |key: &str| node.get(key).and_then(Node::raw);
            let text = match part("source") {
                Some(source) => {
                    let rest = [part("target"), part("permissions")].into_iter().flatten();
                    std::iter::once(source).chain(rest).collect::<Vec<_>>().join(":")
                }
                None => self.text(node),
            };
            if text.contains('=') && !text.starts_with('/') {
                self.lost(&node.place, &format!("device {text}"), "only devices with a path are passed on");
            } else {
                // Relative to the project, as Compose has it.
                let path = if text.starts_with('.') { self.absolute(&text).display().to_string() } else { text };
                items.push(self.item(&node.place, path));
            }
        }
        let field = self.field(key, &entry.key, Value::List(items));
        draft.push(field);
    }

    /// An integer. One that depends on a variable stays a text.
    fn number(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let text = self.text(&entry.node);
        let micros = |text: &str| scalars::duration(text).ok().and_then(|time| i64::try_from(time.as_micros()).ok());
        let number = text.parse::<i64>().ok().or_else(|| micros(&text).filter(|_| key.starts_with("cpu_")));
        let value = number.map_or(Value::Text(text), Value::Integer);
        let field = self.field(key, &entry.key, value);
        draft.push(field);
    }

    /// A text that means the same here.
    fn simple(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let text = self.text(&entry.node);
        let field = self.field(key, &entry.key, text);
        draft.push(field);
    }

    /// A boolean. One that depends on a variable is written as it is now.
    fn switch(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let on = matches!(self.value(&entry.node).as_str(), "true" | "True" | "TRUE" | "yes" | "on" | "1");
        let field = self.field(key, &entry.key, on);
        draft.push(field);
    }

    /// A list of texts that mean the same here.
    pub(super) fn list(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let mut node = entry.node.clone();
        if let crate::compose::yaml::Value::List(items) = &mut node.value {
            let all = std::mem::take(items);
            items.extend(all.into_iter().filter(|item| !self.is_unset_item(key, item)));
        }
        let mut list = self.texts(&node);
        if let (Value::List(items), true) = (&mut list, key.starts_with("cap_")) {
            for item in items {
                if let Value::Text(text) = &mut item.value {
                    *text = text.to_ascii_uppercase();
                }
            }
        }
        let field = self.field(key, &entry.key, list);
        draft.push(field);
    }

    /// A command: a line or the list of its words.
    fn words(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let node = &entry.node;
        let value = match node.list() {
            Some(_) => self.texts(node),
            None => Value::Text(self.text(node)),
        };
        let empty = match &value {
            Value::List(items) => items.is_empty(),
            Value::Text(_) => self.value(node).trim().is_empty(),
            _ => false,
        };
        if key == "command" && empty {
            let remedy = "the image's own is run; write the command you want";
            self.notes.push(Note::lost(&entry.key, "an empty `command` has no counterpart", remedy));
            return;
        }
        let value = if empty { Value::List(Vec::new()) } else { value };
        let field = self.field(key, &entry.key, value);
        draft.push(field);
    }

    fn pull(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let policy = self.value(&entry.node);
        match policy.as_str() {
            "always" | "never" => {
                let field = self.field("pull", &entry.key, policy);
                draft.push(field);
            }
            "missing" | "if_not_present" => {}
            "build" => self.changed(
                &entry.key,
                "`pull_policy: build` is not needed",
                "what has `build` is built when it is due; `up --build` does it each time",
            ),
            other => self.lost(
                &entry.key,
                &format!("pull_policy: {other}"),
                "use \"always\", or `taskava dev up --pull always`",
            ),
        }
    }

    /// What `x-taskava` says counts over what was made of the rest.
    fn own_keys(&mut self, draft: &mut Draft<'_>) {
        let own = draft.node.get(EXTENSION).and_then(Node::map);
        for (key, entry) in own.into_iter().flatten() {
            let value = match entry.node.map().filter(|_| key == "exports") {
                Some(templates) => placeholders(templates),
                None => self.verbatim(&entry.node),
            };
            match value {
                // Those that Compose has keys for are there already.
                Value::Map(hooks) if key == "hooks" => draft.map("hooks").extend(hooks),
                value => {
                    draft.fields.retain(|field| field.key != *key);
                    let field = self.field(key, &entry.key, value);
                    draft.push(field);
                }
            }
        }
    }

    /// A value of ours inside a Compose file.
    pub(super) fn verbatim(&mut self, node: &Node) -> Value {
        use crate::compose::yaml::Value as Yaml;
        match &node.value {
            Yaml::Null => Value::Text(String::new()),
            Yaml::List(items) => Value::List(items.iter().map(|item| self.verbatim(item).into()).collect()),
            Yaml::Map(map) => {
                Value::Map(map.iter().map(|(key, entry)| Field::new(key, self.verbatim(&entry.node))).collect())
            }
            Yaml::Scalar { text, plain: true } => match (node.boolean(), text.parse::<i64>(), text.parse::<f64>()) {
                (Some(boolean), ..) => Value::Bool(boolean),
                (None, Ok(number), _) => Value::Integer(number),
                (None, _, Ok(_)) => Value::Number(text.clone()),
                _ => Value::Text(self.text(node)),
            },
            Yaml::Scalar { .. } => Value::Text(self.text(node)),
        }
    }
}

/// `${host}` in `exports` is no variable: `export` wrote its dollar sign twice.
fn placeholders(templates: &indexmap::IndexMap<String, Entry>) -> Value {
    let text = |entry: &Entry| entry.node.raw().unwrap_or_default().replace("$$", "$");
    Value::Map(templates.iter().map(|(name, entry)| Field::new(name, text(entry))).collect())
}

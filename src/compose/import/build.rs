//! Converts how an image is built, and what to do when files change.

use super::Importer;
use super::service::Draft;
use crate::compose::Note;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};

impl Importer<'_> {
    pub(super) fn build(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let node = &entry.node;
        let context = if node.map().is_some() { node.get("context") } else { Some(node) };
        let (written, value) = match context {
            Some(context) => (self.text(context), self.value(context)),
            None => (".".into(), ".".into()),
        };
        if value.contains("://") || value.starts_with("git@") || value.ends_with(".git") {
            let remedy = "clone it next to this file and build that, or name an `image`";
            self.notes.push(Note::lost(&entry.key, format!("`{value}` can't be built from afar"), remedy));
            if draft.node.get("image").is_none() {
                let project = self.template(&self.project.clone(), &entry.key);
                draft.push(Field::new("image", format!("{project}-{}", self.name(draft.name))));
            }
            return;
        }
        self.outside(&written, &value);
        let mut fields = vec![Field::new("context", written.clone())];
        for (key, part) in node.map().into_iter().flatten() {
            if part.node.is_null() || key != "context" && self.is_unset(&format!("build.{key}"), part) {
                continue;
            }
            match key.as_str() {
                "context" => {}
                "dockerfile" | "dockerfile_inline" | "target" => {
                    let text = self.text(&part.node);
                    let field = self.field(key, &part.key, text);
                    fields.push(field);
                }
                "args" => {
                    let args = self.assigned(&part.node, "build argument");
                    let field = self.field("args", &part.key, Value::Map(args));
                    fields.push(field);
                }
                "cache_from" | "tags" => {
                    let list = self.texts(&part.node);
                    let field = self.field(key, &part.key, list);
                    fields.push(field);
                }
                "labels" => {
                    let labels = self.pair_fields(&part.node);
                    fields.push(Field::new("labels", Value::Map(labels)));
                }
                "network" | "shm_size" => {
                    let text = self.text(&part.node);
                    let field = self.field(key, &part.key, text);
                    fields.push(field);
                }
                "extra_hosts" => {
                    let hosts = self.host_items(&part.node);
                    fields.push(Field::new("extra_hosts", Value::List(hosts)));
                }
                "no_cache" | "pull" if self.value(&part.node) == "true" => fields.push(Field::new(key, true)),
                // It is built for the platform that it runs on.
                "platforms"
                    if draft.node.get("platform").is_none() && part.node.list().is_some_and(|all| all.len() == 1) =>
                {
                    let platform = self.text(&part.node.list().unwrap_or_default()[0]);
                    draft.push(Field::new("platform", platform));
                }
                "platforms" => self.changed(
                    &part.key,
                    "`build.platforms` is left out",
                    "it is built for the platform that it runs on; for several: docker buildx build --platform",
                ),
                "ulimits" => {
                    let limits = self.limits(&part.node);
                    fields.push(Field::new("ulimits", Value::Map(limits)));
                }
                "additional_contexts" => fields.extend(self.named_contexts(part)),
                "cache_to" => fields.extend(self.cache_to(part)),
                "ssh" => fields.extend(self.ssh(part)),
                "secrets" => fields.extend(self.build_secrets(&part.node)),
                "no_cache" | "privileged" | "pull" if part.node.boolean() == Some(false) => {}
                key => self.lost(&part.key, &format!("build.{key}"), of_build(key)),
            }
        }
        fields.retain(|field| !matches!(&field.value, Value::Map(fields) if fields.is_empty()));
        let value = match &fields[..] {
            [_] => Value::Text(written),
            _ => Value::Map(fields),
        };
        let field = self.field("build", &entry.key, value);
        draft.push(field);
    }

    /// What the Dockerfile uses by a name: folders, images, and images of services.
    fn named_contexts(&mut self, part: &Entry) -> Option<Field> {
        let mut fields = Vec::new();
        for (name, entry) in crate::compose::merge::pairs(part.node.clone(), &['=']).map().into_iter().flatten() {
            let value = self.value(&entry.node);
            let text = match value.strip_prefix("service:") {
                Some(service) => format!("service:{}", self.name(service)),
                None if value.starts_with("docker-image://") => self.text(&entry.node),
                None if value.contains("://") || value.starts_with("git@") || value.starts_with("target:") => {
                    let remedy = "clone or download it next to this file, and name that folder";
                    self.lost(&entry.key, &format!("additional_contexts: {name}={value}"), remedy);
                    continue;
                }
                None => {
                    let written = self.text(&entry.node);
                    self.outside(&written, &value);
                    written
                }
            };
            fields.push(Field::new(name.as_str(), text));
        }
        (!fields.is_empty()).then(|| self.field("additional_contexts", &part.key, Value::Map(fields)))
    }

    /// Caches that the engine's own builder can export.
    fn cache_to(&mut self, part: &Entry) -> Option<Field> {
        let mut items = Vec::new();
        for node in part.node.list().unwrap_or_default() {
            match self.value(node).as_str() {
                "type=inline" => items.push(Item::from("type=inline")),
                other => {
                    let remedy = "the engine exports \"type=inline\" only; otherwise: docker buildx build --cache-to";
                    self.lost(&node.place, &format!("cache_to: {other}"), remedy);
                }
            }
        }
        (!items.is_empty()).then(|| self.field("cache_to", &part.key, Value::List(items)))
    }

    /// SSH agents: `ID` or `ID=socket`. A path to a key is left to an agent.
    fn ssh(&mut self, part: &Entry) -> Option<Field> {
        let mut items = Vec::new();
        for (id, entry) in crate::compose::merge::pairs(part.node.clone(), &['=']).map().into_iter().flatten() {
            let path = if entry.node.is_null() { String::new() } else { self.value(&entry.node) };
            let is_file = !path.is_empty() && self.absolute(&path).is_file();
            match path.as_str() {
                "" => items.push(self.item(&entry.key, id.as_str())),
                path if is_file => {
                    let remedy = format!("add it to an SSH agent with ssh-add, and write: ssh = [\"{id}\"]");
                    self.lost(&entry.key, &format!("ssh: {id}={path}"), remedy);
                }
                _ => {
                    let written = self.text(&entry.node);
                    items.push(self.item(&entry.key, format!("{id}={written}")));
                }
            }
        }
        (!items.is_empty()).then(|| self.field("ssh", &part.key, Value::List(items)))
    }

    fn build_secrets(&mut self, node: &Node) -> Option<Field> {
        let mut fields = Vec::new();
        for secret in node.list().unwrap_or_default() {
            let Some(name) = secret.get("source").unwrap_or(secret).scalar() else { continue };
            let id = secret.get("target").and_then(Node::scalar).unwrap_or_else(|| name.clone());
            let file = self.document.root.get("secrets").and_then(|all| all.get(&name)).and_then(|one| one.get("file"));
            match file {
                Some(file) => fields.push(Field::new(id, self.text(file))),
                None => {
                    let message = format!("the build secret `{name}` comes from no file, and is left out");
                    self.notes.push(Note::lost(
                        &secret.place,
                        message,
                        "write it to a file, and name that in `build.secrets`",
                    ));
                }
            }
        }
        (!fields.is_empty()).then(|| Field::new("secrets", Value::Map(fields)))
    }

    /// `develop.watch` → `watch`.
    pub(super) fn develop(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        for rule in entry.node.get("watch").and_then(Node::list).unwrap_or_default() {
            let (Some(path), Some(action)) = (rule.get("path"), rule.get("action")) else { continue };
            let value = self.value(path);
            if !(self.options.exists)(&self.absolute(&value)) {
                let remedy = "make it, and add the rule to `watch`";
                self.notes.push(Note::lost(&path.place, format!("the watched path `{value}` is not there"), remedy));
                continue;
            }
            let action = self.value(action);
            let mut fields = vec![Field::new("path", self.text(path))];
            for (key, part) in rule.map().into_iter().flatten() {
                match key.as_str() {
                    "path" | "action" => {}
                    "target" => fields.push(Field::new("target", self.text(&part.node))),
                    "ignore" => fields.push(Field::new("ignore", self.texts(&part.node))),
                    "exec" if action == "sync+exec" => {}
                    key => self.lost(&part.key, &format!("watch.{key}"), "add a rule of its own for what it should do"),
                }
            }
            if action == "sync+exec" {
                let remedy = "files are put in and nothing is run; add a rule with `action = \"exec\"`";
                self.lost(&rule.place, "action: sync+exec", remedy);
                fields.insert(1, Field::new("action", "sync"));
            } else {
                fields.insert(1, Field::new("action", action));
            }
            let above = self.above(&rule.place);
            draft.list("watch").push(Item { above, value: Value::Map(fields), right: None });
        }
        let above = self.above(&entry.key);
        draft.comment("watch", above);
    }
}

/// What to do about a key of `build`.
fn of_build(key: &str) -> &'static str {
    match key {
        "privileged" | "entitlements" => "the engine's own builder grants none: docker buildx build --allow",
        "isolation" => "it only exists on Windows",
        "provenance" | "sbom" => "it only means something to a registry",
        _ => "it is not a key of the Compose specification; remove it",
    }
}

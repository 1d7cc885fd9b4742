//! Volumes, bind mounts, memory file systems; secrets and configs, which become read-only bind mounts.

use super::Importer;
use super::service::Draft;
use crate::compose::template::split;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};
use crate::compose::{EXTENSION, Note};
use crate::diag::Place;

impl Importer<'_> {
    pub(super) fn mounts(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        for node in entry.node.list().unwrap_or_default() {
            match node.map() {
                Some(_) => self.long_mount(draft, node),
                None => {
                    let text = node.scalar().unwrap_or_default();
                    self.short_mount(draft, &text, &node.place);
                }
            }
        }
        let above = self.above(&entry.key);
        draft.comment("volumes", above);
    }

    /// `[source:]target[:options]`
    fn short_mount(&mut self, draft: &mut Draft<'_>, text: &str, place: &Place) {
        let parts: Vec<String> = split(text, ':').into_iter().map(str::to_owned).collect();
        let (source, target, options) = match &parts[..] {
            [target] => (None, target.as_str(), ""),
            [source, target] => (Some(source.as_str()), target.as_str(), ""),
            [source, target, options] => (Some(source.as_str()), target.as_str(), options.as_str()),
            _ => {
                let message = format!("the mount `{text}` can't be understood");
                self.notes.push(Note::lost(place, message, "write it as source:target[:ro] under `volumes`"));
                return;
            }
        };
        let mut read_only = false;
        for option in self.evaluate(options).split(',') {
            match option {
                "ro" => read_only = true,
                "" | "rw" | "cached" | "delegated" | "consistent" => {}
                "z" | "Z" => self.lost(place, option, "SELinux labels are not set; label the folder with chcon"),
                other => self.lost(place, &format!(":{other}"), "the engine's default for mounts applies"),
            }
        }
        self.mount(draft, source, target, read_only, place);
    }

    fn long_mount(&mut self, draft: &mut Draft<'_>, node: &Node) {
        let text = |key: &str| node.get(key).and_then(Node::scalar);
        let target = text("target").unwrap_or_default();
        let read_only = node.get("read_only").and_then(Node::boolean) == Some(true);
        for (part, known) in [("bind", "create_host_path"), ("volume", ""), ("tmpfs", "size mode")] {
            for (key, entry) in node.get(part).and_then(Node::map).into_iter().flatten() {
                if !known.split(' ').any(|known| known == key) {
                    self.lost(&entry.key, &format!("{part}.{key}"), "the engine's default for mounts applies");
                }
            }
        }
        let own = node.get(EXTENSION).and_then(|own| own.get("shared")).and_then(Node::boolean);
        match text("type").as_deref() {
            Some("bind") if own == Some(true) => {
                let source = self.template(&text("source").unwrap_or_default(), &node.place);
                let target = self.template(&target, &node.place);
                let fields =
                    vec![Field::new("source", source), Field::new("target", target), Field::new("shared", true)];
                let item = self.item(&node.place, Value::Map(fields));
                draft.list("volumes").push(item);
            }
            Some("bind" | "volume") | None => {
                self.mount(draft, text("source").as_deref(), &target, read_only, &node.place);
            }
            Some("tmpfs") => {
                let tmpfs = |key: &str| node.get("tmpfs").and_then(|tmpfs| tmpfs.get(key)).cloned();
                let mut options = Vec::new();
                if let Some(size) = tmpfs("size") {
                    options.push(format!("size={}", self.text(&size)));
                }
                if let Some(mode) = tmpfs("mode") {
                    let octal = self.value(&mode).parse::<u32>().map(|mode| format!("{mode:o}"));
                    options.push(format!("mode={}", octal.unwrap_or_else(|_| "1777".into())));
                }
                let target = self.template(&target, &node.place);
                // The engine takes `/data/` for another folder than the volume of the image at `/data`.
                let target = match target.trim_end_matches('/') {
                    "" => target.as_str(),
                    path => path,
                };
                let colon = if options.is_empty() { "" } else { ":" };
                let item = self.item(&node.place, format!("{target}{colon}{}", options.join(",")));
                draft.list("tmpfs").push(item);
            }
            Some(other) => self.lost(&node.place, &format!("type: {other}"), "use a volume, a bind mount or `tmpfs`"),
        }
    }

    fn mount(&mut self, draft: &mut Draft<'_>, source: Option<&str>, target: &str, read_only: bool, place: &Place) {
        let target = self.template(target, place);
        let end = if read_only { ":ro" } else { "" };
        let Some(source) = source else {
            let item = self.item(place, format!("{target}{end}"));
            draft.list("volumes").push(item);
            return;
        };
        let (written, evaluated) = (self.template(source, place), self.evaluate(source));
        let text = format!("{written}:{target}{end}");
        let is_path = evaluated.starts_with(['.', '/', '~']);
        if is_path && !self.bind(&written, &evaluated, &text, place) {
            let comment = format!("# \"{text}\",");
            draft.list("volumes").push(Item { above: vec![comment], value: Value::Nothing, right: None });
            return;
        }
        let item = self.item(place, text);
        draft.list("volumes").push(item);
    }

    /// Whether a path can be mounted. Compose makes a folder where there is nothing.
    fn bind(&mut self, written: &str, evaluated: &str, text: &str, place: &Place) -> bool {
        let path = self.absolute(evaluated);
        if path.file_name().is_some_and(|name| name == "docker.sock") {
            return true;
        }
        let outside = self.outside(written, evaluated);
        if (self.options.exists)(&path) {
            return true;
        }
        let is_file =
            path.extension().is_some() && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !outside && !is_file {
            self.folders.insert(path);
            return true;
        }
        self.allow_outside.retain(|other| other != written);
        let message = format!("`{evaluated}` is not there, so it is not mounted");
        self.notes.push(Note::lost(place, message, format!("make it, then write: volumes = [\"{text}\"]")));
        false
    }

    pub(super) fn tmpfs(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let Value::List(items) = self.texts(&entry.node) else { return };
        draft.list("tmpfs").extend(items);
        let above = self.above(&entry.key);
        draft.comment("tmpfs", above);
    }

    /// Secrets and configs that come from files.
    pub(super) fn secrets(&mut self, draft: &mut Draft<'_>, entry: &Entry, kind: &'static str) {
        for node in entry.node.list().unwrap_or_default() {
            let Some(name) = node.get("source").unwrap_or(node).scalar() else { continue };
            let folder = if kind == "secrets" { "/run/secrets/" } else { "/" };
            let target = node.get("target").and_then(Node::scalar).unwrap_or_else(|| name.clone());
            let target = if target.starts_with('/') { target } else { format!("{folder}{target}") };
            for key in ["uid", "gid", "mode"] {
                if let Some(place) = node.map().and_then(|map| map.get(key)).map(|entry| entry.key.clone()) {
                    self.lost(&place, key, "the file keeps the owner and mode it has on this machine");
                }
            }
            let singular = kind.trim_end_matches('s');
            let declared = self.document.root.get(kind).and_then(|all| all.get(&name));
            match declared.and_then(|declared| declared.get("file")) {
                Some(file) => {
                    let source = file.scalar().unwrap_or_default();
                    let source = if source.starts_with(['.', '/', '~', '$']) { source } else { format!("./{source}") };
                    self.mount(draft, Some(&source), &target, true, &node.place);
                }
                None => {
                    let message = format!("the {singular} `{name}` comes from no file, and is left out");
                    let remedy = format!("write it to a file, and mount that: volumes = [\"./{name}:{target}:ro\"]");
                    self.notes.push(Note::lost(&node.place, message, remedy));
                }
            }
        }
        let above = self.above(&entry.key);
        draft.comment("volumes", above);
    }
}

//! Volumes, bind mounts, memory file systems; secrets and configs, which become read-only bind mounts.

use super::Importer;
use super::service::Draft;
use super::wait::{depend, shorten};
use crate::compose::template::split;
use crate::compose::toml::{Field, Item, Value};
use crate::compose::yaml::{Entry, Node};
use crate::compose::{EXTENSION, Note};
use crate::diag::Place;
use crate::model::RECURSIVE;

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
        let (mut words, evaluated) = (Vec::new(), self.evaluate(options));
        for option in evaluated.split(',') {
            match option {
                "ro" | "nocopy" | "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" | "z" | "Z" => {
                    words.push(option);
                }
                "" | "rw" | "cached" | "delegated" | "consistent" => {}
                other => self.lost(place, &format!(":{other}"), "the engine's default for mounts applies"),
            }
        }
        self.mount(draft, source, target, &words, Vec::new(), place);
    }

    fn long_mount(&mut self, draft: &mut Draft<'_>, node: &Node) {
        let text = |key: &str| node.get(key).and_then(Node::scalar);
        let target = text("target").unwrap_or_default();
        let read_only = node.get("read_only").and_then(Node::boolean) == Some(true);
        let mut words: Vec<&str> = read_only.then_some("ro").into_iter().collect();
        let mut options = Vec::new();
        let evaluated = |this: &Self, entry: &Entry| this.value(&entry.node);
        let propagation = node.get("bind").and_then(|bind| bind.get("propagation")).map(|node| self.value(node));
        words.extend(propagation.as_deref().filter(|propagation| !propagation.is_empty()));
        let selinux = node.get("bind").and_then(|bind| bind.get("selinux")).map(|node| self.value(node));
        words.extend(selinux.as_deref().filter(|label| matches!(*label, "z" | "Z")));
        for part in ["bind", "volume", "tmpfs", "image"] {
            for (key, entry) in node.get(part).and_then(Node::map).into_iter().flatten() {
                match (part, key.as_str()) {
                    ("bind", "create_host_path") if evaluated(self, entry) == "true" => {
                        options.push(Field::new("create_host_path", true));
                    }
                    ("bind", "recursive") if RECURSIVE.contains(&evaluated(self, entry).as_str()) => {
                        let word = evaluated(self, entry);
                        options.extend((word != "enabled").then(|| Field::new("recursive", word)));
                    }
                    ("bind", "create_host_path" | "propagation" | "selinux") | ("tmpfs", "size" | "mode") => {}
                    ("volume", "nocopy") if evaluated(self, entry) == "true" => words.push("nocopy"),
                    ("volume", "nocopy") => {}
                    ("volume" | "image", "subpath") => options.push(Field::new("subpath", self.text(&entry.node))),
                    _ => self.lost(&entry.key, &format!("{part}.{key}"), "the engine's default for mounts applies"),
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
                self.mount(draft, text("source").as_deref(), &target, &words, options, &node.place);
            }
            Some("image") => {
                let source = self.template(&text("source").unwrap_or_default(), &node.place);
                let target = self.template(&target, &node.place);
                let mut fields = vec![Field::new("image", source), Field::new("target", target)];
                fields.extend(options);
                let item = self.item(&node.place, Value::Map(fields));
                draft.list("volumes").push(item);
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

    /// A mount in the short form, with the `words` of its options; in the long form where it has other `options`.
    fn mount(
        &mut self,
        draft: &mut Draft<'_>,
        source: Option<&str>,
        target: &str,
        words: &[&str],
        mut options: Vec<Field>,
        place: &Place,
    ) {
        let target = self.template(target, place);
        let end = if words.is_empty() { String::new() } else { format!(":{}", words.join(",")) };
        let Some(source) = source else {
            let item = self.item(place, format!("{target}{end}"));
            draft.list("volumes").push(item);
            return;
        };
        let (written, evaluated) = (self.template(source, place), self.evaluate(source));
        let text = format!("{written}:{target}{end}");
        let is_path = evaluated.starts_with(['.', '/', '~']);
        if is_path && options.iter().any(|option| option.key == "create_host_path") {
            self.outside(&written, &evaluated);
        } else if is_path && self.is_created(&written, &evaluated, place) {
            options.push(Field::new("create_host_path", true));
        }
        let value = match options.is_empty() {
            true => Value::Text(text),
            false => {
                let mut fields = vec![Field::new("source", written), Field::new("target", target)];
                for word in words {
                    fields.push(match *word {
                        "ro" => Field::new("read_only", true),
                        "nocopy" => Field::new("nocopy", true),
                        "z" | "Z" => Field::new("selinux", *word),
                        propagation => Field::new("propagation", propagation),
                    });
                }
                fields.extend(options);
                Value::Map(fields)
            }
        };
        let item = self.item(place, value);
        draft.list("volumes").push(item);
    }

    /// Whether `up` has to create a folder at a path. Inside the project it is created now, where it looks like one and that is wanted.
    fn is_created(&mut self, written: &str, evaluated: &str, place: &Place) -> bool {
        let path = self.absolute(evaluated);
        if path.file_name().is_some_and(|name| name == "docker.sock") {
            return false;
        }
        let outside = self.outside(written, evaluated);
        if (self.options.exists)(&path) {
            return false;
        }
        let is_file =
            path.extension().is_some() && !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !outside && !is_file {
            self.folders.extend(self.options.create_folders.then_some(path));
            return !self.options.create_folders;
        }
        // That it is created is said of services.toml, each time until it is there.
        if is_file {
            let message = format!("`{evaluated}` is not there: `up` creates a folder, as docker compose does");
            self.changed(place, message, "put the file there before");
        }
        true
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
            let singular = kind.trim_end_matches('s');
            let declared = self.document.root.get(kind).and_then(|all| all.get(&name));
            match declared.and_then(|declared| declared.get("file")) {
                Some(file) => {
                    for key in ["uid", "gid", "mode"] {
                        if let Some(place) = node.map().and_then(|map| map.get(key)).map(|entry| entry.key.clone()) {
                            let remedy =
                                "docker compose leaves it out too; the file has the owner and mode of this machine";
                            self.changed(&place, format!("`{key}` of a file that is mounted is left out"), remedy);
                        }
                    }
                    let source = file.scalar().unwrap_or_default();
                    let source = if source.starts_with(['.', '/', '~', '$']) { source } else { format!("./{source}") };
                    self.mount(draft, Some(&source), &target, &["ro"], Vec::new(), &node.place);
                }
                None if declared.is_some_and(|one| one.get("content").or(one.get("environment")).is_some()) => {
                    let content = match declared.and_then(|one| one.get("content")) {
                        Some(content) => self.text(content),
                        None => {
                            let variable = declared.and_then(|one| one.get("environment")).map(|node| self.value(node));
                            self.template(&format!("${{{}}}", variable.unwrap_or_default()), &node.place)
                        }
                    };
                    let file = self.inline_file(node, &target, content);
                    draft.list("files").push(file);
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

    /// A secret or config whose content the Compose file has, or a variable.
    fn inline_file(&mut self, node: &Node, target: &str, content: String) -> Item {
        let target = self.template(target, &node.place);
        let mut fields = vec![Field::new("target", target), Field::new("content", content)];
        let written = |key: &str| node.get(key).and_then(Node::raw).map(str::to_owned);
        if let Some(mode) = written("mode") {
            // YAML's octal as it is written; any other number is decimal.
            let octal = mode.trim_start_matches("0o");
            let bits = match mode.starts_with('0') {
                true => u32::from_str_radix(octal, 8).ok(),
                false => mode.parse().ok(),
            };
            fields.push(Field::new("mode", format!("{:04o}", bits.unwrap_or(0o444))));
        }
        for key in ["uid", "gid"] {
            let number = written(key).and_then(|number| number.parse::<i64>().ok()).filter(|number| *number > 0);
            fields.extend(number.map(|number| Field::new(key, Value::Integer(number))));
        }
        self.item(&node.place, Value::Map(fields))
    }

    /// The volumes of other services, which are mounted here too.
    pub(super) fn volumes_from(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let mut items = Vec::new();
        for node in entry.node.list().unwrap_or_default() {
            let text = self.value(node);
            let (name, mode) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_service = self.services().any(|(other, _)| *other == *name && name != draft.name);
            if is_service {
                // As docker compose has it.
                depend(draft, Field::new(self.name(name), "started"));
                items.push(self.item(&node.place, format!("{}{}", self.name(name), mode.trim_end_matches(":rw"))));
            } else if name == "container" {
                let text = self.text(node);
                items.push(self.item(&node.place, text));
            } else {
                let remedy = "write those volumes under `volumes` of this service";
                self.lost(&node.place, &format!("volumes_from: {text}"), remedy);
            }
        }
        shorten(draft);
        let field = self.field("volumes_from", &entry.key, Value::List(items));
        draft.push(field);
    }
}

//! `label_file`: the labels of files become labels of the services that name them.

use std::sync::Arc;

use indexmap::IndexMap;

use super::Note;
use super::merge::pairs;
use super::paths::{entries, shown};
use super::read::Reader;
use super::yaml::{Entry, Node, Value};
use crate::bounded;
use crate::config::{MAX_BYTES, dotenv};
use crate::diag::Source;

impl Reader {
    /// Puts the labels of files below those that a service has itself, as docker compose does.
    pub(super) fn label_files(&mut self, root: &mut Node) {
        let services = entries(root).and_then(|map| map.get_mut("services"));
        for (_, service) in services.and_then(|services| entries(&mut services.node)).into_iter().flatten() {
            let Some(map) = entries(&mut service.node) else { continue };
            let Some(named) = map.shift_remove("label_file") else { continue };
            let files: Vec<&Node> = named.node.list().map_or_else(|| vec![&named.node], |list| list.iter().collect());
            let mut labels = IndexMap::new();
            for file in files {
                for (name, value) in self.labels_of(file) {
                    let node = Node::text(value.replace('$', "$$"), &file.place);
                    labels.insert(name, Entry { key: file.place.clone(), node });
                }
            }
            let own = map.shift_remove("labels");
            let key = own.as_ref().map_or(&named.key, |own| &own.key).clone();
            if let Some(Value::Map(own)) = own.map(|own| pairs(own.node, &['=']).value) {
                for (name, entry) in own {
                    labels.insert(name, entry);
                }
            }
            let node = Node { value: Value::Map(labels), place: named.node.place, tag: None };
            map.insert("labels".into(), Entry { key, node });
        }
    }

    /// The labels of a file, which is written like an env file.
    fn labels_of(&mut self, file: &Node) -> Vec<(String, String)> {
        let Some(written) = self.evaluated(file) else { return Vec::new() };
        let path = self.folder.join(&written);
        let name = shown(&path, &self.here);
        let text = match bounded::text(&path, MAX_BYTES as u64) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("the label file `{written}` can't be read: {error}");
                self.notes.push(Note::lost(&file.place, message, "write its labels under `labels`"));
                return Vec::new();
            }
        };
        let (found, problems) = dotenv::parse(&Arc::new(Source { name: name.clone(), text }), &self.variables);
        self.files.push(path);
        for problem in problems {
            let place = problem.place.as_ref().unwrap_or(&file.place);
            self.notes.push(Note::lost(place, problem.message, "correct the line, and import it again"));
        }
        let message = format!("the labels of {name} are written as they are now");
        self.notes.push(Note::changed(&file.place, message, "services.toml does not read that file"));
        found.into_iter().map(|entry| (entry.name, entry.value)).collect()
    }
}

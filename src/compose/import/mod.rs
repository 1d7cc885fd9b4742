//! A Compose document → the text of a services.toml, and a note for everything that could not be converted exactly.
//!
//! This file handles the document as a whole; `service` converts the keys of one service with `build`, `env`, `gpus`, `hooks`, `limits`,
//! `mounts`, `names`, `ports`, `profiles` and `wait`; `notes` sorts the notes; `top` converts volumes and networks. Pure except for one
//! check: whether a path exists.

mod build;
mod env;
mod gpus;
mod hooks;
mod limits;
mod mounts;
mod names;
mod notes;
mod ports;
mod profiles;
mod service;
mod top;
mod unknown;
mod wait;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use indexmap::IndexSet;

use super::read::Document;
use super::toml::{Field, Item, Table, Value, render};
use super::yaml::{Entry, Node};
use super::{EXTENSION, Note, template};
use crate::diag::{Lines, Place};
use crate::model::ServiceName;

/// The variable that holds the project's name.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// How to import.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bind ports without an address to 127.0.0.1 instead of all addresses.
    pub loopback: bool,
    /// Whether there is something at a path.
    pub exists: fn(&Path) -> bool,
    /// Create folders inside the project that don't exist, as Compose does; otherwise `up` creates them.
    pub create_folders: bool,
}

/// What came out.
#[derive(Debug)]
pub struct Imported {
    /// The text of services.toml.
    pub text: String,
    /// What could not be carried over as it was, the most serious first.
    pub notes: Vec<Note>,
    /// Folders that Compose makes when it needs them, and services.toml expects to be there.
    pub folders: Vec<PathBuf>,
    /// The services, by the name they have in services.toml.
    pub services: Vec<String>,
}

struct Importer<'a> {
    document: &'a Document,
    options: Options,
    notes: Vec<Note>,
    /// Services that others wait for to end.
    jobs: HashSet<String>,
    /// Services whose name can't stay, and what they are called now.
    renamed: HashMap<String, String>,
    allow_outside: IndexSet<String>,
    folders: BTreeSet<PathBuf>,
    /// Where the lines of each file begin.
    lines: HashMap<String, Lines>,
    /// Comment lines that were put somewhere.
    taken: HashSet<(String, usize)>,
    unset: HashSet<String>,
    /// What the project is called, in Compose's notation: the value of `COMPOSE_PROJECT_NAME`.
    project: String,
    /// Profiles that are always active.
    active: Vec<String>,
}

/// Turns a document into services.toml.
pub fn import(document: &Document, options: Options) -> Imported {
    let mut importer = Importer {
        document,
        options,
        notes: document.notes.clone(),
        jobs: HashSet::new(),
        renamed: HashMap::new(),
        allow_outside: IndexSet::new(),
        folders: BTreeSet::new(),
        lines: HashMap::new(),
        taken: HashSet::new(),
        unset: HashSet::new(),
        project: project(document),
        active: profiles::active(document),
    };
    let tables = importer.tables();
    let services = importer.services().map(|(name, _)| importer.name(name)).collect();
    let mut notes = std::mem::take(&mut importer.notes);
    for note in &mut notes {
        note.number = note.place.as_ref().map(|place| importer.at(place).0);
    }
    let text = render(&tables);
    let notes = notes::arranged(notes, document, &text);
    Imported { text, notes, folders: importer.folders.into_iter().collect(), services }
}

/// The name Compose gives a project, in its own notation: the variable's of `.env`, else what the file says, else the folder's.
fn project(document: &Document) -> String {
    let variable = document.variables.get(PROJECT_NAME).filter(|variable| !variable.value.is_empty());
    let named = match variable.map(|variable| (variable.origin.as_str(), &variable.value)) {
        Some((".env", _)) => true,
        None | Some(("environment", _)) => false,
        // A file that only import reads.
        Some((_, value)) => return value.clone(),
    };
    let folder = document.folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let good = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let folder: String = folder.chars().filter(good).collect();
    let folder = match folder.trim_start_matches(['-', '_']) {
        "" => "taskava",
        folder => folder,
    };
    let name = document.root.get("name").and_then(Node::scalar).unwrap_or_else(|| folder.into());
    if named && !name.contains(PROJECT_NAME) { format!("${{{PROJECT_NAME}:-{name}}}") } else { name }
}

impl<'a> Importer<'a> {
    fn tables(&mut self) -> Vec<Table> {
        self.find_jobs();
        self.find_names();
        self.note_active();
        let mut top = self.header();
        let mut tables = Vec::new();
        for (name, entry) in self.services().collect::<Vec<_>>() {
            tables.push(self.service(name, entry));
        }
        tables.extend(self.volumes());
        tables.extend(self.networks());
        tables.extend(self.extension());
        let end = self.at_the_end();
        if let Some(last) = tables.last_mut() {
            last.below.extend(end);
        }
        if !self.allow_outside.is_empty() {
            let mut field = Field::new("allow_outside", Value::from_iter(self.allow_outside.clone()));
            field.right = Some("# paths outside this folder that services use".into());
            top.fields.push(field);
        }
        tables.insert(0, top);
        tables
    }

    fn services(&self) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        let map = self.document.root.get("services").and_then(Node::map);
        // What something else provides is no container, for docker compose either.
        let is_container = |(_, entry): &(&'a String, &'a Entry)| entry.node.get("provider").is_none();
        map.into_iter().flatten().filter(is_container).map(|(name, entry)| (name.as_str(), entry))
    }

    /// What services.toml calls a service.
    fn name(&self, name: &str) -> String {
        self.renamed.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn find_jobs(&mut self) {
        for (_, entry) in self.services() {
            for (name, on) in entry.node.get("depends_on").and_then(Node::map).into_iter().flatten() {
                if on.node.get("condition").and_then(Node::raw) == Some("service_completed_successfully") {
                    self.jobs.insert(name.clone());
                }
            }
        }
    }

    fn find_names(&mut self) {
        let all = self.document.root.get("services").and_then(Node::map);
        for (name, entry) in all.into_iter().flatten() {
            if let Some(provider) = entry.node.map().and_then(|map| map.get("provider")) {
                let message = format!("`{name}` is provided by something else than a container, and left out");
                let remedy = "run what it provides outside of the stack, and give its address in `env`";
                self.notes.push(Note::lost(&provider.key, message, remedy));
            }
        }
        for (name, entry) in self.services() {
            if ServiceName::parse(name).is_ok() {
                continue;
            }
            let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
            let new: String = name.chars().map(keep).collect();
            let mut new = new.trim_start_matches(['-', '_']).chars().take(60).collect::<String>();
            let taken =
                |new: &str| self.services().any(|(other, _)| other == new) || self.renamed.values().any(|n| n == new);
            while new.is_empty() || taken(&new) {
                new.push('2');
            }
            let message = format!("the service `{name}` is called `{new}` now");
            self.notes.push(Note::changed(
                &entry.key,
                message,
                "names are host names here: lower-case letters, digits, `-` and `_`",
            ));
            self.renamed.insert(name.to_owned(), new);
        }
    }

    /// The top of the file: its comments and the name of the project.
    fn header(&mut self) -> Table {
        let root = self.document.root.map();
        let mut above = Vec::new();
        let mut project = None;
        for (key, entry) in root.into_iter().flatten() {
            match key.as_str() {
                "name" => project = Some(entry),
                "services" | "version" => {}
                "volumes" | "networks" | "secrets" | "configs" | EXTENSION => continue,
                key if key.starts_with("x-") => continue,
                key => {
                    let remedy = unknown::top_level(key);
                    self.lost(&entry.key, key, remedy);
                    continue;
                }
            }
            above.extend(self.above(&entry.key));
        }
        let place = project.map_or(&self.document.root.place, |entry| &entry.node.place);
        let mut field = Field::new("project", self.template(&self.project.clone(), place));
        field.right = project.and_then(|entry| self.right(&entry.key));
        if !above.is_empty() {
            field.above = vec![String::new()];
        }
        Table { above, fields: vec![field], ..Table::default() }
    }

    /// A scalar in our notation.
    fn text(&mut self, node: &Node) -> String {
        let text = node.scalar().unwrap_or_default();
        self.template(&text, &node.place)
    }

    fn template(&mut self, text: &str, place: &Place) -> String {
        let translated = template::from_compose(&self.filled(text), &self.document.variables);
        for name in translated.unset {
            if self.unset.insert(name.clone()) {
                let message = format!("{name} is not set, and so empty");
                self.notes.push(Note::changed(
                    place,
                    message,
                    "set it in .env, or write a default: `${NAME:-default}`",
                ));
            }
        }
        for name in translated.resolved {
            let message = format!("`${{{name}:+…}}` has no counterpart");
            self.notes.push(Note::lost(place, message, "its value as of now was written; check it"));
        }
        translated.text
    }

    /// A scalar as Compose evaluates it here.
    fn value(&self, node: &Node) -> String {
        self.evaluate(&node.scalar().unwrap_or_default())
    }

    fn evaluate(&self, text: &str) -> String {
        template::evaluate(&self.filled(text), &self.document.variables)
    }

    /// A text with the project's name put in, which Compose always sets.
    fn filled<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if !text.contains(PROJECT_NAME) {
            return text.into();
        }
        template::fill(text, &|name| (name == PROJECT_NAME).then(|| self.project.clone())).into()
    }

    fn lost(&mut self, place: &Place, key: &str, remedy: impl Into<String>) {
        self.notes.push(Note::lost(place, format!("`{key}` has no counterpart"), remedy));
    }

    fn changed(&mut self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.notes.push(Note::changed(place, message, remedy));
    }

    /// Line and column of a place.
    fn at(&mut self, place: &Place) -> (usize, usize) {
        let lines = self.lines.entry(place.source.name.clone()).or_insert_with(|| Lines::of(&place.source));
        lines.line_column(place.span.start)
    }

    /// The comment lines before a place, unless they were put elsewhere.
    fn above(&mut self, place: &Place) -> Vec<String> {
        let (line, column) = self.at(place);
        let Some(comments) = self.document.comments.get(&place.source.name) else { return Vec::new() };
        let lines = &self.lines[&place.source.name];
        // The line that begins a document separates nothing from its first comment.
        let blank =
            |line: usize| lines.from(line).next().is_some_and(|(_, text)| matches!(text.trim_end(), "" | "---"));
        let mut found: Vec<String> = Vec::new();
        let (mut at, mut gap) = (line, false);
        while at > 1 {
            at -= 1;
            match comments.get(&at).filter(|comment| comment.own_line) {
                // What is further in belongs to what came before.
                Some(comment) if comment.column > column => break,
                Some(comment) => {
                    if !self.taken.insert((place.source.name.clone(), at)) {
                        break;
                    }
                    // Blocks that are set apart stay so.
                    if gap && !found.is_empty() {
                        found.push(String::new());
                    }
                    gap = false;
                    found.push(comment.text.clone());
                }
                None if blank(at) => gap = true,
                None => break,
            }
        }
        found.reverse();
        found
    }

    /// The comment on the line of a place.
    fn right(&mut self, place: &Place) -> Option<String> {
        let line = self.at(place).0;
        let comment = self.document.comments.get(&place.source.name)?.get(&line).filter(|comment| !comment.own_line)?;
        self.taken.insert((place.source.name.clone(), line)).then(|| comment.text.clone())
    }

    /// Comments inside a range of lines that were put nowhere.
    fn rest(&mut self, from: &Place, lines: std::ops::Range<usize>) -> Vec<String> {
        let Some(comments) = self.document.comments.get(&from.source.name) else { return Vec::new() };
        let column = self.at(from).1;
        let name = &from.source.name;
        let inside = comments.range(lines).filter(|(_, comment)| comment.own_line && comment.column > column);
        let free: Vec<_> = inside.filter(|(line, _)| self.taken.insert((name.clone(), **line))).collect();
        free.into_iter().map(|(_, comment)| comment.text.clone()).collect()
    }

    /// Comments behind everything else in the first file.
    fn at_the_end(&mut self) -> Vec<String> {
        let source = &self.document.root.place.source;
        let Some(comments) = self.document.comments.get(&source.name) else { return Vec::new() };
        let last = source.text.lines().enumerate().filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let after = last.last().map_or(0, |(index, _)| index + 2);
        let free = comments.range(after..).filter(|(line, _)| self.taken.insert((source.name.clone(), **line)));
        free.map(|(_, comment)| comment.text.clone()).collect()
    }

    /// A field with the comments of its key.
    fn field(&mut self, key: &str, place: &Place, value: impl Into<Value>) -> Field {
        let (above, right) = (self.above(place), self.right(place));
        Field { above, key: key.into(), value: value.into(), right }
    }

    /// An item with its comments.
    fn item(&mut self, place: &Place, value: impl Into<Value>) -> Item {
        let (above, right) = (self.above(place), self.right(place));
        Item { above, value: value.into(), right }
    }

    /// A list of texts, from a list or a single one.
    fn texts(&mut self, node: &Node) -> Value {
        let items: Vec<&Node> = node.list().map_or_else(|| vec![node], |list| list.iter().collect());
        Value::List(
            items
                .into_iter()
                .map(|node| {
                    let text = self.text(node);
                    self.item(&node.place, text)
                })
                .collect(),
        )
    }

    /// Whether a path, as Compose evaluates it, is outside the project; if so it is allowed.
    fn outside(&mut self, written: &str, evaluated: &str) -> bool {
        let path = self.absolute(evaluated);
        let real = path.canonicalize().unwrap_or(path);
        let outside = !real.starts_with(&self.document.folder);
        if outside {
            self.allow_outside.insert(written.to_owned());
        }
        outside
    }

    fn absolute(&self, path: &str) -> PathBuf {
        crate::resolve::absolute(&self.document.folder, std::env::home_dir().as_deref(), path)
    }
}

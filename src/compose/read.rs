//! The I/O shell of `compose`: finds Compose files and what they name (overrides, `include`, `extends`), and puts them
//! together into one document. What the keys mean is `import`'s.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::merge::merge;
use super::paths::{entries, rebase, rebase_device, rebase_key, relative, shown};
use super::yaml::{self, Comments, Entry, Node, Value};
use super::{Note, surroundings, template};
use crate::config::{MAX_BYTES, MAX_SERVICES, Variables};
use crate::diag::{Diagnostic, Error, ErrorKind, Place, Result, Source};
use crate::load;

/// What is put over them, where it is there.
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];
/// Files that one document may consist of, and services that may extend each other.
const MAX_DEPTH: usize = 32;
/// How many files may be included, one more than once counted as often.
const MAX_DOCUMENTS: usize = 500;

/// Everything that a Compose project says.
#[derive(Debug)]
pub struct Document {
    /// All files put together.
    pub root: Node,
    /// Where relative paths start: mostly the folder of the first file.
    pub folder: PathBuf,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// Comments by name of the file.
    pub comments: HashMap<String, Comments>,
    /// The environment and `.env`.
    pub variables: Variables,
    /// What could not be followed.
    pub notes: Vec<Note>,
}

/// Reads these files, or the ones Compose would find from `here` on. `target`: the folder where relative paths of the
/// result start, when it is not that of the first file. `env_files`: what is read instead of `.env`, later ones override.
pub fn read(files: &[PathBuf], here: &Path, target: Option<&Path>, env_files: &[PathBuf]) -> Result<Document> {
    let mut variables = Variables::default();
    load::add_environment(&mut variables);
    let env_files: Vec<PathBuf> = env_files.iter().map(|file| here.join(file)).collect();
    let named_by = here.join(surroundings::FILE);
    let mut files: Vec<PathBuf> = files.iter().map(|file| here.join(file)).collect();
    let mut elsewhere = Vec::new();
    if files.is_empty() {
        let around = if env_files.is_empty() { std::slice::from_ref(&named_by) } else { &env_files };
        files = surroundings::files(around, &variables).iter().map(|file| here.join(file)).collect();
        // Its variables count for files elsewhere, too, where it is not read afterwards.
        let is_elsewhere = files.first().is_some_and(|file| file.parent() != Some(here));
        elsewhere.extend((is_elsewhere && env_files.is_empty()).then_some(named_by));
    }
    if files.is_empty() {
        let found = here.ancestors().find_map(load::compose_file).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format_args!("no Compose file in {} or a folder above it", here.display()))
                .hint("name it: taskava dev import FILE")
        })?;
        let folder = found.parent().unwrap_or(Path::new("/")).to_path_buf();
        files.push(found);
        files.extend(OVERRIDES.iter().map(|name| folder.join(name)).find(|path| path.is_file()));
    }
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        return Err(Error::new(ErrorKind::Usage, format_args!("{} is not a file", missing.display()))
            .hint("name the Compose file: taskava dev import FILE"));
    }
    let folder = files[0].parent().unwrap_or(Path::new("/"));
    let base = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let folder = target.and_then(|target| here.join(target).canonicalize().ok()).unwrap_or_else(|| base.clone());
    let mut reader = Reader {
        here: here.to_path_buf(),
        folder: folder.clone(),
        texts: HashMap::new(),
        documents: 0,
        files: Vec::new(),
        comments: HashMap::new(),
        variables: Variables::default(),
        notes: Vec::new(),
    };
    let own = if env_files.is_empty() { vec![base.join(surroundings::FILE)] } else { env_files };
    let local = surroundings::add(&elsewhere, &mut variables, &own);
    reader.variables = variables;
    let mut root: Option<Node> = None;
    for file in &files {
        let node = reader.document(file, &base, 0).map_err(|problem| Error::configuration(vec![problem]))?;
        root = Some(match root {
            Some(under) => merge(under, node, &[]),
            None => node,
        });
    }
    if let Some(problem) = root.as_ref().and_then(|root| few_enough(root).err()) {
        return Err(Error::configuration(vec![problem]));
    }
    let mut root = root.ok_or_else(|| Error::new(ErrorKind::Usage, "no Compose file was named"))?;
    reader.put_in(&mut root, &local, None);
    reader.label_files(&mut root);
    let Reader { files, comments, variables, notes, .. } = reader;
    Ok(Document { root, folder, files, comments, variables, notes })
}

pub(super) struct Reader {
    pub(super) here: PathBuf,
    /// Where relative paths of the result start.
    pub(super) folder: PathBuf,
    texts: HashMap<PathBuf, Arc<Node>>,
    /// How many documents were put together: files may include each other again and again.
    documents: usize,
    pub(super) files: Vec<PathBuf>,
    comments: HashMap<String, Comments>,
    pub(super) variables: Variables,
    pub(super) notes: Vec<Note>,
}

impl Reader {
    pub(super) fn evaluated(&self, node: &Node) -> Option<String> {
        node.raw().map(|text| template::evaluate(text, &self.variables))
    }

    /// The tree of a file, each read once.
    fn tree(&mut self, path: &Path, place: Option<&Place>) -> Result<Arc<Node>, Diagnostic> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if let Some(node) = self.texts.get(&path) {
            return Ok(node.clone());
        }
        let name = shown(&path, &self.here);
        let refused = |why: String| Diagnostic::error(place.cloned(), format!("{name} can't be read: {why}"));
        let mut bytes = Vec::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
            .map_err(|error| refused(error.to_string()))?;
        if bytes.len() > MAX_BYTES {
            return Err(refused(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
        }
        let text = String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".into()))?;
        let source = Arc::new(Source { name: name.clone(), text });
        let (documents, comments) = yaml::parse_all(&source)?;
        // One that holds nothing but comments changes nothing.
        let documents = documents.into_iter().filter(|node| !node.is_null());
        let place = Place { source, span: 0..0 };
        let empty = Node { value: Value::Map(IndexMap::new()), place: place.clone(), tag: None };
        let node = documents.reduce(|under, over| merge(under, over, &[])).unwrap_or(empty);
        if node.map().is_none() {
            return Err(Diagnostic::error(place, "a Compose file is a mapping with `services`"));
        }
        few_enough(&node)?;
        self.comments.insert(name, comments);
        self.files.push(path.clone());
        let node = Arc::new(node);
        self.texts.insert(path, node.clone());
        Ok(node)
    }

    /// A file with everything it includes and extends. Its relative paths start at `base`.
    fn document(&mut self, path: &Path, base: &Path, depth: usize) -> Result<Node, Diagnostic> {
        self.documents += 1;
        let mut root = (*self.tree(path, None)?).clone();
        if self.documents > MAX_DOCUMENTS {
            let message =
                format!("more than {MAX_DOCUMENTS} files are included; a file included several times counts each time");
            return Err(Diagnostic::error(root.place, message));
        }
        let names: Vec<String> =
            root.get("services").and_then(Node::map).map(|map| map.keys().cloned().collect()).unwrap_or_default();
        let mut services = IndexMap::new();
        for name in names {
            let node = self.service(path, &name, base, &mut Vec::new())?;
            let key = root.get("services").and_then(Node::map).map(|map| map[&name].key.clone());
            services.insert(name, Entry { key: key.unwrap_or_else(|| node.place.clone()), node });
        }
        let prefix = relative(&self.folder, base);
        let included = root.get("include").cloned();
        if let Value::Map(map) = &mut root.value {
            map.shift_remove("include");
            if let Some(entry) = map.get_mut("services") {
                entry.node.value = Value::Map(services);
            }
            for kind in ["secrets", "configs"] {
                for (_, entry) in map.get_mut(kind).and_then(|entry| entries(&mut entry.node)).into_iter().flatten() {
                    rebase_key(&mut entry.node, "file", &prefix);
                }
            }
            for (_, entry) in map.get_mut("volumes").and_then(|entry| entries(&mut entry.node)).into_iter().flatten() {
                rebase_device(&mut entry.node, &prefix);
            }
        }
        if let Some(include) = included {
            root = self.included(&include, base, root, depth)?;
        }
        few_enough(&root)?;
        Ok(root)
    }

    fn included(&mut self, include: &Node, around: &Path, root: Node, depth: usize) -> Result<Node, Diagnostic> {
        let mut root = root;
        for item in include.list().unwrap_or_default() {
            if depth > MAX_DEPTH {
                return Err(Diagnostic::error(item.place.clone(), "files include each other without end"));
            }
            let paths: Vec<&Node> = match item.get("path") {
                Some(path) => path.list().map_or_else(|| vec![path], |list| list.iter().collect()),
                None => vec![item],
            };
            let mut document: Option<Node> = None;
            let mut folder = None;
            let outer = self.variables.clone();
            let mut local = surroundings::Local::default();
            for path in paths {
                let Some(text) = self.evaluated(path) else { continue };
                if text.contains("://") || text.starts_with("git@") || text.starts_with("oci:") {
                    self.notes.push(Note::lost(
                        &path.place,
                        format!("`{text}` is not on this machine"),
                        "a commit of a repository can be included by services.toml: include = { git = \"…\", rev = \"…\", path = \"…\" }",
                    ));
                    continue;
                }
                let file = around.join(&text);
                let own = file.parent().map(Path::to_path_buf);
                let project = item.get("project_directory").and_then(|node| self.evaluated(node));
                let base = folder.get_or_insert_with(|| match project {
                    Some(project) => around.join(project),
                    None => own.unwrap_or_default(),
                });
                let base = base.clone();
                if document.is_none() {
                    local = self.local(item, around, &base);
                }
                if !file.is_file() {
                    return Err(Diagnostic::error(path.place.clone(), format!("`{text}` is not a file")));
                }
                let node = self.document(&file, &base, depth + 1)?;
                document = Some(match document {
                    Some(under) => merge(under, node, &[]),
                    None => node,
                });
            }
            self.variables = outer;
            if let Some(mut document) = document {
                self.put_in(&mut document, &local, Some(&item.place));
                if let Value::Map(map) = &mut document.value {
                    map.retain(|key, _| !matches!(key.as_str(), "name" | "version") && !key.starts_with("x-"));
                }
                // What this file says itself counts over what it includes.
                root = merge(document, root, &[]);
            }
        }
        Ok(root)
    }

    /// The variables that count for an included file alone: those of its env files, or of the `.env` of its folder.
    fn local(&mut self, item: &Node, around: &Path, folder: &Path) -> surroundings::Local {
        let named = item.get("env_file").filter(|node| !node.is_null());
        let named = named.map(|node| node.list().map_or_else(|| vec![node], |list| list.iter().collect()));
        let mut files = Vec::new();
        for node in named.iter().flatten() {
            let Some(path) = self.evaluated(node) else { continue };
            let file = around.join(&path);
            if !file.exists() {
                self.notes.push(Note::lost(&node.place, format!("the env file `{path}` is not there"), "make it"));
            }
            files.push(file);
        }
        if named.is_none() {
            files.push(folder.join(surroundings::FILE));
        }
        surroundings::add(&files, &mut self.variables, &[])
    }

    /// Puts in variables that only count for a part of the whole, and says which.
    fn put_in(&mut self, node: &mut Node, local: &surroundings::Local, place: Option<&Place>) {
        let used = local.put_into(node);
        if used.is_empty() {
            return;
        }
        let names: Vec<String> = used.into_iter().map(|name| format!("`{name}`")).collect();
        let message =
            format!("the value of {} is written as it is in {} now", names.join(", "), local.shown(&self.here));
        let remedy = "services.toml does not read that file; what .env beside it sets comes first".into();
        self.notes.push(Note { place: place.cloned(), number: None, lost: false, message, remedy });
    }

    /// A service with everything it extends, its paths relative to the folder of the result.
    fn service(
        &mut self,
        path: &Path,
        name: &str,
        base: &Path,
        chain: &mut Vec<(PathBuf, String)>,
    ) -> Result<Node, Diagnostic> {
        let tree = self.tree(path, None)?;
        let Some(mut own) = tree.get("services").and_then(|services| services.get(name)).cloned() else {
            return Err(Diagnostic::error(tree.place.clone(), format!("{} has no service `{name}`", path.display())));
        };
        let extends = match &mut own.value {
            Value::Map(map) => map.shift_remove("extends").map(|entry| entry.node),
            _ => None,
        };
        rebase(&mut own, &relative(&self.folder, base));
        let Some(extends) = extends else { return Ok(own) };
        let step = (path.to_path_buf(), name.to_owned());
        if chain.contains(&step) || chain.len() > MAX_DEPTH {
            return Err(Diagnostic::error(extends.place.clone(), format!("`{name}` extends itself")));
        }
        chain.push(step);
        let target = extends.get("service").unwrap_or(&extends);
        let Some(target_name) = self.evaluated(target) else {
            return Err(Diagnostic::error(extends.place.clone(), "`extends` names no service"));
        };
        let file = extends.get("file").and_then(|file| self.evaluated(file));
        let (file, folder) = match file {
            Some(file) => {
                let file = base.join(file);
                let folder = file.parent().unwrap_or(base).to_path_buf();
                (file, folder)
            }
            None => (path.to_path_buf(), base.to_path_buf()),
        };
        let known = self.tree(&file, Some(&extends.place))?;
        if known.get("services").and_then(|services| services.get(&target_name)).is_none() {
            let message = format!("`{name}` extends `{target_name}`, which doesn't exist");
            return Err(Diagnostic::error(target.place.clone(), message));
        }
        let under = self.service(&file, &target_name, &folder, chain)?;
        Ok(merge(under, own, &["services", name]))
    }
}

/// Refuses more services than a services.toml may have, before anything is done with each.
fn few_enough(root: &Node) -> Result<(), Diagnostic> {
    let Some(services) = root.get("services").and_then(Node::map).filter(|map| map.len() > MAX_SERVICES) else {
        return Ok(());
    };
    let place = services.values().nth(MAX_SERVICES).map(|entry| entry.key.clone());
    let message = format!("{} services are more than the {MAX_SERVICES} that are allowed", services.len());
    Err(Diagnostic::error(place, message).hint("import them in parts: one Compose file per folder"))
}

//! Puts the files of a stack together: services.toml with what overrides it, the files that it includes, and those whose services
//! it extends. How their trees become one is `config`'s.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::found::{canonical, compose_file, is_compose};
use super::reading::Reading;
use super::{LoadOptions, git};
use crate::config::FILE;
use crate::config::decode::{Decode as _, Reader, Spanned};
use crate::config::extend::extend;
use crate::config::forms::OneOrMany;
use crate::config::include::{Include, join};
use crate::config::interpolate::{self, Used};
use crate::config::node::Node;
use crate::config::scope::{Scope, Scopes};
use crate::diag::{Diagnostic, Place, Source};
use crate::resolve::absolute;

/// How many files may include each other in a row.
const MAX_CHAIN: usize = 32;

/// A text with the file that it came from.
pub(super) type Text = (PathBuf, Arc<Source>);

/// A stack's files put together.
pub(super) struct Parts {
    /// The whole tree, before variables are put in.
    pub(super) root: Node,
    /// What is around each file.
    pub(super) scopes: Scopes,
    /// Variables that were used so far.
    pub(super) used: Used,
    /// Every file of the tree.
    pub(super) texts: Vec<Text>,
    /// What could not be carried over from Compose files.
    pub(super) notes: Vec<String>,
}

/// Puts the files together. `own`: services.toml, then what overrides it; `main`: what is around them. None when a file can't be
/// understood, which is reported: anything said about the rest would be guesswork.
pub(super) fn put_together(reading: &mut Reading, options: &LoadOptions, own: Vec<Text>, main: Scope) -> Option<Parts> {
    let mut nodes = Vec::new();
    for (_, source) in &own {
        nodes.extend(Node::parse(source).map_err(|errors| reading.problems.extend(errors)));
    }
    if nodes.is_empty() || nodes.len() < own.len() {
        return None;
    }
    let mut scopes = Scopes::of_main(main);
    scopes.main.define(merged(&nodes, "env").as_ref());
    let chain = own.first().map(|(path, _)| path.clone()).into_iter().collect();
    let home = std::env::home_dir();
    let (used, is_whole, notes) = (Used::default(), true, Vec::new());
    let mut parts = Includer {
        reading,
        options,
        home,
        scopes,
        used,
        texts: own,
        chain,
        included: Vec::new(),
        nodes: Vec::new(),
        notes,
        is_whole,
    };
    if let Some(include) = merged(&nodes, "include") {
        parts.include(include);
    }
    if !parts.is_whole {
        return None;
    }
    let mut nodes = nodes.into_iter();
    let mut root = nodes.next()?;
    for part in std::mem::take(&mut parts.nodes) {
        join(&mut root, part, &parts.scopes, &mut parts.reading.problems);
    }
    nodes.for_each(|over| root.merge(over));
    root.take("include");
    parts.extend(&mut root);
    let Includer { scopes, used, texts, notes, .. } = parts;
    Some(Parts { root, scopes, used, texts, notes })
}

/// What a key at the top holds after the overrides.
fn merged(nodes: &[Node], key: &str) -> Option<Node> {
    let all = nodes.iter().filter_map(|node| node.get(key).cloned());
    all.reduce(|mut under, over| {
        under.merge(over);
        under
    })
}

/// A file that is part of the stack.
struct Included {
    path: PathBuf,
    /// Where it is included.
    place: Place,
    env_files: Vec<PathBuf>,
}

struct Includer<'a> {
    reading: &'a mut Reading,
    options: &'a LoadOptions,
    home: Option<PathBuf>,
    scopes: Scopes,
    used: Used,
    texts: Vec<Text>,
    /// The files that lead to the current one.
    chain: Vec<PathBuf>,
    included: Vec<Included>,
    /// Their trees.
    nodes: Vec<Node>,
    notes: Vec<String>,
    /// Every file could be read.
    is_whole: bool,
}

impl Includer<'_> {
    fn error(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) -> &mut Diagnostic {
        self.is_whole = false;
        self.reading.problems.push(Diagnostic::error(place.clone(), message).hint(hint));
        self.reading.problems.last_mut().expect("one was just pushed")
    }

    /// The files of an `include`.
    fn include(&mut self, mut node: Node) {
        let problems = &mut self.reading.problems;
        interpolate::within_scopes(&mut node, &self.scopes, problems, &mut self.used);
        let mut reader = Reader::new(std::mem::take(problems));
        let items = reader.under("include", |reader| OneOrMany::<Spanned<Include>>::decode(&node, reader));
        self.reading.problems = reader.finish();
        for item in items.unwrap_or_default().0 {
            self.one(&item);
        }
    }

    fn one(&mut self, item: &Spanned<Include>) {
        let spec = &item.value.0;
        let place = spec.path.as_ref().or(spec.git.as_ref()).map_or(&item.place, |written| &written.place);
        let Some((path, within)) = self.find(item, place) else { return };
        let including = self.scopes.of(&item.place).folder.clone();
        let mut env_files = Vec::new();
        for file in &spec.env_file.0 {
            let path = absolute(&including, self.home.as_deref(), file);
            if !path.is_file() {
                let message = format!("the env file `{}` doesn't exist", file.value);
                let hint = "create it, or leave `env_file` out for the `.env` beside the included file";
                self.error(&file.place, message, hint).label = Some(format!("looked at {}", path.display()));
                return;
            }
            env_files.push(path);
        }
        if let Some(at) = self.chain.iter().position(|file| *file == path) {
            let names: Vec<String> =
                self.chain[at..].iter().chain([&path]).map(|file| self.reading.shown(file)).collect();
            self.error(
                place,
                format!("files include each other: {}", names.join(" → ")),
                "remove one of these includes",
            );
            return;
        }
        if self.chain.len() > MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} files include each other in a row");
            self.error(place, message, "include more of them from services.toml itself");
            return;
        }
        if let Some(known) = self.included.iter().find(|known| known.path == path) {
            if known.env_files != env_files {
                let message =
                    format!("{} is included with other env files at {}", self.reading.shown(&path), known.place);
                self.error(place, message, "a file is part of the stack once: give both the same `env_file`");
            }
            return;
        }
        self.included.push(Included { path: path.clone(), place: place.clone(), env_files: env_files.clone() });
        let Some((source, folder)) = self.text(&path, place) else {
            self.is_whole = false;
            return;
        };
        let mut around = self.scopes.main.around.clone();
        self.reading.add_variables(&env_files, &folder, &mut around);
        let is_fetched = within.is_some();
        let within = within.unwrap_or_else(|| folder.clone());
        let file = self.included.len();
        let mut scope = Scope { around, folder, within, file, is_fetched, ..Scope::default() };
        let mut node = match Node::parse(&source) {
            Ok(node) => node,
            Err(errors) => {
                self.reading.problems.extend(errors);
                self.is_whole = false;
                return;
            }
        };
        let env = node.take("env").map(|item| item.node);
        scope.define(env.as_ref());
        if let Some(env) = env {
            scope.share(env, &mut self.reading.problems, &mut self.used);
        }
        self.scopes.add(source.clone(), scope);
        self.texts.push((path.clone(), source));
        let nested = node.take("include");
        self.nodes.push(node);
        if let Some(nested) = nested {
            self.chain.push(path);
            self.include(nested.node);
            self.chain.pop();
        }
    }

    /// The file that is meant, canonical, and the folder that it must not leave, if it is one that was fetched.
    fn find(&mut self, item: &Spanned<Include>, place: &Place) -> Option<(PathBuf, Option<PathBuf>)> {
        let spec = &item.value.0;
        let around = self.scopes.of(&item.place);
        let mut within = around.is_fetched.then(|| around.within.clone());
        let mut base = around.folder.clone();
        if let (Some(url), Some(rev)) = (&spec.git, &spec.rev) {
            match git::commit(url, rev) {
                Ok(folder) => {
                    let name = url.rsplit(['/', ':']).next().unwrap_or_default().trim_end_matches(".git");
                    self.reading.fetched.push((folder.clone(), format!("{name}@{}", &rev[..12])));
                    base.clone_from(&folder);
                    within = Some(folder);
                }
                Err((message, hint)) => {
                    self.error(&url.place, message, hint);
                    return None;
                }
            }
        }
        let written = spec.path.as_ref().map_or(FILE, |path| path.value.as_str());
        let mut path = absolute(&base, self.home.as_deref(), written);
        if path.is_dir() {
            let compose = || self.options.convert.and_then(|_| compose_file(&path));
            let toml = path.join(FILE);
            path = if toml.is_file() { toml } else { compose().unwrap_or(toml) };
        }
        let outside = |within: &PathBuf| !path.starts_with(within) || path.exists() && !is_inside(&path, within);
        if within.as_ref().is_some_and(outside) {
            self.error(place, format!("`{written}` is outside the repository"), "include a file of the repository");
            return None;
        }
        let Some(found) = canonical(&path, &base).filter(|path| path.is_file()) else {
            let hint = match (&spec.git, written) {
                (Some(_), _) => "write its `path` in the repository, at that commit".into(),
                (None, _) => format!("correct the path, which is relative to the folder of {}", place.source.name),
            };
            let label = format!("looked at {}", path.display());
            self.error(place, format!("the included file `{written}` doesn't exist"), hint).label = Some(label);
            return None;
        };
        Some((found, within))
    }

    /// The text of an included file, and the folder that its paths are relative to.
    fn text(&mut self, path: &Path, place: &Place) -> Option<(Arc<Source>, PathBuf)> {
        let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
        let Some(convert) = self.options.convert.filter(|_| is_compose(path)) else {
            return Some((self.reading.toml(path, Some(place))?, folder));
        };
        match convert(&[path.to_path_buf()], &self.reading.here, &[]) {
            Ok(converted) => {
                let name = format!("{} as services.toml", self.reading.shown(path));
                self.reading.files.extend(converted.files);
                self.notes.extend(converted.notes);
                Some((Arc::new(Source { name, text: converted.text }), converted.folder))
            }
            Err(error) if error.diagnostics.is_empty() => {
                self.error(place, error.to_string(), error.hints.first().cloned().unwrap_or_default());
                None
            }
            Err(error) => {
                self.reading.problems.extend(error.diagnostics);
                None
            }
        }
    }

    /// Puts services over those that they extend.
    fn extend(&mut self, root: &mut Node) {
        let (mut problems, mut known) = (Vec::new(), HashMap::new());
        let Self { reading, home, scopes, used, texts, .. } = self;
        let mut read = |file: &Spanned<String>, scopes: &mut Scopes, problems: &mut Vec<Diagnostic>| {
            let around = scopes.of(&file.place).clone();
            let path = absolute(&around.folder, home.as_deref(), file);
            let Some(path) = canonical(&path, &around.folder).filter(|path| path.is_file()) else {
                let message = format!("the file `{}` doesn't exist", file.value);
                let hint = format!("correct the path, which is relative to the folder of {}", file.place.source.name);
                let problem = Diagnostic::error(file.place.clone(), message);
                problems.push(problem.label(format!("looked at {}", path.display())).hint(hint));
                return None;
            };
            if around.is_fetched && !is_inside(&path, &around.within) {
                let message = format!("`{}` is outside the repository", file.value);
                problems
                    .push(Diagnostic::error(file.place.clone(), message).hint("extend a service of the repository"));
                return None;
            }
            let key = (path.clone(), around.file);
            if let Some(known) = known.get(&key) {
                return Option::clone(known);
            }
            let source = reading.toml(&path, Some(&file.place));
            let node = source.and_then(|source| {
                let node = Node::parse(&source).map_err(|errors| problems.extend(errors)).ok()?;
                let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
                let within = if around.is_fetched { around.within.clone() } else { folder.clone() };
                scopes.add(source.clone(), Scope { folder, within, ..around });
                texts.push((path, source));
                Some(Arc::new(node))
            });
            known.insert(key, node.clone());
            node
        };
        extend(root, scopes, &mut read, &mut problems, used);
        self.reading.problems.extend(problems);
    }
}

/// Whether a file is inside a folder after following links.
fn is_inside(path: &Path, folder: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| path.starts_with(folder))
}

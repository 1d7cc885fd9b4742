//! What Compose takes from around its files: the environment, `.env` and other env files, and which files are meant.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::paths::{entries, shown};
use super::template;
use super::yaml::{Node, Value};
use crate::bounded;
use crate::config::{MAX_BYTES, Variables, dotenv};
use crate::diag::Source;

/// The file of variables that is read without being named.
pub(super) const FILE: &str = ".env";

/// The files that `COMPOSE_FILE` names, in the environment or in one of these env files.
pub(super) fn files(env: &[PathBuf], environment: &Variables) -> Vec<String> {
    let mut variables = environment.clone();
    read_own(env, &mut variables);
    let value =
        |name: &str| variables.get(name).map(|variable| variable.value.as_str()).filter(|value| !value.is_empty());
    let separator = value("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
    let files = value("COMPOSE_FILE").into_iter().flat_map(|files| files.split(separator));
    files.filter(|file| !file.is_empty()).map(str::to_owned).collect()
}

/// Adds the variables of `.env`, or of the files that are read instead: a later one comes before an earlier one.
fn read_own(files: &[PathBuf], variables: &mut Variables) {
    for file in files.iter().rev() {
        read(file, FILE, variables);
    }
}

/// Adds the variables of an env file that are not set yet, and returns their names.
fn read(path: &Path, origin: &str, variables: &mut Variables) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(text) = bounded::text(path, MAX_BYTES as u64) {
        let source = Arc::new(Source { name: FILE.into(), text });
        // What can't be read is said by the first command that uses services.toml.
        let (entries, _) = dotenv::parse(&source, variables);
        for entry in entries.into_iter().rev().filter(|entry| variables.get(&entry.name).is_none()).collect::<Vec<_>>()
        {
            variables.add(entry.name.clone(), entry.value, origin);
            names.push(entry.name);
        }
    }
    names
}

/// Variables that services.toml does not see: those of env files that only count for a part of the project.
#[derive(Debug, Default)]
pub(super) struct Local {
    values: IndexMap<String, String>,
    files: Vec<PathBuf>,
}

/// Adds the variables of env files to others, which come first; behind them those of `own`, which services.toml sees.
pub(super) fn add(files: &[PathBuf], variables: &mut Variables, own: &[PathBuf]) -> Local {
    let mut local = Local::default();
    // A later file comes before an earlier one.
    for file in files.iter().rev() {
        let names = read(file, &file.display().to_string(), variables);
        if !names.is_empty() {
            local.files.insert(0, file.clone());
        }
        for name in names {
            let value = variables.get(&name).map(|variable| variable.value.clone());
            local.values.insert(name, value.unwrap_or_default());
        }
    }
    read_own(own, variables);
    local
}

impl Local {
    /// The files they come from, as they are shown.
    pub(super) fn shown(&self, here: &Path) -> String {
        let plain = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        self.files.iter().map(|file| shown(&plain(file), here)).collect::<Vec<_>>().join(", ")
    }

    /// Puts their values into all texts, as defaults: what sets such a variable for everything still comes first. Returns the
    /// names of those that were used.
    pub(super) fn put_into(&self, node: &mut Node) -> BTreeSet<String> {
        let used = RefCell::new(BTreeSet::new());
        let known = |name: &str| {
            let value = self.values.get(name)?.replace('$', "$$");
            used.borrow_mut().insert(name.to_owned());
            Some(if value.is_empty() || value.contains(['{', '}']) { value } else { format!("${{{name}-{value}}}") })
        };
        if !self.values.is_empty() {
            let services = entries(node).and_then(|map| map.get_mut("services"));
            for (_, service) in services.and_then(|services| entries(&mut services.node)).into_iter().flatten() {
                let Some(service) = entries(&mut service.node) else { continue };
                if let Some(environment) = service.get_mut("environment") {
                    passed_on(&mut environment.node, &known);
                }
                let build = service.get_mut("build").and_then(|build| entries(&mut build.node));
                if let Some(args) = build.and_then(|build| build.get_mut("args")) {
                    passed_on(&mut args.node, &known);
                }
            }
            walk(node, &known);
        }
        used.into_inner()
    }
}

/// What is written without a value takes that of a variable.
fn passed_on(pairs: &mut Node, known: &dyn Fn(&str) -> Option<String>) {
    match &mut pairs.value {
        Value::Map(map) => {
            for (name, entry) in map.iter_mut().filter(|(_, entry)| entry.node.is_null()) {
                if let Some(value) = known(name) {
                    entry.node = Node::text(value, &entry.key);
                }
            }
        }
        Value::List(items) => {
            for item in items {
                let Some(name) = item.scalar().filter(|text| !text.contains('=')) else { continue };
                if let Some(value) = known(&name) {
                    *item = Node::text(format!("{name}={value}"), &item.place);
                }
            }
        }
        _ => {}
    }
}

fn walk(node: &mut Node, known: &dyn Fn(&str) -> Option<String>) {
    match &mut node.value {
        Value::Scalar { text, .. } if text.contains('$') => *text = template::fill(text, known),
        Value::List(items) => items.iter_mut().for_each(|item| walk(item, known)),
        Value::Map(map) => map.values_mut().for_each(|entry| walk(&mut entry.node, known)),
        _ => {}
    }
}

//! What the strings of each file refer to: its variables, its shared `[env]`, and the folder that its paths are relative to. A stack
//! is made of several files; each value knows its own.

use std::path::PathBuf;
use std::sync::Arc;

use super::decode::{Decode as _, Reader};
use super::forms::Pairs;
use super::interpolate::{self, Used, Variables};
use super::node::{Node, Value};
use crate::diag::{Diagnostic, Place, Source};

/// What is around one file.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// What `${…}` in its `[env]` can refer to.
    pub around: Variables,
    /// The same for everything else in it: the variables of its `[env]` come last.
    pub variables: Variables,
    /// Its `[env]`, which its own services get.
    pub env: Pairs,
    /// The folder that its paths are relative to, canonical.
    pub folder: PathBuf,
    /// The folder that its paths have to be inside, canonical.
    pub within: PathBuf,
    /// Which file of the stack has these variables: 0 is the main one.
    pub file: usize,
    /// It was fetched: what it names has to be inside `within`, too, and it can't allow itself more.
    pub is_fetched: bool,
}

/// The scopes of all files of a stack.
#[derive(Debug, Clone, Default)]
pub struct Scopes {
    /// That of services.toml and of what overrides it.
    pub main: Scope,
    /// Those of the files that it includes, and of those that services extend.
    others: Vec<(Arc<Source>, Scope)>,
}

impl Scope {
    /// Adds the variables of the file's `[env]`, as it is written.
    pub fn define(&mut self, env: Option<&Node>) {
        let mut env = env.cloned();
        let (mut ignored, mut used) = (Vec::new(), Used::default());
        self.variables = self.around.clone();
        let Some(env) = &mut env else { return };
        interpolate::strings(env, &self.around, &mut ignored, &mut used);
        let Value::Table(table) = &env.value else { return };
        for (name, item) in table {
            if let Some(value) = interpolate::scalar(&item.node) {
                self.variables.add(name, value, format!("[env] {}", item.node.place));
            }
        }
    }

    /// Reads the `[env]` of an included file.
    pub fn share(&mut self, mut env: Node, problems: &mut Vec<Diagnostic>, used: &mut Used) {
        interpolate::strings(&mut env, &self.around, problems, used);
        let mut reader = Reader::new(std::mem::take(problems));
        self.env = reader.under("env", |reader| Pairs::decode(&env, reader)).unwrap_or_default();
        *problems = reader.finish();
    }
}

impl Scopes {
    /// With nothing but the variables of the main file.
    pub fn of_variables(variables: &Variables) -> Self {
        Self::of_main(Scope { around: variables.clone(), variables: variables.clone(), ..Scope::default() })
    }

    /// With the main file alone.
    pub fn of_main(main: Scope) -> Self {
        Self { main, others: Vec::new() }
    }

    /// Adds a file.
    pub fn add(&mut self, source: Arc<Source>, scope: Scope) {
        self.others.push((source, scope));
    }

    /// The scope of what is written at a place; none of what is written in the main file.
    pub fn elsewhere(&self, place: &Place) -> Option<&Scope> {
        self.others.iter().find(|(source, _)| Arc::ptr_eq(source, &place.source)).map(|(_, scope)| scope)
    }

    /// The scope of what is written at a place.
    pub fn of(&self, place: &Place) -> &Scope {
        self.elsewhere(place).unwrap_or(&self.main)
    }
}

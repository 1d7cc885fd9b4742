//! Text → [`Config`]: what services.toml says, with the place of everything. No I/O, no clock, no environment.
//!
//! The steps, in order: `node` parses a text and merges the override into it, `interpolate` puts variables in, `decode`
//! turns the tree into the types of `schema`. All of them collect every problem instead of stopping at the first. What
//! the words mean together (unknown dependencies, duplicate ports, …) is `model::resolve`'s; the plain words of the
//! model (kinds, policies) are shared with it.

pub mod aws;
pub mod decode;
pub mod describe;
pub mod dotenv;
pub mod forms;
pub mod interpolate;
pub mod node;
pub mod scalars;
pub mod schema;

use std::sync::Arc;

pub use interpolate::Variables;
pub use schema::Config;

use crate::diag::{Diagnostic, Severity, Source};
use decode::{Decode, Reader};
use node::{Node, Value};

/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most services in one stack.
pub const MAX_SERVICES: usize = 500;

/// Parses services.toml and the override files that follow it, later ones winning key by key. `variables` are what the
/// surroundings offer to `${…}`; the file's own `[env]` comes after them.
///
/// Always returns what could be understood; the diagnostics tell whether it can be used.
pub fn parse(files: &[Arc<Source>], variables: &Variables) -> (Config, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut root: Option<Node> = None;
    for file in files {
        match Node::parse(file) {
            Ok(node) => match &mut root {
                Some(root) => root.merge(node),
                None => root = Some(node),
            },
            Err(errors) => problems.extend(errors),
        }
    }
    // With a syntax error anything said about the rest would be guesswork.
    let Some(mut root) = root.filter(|_| problems.is_empty()) else { return (Config::default(), problems) };
    interpolate::document(&mut root, variables, &mut problems);
    let mut reader = Reader::new(problems);
    let config = Config::decode(&root, &mut reader).unwrap_or_default();
    let mut problems = reader.finish();
    if config.services.len() > MAX_SERVICES {
        let place = config.services.values().nth(MAX_SERVICES).map(|service| service.key.clone());
        let message = format!("{} services are more than the {MAX_SERVICES} that are allowed", config.services.len());
        problems.push(Diagnostic::error(place, message));
    }
    if config.services.is_empty() && !problems.iter().any(|problem| problem.severity == Severity::Error) {
        let place = matches!(root.value, Value::Table(_)).then(|| root.place.clone());
        let hint = "add one: `[services.redis]` with `kind = \"redis\"`, or start with `taskava dev init`";
        problems.push(Diagnostic::error(place, "no services are declared").hint(hint));
    }
    (config, problems)
}

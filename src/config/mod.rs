//! Text → [`Config`]: what services.toml says, with the place of everything. No I/O, no clock, no environment.
//!
//! The steps, in order: `node` parses a text and merges the override into it, `include` and `extend` add what other files say,
//! `interpolate` puts variables in, `decode` turns the tree into the types of `schema`. All of them collect every problem instead of stopping at the first. What
//! the words mean together (unknown dependencies, duplicate ports, …) is `resolve`'s; the plain words of the
//! model (kinds, policies) are shared with it.

pub mod aws;
pub mod decode;
pub mod describe;
pub mod dotenv;
pub mod extend;
pub mod forms;
pub mod hooks;
pub mod include;
pub mod interpolate;
pub mod lockfile;
pub mod mounts;
pub mod node;
mod options;
pub mod ports;
pub mod scalars;
pub mod schema;
pub mod scope;
pub(crate) mod template;
pub mod words;

use std::sync::Arc;

pub use interpolate::Variables;
pub use schema::Config;

use crate::diag::{Diagnostic, Severity, Source};
use decode::{Decode, Reader};
use interpolate::Used;
use node::{Node, Value};
use scope::Scopes;

/// The file that describes a stack.
pub const FILE: &str = "services.toml";
/// The names of files that a stack can be made from: that, and those that docker compose looks for, best first.
pub const STACK_FILES: [&str; 5] = [FILE, "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Largest file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most services in one stack.
pub const MAX_SERVICES: usize = 500;

/// Parses services.toml and the override files that follow it, later ones winning key by key. `variables` are what the
/// surroundings offer to `${…}`; the file's own `[env]` comes after them. Files that it includes or extends are not read: that is
/// `load`'s, which puts the parts together for [`understand`].
///
/// Always returns what could be understood; the diagnostics tell whether it can be used.
pub fn parse(files: &[Arc<Source>], variables: &Variables) -> (Config, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let nodes = files.iter().filter_map(|file| Node::parse(file).map_err(|errors| problems.extend(errors)).ok());
    let root = nodes.collect::<Vec<_>>().into_iter().reduce(|mut root, over| {
        root.merge(over);
        root
    });
    // With a syntax error anything said about the rest would be guesswork.
    let Some(mut root) = root.filter(|_| problems.is_empty()) else { return (Config::default(), problems) };
    let mut scopes = Scopes::of_variables(variables);
    scopes.main.define(root.get("env"));
    let used = &mut Used::default();
    extend::extend(&mut root, &mut scopes, &mut |_, _, _| None, &mut problems, used);
    understand(root, &scopes, problems, used)
}

/// The tree of a whole stack → [`Config`]. `problems`: what was found so far. Adds the variables that are used to `used`.
pub fn understand(
    mut root: Node,
    scopes: &Scopes,
    mut problems: Vec<Diagnostic>,
    used: &mut Used,
) -> (Config, Vec<Diagnostic>) {
    interpolate::document(&mut root, scopes, &mut problems, used);
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
        let hint = "add one: `[services.redis]` with `kind = \"redis\"`";
        problems.push(Diagnostic::error(place, "no services are declared").hint(hint));
    }
    (config, problems)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resolve::{ResolveContext, resolve};

    const EVERYTHING: &str = include_str!("../../tests/fixtures/ok/everything/services.toml");

    /// Parses and resolves, and looks at every place that is named.
    fn understand(text: String) -> usize {
        let source = Arc::new(Source { name: "services.toml".into(), text });
        let (config, mut problems) = parse(&[source], &Variables::default());
        resolve(&config, &ResolveContext::default(), &mut problems);
        problems.iter().filter_map(|problem| problem.place.as_ref()).map(|place| place.to_string().len()).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn nothing_that_is_written_makes_it_panic(at in 0..EVERYTHING.len(), length in 0..40_usize, put in r#"[\[\]{}"'$:\-=.,0-9a-zä/\n ]{0,12}"#) {
            let boundary = |at: usize| (at..EVERYTHING.len()).find(|at| EVERYTHING.is_char_boundary(*at)).unwrap_or(EVERYTHING.len());
            let (start, end) = (boundary(at), boundary(at + length));
            understand(format!("{}{put}{}", &EVERYTHING[..start], &EVERYTHING[end.max(start)..]));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            understand(text);
        }
    }

    #[test]
    fn an_override_wins_key_by_key() {
        let file = |name: &str, text: &str| Arc::new(Source { name: name.into(), text: text.into() });
        let base = file("a.toml", "[services.x]\nimage = \"x:1\"\nprofiles = [\"p\"]\nenv = { A = \"1\", B = \"2\" }");
        let over = file(
            "b.toml",
            "[services.x]\nimage = \"x:2\"\nprofiles = []\n[services.x.env]\nB = \"3\"\nC = \"4\"\n[services.y]\nimage = \"y\"",
        );
        let (config, problems) = parse(&[base, over], &Variables::default());
        assert_eq!(problems, []);
        let service = &config.services["x"];
        let image = service.image.as_ref().unwrap();
        assert_eq!((image.value.as_str(), image.place.to_string()), ("x:2", "b.toml:2:9".to_owned()));
        assert_eq!(image.story, ["overrides a.toml:2:9"]);
        assert!(service.profiles.is_empty(), "lists are replaced");
        let env: Vec<_> = service.env.0.iter().map(|(name, value)| (name.as_str(), value.value.0.as_str())).collect();
        assert_eq!(env, [("A", "1"), ("B", "3"), ("C", "4")]);
        assert!(config.services.contains_key("y"));
    }
}

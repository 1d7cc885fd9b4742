//! The text of services.lock: a digest for each image. Written so that two versions are easy to compare; every mistake
//! is reported with its place.

use std::sync::Arc;

use super::node::{Item, Node, Value};
use crate::diag::{Diagnostic, Source};
use crate::model::{Pins, pins};

/// The only version there is.
const VERSION: i64 = 1;

/// Reads the text. What it says counts only when nothing is wrong with it.
pub fn parse(source: &Arc<Source>) -> (Pins, Vec<Diagnostic>) {
    let root = match Node::parse(source) {
        Ok(root) => root,
        Err(problems) => return (Pins::new(), problems),
    };
    let mut problems = Vec::new();
    let Value::Table(keys) = &root.value else { return (Pins::new(), problems) };
    match keys.get("version").map(|item| &item.node) {
        Some(Node { value: Value::Integer(VERSION), .. }) => {}
        Some(node) => {
            let message = format!("unknown version of the file; the supported one is {VERSION}");
            problems.push(Diagnostic::error(node.place.clone(), message).hint("update it with: taskava dev lock"));
        }
        None => problems.push(Diagnostic::error(None, format!("{}: `version` is missing", source.name))),
    }
    for (key, item) in keys.iter().filter(|(key, _)| !matches!(key.as_str(), "version" | "images")) {
        problems.push(Diagnostic::error(item.key.clone(), format!("unknown key `{key}`")));
    }
    let mut found = Pins::new();
    match keys.get("images").map(|item| &item.node) {
        Some(Node { value: Value::Table(images), .. }) => {
            for (reference, item) in images {
                found.extend(pin(item, &mut problems).map(|digest| (reference.clone(), digest)));
            }
        }
        Some(node) => problems.push(Diagnostic::error(node.place.clone(), "`images` has to be a table")),
        None => {}
    }
    (found, problems)
}

fn pin(item: &Item, problems: &mut Vec<Diagnostic>) -> Option<String> {
    match &item.node.value {
        Value::String(digest) if pins::is_digest(digest) => Some(digest.clone()),
        _ => {
            let problem = Diagnostic::error(item.node.place.clone(), "this is not a digest");
            problems.push(problem.hint("a digest is `repository@sha256:` and 64 hexadecimal digits"));
            None
        }
    }
}

/// The text: sorted, one line an image.
pub fn render(pins: &Pins) -> String {
    let mut text = format!(
        "# Written by `taskava dev lock`; `taskava dev up --frozen` uses exactly these images.\nversion = {VERSION}\n\n[images]\n"
    );
    for (reference, digest) in pins {
        text.push_str(&format!("{reference:?} = {digest:?}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Pins, Vec<String>) {
        let source = Arc::new(Source { name: "services.lock".into(), text: text.into() });
        let (pins, problems) = parse(&source);
        let said = |problem: Diagnostic| {
            let place = problem.place.map(|place| format!("{place}: ")).unwrap_or_default();
            place + &problem.message
        };
        (pins, problems.into_iter().map(said).collect())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let digest = format!("host:5000/b@sha256:{}", "0a".repeat(32));
        let pins = Pins::from([("z:1".to_owned(), digest.clone()), ("host:5000/b:2".to_owned(), digest)]);
        let text = render(&pins);
        assert!(text.find("host:5000").unwrap() < text.find("\"z:1\"").unwrap(), "sorted:\n{text}");
        assert_eq!(read(&text), (pins, Vec::new()));
        assert_eq!(read(&render(&Pins::new())), (Pins::new(), Vec::new()));
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, expected) in [
            ("version = 1\n[images]\n\"a:1\" = \"a@sha256:00\"", "services.lock:3:9: this is not a digest"),
            ("version = 2", "services.lock:1:11: unknown version of the file; the supported one is 1"),
            ("images = 3\nversion = 1", "services.lock:1:10: `images` has to be a table"),
            ("version = 1\nimage = {}", "services.lock:2:1: unknown key `image`"),
            ("", "services.lock: `version` is missing"),
        ] {
            assert_eq!(read(text).1, [expected], "{text}");
        }
        assert!(read("version = 1\n[images\n").1[0].starts_with("services.lock:2:"));
    }
}

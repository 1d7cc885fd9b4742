//! How Compose merges two files or services: mappings key by key, most lists are appended, and the exceptions.

use indexmap::IndexMap;

use super::yaml::{Entry, MergeTag, Node, Value};

/// What is done with a key that both sides have.
enum Rule {
    /// The later one counts alone.
    Replace,
    /// `NAME=value` lists are mappings written differently.
    Pairs(&'static [char]),
    /// Lists of names are mappings without values.
    Names,
    /// A text is a list of one.
    List,
    /// Items with the same target replace each other.
    ByTarget,
    /// A text is a mapping with this one key.
    Short(&'static str),
    /// Whatever it is: mappings merge, lists are joined, texts are replaced.
    Plain,
}

/// Puts a value over another; `path` says where in the document they are.
pub(super) fn merge(under: Node, over: Node, path: &[&str]) -> Node {
    if over.tag == Some(MergeTag::Override) {
        return Node { tag: None, ..over };
    }
    if over.is_null() && over.tag.is_none() {
        return under;
    }
    match rule(path) {
        Rule::Replace => over,
        Rule::Pairs(separators) => maps(pairs(under, separators), pairs(over, separators), path),
        Rule::Names => maps(names(under), names(over), path),
        Rule::List => joined(listed(under), listed(over), identity),
        Rule::ByTarget => joined(listed(under), listed(over), target),
        Rule::Short(key) => maps(short(under, key), short(over, key), path),
        Rule::Plain if path.last() == Some(&"logging") && driver(&under) != driver(&over) => over,
        Rule::Plain => maps(under, over, path),
    }
}

fn rule(path: &[&str]) -> Rule {
    let inside = match path {
        ["services", _, rest @ ..] => rest,
        _ => &[],
    };
    match inside {
        ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
        ["environment" | "labels" | "annotations" | "sysctls"]
        | ["build", "args" | "labels" | "additional_contexts"]
        | ["deploy", "labels"] => Rule::Pairs(&['=']),
        ["extra_hosts"] | ["build", "extra_hosts"] => Rule::Pairs(&['=', ':']),
        ["depends_on" | "networks"] => Rule::Names,
        ["dns" | "dns_search" | "dns_opt" | "tmpfs" | "env_file" | "label_file"] => Rule::List,
        ["volumes" | "ports" | "secrets" | "configs"] => Rule::ByTarget,
        ["build"] => Rule::Short("context"),
        _ => Rule::Plain,
    }
}

fn maps(under: Node, over: Node, path: &[&str]) -> Node {
    match (under.value, over.value) {
        (Value::Map(mut map), Value::Map(changes)) => {
            for (key, entry) in changes {
                if entry.node.tag == Some(MergeTag::Reset) {
                    map.shift_remove(&key);
                    continue;
                }
                let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                match map.get_mut(&key) {
                    Some(existing) => {
                        let before = std::mem::replace(&mut existing.node, Node::text("", &existing.key));
                        let keeps = entry.node.is_null();
                        existing.node = merge(before, entry.node, &path);
                        if !keeps {
                            existing.key = entry.key;
                        }
                    }
                    None => {
                        map.insert(key, entry);
                    }
                }
            }
            Node { value: Value::Map(map), place: under.place, tag: None }
        }
        (under_value @ Value::List(_), over_value @ Value::List(_)) => joined(
            Node { value: under_value, place: under.place, tag: None },
            Node { value: over_value, place: over.place, tag: None },
            identity,
        ),
        (_, value) => Node { value, place: over.place, tag: None },
    }
}

/// Two lists, one after the other; an item that says the same as an earlier one takes its place.
fn joined(under: Node, over: Node, same: fn(&Node) -> Option<String>) -> Node {
    let (Value::List(mut items), Value::List(more)) = (under.value, over.value) else {
        return Node { tag: None, ..under_place(over.place) };
    };
    for item in more {
        let id = same(&item);
        match items.iter().position(|other| id.is_some() && same(other) == id) {
            Some(at) => items[at] = item,
            None => items.push(item),
        }
    }
    Node { value: Value::List(items), place: under.place, tag: None }
}

fn under_place(place: crate::diag::Place) -> Node {
    Node { value: Value::Null, place, tag: None }
}

fn identity(node: &Node) -> Option<String> {
    node.scalar()
}

/// Where a mount, port, secret or config ends up.
fn target(node: &Node) -> Option<String> {
    if node.map().is_some() {
        let target = node.get("target").or_else(|| node.get("source")).and_then(Node::scalar)?;
        let published = node.get("published").and_then(Node::scalar).unwrap_or_default();
        return Some(format!("{target} {published}"));
    }
    let text = node.scalar()?;
    let parts = super::template::split(&text, ':');
    Some(match parts[..] {
        [source, target, ..] if source.starts_with(['.', '/', '~', '$']) || target.starts_with('/') => {
            format!("{target} ")
        }
        [only] if only.starts_with('/') => format!("{only} "),
        _ => text,
    })
}

fn driver(node: &Node) -> Option<String> {
    node.get("driver").and_then(Node::scalar)
}

fn short(node: Node, key: &str) -> Node {
    match node.value {
        Value::Scalar { .. } => {
            let place = node.place.clone();
            let entry = Entry { key: place.clone(), node };
            Node { value: Value::Map(IndexMap::from([(key.to_owned(), entry)])), place, tag: None }
        }
        _ => node,
    }
}

fn listed(node: Node) -> Node {
    match node.value {
        Value::List(_) => node,
        Value::Null => Node { value: Value::List(Vec::new()), ..node },
        _ => {
            let place = node.place.clone();
            Node { value: Value::List(vec![node]), place, tag: None }
        }
    }
}

fn names(node: Node) -> Node {
    let Value::List(items) = node.value else { return node };
    let entry = |item: Node| {
        let name = item.scalar()?;
        Some((name, Entry { key: item.place.clone(), node: Node { value: Value::Null, place: item.place, tag: None } }))
    };
    Node { value: Value::Map(items.into_iter().filter_map(entry).collect()), place: node.place, tag: node.tag }
}

/// `["A=b", "C"]` as a mapping.
pub(super) fn pairs(node: Node, separators: &[char]) -> Node {
    let Value::List(items) = node.value else { return node };
    let entry = |item: Node| {
        let text = item.scalar()?;
        let place = item.place.clone();
        let (name, value) = match text.find(separators) {
            Some(at) => (text[..at].to_owned(), Node::text(&text[at + 1..], &place)),
            None => (text, Node { value: Value::Null, place: place.clone(), tag: None }),
        };
        Some((name, Entry { key: place, node: value }))
    };
    Node { value: Value::Map(items.into_iter().filter_map(entry).collect()), place: node.place, tag: node.tag }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::compose::yaml::parse;
    use crate::diag::Source;

    fn service(text: &str) -> Node {
        parse(&Arc::new(Source { name: "c".into(), text: text.into() })).expect("it is YAML").0
    }

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".into(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Map(map) => {
                let entries = map.iter().map(|(key, entry)| format!("{key}={}", show(&entry.node)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn each_key_by_its_rule() {
        for (under, over, merged) in [
            ("{image: a, init: true}", "{image: b}", "{image=b init=true}"),
            ("{command: [a, b]}", "{command: [c]}", "{command=[c]}"),
            ("{environment: [A=1, B=2]}", "{environment: {B: 3, C: 4}}", "{environment={A=1 B=3 C=4}}"),
            ("{ports: ['80:80']}", "{ports: ['80:80', '81:81']}", "{ports=[80:80 81:81]}"),
            ("{volumes: ['./a:/x', 'v:/y']}", "{volumes: ['./b:/x:ro']}", "{volumes=[./b:/x:ro v:/y]}"),
            ("{depends_on: [a]}", "{depends_on: {b: {condition: x}}}", "{depends_on={a=null b={condition=x}}}"),
            ("{build: .}", "{build: {target: dev}}", "{build={context=. target=dev}}"),
            ("{env_file: a.env}", "{env_file: [b.env]}", "{env_file=[a.env b.env]}"),
            ("{ports: ['80:80']}", "{ports: !override ['81:81']}", "{ports=[81:81]}"),
            ("{ports: ['80:80'], init: true}", "{ports: !reset []}", "{init=true}"),
            ("{extra_hosts: ['a:1.1.1.1']}", "{extra_hosts: ['a=2.2.2.2']}", "{extra_hosts={a=2.2.2.2}}"),
            ("{logging: {driver: a, options: {x: 1}}}", "{logging: {driver: b}}", "{logging={driver=b}}"),
            ("{deploy: {replicas: 1}}", "{deploy: }", "{deploy={replicas=1}}"),
        ] {
            assert_eq!(show(&merge(service(under), service(over), &["services", "x"])), merged, "{under} {over}");
        }
    }
}

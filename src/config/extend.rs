//! `extends`: puts a service over the one that it builds on, as services.local.toml is put over services.toml. Reading other files
//! is up to `load`.

use std::sync::Arc;

use super::decode::{Decode, Reader, Spanned, table};
use super::describe::Shape;
use super::interpolate::{self, Used};
use super::node::{Item, Node, Value};
use super::scope::Scopes;
use crate::diag::{Diagnostic, Place, Source, similar};

/// How many services may build on each other in a row.
const MAX_CHAIN: usize = 32;

table! {
    /// The service that a service builds on: everything it says counts, unless the service says something else. As in services.local.toml, tables are merged key by key, and everything else is replaced.
    ExtendsSpec "Extends" {
        /// The file that has it, relative to the file this is written in; it need not be a stack. Its variables are those of the file that extends it, its paths are relative to its own folder.
        file: Option<Spanned<String>>, default "the stack itself", example r#"file = "common.toml""#;
        /// Its name.
        service: Option<Spanned<String>>, default "*required*", example r#"service = "base""#;
    }
}

/// `extends` in either form.
#[derive(Debug, Clone)]
pub struct Extends {
    /// The file that has the service; none if the stack does.
    pub file: Option<Spanned<String>>,
    /// The service.
    pub service: Spanned<String>,
}

impl Decode for Extends {
    fn decode(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::String(_) => Some(Self { file: None, service: Spanned::decode(node, reader)? }),
            Value::Table(_) => {
                let ExtendsSpec { file, service } = ExtendsSpec::decode(node, reader)?;
                if service.is_none() {
                    reader.error(&node.place, "`service` is missing").hint = Some("name it: service = \"base\"".into());
                }
                Some(Self { file, service: service? })
            }
            _ => {
                reader.wrong::<Self>(node);
                None
            }
        }
    }
    fn shape() -> Shape {
        Shape::Any(vec![Shape::Text("a service"), ExtendsSpec::shape()])
    }
}

/// Reads a file that a service extends, and adds its scope; a failure has been reported.
pub type ReadBase<'a> = &'a mut dyn FnMut(&Spanned<String>, &mut Scopes, &mut Vec<Diagnostic>) -> Option<Arc<Node>>;

/// Puts every service over the one that it extends.
pub fn extend(
    root: &mut Node,
    scopes: &mut Scopes,
    read: ReadBase<'_>,
    problems: &mut Vec<Diagnostic>,
    used: &mut Used,
) {
    let has = |item: &Item| item.node.get("extends").is_some();
    let Some(Value::Table(services)) = root.get("services").map(|services| &services.value) else { return };
    let extending: Vec<String> = services.iter().filter(|(_, item)| has(item)).map(|(name, _)| name.clone()).collect();
    if extending.is_empty() {
        return;
    }
    let mut extender = Extender { scopes, read, problems, used };
    let mut whole = Vec::new();
    for name in extending {
        if let Some(item) = services.get(&name) {
            whole.push((name.clone(), extender.service(root, &name, &item.node, &mut Vec::new())));
        }
    }
    for (name, node) in whole {
        if let Some(place) = root.get_mut("services").and_then(|services| services.get_mut(&name)) {
            *place = node;
        }
    }
}

/// A service: the file that has it, and its name.
type Step = (Arc<Source>, String);

struct Extender<'a> {
    scopes: &'a mut Scopes,
    read: ReadBase<'a>,
    problems: &'a mut Vec<Diagnostic>,
    used: &'a mut Used,
}

impl Extender<'_> {
    /// A service of a tree with all that it extends.
    fn service(&mut self, tree: &Node, name: &str, own: &Node, chain: &mut Vec<Step>) -> Node {
        let Some(mut extends) = own.get("extends").cloned() else { return own.clone() };
        interpolate::within_scopes(&mut extends, self.scopes, self.problems, self.used);
        let mut reader = Reader::new(std::mem::take(self.problems));
        let decode = |reader: &mut Reader| {
            reader.under(name, |reader| reader.under("extends", |reader| Extends::decode(&extends, reader)))
        };
        let spec = reader.under("services", decode);
        *self.problems = reader.finish();
        // Where something is wrong with it, the key stays: what else is missing may be a consequence.
        let Some(Extends { file, service }) = spec else { return own.clone() };
        chain.push((tree.place.source.clone(), name.to_owned()));
        let read = match &file {
            Some(file) => match (self.read)(file, self.scopes, self.problems) {
                Some(read) => Some(read),
                None => {
                    chain.pop();
                    return own.clone();
                }
            },
            None => None,
        };
        let base = read.as_deref().unwrap_or(tree);
        let base = self.base(base, name, &service, chain);
        chain.pop();
        let Some(mut base) = base else { return own.clone() };
        let (mut own, place) = (own.clone(), own.place.clone());
        own.take("extends");
        base.merge(own);
        base.place = place;
        base
    }

    /// The service of a tree that is extended, with all that it extends itself.
    fn base(&mut self, tree: &Node, name: &str, wanted: &Spanned<String>, chain: &mut Vec<Step>) -> Option<Node> {
        let source = &tree.place.source;
        let Some(Value::Table(services)) = tree.get("services").map(|services| &services.value) else {
            let message = format!("{} has no services", source.name);
            self.error(&wanted.place, message, format!("declare it there: [services.{}]", wanted.value));
            return None;
        };
        let Some(item) = services.get(&wanted.value) else {
            let others = services.keys().map(String::as_str).filter(|other| *other != name);
            let hint = match similar(wanted, others.clone()) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None => format!("services: {}", others.collect::<Vec<_>>().join(", ")),
            };
            self.error(&wanted.place, format!("`{name}` extends `{}`, which doesn't exist", wanted.value), hint);
            return None;
        };
        let is_step = |step: &&Step| Arc::ptr_eq(&step.0, source) && step.1 == wanted.value;
        if chain.iter().any(|step| is_step(&step)) {
            let names = chain.iter().skip_while(|step| !is_step(step)).map(|(_, name)| name.as_str());
            let path: Vec<&str> = names.chain([wanted.value.as_str()]).collect();
            let message = format!("services extend each other: {}", path.join(" → "));
            self.error(&wanted.place, message, "one of them must not extend another");
            return None;
        }
        if chain.len() > MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} services extend each other in a row");
            self.error(&wanted.place, message, "let more of them extend the first one itself");
            return None;
        }
        Some(self.service(tree, &wanted.value, &item.node, chain))
    }

    fn error(&mut self, place: &Place, message: String, hint: impl Into<String>) {
        self.problems.push(Diagnostic::error(place.clone(), message).hint(hint));
    }
}

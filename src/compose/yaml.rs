//! YAML text → a tree in which every key and value knows its place; aliases and `<<` are put in. Comments are kept beside
//! the tree, by line. What the words mean is `import`'s.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span};
use indexmap::IndexMap;

use crate::diag::{Diagnostic, Lines, Place, Source};

/// Most values that aliases may multiply a document into.
const MAX_NODES: usize = 100_000;

/// A value and where it is written.
#[derive(Debug, Clone)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub place: Place,
    /// Compose's `!reset` and `!override`, which only mean something while files are merged.
    pub tag: Option<MergeTag>,
}

/// What a tag says about merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeTag {
    /// Takes the value away.
    Reset,
    /// Replaces instead of merging.
    Override,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing: `null`, `~` or no value at all.
    Null,
    /// A text, number or boolean; `plain` when it is written without quotes.
    Scalar {
        /// The text.
        text: String,
        /// Whether it is written without quotes.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(IndexMap<String, Entry>),
}

/// What a mapping holds under one key.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where the key is written.
    pub key: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A text that is written nowhere in this form, at the place of what it was made from.
    pub fn text(text: impl Into<String>, place: &Place) -> Self {
        Self { value: Value::Scalar { text: text.into(), plain: false }, place: place.clone(), tag: None }
    }

    /// What a mapping holds under a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.map().and_then(|map| map.get(key)).map(|entry| &entry.node)
    }

    /// The mapping, if it is one.
    pub fn map(&self) -> Option<&IndexMap<String, Entry>> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// The items, if it is a sequence.
    pub fn list(&self) -> Option<&[Self]> {
        if let Value::List(list) = &self.value { Some(list) } else { None }
    }

    /// The text of a scalar, as it is written.
    pub fn raw(&self) -> Option<&str> {
        if let Value::Scalar { text, .. } = &self.value { Some(text) } else { None }
    }

    /// The text of a scalar as Compose understands it: numbers without quotes are numbers (`1.10` is `1.1`).
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(number(text).unwrap_or_else(|| text.clone())),
            Value::Scalar { text, plain: false } => Some(text.clone()),
            _ => None,
        }
    }

    /// A boolean, written as YAML 1.2 has it.
    pub fn boolean(&self) -> Option<bool> {
        match self.raw()? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Null | Value::Scalar { .. } => 1,
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(map) => 1 + map.values().map(|entry| entry.node.size()).sum::<usize>(),
        }
    }
}

/// The text Go gives to what it reads as a number: YAML's octal and hexadecimal become decimal, floats lose their zeros.
fn number(text: &str) -> Option<String> {
    let digits = text.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return match text {
            "True" | "TRUE" => Some("true".into()),
            "False" | "FALSE" => Some("false".into()),
            _ => None,
        };
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let plain = digits.replace('_', "");
    let radix = |prefix: &str, radix: u32| {
        let number = plain.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
        u64::from_str_radix(number, radix).ok().map(|number| format!("{sign}{number}"))
    };
    if let Some(decimal) =
        radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)).or_else(|| radix("0", 8))
    {
        return Some(decimal);
    }
    if let Ok(integer) = plain.parse::<u64>() {
        return Some(format!("{sign}{integer}"));
    }
    let is_float = plain.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    let float =
        plain.parse::<f64>().ok().filter(|float| is_float && (*float == 0.0 || (1e-4..1e21).contains(float)))?;
    Some(format!("{sign}{float}"))
}

/// The comments of one text: line → comment.
pub type Comments = BTreeMap<usize, Comment>;

/// One comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Column it begins in.
    pub column: usize,
    /// Its text, with the `#`.
    pub text: String,
    /// Nothing else is on its line.
    pub own_line: bool,
}

/// Parses the only document of a text.
#[cfg(test)]
pub(super) fn parse(source: &Arc<Source>) -> Result<(Node, Comments), Diagnostic> {
    let (documents, comments) = parse_all(source)?;
    Ok((documents.into_iter().next().expect("there is one"), comments))
}

/// Parses the documents of a text.
///
/// # Errors
/// With a syntax error, a key that appears twice, or aliases that multiply without bound.
pub fn parse_all(source: &Arc<Source>) -> Result<(Vec<Node>, Comments), Diagnostic> {
    let mut events = Vec::new();
    let mut comments = Comments::new();
    let lines = Lines::of(source);
    for next in Parser::new_from_str(&source.text) {
        let (event, span) = next.map_err(|error| {
            let at = error.marker().byte_offset().unwrap_or(0).min(source.text.len());
            let end = source.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
            let place = Place { source: source.clone(), span: at..end };
            Diagnostic::error(place, format!("not YAML: {}", error.info()))
        })?;
        match event {
            Event::Comment(text, _) => {
                let start = span.start.byte_offset().unwrap_or(0);
                let (line, column) = lines.line_column(start);
                let before = source.text[..start].rsplit('\n').next().unwrap_or_default();
                let text = format!("#{}", text.trim_end());
                comments.insert(line, Comment { column, text, own_line: before.trim().is_empty() });
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => events.push((event, span)),
        }
    }
    let mut builder = Builder { source, events: events.into_iter(), anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.events.next() {
        documents.push(builder.node(event, &span)?);
    }
    Ok((documents, comments))
}

struct Builder<'a, 'i> {
    source: &'a Arc<Source>,
    events: std::vec::IntoIter<(Event<'i>, Span)>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'i> Builder<'_, 'i> {
    fn place(&self, span: &Span) -> Place {
        let length = self.source.text.len();
        let range = span.byte_range().unwrap_or(0..0);
        Place { source: self.source.clone(), span: range.start.min(length)..range.end.min(length) }
    }

    fn node(&mut self, event: Event<'i>, span: &Span) -> Result<Node, Diagnostic> {
        let mut place = self.place(span);
        let merge = event.tag().and_then(|tag| match tag.suffix() {
            "reset" => Some(MergeTag::Reset),
            "override" => Some(MergeTag::Override),
            _ => None,
        });
        let is_text = event.tag().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        let anchor = event.anchor_id().unwrap_or(0);
        let value = match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain && !is_text;
                match &*text {
                    "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
                    _ => Value::Scalar { text: text.into_owned(), plain },
                }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.events.next() {
                        None | Some((Event::SequenceEnd, _)) => break,
                        Some((event, span)) => items.push(self.node(event, &span)?),
                    }
                }
                Value::List(items)
            }
            Event::MappingStart(..) => self.mapping()?,
            Event::Alias(id) => {
                let target = self.anchors.get(&id).cloned();
                let target =
                    target.ok_or_else(|| Diagnostic::error(place.clone(), "an alias inside its own anchor"))?;
                self.nodes += target.size();
                if self.nodes > MAX_NODES {
                    return Err(Diagnostic::error(place, "its aliases make it too large"));
                }
                place = target.place;
                target.value
            }
            _ => Value::Null,
        };
        let node = Node { value, place, tag: merge };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// The entries of a mapping. What `<<` brings counts where the mapping itself is silent.
    fn mapping(&mut self) -> Result<Value, Diagnostic> {
        let mut own: IndexMap<String, Entry> = IndexMap::new();
        let mut merged = Vec::new();
        while let Some((event, span)) = self.events.next().filter(|(event, _)| *event != Event::MappingEnd) {
            let key = self.node(event, &span)?;
            let Some((event, span)) = self.events.next() else { break };
            let node = self.node(event, &span)?;
            let Some(name) = key.raw().map(str::to_owned).or_else(|| key.is_null().then(|| "null".into())) else {
                return Err(Diagnostic::error(key.place, "a key has to be a plain word"));
            };
            if name == "<<" && matches!(key.value, Value::Scalar { plain: true, .. }) {
                merged.push((own.len(), node));
            } else if own.contains_key(&name) {
                return Err(Diagnostic::error(key.place, format!("`{name}` appears twice")));
            } else {
                own.insert(name, Entry { key: key.place, node });
            }
        }
        // Backwards, so that positions stay true.
        for (position, node) in merged.into_iter().rev() {
            let maps = match node.value {
                Value::Map(map) => vec![map],
                Value::List(items) => items
                    .into_iter()
                    .filter_map(|item| if let Value::Map(map) = item.value { Some(map) } else { None })
                    .collect(),
                _ => return Err(Diagnostic::error(node.place, "`<<` takes a mapping or a list of them")),
            };
            let mut at = position;
            for (name, entry) in maps.into_iter().flatten() {
                if !own.contains_key(&name) {
                    own.shift_insert(at, name, entry);
                    at += 1;
                }
            }
        }
        Ok(Value::Map(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Node, Comments) {
        parse(&Arc::new(Source { name: "compose.yml".into(), text: text.into() })).expect("it is YAML")
    }

    #[test]
    fn merges_and_aliases_are_put_in() {
        let (root, _) = read("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: own\nd: *b\n");
        let c = root.get("c").expect("c");
        let values: Vec<_> = c
            .map()
            .expect("a map")
            .iter()
            .map(|(key, entry)| (key.as_str(), entry.node.scalar().unwrap_or_default()))
            .collect();
        assert_eq!(values, [("y", "2".into()), ("z", "4".into()), ("x", "own".to_owned())]);
        assert_eq!(root.get("d").and_then(|d| d.get("z")).and_then(Node::scalar).as_deref(), Some("4"));
        let place = &c.map().expect("a map")["z"].key;
        assert_eq!(place.to_string(), "compose.yml:2:14", "where it is really written");
    }

    #[test]
    fn numbers_as_go_has_them() {
        let (root, _) =
            read("[1.10, \"1.10\", 0755, 0x1F, 1_000, 08, 1.2.3, yes, TRUE, -5, 3.0, 1e3, 0, .5, 5432:5432]");
        let texts: Vec<_> = root.list().expect("a list").iter().map(|node| node.scalar().unwrap_or_default()).collect();
        assert_eq!(
            texts,
            [
                "1.1",
                "1.10",
                "493",
                "31",
                "1000",
                "8",
                "1.2.3",
                "yes",
                "true",
                "-5",
                "3",
                "1000",
                "0",
                "0.5",
                "5432:5432"
            ]
        );
    }

    #[test]
    fn comments_are_found_by_line() {
        let (_, comments) = read("# top\na: |\n  # no comment\nb: 1 # right\n  # own\n");
        let found: Vec<_> = comments.iter().map(|(line, c)| (*line, c.text.as_str(), c.own_line)).collect();
        assert_eq!(found, [(1, "# top", true), (4, "# right", false), (5, "# own", true)]);
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let bad = |text: &str| {
            let source = Arc::new(Source { name: "c".into(), text: text.into() });
            let error = parse(&source).expect_err(text);
            format!("{} {}", error.place.expect("a place"), error.message)
        };
        assert_eq!(bad("a: 1\nb: 2\na: 3\n"), "c:3:1 `a` appears twice");
        assert!(bad("a: [1\nb: 2").starts_with("c:2:"), "{}", bad("a: [1\nb: 2"));
        assert!(bad("a: *none").contains("not YAML"));
        let bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n".to_owned()
            + &(b'b'..b'k')
                .map(|c| {
                    let (name, before) = (char::from(c), char::from(c - 1));
                    format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(","))
                })
                .collect::<String>();
        assert!(bad(&bomb).contains("too large"));
    }
}

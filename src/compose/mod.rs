//! Docker Compose files: into services.toml (`import`) and back (`export`).
//!
//! `read` finds and joins the files (with `surroundings`, which knows the variables around them, and `labels`, which reads files of
//! labels, the only I/O), `yaml`, `merge` and `paths` are what it joins them with, `template` translates `${…}`, `keys` knows those of
//! a service. `import` turns the joined document into the text of a services.toml, laid out by `toml`; `export` writes a
//! [`Stack`](crate::model::Stack) as a Compose file. What one side can't say becomes a [`Note`], and what Compose can't say travels
//! in its extension `x-taskava`. `in_memory` runs a stack from Compose files directly.

pub mod export;
pub mod guess;
pub mod import;
pub mod in_memory;
mod keys;
mod labels;
mod merge;
mod paths;
pub mod read;
mod surroundings;
mod template;
pub mod toml;
pub mod yaml;

use std::fmt::Write as _;

use crate::diag::Place;

/// Compose's extension that holds what Compose itself can't say: keys of services.toml.
pub const EXTENSION: &str = "x-taskava";

/// Something that could not be carried over as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Where it is written.
    pub place: Option<Place>,
    /// The line of that, where it was looked up.
    pub number: Option<usize>,
    /// It has no counterpart; otherwise it is only done in another way.
    pub lost: bool,
    /// What it is about.
    pub message: String,
    /// What to do, or why it does not matter.
    pub remedy: String,
}

impl Note {
    /// Something without a counterpart.
    pub fn lost(place: &Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), number: None, lost: true, message: message.into(), remedy: remedy.into() }
    }

    /// Something that is done in another way.
    pub fn changed(place: &Place, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { lost: false, ..Self::lost(place, message, remedy) }
    }

    /// File and line, `docker-compose.yml:12`.
    pub fn line(&self) -> Option<(String, usize)> {
        let place = self.place.as_ref()?;
        let number = self.number.unwrap_or_else(|| place.source.line_column(place.span.start).0);
        Some((place.source.name.clone(), number))
    }
}

/// `docker-compose.yml:12: `privileged` has no counterpart: …`
impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((file, line)) = self.line() {
            write!(f, "{file}:{line}: ")?;
        }
        write!(f, "{}", self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, ": {}", self.remedy) }
    }
}

/// A text in double quotes, with the escapes that YAML and TOML have in common. `hidden`: what else must not stand as it is.
fn quoted(text: &str, hidden: impl Fn(char) -> bool) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if hidden(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

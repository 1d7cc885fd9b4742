//! Production compared with what runs here: the counterpart of each component is probed, and its verdict depends on the
//! answer.
//!
//! `components` lists the components of production, what to probe and the best possible verdict; `ask` probes
//! everything at once; `judge` (pure) turns the answers into lines. Nothing is changed.

mod ask;
mod components;
mod judge;

use serde::Serialize;

pub use ask::ask;

/// How much of a component there is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does here what the application uses of it.
    Mirrored,
    /// It works, with gaps that are named.
    Partial,
    /// Its API keeps descriptions; nothing runs behind them.
    MetadataOnly,
    /// Nothing answered for it.
    Missing,
}

impl Verdict {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mirrored => "mirrored",
            Self::Partial => "partial",
            Self::MetadataOnly => "metadata only",
            Self::Missing => "missing",
        }
    }
}

/// One component of production, and what was found here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// As production has it.
    pub component: &'static str,
    /// The services that were asked and answered.
    pub services: Vec<String>,
    /// How much of it there is.
    pub verdict: Verdict,
    /// What the services said.
    pub said: Vec<String>,
    /// What is missing, and why.
    pub why: Vec<String>,
    /// What services.toml declares of it, and how much of that exists; none where nothing of the kind can be declared.
    pub declared: Option<Declared>,
}

/// Declared resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Declared {
    /// In services.toml.
    pub declared: usize,
    /// Of those in the emulator.
    pub existing: usize,
}

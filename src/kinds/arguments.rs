//! The configuration of a service: its environment, the flags of its command, and the files that these name,
//! interpreted as the image does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::script::{Lookup, Script, Word};
use crate::model::EnvValue;

/// Files inside that hold settings, by path; none = it can't be read.
pub type Files = BTreeMap<String, Option<String>>;

/// What a server is given when it starts: by services.toml alone, or all that its container has.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Environment.
    pub env: &'a IndexMap<String, EnvValue>,
    /// Entrypoint.
    pub entrypoint: Option<&'a [String]>,
    /// Command.
    pub command: Option<&'a [String]>,
    /// Files inside, as far as they were read.
    pub files: &'a Files,
    /// It is what a container has: what is missing is not set by its image either.
    pub whole: bool,
}

/// No file was read.
static NO_FILES: Files = Files::new();

impl<'a> Given<'a> {
    /// What services.toml says.
    pub fn declared(
        env: &'a IndexMap<String, EnvValue>,
        entrypoint: Option<&'a [String]>,
        command: Option<&'a [String]>,
    ) -> Self {
        Self { env, entrypoint, command, files: &NO_FILES, whole: false }
    }
}

/// A setting that may be given in several ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setting {
    FailurePattern(String),
    /// It is not set.
    Unset,
    /// It is set, to what only the container knows.
    Unknown,
}

impl Setting {
    pub(super) fn known(self) -> Option<String> {
        match self {
            Self::FailurePattern(value) => Some(value),
            Self::Unset | Self::Unknown => None,
        }
    }
}

/// Environment, flags and files of a service.
pub(super) struct Arguments<'a> {
    given: Given<'a>,
    words: Vec<Word>,
    /// Variables that a script sets.
    set: BTreeMap<String, Option<String>>,
    /// Files that were asked for and not read yet.
    wanted: RefCell<BTreeSet<String>>,
}

/// Scripts in scripts in scripts: deeper is not looked.
const DEPTH: usize = 3;

impl<'a> Arguments<'a> {
    pub(super) fn new(given: Given<'a>) -> Self {
        let mut arguments = Self { given, words: Vec::new(), set: BTreeMap::new(), wanted: RefCell::default() };
        let all = given.entrypoint.unwrap_or_default().iter().chain(given.command.unwrap_or_default());
        let mut words: Vec<Word> = all.map(|word| Word::known(word)).collect();
        for _ in 0..DEPTH {
            let Some(at) = script_in(&words) else { break };
            let (found, set) = {
                let mut script = Script::new(&arguments);
                (script.words(&words[at].text), script.set)
            };
            arguments.set.extend(set);
            words.splice(at - 2..=at, found);
        }
        arguments.words = words;
        arguments
    }

    /// Files that are needed to know more.
    pub(super) fn wanted(&self) -> Vec<String> {
        self.wanted.borrow().iter().cloned().collect()
    }

    /// Whether this is all that the container has.
    pub(super) fn is_whole(&self) -> bool {
        self.given.whole
    }

    /// A variable that is set and not empty: the official images take an empty one as not set.
    pub(super) fn env(&self, name: &str) -> Option<&str> {
        match self.set.get(name) {
            Some(set) => set.as_deref(),
            None => self.given.env.get(name).map(|value| value.value.as_str()),
        }
        .filter(|value| !value.is_empty())
    }

    /// A variable, or the content of the file that its `…_FILE` names, as the official images read it.
    pub(super) fn env_or_file(&self, name: &str) -> Setting {
        let file = format!("{name}_FILE");
        let unknown = |name: &str| self.set.get(name).is_some_and(Option::is_none);
        match (self.env(name), self.env(&file)) {
            (Some(value), _) => Setting::FailurePattern(value.into()),
            _ if unknown(name) || unknown(&file) => Setting::Unknown,
            (None, None) => Setting::Unset,
            (None, Some(path)) => match self.file(path).map(|text| text.trim_end_matches('\n')) {
                None => Setting::Unknown,
                Some("") => Setting::Unset,
                Some(text) => Setting::FailurePattern(text.into()),
            },
        }
    }

    /// The content of a file inside, where it was read.
    pub(super) fn file(&self, path: &str) -> Option<&'a str> {
        match self.given.files.get(path) {
            Some(text) => text.as_deref(),
            None => {
                if path.starts_with('/') {
                    self.wanted.borrow_mut().insert(path.into());
                }
                None
            }
        }
    }

    /// The value of the last of these flags, as `--flag value` or `--flag=value`; for one letter also `-p5433`.
    pub(super) fn flag(&self, names: &[&str]) -> Option<&str> {
        self.flags(names).last()
    }

    /// The values of all of these flags, in order; without those that only the shell inside knows.
    pub(super) fn flags(&self, names: &[&str]) -> impl Iterator<Item = &str> {
        self.words.iter().enumerate().filter_map(|(at, word)| {
            let (value, known) = names.iter().find_map(|name| match word.text.strip_prefix(name)? {
                "" => self.words.get(at + 1).map(|next| (next.text.as_str(), next.known)),
                rest if rest.starts_with('=') => Some((&rest[1..], word.known)),
                rest if name.len() == 2 => Some((rest, word.known)),
                _ => None,
            })?;
            (known && !value.is_empty()).then_some(value)
        })
    }

    /// All words.
    pub(super) fn words(&self) -> &[Word] {
        &self.words
    }

    /// Port of `0.0.0.0:4566`, `[::]:4566`, `:4566` or `4566`.
    pub(super) fn port(address: Option<&str>) -> Option<u16> {
        let address = address?;
        address.rsplit_once(':').map_or(address, |(_, port)| port).parse().ok().filter(|port| *port != 0)
    }
}

impl Lookup for Arguments<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        match self.set.get(name) {
            Some(set) => set.clone(),
            None => self.given.env.get(name).map(|value| value.value.clone()),
        }
    }

    fn file(&self, path: &str) -> Option<String> {
        Arguments::file(self, path).map(String::from)
    }
}

/// Where the script of `sh -c SCRIPT` is.
fn script_in(words: &[Word]) -> Option<usize> {
    let is_shell = |word: &str| matches!(word.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash" | "zsh" | "ksh"));
    let runs = |flags: &str| flags.starts_with('-') && !flags.starts_with("--") && flags.ends_with('c');
    (2..words.len()).find(|at| is_shell(&words[at - 2].text) && runs(&words[at - 1].text) && words[*at].known)
}

//! Errors as data: diagnostics about a file, and the one error that reaches the user. Rendering is up to `ui::errors`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A configuration text with the name it is shown under.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Path as shown to the user: relative to where the command runs, when that is shorter.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// One-based line and column (in characters) of a byte offset.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Where the lines of a text begin: for callers that need [`Source::line_column`] thousands of times.
#[derive(Debug)]
pub struct Lines {
    source: Arc<Source>,
    starts: Vec<usize>,
}

impl Lines {
    /// Of a text.
    pub fn of(source: &Arc<Source>) -> Self {
        let starts = std::iter::once(0).chain(source.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { source: source.clone(), starts }
    }

    /// As [`Source::line_column`] has it, for an offset where a character begins.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        (line, self.source.text[self.starts[line - 1]..offset].chars().count() + 1)
    }

    /// The lines from a number on, which is one-based, each with its number.
    pub fn from(&self, first: usize) -> impl Iterator<Item = (usize, &str)> {
        let start = self.starts.get(first.saturating_sub(1)).copied().unwrap_or(self.source.text.len());
        (first..).zip(self.source.text[start..].lines())
    }
}

/// A range of bytes in a source.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The text that contains it.
    pub source: Arc<Source>,
    /// Byte range in `source.text`.
    pub span: Range<usize>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// `services.toml:4:1`, the form editors and terminals make clickable.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.line_column(self.span.start);
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

/// The hint for when a process may open no more files, which can happen wherever a file or a connection is opened.
fn out_of_files(text: &str) -> Option<&'static str> {
    text.contains("Too many open files").then_some("allow this process more open files, for example: ulimit -n 1024")
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Reported, but nothing is refused.
    Warning,
    /// The configuration can't be used.
    Error,
}

/// One finding about the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where, if it has a place.
    pub place: Option<Place>,
    /// Text next to the caret.
    pub label: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        let message = message.into();
        let hint = out_of_files(&message).map(Into::into);
        Self { severity: Severity::Error, message, place: place.into(), label: None, hint }
    }

    /// A warning at a place.
    pub fn warning(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// Adds text next to the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What a failure means to the caller; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// Anything without a specific code.
    Other,
    /// A wrong flag, or a configuration that can't be used.
    Usage,
    /// No engine answers, or it is too old.
    Engine,
    /// An image can't be pulled or built.
    Image,
    /// A host port is in use.
    Port,
    /// Not ready within its time.
    NotReady,
    /// A service exited, or a job failed.
    Crashed,
    /// Another run holds the stack's lock.
    Locked,
    /// A command of this machine may not be executed.
    CommandRefused,
    /// A command does not exist on this machine.
    CommandMissing,
    /// SIGINT (Ctrl-C).
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP: the terminal was closed, or an ssh was lost.
    HungUp,
}

impl ErrorKind {
    /// The documented exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::Engine => 3,
            Self::Image => 4,
            Self::Port => 5,
            Self::NotReady => 6,
            Self::Crashed => 7,
            Self::Locked => 8,
            // As shells have it.
            Self::CommandRefused => 126,
            Self::CommandMissing => 127,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// The error a command ends with.
#[derive(Debug)]
pub struct Error {
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// What happened, with its causes; boxed and closed by `anyhow`.
    pub source: anyhow::Error,
    /// Remedies, most useful first.
    pub hints: Vec<String>,
    /// Diagnostics of a configuration that can't be used (kind [`ErrorKind::Usage`]).
    pub diagnostics: Vec<Diagnostic>,
}

impl Error {
    /// An error of a kind from a message.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self::from_source(kind, anyhow::anyhow!("{message}"))
    }

    /// An error of a kind with its chain of causes.
    pub fn from_source(kind: ErrorKind, source: anyhow::Error) -> Self {
        let mut error = Self { kind, source, hints: Vec::new(), diagnostics: Vec::new() };
        error.hints.extend(out_of_files(&error.to_string()).map(Into::into));
        error
    }

    /// Whether this process may open no more files, connections among them.
    pub fn is_out_of_files(&self) -> bool {
        out_of_files(&self.to_string()).is_some()
    }

    /// The configuration can't be used, and these are the reasons.
    pub fn configuration(diagnostics: Vec<Diagnostic>) -> Self {
        let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        let noun = if errors == 1 { "error" } else { "errors" };
        Self { diagnostics, ..Self::new(ErrorKind::Usage, format_args!("{errors} {noun} in the configuration")) }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.source)
    }
}

impl std::error::Error for Error {}

impl From<anyhow::Error> for Error {
    fn from(source: anyhow::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self::from_source(ErrorKind::Other, source),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Self {
        Self::from_source(ErrorKind::Other, source.into())
    }
}

/// The result of everything that may reach the user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The candidate that is most like a text, if one is like it at all.
pub fn similar<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&text, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(text.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

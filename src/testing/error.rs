//! The error of `testing`.

use std::fmt;

use super::report;
use crate::diag;
use crate::event::Summary;

pub use crate::diag::ErrorKind;

/// Why a stack did not start, or an operation on it failed. `{}` and `{:?}` print the same, because tests end with
/// either.
pub struct Error {
    kind: ErrorKind,
    text: String,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// A stack did not start.
    pub(super) fn of_summary(summary: &Summary) -> Self {
        let kind = summary.failures.first().map_or(ErrorKind::Other, |failure| failure.kind);
        Self::new(kind, report::summary(summary))
    }

    /// The kind of failure, with which a test can distinguish, for instance, an engine that is not running
    /// ([`ErrorKind::Engine`]) from a service that crashed ([`ErrorKind::Crashed`]). If several services failed, that
    /// of the first one.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<diag::Error> for Error {
    fn from(error: diag::Error) -> Self {
        Self::new(error.kind, report::error(&error))
    }
}

//! Tells a loop from a busy user: an action that rewrites what it watches causes itself, at once and again and again.
//! Pure; time is an argument.
//!
//! What is touched while an action is carried out, or shortly after, may be its doing: an echo. So many echoes of the same file in a row
//! are a loop. It is stopped by doing nothing, so the next change that is no echo is the user's, and is acted upon; should the loop begin
//! anew, its first echo is one too many.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// How long after an action a change may still be its doing: a service that writes while it starts.
pub(super) const NEAR: Duration = Duration::from_secs(2);
/// So many echoes in a row are a loop.
pub(super) const LIMIT: u32 = 5;
/// So many are one, even when each is of another file.
const ANY_LIMIT: u32 = 3 * LIMIT;

/// What to do about a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What its rules say.
    Act,
    /// Nothing, and say why.
    Suspend {
        /// The files that are rewritten.
        paths: Vec<PathBuf>,
        /// How often in a row.
        times: u32,
    },
    /// Nothing; it was said already.
    Drop,
}

/// The echoes of one service's actions.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// When the last action had done its work.
    acted: Option<Duration>,
    /// Echoes in a row.
    times: u32,
    /// Files that were in each of them.
    same: BTreeSet<PathBuf>,
    suspended: bool,
}

impl Echo {
    /// An action has done its work.
    pub(super) fn acted(&mut self, now: Duration) {
        self.acted = Some(now);
    }

    /// Whether nothing is done at present.
    #[cfg(test)]
    pub(super) fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Whether what was touched at this time may be the doing of the last action.
    pub(super) fn is_near(&self, touched: Duration) -> bool {
        self.acted.is_some_and(|acted| touched <= acted + NEAR)
    }

    /// What to do about these files, of which all may be an echo, or not.
    pub(super) fn judge(&mut self, echo: bool, paths: &BTreeSet<PathBuf>) -> Verdict {
        if !echo {
            // After a loop one echo is enough to know it again.
            self.times = if self.suspended { LIMIT - 1 } else { 0 };
            if !self.suspended {
                self.same.clear();
            }
            self.suspended = false;
            return Verdict::Act;
        }
        if self.suspended {
            return if paths.is_subset(&self.same) { Verdict::Drop } else { Verdict::Act };
        }
        let same = if self.times == 0 { paths.clone() } else { &self.same & paths };
        if same.is_empty() && self.times < ANY_LIMIT {
            // Another file: not what it was about so far, unless it is another one each time.
            self.times += 1;
            self.same = paths.clone();
            return Verdict::Act;
        }
        self.times += 1;
        let only = paths.is_subset(&same) || self.times > ANY_LIMIT;
        self.same = if same.is_empty() { paths.clone() } else { same };
        if self.times < LIMIT || !only {
            return Verdict::Act;
        }
        self.suspended = true;
        Verdict::Suspend { paths: self.same.iter().cloned().collect(), times: self.times }
    }
}

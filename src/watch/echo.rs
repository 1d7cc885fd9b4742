//! Distinguishes a loop from a busy user: an action that rewrites a watched file triggers itself, again and again.
//! Pure; time is an argument.
//!
//! A file touched during an action, or shortly after it, may have been changed by that action: an echo. A certain
//! number of echoes of the same file in a row is a loop; the number depends on how likely it is that a container
//! changed the file. A loop is stopped by doing nothing, so the next change that is not an echo is the user's, and is
//! handled; if the loop starts again, its first echo already exceeds the number.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// How long after an action a change may still be its doing: a service that writes while it starts.
pub(super) const NEAR: Duration = Duration::from_secs(2);
/// An action that lasts longer gives the user time to save during each of several in a row.
const SHORT: Duration = Duration::from_secs(3);

/// How many echoes in a row are a loop, of a file that a container can write to and that was touched so long after the action began.
pub(super) const LIKELY: u32 = 5;
/// The same if the action was over, or takes long: the user may just be saving often.
const POSSIBLE: u32 = 12;
/// No container can write to it, but the changes don't stop.
const UNLIKELY: u32 = 30;

/// How many echoes in a row it takes.
pub(super) fn limit(writable: bool, during: Option<Duration>) -> u32 {
    match during {
        _ if !writable => UNLIKELY,
        Some(after) if after < SHORT => LIKELY,
        _ => POSSIBLE,
    }
}

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
    /// There was a loop of these files: one echo is enough to know it again.
    again: bool,
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

    /// What to do about these files. If all may be an echo: how many in a row are a loop.
    pub(super) fn judge(&mut self, echo: Option<u32>, paths: &BTreeSet<PathBuf>) -> Verdict {
        let Some(limit) = echo else {
            self.again = self.suspended;
            self.suspended = false;
            self.times = 0;
            if !self.again {
                self.same.clear();
            }
            return Verdict::Act;
        };
        if self.suspended {
            return if paths.is_subset(&self.same) { Verdict::Drop } else { Verdict::Act };
        }
        let began = self.times > 0 || self.again;
        let same = if began { &self.same & paths } else { paths.clone() };
        self.times += 1;
        // Another file is not what it was about so far; unless it is another one each time.
        let ever_new = self.times >= limit * 3;
        if same.is_empty() && !ever_new {
            self.same.clone_from(paths);
            self.again = false;
            return Verdict::Act;
        }
        let nothing_else = paths.is_subset(&same) || ever_new;
        self.same = if same.is_empty() { paths.clone() } else { same };
        if !nothing_else || (self.times < limit && !self.again) {
            return Verdict::Act;
        }
        self.suspended = true;
        Verdict::Suspend { paths: self.same.iter().cloned().collect(), times: self.times }
    }
}

//! The open logs: feeds their bytes to the merge, and records what has been shown of each.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::merge::Merge;
use crate::diag::{Error, ErrorKind};
use crate::engine::logs::decode::{Line, Lines};
use crate::engine::logs::{LogBytes, LogError};

/// A live log that was silent for so long holds the others back no more.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is read of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// What is there; ends by itself. The others wait for it.
    History,
    /// What is being written, until the container stops.
    Live,
}

/// How far a log was shown: a time, and how many lines of that time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    at: u64,
    lines: u32,
}

impl Mark {
    /// Where to read on: the lines of that very time come again.
    pub(super) fn since(self) -> Option<u64> {
        (self.lines > 0).then_some(self.at)
    }

    fn count(&mut self, at: u64) {
        if at > self.at {
            *self = Self { at, lines: 0 };
        }
        // Two streams of one container can be written in another order than they were stamped: an earlier time is none
        // of those that come again.
        if at == self.at {
            self.lines += 1;
        }
    }

    /// Takes a line off those that come again; false when it is none of them.
    fn repeats(&mut self, at: u64) -> bool {
        if at > self.at || self.lines == 0 {
            return false;
        }
        if at == self.at {
            self.lines -= 1;
        }
        true
    }
}

/// One open log.
pub(super) struct Feed {
    /// Container.
    pub(super) id: String,
    /// Number of its service.
    pub(super) service: usize,
    /// What is read.
    pub(super) phase: Phase,
    /// How far it was shown.
    pub(super) shown: Mark,
    /// The container was started again meanwhile: read on after the end.
    pub(super) again: bool,
    /// It ended with an error.
    pub(super) failed: bool,
    /// Lines that were shown before and come again.
    repeated: Mark,
    bytes: Option<LogBytes>,
    heard: Instant,
}

impl Feed {
    pub(super) fn new(id: &str, service: usize, phase: Phase, shown: Mark, bytes: LogBytes) -> Self {
        Self {
            id: id.to_owned(),
            service,
            phase,
            shown,
            again: false,
            failed: false,
            repeated: shown,
            bytes: Some(bytes),
            heard: Instant::now(),
        }
    }

    /// Whether a line is to be shown; if so, it counts as shown.
    fn show(&mut self, at: u64, stamped: bool) -> bool {
        if stamped && self.repeated.repeats(at) {
            return false;
        }
        if stamped {
            self.shown.count(at);
        }
        true
    }
}

/// All open logs.
#[derive(Default)]
pub(super) struct Feeds {
    merge: Merge,
    /// By number in the merge.
    list: Vec<Option<Feed>>,
    /// Errors by number of the service.
    trouble: Vec<(usize, LogError)>,
}

impl Feeds {
    pub(super) fn add(&mut self, feed: Feed, stamped: bool) {
        let number = self.merge.add(Lines::new(stamped));
        if self.list.len() <= number {
            self.list.resize_with(number + 1, || None);
        }
        self.list[number] = Some(feed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.iter().all(Option::is_none)
    }

    pub(super) fn any_history(&self) -> bool {
        self.list.iter().flatten().any(|feed| feed.phase == Phase::History)
    }

    pub(super) fn find(&mut self, id: &str) -> Option<&mut Feed> {
        self.list.iter_mut().flatten().find(|feed| feed.id == id)
    }

    /// Goes to the next line that is to be shown; its number.
    pub(super) fn next(&mut self, until: Option<u64>) -> Option<usize> {
        loop {
            let number = self.merge.advance()?;
            let line = self.merge.line(number)?;
            let (at, stamped) = (line.at, !line.stamp.is_empty());
            let feed = self.list[number].as_mut()?;
            if feed.show(at, stamped) && until.is_none_or(|until| at <= until) {
                return Some(number);
            }
        }
    }

    /// The line that [`Feeds::next`] went to, and the number of its service.
    pub(super) fn line(&self, number: usize) -> Option<(usize, Line<'_>)> {
        Some((self.list[number].as_ref()?.service, self.merge.line(number)?))
    }

    /// Reads from every log that has no line left. Ready when anything came.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut some = Poll::Pending;
        for number in 0..self.list.len() {
            while self.merge.is_empty(number) {
                let Some(feed) = self.list[number].as_mut() else { break };
                let Some(bytes) = feed.bytes.as_mut() else { break };
                let Poll::Ready(read) = bytes.as_mut().poll_next(cx) else { break };
                some = Poll::Ready(());
                feed.heard = Instant::now();
                match read {
                    Some(Ok(read)) => {
                        self.merge.push(number, &read);
                        self.merge.wait_for(number, true);
                    }
                    Some(Err(error)) => self.end(number, Some(error)),
                    None => self.end(number, None),
                }
            }
        }
        some
    }

    fn end(&mut self, number: usize, error: Option<LogError>) {
        let Some(feed) = self.list[number].as_mut() else { return };
        feed.bytes = None;
        let cut = self.merge.end(number) && error.is_none();
        let error = if cut { Some(LogError::Failed(cut_off())) } else { error };
        if let Some(error) = error {
            feed.failed = true;
            self.trouble.push((feed.service, error));
        }
    }

    /// Stops waiting for live logs that are silent. True when that may have set lines free.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let held = self.merge.is_held();
        for (number, feed) in self.list.iter().enumerate() {
            if let Some(feed) = feed
                && feed.phase == Phase::Live
                && self.merge.is_empty(number)
            {
                self.merge.wait_for(number, feed.heard + PATIENCE > now);
            }
        }
        held && !self.merge.is_held()
    }

    /// Until when lines are held back at most; none when none are, or a history is what they wait for.
    pub(super) fn held_until(&self) -> Option<Instant> {
        if !self.merge.is_held() {
            return None;
        }
        let empty = self.list.iter().enumerate().filter(|(number, _)| self.merge.is_empty(*number));
        let live = empty.filter_map(|(_, feed)| feed.as_ref()).filter(|feed| feed.phase == Phase::Live);
        live.map(|feed| feed.heard + PATIENCE).filter(|until| *until > Instant::now()).min()
    }

    pub(super) fn take_trouble(&mut self) -> Option<(usize, LogError)> {
        self.trouble.pop()
    }

    /// A log that ended and whose lines are all out.
    pub(super) fn take_finished(&mut self) -> Option<Feed> {
        let number = self.merge.take_exhausted()?;
        self.list[number].take()
    }
}

fn cut_off() -> Error {
    Error::new(ErrorKind::Engine, "the engine closed the log in the middle of a line")
}

//! Orders the lines of several logs by their times. Pure: bytes in, lines out.
//!
//! A line is emitted once every log that may still have an earlier one has a line waiting. Which logs to wait for is an
//! input ([`Merge::wait_for`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::engine::logs::decode::{Line, Lines};

/// Logs that become one. Needs memory for one push and one line of each.
#[derive(Debug, Default)]
pub(super) struct Merge {
    logs: Vec<Option<Log>>,
    /// The time of the next line of each log that has one; the earliest on top.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    /// How many logs are without a line and waited for.
    waiting: usize,
    /// The top line was given out and is to be taken off.
    given: bool,
    /// Logs that ended and have no more lines.
    exhausted: Vec<usize>,
}

#[derive(Debug)]
struct Log {
    lines: Lines,
    ended: bool,
    /// Whether it has a line.
    ready: bool,
    /// Whether the others wait for it while it has none.
    awaited: bool,
}

impl Merge {
    /// Adds a log that the others wait for; its number.
    pub(super) fn add(&mut self, lines: Lines) -> usize {
        let log = Log { lines, ended: false, ready: false, awaited: true };
        self.waiting += 1;
        if let Some(free) = self.logs.iter().position(Option::is_none) {
            self.logs[free] = Some(log);
            return free;
        }
        self.logs.push(Some(log));
        self.logs.len() - 1
    }

    /// Whether a log has no line: it is to be read from.
    pub(super) fn is_empty(&self, number: usize) -> bool {
        self.log(number).is_some_and(|log| !log.ready && !log.ended)
    }

    /// Whether the others wait for a log while it is without a line.
    pub(super) fn wait_for(&mut self, number: usize, awaited: bool) {
        let Some(log) = self.logs.get_mut(number).and_then(Option::as_mut) else { return };
        if !log.ready && !log.ended && log.awaited != awaited {
            if awaited { self.waiting += 1 } else { self.waiting -= 1 }
        }
        log.awaited = awaited;
    }

    /// Adds bytes to a log that has no line.
    pub(super) fn push(&mut self, number: usize, bytes: &[u8]) {
        let Some(log) = self.logs.get_mut(number).and_then(Option::as_mut) else { return };
        log.lines.push(bytes);
        if !log.ready
            && let Some(at) = log.lines.advance()
        {
            log.ready = true;
            self.waiting -= usize::from(log.awaited);
            self.heads.push(Reverse((at, number)));
        }
    }

    /// A log has ended; true when it ended in the middle of a frame.
    pub(super) fn end(&mut self, number: usize) -> bool {
        let Some(log) = self.logs.get_mut(number).and_then(Option::as_mut) else { return false };
        log.ended = true;
        if !log.ready {
            self.waiting -= usize::from(log.awaited);
            match log.lines.finish() {
                Some(at) => {
                    log.ready = true;
                    self.heads.push(Reverse((at, number)));
                }
                None => self.exhausted.push(number),
            }
        }
        self.log(number).is_some_and(|log| log.lines.is_cut())
    }

    /// Logs that ended and have no more lines; their numbers are free again.
    pub(super) fn take_exhausted(&mut self) -> Option<usize> {
        let number = self.exhausted.pop()?;
        self.logs[number] = None;
        Some(number)
    }

    /// Goes to the next line; the number of its log.
    pub(super) fn advance(&mut self) -> Option<usize> {
        if std::mem::take(&mut self.given) {
            self.drop_first();
        }
        if self.waiting > 0 {
            return None;
        }
        let Reverse((_, number)) = *self.heads.peek()?;
        self.given = true;
        Some(number)
    }

    /// The line that [`Merge::advance`] went to.
    pub(super) fn line(&self, number: usize) -> Option<Line<'_>> {
        self.log(number)?.lines.line()
    }

    /// Whether lines are held back for a log without one.
    pub(super) fn is_held(&self) -> bool {
        self.waiting > 0 && !self.heads.is_empty()
    }

    fn drop_first(&mut self) {
        let Some(mut first) = self.heads.peek_mut() else { return };
        let number = first.0.1;
        let Some(log) = self.logs[number].as_mut() else { return };
        let next = if log.ended { log.lines.finish() } else { log.lines.advance() };
        if let Some(at) = next {
            first.0.0 = at;
            return;
        }
        PeekMut::pop(first);
        log.ready = false;
        if log.ended {
            self.exhausted.push(number);
        } else {
            self.waiting += usize::from(log.awaited);
        }
    }

    fn log(&self, number: usize) -> Option<&Log> {
        self.logs.get(number)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(second: u64, text: &str) -> Vec<u8> {
        format!("2026-05-04T08:{:02}:{:02}.000000000Z {text}\r\n", second / 60, second % 60).into_bytes()
    }

    fn taken(merge: &mut Merge) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        while let Some(number) = merge.advance() {
            let text = merge.line(number).unwrap().text;
            found.push((number, String::from_utf8(text.to_vec()).unwrap()));
        }
        found
    }

    #[test]
    fn a_log_without_a_line_holds_the_others_until_it_is_not_waited_for() {
        let mut merge = Merge::default();
        let (a, b) = (merge.add(Lines::new(true)), merge.add(Lines::new(true)));
        merge.push(a, &line(1, "a"));
        assert!(taken(&mut merge).is_empty() && merge.is_held());
        merge.wait_for(b, false);
        assert_eq!(taken(&mut merge), [(a, "a".into())]);
        merge.wait_for(b, true);
        merge.push(a, &line(3, "later"));
        merge.push(b, &line(2, "earlier"));
        assert_eq!(taken(&mut merge), [(b, "earlier".into())], "a line of b may still come before 3");
        merge.end(b);
        assert_eq!(taken(&mut merge), [(a, "later".into())]);
    }

    #[test]
    fn a_log_that_ended_is_exhausted_when_its_lines_are_out() {
        let mut merge = Merge::default();
        let a = merge.add(Lines::new(true));
        merge.push(a, &line(1, "a"));
        merge.end(a);
        assert_eq!(merge.take_exhausted(), None);
        assert_eq!(taken(&mut merge).len(), 1);
        assert_eq!(merge.take_exhausted(), Some(a));
        assert_eq!(merge.add(Lines::new(true)), a, "its number is free again");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_all_and_in_order(
            logs in prop::collection::vec(prop::collection::vec(0_u64..3600, 0..30), 1..6),
            piece in 20_usize..200,
        ) {
            let mut merge = Merge::default();
            let mut bytes: Vec<(usize, Vec<u8>)> = Vec::new();
            let mut all: Vec<u64> = logs.iter().flatten().copied().collect();
            for mut seconds in logs {
                seconds.sort_unstable();
                bytes.push((merge.add(Lines::new(true)), seconds.iter().flat_map(|at| line(*at, &at.to_string())).collect()));
            }
            let mut found = Vec::new();
            while !bytes.is_empty() {
                bytes.retain_mut(|(number, rest)| {
                    while merge.is_empty(*number) && !rest.is_empty() {
                        let now: Vec<u8> = rest.drain(..piece.min(rest.len())).collect();
                        merge.push(*number, &now);
                    }
                    if rest.is_empty() && merge.is_empty(*number) {
                        merge.end(*number);
                    }
                    !rest.is_empty() || merge.is_empty(*number) || merge.log(*number).is_some_and(|log| !log.ended)
                });
                found.extend(taken(&mut merge).into_iter().map(|(_, text)| text.parse::<u64>().unwrap()));
            }
            all.sort_unstable();
            prop_assert_eq!(found, all);
        }
    }
}

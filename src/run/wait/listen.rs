//! Follows the log of a container from before its start, for the line of `ready.log`. The log may be too small
//! otherwise: a service that immediately writes more than is kept has dropped the line before it could be read.

use regex::bytes::Regex;
use tokio::task::JoinHandle;

use super::{line, log};
use crate::diag::Result;
use crate::engine::Engine;
use crate::engine::attach::{Attached, Channel};
use crate::engine::logs::decode::LINE_LIMIT;
use crate::model::{Probe, Service};

/// A container that is listened to. Ends with this.
#[derive(Debug)]
pub(crate) struct Listening {
    task: JoinHandle<bool>,
    ended: bool,
}

impl Listening {
    /// Begins, where a service is ready by a line; its container is not started yet.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(crate) async fn begin(engine: &Engine, service: &Service, id: &str) -> Result<Option<Self>> {
        let Probe::Log { pattern } = &service.ready.probe else { return Ok(None) };
        let (attached, pattern) = (engine.overhear(id, service.name.as_str()).await?, log::pattern(pattern)?);
        Ok(Some(Self { task: tokio::spawn(listen(attached, pattern)), ended: false }))
    }

    /// Returns when the line was heard, and never without it.
    pub(super) async fn heard(&mut self) {
        if self.ended || !matches!((&mut self.task).await, Ok(true)) {
            self.ended = true;
            std::future::pending::<()>().await;
        }
        self.ended = true;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the line came before the output's end.
async fn listen(mut attached: Attached, pattern: Regex) -> bool {
    let mut lines = [Splitter::default(), Splitter::default()];
    while let Ok(Some((channel, bytes))) = attached.output.next().await {
        let lines = &mut lines[usize::from(channel == Channel::Stderr)];
        if lines.push(&bytes, |text| line::matches(&pattern, text)) {
            return true;
        }
    }
    lines.iter().any(|lines| !lines.open.is_empty() && line::matches(&pattern, &lines.open))
}

/// Puts the lines of one stream together.
#[derive(Debug, Default)]
struct Splitter {
    open: Vec<u8>,
}

impl Splitter {
    /// Whether one of the lines that these bytes end is the one.
    fn push(&mut self, mut bytes: &[u8], is_it: impl Fn(&[u8]) -> bool) -> bool {
        while !bytes.is_empty() {
            let room = LINE_LIMIT - self.open.len();
            let end = memchr::memchr(b'\n', bytes).filter(|end| *end <= room);
            let now = end.unwrap_or(bytes.len().min(room));
            self.open.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now + usize::from(end.is_some())..];
            if end.is_some() || self.open.len() >= LINE_LIMIT {
                if is_it(&self.open) {
                    return true;
                }
                self.open.clear();
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = b"one\ntwo\n\nthree";
        for size in 1..text.len() {
            let (mut lines, seen) = (Splitter::default(), std::cell::RefCell::new(Vec::new()));
            for piece in text.chunks(size) {
                lines.push(piece, |line| {
                    seen.borrow_mut().push(line.to_vec());
                    false
                });
            }
            assert_eq!(seen.into_inner(), [&b"one"[..], b"two", b""]);
            assert_eq!(lines.open, b"three");
        }
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let (mut lines, seen) = (Splitter::default(), std::cell::Cell::new(0));
        for _ in 0..10 {
            lines.push(&[b'x'; 20_000], |line| {
                assert_eq!(line.len(), LINE_LIMIT);
                seen.set(seen.get() + 1);
                false
            });
        }
        assert_eq!((seen.get(), lines.open.len()), (3, 200_000 - 3 * LINE_LIMIT));
    }
}

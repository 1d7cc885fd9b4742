//! Searches for the line of `ready.log`: in what the container has written since its last start, and in new lines, also
//! after restarts by the engine.
//!
//! Lines are defined by `engine::logs::decode`: both streams separately, lines of up to 64 KiB in one piece.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use regex::bytes::Regex;

use super::line;
use crate::diag::{Error, Result};
use crate::engine::logs::decode::Lines;
use crate::engine::logs::{LogError, StreamOptions};
use crate::engine::{Engine, Inspected};
use crate::model::Logging;

/// A log that ended is opened again after this: by then the engine knows whether its container has ended.
const SETTLES: Duration = Duration::from_millis(100);

/// What the engine writes beside the text of a line in a file of its log: `{"log":"…\n","stream":"stdout","time":"…"}`.
const AROUND: u64 = 75;

/// Seconds after its start in which a service has written something.
const FIRST_WORDS: u64 = 10;

const NANOSECONDS: u64 = 1_000_000_000;

/// How a search in a log ended.
#[derive(Debug)]
pub(super) enum Found {
    /// The line is there.
    Line,
    /// It is not.
    Nothing {
        /// How much there is of the last run, in bytes of the engine's files: rather too much than too little.
        size: u64,
    },
    /// The container is gone.
    Gone,
    /// The log can't be read.
    Unreadable,
}

/// One run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RunOf {
    /// When it was started, in the engine's words: another run has another one.
    started: Option<String>,
    /// What was written before belongs to an earlier run; nanoseconds since 1970.
    from: u64,
    /// When it was started or the run before ended, whichever is later; seconds since 1970.
    known_until: i64,
}

impl RunOf {
    /// A container is started some time before the engine notes its `StartedAt`, and may have written by then. So the
    /// border between two runs is in the middle between the end of one and the noted start of the other: with a day, or
    /// half a second, in between.
    fn of(seen: &Inspected) -> Self {
        let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        let nanoseconds = |at: Timestamp| u64::try_from(at.as_nanosecond()).unwrap_or_default();
        // One that never ran has ended in the year 1.
        let (started, ended) = (time(&seen.started_at), time(&seen.finished_at).filter(|at| at.as_second() > 0));
        let from = match (started, ended) {
            (Some(started), Some(ended)) if ended <= started => {
                let ended = nanoseconds(ended);
                ended + (nanoseconds(started) - ended) / 2
            }
            _ => 0,
        };
        let known_until = started.max(ended).map_or(0, Timestamp::as_second);
        Self { started: seen.started_at.clone(), from, known_until }
    }
}

/// Looks once at what a container has written since its last start.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn search(engine: &Engine, id: &str, seen: &Inspected, pattern: &Regex) -> Result<Found> {
    let run = RunOf::of(seen);
    read(engine, id, run.from, pattern, false, &mut 0).await
}

/// Whether lines of a container's last run may have been dropped from its log, of which `size` bytes are left. The
/// engine keeps a number of files of a size, and drops the oldest as a whole.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn is_rotated(
    engine: &Engine,
    id: &str,
    seen: &Inspected,
    logging: &Logging,
    size: u64,
    older_than: Duration,
) -> Result<bool> {
    let kept = u64::from(logging.max_files.saturating_sub(1)) * bytes(&logging.max_size);
    if size + size / 8 < kept {
        return Ok(false);
    }
    let run = RunOf::of(seen);
    let mut since = run.from;
    if kept == 0 {
        // A single file is emptied when it is full, so that its size says nothing. Time has to do: it has been running
        // for long, and what it wrote when it was started is missing.
        if (engine.now().await.as_second() - run.known_until).unsigned_abs() < older_than.as_secs() {
            return Ok(false);
        }
        since =
            u64::try_from(run.known_until).unwrap_or_default().saturating_add(FIRST_WORDS).saturating_mul(NANOSECONDS);
    }
    // Where there is something of the run before, there is all of this one.
    let mut lines = Lines::new(true);
    let mut log = engine.log_bytes(id, StreamOptions { stamped: true, ..StreamOptions::default() });
    while let Some(piece) = log.next().await {
        let Ok(piece) = piece else { return Ok(false) };
        lines.push(&piece);
        if let Some(first) = lines.advance() {
            return Ok(first >= since);
        }
    }
    Ok(false)
}

/// `10m` as the engine's log driver reads it.
fn bytes(size: &str) -> u64 {
    let number = size.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match size[number.len()..].chars().next() {
        Some('k' | 'K') => 1 << 10,
        Some('m' | 'M') => 1 << 20,
        Some('g' | 'G') => 1 << 30,
        _ => 1,
    };
    number.parse::<u64>().unwrap_or_default().saturating_mul(unit)
}

/// Waits until a container that runs has written the line since its last start. Goes on with the next run when the engine
/// restarts it. Ends only when the line is there, or the log can't be read; that the container ends for good is for others
/// to see.
///
/// # Errors
/// When the engine does not answer.
pub(super) async fn wait(engine: &Engine, id: &str, pattern: &Regex) -> Result<Found> {
    let mut last: Option<(RunOf, u64)> = None;
    loop {
        let Some(seen) = engine.inspect(id).await? else { return Ok(Found::Gone) };
        let run = RunOf::of(&seen);
        if !seen.running {
            engine.started_again(id, run.known_until, run.started.as_deref()).await?;
            continue;
        }
        let mut from = last.take().filter(|(before, _)| *before == run).map_or(run.from, |(_, from)| from);
        match read(engine, id, from, pattern, true, &mut from).await? {
            Found::Nothing { .. } => {
                tokio::time::sleep(SETTLES).await;
                last = Some((run, from));
            }
            // It may be the last that a run has written.
            Found::Line => match engine.inspect(id).await? {
                Some(now) if now.running && now.started_at == run.started => return Ok(Found::Line),
                Some(_) => {}
                None => return Ok(Found::Gone),
            },
            found => return Ok(found),
        }
    }
}

/// Reads a log from a time on. `read_until` becomes the time of the last line that was read.
async fn read(
    engine: &Engine,
    id: &str,
    from: u64,
    pattern: &Regex,
    follow: bool,
    read_until: &mut u64,
) -> Result<Found> {
    let since = (from > 0).then_some(from);
    let mut log =
        pin!(engine.log_bytes(id, StreamOptions { since, follow, stamped: true, ..StreamOptions::default() }));
    let (mut lines, mut size) = (Lines::new(true), 0);
    let mut look = |lines: &Lines| {
        // Not every log driver takes nanoseconds.
        let line = lines.line().filter(|line| line.at >= from);
        line.is_some_and(|line| {
            *read_until = line.at;
            size += AROUND + written(line.text);
            line::matches(pattern, line.text)
        })
    };
    while let Some(piece) = log.next().await {
        match piece {
            Ok(piece) => lines.push(&piece),
            Err(LogError::Gone) => return Ok(Found::Gone),
            Err(LogError::Unreadable) => return Ok(Found::Unreadable),
            Err(LogError::Failed(error)) => return Err(error),
        }
        while lines.advance().is_some() {
            if look(&lines) {
                return Ok(Found::Line);
            }
        }
    }
    while lines.finish().is_some() {
        if look(&lines) {
            return Ok(Found::Line);
        }
    }
    Ok(Found::Nothing { size })
}

/// How many bytes a text has in the engine's file, which is JSON.
fn written(text: &[u8]) -> u64 {
    let length = |byte: &u8| match byte {
        b'"' | b'\\' | b'\t' | b'\r' => 2,
        0..0x20 | b'<' | b'>' | b'&' => 6,
        _ => 1,
    };
    text.iter().map(length).sum()
}

/// What to say of a log that can't be read.
pub(super) fn unreadable() -> String {
    "its log can't be read: the engine's log driver keeps nothing that could be; let `ready` ask something else, for \
     instance `exec` or `tcp`"
        .into()
}

/// What is reported while the line is missing.
pub(super) fn not_there(pattern: &Regex) -> String {
    format!("no line of its log matches /{pattern}/ since it was started")
}

/// A pattern was checked when services.toml was read.
pub(super) fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|error| Error::from(anyhow::Error::from(error).context("ready.log")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(started: &str, finished: &str) -> Inspected {
        Inspected { started_at: Some(started.into()), finished_at: Some(finished.into()), ..Inspected::default() }
    }

    #[test]
    fn a_first_run_has_the_whole_log() {
        assert_eq!(RunOf::of(&seen("2026-11-26T10:00:00.5Z", "0001-01-01T00:00:00Z")).from, 0);
        assert_eq!(RunOf::of(&Inspected::default()).from, 0);
    }

    #[test]
    fn what_a_run_wrote_before_its_end_is_not_the_next_ones() {
        let at = |text: &str| u64::try_from(text.parse::<Timestamp>().unwrap().as_nanosecond()).unwrap();
        let run = RunOf::of(&seen("2026-11-26T10:00:00.9Z", "2026-11-26T10:00:00.3Z"));
        assert_eq!(run.from, at("2026-11-26T10:00:00.6Z"));
        assert_eq!(run.known_until, 1_795_687_200);
        let ended = RunOf::of(&seen("2026-11-26T10:00:00Z", "2026-11-26T10:00:05Z"));
        assert_eq!((ended.from, ended.known_until), (0, 1_795_687_205), "it does not run now");
    }

    #[test]
    fn sizes_are_those_of_the_log_driver() {
        for (text, size) in [("10k", 10 << 10), ("10m", 10 << 20), ("1g", 1 << 30), ("77", 77), ("", 0)] {
            assert_eq!(bytes(text), size, "{text}");
        }
        assert_eq!(written(b"a \"b\" <c>\x1b"), 1 + 1 + 2 + 1 + 2 + 1 + 6 + 1 + 6 + 6);
    }
}

//! The last lines of a container's log, for a report. Whole logs are read by `logs`.

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::engine::Engine;

/// What is kept of one line.
const LINE_LIMIT: usize = 2000;

/// How long reading the end of a log may take; some log drivers never come to it.
const TAIL_LIMIT: Duration = Duration::from_secs(5);

impl Engine {
    /// The last lines of a container's log, both streams, in the order of time. Empty when there are none or
    /// they can't be read: a report goes on without.
    pub async fn tail(&self, id: &str, lines: usize) -> Vec<String> {
        self.tail_since(id, lines, None).await
    }

    /// The same of what was written after a line of this time, by the engine's clock.
    pub async fn tail_since(&self, id: &str, lines: usize, since: Option<Timestamp>) -> Vec<String> {
        let mut found = self.stamped_tail(id, lines).await;
        let time = |line: &String| stamp(line).0.parse::<Timestamp>();
        // One whose time can't be read is rather shown than lost.
        found.retain(|line| since.is_none_or(|since| time(line).map_or(true, |at| at > since)));
        found.iter().map(|line| stamp(line).1.to_owned()).collect()
    }

    /// When the last line of a container's log was written, by the engine's clock. The engine notes a line later than its
    /// container's end: only this tells the lines of one run from those of the next.
    pub async fn last_line_at(&self, id: &str) -> Option<Timestamp> {
        stamp(self.stamped_tail(id, 1).await.last()?).0.parse().ok()
    }

    async fn stamped_tail(&self, id: &str, lines: usize) -> Vec<String> {
        let options =
            LogsOptions { stdout: true, stderr: true, timestamps: true, tail: lines.to_string(), ..Default::default() };
        let mut stream = std::pin::pin!(self.docker.logs(id, Some(options)));
        let (mut found, mut open) = (Vec::new(), [false; 2]);
        let end = Instant::now() + TAIL_LIMIT;
        while let Ok(Some(Ok(frame))) = timeout_at(end, stream.next()).await {
            let open = &mut open[usize::from(matches!(frame, LogOutput::StdErr { .. }))];
            let is_line = matches!(frame, LogOutput::StdOut { .. } | LogOutput::StdErr { .. });
            let bytes = frame.into_bytes();
            // The engine cuts long lines: what goes on is no line of its own, and more of one than is kept.
            if std::mem::replace(open, is_line && !bytes.ends_with(b"\n")) {
                continue;
            }
            let text = String::from_utf8_lossy(beginning(&bytes)).into_owned();
            found.extend(text.lines().map(String::from));
        }
        // The engine reads the two streams side by side; each line has the time at which it did.
        found.sort_by(|a, b| stamp(a).0.cmp(stamp(b).0));
        found.split_off(found.len().saturating_sub(lines))
    }
}

/// What is kept of a line. It ends with a whole word: half a password would not be recognised and masked.
fn beginning(line: &[u8]) -> &[u8] {
    let Some((kept, _)) = line.split_at_checked(LINE_LIMIT).filter(|(_, rest)| !rest.trim_ascii().is_empty()) else {
        return line;
    };
    let ends_word = |byte: &u8| byte.is_ascii_whitespace() || b"\",;&".contains(byte);
    let end = kept.iter().rposition(ends_word).filter(|end| *end >= LINE_LIMIT / 2);
    &kept[..end.unwrap_or(LINE_LIMIT / 2)]
}

/// The time the engine put before a line, and the line.
fn stamp(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_words() {
        assert_eq!(beginning(b"short\n"), b"short\n");
        let word = "w".repeat(30);
        let line = format!("{}password", format!("{word} ").repeat(LINE_LIMIT / word.len()));
        let kept = beginning(line.as_bytes());
        assert!(kept.len() > LINE_LIMIT - 31 && kept.ends_with(word.as_bytes()), "{}", kept.len());
        assert_eq!(beginning("x".repeat(9000).as_bytes()).len(), LINE_LIMIT / 2);
    }
}

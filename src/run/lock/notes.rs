//! What a lock file records besides its holder: the containers that are being stopped. An engine has no state
//! "stopping": a process whose stop signal was sent by a run that was killed afterwards is listed as running, and exits
//! seconds later. The next run reads here that it is about to stop.
//!
//! The file is a list of lines, only appended to while there are such records. A record is one line of JSON: a partial
//! line can't be parsed and is ignored. All other lines name the holder of the lock; the last one counts.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// No file of ours is longer; of another one only so much is read.
const LONGEST: u64 = 1024 * 1024;

/// A container that is being stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// Its full id.
    pub container: String,
    /// When it was started, RFC 3339 by the engine's clock: started again it is another process.
    pub started_at: String,
    /// When it was asked to stop, milliseconds since 1970 by this machine's clock.
    pub since: i64,
    /// How long it may take to, in milliseconds.
    pub grace: u64,
    /// Whether its stop signal is known to have been sent; it may have been otherwise, too.
    #[serde(skip)]
    pub signalled: bool,
}

impl Stopping {
    /// How long ago it was asked; none when its time is over, or when it may not have been asked at all.
    pub fn under_way(&self, now: i64) -> Option<Duration> {
        let ago = Duration::from_millis(u64::try_from(now.checked_sub(self.since)?).ok()?);
        (self.signalled && ago < Duration::from_millis(self.grace)).then_some(ago)
    }
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    Stopping(Stopping),
    Signalled(String),
    Stopped(String),
}

/// The notes of the lock that is held. Notes nothing when none is, or no longer.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    file: Weak<Mutex<File>>,
    /// Containers that were noted when the lock was taken.
    inherited: Vec<String>,
}

impl Notes {
    pub(super) fn new(file: Weak<Mutex<File>>, inherited: &[Stopping]) -> Self {
        Self { file, inherited: inherited.iter().map(|note| note.container.clone()).collect() }
    }

    /// The containers that are being stopped.
    pub fn stopping(&self) -> Vec<Stopping> {
        let Some(file) = self.file.upgrade() else { return Vec::new() };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        text(&mut file).map(|text| stopping(&text)).unwrap_or_default()
    }

    /// Notes that a container is about to be asked to stop.
    pub fn begin(&self, note: Stopping) {
        self.write(&Record::Stopping(note));
    }

    /// Notes that it was.
    pub fn signalled(&self, container: &str) {
        self.write(&Record::Signalled(container.into()));
    }

    /// Notes that it is over.
    pub fn end(&self, container: &str) {
        self.write(&Record::Stopped(container.into()));
    }

    /// Drops the notes of an earlier run about containers that have stopped, were started again or are gone.
    pub fn forget_but(&self, still: impl Fn(&str) -> bool) {
        for container in self.inherited.iter().filter(|container| !still(container)) {
            self.end(container);
        }
    }

    /// A disk that is full must not keep a stack from being stopped: what is not noted is only not known afterwards.
    fn write(&self, record: &Record) {
        let Some(file) = self.file.upgrade() else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let line = serde_json::to_string(record).unwrap_or_default();
        let _ = append(&mut file, &line);
    }
}

/// A new holder takes over: its line replaces the existing ones, but for notes that are still open. Returns those.
pub(super) fn take_over(file: &mut File, holder: &str) -> Vec<Stopping> {
    let open = text(file).map(|text| stopping(&text)).unwrap_or_default();
    // Only for the one who waits to read: failing to write it takes nothing from the lock.
    let _ = if open.is_empty() {
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| writeln!(file, "{holder}"))
    } else {
        append(file, holder)
    };
    open
}

/// Who holds the lock, as the file says.
pub(super) fn holder(file: &mut File) -> Option<String> {
    let text = text(file).ok()?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('{'));
    lines.next_back().map(Into::into)
}

/// The containers that the text of a lock file says are being stopped.
pub(super) fn stopping(text: &str) -> Vec<Stopping> {
    let mut found: Vec<Stopping> = Vec::new();
    for record in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match record {
            Record::Stopping(note) => {
                found.retain(|other| other.container != note.container);
                found.push(note);
            }
            Record::Signalled(id) => {
                found.iter_mut().filter(|note| note.container == id).for_each(|note| note.signalled = true);
            }
            Record::Stopped(id) => found.retain(|note| note.container != id),
        }
    }
    found
}

pub(super) fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// In one piece, and on a line of its own whatever was cut off before it.
fn append(file: &mut File, line: &str) -> io::Result<()> {
    file.seek(SeekFrom::End(0))?;
    file.write_all(format!("\n{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn note(container: &str) -> Stopping {
        let started_at = "2026-11-01T00:00:00Z".into();
        Stopping { container: container.into(), started_at, since: 1_000, grace: 10_000, signalled: false }
    }

    fn held(file: &mut File, holder: &str) -> (Arc<Mutex<File>>, Notes) {
        let open = take_over(file, holder);
        let file = Arc::new(Mutex::new(file.try_clone().unwrap()));
        let notes = Notes::new(Arc::downgrade(&file), &open);
        (file, notes)
    }

    #[test]
    fn a_note_outlives_its_holder_until_it_is_over() {
        let mut file = tempfile::tempfile().unwrap();
        let (held_file, notes) = held(&mut file, "`stop` (pid 1)");
        notes.begin(note("a"));
        notes.begin(note("b"));
        notes.signalled("a");
        notes.end("b");
        drop(held_file);
        notes.end("a");
        assert_eq!(notes.stopping(), [], "the lock is no longer held");

        let (_held, notes) = held(&mut file, "`up` (pid 2)");
        assert_eq!(notes.stopping(), [Stopping { signalled: true, ..note("a") }]);
        assert_eq!(holder(&mut file).as_deref(), Some("`up` (pid 2)"));
        notes.begin(note("c"));
        notes.forget_but(|id| id == "x");
        assert_eq!(notes.stopping(), [note("c")], "what this run notes itself stays");
        notes.end("c");

        let _held = held(&mut file, "`ps` (pid 3)");
        assert_eq!(text(&mut file).unwrap(), "`ps` (pid 3)\n", "nothing grows");
    }

    #[test]
    fn what_was_cut_off_at_any_byte_is_not_there_and_spoils_nothing() {
        let (first, second) = (Record::Stopping(note("a")), Record::Stopping(note("b")));
        let [first, second] = [first, second].map(|record| serde_json::to_string(&record).unwrap());
        for cut in 0..second.len() {
            let text = format!("`up` (pid 1)\n{first}\n{}\n{{\"signalled\":\"a\"}}\n", &second[..cut]);
            assert_eq!(stopping(&text), [Stopping { signalled: true, ..note("a") }], "{text}");
        }
        assert_eq!(stopping("\0\u{fffd}{}\n{\"stopping\":{}}\nnull"), []);
    }

    #[test]
    fn only_what_was_asked_and_has_time_left_is_under_way() {
        let asked = Stopping { signalled: true, ..note("a") };
        assert_eq!(asked.under_way(3_000), Some(Duration::from_secs(2)));
        assert_eq!(asked.under_way(11_000), None, "its time is over");
        assert_eq!(asked.under_way(0), None, "the clock was put back");
        assert_eq!(note("a").under_way(3_000), None);
    }
}

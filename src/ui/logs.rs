//! Formats log lines and writes them to stdout. Their text is sanitised: see `sanitise`.

use std::io::{self, Write as _};
use std::mem;

use serde::Serialize;
use tokio::task::JoinHandle;

use super::sanitise;
use super::style::Paint;
use crate::event::{Note, Turn, VERSION};
use crate::model::ServiceName;

/// One line of a log.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its service.
    pub service: &'a ServiceName,
    /// Number of the service, the same for all its lines.
    pub number: usize,
    /// When it was written, in the engine's words; empty if that is not known.
    pub stamp: &'a [u8],
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// What was written.
    pub text: &'a [u8],
}

/// What the user asked of the lines.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A JSON object a line.
    pub json: bool,
    /// Where lines are among events, they are one (`log`), too.
    pub event: bool,
    /// The service before each line.
    pub prefix: bool,
    /// The time before each line.
    pub timestamps: bool,
    /// Colours.
    pub color: bool,
    /// Longest name of a service.
    pub width: usize,
}

/// Writes lines the way the user asked.
#[derive(Debug)]
pub struct Format {
    options: Options,
    /// What is before each line, by number of the service.
    prefixes: Vec<Vec<u8>>,
}

#[derive(Serialize)]
struct Json<'a> {
    v: u32,
    ts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    service: &'a ServiceName,
    stream: &'static str,
    line: &'a str,
}

/// As [`Json`], of a container.
#[derive(Serialize)]
struct JsonNote<'a> {
    v: u32,
    ts: Option<String>,
    event: &'static str,
    service: &'a ServiceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
}

impl Format {
    /// What these options make of lines.
    pub fn new(options: Options) -> Self {
        Self { options, prefixes: Vec::new() }
    }

    /// Appends a line.
    pub fn line(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        if self.options.json {
            return json(record, self.options.event, out);
        }
        if self.options.prefix {
            while self.prefixes.len() <= record.number {
                self.prefixes.push(Vec::new());
            }
            let prefix = &mut self.prefixes[record.number];
            if prefix.is_empty() {
                let paint = Paint(self.options.color);
                let name = paint.service(record.service.as_str(), self.options.width);
                *prefix = format!("{name}  {} ", paint.dim("│")).into_bytes();
            }
            out.extend_from_slice(prefix);
        }
        if self.options.timestamps && !record.stamp.is_empty() {
            sanitise::line(record.stamp, false, out);
            out.push(b' ');
        }
        sanitise::line(record.text, self.options.color, out);
        out.push(b'\n');
    }

    /// Appends what happened to a container: without the bar, as the service did not say it. Among events (`watch`) it has
    /// been told already.
    pub fn note(&self, note: &Note, out: &mut Vec<u8>) {
        if self.options.event {
            return;
        }
        let ts = note.at.and_then(|at| jiff::Timestamp::from_nanosecond(at.into()).ok()).map(|at| format!("{at:.9}"));
        if self.options.json {
            return json_note(note, ts, out);
        }
        let paint = Paint(self.options.color);
        let text = match note.turn {
            Turn::Exited(Some(code)) => format!("exited with code {code}"),
            Turn::Exited(None) => "exited".into(),
            Turn::StartedAgain => "started again".into(),
            Turn::Recreated => "recreated".into(),
        };
        let ts = ts.filter(|_| self.options.timestamps).map_or_else(String::new, |ts| ts + " ");
        let name = paint.service(note.service.as_str(), self.options.width);
        out.extend_from_slice(format!("{name}  {}\n", paint.dim(&format!("{ts}{text}"))).as_bytes());
    }
}

/// A note as JSON; in the place of `line` it has what happened.
fn json_note(note: &Note, ts: Option<String>, out: &mut Vec<u8>) {
    let (event, exit_code) = match note.turn {
        Turn::Exited(code) => ("exited", code),
        Turn::StartedAgain => ("started-again", None),
        Turn::Recreated => ("recreated", None),
    };
    let note = JsonNote { v: VERSION, ts, event, service: &note.service, exit_code };
    // As below: this can't fail.
    let _ = serde_json::to_writer(&mut *out, &note);
    out.push(b'\n');
}

/// The text is not sanitised but escaped: a program wants it as it was.
fn json(record: &Record<'_>, event: bool, out: &mut Vec<u8>) {
    let line = String::from_utf8_lossy(record.text);
    let ts = std::str::from_utf8(record.stamp).ok().filter(|stamp| !stamp.is_empty());
    let event = event.then_some("log");
    let record = Json { v: VERSION, ts, event, service: record.service, stream: record.stream, line: &line };
    // No map with odd keys is in there.
    let text = sanitise::json(serde_json::to_string(&record).unwrap_or_default());
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// How much is gathered before it is written.
const BATCH: usize = 64 * 1024;

/// stdout for many lines: gathered, written in batches by a thread of its own, so that a reader who does not read keeps
/// no other task from receiving Ctrl-C.
#[derive(Debug, Default)]
pub struct Sink {
    /// Where lines are appended.
    pub buffer: Vec<u8>,
    spare: Vec<u8>,
    writing: Option<JoinHandle<(Vec<u8>, io::Result<()>)>>,
}

impl Sink {
    /// Whether it is time to flush.
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= BATCH
    }

    /// Starts to write what was gathered, when what was before is written.
    ///
    /// # Errors
    /// Those of the write before.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.written().await?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = mem::replace(&mut self.buffer, mem::take(&mut self.spare));
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let mut stdout = io::stdout().lock();
            let result = stdout.write_all(&full).and_then(|()| stdout.flush());
            (full, result)
        }));
        Ok(())
    }

    /// Writes everything.
    ///
    /// # Errors
    /// A reader that went away, or a full disk.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.written().await
    }

    async fn written(&mut self) -> io::Result<()> {
        if let Some(writing) = &mut self.writing {
            let (mut buffer, result) = writing.await?;
            self.writing = None;
            buffer.clear();
            self.spare = buffer;
            result?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(options: Options, text: &[u8]) -> String {
        let service = ServiceName::parse("api").unwrap();
        let stamp = b"2026-05-04T08:00:00.000000001Z";
        let record = Record { service: &service, number: 0, stamp, stream: "stderr", text };
        let mut out = Vec::new();
        Format::new(options).line(&record, &mut out);
        String::from_utf8(out).unwrap()
    }

    const PLAIN: Options =
        Options { json: false, event: false, prefix: true, timestamps: false, color: false, width: 8 };

    #[test]
    fn the_service_is_before_each_line() {
        assert_eq!(shown(PLAIN, b"hello"), "api       │ hello\n");
        assert_eq!(
            shown(Options { timestamps: true, ..PLAIN }, b"x"),
            "api       │ 2026-05-04T08:00:00.000000001Z x\n"
        );
        assert_eq!(shown(Options { prefix: false, ..PLAIN }, b"hello"), "hello\n");
    }

    #[test]
    fn json_keeps_the_text_and_is_valid() {
        let line = shown(Options { json: true, ..PLAIN }, b"a\x1b[2J\"\xff");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["line"], "a\u{1b}[2J\"\u{fffd}");
        assert_eq!(value["service"], "api");
        assert_eq!(value["stream"], "stderr");
        assert_eq!(value["ts"], "2026-05-04T08:00:00.000000001Z");
        assert_eq!(value["v"], 1);
        assert!(value.get("event").is_none());
        assert!(shown(Options { json: true, event: true, ..PLAIN }, b"a").contains(r#""event":"log""#));
    }

    #[test]
    fn what_happened_to_a_container_is_no_line_of_its_own() {
        let shown = |options: Options, turn| {
            let note = Note { service: ServiceName::parse("api").unwrap(), at: Some(1_700_000_000_000_000_012), turn };
            let mut out = Vec::new();
            Format::new(options).note(&note, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown(PLAIN, Turn::Exited(Some(137))), "api       exited with code 137\n");
        let ts = "2023-11-14T22:13:20.000000012Z";
        let stamped = shown(Options { timestamps: true, ..PLAIN }, Turn::Recreated);
        assert_eq!(stamped, format!("api       {ts} recreated\n"));
        let json: serde_json::Value =
            serde_json::from_str(&shown(Options { json: true, ..PLAIN }, Turn::Exited(Some(3)))).unwrap();
        let expected = serde_json::json!({ "v": 1, "ts": ts, "event": "exited", "service": "api", "exit_code": 3 });
        assert_eq!(json, expected);
        assert_eq!(shown(Options { event: true, ..PLAIN }, Turn::StartedAgain), "");
    }

    #[test]
    fn control_sequences_do_not_pass() {
        assert!(!shown(PLAIN, b"a\x1b[2Jb").contains('\x1b'));
    }
}

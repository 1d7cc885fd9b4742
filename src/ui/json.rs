//! One JSON object per line, for scripts. The fields are those of [`Event`]; this module adds version and time.

use serde::Serialize;

use super::sanitise;
use crate::diag::{Diagnostic, Error, ErrorKind, Severity};
use crate::event::{Event, VERSION};

/// What every line has.
#[derive(Serialize)]
struct Line<'a, T> {
    v: u32,
    ts: String,
    #[serde(flatten)]
    body: &'a T,
}

/// Words that only the end of a command needs.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Last<'a> {
    Error { kind: ErrorKind, message: String, hints: &'a [String], diagnostics: Vec<Finding<'a>> },
    Diagnostics { diagnostics: Vec<Finding<'a>> },
}

/// A diagnostic with its place spelled out.
#[derive(Debug, Serialize)]
pub struct Finding<'a> {
    severity: &'static str,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    label: Option<&'a str>,
    hint: Option<&'a str>,
}

impl<'a> From<&'a Diagnostic> for Finding<'a> {
    fn from(diagnostic: &'a Diagnostic) -> Self {
        let place = diagnostic.place.as_ref();
        let at = place.map(|place| place.source.line_column(place.span.start));
        Self {
            severity: match diagnostic.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            message: &diagnostic.message,
            file: place.map(|place| place.source.name.as_str()),
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            label: diagnostic.label.as_deref(),
            hint: diagnostic.hint.as_deref(),
        }
    }
}

/// An event as a line.
pub fn event(event: &Event, now: jiff::Timestamp) -> String {
    line(event, now)
}

/// The error a command ends with, as a line.
pub fn error(error: &Error, now: jiff::Timestamp) -> String {
    let diagnostics = error.diagnostics.iter().map(Into::into).collect();
    line(&Last::Error { kind: error.kind, message: error.to_string(), hints: &error.hints, diagnostics }, now)
}

/// Diagnostics that are no failure, as a line.
pub fn diagnostics(diagnostics: &[Diagnostic], now: jiff::Timestamp) -> String {
    line(&Last::Diagnostics { diagnostics: diagnostics.iter().map(Into::into).collect() }, now)
}

fn line(body: &impl Serialize, now: jiff::Timestamp) -> String {
    let line = Line { v: VERSION, ts: format!("{now:.3}"), body };
    let text = serde_json::to_string(&line).expect("events hold only strings, numbers and lists");
    let mut text = sanitise::json(text);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diag::{Place, Source};
    use crate::event::Summary;

    fn now() -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(1_700_000_000_120).expect("in range")
    }

    #[test]
    fn an_event_is_one_line_with_version_and_time() {
        let text = event(&Event::Notice { message: "two\nlines".into() }, now());
        assert_eq!(
            text,
            "{\"v\":1,\"ts\":\"2023-11-14T22:13:20.120Z\",\"event\":\"notice\",\"message\":\"two\\nlines\"}\n"
        );
    }

    #[test]
    fn the_summary_is_an_event_too() {
        let text = event(&Event::Summary(Summary { ok: true, ms: 5, ..Summary::default() }), now());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["event"], &value["ok"], &value["ms"]), (&"summary".into(), &true.into(), &5.into()));
    }

    #[test]
    fn an_error_carries_its_diagnostics() {
        let source = Arc::new(Source { name: "services.toml".into(), text: "a = 1\nbb = 2\n".into() });
        let place = Place { source, span: 6..8 };
        let error = Error::configuration(vec![Diagnostic::error(place, "unknown key").hint("did you mean `b`?")]);
        let value: serde_json::Value = serde_json::from_str(&super::error(&error, now())).unwrap();
        assert_eq!(value["event"], "error");
        assert_eq!(value["kind"], "usage");
        assert_eq!(value["message"], "1 error in the configuration");
        let found = &value["diagnostics"][0];
        assert_eq!((&found["file"], &found["line"], &found["column"]), (&"services.toml".into(), &2.into(), &1.into()));
        assert_eq!(found["hint"], "did you mean `b`?");
    }
}

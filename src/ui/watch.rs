//! Messages about changed files and the actions they caused.

use std::time::Duration;

use super::style::Paint;
use super::{sanitise, seconds};
use crate::event::{Event, WatchDone};
use crate::model::{Failure, ServiceName};

/// A line, and whose it is.
pub(super) enum Words<'a> {
    /// In the course of things.
    Line(Option<&'a ServiceName>, String),
    /// To be looked at, with the reports.
    Trouble(Option<&'a ServiceName>, String, &'a [Failure]),
}

/// The words for an event of a watch; none for others.
pub(super) fn words(event: &Event, color: bool) -> Words<'_> {
    let paint = Paint(color);
    match event {
        Event::WatchStarted { services, folders, files, polling } => {
            let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
            let how = if *polling { "; polling" } else { "" };
            let text = format!("watching for {}: {}", names.join(", "), count(*files, "file"));
            Words::Line(None, format!("{text} in {}{how}", count(*folders, "folder")))
        }
        Event::WatchAction { service, action, path, files } => {
            Words::Line(Some(service), format!("{action}: {} changed", paths(path, *files)))
        }
        Event::WatchDone(done) => done_words(done, paint),
        Event::WatchSuspended { service, paths, times } => {
            let names = sanitise::text(&paths.join(", "));
            let text = format!(
                "{}: {names} changed with each of the last {times} actions, which start each other; \
                 nothing is done until something else changes; leave the file out with `ignore`",
                paint.warn("loop stopped")
            );
            Words::Trouble(Some(service), text, &[])
        }
        Event::WatchReloaded { path, changes, failures, ms } => {
            let took = seconds(Duration::from_millis(*ms));
            let what = if changes.is_empty() { "nothing to do".into() } else { changes.join("; ") };
            let path = sanitise::text(path);
            if failures.is_empty() {
                Words::Line(None, format!("{path} {} in {took}: {what}", paint.good("applied")))
            } else {
                let text = format!("{path} {} after {took}: {what}", paint.bad("not applied as a whole"));
                Words::Trouble(None, text, failures)
            }
        }
        _ => Words::Line(None, String::new()),
    }
}

fn done_words(done: &WatchDone, paint: Paint) -> Words<'_> {
    let took = seconds(Duration::from_millis(done.ms));
    let (action, names) = (&done.action, paths(&done.path, done.files));
    let mut output = String::new();
    for line in done.output.iter().flat_map(|text| text.lines()) {
        output.push_str(&format!("\n  {} {}", paint.dim("│"), sanitise::text(line)));
    }
    let service = done.service.as_ref();
    if done.failures.is_empty() {
        let took = if done.ms < 1000 { format!("{} ms", done.ms) } else { took };
        Words::Line(service, format!("{action} {} in {took}: {names}{output}", paint.good("done")))
    } else {
        let text = format!("{action} {} after {took}: {names}{output}", paint.bad("failed"));
        Words::Trouble(service, text, &done.failures)
    }
}

fn paths(first: &str, files: usize) -> String {
    let first = sanitise::text(first);
    match files {
        0 | 1 => first,
        n => format!("{first} and {} more", n - 1),
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::ErrorKind;

    fn line(event: &Event) -> String {
        match words(event, false) {
            Words::Line(service, text) | Words::Trouble(service, text, _) => {
                format!("{}{text}", service.map_or_else(String::new, |name| format!("{name}  ")))
            }
        }
    }

    fn done() -> WatchDone {
        let service = Some(ServiceName::parse("api").unwrap());
        WatchDone {
            service,
            action: "restart".into(),
            path: "src/a.rs".into(),
            files: 3,
            ms: 420,
            ..WatchDone::default()
        }
    }

    #[test]
    fn an_action_names_its_file_and_its_time() {
        assert_eq!(line(&Event::WatchDone(done())), "api  restart done in 420 ms: src/a.rs and 2 more");
        let output = Some("one\ntwo".into());
        let exec = WatchDone { action: "exec".into(), files: 1, output, ms: 1400, ..done() };
        assert_eq!(line(&Event::WatchDone(exec)), "api  exec done in 1.4s: src/a.rs\n  │ one\n  │ two");
    }

    #[test]
    fn a_failure_is_to_be_looked_at() {
        let failure = Failure {
            service: None,
            kind: ErrorKind::Crashed,
            message: "exited with code 1".into(),
            exit_code: Some(1),
            oom_killed: false,
            last_probe: None,
            log: Vec::new(),
            reason: None,
            next: None,
        };
        let event = Event::WatchDone(WatchDone { failures: vec![failure], ..done() });
        let Words::Trouble(_, text, failures) = words(&event, false) else { panic!("a failure") };
        assert_eq!((text.as_str(), failures.len()), ("restart failed after 0.4s: src/a.rs and 2 more", 1));
    }
}

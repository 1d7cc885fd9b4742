//! Failure reports for tests: plain text, because a test's output may be written anywhere.

use std::fmt::Write as _;

use crate::diag::{Diagnostic, Error, Severity};
use crate::event::Summary;
use crate::model::Failure;

/// An error with the mistakes in the configuration, and what to do.
pub(super) fn error(error: &Error) -> String {
    let mut text = error.to_string();
    let wrong = error.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    for Diagnostic { message, place, hint, .. } in wrong {
        let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let hint = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let _ = write!(text, "\n  {place}{message}{hint}");
    }
    for hint in &error.hints {
        let _ = write!(text, "\n  hint: {hint}");
    }
    text
}

/// Why a stack did not start.
pub(super) fn summary(summary: &Summary) -> String {
    let failures: Vec<String> = summary.failures.iter().map(failure).collect();
    if failures.is_empty() { "the stack did not come up".into() } else { failures.join("\n") }
}

fn failure(failure: &Failure) -> String {
    let name = failure.service.as_ref().map_or("the stack", |service| service.as_str());
    let mut text = format!("{name}: {}", failure.message);
    if let Some(answer) = &failure.last_probe {
        let _ = write!(text, "\n  last probe: {answer}");
    }
    for line in &failure.log {
        // Control sequences could clear the screen of a person who reads the test's output.
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        let _ = write!(text, "\n  | {line}");
    }
    if let Some(reason) = &failure.reason {
        let _ = write!(text, "\n  likely reason: {reason}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::ErrorKind;
    use crate::model::ServiceName;

    #[test]
    fn a_failure_says_why() {
        let failure = Failure {
            service: Some(ServiceName::parse("db").unwrap()),
            kind: ErrorKind::Crashed,
            message: "exited with code 1".into(),
            exit_code: Some(1),
            oom_killed: false,
            last_probe: None,
            log: vec!["\u{1b}[2Jno space".into()],
            reason: Some("the disk is full".into()),
            next: Some("taskava dev logs db".into()),
        };
        let text = summary(&Summary { failures: vec![failure], ..Summary::default() });
        assert_eq!(text, "db: exited with code 1\n  | [2Jno space\n  likely reason: the disk is full");
    }
}

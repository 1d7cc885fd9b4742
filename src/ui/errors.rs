//! Errors, diagnostics and failure reports as text.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::sanitise;
use super::style::Paint;
use crate::diag::{Diagnostic, Error, Severity};
use crate::model::Failure;
use crate::model::signal;

/// An error with its causes and remedies; before it, its diagnostics.
pub fn error(error: &Error, color: bool) -> String {
    let paint = Paint(color);
    let mut out = diagnostics(&error.diagnostics, color);
    let mut said = String::new();
    for (depth, cause) in error.source.chain().enumerate() {
        let text = sanitise::block(&cause.to_string());
        // Libraries like to repeat their source in their own words.
        if depth == 0 {
            let _ = writeln!(out, "{} {text}", paint.bad("error:"));
        } else if !said.contains(&text) {
            let _ = writeln!(out, "  {} {text}", paint.dim("because:"));
        }
        said.push_str(&text);
    }
    for hint in &error.hints {
        let _ = writeln!(out, "{} {}", paint.hint("hint:"), sanitise::block(hint));
    }
    out
}

/// Diagnostics, each with its place: file, line, column, the source line, a caret and what to do.
pub fn diagnostics(diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(sanitise::block(&diagnostic.message));
        let mut group = match &diagnostic.place {
            None => {
                // Without a line to show there is nothing to put a gutter beside.
                out.push_str(&renderer.render(&[Group::with_title(title)]));
                if let Some(hint) = &diagnostic.hint {
                    let _ = write!(out, "\n{} {hint}", Paint(color).hint("hint:"));
                }
                out.push_str("\n\n");
                continue;
            }
            Some(place) => {
                let mark = AnnotationKind::Primary
                    .span(place.span.clone())
                    .label(diagnostic.label.as_deref().map(sanitise::text));
                title.element(
                    Snippet::source(&*place.source.text).path(sanitise::text(&place.source.name)).annotation(mark),
                )
            }
        };
        if let Some(hint) = &diagnostic.hint {
            group = group.element(Level::HELP.with_name("hint").message(sanitise::block(hint)));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out
}

/// Why a service failed: what happened, the last words of its log, the likely reason, what to do next.
pub fn failure(failure: &Failure, color: bool) -> String {
    let paint = Paint(color);
    let name = failure.service.as_ref().map_or("the stack", |service| service.as_str());
    let mut out = format!("{} {}: {}\n", paint.bad("✘"), paint.bold(name), sanitise::block(&what_happened(failure)));
    if let Some(answer) = &failure.last_probe {
        let _ = writeln!(out, "  {} {}", paint.dim("last probe:"), sanitise::text(answer));
    }
    if !failure.log.is_empty() {
        let _ = writeln!(out, "  {}", paint.dim("last log lines:"));
        for line in &failure.log {
            let mut clean = Vec::new();
            sanitise::line(line.as_bytes(), color, &mut clean);
            let _ = writeln!(out, "  {} {}", paint.dim("│"), String::from_utf8_lossy(&clean));
        }
    }
    if let Some(reason) = &failure.reason {
        let _ = writeln!(out, "  {} {}", paint.warn("likely reason:"), sanitise::block(reason));
    }
    if let Some(next) = &failure.next {
        let _ = writeln!(out, "  {} {}", paint.hint("next:"), sanitise::block(next));
    }
    out
}

/// The message, with what the exit code means where the message does not say.
pub(super) fn what_happened(failure: &Failure) -> String {
    let mut more = Vec::new();
    if let Some(code) = failure.exit_code {
        if !failure.message.contains(&code.to_string()) {
            more.push(format!("exit code {code}"));
        }
        if let Some(signal) = signal::of_exit_code(code).filter(|signal| !failure.message.contains(signal)) {
            more.push(signal.to_owned());
        }
    }
    if failure.oom_killed && !failure.message.contains("memory") {
        more.push("out of memory".into());
    }
    if more.is_empty() { failure.message.clone() } else { format!("{} ({})", failure.message, more.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use anyhow::Context as _;

    use super::*;
    use crate::diag::{ErrorKind, Place, Source};
    use crate::model::ServiceName;

    #[test]
    fn an_error_says_why_and_what_to_do() {
        let source =
            Err::<(), _>(std::io::Error::other("connection refused")).context("no engine answers").unwrap_err();
        let text = error(&Error::from_source(ErrorKind::Engine, source).hint("start Docker"), false);
        assert_eq!(text, "error: no engine answers\n  because: connection refused\nhint: start Docker\n");
    }

    #[test]
    fn a_cause_already_said_is_not_repeated() {
        let source = Err::<(), _>(std::io::Error::other("refused")).context("cannot connect: refused").unwrap_err();
        assert_eq!(error(&source.into(), false), "error: cannot connect: refused\n");
    }

    #[test]
    fn a_diagnostic_shows_its_place() {
        let source =
            Source { name: "services.toml".into(), text: "project = \"x\"\n[services.db]\nimge = \"a\"\n".into() };
        let place = Place { source: Arc::new(source), span: 28..32 };
        let diagnostic = Diagnostic::error(place, "unknown key `imge`")
            .label("not a key of a service")
            .hint("did you mean `image`?");
        let text = diagnostics(&[diagnostic, Diagnostic::warning(None, "no services")], false);
        assert_eq!(
            text,
            "\
error: unknown key `imge`
 --> services.toml:3:1
  |
3 | imge = \"a\"
  | ^^^^ not a key of a service
  |
  = hint: did you mean `image`?

warning: no services

"
        );
    }

    fn crash() -> Failure {
        Failure {
            service: Some(ServiceName::parse("postgres").unwrap()),
            kind: ErrorKind::Crashed,
            message: "exited with code 137".into(),
            exit_code: Some(137),
            oom_killed: true,
            last_probe: Some("connection refused".into()),
            log: vec!["starting".into(), "allocating".into()],
            reason: Some("its memory limit of 64 MiB is too small".into()),
            next: Some("raise resources.memory of postgres in services.toml".into()),
        }
    }

    #[test]
    fn a_failure_report_has_everything() {
        assert_eq!(
            failure(&crash(), false),
            "\
✘ postgres: exited with code 137 (SIGKILL, out of memory)
  last probe: connection refused
  last log lines:
  │ starting
  │ allocating
  likely reason: its memory limit of 64 MiB is too small
  next: raise resources.memory of postgres in services.toml
"
        );
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let bare = Failure {
            exit_code: None,
            oom_killed: false,
            last_probe: None,
            log: vec![],
            reason: None,
            next: None,
            ..crash()
        };
        assert_eq!(
            failure(&Failure { message: "not ready after 60 s".into(), ..bare }, false),
            "✘ postgres: not ready after 60 s\n"
        );
    }
}

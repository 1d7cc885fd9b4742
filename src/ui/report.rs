//! What a failed test run shows in addition to its own output: that it failed, and the logs of the services.

use std::fmt::Write as _;

use super::style::Paint;
use super::{github, sanitise};
use crate::model::ServiceName;

/// That something failed: an annotation on GitHub, else a line.
pub(super) fn failed(what: &str, how: &str, on_github: bool, color: bool) -> String {
    let (what, how) = (sanitise::text(what), sanitise::text(how));
    if on_github {
        return github::error("taskava dev test", &format!("{what} {how}"));
    }
    let paint = Paint(color);
    format!("\n{} {}: {how}\n", paint.bad("✘"), paint.bold(&what))
}

/// The last lines of a service. On GitHub they are a group, and fenced off: what a container writes is no command.
pub(super) fn service_log(service: &ServiceName, lines: &[String], fence: Option<&str>, color: bool) -> String {
    let paint = Paint(color);
    let mut out = String::new();
    let _ = match fence {
        Some(fence) => writeln!(out, "::group::log of {service}\n::stop-commands::{fence}"),
        None => writeln!(out, "\n{} {}", paint.dim("log of"), paint.bold(service.as_str())),
    };
    if lines.is_empty() {
        let _ = writeln!(out, "  {}", paint.dim("(nothing)"));
    }
    for line in lines {
        let mut clean = Vec::new();
        sanitise::line(line.as_bytes(), color, &mut clean);
        let _ = writeln!(out, "  {} {}", paint.dim("│"), String::from_utf8_lossy(&clean));
    }
    if let Some(fence) = fence {
        let _ = writeln!(out, "::{fence}::\n::endgroup::");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_github_what_a_service_wrote_can_not_be_a_command() {
        let name = ServiceName::parse("api").unwrap();
        let lines = ["::error::not mine".to_owned(), "\u{1b}[2Jcleared".to_owned()];
        let text = service_log(&name, &lines, Some("f00"), false);
        assert_eq!(
            text,
            "::group::log of api\n::stop-commands::f00\n  │ ::error::not mine\n  │ cleared\n::f00::\n::endgroup::\n"
        );
        assert_eq!(failed("`a\n::error::x`", "ended", true, false).lines().count(), 1);
    }
}

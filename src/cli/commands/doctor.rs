//! `doctor`: checks this machine for problems, with a fix for each. Changes nothing.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::session::load_options;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::doctor::{self, Check, Status};
use crate::event::counted;
use crate::load;
use crate::ui::Format;
use crate::ui::style::Paint;

/// Check this machine and services.toml for problems, and show how to fix them
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Changes nothing. Exits with code 0 if `up` has everything it needs (there may be warnings), otherwise with 1.")]
pub struct Args {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let loaded = load::stack(&load_options(context));
        let checks = doctor::examine(&context.connect_options(), &loaded).await;
        let ok = checks.iter().all(|check| check.status != Status::Fail);
        if args.json || context.format() == Format::Json {
            context.screen.json(&json!({ "v": crate::event::VERSION, "ok": ok, "checks": checks }))?;
        } else {
            context.screen.out(&text(&checks, context.global.quiet, context.screen.color()))?;
        }
        Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn text(checks: &[Check], quiet: bool, color: bool) -> String {
    let paint = Paint(color);
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or_default();
    let mut out = String::new();
    for check in checks.iter().filter(|check| !quiet || check.status != Status::Ok) {
        let mark = match check.status {
            Status::Ok => paint.good("✔"),
            Status::Warn => paint.warn("!"),
            Status::Fail => paint.bad("✘"),
        };
        let _ = writeln!(out, "{mark} {:width$}  {}", check.check, check.found);
        if let Some(fix) = &check.fix {
            let _ = writeln!(out, "  {:width$}  {} {fix}", "", paint.hint("fix:"));
        }
    }
    let count = |status| checks.iter().map(|check| u64::from(check.status == status)).sum();
    let _ = writeln!(
        out,
        "{} ok, {}, {}",
        count(Status::Ok),
        counted(count(Status::Warn), "warning"),
        counted(count(Status::Fail), "error")
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_with_its_fix_under_it() {
        let check = |name: &str, status, fix: Option<&str>| Check {
            check: name.into(),
            status,
            found: "found".into(),
            fix: fix.map(Into::into),
        };
        let checks = [
            check("engine", Status::Ok, None),
            check("port 80", Status::Fail, Some("end it")),
            check("disk", Status::Warn, Some("tidy up")),
        ];
        let all = "✔ engine   found\n✘ port 80  found\n           fix: end it\n! disk     found\n           fix: tidy up\n\
                   1 ok, 1 warning, 1 error\n";
        assert_eq!(text(&checks, false, false), all);
        assert!(!text(&checks, true, false).contains("engine"));
    }
}

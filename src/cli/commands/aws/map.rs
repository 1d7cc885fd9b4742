//! `aws map`: production compared with what runs here, as probed now.

use std::process::ExitCode;

use crate::aws_map::{self, Line, Verdict};
use crate::cli::session::load_stack;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::ui::Format;
use crate::ui::table::{Table, stdout_width};

/// Show which parts of production on AWS the running stack mirrors, and why others are not mirrored
///
/// Probes everything when it runs: the emulator of each AWS service, PostgreSQL and Redis for version and replicas, web
/// servers for health, declared resources for their settings. Nothing is changed. `metadata only` means that the API
/// stores descriptions, but nothing runs behind them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev aws map
  taskava dev --profile app aws map --json | jq '.components[] | select(.verdict != \"mirrored\")'")]
pub struct Args {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let stack = load_stack(context)?;
        let engine = Engine::connect(&context.connect_options()).await?;
        let containers = engine.containers(stack.name.as_str()).await?;
        if !containers.iter().any(crate::plan::observed::Container::is_up) {
            let message = format!("no service of {} is running, so there is nothing to probe", stack.name);
            return Err(Error::new(ErrorKind::Other, message).hint("start it with: taskava dev up"));
        }
        let lines = aws_map::ask(&engine, &stack, &containers).await?;
        if args.json || context.format() == Format::Json {
            let value = serde_json::json!({ "v": crate::event::VERSION, "stack": stack.name, "components": lines });
            context.screen.json(&value)?;
        } else {
            context.screen.out(&table(&lines, stdout_width(), context.screen.color()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The table, and how many lines of it say what.
fn table(lines: &[Line], width: Option<usize>, color: bool) -> String {
    let cells = |line: &Line| {
        let services = if line.services.is_empty() { "-".to_owned() } else { line.services.join(", ") };
        [line.component.to_owned(), services, line.verdict.as_str().to_owned()]
    };
    let mut table = Table::new(&["PRODUCTION", "HERE", "VERDICT", "EVIDENCE, WHAT IS MISSING"]);
    for line in lines {
        let mut cells = cells(line);
        for text in [line.said.join("; "), line.why.join("; ")].iter().filter(|text| !text.is_empty()) {
            let [component, services, verdict] = std::mem::take(&mut cells);
            table.row([component, services, verdict, text.clone()]);
        }
    }
    let count = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    let all = [Verdict::Mirrored, Verdict::Partial, Verdict::MetadataOnly, Verdict::Missing];
    let counts: Vec<_> = all.iter().map(|verdict| format!("{} {}", count(*verdict), verdict.as_str())).collect();
    format!("{}{}\n", table.render(width, color), counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(verdict: Verdict, said: &str, why: &str) -> Line {
        let words = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        Line { component: "S3", services: Vec::new(), verdict, said: words(said), why: words(why), declared: None }
    }

    #[test]
    fn reasons_are_wrapped_to_the_terminal_and_whole_elsewhere() {
        let lines =
            [line(Verdict::Partial, "it answers", "some things that it does are not quite what production does")];
        let whole = table(&lines, None, false);
        let last = "some things that it does are not quite what production does";
        assert!(whole.lines().any(|line| line.trim_start() == last), "{whole}");
        let narrow = table(&lines, Some(60), false);
        assert!(narrow.lines().all(|line| line.chars().count() <= 60) && !narrow.contains('…'), "{narrow}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&narrow), words(&whole));
    }

    #[test]
    fn every_line_has_its_verdict_once() {
        let lines = [line(Verdict::Mirrored, "it answers", ""), line(Verdict::Missing, "", "nobody answers")];
        let text = table(&lines, None, false);
        assert!(text.ends_with("1 mirrored, 0 partial, 0 metadata only, 1 missing\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("S3")).count(), 2, "{text}");
    }
}

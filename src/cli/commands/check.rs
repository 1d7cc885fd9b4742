//! `check`: validates services.toml, and reports every mistake in it and in the files it names.

use std::process::ExitCode;

use crate::cli::Context;
use crate::cli::session::{load_options, tell_loaded};
use crate::diag::{Diagnostic, Error, Result, Severity};
use crate::load::{self, Loaded};
use crate::model::{ServiceName, Unusable};
use crate::plan::{self, Observed, Plan, Request};
use crate::ui::Format;

/// Check services.toml and everything it refers to, without an engine
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args, context: &Context) -> Result<ExitCode> {
    let mut loaded = load::stack(&load_options(context))?;
    // What is known without an engine: `plan` and `up` see the images.
    let notes = plan::notes(&loaded.stack, &Observed::default(), &Request::default(), &Plan::default());
    let warning = |note: plan::Note| Diagnostic::warning(note.place, note.message).hint(note.hint);
    loaded.warnings.extend(notes.into_iter().map(warning));
    let stack = &loaded.stack;
    let is_active = |name: &ServiceName| stack.services[name].active;
    // What `up` refuses is an error; what it does not start may stay as it is.
    let (refused, others): (Vec<_>, Vec<_>) = stack.unusable.iter().partition(|one| one.services.iter().all(is_active));
    let warning = |one: &Unusable| Diagnostic { severity: Severity::Warning, ..one.problem.clone() };
    loaded.warnings.extend(others.into_iter().map(warning));
    loaded.warnings.extend(refused.iter().map(|one| one.problem.clone()));
    if !refused.is_empty() {
        load::in_order(&mut loaded.warnings);
        return Err(Error::configuration(loaded.warnings));
    }
    tell_loaded(context, &loaded);
    if context.format() == Format::Json {
        let services: Vec<_> = loaded.stack.services.keys().collect();
        let value = serde_json::json!({
            "v": crate::event::VERSION,
            "valid": true,
            "project": loaded.stack.name,
            "services": services,
            "warnings": loaded.warnings.len(),
            "files": loaded.files,
        });
        context.screen.json(&value)?;
    } else if !context.global.quiet {
        context.screen.out(&sentence(&loaded))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `services.toml is valid: 4 services (1 in inactive profiles), 2 volumes, 1 warning`
fn sentence(loaded: &Loaded) -> String {
    let stack = &loaded.stack;
    let file = loaded.files.first().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    let mut parts = vec![count(stack.services.len(), "service")];
    let inactive = stack.services.values().filter(|service| !service.active).count();
    if inactive > 0 {
        parts[0] += &format!(" ({inactive} in inactive profiles)");
    }
    let extra =
        [(stack.volumes.len(), "volume"), (stack.networks.len() - 1, "network"), (loaded.warnings.len(), "warning")];
    parts.extend(extra.into_iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(number, noun)));
    format!("{file} is valid: {}\n", parts.join(", "))
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

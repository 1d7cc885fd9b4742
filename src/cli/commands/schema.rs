//! `schema`: the JSON Schema of services.toml, for editors.

use std::process::ExitCode;

use crate::cli::Context;
use crate::config::describe;
use crate::diag::{Error, Result};

/// Print the JSON Schema of services.toml for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  taskava dev schema > services.schema.json    then, as the first line of services.toml:
  #:schema ./services.schema.json")]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args, context: &Context) -> Result<ExitCode> {
    context.screen.data(&text()?)?;
    Ok(ExitCode::SUCCESS)
}

/// The JSON Schema as a file.
pub(in crate::cli) fn text() -> Result<String> {
    let schema = serde_json::to_string_pretty(&describe::json_schema())
        .map_err(|error| Error::from(anyhow::Error::from(error)))?;
    Ok(schema + "\n")
}

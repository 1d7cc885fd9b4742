//! `export`: services.toml becomes a file for another tool.

use std::process::ExitCode;

use super::Context;
use crate::diag::Result;

/// Write services.toml as a file for another tool
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args, _: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}

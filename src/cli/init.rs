//! `init`: a first services.toml.

use std::process::ExitCode;

use super::Context;
use crate::diag::Result;

/// Write a first services.toml
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_: &Args, _: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}

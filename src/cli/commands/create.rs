//! `create`: `up` without the start.

use std::process::ExitCode;

use super::up::{self, UpArgs};
use crate::cli::Context;
use crate::cli::session::ChangeArgs;
use crate::diag::Result;

/// Create containers of services without starting them; same as `up --no-start`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show what would be done, without doing it
    #[arg(long, hide = true)]
    pub dry_run: bool,
    /// Nothing is asked; accepted for compatibility
    #[arg(short, long, hide = true)]
    pub yes: bool,
    /// The options of `up`.
    #[command(flatten)]
    pub change: UpArgs,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let change = UpArgs { no_start: true, ..args.change.clone() };
    let up = up::Args { change, on: args.on.clone(), dry_run: args.dry_run, ..up::Args::default() };
    up::run(&up, context)
}

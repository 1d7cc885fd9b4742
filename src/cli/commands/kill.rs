//! `kill`: sends a signal to services.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::Engine;
use crate::plan::observed::Container;

/// Send a signal to services, SIGKILL unless another is named
///
/// Only containers that run are meant. What was killed stays; `up` starts it again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which services.
    #[command(flatten)]
    pub on: Services,
    /// Signal to send, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    pub signal: String,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let kill = async |engine: &Engine, id: &str, name: &str| engine.kill(id, name, &args.signal).await;
    block_on(args.on.each(context, Container::is_up, kill, &format!("{} sent", args.signal)))
}

//! `kill`: sends a signal to services.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;

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
    block_on(async {
        let found = args.on.find(context).await?;
        for container in found.containers.iter().filter(|container| container.is_up()) {
            found.engine.kill(&container.id, container.service.as_str(), &args.signal).await?;
            context.screen.note(&format!("{}: {} sent", container.service, args.signal));
        }
        Ok(ExitCode::SUCCESS)
    })
}

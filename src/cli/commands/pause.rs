//! `pause`: suspends services.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::plan::observed::ContainerState;

/// Suspend all processes of services
///
/// `unpause` lets them go on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which services.
    #[command(flatten)]
    pub on: Services,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let found = args.on.find(context).await?;
        for container in found.containers.iter().filter(|container| container.state == ContainerState::Running) {
            found.engine.pause(&container.id, container.service.as_str()).await?;
            context.screen.note(&format!("{}: paused", container.service));
        }
        Ok(ExitCode::SUCCESS)
    })
}

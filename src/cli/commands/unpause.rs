//! `unpause`: lets paused services go on.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::plan::observed::ContainerState;

/// Let paused services go on
///
/// Services that are not paused are left alone.
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
        for container in found.containers.iter().filter(|container| container.state == ContainerState::Paused) {
            found.engine.unpause(&container.id, container.service.as_str()).await?;
            context.screen.note(&format!("{}: unpaused", container.service));
        }
        Ok(ExitCode::SUCCESS)
    })
}

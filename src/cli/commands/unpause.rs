//! `unpause`: lets paused services go on.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::Engine;
use crate::plan::observed::{Container, ContainerState};

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
    let is_meant = |container: &Container| container.state == ContainerState::Paused;
    block_on(args.on.each(context, is_meant, Engine::unpause, "unpaused"))
}

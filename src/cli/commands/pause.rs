//! `pause`: suspends services.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::Engine;
use crate::plan::observed::{Container, ContainerState};

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
    let is_meant = |container: &Container| container.state == ContainerState::Running;
    block_on(args.on.each(context, is_meant, Engine::pause, "paused"))
}

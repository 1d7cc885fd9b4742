//! `wait`: until services end.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;

/// Wait until services end, and print their exit codes
///
/// One line a service, in the order in which they are named. The command's own exit code is that of the last one, as with
/// docker compose. `up` waits until services are ready.
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
        let mut last = 0;
        for container in &found.containers {
            last = found.engine.wait_for_end(&container.id, container.service.as_str()).await?;
            context.screen.out(&format!("{} exited with code {last}\n", container.service))?;
        }
        Ok(ExitCode::from(u8::try_from(last).unwrap_or(1)))
    })
}

//! `wait`: until services end.

use std::process::ExitCode;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};

/// Wait until services end, and print their exit codes
///
/// One line a service, in the order of their names. The command's own exit code is that of the last one, as with
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
        let (engine, containers) = args.on.find(context).await?;
        let mut last = 0;
        for container in &containers {
            let ended = engine.exited(&container.id).await?;
            last = ended.ok_or_else(|| {
                let message = format!("{} was removed before it ended", container.service);
                Error::new(ErrorKind::Other, message)
            })?;
            context.screen.out(&format!("{} exited with code {last}\n", container.service))?;
        }
        Ok(ExitCode::from(u8::try_from(last).unwrap_or(1)))
    })
}

//! `wait`: until services end.

use std::process::ExitCode;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::down;
use crate::cli::services::Services;
use crate::cli::{Context, block_on, inside};
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
    /// Take the stack down when the first of the services ends; data is kept
    #[arg(long)]
    pub down_project: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if args.down_project {
        return first(args, context);
    }
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

/// Waits for the first to end, then takes the stack down.
fn first(args: &Args, context: &Context) -> Result<ExitCode> {
    let code = block_on(async {
        let (engine, containers) = args.on.find(context).await?;
        let ends = containers.iter().map(async |container| {
            let code = engine.exited(&container.id).await?.unwrap_or(0);
            Ok::<_, Error>((&container.service, code))
        });
        let mut ends: FuturesUnordered<_> = ends.collect();
        let Some(ended) = ends.next().await else {
            return Err(
                Error::new(ErrorKind::Other, "no service has a container").hint("create them with: taskava dev up")
            );
        };
        let (service, code) = ended?;
        context.screen.out(&format!("{service} exited with code {code}\n"))?;
        Ok(inside::exit_code(code))
    })?;
    let down = down::run(&down::Args::default(), context)?;
    Ok(if code == ExitCode::SUCCESS { down } else { code })
}

//! `stop`: stops and keeps everything.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session, Stopping};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::plan::{self, Request};

/// Stop services; containers and data are kept
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long they have.
    #[command(flatten)]
    pub stopping: Stopping,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open_or_labels(context).await?;
        let services = session.services(&args.on.services)?;
        let request = Request { services, stop_only: true, ..Request::default() };
        let stop_timeout = args.stopping.timeout();
        let plan =
            async |seen: &_| Ok(Change { stop_timeout, ..Change::new(plan::down(&session.stack, seen, &request)) });
        session.change("stop", &args.on, plan).await
    })
}

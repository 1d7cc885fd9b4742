//! `restart`: stops and starts, and applies what was edited meanwhile.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session, tell_orphans};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::plan::{self, Request};

/// Restart services and wait until they are ready; edits of services.toml are applied
///
/// A service whose configuration or image changed is made anew, the others are stopped and started. What the services
/// depend on is left alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        let services = session.services(&args.on.services)?;
        let no_deps = !services.is_empty();
        let request = Request { services, no_deps, restart: true, ..Request::default() };
        let plan = async |seen: &_| {
            tell_orphans(&session, seen, &request, "up");
            let plan = plan::up(&session.stack, seen, &request)?;
            Ok(Change { endpoints: true, ..Change::new(plan) })
        };
        session.change("restart", &args.on, plan).await
    })
}

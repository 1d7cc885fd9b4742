//! `start`: starts what was stopped, as it was.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::by_labels::as_they_are;
use crate::cli::session::{Change, ChangeArgs, Session};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::plan::{self, Observed, Request};

/// Start stopped services as they are, and wait until they are ready
///
/// With SERVICE: starts only these services and their dependencies. Changes in services.toml are not applied: use `up`
/// or `restart` for that. Also works without services.toml, on the containers that exist.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Wait until services are ready (the default; accepted for compatibility)
    #[arg(long, hide = true)]
    pub wait: bool,
    /// Fail if not all services are ready within this many seconds [default: each service's `ready.timeout`]
    #[arg(long, visible_alias = "wait-timeout", value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open_or_labels(context).await?;
        let services = session.services(&args.on.services)?;
        let request = Request { services, start_only: true, undeclared: session.by_labels, ..Request::default() };
        let plan = async |seen: &Observed| {
            let plan = plan::up(&session.stack, seen, &request)?;
            as_they_are(&session, seen, &plan)?;
            let timeout = args.timeout.map(Duration::from_secs);
            Ok(Change { endpoints: true, timeout, ..Change::new(plan) })
        };
        session.change("start", &args.on, plan).await
    })
}

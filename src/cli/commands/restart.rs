//! `restart`: stops and starts, and applies what was edited meanwhile.

use std::process::ExitCode;

use crate::cli::by_labels::as_they_are;
use crate::cli::session::{Change, ChangeArgs, Session, Stopping, tell_orphans};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::plan::{self, Observed, Request};

/// Restart services, apply changes in services.toml, and wait until they are ready
///
/// A service whose configuration or image changed is recreated; the others are stopped and started. Dependencies are
/// left alone. Without services.toml, existing containers are restarted as they are.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long they have to stop.
    #[command(flatten)]
    pub stopping: Stopping,
    /// Leave dependencies alone (the default; accepted for compatibility)
    #[arg(long, hide = true)]
    pub no_deps: bool,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open_or_labels(context).await?;
        let services = session.services(&args.on.services)?;
        let no_deps = !services.is_empty();
        let request = Request {
            services,
            no_deps,
            restart: true,
            start_only: session.by_labels,
            undeclared: session.by_labels,
            ..Request::default()
        };
        let plan = async |seen: &Observed| {
            tell_orphans(&session, seen, &request, "up");
            let plan = plan::up(&session.stack, seen, &request)?;
            as_they_are(&session, seen, &plan)?;
            Ok(Change { endpoints: true, stop_timeout: args.stopping.timeout(), ..Change::new(plan) })
        };
        session.change("restart", &args.on, plan).await
    })
}

//! `start`: starts what was stopped, as it was.

use std::process::ExitCode;

use super::session::{Change, ChangeArgs, Session};
use super::{Context, block_on};
use crate::diag::Result;
use crate::plan::{self, Request};

/// Start stopped services as they are and wait until they are ready
///
/// Edits of services.toml are not applied; `up` and `restart` do that.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these services and what they depend on
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// How to wait for other runs.
    #[command(flatten)]
    pub lock: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        let services = session.services(&args.services)?;
        let request = Request { services, start_only: true, ..Request::default() };
        let plan = async |seen: &_| {
            let plan = plan::up(&session.stack, seen, &request)?;
            Ok(Change { endpoints: true, ..Change::new(plan) })
        };
        session.change("start", &args.lock, plan).await
    })
}

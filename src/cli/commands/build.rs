//! `build`: builds images, and starts nothing.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::How;
use crate::plan;

/// Build the images of services, also when nothing they are built from changed
///
/// `up` builds by itself what is missing or whose files changed. What runs is left alone: `up` then uses the new images.
/// DOCKER_BUILDKIT=0 asks for the classic builder.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run every step instead of reusing the results of those that did not change
    #[arg(long)]
    pub no_cache: bool,
    /// Look for newer base images
    #[arg(long)]
    pub pull: bool,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        let services = session.services(&args.on.services)?;
        let build = How { no_cache: args.no_cache, pull: args.pull };
        let plan = async |seen: &_| {
            let plan = plan::build(&session.stack, seen, &services)?;
            Ok(Change { build, ..Change::new(plan) })
        };
        session.change("build", &args.on, plan).await
    })
}

//! `build`: builds images, and starts nothing.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::How;
use crate::plan;

/// Build the images of services, even if their source files did not change
///
/// `up` builds images that are missing or whose files changed. Running containers are left alone: `up` then uses the
/// new images. DOCKER_BUILDKIT=0 selects the classic builder.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Don't use the build cache
    #[arg(long)]
    pub no_cache: bool,
    /// Pull newer versions of the base images
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

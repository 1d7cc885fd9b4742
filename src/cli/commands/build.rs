//! `build`: builds images, and starts nothing.

use std::process::ExitCode;

use super::push;
use crate::cli::session::{Change, ChangeArgs, Session};
use crate::cli::{Context, block_on, inside};
use crate::diag::Result;
use crate::engine::How;
use crate::model::{ServiceName, graph};
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
    /// Set an argument of the builds; NAME alone takes its value from this environment; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = inside::variable)]
    pub build_arg: Vec<String>,
    /// Push the images afterwards
    #[arg(long)]
    pub push: bool,
    /// Also build the images of dependencies
    #[arg(long)]
    pub with_dependencies: bool,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        let mut services = session.services(&args.on.services)?;
        if args.with_dependencies {
            let built = |name: &&ServiceName| session.stack.builder(&session.stack.services[*name].image).is_some();
            let named = services.clone();
            let all = graph::closure(&session.stack, &services).into_iter();
            services = all.filter(|name| named.contains(name) || built(name)).cloned().collect();
        }
        let pair = |variable: &String| {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            (name.to_owned(), value.to_owned())
        };
        let build_args = inside::variables(&args.build_arg).iter().map(pair).collect();
        let build = How { no_cache: args.no_cache, pull: args.pull, args: build_args };
        let plan = async |seen: &_| {
            let plan = plan::build(&session.stack, seen, &services)?;
            Ok(Change { build, ..Change::new(plan) })
        };
        let code = session.change("build", &args.on, plan).await?;
        if !args.push || code != ExitCode::SUCCESS {
            return Ok(code);
        }
        push::push(&session, &services, push::OnFailure::Stop).await
    })
}

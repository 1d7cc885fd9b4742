//! `pull`: fetches images, and starts nothing.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session, load_stack};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::event::Event;
use crate::model::{Service, graph};
use crate::plan::{self, LeftOut, Observed, Request};
use crate::run::shutdown::ShutdownLevel;

/// Pull the newest images of services
///
/// Pulls all images at once, with the credentials of each registry, even if they exist locally. Running containers are
/// left alone: `up` then uses the new images. Images that services.toml builds, and those with `pull = "never"`, are
/// skipped.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent flag of the command line")]
pub struct Args {
    /// Exit with 0 even if images can't be pulled; the failures are reported all the same
    #[arg(long)]
    pub ignore_pull_failures: bool,
    /// Also pull the images of dependencies
    #[arg(long)]
    pub include_deps: bool,
    /// When to pull: `missing` only images that don't exist locally
    #[arg(long, value_name = "WHEN", default_value = "always", hide_default_value = true)]
    pub policy: PolicyArg,
    /// Skip images that are built (the default; accepted for compatibility)
    #[arg(long, hide = true)]
    pub ignore_buildable: bool,
    /// Same as `--parallel`, which is how it is done
    #[arg(long, hide = true)]
    pub no_parallel: bool,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// `--policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PolicyArg {
    /// If the image does not exist locally
    Missing,
    /// Every time
    Always,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let stack = load_stack(context)?;
        let named = stack.all_named(&args.on.services)?;
        let services = match args.include_deps {
            true => graph::with_dependencies(&stack, &named),
            false => named,
        };
        // One by one: what only concerns two of them together is no reason not to pull.
        let is_meant = |service: &Service| {
            if services.is_empty() { service.active } else { services.contains(&service.name) }
        };
        for service in stack.services.values().filter(|service| is_meant(service)) {
            let services = vec![service.name.clone()];
            plan::refuse_unusable(&stack, &Request { services, no_deps: true, ..Request::default() })?;
        }
        let session = Session::of(context, stack).await?;
        let request = Request { services, ..Request::default() };
        let plan = async |seen: &Observed| {
            let only_missing = args.policy == PolicyArg::Missing;
            let (plan, left_out) = plan::pull(&session.stack, seen, &request, only_missing);
            for (name, why) in left_out {
                let message = match why {
                    LeftOut::Built => format!("{name}: left out, it is built (taskava dev build {name})"),
                    LeftOut::Never => format!("{name}: skipped: pull = \"never\""),
                };
                session.events.emit(&Event::Notice { message });
            }
            Ok(Change { keep_going: args.ignore_pull_failures, ..Change::new(plan) })
        };
        let code = session.change("pull", &args.on, plan).await?;
        // Ctrl-C is no failure of a pull.
        let ignored = args.ignore_pull_failures && session.shutdown.hurry() == ShutdownLevel::None;
        Ok(if ignored { ExitCode::SUCCESS } else { code })
    })
}

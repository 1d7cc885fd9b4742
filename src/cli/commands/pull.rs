//! `pull`: fetches images, and starts nothing.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session, load_stack};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::event::Event;
use crate::model::Service;
use crate::plan::{self, LeftOut, Request};

/// Pull the newest images of services
///
/// Pulls all images at once, with the credentials of each registry, even if they exist locally. Running containers are
/// left alone: `up` then uses the new images. Images that services.toml builds, and those with `pull = "never"`, are
/// skipped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let stack = load_stack(context)?;
        // One by one: what only concerns two of them together is no reason not to pull.
        let names = args.on.services.iter().map(|name| stack.named(name)).collect::<Result<Vec<_>>>()?;
        let is_meant =
            |service: &Service| if names.is_empty() { service.active } else { names.contains(&service.name) };
        for service in stack.services.values().filter(|service| is_meant(service)) {
            let services = vec![service.name.clone()];
            plan::refuse_unusable(&stack, &Request { services, no_deps: true, ..Request::default() })?;
        }
        let session = Session::of(context, stack).await?;
        let request = Request { services: session.services(&args.on.services)?, ..Request::default() };
        let plan = async |seen: &_| {
            let (plan, left_out) = plan::pull(&session.stack, seen, &request);
            for (name, why) in left_out {
                let message = match why {
                    LeftOut::Built => format!("{name}: left out, it is built (taskava dev build {name})"),
                    LeftOut::Never => format!("{name}: skipped: pull = \"never\""),
                };
                session.events.emit(&Event::Notice { message });
            }
            Ok(Change::new(plan))
        };
        session.change("pull", &args.on, plan).await
    })
}

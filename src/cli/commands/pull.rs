//! `pull`: fetches images, and starts nothing.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::event::Event;
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
        let session = Session::open(context).await?;
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

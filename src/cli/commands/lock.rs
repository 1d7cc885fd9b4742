//! `lock`: records the images that the stack uses, so that it can be reproduced.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session, Waiting};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::event::Event;
use crate::load;
use crate::model::{Pins, pins};
use crate::plan::{self, Request};
use crate::ui::Format;

/// Write the digests of all images to services.lock, for `up --frozen`
///
/// Locks the images that exist locally; missing ones are pulled first. Commit the file to version control. Images that
/// services.toml builds are not locked, because their sources are already under version control.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pull the newest images first, even if they exist locally
    #[arg(long)]
    pub pull: bool,
    /// For other runs.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        // Profiles come and go; the file is for all of them.
        let services =
            session.stack.services.values().filter(|service| session.stack.builder(&service.image).is_none());
        let services: Vec<_> = services.map(|service| service.name.clone()).collect();
        let is_missing = session.observe().await?;
        let is_missing = |image: &String| !is_missing.images.contains_key(image);
        if args.pull || services.iter().any(|name| is_missing(&session.stack.services[name].image)) {
            let on = ChangeArgs { services: Vec::new(), waiting: args.waiting.clone() };
            let plan = async |seen: &plan::Observed| {
                let mut wanted = services.clone();
                wanted.retain(|name| args.pull || !seen.images.contains_key(&session.stack.services[name].image));
                let (plan, _) =
                    plan::pull(&session.stack, seen, &Request { services: wanted, ..Request::default() }, false);
                Ok(Change::new(plan))
            };
            let code = session.change("lock", &on, plan).await?;
            if code != ExitCode::SUCCESS {
                return Ok(code);
            }
        }
        let (pins, others) = look(&session, &services).await?;
        for image in &others {
            session.events.emit(&Event::Warning {
                message: format!("{image} is not locked: it was not pulled from a registry"),
                hint: Some("`up --frozen` refuses it; pull it, or declare `build` in services.toml".into()),
            });
        }
        let path = load::pins::write(&session.stack.root, &pins)?;
        if context.format() == Format::Json {
            let value =
                serde_json::json!({ "v": crate::event::VERSION, "file": path, "images": pins, "not_locked": others });
            context.screen.json(&value)?;
        } else {
            context.screen.out(&format!("{}: {} images locked\n", path.display(), pins.len()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The digest of each image, and the images that have none.
async fn look(session: &Session<'_>, services: &[crate::model::ServiceName]) -> Result<(Pins, Vec<String>)> {
    let (mut found, mut others) = (Pins::new(), Vec::new());
    for name in services {
        let reference = &session.stack.services[name].image;
        let image = session.engine.image(reference).await?;
        let digests = image.map(|image| image.digests).unwrap_or_default();
        match pins::digest_of(reference, &digests) {
            Some(digest) => drop(found.insert(reference.clone(), digest.clone())),
            None if others.contains(reference) => {}
            None => others.push(reference.clone()),
        }
    }
    Ok((found, others))
}

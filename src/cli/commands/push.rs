//! `push`: sends built images to their registries.

use std::process::ExitCode;

use crate::cli::session::Session;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::event::Event;
use crate::model::{Service, ServiceName, graph};
use crate::run::shutdown::ShutdownLevel;

/// Push the images of services that are built
///
/// The registry is that of the service's `image`, with the credentials of `docker login`. Services without `build`, and
/// those whose built image has no `image` to name a registry, are skipped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Exit with 0 even if images can't be pushed; the failures are reported all the same
    #[arg(long)]
    pub ignore_push_failures: bool,
    /// Also push the images of dependencies
    #[arg(long)]
    pub include_deps: bool,
}

/// What an image that can't be pushed means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    /// They are not pushed, and the command fails.
    Stop,
    /// It is reported.
    GoOn,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        let mut services = session.services(&args.services)?;
        if args.include_deps {
            services = graph::with_dependencies(&session.stack, &services);
        }
        let on_failure = if args.ignore_push_failures { OnFailure::GoOn } else { OnFailure::Stop };
        push(&session, &services, on_failure).await
    })
}

/// Pushes the images of services, each once; without names, of all active ones.
pub(super) async fn push(session: &Session<'_>, names: &[ServiceName], on_failure: OnFailure) -> Result<ExitCode> {
    let stack = &session.stack;
    let is_meant =
        |one: &&Service| if names.is_empty() { one.active && one.build.is_some() } else { names.contains(&one.name) };
    let notice = |message: String| session.events.emit(&Event::Notice { message });
    let mut done: Vec<&str> = Vec::new();
    for service in stack.services.values().filter(is_meant) {
        let (name, image) = (&service.name, service.image.as_str());
        if service.build.is_none() {
            notice(format!("{name}: skipped, its image is not built"));
        } else if image == stack.built_name(name) {
            notice(format!("{name}: skipped, it has no `image` in services.toml that names a registry"));
        } else if !done.contains(&image) {
            done.push(image);
            notice(format!("{name}: pushing {image}"));
            let pushed = tokio::select! {
                pushed = session.engine.push(image) => pushed,
                () = session.shutdown.reached(ShutdownLevel::Stop) => return Err(session.shutdown.error()),
            };
            match pushed {
                Ok(()) => notice(format!("{name}: pushed")),
                Err(error) if on_failure == OnFailure::GoOn => {
                    let hint = error.hints.first().cloned();
                    session.events.emit(&Event::Warning { message: error.to_string(), hint });
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

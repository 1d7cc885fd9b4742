//! `down`: stops services and removes containers; removes data only on request, and after confirmation.

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::plan as plan_command;
use crate::cli::session::{Change, ChangeArgs, Session, Stopping, tell_orphans};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::ImageRemoval;
use crate::event::Event;
use crate::model::{Service, ServiceName};
use crate::plan::{self, Op, Plan, Request};
use crate::ui::Screen;

/// Stop services and remove their containers and networks; volumes are kept
///
/// Services stop before their dependencies. Only objects with this stack's labels are touched.
#[derive(Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent flag of the command line")]
pub struct Args {
    /// Remove the stack's own volumes too
    ///
    /// Their data is saved as an automatic snapshot first (the newest three are kept): `taskava dev snapshot restore`
    /// restores it. Saving takes about half a second for a small database.
    #[arg(short, long)]
    pub volumes: bool,
    /// Don't ask for confirmation before removing data
    #[arg(short, long)]
    pub yes: bool,
    /// Don't save the data as a snapshot before removing it
    #[arg(long)]
    pub no_snapshot: bool,
    /// Also remove containers whose service is no longer in services.toml
    #[arg(long)]
    pub remove_orphans: bool,
    /// Remove images of the services too: `local` those that are built and have no `image`, `all` every one
    #[arg(long, value_name = "WHICH")]
    pub rmi: Option<RmiArg>,
    /// Show what would be done, without doing it; same as `taskava dev plan down`
    #[arg(long, hide = true)]
    pub dry_run: bool,
    /// How long they have to stop.
    #[command(flatten)]
    pub stopping: Stopping,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// `--rmi`
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RmiArg {
    /// Those that are built under a name of ours
    Local,
    /// Every one
    All,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if args.dry_run {
        return plan_command::show_down_of(context, args.on.services.clone(), args.volumes);
    }
    block_on(async {
        let session = Session::open_or_labels(context).await?;
        let request = Request {
            services: session.services(&args.on.services)?,
            volumes: args.volumes,
            snapshot: session.snapshot_before(args.volumes && !args.no_snapshot),
            remove_orphans: args.remove_orphans,
            ..Request::default()
        };
        let code = session
            .change("down", &args.on, async |seen| {
                tell_orphans(&session, seen, &request, "down");
                let left = leave_alone(&session).await?;
                let mut own = seen.clone();
                own.volumes.retain(|volume| !left.contains(&format!("volume {}", volume.name)));
                own.networks.retain(|network| !left.contains(&format!("network {}", network.name)));
                let plan = plan::down(&session.stack, &own, &request);
                if !args.yes {
                    confirm(&context.screen, &plan)?;
                }
                let stop_timeout = args.stopping.timeout();
                Ok(Change { prune: request.snapshot.is_some(), stop_timeout, ..Change::new(plan) })
            })
            .await?;
        if code == ExitCode::SUCCESS
            && let Some(which) = args.rmi
        {
            remove_images(&session, which, &request.services).await?;
        }
        Ok(code)
    })
}

/// Removes the images of services. One that something else uses stays, and is named.
async fn remove_images(session: &Session<'_>, which: RmiArg, services: &[ServiceName]) -> Result<()> {
    let stack = &session.stack;
    let is_meant = |service: &&Service| services.is_empty() || services.contains(&service.name);
    let is_local = |service: &&Service| service.build.is_some() && service.image == stack.built_name(&service.name);
    let images = stack.services.values().filter(is_meant).filter(|one| which == RmiArg::All || is_local(one));
    let images: BTreeSet<&str> = images.map(|service| service.image.as_str()).collect();
    for image in images {
        let message = match session.engine.remove_unused_image(image).await? {
            ImageRemoval::Removed => format!("image {image} removed"),
            ImageRemoval::InUse => format!("image {image} is kept: other containers or images use it"),
            ImageRemoval::Missing => continue,
        };
        session.events.emit(&Event::Notice { message });
    }
    Ok(())
}

/// What carries this stack's name without being its own stays, and is named.
async fn leave_alone(session: &Session<'_>) -> Result<Vec<String>> {
    let left = session.engine.left_alone(&session.stack).await?;
    if !left.is_empty() {
        let named: Vec<String> = left.iter().map(|(what, why)| format!("{what} {why}")).collect();
        session.events.emit(&Event::Warning {
            message: format!("left alone: {}", named.join("; ")),
            hint: Some("remove what is no longer needed yourself: docker volume rm, docker network rm".into()),
        });
    }
    Ok(left.into_iter().map(|(what, _)| what).collect())
}

/// Asks on a terminal before data is removed. In a pipe, `-v` is the confirmation.
fn confirm(screen: &Screen, plan: &Plan) -> Result<()> {
    let volumes = plan.steps.iter().filter_map(|step| match &step.op {
        Op::RemoveVolume { volume, .. } => Some(volume.as_str()),
        _ => None,
    });
    let volumes: Vec<&str> = volumes.collect();
    if volumes.is_empty() {
        return Ok(());
    }
    let saves = plan.steps.iter().any(|step| matches!(step.op, Op::SaveVolume { .. }));
    let lost = if saves { " (a snapshot is taken first)" } else { "" };
    if screen.may_go_on(&format!("this removes all data in: {}{lost}", volumes.join(", ")))? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Other, "nothing was removed").hint("without -v, down keeps the data"))
}

//! `rm`: removes containers of services that are stopped.

use std::process::ExitCode;

use crate::cli::session::{Change, ChangeArgs, Session};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::plan::{self, Observed, Op, Plan, Request};

/// Remove stopped containers of services; volumes and networks are kept
///
/// Containers that run are left alone, unless --stop is given. `up` creates what was removed again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stop the containers first
    #[arg(short, long)]
    pub stop: bool,
    /// Don't ask for confirmation
    #[arg(short, long, visible_alias = "yes")]
    pub force: bool,
    /// Remove the anonymous volumes of the containers too; their data is saved as a snapshot first
    #[arg(short, long)]
    pub volumes: bool,
    /// Accepted for compatibility
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Don't save the data as a snapshot before removing it
    #[arg(long)]
    pub no_snapshot: bool,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open_or_labels(context).await?;
        let request = Request {
            services: session.services(&args.on.services)?,
            volumes: args.volumes,
            snapshot: session.snapshot_before(args.volumes && !args.no_snapshot),
            ..Request::default()
        };
        let plan = async |seen: &Observed| {
            let plan = plan::remove(&session.stack, seen, &request, args.stop);
            let question = (!args.force).then(|| question(&plan)).flatten();
            if let Some(question) = question
                && !context.screen.may_go_on(&question)?
            {
                return Err(Error::new(ErrorKind::Other, "nothing was removed"));
            }
            Ok(Change { prune: request.snapshot.is_some(), ..Change::new(plan) })
        };
        session.change("rm", &args.on, plan).await
    })
}

/// What is asked before it is carried out; none: nothing is removed.
fn question(plan: &Plan) -> Option<String> {
    let removed = |op: &Op| match op {
        Op::Remove { service, .. } => Some(service.to_string()),
        Op::RemoveVolume { volume, .. } => Some(format!("volume {volume}")),
        _ => None,
    };
    let removed: Vec<String> = plan.steps.iter().filter_map(|step| removed(&step.op)).collect();
    (!removed.is_empty()).then(|| format!("this removes: {}", removed.join(", ")))
}

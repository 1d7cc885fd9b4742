//! `up`: creates and starts everything that is missing, in order; all of it is ready when the command returns.

mod attended;

use std::process::ExitCode;
use std::time::Duration;

use self::attended::{Ends, Shown};
use super::scale::Scale;
use super::{logs, plan as plan_command, watch};
use crate::cli::session::{self, Change, ChangeArgs, Session, tell_notes, tell_orphans};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::load;
use crate::model::{PullPolicy, Stack};
use crate::plan::{self, Request};
use crate::run::snapshot;

/// Start services in dependency order and wait until they are ready
///
/// Pulls missing images, builds those whose files changed, creates what does not exist, recreates what changed in
/// services.toml, and returns when a client can use every service. With SERVICE: starts only these services and their
/// dependencies.
#[derive(Debug, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent flag of the command line")]
pub struct Args {
    /// Return when all services are ready (the default; accepted for compatibility)
    #[arg(short, long)]
    pub detach: bool,
    /// Same as `--detach`
    #[arg(long, hide = true)]
    pub wait: bool,
    /// Follow the logs once all services are ready; Ctrl-C leaves the stack running
    #[arg(long, conflicts_with = "detach")]
    pub follow: bool,
    /// Apply the `watch` rules of services.toml when files change, and follow the logs of the watched services
    #[arg(short, long, conflicts_with_all = ["detach", "follow"])]
    pub watch: bool,
    /// Show what would be done, without doing it; same as `taskava dev plan`
    #[arg(long, hide = true)]
    pub dry_run: bool,
    /// Seconds that recreated containers have to stop before they are killed [default: the service's `stop_timeout`]
    #[arg(short = 't', long, value_name = "SECONDS")]
    pub stop_timeout: Option<u64>,
    /// Nothing is asked before data is lost that is saved first
    #[arg(short, long, hide = true)]
    pub yes: bool,
    /// When following ends by itself.
    #[command(flatten)]
    pub ends: Ends,
    /// Which logs are followed.
    #[command(flatten)]
    pub shown: Shown,
    /// The options of `up`.
    #[command(flatten)]
    pub change: UpArgs,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Options that `up`, `create` and `plan up` have in common.
#[derive(Debug, Clone, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent flag of the command line")]
pub struct UpArgs {
    /// Fail if not all services are ready within this many seconds [default: each service's `ready.timeout`]
    #[arg(long, visible_alias = "wait-timeout", value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Recreate containers even if nothing changed
    #[arg(long, visible_alias = "force-recreate")]
    pub recreate: bool,
    /// Recreate containers with new anonymous volumes; the old ones are saved as a snapshot first
    #[arg(short = 'V', long)]
    pub renew_anon_volumes: bool,
    /// When to pull images [default: the service's `pull`, else missing]
    #[arg(long, value_name = "WHEN")]
    pub pull: Option<PullArg>,
    /// Number of containers of a service, instead of its `replicas`; repeatable
    #[arg(long, value_name = "SERVICE=N")]
    pub scale: Vec<Scale>,
    /// Build images even if their source files did not change
    #[arg(long)]
    pub build: bool,
    /// Build nothing; an image that does not exist is an error
    #[arg(long, conflicts_with = "build")]
    pub no_build: bool,
    /// Leave existing containers as they are, even if something changed
    #[arg(long, conflicts_with_all = ["recreate", "renew_anon_volumes"])]
    pub no_recreate: bool,
    /// Images that are pulled or built are one line each
    #[arg(long, alias = "quiet-build", hide = true)]
    pub quiet_pull: bool,
    /// Use exactly the images in services.lock, and refuse others
    #[arg(long)]
    pub frozen: bool,
    /// Don't start dependencies
    #[arg(long)]
    pub no_deps: bool,
    /// Start services even if one of their dependencies failed
    #[arg(long)]
    pub keep_going: bool,
    /// Create what is missing or changed, but don't start it
    #[arg(long)]
    pub no_start: bool,
    /// Remove containers whose service is no longer in services.toml
    #[arg(long)]
    pub remove_orphans: bool,
    /// Remove AWS resources of this stack that are no longer in services.toml
    #[arg(long)]
    pub prune: bool,
}

/// `--pull`
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PullArg {
    /// If the image does not exist locally
    Missing,
    /// Every time
    Always,
    /// Never
    Never,
}

impl From<PullArg> for PullPolicy {
    fn from(arg: PullArg) -> Self {
        match arg {
            PullArg::Missing => Self::Missing,
            PullArg::Always => Self::Always,
            PullArg::Never => Self::Never,
        }
    }
}

impl UpArgs {
    /// What is asked of the planner.
    pub fn request(&self, session: &Session<'_>, services: &[String]) -> Result<Request> {
        Ok(Request {
            services: session.services(services)?,
            no_deps: self.no_deps,
            recreate: self.recreate,
            renew: self.renew_anon_volumes,
            snapshot: self.renew_anon_volumes.then(snapshot::auto_name),
            pull: self.pull.map(Into::into),
            build: self.build,
            no_build: self.no_build,
            no_recreate: self.no_recreate,
            no_start: self.no_start,
            frozen: self.frozen.then(|| load::pins::read(&session.stack.root)).transpose()?,
            remove_orphans: self.remove_orphans,
            prune: self.prune,
            ..Request::default()
        })
    }
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if args.dry_run {
        return plan_command::show_up(context, args.on.services.clone(), args.change.clone());
    }
    // Once: what is watched afterwards is what was brought up, and an edit in between is a change.
    let loaded = session::load_scaled(context, &args.change.scale)?;
    if args.watch {
        watch::check(&args.on.services, &loaded)?;
    }
    let end = args.ends.of(&loaded.stack)?;
    let shows = args.shown.of(&loaded.stack)?;
    let code = bring_up(args, context, loaded.stack.clone())?;
    if let Some(end) = end.filter(|_| !args.change.no_start) {
        context.screen.finish();
        return attended::until_the_end(context, &args.shown, &shows, &end, code, args.stop_timeout);
    }
    if args.watch && !args.change.no_start && code == ExitCode::SUCCESS {
        context.screen.finish();
        return watch::after_up(&args.on.services, loaded, context);
    }
    if (args.follow || args.shown.follows()) && !args.change.no_start && code == ExitCode::SUCCESS {
        context.screen.finish();
        let services = if args.shown.is_all() { args.on.services.clone() } else { shows };
        return logs::run(&args.shown.logs(services), context);
    }
    Ok(code)
}

fn bring_up(args: &Args, context: &Context, stack: Stack) -> Result<ExitCode> {
    block_on(async {
        let session = Session::to_start(context, stack, &args.on.services, args.change.no_deps).await?;
        let request = args.change.request(&session, &args.on.services)?;
        session
            .change("up", &args.on, async |seen| {
                tell_orphans(&session, seen, &request, "up");
                let plan = plan::up(&session.stack, seen, &session.with_contents(&request).await?)?;
                tell_notes(&session, seen, &request, &plan);
                let timeout = args.change.timeout.map(Duration::from_secs);
                let keep_going = args.change.keep_going;
                let prune = request.snapshot.is_some();
                let stop_timeout = args.stop_timeout.map(Duration::from_secs);
                Ok(Change { timeout, keep_going, endpoints: true, prune, stop_timeout, ..Change::new(plan) })
            })
            .await
    })
}

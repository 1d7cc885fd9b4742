//! `up`: creates and starts everything that is missing, in order; all of it is ready when the command returns.

use std::process::ExitCode;
use std::time::Duration;

use super::{logs, watch};
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
#[derive(Debug, clap::Args)]
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
    #[arg(long, conflicts_with_all = ["detach", "follow"])]
    pub watch: bool,
    /// The options of `up`.
    #[command(flatten)]
    pub change: UpArgs,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Options that `up` and `plan up` have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct UpArgs {
    /// Fail if not all services are ready within this many seconds [default: each service's `ready.timeout`]
    #[arg(long, value_name = "SECONDS")]
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
    /// Build images even if their source files did not change
    #[arg(long)]
    pub build: bool,
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
    // Once: what is watched afterwards is what was brought up, and an edit in between is a change.
    let loaded = session::load(context)?;
    if args.watch {
        watch::check(&args.on.services, &loaded)?;
    }
    let code = bring_up(args, context, loaded.stack.clone())?;
    if args.watch && !args.change.no_start && code == ExitCode::SUCCESS {
        context.screen.finish();
        return watch::after_up(&args.on.services, loaded, context);
    }
    if args.follow && !args.change.no_start && code == ExitCode::SUCCESS {
        context.screen.finish();
        return logs::run(&logs::Args::following(args.on.services.clone()), context);
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
                Ok(Change { timeout, keep_going, endpoints: true, prune, ..Change::new(plan) })
            })
            .await
    })
}

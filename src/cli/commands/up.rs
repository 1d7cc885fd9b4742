//! `up`: everything that is missing is made, in order, and is ready when the command returns.

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
/// Pulls images that are missing, builds those whose files changed, creates what does not exist, recreates what changed in services.toml, and
/// returns when a client can use every service. With SERVICE: only these and what they depend on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Return when everything is ready (the default; accepted for those who are used to it)
    #[arg(short, long)]
    pub detach: bool,
    /// As `--detach`
    #[arg(long, hide = true)]
    pub wait: bool,
    /// Stay with the logs when everything is ready; Ctrl-C leaves the stack running
    #[arg(long, conflicts_with = "detach")]
    pub follow: bool,
    /// Stay, show the logs of the watched services, and do what `watch` in services.toml says when files change
    #[arg(long, conflicts_with_all = ["detach", "follow"])]
    pub watch: bool,
    /// What `up` is asked.
    #[command(flatten)]
    pub change: UpArgs,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Options that `up` and `plan up` have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct UpArgs {
    /// Give up when not everything is ready after this time [default: each service's own]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Recreate containers even when nothing changed
    #[arg(long, visible_alias = "force-recreate")]
    pub recreate: bool,
    /// Recreate containers with new volumes in the place of those without a name; what is in them is saved as a snapshot first
    #[arg(short = 'V', long)]
    pub renew_anon_volumes: bool,
    /// When to pull images [default: each service's `pull`, which is missing]
    #[arg(long, value_name = "WHEN")]
    pub pull: Option<PullArg>,
    /// Build images even when nothing they are built from changed
    #[arg(long)]
    pub build: bool,
    /// Use exactly the images of services.lock, and refuse others
    #[arg(long)]
    pub frozen: bool,
    /// Leave out what the services depend on
    #[arg(long)]
    pub no_deps: bool,
    /// Start services even though one they depend on failed
    #[arg(long)]
    pub keep_going: bool,
    /// Create what is missing or changed, but start nothing
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
    /// When the image is not there
    Missing,
    /// Each time
    Always,
    /// Not at all
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
        let session = Session::of(context, stack).await?;
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

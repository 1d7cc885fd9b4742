//! `plan`: shows what would be done and why, without doing it.

use std::process::ExitCode;

use super::up::UpArgs;
use crate::aws::Change;
use crate::cli::session::{Session, load_scaled};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::model::ServiceName;
use crate::plan::{self, Cause, Op, Plan, Request};
use crate::run::{self, actual, provision};
use crate::ui::Format;

/// Exit code of `--exit-code` when there is something to do.
const CHANGES: u8 = 10;

/// Show what `up` or `down` would do, and why, without doing it
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// `up` or `down`.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Without a subcommand: `up`.
    #[command(flatten)]
    pub up: UpPlan,
}

/// What to plan.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// What `up` would do (the default)
    Up(UpPlan),
    /// What `down` would do
    Down(DownPlan),
}

/// `plan up`
#[derive(Debug, clap::Args)]
pub struct UpPlan {
    /// Only these services and their dependencies
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// The options of `up`.
    #[command(flatten)]
    pub change: UpArgs,
    /// Exit with code 10 if there is something to do
    #[arg(long)]
    pub exit_code: bool,
}

/// `plan down`
#[derive(Debug, clap::Args)]
pub struct DownPlan {
    /// Only these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Remove the stack's own volumes too
    #[arg(short, long)]
    pub volumes: bool,
    /// Exit with code 10 if there is something to do
    #[arg(long)]
    pub exit_code: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = match &args.what {
            Some(What::Down(_)) => Session::open_or_labels(context).await?,
            Some(What::Up(up)) => start(context, up).await?,
            None => start(context, &args.up).await?,
        };
        let seen = session.observe().await?;
        let (plan, exit_code) = match &args.what {
            None => return shown_up(&session, &seen, &args.up).await,
            Some(What::Up(args)) => return shown_up(&session, &seen, args).await,
            Some(What::Down(args)) => {
                let services = session.services(&args.services)?;
                let snapshot = args.volumes.then(run::snapshot::auto_name);
                let request = Request { services, volumes: args.volumes, snapshot, ..Request::default() };
                (plan::down(&session.stack, &seen, &request), args.exit_code)
            }
        };
        show_down(&session, &seen, &plan)?;
        Ok(if exit_code && !plan.is_noop() { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
    })
}

async fn start<'a>(context: &'a Context, args: &UpPlan) -> Result<Session<'a>> {
    let stack = load_scaled(context, &args.change.scale)?.stack;
    Session::to_start(context, stack, &args.services, args.change.no_deps).await
}

/// `up --dry-run`.
pub(super) fn show_up(context: &Context, services: Vec<String>, change: UpArgs) -> Result<ExitCode> {
    run(&Args { what: None, up: UpPlan { services, change, exit_code: false } }, context)
}

/// `down --dry-run`.
pub(super) fn show_down_of(context: &Context, services: Vec<String>, volumes: bool) -> Result<ExitCode> {
    let what = What::Down(DownPlan { services, volumes, exit_code: false });
    let up = UpPlan { services: Vec::new(), change: UpArgs::default(), exit_code: false };
    run(&Args { what: Some(what), up }, context)
}

/// Emulators that stay as they are can still lack what is declared: they are asked.
async fn shown_up(session: &Session<'_>, seen: &plan::Observed, args: &UpPlan) -> Result<ExitCode> {
    let (plan, differs) = up(session, seen, args).await?;
    let stays = |name: &ServiceName| plan.provision(name).is_some_and(|step| step.cause == Cause::Unchanged);
    let mut resources = match plan.steps.iter().any(|step| matches!(step.op, Op::Provision { .. })) {
        true => {
            let stack = actual::read_stack(&session.engine, &session.stack, &seen.containers).await;
            provision::differences(&session.engine.about, &stack, &seen.containers).await
        }
        false => Vec::new(),
    };
    resources.retain(|(service, _)| stays(service));
    show(session, seen, &plan, &resources, differs)?;
    let noop = plan.is_noop() && resources.is_empty() && !differs;
    Ok(if args.exit_code && !noop { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

async fn up(session: &Session<'_>, seen: &plan::Observed, args: &UpPlan) -> Result<(Plan, bool)> {
    let request = args.change.request(session, &args.services)?;
    crate::cli::session::tell_orphans(session, seen, &request, "up");
    let plan = plan::up(&session.stack, seen, &session.with_contents(&request).await?)?;
    let differs = crate::cli::session::tell_notes(session, seen, &request, &plan);
    Ok((plan, differs))
}

/// Before it stops an emulator, `down` saves what is in its buckets: no step of its own, but worth knowing.
fn show_down(session: &Session<'_>, seen: &plan::Observed, plan: &Plan) -> Result<()> {
    let context = session.context;
    let saved: Vec<&ServiceName> = run::saves_objects(&session.stack, seen, plan).collect();
    let kept = plan::kept(&session.stack, seen, plan);
    if context.format() == Format::Json {
        let steps: Vec<_> = plan.changes().collect();
        let value = serde_json::json!({
            "v": crate::event::VERSION, "stack": session.stack.name, "steps": steps, "resources": [],
            "saves_objects": saved, "kept": kept,
        });
        return Ok(context.screen.json(&value)?);
    }
    if plan.is_noop() {
        return Ok(context
            .screen
            .out(&format!("nothing to do: {} has nothing on this engine\n", session.stack.name))?);
    }
    let saved = saved.iter().map(|name| format!("{name}: what is in its buckets is saved before it stops"));
    let lines = saved.chain(kept).map(|line| format!("    {line}\n"));
    Ok(context.screen.out(&lines.fold(plan.to_string(), |text, line| text + &line))?)
}

/// `differs`: something else than the steps is not as services.toml says.
fn show(
    session: &Session<'_>,
    seen: &plan::Observed,
    plan: &Plan,
    resources: &[(ServiceName, Change)],
    differs: bool,
) -> Result<()> {
    let (context, stack) = (session.context, &session.stack);
    let kept = plan::kept(stack, seen, plan);
    let dangers = plan::dangers(stack, plan);
    if context.format() == Format::Json {
        let steps: Vec<_> = plan.changes().collect();
        let line = |(service, change): &(ServiceName, Change)| serde_json::json!({ "service": service, "resource": change.id.to_string(), "text": change.to_string() });
        let lines: Vec<_> = resources.iter().map(line).collect();
        let value = serde_json::json!({ "v": crate::event::VERSION, "stack": stack.name, "steps": steps, "resources": lines, "kept": kept, "dangers": dangers });
        return Ok(context.screen.json(&value)?);
    }
    if plan.is_noop() && resources.is_empty() {
        let text = match differs {
            true => "nothing for `up` to do\n".into(),
            false => format!("nothing to do: {} matches services.toml\n", stack.name),
        };
        return Ok(context.screen.out(&text)?);
    }
    let lines = resources.iter().map(|(service, change)| format!("    {service}: {change}\n"));
    let lines = lines.chain(kept.iter().chain(&dangers).map(|line| format!("    {line}\n")));
    Ok(context.screen.out(&lines.fold(plan.to_string(), |text, line| text + &line))?)
}

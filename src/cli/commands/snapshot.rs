//! `snapshot`: the stack's data by name, saved and brought back.

use std::process::ExitCode;

use crate::cli::by_labels::{as_they_are, stack_or_labels};
use crate::cli::session::{Change, ChangeArgs, Session, Waiting};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::{Event, size};
use crate::model::CopyName;
use crate::plan::{self, Observed, Request};
use crate::run::shutdown::ShutdownLevel;
use crate::run::snapshot::{self, Snapshot};
use crate::ui::Format;
use crate::ui::table::{Table, stdout_width};

/// Save and restore the stack's data as named snapshots
///
/// A snapshot holds the stack's named volumes, as images on the engine (`docker images taskava-snapshot`). Data that a
/// service keeps only in memory is not included: LocalStack's resources are created again by its init scripts and from
/// the declared resources. Before data is removed (`down --volumes`, `snapshot restore`), a snapshot is taken
/// automatically; the newest three of those are kept.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[expect(missing_docs, reason = "see the arguments of each")]
pub enum What {
    Save(SaveArgs),
    Restore(RestoreArgs),
    List(ListArgs),
    Remove(RemoveArgs),
}

/// Save the data of all services, or of the given ones
///
/// Running services are stopped meanwhile, for a second or more, so that the saved data is consistent.
#[derive(Debug, clap::Args)]
pub struct SaveArgs {
    /// Name of the snapshot
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// Replace the stack's data with that of a snapshot
///
/// The current data is saved as `auto-…` first. Running services are recreated on the restored data.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// Name of the snapshot
    #[arg(value_name = "NAME", add = super::completions::snapshots())]
    pub name: String,
    /// Don't save the current data first
    #[arg(long)]
    pub no_snapshot: bool,
    /// Which services.
    #[command(flatten)]
    pub on: ChangeArgs,
}

/// List snapshots, newest first
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Remove snapshots
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Names of the snapshots
    #[arg(value_name = "NAME", required = true, add = super::completions::snapshots())]
    pub names: Vec<String>,
    /// For other runs.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        match &args.what {
            What::Save(args) => save(args, context).await,
            What::Restore(args) => restore(args, context).await,
            What::List(args) => list(args, context).await,
            What::Remove(args) => remove(args, context).await,
        }
    })
}

async fn save(args: &SaveArgs, context: &Context) -> Result<ExitCode> {
    let name = CopyName::parse(&args.name).map_err(|why| Error::new(ErrorKind::Usage, why))?;
    if snapshot::is_auto(name.as_str()) {
        return Err(Error::new(ErrorKind::Usage, "names that begin with `auto-` are reserved for automatic snapshots"));
    }
    let session = Session::open_or_labels(context).await?;
    let services = session.services(&args.on.services)?;
    let change = async |seen: &Observed| {
        let all = snapshot::all(&session.engine, session.stack.name.as_str()).await?;
        if all.iter().any(|snapshot| snapshot.name == name.as_str()) {
            return Err(Error::new(ErrorKind::Usage, format_args!("snapshot `{name}` already exists"))
                .hint(format!("choose another name, or remove it: taskava dev snapshot remove {name}")));
        }
        for volume in plan::not_saved(&session.stack, seen) {
            let message = format!("volume {volume} is not saved: something else created it, such as docker compose");
            let hint = Some("save a server and its data with: taskava dev backup FILE".into());
            session.events.emit(&Event::Warning { message, hint });
        }
        let plan = plan::save(&session.stack, seen, &services, name.as_str())?;
        as_they_are(&session, seen, &plan)?;
        Ok(Change::new(plan))
    };
    session.change("snapshot save", &args.on, change).await
}

async fn restore(args: &RestoreArgs, context: &Context) -> Result<ExitCode> {
    let session = Session::open(context).await?;
    let project = session.stack.name.as_str();
    let request = Request {
        services: session.services(&args.on.services)?,
        snapshot: (!args.no_snapshot).then(snapshot::auto_name),
        ..Request::default()
    };
    let change = async |seen: &_| {
        let found = snapshot::find(&session.engine, project, &args.name).await?;
        let mut words = vec!["snapshot", "restore", args.name.as_str()];
        words.extend(args.on.services.iter().map(String::as_str));
        let command = context.command(words);
        let what = plan::Restore { name: &args.name, saved: &found.volumes, command: &command };
        let plan = plan::restore(&session.stack, seen, &what, &request)?;
        if plan.is_noop() {
            return Err(Error::new(ErrorKind::Usage, format_args!("`{}` has no data of these services", args.name))
                .hint(format!("it holds data of: {}", found.services.join(", "))));
        }
        Ok(Change { endpoints: true, prune: true, ..Change::new(plan) })
    };
    session.change("snapshot restore", &args.on, change).await
}

async fn list(args: &ListArgs, context: &Context) -> Result<ExitCode> {
    let mut found = stack_or_labels(context).await?;
    let engine = found.engine(context).await?;
    let stack = found.stack;
    let ((all, parts), now) = (snapshot::both(&engine, stack.name.as_str()).await?, engine.now().await);
    for part in parts.iter().filter(|part| !part.auto) {
        let name = &part.name;
        let remedy = context.command(["snapshot", "remove", name]);
        context
            .screen
            .note(&format!("saving `{name}` was cut off: it is not a snapshot; remove what was saved with: {remedy}"));
    }
    if args.json || context.format() == Format::Json {
        let value = serde_json::json!({ "v": crate::event::VERSION, "stack": stack.name, "snapshots": all });
        context.screen.json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() {
        context.screen.note("no snapshots; take one with: taskava dev snapshot save NAME");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "SERVICES", "SIZE", "AGE"]);
    for Snapshot { name, services, size: bytes, created, .. } in &all {
        table.row([name.clone(), services.join(", "), size(*bytes), age(now.as_second() - created)]);
    }
    context.screen.out(&table.render(stdout_width(), context.screen.color()))?;
    Ok(ExitCode::SUCCESS)
}

async fn remove(args: &RemoveArgs, context: &Context) -> Result<ExitCode> {
    let session = Session::open_or_labels(context).await?;
    let _lock = session.lock("snapshot remove", &args.waiting, &session.events).await?;
    let mut found = Vec::new();
    for name in &args.names {
        let project = session.stack.name.as_str();
        // What is there of one that was cut off can be removed, too.
        let part = snapshot::both(&session.engine, project).await?.1.into_iter().find(|part| part.name == *name);
        found.push(match part {
            Some(part) => part,
            None => snapshot::find(&session.engine, project, name).await?,
        });
        if let Some(intent) = session.engine.intents(project).await?.iter().find(|intent| intent.needs(name)) {
            return Err(intent.error());
        }
    }
    for snapshot in &found {
        tokio::select! {
            removed = snapshot::remove(&session.engine, snapshot) => removed?,
            () = session.shutdown.reached(ShutdownLevel::Stop) => return Err(session.shutdown.error()),
        }
        context.screen.note(&format!("removed snapshot {} ({})", snapshot.name, size(snapshot.size)));
    }
    Ok(ExitCode::SUCCESS)
}

/// `3m`, `2h`, `5d`
pub(in crate::cli) fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

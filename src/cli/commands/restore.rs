//! `restore`: data of a `backup`, put back into this stack or another one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;

use super::backup;
use crate::backup::archive::{Reader, verify};
use crate::backup::contents::Contents;
use crate::backup::sealed::{self, Keys};
use crate::backup::servers::{self, Server};
use crate::backup::{Manifest, Progress, Saved};
use crate::cli::session::{Change, Session, Waiting};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::{Summary, size};
use crate::model::{Service, ServiceName, Stack};
use crate::plan::{self, Intent, Request, Work};
use crate::run::shutdown::ShutdownLevel;
use crate::run::{Lock, snapshot};
use crate::ui::{Format, Screen};

/// Restore the data of a backup into this stack or another one
///
/// The whole file is checked before anything is touched. Services that are not running are started. Data is restored
/// into the service of the same name, or the only one of the same kind; a service's main database (`POSTGRES_DB`) into
/// the main database of the other. Restoring over existing data needs `--replace`. Afterwards each table, key and
/// object is compared with what was saved. The configuration in the file is never applied, only shown (`--config`).
///
/// Restore only files from a source that you trust: a database dump is SQL that the superuser runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev restore monday.tar --list
  taskava dev -p second restore monday.tar          into an empty stack with another name
  taskava dev restore monday.tar --replace          replace the existing data
  taskava dev restore monday.age --identity key.txt --config > services.toml")]
pub struct Args {
    /// The file to read
    // `file` is the global option.
    #[arg(id = "backup", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Only check that the file is complete
    #[arg(long, group = "look")]
    pub check: bool,
    /// Only list the contents
    #[arg(long, group = "look")]
    pub list: bool,
    /// Only print the configuration in the file
    #[arg(long, group = "look")]
    pub config: bool,
    /// Replace existing data
    #[arg(long, conflicts_with = "look")]
    pub replace: bool,
    /// Don't ask for confirmation before replacing data
    #[arg(short, long)]
    pub yes: bool,
    /// Don't save the data as a snapshot before replacing it
    #[arg(long)]
    pub no_snapshot: bool,
    /// Restore the data of the saved service SAVED into SERVICE; repeatable
    #[arg(long = "service", value_name = "SAVED=SERVICE", value_parser = pair)]
    pub services: Vec<(String, String)>,
    /// Decrypt with a key in FILE (AGE-SECRET-KEY-1…)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "passphrase_file")]
    pub identity: Option<PathBuf>,
    /// Decrypt with the passphrase in the first line of FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// For other runs.
    #[command(flatten)]
    pub waiting: Waiting,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (saved, service) = text.split_once('=').ok_or("SAVED=SERVICE, as in db=postgres")?;
    Ok((saved.into(), service.into()))
}

impl Args {
    fn open(&self) -> Result<(u64, Box<dyn std::io::Read>)> {
        sealed::open(&self.file, &Keys { identity: self.identity.clone(), passphrase: self.passphrase_file.clone() })
    }

    /// Reads the file whole, in a thread of its own: Ctrl-C is listened to meanwhile.
    async fn verified(&self, mut progress: Progress) -> Result<(u64, Manifest, Contents)> {
        let keys = Keys { identity: self.identity.clone(), passphrase: self.passphrase_file.clone() };
        let file = self.file.clone();
        progress.begin(format!("checking {}", file.display()));
        let checking = move || {
            let (size, from) = sealed::open(&file, &keys)?;
            let manifest = verify(from, |bytes| progress.add(bytes));
            manifest
                .map(|(manifest, contents)| (size, manifest, contents))
                .map_err(|error| Error { source: anyhow::anyhow!("{}: {error}", file.display()), ..error })
        };
        tokio::task::spawn_blocking(checking).await.map_err(anyhow::Error::from)?
    }
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        if args.check || args.list || args.config {
            return look(args, context).await;
        }
        let progress = Progress::new(context.screen.events(), Duration::from_secs(2));
        let (_, manifest, contents) = args.verified(progress).await?;
        let session = Session::open(context).await?;
        tokio::select! {
            restored = restore(args, &session, &manifest, &contents) => restored,
            () = session.shutdown.reached(ShutdownLevel::Kill) => Err(session.shutdown.error()),
        }
    })
}

/// A time without what is below a second; as it is where it is none.
fn short(time: &str) -> String {
    let parsed = time.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| time.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

async fn look(args: &Args, context: &Context) -> Result<ExitCode> {
    let (bytes, manifest, contents) =
        args.verified(Progress::new(context.screen.events(), Duration::from_secs(2))).await?;
    if args.config {
        context.screen.data(&String::from_utf8_lossy(&contents.configuration))?;
    } else if args.json || context.format() == Format::Json {
        context.screen.json(&backup::shown(&args.file, &manifest, Some(bytes)))?;
    } else if args.list {
        let mut text =
            format!("{} of {}, made by taskava {}\n", manifest.stack, short(&manifest.created), manifest.taskava);
        for saved in &manifest.services {
            text += &format!("{}: {}\n", saved.service, saved.data.summary());
        }
        context.screen.out(&text)?;
    } else {
        context.screen.note(&format!("{} is complete ({})", args.file.display(), size(bytes)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn restore(args: &Args, session: &Session<'_>, manifest: &Manifest, contents: &Contents) -> Result<ExitCode> {
    let stack = &session.stack;
    let targets = targets(args, stack, manifest)?;
    let lock = session.lock("restore", &args.waiting, &session.events).await?;
    let wanted: Vec<ServiceName> = targets.iter().map(|(_, service)| service.name.clone()).collect();
    let open = open_intents(session, &targets).await?;
    if let Some(failed) = bring_up(session, &wanted, &lock).await? {
        return Ok(session.end(failed));
    }
    let mut used = Vec::new();
    for (server, saved) in reach(session, &targets).await? {
        used.extend(server.used(&saved.data).await?);
    }
    let mut before = open.iter().find_map(|intent| intent.before.clone());
    // What a restore left there that was cut off is no data of the user's.
    if !used.is_empty() && open.is_empty() {
        confirm(&session.context.screen, args, &used)?;
        before = (!args.no_snapshot).then(snapshot::auto_name);
        if let Some(name) = &before
            && let Some(failed) = save_first(session, &wanted, name, &lock).await?
        {
            return Ok(session.end(failed));
        }
    }
    let intent = intent(args, session, &targets, before).await?;
    session.engine.begin(stack, &intent).await?;
    let mut reader = Reader::new(args.open()?.1);
    // What it begins with, and the configuration.
    reader.member()?;
    reader.member()?;
    let (mut progress, mut differences) = (backup::progress(session), Vec::new());
    for (server, saved) in reach(session, &targets).await? {
        let roles = contents.roles.get(&saved.service).map(Vec::as_slice).unwrap_or_default();
        let restoring = server.restore(&saved.data, roles, &mut reader, !used.is_empty(), &mut progress);
        differences.extend(tokio::select! {
            restored = restoring => restored?,
            () = session.shutdown.reached(ShutdownLevel::Stop) => {
                let half = format!("the data of the stack is incomplete; restore it again: {}", intent.finish);
                return Err(session.shutdown.error().hint(half));
            }
        });
    }
    for intent in open.iter().filter(|open| **open != intent).chain([&intent]) {
        session.engine.finish(stack, intent).await?;
    }
    told(args, session, manifest, &differences)
}

/// The restores of files that were cut off and that this one makes up for.
///
/// # Errors
/// When another one is at work on the volumes of the services: no server may start on them.
async fn open_intents(session: &Session<'_>, targets: &[(&Saved, &Service)]) -> Result<Vec<Intent>> {
    let mut seen = session.observe().await?;
    let is_covered = |intent: &Intent| {
        let is_target = |name: &String| targets.iter().any(|(_, service)| service.name.as_str() == name);
        intent.work == Work::RestoreFile && intent.services.iter().all(is_target)
    };
    let open = seen.intents.iter().filter(|intent| is_covered(intent)).cloned().collect();
    seen.intents.retain(|intent| intent.work == Work::RestoreSnapshot);
    plan::refuse(&session.stack, &seen, targets.iter().map(|(_, service)| *service))?;
    Ok(open)
}

/// What is written down while the data is only half there.
async fn intent(
    args: &Args,
    session: &Session<'_>,
    targets: &[(&Saved, &Service)],
    before: Option<String>,
) -> Result<Intent> {
    let seen = session.engine.observe(&session.stack).await?;
    let path = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into()).display().to_string();
    let file = path(&args.file);
    let mut words = vec!["restore".into(), file.clone(), "--replace".into()];
    words.extend(args.no_snapshot.then(|| "--no-snapshot".into()));
    words.extend(args.services.iter().flat_map(|(saved, to)| ["--service".into(), format!("{saved}={to}")]));
    words.extend(args.identity.iter().flat_map(|key| ["--identity".into(), path(key)]));
    words.extend(args.passphrase_file.iter().flat_map(|file| ["--passphrase-file".into(), path(file)]));
    let volumes = targets.iter().flat_map(|(_, service)| plan::volumes(&session.stack, &seen.volumes, service));
    Ok(Intent {
        work: Work::RestoreFile,
        of: file,
        volumes: volumes.collect(),
        services: targets.iter().map(|(_, service)| service.name.to_string()).collect(),
        finish: session.context.command(words.iter().map(String::as_str)),
        before,
    })
}

/// Which service gets what, before anything is done.
fn targets<'a>(args: &Args, stack: &'a Stack, manifest: &'a Manifest) -> Result<Vec<(&'a Saved, &'a Service)>> {
    let mut targets: Vec<(&Saved, &Service)> = Vec::new();
    for saved in &manifest.services {
        let kind = saved.data.kind();
        let given = args.services.iter().find(|(of, _)| *of == saved.service).map(|(_, to)| to.as_str());
        let of_kind: Vec<&Service> =
            stack.services.values().filter(|service| servers::kind(stack, service) == Some(kind)).collect();
        let service = match (given, &of_kind[..]) {
            (Some(name), _) => &stack.services[&stack.named(name)?],
            (None, all) if all.iter().any(|service| service.name.as_str() == saved.service) => {
                &stack.services[saved.service.as_str()]
            }
            (None, [only]) => *only,
            (None, _) => {
                let message = format!("no service of {} is for the data of {} ({kind})", stack.name, saved.service);
                return Err(Error::new(ErrorKind::Usage, message)
                    .hint(format!("say which: --service {}=SERVICE", saved.service)));
            }
        };
        if servers::kind(stack, service) != Some(kind) {
            let message = format!("{} is of kind {}, but the data is of {kind}", service.name, service.kind.as_str());
            return Err(Error::new(ErrorKind::Usage, message));
        }
        if targets.iter().any(|(_, other)| other.name == service.name) {
            let message = format!("{} would get the data of two services", service.name);
            return Err(Error::new(ErrorKind::Usage, message).hint("say which goes where: --service SAVED=SERVICE"));
        }
        targets.push((saved, service));
    }
    Ok(targets)
}

async fn reach<'a>(
    session: &'a Session<'_>,
    targets: &[(&'a Saved, &'a Service)],
) -> Result<Vec<(Server<'a>, &'a Saved)>> {
    let containers = session.engine.containers(session.stack.name.as_str()).await?;
    let mut found = Vec::new();
    for (saved, service) in targets {
        let container = containers.iter().find(|seen| seen.service == service.name && seen.is_up());
        let container = container.ok_or_else(|| {
            Error::new(ErrorKind::Other, format_args!("{} does not run", service.name))
                .hint(format!("start it with: taskava dev up {}", service.name))
        })?;
        found.push((Server::new(&session.engine, &session.stack, service, container).await?, *saved));
    }
    Ok(found)
}

/// Starts what does not run. Returns the end of a run that failed.
async fn bring_up(session: &Session<'_>, wanted: &[ServiceName], lock: &Lock) -> Result<Option<Summary>> {
    let mut seen = session.observe().await?;
    // This is what finishes them.
    seen.intents.retain(|intent| intent.work == Work::RestoreSnapshot);
    let up = |name: &ServiceName| seen.containers.iter().any(|seen| seen.service == *name && seen.is_usable());
    // Objects that were not put back yet would come back on top of those of the file.
    if wanted.iter().all(|name| up(name) && !seen.owed.contains(name)) {
        return Ok(None);
    }
    let request = Request { services: wanted.to_vec(), ..Request::default() };
    let plan = plan::up(&session.stack, &seen, &session.with_contents(&request).await?)?;
    let summary = session.carry_out(&seen, Change::new(plan), lock).await?;
    Ok((!summary.ok).then_some(summary))
}

/// Asks on a terminal before data is replaced. Returns if it may be.
fn confirm(screen: &Screen, args: &Args, used: &[String]) -> Result<()> {
    let all = used.join(", ");
    if !args.replace {
        return Err(Error::new(ErrorKind::Usage, format_args!("data already exists: {all}; nothing was touched"))
            .hint("replace it with --replace (a snapshot is taken first), or restore into another stack: -p NAME"));
    }
    let saved = if args.no_snapshot { "" } else { " (a snapshot is taken first)" };
    if args.yes || screen.may_go_on(&format!("this replaces: {all}{saved}"))? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Other, "nothing was replaced"))
}

/// Takes a snapshot of what will be replaced. Returns the end of a run that failed.
async fn save_first(session: &Session<'_>, wanted: &[ServiceName], name: &str, lock: &Lock) -> Result<Option<Summary>> {
    let seen = session.observe().await?;
    let plan = plan::save(&session.stack, &seen, wanted, name)?;
    let summary = session.carry_out(&seen, Change::new(plan), lock).await?;
    if !summary.ok {
        return Ok(Some(summary));
    }
    snapshot::prune(&session.engine, session.stack.name.as_str()).await?;
    Ok(None)
}

/// How many differences are named.
const NAMED: usize = 20;

fn told(args: &Args, session: &Session<'_>, manifest: &Manifest, differences: &[String]) -> Result<ExitCode> {
    let (screen, file) = (&session.context.screen, args.file.display());
    if args.json || session.context.format() == Format::Json {
        let mut value = backup::shown(&args.file, manifest, None);
        value["into"] = session.stack.name.as_str().into();
        value["differences"] = differences.into();
        screen.json(&value)?;
    }
    if differences.is_empty() {
        for saved in &manifest.services {
            screen.note(&format!("{}: {}, compared with what was saved", saved.service, saved.data.summary()));
        }
        screen.note(&format!("restored {file} into {}", session.stack.name));
        return Ok(ExitCode::SUCCESS);
    }
    let named = differences.iter().take(NAMED).map(|difference| format!("\n  {difference}")).collect::<String>();
    let more = match differences.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    let message = format!("restored, but with {} differences from what was saved:{named}{more}", differences.len());
    Err(Error::new(ErrorKind::Other, message))
}

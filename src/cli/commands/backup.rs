//! `backup`: the stack's data and configuration in one file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueHint;

use super::config;
use crate::backup::archive::Writer;
use crate::backup::sealed::{self, Output, Seal};
use crate::backup::{FORMAT, Manifest, Progress, Saved, servers};
use crate::cli::session::{Change, Session, Waiting};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::size;
use crate::plan::observed::Container;
use crate::plan::{self, Request};
use crate::run::Lock;
use crate::run::shutdown::ShutdownLevel;
use crate::ui::Format;

/// Save the stack's data and configuration to one portable file
///
/// Saves every PostgreSQL database with its roles, every Redis key, and every version of every object in the buckets of
/// the AWS emulator, while they run; and services.toml as `config` shows it. Passwords, tokens and keys of the
/// configuration are included only if the file is encrypted; passwords of roles never are. The file appears only once
/// it is complete.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev backup monday.tar
  taskava dev backup monday.age --encrypt-to age1…      encrypted, with the secrets of the configuration
  taskava dev restore monday.tar --check                check that the file is complete")]
pub struct Args {
    /// The file to write
    // `file` is the global option.
    #[arg(id = "backup", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
    /// Encrypt with `age` to RECIPIENT (age1…); repeatable
    #[arg(long, value_name = "RECIPIENT", conflicts_with = "passphrase_file")]
    pub encrypt_to: Vec<String>,
    /// Encrypt with `age` and the passphrase in the first line of FILE
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// For other runs.
    #[command(flatten)]
    pub waiting: Waiting,
}

impl Args {
    fn seal(&self) -> Seal {
        match (&self.passphrase_file, &self.encrypt_to[..]) {
            (Some(file), _) => Seal::Passphrase(file.clone()),
            (None, []) => Seal::Open,
            (None, recipients) => Seal::Recipients(recipients.to_vec()),
        }
    }
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let session = Session::open(context).await?;
        tokio::select! {
            saved = save(args, &session) => saved.map(|()| ExitCode::SUCCESS).map_err(no_room),
            () = session.shutdown.reached(ShutdownLevel::Stop) => Err(session.shutdown.error()),
        }
    })
}

/// How often progress is reported.
pub(in crate::cli) fn progress(session: &Session<'_>) -> Progress {
    let every = if session.context.format() == Format::Tty { 2 } else { 10 };
    Progress::new(session.events.clone(), Duration::from_secs(every))
}

async fn save(args: &Args, session: &Session<'_>) -> Result<()> {
    let (stack, engine) = (&session.stack, &session.engine);
    let lock = session.lock("backup", &args.waiting, &session.events).await?;
    let containers = whole(session, &lock).await?;
    let up = |name: &str| containers.iter().any(|seen| seen.service.as_str() == name && seen.is_usable());
    let active = stack.services.values().filter(|service| service.active && servers::kind(stack, service).is_some());
    if let Some(down) = active.map(|service| service.name.as_str()).find(|name| !up(name)) {
        return Err(Error::new(ErrorKind::Other, format_args!("{down} does not run: its data can't be saved"))
            .hint(format!("start it with: taskava dev up {down}")));
    }
    let servers = servers::running(engine, stack, &containers).await?;
    let seal = args.seal();
    let mut to = Writer::new(Output::create(&args.file, args.force, &seal)?)?;
    let configuration = toml::to_string(&config::resolved(stack, seal.is_closed())).map_err(anyhow::Error::from)?;
    to.member("services.toml", configuration.as_bytes())?;
    let mut progress = progress(session);
    let mut services = Vec::new();
    for server in &servers {
        let data = server.save(&mut to, &mut progress).await?;
        services.push(Saved { service: server.service().into(), data });
    }
    let manifest = Manifest {
        format: FORMAT,
        taskava: env!("CARGO_PKG_VERSION").into(),
        stack: stack.name.to_string(),
        created: engine.now().await.to_string(),
        secrets: seal.is_closed(),
        services,
        members: Vec::new(),
    };
    let (output, manifest) = to.finish(manifest)?;
    let bytes = output.finish()?;
    told(args, session, &manifest, bytes)
}

/// The stack's containers, with all of their data: what was cut off is finished first where that can be done here, and
/// refused where not.
async fn whole(session: &Session<'_>, lock: &Lock) -> Result<Vec<Container>> {
    let (stack, seen) = (&session.stack, session.observe().await?);
    plan::refuse(stack, &seen, stack.services.values().filter(|service| servers::kind(stack, service).is_some()))?;
    if seen.owed.is_empty() {
        return Ok(seen.containers);
    }
    let services = seen.owed.iter().cloned().collect();
    let request = Request { services, start_only: true, no_deps: true, ..Request::default() };
    let summary = session.carry_out(&seen, Change::new(plan::up(stack, &seen, &request)?), lock).await?;
    match summary.failures.into_iter().next() {
        Some(failure) => Err(Error::new(failure.kind, failure.message).hint("finish it with: taskava dev up")),
        None => Ok(session.observe().await?.containers),
    }
}

/// A disk that is full is named with its remedy, wherever in the file that was.
fn no_room(error: Error) -> Error {
    let remedy = error.source.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>().and_then(sealed::remedy));
    match remedy {
        Some(remedy) if error.hints.is_empty() => error.hint(remedy),
        _ => error,
    }
}

fn told(args: &Args, session: &Session<'_>, manifest: &Manifest, bytes: u64) -> Result<()> {
    let screen = &session.context.screen;
    if args.json || session.context.format() == Format::Json {
        return Ok(screen.json(&shown(&args.file, manifest, Some(bytes)))?);
    }
    for saved in &manifest.services {
        screen.note(&format!("{}: {}", saved.service, saved.data.summary()));
    }
    screen.note(&format!("saved {} in {} ({})", manifest.stack, args.file.display(), size(bytes)));
    Ok(())
}

/// A file as JSON; its members are left out.
pub(in crate::cli) fn shown(file: &Path, manifest: &Manifest, bytes: Option<u64>) -> serde_json::Value {
    serde_json::json!({
        "v": crate::event::VERSION,
        "file": file,
        "size": bytes,
        "format": manifest.format,
        "taskava": manifest.taskava,
        "stack": manifest.stack,
        "created": manifest.created,
        "secrets": manifest.secrets,
        "services": manifest.services,
    })
}

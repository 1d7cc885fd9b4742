//! `run`: a command in a container of its own, made like a service's. What the service depends on is brought up first, as
//! by `up`; the container is never taken for the service's.

mod one_off;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::up::PullArg;
use crate::cli::inside::{self, Flow, Outside, Streams, What, pump};
use crate::cli::session::{Session, Waiting};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::engine::OneOffOptions;
use crate::engine::attach::not_run;
use crate::event::{Event, Events};
use crate::model::{Service, Stack};
use crate::plan::{self, Request};
use crate::run::signals::Signal;
use crate::run::{self, Run};
use crate::ui::Format;
use crate::ui::terminal::Raw;

/// Run a one-off command in a new container of a service
///
/// Starts the service's dependencies and waits until they are ready, then runs the command in a new container with the
/// service's image, environment, mounts and networks. Without COMMAND, runs the service's own command. The exit code is
/// the command's. The container is removed afterwards; `down` removes one that was kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev run api sh                           open a shell in a new container of api
  taskava dev run --rm api cargo test              run a command in the image of api
  taskava dev run --entrypoint sh api -c 'env'     override the image's entrypoint")]
pub struct Args {
    /// How the command is connected.
    #[command(flatten)]
    pub streams: Streams,
    /// What the container is made of.
    #[command(flatten)]
    pub like: one_off::Like,
    /// Remove the container when the command ends (the default; accepted for compatibility)
    #[arg(long)]
    pub rm: bool,
    /// Keep the container after the command ended
    #[arg(long, visible_alias = "keep", conflicts_with = "rm")]
    pub no_rm: bool,
    /// Name of the container [default: PROJECT-SERVICE-run-ID]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Don't start dependencies
    #[arg(long)]
    pub no_deps: bool,
    /// Start the container, print its name and return; it is kept until `down` unless --rm is given
    #[arg(short, long)]
    pub detach: bool,
    /// Build the image first, even if its source files did not change
    #[arg(long)]
    pub build: bool,
    /// When to pull images [default: the service's `pull`, else missing]
    #[arg(long, value_name = "WHEN")]
    pub pull: Option<PullArg>,
    /// Remove containers whose service is no longer in services.toml
    #[arg(long)]
    pub remove_orphans: bool,
    /// Images that are pulled or built are one line each
    #[arg(long, alias = "quiet-build", hide = true)]
    pub quiet_pull: bool,
    /// For other runs.
    #[command(flatten)]
    pub waiting: Waiting,
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
    /// The command and its arguments [default: the service's]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Ctrl-C so often means now.
const PATIENCE: usize = 3;

/// How long a terminal's command may take to end after its output did, before it counts as left alone (Ctrl-P Ctrl-Q).
const DETACHED: Duration = Duration::from_secs(3);

/// A container that is made and about to be started.
struct CreatedOneOff {
    engine: Engine,
    service: Service,
    id: String,
    options: OneOffOptions,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        match make(args, context).await? {
            // The screen is the command's from here on.
            Ok(made) => {
                context.screen.finish();
                if args.detach { made.leave(context).await } else { made.run(context).await }
            }
            Err(code) => Ok(code),
        }
    })
}

/// Starts the service's dependencies and creates the container. The lock is held until it exists, so that no other run
/// removes its network meanwhile. Failures are reported; the exit code is returned.
async fn make(args: &Args, context: &Context) -> Result<Result<CreatedOneOff, ExitCode>> {
    let session = Session::open(context).await?;
    let name = session.stack.named(&args.service)?;
    let (engine, stack) = (&session.engine, &session.stack);
    let service = one_off::service(&args.like, stack, &name, &args.command)?;
    // stdout is the command's alone.
    let events = if context.format() == Format::Json { Events::default() } else { session.events.clone() };
    let lock = session.lock("run", &args.waiting, &events).await?;
    let seen = session.observe().await?;
    let needed = service.depends_on.iter().filter(|(name, on)| on.required || stack.services[*name].active);
    let services = if args.no_deps { Vec::new() } else { needed.map(|(name, _)| name.clone()).collect() };
    let pull = args.pull.map(Into::into);
    let (build, remove_orphans) = (args.build, args.remove_orphans);
    let request = Request { services, pull, build, remove_orphans, ..Request::default() };
    let request = session.with_contents(&request).await?;
    let plan = plan::needed(stack, &seen, &request, &service)?;
    if !plan.steps.is_empty() {
        // That everything is as it should be goes without saying.
        let told = if plan.is_noop() { Events::default() } else { events.clone() };
        let run = Run { notes: lock.notes(), ..Run::new(engine, stack, &seen, &told, &session.shutdown)? };
        let summary = run::apply(&run, Arc::new(plan)).await;
        if !summary.ok {
            let failed = summary.failures.first().map_or(ErrorKind::Other, |failure| failure.kind);
            let interrupted = session.shutdown.hurry() != run::shutdown::ShutdownLevel::None;
            let kind = if interrupted { session.shutdown.error().kind } else { failed };
            session.events.emit(&Event::Summary(summary));
            return Ok(Err(ExitCode::from(kind.exit_code())));
        }
        told.emit(&Event::Summary(summary));
    }
    let tty = if args.detach { None } else { args.streams.tty() };
    let remove = if args.detach { args.rm } else { !args.no_rm };
    let stdin = !args.detach && !args.streams.no_stdin;
    let name = args.name.clone().unwrap_or_else(|| one_off::name(stack, &service));
    let options = OneOffOptions { name, stdin, tty, remove };
    let viewing = run::views::settle(engine, stack, &service, &events, &Mutex::default()).await?;
    let id = create(engine, stack, viewing.as_ref().unwrap_or(&service), &options, &events).await?;
    if session.shutdown.hurry() != run::shutdown::ShutdownLevel::None {
        engine.remove(&id, &options.name).await?;
        return Err(session.shutdown.error());
    }
    Ok(Ok(CreatedOneOff { engine: engine.clone(), service, id, options }))
}

async fn create(
    engine: &Engine,
    stack: &Stack,
    service: &Service,
    options: &OneOffOptions,
    events: &Events,
) -> Result<String> {
    let (id, warnings) = engine.create_one_off(stack, service, options).await?;
    for message in warnings {
        events.emit(&Event::Warning { message, hint: None });
    }
    Ok(id)
}

impl CreatedOneOff {
    /// Starts it and prints its name.
    async fn leave(self, context: &Context) -> Result<ExitCode> {
        if let Err(error) = self.engine.start(&self.id, &self.options.name).await {
            self.engine.remove(&self.id, &self.options.name).await?;
            return match self.refused(context, error)? {
                Left::Code(code) => Ok(code),
                Left::Detached => Ok(ExitCode::SUCCESS),
            };
        }
        context.screen.out(&format!("{}\n", self.options.name))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn run(self, context: &Context) -> Result<ExitCode> {
        let mut outside = Outside::listen();
        let ended = self.attached(context, &mut outside).await;
        let leaves = !matches!(&ended, Ok(Left::Detached));
        if leaves && self.options.remove {
            // The engine does it as well; this is for when it could not, and waits until it has.
            self.engine.remove(&self.id, &self.options.name).await?;
        }
        match ended? {
            Left::Code(code) => Ok(code),
            Left::Detached => {
                let (name, service) = (&self.options.name, &self.service.name);
                context.screen.note(&format!("detached; {service}'s command keeps running in container {name}"));
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    async fn attached(&self, context: &Context, outside: &mut Outside) -> Result<Left> {
        let (engine, id, options) = (&self.engine, &self.id, &self.options);
        let attached = engine.attach(id, options).await?;
        let ending = engine.ending(id, options.remove).await?;
        // Before the start: no key may be echoed.
        let raw = options.tty.map(|_| Raw::enter()).transpose()?;
        if let Err(error) = engine.start(id, &options.name).await {
            drop(raw);
            return self.refused(context, error);
        }
        if let Some(size) = options.tty {
            engine.resize(id, size).await;
        }
        let mut ends = 0;
        let mut on = async |what| {
            match what {
                What::Resized(size) => engine.resize(id, size).await,
                What::Signal(signal) => {
                    ends += usize::from(Signal::ENDS.contains(&signal));
                    let name = if ends >= PATIENCE { "SIGKILL" } else { signal.name() };
                    engine.signal(id, name).await?;
                    if signal == Signal::HangUp {
                        return Ok(Flow::Leave(signal.exit_code()));
                    }
                }
            }
            Ok(Flow::GoOn)
        };
        let mut ending = std::pin::pin!(ending.code());
        if let Some(code) = pump(attached, options.stdin, outside, &mut on).await?.left {
            return self.abandoned(code).await;
        }
        // It may have closed its output and go on; signals are for it even then.
        let detached = async {
            match options.tty {
                Some(_) => tokio::time::sleep(DETACHED).await,
                None => std::future::pending().await,
            }
        };
        let mut detached = std::pin::pin!(detached);
        let code = loop {
            tokio::select! {
                code = &mut ending => break code?,
                what = outside.next() => if let Flow::Leave(code) = on(what).await? {
                    return self.abandoned(code).await;
                },
                () = &mut detached => return Ok(Left::Detached),
            }
        };
        drop(raw);
        Ok(Left::Code(inside::exit_code(code)))
    }

    /// The terminal is gone, and with it all who could end a command that takes no notice of that.
    async fn abandoned(&self, code: u8) -> Result<Left> {
        self.engine.stop(&self.id, &self.options.name, self.service.stop_timeout).await?;
        Ok(Left::Code(ExitCode::from(code)))
    }

    /// The container could not be started: a command that can't be run ends as in a shell.
    fn refused(&self, context: &Context, error: Error) -> Result<Left> {
        match not_run(&error.to_string()) {
            Some((code, why)) => {
                let words = self.service.entrypoint.iter().chain(&self.service.command).flatten().cloned();
                let words: Vec<String> = words.take(1).collect();
                context.screen.error(&inside::cannot_run(&words, &why, &self.service.name));
                Ok(Left::Code(ExitCode::from(code)))
            }
            None => Err(error),
        }
    }
}

/// How a run was left.
enum Left {
    /// The command ended.
    Code(ExitCode),
    /// The command keeps running.
    Detached,
}

//! `watch`: applies the watch rules of a running stack when files change, until it is interrupted.

use std::process::ExitCode;

use super::logs::{Passing, pass_on};
use crate::cli::session::{load, load_options, refuse_other_checkout};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::event::Events;
use crate::load::Loaded;
use crate::logs::{self, Logs};
use crate::model::{ServiceName, graph};
use crate::plan::Intent;
use crate::run::shutdown::{Shutdown, ShutdownLevel};
use crate::ui::Format;
use crate::ui::logs::{self as ui, Sink};
use crate::watch::{Show, Watch, WatchOptions, services};

/// Restart, rebuild or sync services when files change
///
/// Applies the `watch` rules of services.toml to a running stack, and follows the logs of the watched services. Changes
/// in services.toml, services.local.toml, .env or an env file are applied as by `up`. Ctrl-C leaves the stack running.
///
/// Files that git or .dockerignore ignores are not watched, nor are temporary files of editors and compilers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev up --watch                    start all services, then watch
  taskava dev watch api                     only this service's rules
  taskava dev watch --format json | jq -c 'select(.event == \"watch-done\")'")]
pub struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Poll for changes twice a second, for file systems that don't report them
    #[arg(long)]
    pub poll: bool,
    /// The stack has to be running (always so; accepted for compatibility)
    #[arg(long, hide = true)]
    pub no_up: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let loaded = load(context)?;
    let named = names(&args.services, &loaded)?;
    block_on(stay(loaded, named, args.poll, context))
}

/// Whether there is anything that `up --watch` could watch.
pub(in crate::cli) fn check(started: &[String], loaded: &Loaded) -> Result<()> {
    concerned(started, loaded).map(drop)
}

/// Watches what `up` started, as it was loaded then.
pub(in crate::cli) fn after_up(started: &[String], loaded: Loaded, context: &Context) -> Result<ExitCode> {
    let named = concerned(started, &loaded)?;
    block_on(stay(loaded, named, false, context))
}

/// Those with rules among the services that were asked for and what they need; empty = all.
fn concerned(started: &[String], loaded: &Loaded) -> Result<Vec<ServiceName>> {
    let all = services(&loaded.stack, &[])?;
    if started.is_empty() {
        return Ok(Vec::new());
    }
    let started = names(started, loaded)?;
    let closure = graph::closure(&loaded.stack, &started);
    let concerned: Vec<ServiceName> = all.into_iter().filter(|name| closure.contains(&name)).collect();
    if concerned.is_empty() { services(&loaded.stack, &started) } else { Ok(concerned) }
}

fn names(names: &[String], loaded: &Loaded) -> Result<Vec<ServiceName>> {
    loaded.stack.all_named(names)
}

async fn stay(loaded: Loaded, named: Vec<ServiceName>, poll: bool, context: &Context) -> Result<ExitCode> {
    // Ctrl-C is how watching ends; what it does is said by `finish`.
    let shutdown = Shutdown::on_signals(&Events::default());
    let mut sink = Sink::default();
    let stayed = tokio::select! {
        stayed = follow(loaded, named, poll, context, &shutdown, &mut sink) => stayed,
        // Twice: whatever is being done.
        () = shutdown.reached(ShutdownLevel::Kill) => Ok(()),
    };
    tokio::select! {
        written = sink.finish() => if shutdown.hurry() == ShutdownLevel::None { written? },
        // The reader of our output has ended.
        () = shutdown.reached(ShutdownLevel::Kill) => {}
    }
    if shutdown.hurry() != ShutdownLevel::None {
        context.screen.left("stopped watching; the stack keeps running");
    }
    stayed.map(|()| ExitCode::from(shutdown.error().kind.exit_code()))
}

/// Watches and shows logs until the user leaves.
async fn follow(
    loaded: Loaded,
    named: Vec<ServiceName>,
    poll: bool,
    context: &Context,
    shutdown: &Shutdown,
    sink: &mut Sink,
) -> Result<()> {
    let where_to = context.connect_options();
    let engine = tokio::select! {
        engine = Engine::connect(&where_to) => engine?,
        () = shutdown.reached(ShutdownLevel::Stop) => return Ok(()),
    };
    let project = loaded.stack.name.to_string();
    must_be_up(&engine, &loaded, &named).await?;
    let options = WatchOptions { load: load_options(context), services: named, poll };
    let (warnings, broken) = (context.screen.clone(), context.screen.clone());
    let show = Show {
        warnings: Box::new(move |found| warnings.diagnostics(found)),
        broken: Box::new(move |error| broken.error(error)),
    };
    let mut watch = tokio::select! {
        watch = Watch::start(options, show, engine.clone(), context.screen.events(), loaded) => watch?,
        () = shutdown.reached(ShutdownLevel::Stop) => return Ok(()),
    };
    let (watched, events) = (watch.watched(), watch.events());
    let ended = tokio::select! {
        () = watch.run() => Ok(()),
        shown = show_logs(&engine, &events, &project, watched, context, sink) => shown,
        () = shutdown.reached(ShutdownLevel::Stop) => Ok(()),
    };
    watch.finish().await;
    ended
}

/// Nothing to watch where nothing runs.
async fn must_be_up(engine: &Engine, loaded: &Loaded, named: &[ServiceName]) -> Result<()> {
    let stack = &loaded.stack;
    let containers = engine.containers(stack.name.as_str()).await?;
    refuse_other_checkout(stack, &containers)?;
    let watched = services(stack, named)?;
    let intents = engine.intents(stack.name.as_str()).await?;
    let concerns = |intent: &Intent| watched.iter().any(|name| intent.concerns(stack, &stack.services[name]));
    if let Some(intent) = intents.iter().find(|intent| concerns(intent)) {
        return Err(intent.error());
    }
    if containers.iter().any(|container| watched.contains(&container.service)) {
        return Ok(());
    }
    let names: Vec<&str> = watched.iter().map(ServiceName::as_str).collect();
    Err(Error::new(ErrorKind::Other, format_args!("no watched service has a container: {}", names.join(", ")))
        .hint("start the stack and watch it with: taskava dev up --watch"))
}

/// Shows the logs of the watched services from now on; of others, when services.toml says so.
async fn show_logs(
    engine: &Engine,
    events: &Events,
    project: &str,
    mut watched: tokio::sync::watch::Receiver<Vec<ServiceName>>,
    context: &Context,
    sink: &mut Sink,
) -> Result<()> {
    let json = context.format() == Format::Json;
    let mut since = None;
    loop {
        let services = watched.borrow_and_update().clone();
        if services.is_empty() {
            // An empty list would mean all.
            let _ = watched.changed().await;
            continue;
        }
        let width = services.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
        let color = context.screen.color();
        let mut format =
            ui::Format::new(ui::Options { json, event: true, prefix: true, timestamps: false, color, width });
        let containers = engine.containers(project).await?;
        let tail = since.is_none().then_some(10);
        let options = logs::LogOptions {
            project: project.to_owned(),
            services: services.clone(),
            follow: true,
            tail,
            since,
            until: None,
            stamped: json,
        };
        let mut logs = Logs::open(engine, events, options, &containers).await?;
        let passing = Passing { grep: None, shows: &|_| true, ends: &mut |_| false };
        tokio::select! {
            shown = pass_on(&mut logs, &mut format, passing, sink) => return shown,
            () = others(&mut watched, &services) => {}
        }
        since = u64::try_from(engine.now().await.as_nanosecond()).ok();
    }
}

/// Waits until other services are watched.
async fn others(watched: &mut tokio::sync::watch::Receiver<Vec<ServiceName>>, than: &[ServiceName]) {
    while watched.changed().await.is_ok() {
        if *watched.borrow_and_update() != than {
            return;
        }
    }
    std::future::pending::<()>().await;
}

//! The first steps of most commands: load the stack, find the engine, and check that no other stack is in the way.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::by_labels::{Found, stack_or_labels};
use super::commands::scale::Scale;
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Engine, How};
use crate::event::{Event, Events, Summary};
use crate::kinds;
use crate::load::{self, Loaded};
use crate::masks::Masks;
use crate::model::{Endpoint, ServiceName, Stack, isolated};
use crate::plan::observed::Container;
use crate::plan::{self, Cause, Intent, Observed, Op, Plan, Request, Step};
use crate::remedy;
use crate::run::actual;
use crate::run::shutdown::{Shutdown, ShutdownLevel};
use crate::run::{self, Lock, Run, objects, snapshot};

/// Options of every command that changes a stack.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ChangeArgs {
    /// Only these services
    #[arg(value_name = "SERVICE", add = super::commands::completions::services())]
    pub services: Vec<String>,
    /// Waiting for other runs.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Option of every command that takes the stack's lock.
#[derive(Debug, Clone, clap::Args)]
pub struct Waiting {
    /// Seconds to wait while another run holds the stack's lock; 0 = don't wait [default: 300]
    #[arg(long, value_name = "SECONDS", default_value = "300", hide_default_value = true)]
    pub lock_timeout: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { lock_timeout: 300 }
    }
}

/// Option of every command that stops services.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Stopping {
    /// Seconds that services have to stop before they are killed [default: each service's `stop_timeout`]
    #[arg(short = 't', long = "timeout", alias = "stop-timeout", value_name = "SECONDS", id = "stop_timeout")]
    pub seconds: Option<u64>,
}

impl Stopping {
    /// The same as a time.
    pub fn timeout(self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }
}

/// A stack and the engine it runs on.
#[derive(Debug)]
pub struct Session<'a> {
    /// The command's context.
    pub context: &'a Context,
    /// The stack as it should be.
    pub stack: Stack,
    /// The engine.
    pub engine: Engine,
    /// Its events; the stack's secrets are masked.
    pub events: Events,
    /// What masks them.
    pub masks: Arc<Masks>,
    /// Whether the user has interrupted.
    pub shutdown: Shutdown,
    /// The stack was read from labels on the engine, not from services.toml.
    pub by_labels: bool,
}

impl<'a> Session<'a> {
    /// Loads the stack and finds the engine. Signals are handled from here on.
    pub async fn open(context: &'a Context) -> Result<Self> {
        Self::open_with(context, async || Ok(Found::exactly(load_stack(context)?))).await
    }

    /// The same for a stack that is already loaded.
    pub async fn of(context: &'a Context, stack: Stack) -> Result<Self> {
        Self::open_with(context, async || Ok(Found::exactly(stack))).await
    }

    /// The same to bring services up: what can't be started is refused before an engine is contacted.
    pub async fn to_start(context: &'a Context, stack: Stack, names: &[String], no_deps: bool) -> Result<Self> {
        let services = stack.all_named(names)?;
        plan::refuse_unusable(&stack, &Request { services, no_deps, ..Request::default() })?;
        Self::of(context, stack).await
    }

    /// The same for a command that does not require services.toml: then the stack is read from labels.
    pub async fn open_or_labels(context: &'a Context) -> Result<Self> {
        Self::open_with(context, async || stack_or_labels(context).await).await
    }

    async fn open_with(context: &'a Context, find: impl AsyncFnOnce() -> Result<Found>) -> Result<Self> {
        let events = context.screen.events();
        let shutdown = Shutdown::on_signals(&events);
        let found = async {
            let mut found = find().await?;
            let engine = found.engine(context).await?;
            Ok::<_, Error>((found.stack, found.by_labels, engine))
        };
        let (stack, by_labels, engine) = tokio::select! {
            found = found => found?,
            () = shutdown.reached(ShutdownLevel::Stop) => return Err(shutdown.error()),
        };
        let masks = Arc::new(Masks::of(&stack));
        Ok(Self { context, stack, engine, events: events.masked(masks.clone()), masks, shutdown, by_labels })
    }

    /// Everything of the stack on the engine.
    ///
    /// # Errors
    /// When it was created from another checkout whose services.toml still exists.
    pub async fn observe(&self) -> Result<Observed> {
        let mut seen = run::observe(&self.engine, &self.stack).await?;
        refuse_other_checkout(&self.stack, &seen.containers)?;
        seen.owed = objects::owed(&self.engine, &self.stack, &seen.containers).await?;
        Ok(seen)
    }

    /// Adds the hashes of the build contexts to a request. Free if nothing is built.
    ///
    /// # Errors
    /// When a file of a build context can't be read.
    pub async fn with_contents(&self, request: &Request) -> Result<Request> {
        tokio::select! {
            request = run::with_contents(&self.stack, request) => request,
            () = self.shutdown.reached(ShutdownLevel::Stop) => Err(self.shutdown.error()),
        }
    }

    /// Checks names from the command line; an unknown one gets a suggestion.
    pub fn services(&self, names: &[String]) -> Result<Vec<ServiceName>> {
        self.stack.all_named(names)
    }

    /// The name of the snapshot that is saved before data is removed, where one is wanted.
    pub fn snapshot_before(&self, is_wanted: bool) -> Option<String> {
        // The data of a test run was made for it.
        let of_test = isolated::is_name(self.stack.name.as_str());
        (is_wanted && !of_test).then(snapshot::auto_name)
    }

    /// Takes the stack's lock. The holder it waits for is reported in `events`.
    pub async fn lock(&self, command: &str, waiting: &Waiting, events: &Events) -> Result<Lock> {
        let patience = Duration::from_secs(waiting.lock_timeout);
        Lock::take(&self.engine.about.address, self.stack.name.as_str(), command, patience, events, &self.shutdown)
            .await
    }

    /// Takes the stack's lock, plans and carries the plan out; ends with the summary and its exit code.
    pub async fn change(
        &self,
        command: &str,
        args: &ChangeArgs,
        make: impl AsyncFnOnce(&Observed) -> Result<Change>,
    ) -> Result<ExitCode> {
        let lock = self.lock(command, &args.waiting, &self.events).await?;
        let seen = self.observe().await?;
        let change = make(&seen).await?;
        let (endpoints, prune) = (change.endpoints, change.prune);
        let mut summary = self.carry_out(&seen, change, &lock).await?;
        if endpoints {
            let failed = |name: &ServiceName| {
                summary.skipped.contains(name)
                    || summary.failures.iter().any(|failure| failure.service.as_ref() == Some(name))
            };
            // Where nothing was changed, what was seen before is what there is.
            let mut endpoints = match summary.changes {
                0 => self.endpoints_of(&seen.containers).await,
                _ => self.endpoints().await.unwrap_or_default(),
            };
            endpoints.retain(|endpoint| !failed(&endpoint.service));
            summary.endpoints = endpoints;
        }
        // What failed may be tried again, with the snapshot it began with.
        let prune = prune && summary.ok;
        let code = self.end(summary);
        if prune {
            // The next holder of the lock may restore any that exists.
            snapshot::prune(&self.engine, self.stack.name.as_str()).await?;
        }
        Ok(code)
    }

    /// Carries a plan out; the caller holds the lock. Reporting the end of the run is left to the caller.
    ///
    /// # Errors
    /// When services can't be probed from here.
    pub async fn carry_out(&self, seen: &Observed, change: Change, lock: &Lock) -> Result<Summary> {
        let run = Run {
            timeout: change.timeout,
            keep_going: change.keep_going,
            build: change.build,
            stop_timeout: change.stop_timeout,
            notes: lock.notes(),
            ..Run::new(&self.engine, &self.stack, seen, &self.events, &self.shutdown)?
        };
        let begun: Vec<Intent> = change.plan.steps.iter().filter_map(|step| step.op.begins().cloned()).collect();
        let summary = self.apply_and_tidy(&run, change.plan).await?;
        if !summary.ok && !begun.is_empty() {
            let open = self.engine.intents(self.stack.name.as_str()).await.unwrap_or_default();
            for intent in begun.iter().filter(|intent| open.contains(intent)) {
                let hint = Some(intent.remedies().join("; "));
                self.events.emit(&Event::Warning { message: intent.message(), hint });
            }
        }
        Ok(summary)
    }

    async fn apply_and_tidy(&self, run: &Run<'_>, plan: Plan) -> Result<Summary> {
        let saves = plan.steps.iter().any(|step| matches!(step.op, Op::SaveVolume { .. }));
        if !saves {
            return Ok(run::apply(run, Arc::new(plan)).await);
        }
        let project = self.stack.name.as_str();
        // `down` has none of them: what it stopped stays so.
        let to_run: Vec<ServiceName> = plan.steps.iter().filter_map(|step| step.op.starts().cloned()).collect();
        let asked_for = |step: &Step| match &step.op {
            Op::SaveVolume { snapshot, .. } if step.cause == Cause::Requested => Some(snapshot.clone()),
            _ => None,
        };
        let asked_for: Vec<String> = plan.steps.iter().filter_map(asked_for).collect();
        snapshot::discard_parts(&self.engine, project).await?;
        let summary = run::apply(run, Arc::new(plan)).await;
        // What was being done when the user left is ended; the snapshot may have become whole by that.
        if !summary.ok
            && self.shutdown.hurry() != ShutdownLevel::None
            && let Ok(all) = snapshot::all(&self.engine, project).await
        {
            for saved in all.iter().filter(|saved| asked_for.contains(&saved.name)) {
                let _ = snapshot::remove(&self.engine, saved).await;
            }
        }
        // What was not saved whole is no snapshot; an engine that went away is asked by the next command.
        let discarded = snapshot::discard_parts(&self.engine, project).await;
        if summary.ok {
            discarded?;
        } else {
            self.start_again(run, &to_run).await;
        }
        Ok(summary)
    }

    /// After a failure of an operation that stopped services to save their data: starts those that ran before and were
    /// only stopped. Services that can't be started are left to `up`; the summary of the failure still shows them.
    async fn start_again(&self, failed: &Run<'_>, to_run: &[ServiceName]) {
        let before = failed.seen;
        let Ok(now) = run::observe(&self.engine, &self.stack).await else { return };
        let is_stopped = |seen: &&Container| {
            let is_down = || now.containers.iter().any(|other| other.id == seen.id && !other.is_up());
            seen.is_up() && to_run.contains(&seen.service) && is_down()
        };
        let stopped =
            before.containers.iter().filter(is_stopped).filter_map(|seen| self.stack.services.get(&seen.service));
        let stopped = stopped.filter(|service| plan::refuse(&self.stack, &now, [*service]).is_ok());
        let services: Vec<ServiceName> = stopped.map(|service| service.name.clone()).collect();
        if services.is_empty() || self.shutdown.hurry() >= ShutdownLevel::Kill {
            return;
        }
        let names = services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("starting again what was stopped: {names}");
        self.events.emit(&Event::Notice { message });
        let request = Request { services, start_only: true, no_deps: true, ..Request::default() };
        let Ok(plan) = plan::up(&self.stack, &now, &request) else { return };
        // The one who leaves wants to find the stack as it was.
        let shutdown = Shutdown::default();
        let Ok(run) = Run::new(&self.engine, &self.stack, &now, &self.events, &shutdown) else { return };
        let run = Run { keep_going: true, notes: failed.notes.clone(), ..run };
        let again = async { run::apply(&run, Arc::new(plan)).await };
        let failed = tokio::select! {
            again = again => again.failures,
            () = self.shutdown.reached(ShutdownLevel::Kill) => Vec::new(),
        };
        for failure in failed {
            self.events.emit(&Event::Warning { message: failure.message, hint: failure.next });
        }
    }

    /// Ends a run: its exit code.
    pub fn end(&self, mut summary: Summary) -> ExitCode {
        if self.by_labels {
            // What explains it reads services.toml.
            let name = self.stack.name.as_str();
            let next = |service: &ServiceName| remedy::dev(&["-p", name, "logs", service.as_str()]);
            summary.failures.iter_mut().for_each(|failure| failure.next = failure.service.as_ref().map(next));
        }
        let interrupted = self.shutdown.hurry() != ShutdownLevel::None;
        let failed = summary.failures.first().map_or(ErrorKind::Other, |failure| failure.kind);
        let code = match summary.ok {
            _ if interrupted => self.shutdown.error().kind.exit_code(),
            true => 0,
            false => failed.exit_code(),
        };
        self.events.emit(&Event::Summary(summary));
        ExitCode::from(code)
    }

    /// Where the running services can be reached, in the order of the file.
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>> {
        Ok(self.endpoints_of(&self.engine.containers(self.stack.name.as_str()).await?).await)
    }

    async fn endpoints_of(&self, containers: &[Container]) -> Vec<Endpoint> {
        let stack = actual::read_stack(&self.engine, &self.stack, containers).await;
        let of = |service: &crate::model::Service| {
            let container = containers.iter().find(|seen| seen.service == service.name && seen.is_usable());
            let ports = container.map(|seen| seen.ports.clone()).unwrap_or_default();
            kinds::endpoints(service, &self.engine.about.host, &ports)
        };
        stack.services.values().flat_map(of).collect()
    }
}

/// A plan and how it is carried out.
#[derive(Debug)]
pub struct Change {
    /// What to do.
    pub plan: Plan,
    /// Limit on all waiting together.
    pub timeout: Option<Duration>,
    /// Start services even if one of their dependencies failed.
    pub keep_going: bool,
    /// Show where the services can be reached at the end.
    pub endpoints: bool,
    /// How images are built.
    pub build: How,
    /// Keep only the newest of the automatic snapshots afterwards.
    pub prune: bool,
    /// Time that every container has to stop; otherwise each service's own.
    pub stop_timeout: Option<Duration>,
}

impl Change {
    /// A plan with default options.
    pub fn new(plan: Plan) -> Self {
        let build = How::default();
        Self { plan, timeout: None, keep_going: false, endpoints: false, build, prune: false, stop_timeout: None }
    }
}

/// Loads the stack; warnings about services.toml are shown.
pub fn load_stack(context: &Context) -> Result<Stack> {
    Ok(load(context)?.stack)
}

/// The same, with the files from which the stack was loaded.
pub fn load(context: &Context) -> Result<Loaded> {
    load_scaled(context, &[])
}

/// The same, with other numbers of containers than services.toml has for some services.
pub fn load_scaled(context: &Context, scale: &[Scale]) -> Result<Loaded> {
    let counts = scale.iter().map(|one| (one.service.clone(), one.replicas)).collect();
    let loaded = load::stack(&load::LoadOptions { scale: counts, ..load_options(context) })?;
    scale.iter().try_for_each(|one| loaded.stack.named(&one.service).map(drop))?;
    tell_loaded(context, &loaded);
    Ok(loaded)
}

/// Shows the warnings about services.toml, and what of Compose files could not be carried over.
pub fn tell_loaded(context: &Context, loaded: &Loaded) {
    loaded.notes.iter().for_each(|note| context.screen.note(note));
    if let Some(unread) = loaded.unread.as_ref().filter(|_| context.format() != crate::ui::Format::Json) {
        context.screen.note(unread);
    }
    if !loaded.warnings.is_empty() {
        context.screen.diagnostics(&loaded.warnings);
    }
}

/// The stack that the global options select.
pub fn load_options(context: &Context) -> load::LoadOptions {
    load::LoadOptions {
        files: context.files(),
        project: context.project().map(Into::into),
        profiles: context.profiles(),
        convert: Some(crate::compose::in_memory::convert),
        env_files: context.global.compose.env_file.clone(),
        ..load::LoadOptions::default()
    }
}

/// Reports containers that are kept although their service is no longer in services.toml.
pub fn tell_orphans(session: &Session<'_>, seen: &Observed, request: &Request, command: &str) {
    let orphans = plan::orphans(&session.stack, seen);
    if orphans.is_empty() || request.remove_orphans {
        return;
    }
    let names: Vec<&str> = orphans.iter().map(|container| container.service.as_str()).collect();
    session.events.emit(&Event::Warning {
        message: format!("no longer in services.toml, but still on the engine: {}", names.join(", ")),
        hint: Some(format!("remove them with: taskava dev {command} --remove-orphans")),
    });
}

/// Warns about data that is not where services.toml suggests, and about volumes with other settings. Returns whether
/// something differs from services.toml that `up` does not change.
pub fn tell_notes(session: &Session<'_>, seen: &Observed, request: &Request, plan: &Plan) -> bool {
    let notes = plan::notes(&session.stack, seen, request, plan);
    let differs = notes.iter().any(|note| note.differs);
    for note in notes {
        session.events.emit(&Event::Warning { message: note.message, hint: Some(note.hint) });
    }
    differs
}

/// The folder of another checkout from which containers with this stack's name were created. A checkout that was moved
/// or deleted no longer counts.
pub fn other_checkout<'a>(stack: &Stack, containers: &'a [Container]) -> Option<&'a str> {
    let instance = stack.instance();
    let other = containers.iter().find(|seen| seen.instance != instance && !seen.root.is_empty())?;
    load::sought::is_project(Path::new(&other.root)).then_some(other.root.as_str())
}

/// Two checkouts with one stack name would take each other's containers down.
pub(super) fn refuse_other_checkout(stack: &Stack, containers: &[Container]) -> Result<()> {
    let Some(other) = other_checkout(stack, containers) else { return Ok(()) };
    let message = format!("stack {} runs from another checkout: {other}", stack.name);
    Err(Error::new(ErrorKind::Other, message)
        .hint(format!("run this one next to it under another name: -p {}2 (and other ports)", stack.name))
        .hint(format!("or take the other one down: {}", load::sought::down_of(stack.name.as_str(), Path::new(other)))))
}

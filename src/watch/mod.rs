//! Watches files and carries out the watch rules of services.toml, until the caller ends it.
//!
//! What to do, and when, is decided by `state` and `echo`, which are pure. Around them: `source` receives events from
//! the system, `filter` and `ignored` find the rules concerned, `tree` (on a separate thread: `files`) finds what
//! really changed, and `act`, `sync` and `reload` act on it.

mod act;
mod actions;
mod context;
mod echo;
mod files;
mod filter;
mod ignored;
mod reload;
mod source;
mod state;
mod sync;
mod tell;
mod tree;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use self::actions::Actions;
use self::context::WatchContext;
use self::files::{Answer, Files, Job};
use self::filter::Filter;
use self::source::FsEvent;
use self::state::{Change, Effect, Input, State, Target};
use self::tree::{Changed, Trust};
use crate::diag::{Diagnostic, Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::event::{Event, Events};
use crate::load::{self, Loaded};
use crate::model::{ServiceName, Stack};

/// Shortest pause between two polls of all files.
const POLL: Duration = Duration::from_millis(500);
/// Polling takes at most this fraction of the time.
const POLL_SHARE: u32 = 10;

/// What is watched.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Where the stack's files are read again.
    pub load: load::LoadOptions,
    /// Only these services; empty = all that have rules.
    pub services: Vec<ServiceName>,
    /// Poll for changes instead of using system events.
    pub poll: bool,
}

/// Shows warnings about the stack's files.
pub type ShowWarnings = dyn Fn(&[Diagnostic]);
/// Shows why the stack's files can't be used.
pub type ShowBroken = dyn Fn(&Error);

/// Shows the problems found when the stack's files are loaded again.
pub struct Show {
    /// Warnings about them.
    pub warnings: Box<ShowWarnings>,
    /// They can't be used.
    pub broken: Box<ShowBroken>,
}

impl std::fmt::Debug for Show {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Show")
    }
}

/// Files being watched.
#[derive(Debug)]
pub struct Watch {
    options: WatchOptions,
    show: Show,
    world: Rc<WatchContext>,
    /// The watched services and rules.
    services: watch::Sender<Vec<ServiceName>>,
    state: State,
    began: Instant,
    filter: Arc<Filter>,
    files: Files,
    answers: UnboundedReceiver<Answer>,
    told: UnboundedReceiver<FsEvent>,
    /// The system no longer reports changes, or never did.
    polling: bool,
    /// Polling was reported, with its reason.
    told_trouble: bool,
    /// When everything is polled next.
    poll_at: Option<Instant>,
    actions: Actions,
}

/// The services of a stack that are watched.
///
/// # Errors
/// When a service named on the command line has no rules, or no service has.
pub fn services(stack: &Stack, named: &[ServiceName]) -> Result<Vec<ServiceName>> {
    const EXAMPLE: &str = "say in services.toml what a change does: watch = [{ path = \"src\", action = \"restart\" }]";
    let has_rules = |name: &&ServiceName| stack.services.get(*name).is_some_and(|service| !service.watch.is_empty());
    if let Some(without) = named.iter().find(|name| !has_rules(name)) {
        return Err(Error::new(ErrorKind::Usage, format_args!("{without} has no `watch`")).hint(EXAMPLE));
    }
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let all: Vec<ServiceName> = stack.services.keys().filter(has_rules).cloned().collect();
    if all.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "no service has `watch`").hint(EXAMPLE));
    }
    Ok(all)
}

impl Watch {
    /// Starts to watch; returns once all files were read and the saved objects of emulators are put back. The secrets
    /// of the stack, and of its later versions, are masked in `events`.
    ///
    /// # Errors
    /// When there is nothing to watch, or saved objects can't be put back.
    pub async fn start(
        options: WatchOptions,
        show: Show,
        engine: Engine,
        events: Events,
        loaded: Loaded,
    ) -> Result<Self> {
        let Loaded { stack, files: read, sources, .. } = loaded;
        let watched = services(&stack, &options.services)?;
        let filter = Arc::new(Filter::new(&stack, &watched, &read));
        let world = Rc::new(WatchContext::new(engine, events, stack)?);
        world.settle().await?;
        tell::mounts(&world.events, &world.stack(), &watched);
        let (files, answers, told) = Files::start(filter.clone(), options.poll)?;
        let mut watch = Self {
            world,
            services: watch::channel(watched).0,
            state: State::default(),
            began: Instant::now(),
            polling: false,
            told_trouble: false,
            poll_at: None,
            actions: Actions::new(),
            options,
            show,
            filter,
            files,
            answers,
            told,
        };
        if let Some(first) = watch.answers.recv().await {
            watch.poll_if_needed(&first);
            tell::links(&watch.world.events, &watch.world.stack(), &first.leading_out);
            watch.tell_started(first.size);
        }
        // What the first look found counts as known; the stack may be of what was there before.
        if let Some(path) = reload::edited(&watch.options.load, &watch.world.stack(), &sources, &read) {
            let change = Change { path, gone: false, of_stack: true, hits: Vec::new() };
            let since = watch.now();
            watch.feed(Input::Found { since, changes: vec![change] });
        }
        Ok(watch)
    }

    /// The watched services; changes with services.toml.
    pub fn watched(&self) -> watch::Receiver<Vec<ServiceName>> {
        self.services.subscribe()
    }

    /// Its events, with secrets masked; for work in parallel to it.
    pub fn events(&self) -> Events {
        self.world.events.clone()
    }

    /// Watches without end. May be dropped at any time and called again.
    pub async fn run(&mut self) {
        loop {
            let due = self.state.due().map(|due| self.began + due);
            let inputs = tokio::select! {
                told = self.told.recv(), if !self.polling => self.take_told(told),
                Some(answer) = self.answers.recv() => self.take_answer(answer),
                input = self.actions.next() => vec![input],
                () = until(due) => vec![Input::Tick { held: self.filter.git_is_at_work(self.state.quiet(self.now())) }],
                () = until(self.poll_at) => {
                    self.poll_at = None;
                    self.files.ask(self.now(), Job::Rescan(Trust::Times));
                    Vec::new()
                }
            };
            for input in inputs {
                self.feed(input);
            }
        }
    }

    /// Lets the actions in progress finish, so that no service is left stopped; does not wait for readiness.
    pub async fn finish(&mut self) {
        if self.actions.any_at_work() {
            let message = "finishing the current action; interrupt again to stop at once".into();
            self.world.events.emit(&Event::Notice { message });
        }
        while self.actions.any_at_work() {
            self.actions.next().await;
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Handles what happened, and starts the resulting actions.
    fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.state.on(input, self.now()) {
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Look { since, paths: Some(paths) } => self.files.ask(since, Job::Look(paths)),
            Effect::Look { since, paths: None } => self.files.ask(since, Job::Rescan(Trust::Nothing)),
            Effect::Assign { since, changes } => {
                let changes = changes.into_iter().map(|change| Changed { path: change.path, gone: change.gone });
                return Some(Input::Found { since, changes: self.assign(changes.collect()) });
            }
            Effect::Act(act) => {
                let (world, filter) = (self.world.clone(), self.filter.clone());
                let who = Target::Service(act.service.clone());
                self.actions.start(who, async move |worked| act::carry_out(&world, &filter, act, worked).await);
            }
            Effect::Reload(path) => return self.reload(path),
            Effect::Abandon(who) => {
                self.actions.abandon(&who);
            }
            Effect::Suspend { service, paths, times } => {
                let root = &self.world.stack().root;
                let paths = paths.iter().map(|path| act::shown(root, path)).collect();
                self.world.events.emit(&Event::WatchSuspended { service, paths, times });
            }
        }
        None
    }

    /// Loads the stack's files again; the new rules apply at once, and the difference is applied.
    fn reload(&mut self, path: PathBuf) -> Option<Input> {
        let before = self.world.stack();
        let loaded = reload::load(&self.options.load, &before);
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                (self.show.broken)(&error);
                let message = format!("{} can't be used; the stack stays as it is", act::shown(&before.root, &path));
                self.world.events.emit(&Event::Notice { message });
                return Some(Input::Done(Target::Stack));
            }
        };
        if !loaded.warnings.is_empty() {
            (self.show.warnings)(&loaded.warnings);
        }
        let asked = &self.options.services;
        let with_rules = services(&loaded.stack, &[]).unwrap_or_default();
        let watched: Vec<ServiceName> =
            with_rules.into_iter().filter(|name| asked.is_empty() || asked.contains(name)).collect();
        tell::mounts(&self.world.events, &loaded.stack, &watched);
        self.filter = Arc::new(Filter::new(&loaded.stack, &watched, &loaded.files));
        self.files.ask(self.now(), Job::Follow(self.filter.clone()));
        self.world.replace(loaded.stack);
        self.services.send_replace(watched);
        let (world, filter) = (self.world.clone(), self.filter.clone());
        let work = async move |worked| reload::carry_out(&world, &filter, &before, path, worked).await;
        self.actions.start(Target::Stack, work);
        None
    }

    /// Takes all events so far.
    fn take_told(&mut self, first: Option<FsEvent>) -> Vec<Input> {
        let Some(mut told) = first else {
            // The watcher is gone: why is in the next answer.
            self.polling = true;
            self.files.ask(self.now(), Job::Rescan(Trust::Nothing));
            return Vec::new();
        };
        let mut inputs = Vec::new();
        loop {
            match told {
                FsEvent::Overflow => inputs.push(Input::Overflow),
                FsEvent::Touched(paths) => {
                    inputs.extend(paths.into_iter().filter(|path| self.filter.wants(path)).map(Input::Touched));
                }
            }
            match self.told.try_recv() {
                Ok(next) => told = next,
                Err(_) => return inputs,
            }
        }
    }

    fn take_answer(&mut self, answer: Answer) -> Vec<Input> {
        self.poll_if_needed(&answer);
        tell::links(&self.world.events, &self.world.stack(), &answer.leading_out);
        let changes = self.assign(answer.changes);
        vec![Input::Found { since: answer.since, changes }]
    }

    /// Finds the services that changes concern.
    fn assign(&self, changes: Vec<Changed>) -> Vec<Change> {
        let change = |Changed { path, gone }| {
            let (of_stack, hits) = (self.filter.is_of_stack(&path), self.filter.hits(&path, false));
            Change { path, gone, of_stack, hits }
        };
        changes.into_iter().map(change).collect()
    }

    fn poll_if_needed(&mut self, answer: &Answer) {
        let Some(trouble) = &answer.trouble else { return };
        if self.poll_at.is_none() {
            self.poll_at = Some(Instant::now() + POLL.max(answer.took * POLL_SHARE));
        }
        self.polling = true;
        if !std::mem::replace(&mut self.told_trouble, true) {
            tell::trouble(&self.world.events, trouble);
        }
    }

    fn tell_started(&self, (folders, files): (usize, usize)) {
        let (services, polling) = (self.services.borrow().clone(), self.polling);
        self.world.events.emit(&Event::WatchStarted { services, folders, files, polling });
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

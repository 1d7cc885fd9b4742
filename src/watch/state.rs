//! Decides what to do about changed files, and when. Pure: no clock, no I/O; time is an argument, counted from any
//! fixed moment.
//!
//! A touched path is read when a burst of events is over; if it has changed, the services concerned get the change.
//! Each service has one action in progress; changes that arrive meanwhile wait and are handled together. An action that
//! only waits for readiness does not block: it is abandoned for the next one. A change of the stack's own files takes
//! precedence: other changes wait until the new rules are loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::PathBuf;
use std::time::Duration;

use super::echo::{self, Echo, Verdict};
use crate::model::ServiceName;

/// A burst is over when nothing was touched for so long.
pub(super) const QUIET: Duration = Duration::from_millis(40);
/// A burst that continues is handled after this time nevertheless.
pub(super) const LONGEST: Duration = Duration::from_millis(500);
/// How often it is looked whether git is done with the work tree.
pub(super) const HELD_PAUSE: Duration = Duration::from_millis(10);
/// How long nothing must have been touched after git was at work: on a busy machine, the last of thousands of changes are
/// told late, and would be a second action.
const AFTER_GIT: Duration = Duration::from_millis(250);

/// Who does something: a service, or the stack as a whole, whose files changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// The stack: its files are loaded again and the difference is applied.
    Stack,
    /// A service: its rules are carried out.
    Service(ServiceName),
}

/// A file that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Which.
    pub path: PathBuf,
    /// It no longer exists.
    pub gone: bool,
    /// The stack was made from it: services.toml, `.env`, …
    pub of_stack: bool,
    /// Whom it concerns.
    pub hits: Vec<Hit>,
}

/// A rule that a file concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    /// Whose rule.
    pub service: ServiceName,
    /// Its number in `watch`.
    pub rule: usize,
    /// It only copies into a container, so it can't be what changed the file.
    pub inert: bool,
    /// A container can write to the file.
    pub writable: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// Something was done to this path, or below it.
    Touched(PathBuf),
    /// It is unknown what was touched: the system lost events.
    Overflow,
    /// Nothing but time; whether git is at work on the files.
    Tick {
        /// It is: the files of this moment are not the final ones.
        held: bool,
    },
    /// What was found changed of what was touched first at this time.
    Found {
        /// When the burst began.
        since: Duration,
        /// The changes; may be none.
        changes: Vec<Change>,
    },
    /// An action has done its work and only waits for readiness.
    Started(Target),
    /// An action is over, well or not.
    Done(Target),
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Look which of these really changed.
    Look {
        /// To be given back with [`Input::Found`].
        since: Duration,
        /// Which paths; none = all there are.
        paths: Option<Vec<PathBuf>>,
    },
    /// Say whom these changes concern by the rules there are now, with [`Input::Found`].
    Assign {
        /// To be given back.
        since: Duration,
        /// The changes.
        changes: Vec<Change>,
    },
    /// Carry out rules of a service.
    Act(Act),
    /// Load the stack's files again and apply the difference.
    Reload(PathBuf),
    /// Give up waiting for readiness; the next action follows.
    Abandon(Target),
    /// Do nothing: these files are rewritten by each action of the service.
    Suspend {
        /// Whose rules.
        service: ServiceName,
        /// Which files.
        paths: Vec<PathBuf>,
        /// How often it happened in a row.
        times: u32,
    },
}

/// Rules of one service to be carried out together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// The service.
    pub service: ServiceName,
    /// Its rules that are concerned.
    pub rules: BTreeSet<usize>,
    /// The files, by path.
    pub changes: Vec<Change>,
}

/// What was touched and not looked at yet.
#[derive(Debug)]
struct Burst {
    first: Duration,
    last: Duration,
    /// Not before this, because git is at work.
    held: Option<Duration>,
    paths: BTreeSet<PathBuf>,
    all: bool,
}

impl Burst {
    fn due(&self) -> Duration {
        self.held.unwrap_or_else(|| (self.last + QUIET).min(self.first + LONGEST))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Idle,
    Acting,
    /// Only readiness is waited for.
    Settling,
}

/// What waits for a service.
#[derive(Debug, Default)]
struct Waiting {
    changes: BTreeMap<PathBuf, Change>,
    /// Some of it may be the doing of the action before; how many such in a row are a loop.
    echo: Option<u32>,
    /// Some of it can't be.
    fresh: bool,
}

#[derive(Debug, Default)]
struct Work {
    phase: Phase,
    waiting: Option<Waiting>,
    /// Changes that were ignored because of a loop. They are included in the next action, so that copying does not miss
    /// a version.
    withheld: BTreeMap<PathBuf, Change>,
    /// When the last action began.
    began: Duration,
    echo: Echo,
}

impl Work {
    /// Whether what was touched at this time may be the doing of the last action; how many such in a row are a loop.
    fn echo(&self, touched: Duration, hit: &Hit) -> Option<u32> {
        let during = (self.phase != Phase::Idle).then(|| touched.saturating_sub(self.began));
        let near = self.phase == Phase::Acting || self.echo.is_near(touched);
        near.then(|| echo::limit(hit.writable, during))
    }
}

/// The state of a watch.
#[derive(Debug, Default)]
pub(super) struct State {
    burst: Option<Burst>,
    stack: Phase,
    /// The stack's file that changed, while the change is not taken up.
    reload: Option<PathBuf>,
    /// Changes that wait for the new rules, and since when.
    parked: Option<(Duration, Vec<Change>)>,
    services: BTreeMap<ServiceName, Work>,
}

impl State {
    /// When to come back with [`Input::Tick`], if nothing happens before.
    pub(super) fn due(&self) -> Option<Duration> {
        self.burst.as_ref().map(Burst::due)
    }

    /// For how long nothing has been touched.
    pub(super) fn quiet(&self, now: Duration) -> Duration {
        self.burst.as_ref().map_or(Duration::MAX, |burst| now.saturating_sub(burst.last))
    }

    /// Takes in what happened, at this time.
    pub(super) fn on(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        match input {
            Input::Touched(path) => {
                self.touched(now).paths.insert(path);
                Vec::new()
            }
            Input::Overflow => {
                self.touched(now).all = true;
                Vec::new()
            }
            Input::Tick { held } => self.tick(held, now),
            Input::Found { since, changes } => self.found(since, changes, now),
            Input::Started(who) => {
                self.settle(&who, now);
                self.go_on(now)
            }
            Input::Done(who) => {
                self.done(&who, now);
                self.go_on(now)
            }
        }
    }

    fn touched(&mut self, now: Duration) -> &mut Burst {
        let new = Burst { first: now, last: now, held: None, paths: BTreeSet::new(), all: false };
        let burst = self.burst.get_or_insert(new);
        burst.last = now;
        burst
    }

    fn tick(&mut self, held: bool, now: Duration) -> Vec<Effect> {
        let Some(burst) = self.burst.as_mut().filter(|burst| burst.due() <= now) else { return Vec::new() };
        if held {
            burst.held = Some(now + HELD_PAUSE);
            return Vec::new();
        }
        if burst.held.take().is_some() && now < burst.last + AFTER_GIT {
            burst.held = Some(burst.last + AFTER_GIT);
            return Vec::new();
        }
        let burst = self.burst.take();
        let look = |burst: Burst| Effect::Look {
            since: burst.first,
            paths: (!burst.all).then(|| burst.paths.into_iter().collect()),
        };
        burst.map(look).into_iter().collect()
    }

    fn found(&mut self, since: Duration, changes: Vec<Change>, now: Duration) -> Vec<Effect> {
        if let Some(change) = changes.iter().find(|change| change.of_stack) {
            self.reload = Some(change.path.clone());
        }
        let changes: Vec<Change> = changes.into_iter().filter(|change| !change.hits.is_empty()).collect();
        if self.reload.is_some() || self.stack == Phase::Acting {
            self.park(since, changes);
        } else {
            for change in changes {
                self.give(since, &change);
            }
        }
        self.go_on(now)
    }

    fn park(&mut self, since: Duration, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.parked.get_or_insert((since, Vec::new())).1.extend(changes);
        }
    }

    /// Puts a change before the services it concerns.
    fn give(&mut self, since: Duration, change: &Change) {
        for hit in &change.hits {
            let work = self.services.entry(hit.service.clone()).or_default();
            let echo = work.echo(since, hit);
            let waiting = work.waiting.get_or_insert_default();
            if !hit.inert {
                waiting.echo = waiting.echo.max(echo);
                waiting.fresh |= echo.is_none();
            }
            let new = Change { hits: Vec::new(), ..change.clone() };
            let known = waiting.changes.entry(change.path.clone()).or_insert(new);
            known.gone = change.gone;
            if !known.hits.contains(hit) {
                known.hits.push(hit.clone());
            }
        }
    }

    fn settle(&mut self, who: &Target, now: Duration) {
        match who {
            Target::Stack if self.stack == Phase::Acting => self.stack = Phase::Settling,
            Target::Service(name) => {
                if let Some(work) = self.services.get_mut(name).filter(|work| work.phase == Phase::Acting) {
                    work.phase = Phase::Settling;
                    work.echo.acted(now);
                }
            }
            Target::Stack => {}
        }
    }

    fn done(&mut self, who: &Target, now: Duration) {
        match who {
            Target::Stack => self.stack = Phase::Idle,
            Target::Service(name) => {
                if let Some(work) = self.services.get_mut(name) {
                    if work.phase == Phase::Acting {
                        work.echo.acted(now);
                    }
                    work.phase = Phase::Idle;
                }
            }
        }
    }

    /// Starts what can start.
    fn go_on(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.stack == Phase::Acting {
            return effects;
        }
        if self.reload.is_some() {
            self.park_waiting(now);
            if self.services.values().any(|work| work.phase == Phase::Acting) {
                return effects;
            }
            self.abandon_settling(&mut effects);
            if let Some(path) = self.reload.take() {
                self.stack = Phase::Acting;
                effects.push(Effect::Reload(path));
            }
            return effects;
        }
        if let Some((since, changes)) = self.parked.take() {
            effects.push(Effect::Assign { since, changes });
        }
        let names: Vec<ServiceName> = self.services.keys().cloned().collect();
        for name in names {
            self.start(&name, now, &mut effects);
        }
        effects
    }

    /// What waits for services waits for the new rules instead.
    fn park_waiting(&mut self, now: Duration) {
        let waiting: Vec<Change> = self
            .services
            .values_mut()
            .flat_map(|work| {
                let withheld = mem::take(&mut work.withheld).into_values();
                withheld.chain(work.waiting.take().into_iter().flat_map(|waiting| waiting.changes.into_values()))
            })
            .collect();
        self.park(now, waiting);
    }

    fn abandon_settling(&mut self, effects: &mut Vec<Effect>) {
        if mem::take(&mut self.stack) == Phase::Settling {
            effects.push(Effect::Abandon(Target::Stack));
        }
        for (name, work) in &mut self.services {
            if mem::take(&mut work.phase) == Phase::Settling {
                effects.push(Effect::Abandon(Target::Service(name.clone())));
            }
        }
    }

    fn start(&mut self, name: &ServiceName, now: Duration, effects: &mut Vec<Effect>) {
        let Some(work) = self.services.get_mut(name).filter(|work| work.phase != Phase::Acting) else { return };
        let Some(waiting) = work.waiting.take() else { return };
        let paths: BTreeSet<PathBuf> = waiting.changes.keys().cloned().collect();
        match work.echo.judge(waiting.echo.filter(|_| !waiting.fresh), &paths) {
            Verdict::Act => {}
            Verdict::Suspend { paths, times } => {
                effects.push(Effect::Suspend { service: name.clone(), paths, times });
                work.withheld.extend(waiting.changes);
                return;
            }
            Verdict::Drop => {
                work.withheld.extend(waiting.changes);
                return;
            }
        }
        if work.phase == Phase::Settling {
            effects.push(Effect::Abandon(Target::Service(name.clone())));
        }
        (work.phase, work.began) = (Phase::Acting, now);
        let mut changes = mem::take(&mut work.withheld);
        changes.extend(waiting.changes);
        let changes: Vec<Change> = changes.into_values().collect();
        let rules = changes.iter().flat_map(|change| change.hits.iter().map(|hit| hit.rule)).collect();
        effects.push(Effect::Act(Act { service: name.clone(), rules, changes }));
    }
}

#[cfg(test)]
mod tests;

//! The executor: starts each step as soon as the steps it waits for are done, and skips those that can no longer
//! succeed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Run;
use super::shutdown::ShutdownLevel;
use super::step::{Ended, RunState, carry_out};
use super::stop::Stop;
use crate::diag::ErrorKind;
use crate::event::{Event, Summary, millis};
use crate::kinds;
use crate::model::Failure;
use crate::plan::observed::ContainerState;
use crate::plan::{Cause, Op, Plan, Step, StepId};

/// How many engine calls run at once. More gains nothing: the engine serialises most of a start (measured with 4, 8
/// and 40 at once on 40 containers).
const AT_ONCE: usize = 8;

/// How long after a container the next one is started. Containers that start at the same moment slow each other down in
/// the engine: PostgreSQL and Redis, with prepared data and in a separate network, are ready after 504 ms if both start
/// at once, and after 425 ms if one starts 20 to 60 ms later (medians of 10, engine 20.10, 2 processors).
const BETWEEN_STARTS: Duration = Duration::from_millis(40);

/// How often a long run reports what it waits for.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How many services are named that failed with the same message as another.
const NAMED: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Waiting,
    Running,
    Done,
    /// Did not succeed; the root cause is the given step.
    Failed,
    Skipped,
}

/// Carries a plan out. `Summary::endpoints` is left to the caller, which knows what is shown.
pub async fn apply(run: &Run<'_>, plan: Arc<Plan>) -> Summary {
    let began = Instant::now();
    let discarded = discarded(&plan);
    let known =
        run.seen.containers.iter().rev().fold(RunState { discarded, ..RunState::default() }, |mut known, container| {
            known.containers.insert(container.service.clone(), container.id.clone());
            known.images.insert(container.service.clone(), container.image_id.clone());
            known
        });
    let still = |id: &str| {
        let mut all = run.seen.containers.iter().chain(&run.seen.one_offs);
        all.any(|seen| seen.id == id && seen.state == ContainerState::Stopping)
    };
    run.notes.forget_but(still);
    run.events.emit(&Event::PlanStarted { stack: run.stack.name.to_string(), plan: plan.clone() });
    let mut walk = Walk {
        run,
        plan: &plan,
        began,
        known: RefCell::new(known),
        status: vec![Status::Waiting; plan.steps.len()],
        summary: Summary::default(),
    };
    walk.all().await;
    if run.shutdown.hurry() != ShutdownLevel::None {
        walk.stop_started().await;
    }
    walk.finish()
}

/// The volumes that a plan removes without saving them first.
fn discarded(plan: &Plan) -> BTreeSet<String> {
    let named = |op: &Op, removed: bool| match op {
        Op::RemoveVolume { volume, .. } if removed => Some(volume.clone()),
        Op::SaveVolume { volume, .. } if !removed => Some(volume.clone()),
        _ => None,
    };
    let all = |removed| plan.steps.iter().filter_map(|step| named(&step.op, removed)).collect::<BTreeSet<_>>();
    all(true).difference(&all(false)).cloned().collect()
}

struct Walk<'a> {
    run: &'a Run<'a>,
    plan: &'a Plan,
    began: Instant,
    known: RefCell<RunState>,
    status: Vec<Status>,
    summary: Summary,
}

type Finished = (StepId, Duration, Result<(), Ended>);

impl Walk<'_> {
    async fn all(&mut self) {
        let (run, plan, began) = (self.run, self.plan, self.began);
        let known = std::mem::take(&mut self.known);
        let mut running: FuturesUnordered<LocalBoxFuture<'_, Finished>> = FuturesUnordered::new();
        let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut next_start = tokio::time::Instant::now();
        loop {
            let now = tokio::time::Instant::now();
            let mut held = false;
            if run.shutdown.hurry() == ShutdownLevel::None {
                let (startable, more) = self.startable(now >= next_start);
                held = more;
                for id in startable {
                    let step = plan.step(id);
                    if is_start(step) {
                        next_start = now + BETWEEN_STARTS;
                    }
                    self.status[id - 1] = Status::Running;
                    if is_told(step) {
                        run.events.emit(&Event::StepStarted {
                            step: id,
                            text: step.op.to_string(),
                            service: step.op.service().cloned(),
                        });
                    }
                    let known = &known;
                    running.push(Box::pin(async move {
                        let started = Instant::now();
                        let result = carry_out(run, step, known, began).await;
                        (id, started.elapsed(), result)
                    }));
                }
            }
            if running.is_empty() && !held {
                break;
            }
            tokio::select! {
                Some((id, took, result)) = running.next() => self.finished(id, took, result),
                () = tokio::time::sleep_until(next_start), if held && now < next_start => {}
                _ = heartbeat.tick() => self.beat(&known.borrow().answers),
            }
        }
        drop(running);
        self.known = known;
    }

    /// The steps that can begin now, in their order, up to the limit; at most one of them starts a container, and none
    /// unless it `may_start`. Waiting for readiness does not count towards the limit. Also returns whether a start was
    /// held back.
    fn startable(&self, mut may_start: bool) -> (Vec<StepId>, bool) {
        let is_call = |step: &Step| !matches!(step.op, Op::WaitReady { .. } | Op::Provision { .. });
        let has = |step: &Step, status| self.status[step.id - 1] == status;
        let running = self.plan.steps.iter().filter(|step| has(step, Status::Running) && is_call(step));
        let mut room = AT_ONCE.saturating_sub(running.count());
        let slow_first = self.plan.steps.iter().any(|step| has(step, Status::Waiting) && self.is_slow_and_next(step));
        let free = |step: &&Step| has(step, Status::Waiting) && step.after.iter().all(|id| self.lets_start(step, *id));
        let (mut found, mut held) = (Vec::new(), false);
        for step in self.plan.steps.iter().filter(free) {
            if is_start(step) && (!may_start || slow_first && !self.is_slow(step)) {
                held = true;
                continue;
            }
            if is_call(step) {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            may_start &= !is_start(step);
            found.push(step.id);
        }
        (found, held)
    }

    /// The start of a slow service on a level with others that become ready long before it.
    fn is_slow(&self, step: &Step) -> bool {
        let Op::Start { service } = &step.op else { return false };
        self.run.stack.services.get(service).is_some_and(|service| kinds::defaults(service.kind).slow_start)
    }

    /// Such a start that can begin now, or as soon as its container is created: it should be the first of its level.
    fn is_slow_and_next(&self, step: &Step) -> bool {
        let is_being_made =
            |id: StepId| self.status[id - 1] == Status::Running && matches!(self.plan.step(id).op, Op::Create { .. });
        self.is_slow(step) && step.after.iter().all(|id| self.lets_start(step, *id) || is_being_made(*id))
    }

    /// Whether a step need no longer wait for another one.
    fn lets_start(&self, step: &Step, id: StepId) -> bool {
        let is_over = matches!(self.status[id - 1], Status::Failed | Status::Skipped);
        self.lets_go_on(id) || is_over && self.is_optional(step, id)
    }

    /// Whether a service only waits for another one that it does not require.
    fn is_optional(&self, step: &Step, id: StepId) -> bool {
        let (Op::Start { service }, Some(other)) = (&step.op, self.plan.step(id).op.service()) else { return false };
        let service = self.run.stack.services.get(service);
        service.and_then(|service| service.depends_on.get(other)).is_some_and(|on| !on.required)
    }

    fn lets_go_on(&self, id: StepId) -> bool {
        match self.status[id - 1] {
            Status::Done => true,
            Status::Failed => {
                self.run.keep_going && matches!(self.plan.step(id).op, Op::WaitReady { .. } | Op::Provision { .. })
            }
            Status::Waiting | Status::Running | Status::Skipped => false,
        }
    }

    fn finished(&mut self, id: StepId, took: Duration, result: Result<(), Ended>) {
        let step = self.plan.step(id);
        let (text, service, ms) = (step.op.to_string(), step.op.service().cloned(), millis(took));
        match result {
            Ok(()) => {
                self.status[id - 1] = Status::Done;
                if is_told(step) {
                    self.summary.changes += 1;
                    self.run.events.emit(&Event::StepDone { step: id, text, service: service.clone(), ms });
                }
                let ready = match (&step.op, &service) {
                    (Op::WaitReady { .. }, Some(service)) => self.plan.provision(service).is_none(),
                    (Op::Provision { .. }, _) => true,
                    _ => false,
                };
                if let Some(service) = service.filter(|_| ready) {
                    let ms = millis(self.began.elapsed());
                    self.run.events.emit(&Event::ServiceReady { service, ms });
                }
            }
            Err(Ended::Cancelled) => self.status[id - 1] = Status::Skipped,
            Err(Ended::Failed(failure)) => {
                self.status[id - 1] = Status::Failed;
                let message = failure.message.clone();
                self.run.events.emit(&Event::StepFailed { step: id, text, service, message, ms });
                self.summary.failures.push(*failure);
                self.skip_after(id, id);
            }
        }
    }

    /// Skips the steps that wait for a failed step, directly or indirectly.
    fn skip_after(&mut self, failed: StepId, because: StepId) {
        if self.lets_go_on(failed) {
            return;
        }
        let waiting: Vec<&Step> = self
            .plan
            .steps
            .iter()
            .filter(|step| step.after.contains(&failed) && !self.is_optional(step, failed))
            .collect();
        for step in waiting {
            if self.status[step.id - 1] != Status::Waiting {
                continue;
            }
            self.status[step.id - 1] = Status::Skipped;
            let (text, service) = (step.op.to_string(), step.op.service().cloned());
            self.run.events.emit(&Event::StepSkipped { step: step.id, text, service, because });
            self.skip_after(step.id, because);
        }
    }

    /// `answers`: the last answer, by step.
    fn beat(&self, answers: &BTreeMap<StepId, String>) {
        let running = self.plan.steps.iter().filter(|step| self.status[step.id - 1] == Status::Running);
        let words = |step: &Step| match &step.op {
            Op::WaitReady { service } => service.to_string(),
            op => op.to_string(),
        };
        let running: Vec<(String, Option<&String>)> =
            running.map(|step| (words(step), answers.get(&step.id))).collect();
        let answers = running.iter().filter_map(|(name, answer)| Some((name.clone(), answer.cloned()?))).collect();
        let waiting = running.into_iter().map(|(name, _)| name).collect();
        self.run.events.emit(&Event::Heartbeat { waiting, answers, ms: millis(self.began.elapsed()) });
    }

    /// After Ctrl-C: stops what this run started.
    async fn stop_started(&mut self) {
        let started = std::mem::take(&mut self.known.get_mut().started);
        for name in started.iter().rev() {
            let Some(id) = self.known.get_mut().containers.get(name).cloned() else { continue };
            let service = &self.run.stack.services[name];
            let began = Instant::now();
            self.run.events.emit(&Event::ServiceStopping { service: name.clone(), saves: false, ms: 0 });
            match Stop::of(self.run).stop(&id, name, Some(service)).await {
                Ok(()) => {
                    let ms = millis(began.elapsed());
                    self.run.events.emit(&Event::ServiceStopped { service: name.clone(), ms });
                }
                Err(error) => self.run.events.emit(&Event::Notice { message: error.to_string() }),
            }
        }
    }

    fn finish(mut self) -> Summary {
        let failed: BTreeSet<_> = self.summary.failures.iter().filter_map(|failure| failure.service.clone()).collect();
        let skipped = self.plan.steps.iter().filter(|step| self.status[step.id - 1] == Status::Skipped);
        let skipped: BTreeSet<_> = skipped.filter_map(|step| step.op.service().cloned()).collect();
        self.summary.skipped = skipped.difference(&failed).cloned().collect();
        // Where nothing but resources was made, the step that looked is not one that changed something.
        let told = self.plan.steps.iter().any(|step| matches!(step.op, Op::Provision { .. }) && is_told(step));
        self.summary.changes += if told { 0 } else { self.known.get_mut().provisioned };
        self.summary.ok = self.status.iter().all(|status| *status == Status::Done);
        self.summary.ms = millis(self.began.elapsed());
        // What happened first is what the exit code tells; an engine that went away explains all the others.
        self.summary.failures.sort_by_key(|failure| failure.kind != ErrorKind::Engine);
        self.summary.failures = folded(std::mem::take(&mut self.summary.failures));
        self.summary
    }
}

/// Merges failures of several services that have the same message and no log into one report.
fn folded(failures: Vec<Failure>) -> Vec<Failure> {
    let mut found: Vec<(Failure, Vec<String>)> = Vec::new();
    for failure in failures {
        let same = |other: &Failure| {
            let words = |one: &Failure| (one.message.clone(), one.reason.clone(), one.next.clone());
            other.kind == failure.kind && other.log.is_empty() && words(other) == words(&failure)
        };
        match found.iter_mut().find(|(other, _)| failure.log.is_empty() && same(other)) {
            Some((_, others)) => others.extend(failure.service.map(|name| name.to_string())),
            None => found.push((failure, Vec::new())),
        }
    }
    let fold = |(mut failure, others): (Failure, Vec<String>)| {
        if !others.is_empty() {
            let named = others.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = others.len().checked_sub(NAMED).filter(|more| *more > 0);
            let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
            failure.message.push_str(&format!("; the same for {named}{more}"));
        }
        failure
    };
    found.into_iter().map(fold).collect()
}

fn is_start(step: &Step) -> bool {
    matches!(step.op, Op::Start { .. })
}

/// Checking running services, and recording intents, are not shown.
fn is_told(step: &Step) -> bool {
    step.cause != Cause::Unchanged && !matches!(step.op, Op::Begin { .. } | Op::Finish { .. })
}

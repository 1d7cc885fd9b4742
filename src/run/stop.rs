//! The only way in which a container is stopped: its stop signal, time to exit, SIGKILL. taskava does it itself instead
//! of using the engine's `stop`, which would continue to its SIGKILL after this process has ended. The start of the
//! stop is recorded in the lock file first, so that the next run finishes it instead of taking the container for a
//! running one.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::Instant;

use super::lock::{self, Notes, Stopping};
use super::shutdown::{Shutdown, ShutdownLevel};
use super::{Run, hooks};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Engine, Inspected};
use crate::event::{Event, Events, millis};
use crate::kinds;
use crate::model::{MountSource, Service, ServiceName, Stack};
use crate::plan::Observed;
use crate::plan::observed::{Container, ContainerState};

/// Time to stop for a container whose service is in services.toml no more.
const ORPHAN_GRACE: Duration = Duration::from_secs(10);

/// How long an engine may take to kill a container.
const KILL: Duration = Duration::from_secs(30);

/// After how long it is said for the first time that a container is still stopping; then every [`AGAIN`].
const FIRST: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(10);

/// Pause between two looks at whether a server is still at work when its time is over.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// From what share of a core on a server is at work, in percent. An idle one has timers, too: Redis has 0.3.
const AT_WORK: f64 = 5.0;

/// How many looks in a row have to find a server idle: one may fall on the moment in which it waits for its disk.
const IDLE_LOOKS: usize = 2;

/// The exit code of a process that SIGKILL ended.
const KILLED: i64 = 137;

/// Everything of a stack on the engine. A container that a run was stopping when it was cut off, and one that another run
/// is just stopping, is [`ContainerState::Stopping`].
///
/// # Errors
/// When the engine does not answer.
pub async fn observe(engine: &Engine, stack: &Stack) -> Result<Observed> {
    let mut seen = engine.observe(stack).await?;
    mark(engine, stack.name.as_str(), seen.containers.iter_mut().chain(&mut seen.one_offs)).await?;
    Ok(seen)
}

/// Marks those of a stack's containers that are being stopped. Costs nothing where no such thing is noted.
///
/// # Errors
/// When the engine does not answer.
pub async fn mark(engine: &Engine, project: &str, seen: impl IntoIterator<Item = &mut Container>) -> Result<()> {
    let notes = lock::stopping(&engine.about.address, project);
    if notes.is_empty() {
        return Ok(());
    }
    for container in seen.into_iter().filter(|container| container.is_up()) {
        let Some(note) = notes.iter().find(|note| note.container == container.id) else { continue };
        match engine.inspect(&container.id).await? {
            Some(seen) if is_same_process(&seen, note) => container.state = ContainerState::Stopping,
            // It ended since it was listed.
            Some(seen) if !is_up(&seen) => {
                (container.state, container.exit_code) = (ContainerState::Exited, seen.exit_code);
            }
            Some(_) => {}
            None => container.state = ContainerState::Removing,
        }
    }
    Ok(())
}

fn is_same_process(seen: &Inspected, note: &Stopping) -> bool {
    is_up(seen) && seen.started_at.as_deref() == Some(note.started_at.as_str())
}

fn is_up(seen: &Inspected) -> bool {
    seen.running || seen.restarting
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// How containers are stopped in a run.
#[derive(Debug, Clone)]
pub(crate) struct Stop<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) events: &'a Events,
    /// Twice Ctrl-C kills at once.
    pub(crate) shutdown: &'a Shutdown,
    pub(crate) notes: &'a Notes,
    /// Time that every container has; otherwise each service's own.
    pub(crate) timeout: Option<Duration>,
    /// Whether services' `pre_stop` hooks are run.
    pub(crate) hooks: bool,
}

/// How waiting for the end of a container ended.
enum Waited {
    /// It ended.
    Ended,
    /// Its time is over.
    TimeIsOver,
    /// The user does not want to wait.
    Hurried,
}

impl<'a> Stop<'a> {
    pub(crate) fn of(run: &'a Run<'_>) -> Self {
        Self {
            engine: run.engine,
            events: run.events,
            shutdown: run.shutdown,
            notes: &run.notes,
            timeout: run.stop_timeout,
            hooks: true,
        }
    }

    /// Whether a run that was cut off has asked this container to stop, and its time is not over.
    pub(crate) fn is_under_way(&self, seen: &Observed, container: &str) -> bool {
        let mut all = seen.containers.iter().chain(&seen.one_offs);
        let stopping = all.any(|seen| seen.id == container && seen.state == ContainerState::Stopping);
        stopping && self.note(container).is_some_and(|note| note.under_way(now()).is_some())
    }

    fn note(&self, container: &str) -> Option<Stopping> {
        self.notes.stopping().into_iter().find(|note| note.container == container)
    }

    /// Stops a container of a service, or finishes that; none: the service is in services.toml no more. One that does not
    /// run or was removed counts as stopped. What had to be killed is reported.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(crate) async fn stop(&self, container: &str, name: &ServiceName, service: Option<&Service>) -> Result<()> {
        let Some(seen) = self.engine.inspect(container).await?.filter(is_up) else {
            self.notes.end(container);
            return Ok(());
        };
        let own = service.map_or((ORPHAN_GRACE, ORPHAN_GRACE), |service| (service.stop_timeout, service.stop_limit));
        let (least, most) = self.timeout.map_or(own, |all| (all, all));
        let signal = seen.stop_signal.clone().unwrap_or_else(|| "SIGTERM".into());
        let waited = if self.shutdown.hurry() >= ShutdownLevel::Kill || least.is_zero() {
            Waited::Hurried
        } else {
            // One that was requested by a run that has ended has the rest of its time. When that is over without an end, it is
            // asked once more: it may have been long ago, and much may have happened in it since.
            let ago = self.note(container).filter(|note| is_same_process(&seen, note));
            let ago = ago.and_then(|note| note.under_way(now()));
            let telling = self.tell(name, service.is_some_and(saves), ago.unwrap_or_default());
            let stopping = async {
                if ago.is_none() {
                    self.ask(container, &seen, &signal, service, (least, most)).await?;
                }
                let ago = ago.unwrap_or_default();
                self.wait(container, least.saturating_sub(ago), most.saturating_sub(ago)).await
            };
            tokio::select! {
                waited = stopping => waited?,
                never = telling => match never {},
                () = self.shutdown.reached(ShutdownLevel::Kill) => Waited::Hurried,
            }
        };
        if !matches!(waited, Waited::Ended) {
            let ignored = is_ignored(container, &seen, service, &signal);
            let code = self.kill(container, name).await?;
            if matches!(waited, Waited::TimeIsOver) && code == Some(KILLED) {
                self.events.emit(&killed(name, service, &signal, least, ignored));
            }
        }
        self.settle(container, name, &seen, least).await?;
        self.notes.end(container);
        Ok(())
    }

    /// Runs the hooks and sends the stop signal. Noted before: a container whose hooks were run is not one that runs as
    /// usual, and the next run has to finish what this one began. And after, with the time of the signal.
    async fn ask(
        &self,
        container: &str,
        seen: &Inspected,
        signal: &str,
        service: Option<&Service>,
        (least, most): (Duration, Duration),
    ) -> Result<()> {
        let begin = || {
            self.notes.begin(Stopping {
                container: container.into(),
                started_at: seen.started_at.clone().unwrap_or_default(),
                since: now(),
                grace: millis(most),
                signalled: false,
            });
        };
        begin();
        // In one that waits for its next start nothing can be run.
        let runs = seen.running && !seen.restarting;
        if let Some(service) = service.filter(|service| self.hooks && runs && !service.hooks.pre_stop.is_empty()) {
            hooks::before_stop(self.engine, self.events, service, container, least).await;
            begin();
        }
        self.engine.signal(container, signal).await?;
        self.notes.signalled(container);
        Ok(())
    }

    /// Waits for the end: at least so long, at most so long while it is still at work.
    async fn wait(&self, container: &str, least: Duration, most: Duration) -> Result<Waited> {
        let limit = Instant::now() + most;
        let mut ended = std::pin::pin!(self.engine.exited(container));
        tokio::select! {
            ended = &mut ended => return ended.map(|_| Waited::Ended),
            () = tokio::time::sleep(least) => {}
        }
        let idle = async {
            let (mut idle, mut written) = (0, None);
            while idle < IDLE_LOOKS {
                // The engine takes a second for the answer.
                let Some(usage) = self.engine.usage_once(container).await.ok().flatten() else { return };
                let writes = written.replace(usage.written).is_some_and(|before| usage.written > before);
                let works = usage.cpu_percent.is_some_and(|percent| percent >= AT_WORK);
                idle = if writes || works { 0 } else { idle + 1 };
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::select! {
            ended = &mut ended => ended.map(|_| Waited::Ended),
            () = idle, if most > least => Ok(Waited::TimeIsOver),
            () = tokio::time::sleep_until(limit) => Ok(Waited::TimeIsOver),
        }
    }

    /// Says from time to time that it takes its time. Never ends.
    async fn tell(&self, service: &ServiceName, saves: bool, ago: Duration) -> Infallible {
        let began = Instant::now();
        let mut next = FIRST;
        loop {
            tokio::time::sleep_until(began + next.saturating_sub(ago)).await;
            let ms = millis(ago + began.elapsed());
            self.events.emit(&Event::ServiceStopping { service: service.clone(), saves, ms });
            while next <= ago + began.elapsed() {
                next = if next < AGAIN { AGAIN } else { next + AGAIN };
            }
        }
    }

    /// Kills it; its exit code.
    async fn kill(&self, container: &str, name: &ServiceName) -> Result<Option<i64>> {
        self.engine.signal(container, "SIGKILL").await?;
        match tokio::time::timeout(KILL, self.engine.exited(container)).await {
            Ok(ended) => ended,
            Err(_) => Err(Error::new(ErrorKind::Engine, format_args!("the engine did not stop {name} in time"))
                .hint("restart the engine, then run the command again")),
        }
    }

    /// Looking at a container waits until all of its end is written down, the list of containers included (engine 26.1
    /// answers a moment before). One that is up again was started by its restart policy: only Docker takes the stop
    /// signal for a wish that it stays down. There the engine's own stop says so.
    async fn settle(&self, container: &str, name: &ServiceName, before: &Inspected, grace: Duration) -> Result<()> {
        let seen = self.engine.inspect(container).await.ok().flatten();
        match seen.filter(|seen| is_up(seen) && seen.started_at != before.started_at) {
            Some(_) => self.engine.stop(container, name, grace).await,
            None => Ok(()),
        }
    }
}

/// Whether it saves what it has when it is asked to stop.
fn saves(service: &Service) -> bool {
    kinds::defaults(service.kind).keeps_data
}

/// Whether the first process of a container does nothing about its stop signal. False where that is not known: an init process
/// passes it on, and the processes of another machine can't be looked at.
fn is_ignored(container: &str, seen: &Inspected, service: Option<&Service>, signal: &str) -> bool {
    let Some(pid) = seen.pid.filter(|_| service.is_none_or(|service| !service.options.init)) else { return false };
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    // A process of this machine with the same number may be another one.
    read("cgroup").contains(container) && crate::model::signal::is_handled(&read("status"), signal) == Some(false)
}

/// What is said of a container that did not end by itself.
fn killed(name: &ServiceName, service: Option<&Service>, signal: &str, grace: Duration, ignored: bool) -> Event {
    let time = format!("{} s", grace.as_secs_f64());
    let what = match ignored {
        true => format!("{name} ignored {signal} for {time} and was killed"),
        false => format!("{name} did not end within {time} of {signal} and was killed"),
    };
    let table = format!("[services.{name}] in services.toml");
    let Some(service) = service else {
        return Event::Warning { message: what, hint: None };
    };
    if saves(service) {
        return Event::Warning {
            message: format!("{name} did not stop within {time} and was killed: what it had not saved yet is lost"),
            hint: Some(format!("give it more time: `stop_timeout` of {table}")),
        };
    }
    let is_written = |mount: &crate::model::Mount| !mount.read_only && !matches!(mount.source, MountSource::Bind(_));
    let lost = if service.mounts.iter().any(is_written) { ": what it had not written yet is lost" } else { "" };
    let remedy = match service.options.init {
        false => {
            "`init = true`, if its program does not handle the signal; or another `stop_signal`; or a longer `stop_timeout`"
        }
        true => "another `stop_signal`, which its program handles, or a longer `stop_timeout`",
    };
    Event::Warning { message: format!("{what}{lost}"), hint: Some(format!("{remedy}: of {table}")) }
}

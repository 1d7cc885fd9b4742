//! The logs of a stack's containers as one, ordered by time; follows through restarts, recreation, and a lost
//! connection to the engine. Filtering and showing are up to `cli` and `ui`.
//!
//! When followed, each log is read twice: first the existing part, up to a definite end, so that the merge is exact;
//! then live, from the last line on. The same is done for a container or an engine that was restarted.

mod feed;
mod merge;
pub mod time;
mod turns;

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::Instant;

use self::feed::{Feed, Feeds, Mark, Phase};
use self::turns::Turns;
use crate::diag::Result;
use crate::engine::Engine;
use crate::engine::logs::decode::Line;
use crate::engine::logs::{LogError, StreamOptions, Turned};
use crate::event::{Event, Events, Note, Turn};
use crate::model::ServiceName;
use crate::plan::observed::Container;

/// After a wake-up, what comes within this time is taken together: one read and one write instead of one for each line.
const HISTORY_PACE: Duration = Duration::from_millis(1);
/// The same while following, where it also is the time in which lines of several services get into order.
const LIVE_PACE: Duration = Duration::from_millis(10);
/// How soon a log that ended while its container may still run is looked after.
const RELIST: Duration = Duration::from_millis(300);
/// How soon after subscribing the list is read again: a start may have fallen between the two.
const SETTLE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to reach an engine that went away.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Which lines. Times are nanoseconds since 1970 by the engine's clock.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Name of the stack.
    pub project: String,
    /// Only these services; empty = all.
    pub services: Vec<ServiceName>,
    /// Go on with what is written from now on.
    pub follow: bool,
    /// Number of lines from the end of each container's log.
    pub tail: Option<u64>,
    /// Only lines from this time on.
    pub since: Option<u64>,
    /// Only lines up to this time.
    pub until: Option<u64>,
    /// Lines are shown with their times.
    pub stamped: bool,
}

/// A line and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its service.
    pub service: &'a ServiceName,
    /// Number of the service, the same for all its lines.
    pub number: usize,
    /// The line.
    pub line: Line<'a>,
}

/// What [`Logs::more`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// There may be lines.
    Lines,
    /// None for the moment: show what there was, then [`Logs::wait`].
    Idle,
    /// No more will come.
    End,
}

/// Logs being read. Take lines with [`Logs::next`]; when it has none, call [`Logs::more`].
pub struct Logs<'a> {
    engine: &'a Engine,
    events: &'a Events,
    options: LogOptions,
    feeds: Feeds,
    services: Vec<ServiceName>,
    /// What was shown of containers whose log is not open.
    seen: HashMap<String, Mark>,
    starts: Option<Pin<Box<dyn Stream<Item = Result<Turned>> + Send>>>,
    /// What is to be told between the lines.
    turns: Turns,
    /// Containers that do not run, as far as was heard.
    ended: HashSet<String>,
    /// When to read the list of containers again.
    relist: Option<Instant>,
    /// Pause before the next attempt, while the engine is away.
    lost: Option<Duration>,
    /// When following ends by itself.
    deadline: Option<Instant>,
}

impl std::fmt::Debug for Logs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<'a> Logs<'a> {
    /// Opens the logs of these containers of the stack, as the engine listed them.
    pub async fn open(
        engine: &'a Engine,
        events: &'a Events,
        mut options: LogOptions,
        containers: &[Container],
    ) -> Result<Self> {
        let mut deadline = None;
        if options.follow && (options.tail == Some(0) || options.until.is_some()) {
            let now = u64::try_from(engine.now().await.as_nanosecond()).unwrap_or(0);
            deadline = options.until.map(|until| Instant::now() + Duration::from_nanos(until.saturating_sub(now)));
            if options.tail == Some(0) {
                (options.tail, options.since) = (None, options.since.max(Some(now)));
            }
        }
        let mut logs = Self {
            engine,
            events,
            feeds: Feeds::default(),
            services: Vec::new(),
            seen: HashMap::new(),
            starts: None,
            turns: Turns::default(),
            ended: containers.iter().filter(|seen| seen.exit_code.is_some()).map(|seen| seen.id.clone()).collect(),
            relist: None,
            lost: None,
            deadline,
            options,
        };
        if logs.options.follow {
            logs.subscribe()?;
        }
        // One log is in order by itself.
        let wanted = containers.iter().filter(|container| logs.options.wants(&container.service)).count();
        logs.options.stamped |= logs.options.follow || wanted > 1;
        for container in containers.iter().rev() {
            if !logs.options.wants(&container.service) {
                continue;
            }
            logs.add(&container.id, &container.service, Phase::History, Mark::default());
        }
        Ok(logs)
    }

    /// What is to be told before the next line: that a container ended, was started again, or was recreated. Only while
    /// following.
    pub fn note(&mut self) -> Option<Note> {
        self.turns.next()
    }

    /// The next line, if one can be told now.
    #[expect(clippy::should_implement_trait, reason = "lends the line")]
    pub fn next(&mut self) -> Option<Entry<'_>> {
        let number = self.feeds.next(self.options.until)?;
        let (service, line) = self.feeds.line(number)?;
        Some(Entry { service: &self.services[service], number: service, line })
    }

    /// Takes what has come, without waiting for it.
    pub async fn more(&mut self) -> Result<More> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(More::End);
        }
        // The second look is after the connections had their turn: they and this share one thread.
        for look in 0..2 {
            if look > 0 {
                tokio::task::yield_now().await;
            }
            let some = std::future::poll_fn(|cx| std::task::Poll::Ready(self.feeds.poll(cx).is_ready())).await;
            self.tidy()?;
            if some || self.feeds.settle(Instant::now()) {
                return Ok(More::Lines);
            }
        }
        Ok(if !self.options.follow && self.feeds.is_empty() { More::End } else { More::Idle })
    }

    /// Waits until something comes, and a moment for what comes with it.
    pub async fn wait(&mut self) -> Result<()> {
        let timers = [self.relist, self.deadline, self.feeds.held_until()];
        let timer = timers.into_iter().flatten().min();
        let timer = async {
            match timer {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let start = async {
            match &mut self.starts {
                Some(starts) => starts.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = std::future::poll_fn(|cx| self.feeds.poll(cx)) => {
                if self.feeds.any_history() {
                    // The engine sends a log line by line. While the runtime sleeps it is woken for each of them, only
                    // to sleep on; that would be most of the work. A thread that sleeps is left alone.
                    std::thread::sleep(HISTORY_PACE);
                } else {
                    tokio::time::sleep(LIVE_PACE).await;
                }
            }
            start = start => self.on_turn(start)?,
            () = timer => {}
        }
        self.tidy()?;
        if self.relist.is_some_and(|at| at <= Instant::now()) {
            self.list().await?;
        }
        Ok(())
    }

    /// Deals with logs that failed or ended.
    fn tidy(&mut self) -> Result<()> {
        while let Some((feed, trouble)) = self.feeds.take_trouble() {
            let service = &self.services[feed];
            match trouble {
                LogError::Gone => {}
                LogError::Unreadable => self.events.emit(&Event::Warning {
                    message: format!("{service}: its log driver keeps no log that can be read"),
                    hint: Some("remove the service's `logging` driver, or look where it sends the lines".into()),
                }),
                LogError::Failed(error) if !self.options.follow || error.is_out_of_files() => return Err(error),
                LogError::Failed(_) => {}
            }
        }
        while let Some(feed) = self.feeds.take_finished() {
            self.turns.all_shown(&feed.id);
            let again = feed.phase == Phase::History || feed.again;
            if self.options.follow && again && !feed.failed {
                let service = self.services[feed.service].clone();
                self.add(&feed.id, &service, Phase::Live, feed.shown);
            } else {
                self.seen.insert(feed.id, feed.shown);
                self.relist_in(RELIST);
            }
        }
        Ok(())
    }

    fn add(&mut self, id: &str, service: &ServiceName, phase: Phase, shown: Mark) {
        let known = self.services.iter().position(|known| known == service);
        let service = known.unwrap_or_else(|| {
            self.services.push(service.clone());
            self.services.len() - 1
        });
        let both =
            StreamOptions { until: self.options.until, stamped: self.options.stamped, ..StreamOptions::default() };
        let options = match phase {
            Phase::History => {
                StreamOptions { since: self.options.since, tail: self.options.tail, follow: false, ..both }
            }
            Phase::Live => {
                StreamOptions { since: shown.since().or(self.options.since), tail: None, follow: true, ..both }
            }
        };
        self.seen.remove(id);
        self.feeds.add(Feed::new(id, service, phase, shown, self.engine.log_bytes(id, options)), options.stamped);
    }

    fn on_turn(&mut self, turned: Option<Result<Turned>>) -> Result<()> {
        match turned {
            Some(Ok(Turned { id, service, ended, exit_code, at })) if self.options.wants(&service) => {
                let open = self.feeds.find(&id).is_some();
                let turn = if ended {
                    self.ended.insert(id.clone());
                    Some(Turn::Exited(exit_code))
                } else if self.ended.remove(&id) {
                    Some(Turn::StartedAgain)
                } else {
                    // Of one that is known, it is the start that was seen in the list.
                    let known = open || self.seen.contains_key(&id) || !self.services.contains(&service);
                    (!known).then_some(Turn::Recreated)
                };
                let note = turn.map(|turn| Note { service: service.clone(), at, turn });
                if let Some(feed) = self.feeds.find(&id) {
                    feed.again |= !ended;
                    note.into_iter().for_each(|note| self.turns.hold(&id, note));
                    return Ok(());
                }
                note.into_iter().for_each(|note| self.turns.tell(note));
                if !ended {
                    let shown = self.seen.get(&id).copied().unwrap_or_default();
                    self.add(&id, &service, Phase::Live, shown);
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) if error.is_out_of_files() => return Err(error),
            Some(Err(_)) | None => self.lose(),
        }
        Ok(())
    }

    /// Follows the engine's events. They begin before the list is read, so that nothing falls between.
    fn subscribe(&mut self) -> Result<()> {
        let mut starts = Box::pin(self.engine.turns(&self.options.project, true));
        // Nothing is sent before the first look.
        match starts.next().now_or_never() {
            Some(start) => self.on_turn(start)?,
            None => self.relist_in(SETTLE),
        }
        self.starts = Some(starts);
        Ok(())
    }

    fn lose(&mut self) {
        self.starts = None;
        if self.lost.is_none() {
            let message = "lost the engine; waiting until it is back".into();
            self.events.emit(&Event::Warning { message, hint: None });
        }
        let pause = self.lost.map_or(Duration::from_millis(100), |pause| (pause * 2).min(LONGEST_PAUSE));
        self.lost = Some(pause);
        self.relist = Some(Instant::now() + pause);
    }

    /// Reads the list of containers and opens what is not open and should be.
    async fn list(&mut self) -> Result<()> {
        self.relist = None;
        if !self.options.follow {
            return Ok(());
        }
        let containers = match self.engine.containers(&self.options.project).await {
            Ok(containers) => containers,
            Err(error) if error.is_out_of_files() => return Err(error),
            Err(_) => {
                self.lose();
                return Ok(());
            }
        };
        let back = self.lost.take().is_some();
        if back {
            self.events.emit(&Event::Notice { message: "the engine is back".into() });
        }
        if self.starts.is_none() {
            self.subscribe()?;
        }
        for container in containers.iter().rev() {
            if !self.options.wants(&container.service) || self.feeds.find(&container.id).is_some() {
                continue;
            }
            match self.seen.get(&container.id).copied() {
                // It may have run and exited while the engine was unreachable.
                Some(shown) if container.is_up() || back => {
                    self.add(&container.id, &container.service, Phase::Live, shown);
                }
                Some(_) => {}
                None => {
                    if self.services.contains(&container.service) {
                        let (service, turn) = (container.service.clone(), Turn::Recreated);
                        self.turns.tell(Note { service, at: None, turn });
                    }
                    self.add(&container.id, &container.service, Phase::Live, Mark::default());
                }
            }
        }
        self.seen.retain(|id, _| containers.iter().any(|container| container.id == *id));
        Ok(())
    }

    fn relist_in(&mut self, pause: Duration) {
        let at = Instant::now() + pause;
        self.relist = Some(self.relist.map_or(at, |earlier| earlier.min(at)));
    }
}

impl LogOptions {
    fn wants(&self, service: &ServiceName) -> bool {
        self.services.is_empty() || self.services.contains(service)
    }
}

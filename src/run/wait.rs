//! Waits for one service: probes it, watches its container, and reports at once when that exits. What an answer means
//! and when to probe again is up to [`Gate`].

mod ask;
mod line;
mod listen;
mod log;
pub mod once;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use ask::{Question, STAYS_UP, client, gone, healthy, inside, network, question, runs, seconds};
pub(super) use listen::Listening;
use regex::bytes::Regex;

use super::probe::{Answer, Limits};
use super::ready::{Effect, Gate, Input};
use super::{Run, actual, address, failure};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::{Engine, Hanging};
use crate::event::Event;
use crate::model::{Failure, Probe, Readiness, RestartPolicy, Service};
use crate::plan::observed::{Container, ContainerState};

/// How long one question by a command inside may take, and one look into a log. A health check that the image gives more
/// time has that.
const INSIDE: Duration = Duration::from_secs(5);

/// How often it is looked whether a log was dropped up to its start.
const LOOK_BACK_EVERY: Duration = Duration::from_secs(1);

/// How much longer than the time that is left a command inside is waited for: until it has been ended.
const ENDING: Duration = Duration::from_secs(4);

/// Waits until a service is ready; for a job: until it has ended with exit 0. `fresh`: it was started by this run;
/// `listening`: and has been listened to since before.
pub(super) async fn ready(
    run: &Run<'_>,
    service: &Service,
    id: &str,
    (fresh, listening): (bool, Option<Listening>),
    began: Instant,
    tell: &dyn Fn(String),
) -> Result<(), Box<Failure>> {
    let failed = |error: Error| Box::new(failure::of_error(Some(service), &error));
    let mut waiting = Waiting::new(run, service, id, fresh).await.map_err(failed)?;
    waiting.listening = listening;
    let may_end = run.stack.may_end(service);
    let gate = Gate::new(&waiting.readiness(began), service.restart, began.elapsed());
    let mut gate = gate.that_may_end(may_end);
    let mut effect = gate.on(Input::Tick, began.elapsed());
    let mut told = None;
    loop {
        let input = match effect {
            Effect::Ready => return Ok(()),
            Effect::Failed(why) => return Err(Box::new(why.failure(service.name.clone()))),
            Effect::Ask(pause) => {
                let left = gate.deadline().saturating_sub(began.elapsed());
                waiting.ask(pause, left).await
            }
            Effect::Wait(left) => waiting.wait(left).await,
        };
        let input = input.map_err(failed)?;
        if let Input::Answer(Answer::NotYet(why)) = &input
            && told.as_ref() != Some(why)
        {
            tell(why.clone());
            told = Some(why.clone());
        }
        if let Input::Exited { code: 0, .. } = &input
            && may_end
        {
            let message = format!("{} is done: it exited with code 0, and nothing waits for it", service.name);
            run.events.emit(&Event::Notice { message });
        }
        effect = gate.on(input, began.elapsed());
    }
}

/// The exit code of a process that was ended by SIGKILL.
const KILLED: i64 = 137;

/// How long the engine is given to learn why a container was killed.
const LATE: Duration = Duration::from_millis(300);

type Exit<'a> = Pin<Box<dyn Future<Output = Result<Option<i64>>> + 'a>>;

/// After so much time in which nothing answered where it should, its container is asked where its server listens.
const LOOK_AFTER: Duration = Duration::from_millis(700);

struct Waiting<'a> {
    run: &'a Run<'a>,
    service: Service,
    /// When its container is asked next where its server listens, and how long to leave it alone after that.
    look: (Instant, Duration),
    id: &'a str,
    fresh: bool,
    /// The container as it was before, when this run left it as it was.
    seen: Option<&'a Container>,
    /// It was, and ran: its line may have been dropped from its log since.
    unchanged: bool,
    question: Question,
    /// How long the next answer may take. What is asked in vain for that long has twice the time when it is asked again:
    /// a question that hangs once costs little, and what is always slow gets its time.
    patience: Duration,
    listening: Option<Listening>,
    /// What was answered last, of that which is no answer at all.
    said: Option<String>,
    /// A command inside that did not end and could not be ended. There is never more than one.
    hanging: Option<Hanging>,
    addresses: BTreeMap<u16, SocketAddr>,
    /// The container's own addresses, where they can be reached from here; none = not looked for.
    own: Option<Vec<IpAddr>>,
    exit: Option<Exit<'a>>,
}

impl<'a> Waiting<'a> {
    async fn new(run: &'a Run<'a>, service: &'a Service, id: &'a str, fresh: bool) -> Result<Self> {
        let seen = run.seen.of(&service.name).next().filter(|_| !fresh);
        let image = run.seen.images.get(&service.image).filter(|_| seen.is_some());
        let question = question(run.engine, service, image).await?;
        let look = (Instant::now() + LOOK_AFTER, LOOK_AFTER);
        let about = &run.engine.about;
        let addresses = match (seen, address::declared(about, service)) {
            (Some(seen), _) => address::of(about, service, seen),
            (None, Some(declared)) => address::addresses(about, service, &declared, None),
            (None, None) => Default::default(),
        };
        let own = seen.map(|seen| address::own(about, seen));
        let patience = match &question {
            Question::Inside(_, limit) => *limit,
            Question::Log(_) | Question::Client(_) => INSIDE,
            _ => Limits::default().answer,
        };
        Ok(Self {
            run,
            service: service.clone(),
            look,
            id,
            fresh,
            seen,
            unchanged: seen.is_some_and(|seen| seen.state == ContainerState::Running),
            question,
            patience,
            listening: None,
            said: None,
            hanging: None,
            addresses,
            own,
            exit: None,
        })
    }

    /// The service's readiness with the question that is really asked, and no more time than the run has.
    fn readiness(&self, began: Instant) -> Readiness {
        let declared = &self.service.ready;
        let probe = match &self.question {
            Question::Network(probe) => probe.clone(),
            // It costs as much as any command inside.
            Question::Client(_) => Probe::Exec { command: Vec::new() },
            Question::Inside(command, _) => Probe::Exec { command: command.clone() },
            Question::Engine => Probe::Engine,
            Question::Log(pattern) => Probe::Log { pattern: pattern.to_string() },
            Question::Exit => Probe::Exit,
            Question::Runs => Probe::Auto,
        };
        let left = self.run.timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        let timeout = left.map_or(declared.timeout, |left| left.min(declared.timeout));
        Readiness { probe, timeout, interval: declared.interval }
    }

    /// Asks after a pause, unless the container ends first. Watching for that begins with the second question: what is
    /// ready at the first costs no more than that.
    async fn ask(&mut self, pause: Duration, left: Duration) -> Result<Input> {
        let Self { run, service, look, id, fresh, seen, question, patience, said, .. } = self;
        let (hanging, addresses, own, exit) = (&mut self.hanging, &mut self.addresses, &mut self.own, &mut self.exit);
        let (limit, began) = (*patience, Instant::now());
        let (due, grace) =
            (began + left, if matches!(question, Question::Inside(..)) { ENDING } else { Duration::ZERO });
        let asked = async {
            tokio::time::sleep(pause).await;
            let of_tcp = matches!(question, Question::Network(Probe::Tcp { .. }));
            if address::needed(service).iter().any(|port| !addresses.contains_key(port)) || (of_tcp && own.is_none()) {
                let Some(seen) = run.engine.inspect(id).await? else { return Ok(gone()) };
                let first = seen.addresses.first().copied();
                *addresses = address::addresses(&run.engine.about, service, &seen.ports, first);
                *own = Some(if run.engine.about.container_network { seen.addresses } else { Vec::new() });
            }
            match question {
                Question::Network(probe) => {
                    let nearby = own.as_deref().unwrap_or_default();
                    let answer = network(&run.prober, probe, addresses, nearby, limit, said.as_deref()).await;
                    looked(run.engine, service, id, look, question, addresses, answer).await
                }
                Question::Client(probe) => {
                    let answer = client(run.engine, service, id, probe, limit).await;
                    looked(run.engine, service, id, look, question, addresses, answer).await
                }
                Question::Inside(command, _) => {
                    let limit = limit.min(due.saturating_duration_since(Instant::now()));
                    inside(run.engine, id, command, limit, hanging).await
                }
                Question::Runs if seen.take().is_some_and(|seen| seen.state == ContainerState::Running) => {
                    Ok(Answer::Ready)
                }
                Question::Runs => {
                    if std::mem::take(fresh) {
                        tokio::time::sleep(STAYS_UP).await;
                    }
                    runs(run.engine, id).await
                }
                Question::Engine | Question::Log(_) | Question::Exit => Ok(Answer::NotYet(String::new())),
            }
        };
        let answer = tokio::select! {
            answer = asked => answer?,
            ended = watched(exit) => return self.ended(ended?).await,
            () = tokio::time::sleep(left + grace) => {
                let nothing = Answer::NotYet(format!("no answer within {} s", seconds(left)));
                return Ok(if said.is_none() { Input::Answer(nothing) } else { Input::Tick });
            }
        };
        if let Answer::NotYet(why) | Answer::Never(why) = &answer {
            if began.elapsed() >= pause + limit {
                *patience *= 2;
            }
            *said = Some(why.clone());
        }
        self.watch();
        Ok(Input::Answer(answer))
    }

    /// Waits for what comes by itself.
    async fn wait(&mut self, left: Duration) -> Result<Input> {
        self.watch();
        let first = self.seen.take().is_some() && self.unchanged;
        let Self { run, id, service, question, said, listening, exit, unchanged, .. } = self;
        let event = async {
            match question {
                Question::Engine => healthy(run.engine, id, said).await,
                Question::Log(pattern) => {
                    if first && once::line(run.engine, service, id, pattern, INSIDE).await?.answer == Answer::Ready {
                        return Ok(Input::LogMatched);
                    }
                    if said.is_none() {
                        return Ok(answered(said, log::not_there(pattern)));
                    }
                    let found = tokio::select! {
                        found = log::wait(run.engine, id, pattern) => found?,
                        found = heard(run.engine, id, listening) => found?,
                        found = dropped(run.engine, service, id, pattern), if *unchanged => found?,
                    };
                    Ok(match found {
                        log::Found::Line => Input::LogMatched,
                        log::Found::Unreadable => Input::Answer(Answer::Never(log::unreadable())),
                        log::Found::Gone | log::Found::Nothing { .. } => Input::Answer(gone()),
                    })
                }
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            input = event => input,
            ended = watched(exit) => self.ended(ended?).await,
            () = tokio::time::sleep(left) => Ok(Input::Tick),
        }
    }

    fn watch(&mut self) {
        let (run, id) = (self.run, self.id);
        self.exit.get_or_insert_with(|| Box::pin(run.engine.exited(id)));
    }

    async fn ended(&mut self, code: Option<i64>) -> Result<Input> {
        // Another run may have another address, and nothing of this one is left inside.
        (self.exit, self.own, self.hanging) = (None, None, None);
        self.addresses.clear();
        let Some(code) = code else {
            let message = format!("the container of {} was removed while waiting for it", self.service.name);
            return Err(Error::new(ErrorKind::Crashed, message));
        };
        let mut seen = self.run.engine.inspect(self.id).await?.unwrap_or_default();
        // That memory ran out is reported to the engine on its own way, at times after the end.
        if code == KILLED && !seen.oom_killed && self.service.memory.is_some() {
            tokio::time::sleep(LATE).await;
            seen = self.run.engine.inspect(self.id).await?.unwrap_or_default();
        }
        // The engine restarts this one after failures alone: a 0 is the code of its next run, which has none yet.
        let restarted = seen.running || seen.restarting;
        if code == 0 && restarted && matches!(self.service.restart, RestartPolicy::OnFailure(_)) {
            return Ok(Input::Answer(Answer::NotYet("it ended and was restarted".into())));
        }
        Ok(Input::Exited { code, oom: seen.oom_killed })
    }
}

async fn watched(exit: &mut Option<Exit<'_>>) -> Result<Option<i64>> {
    match exit {
        Some(exit) => exit.await,
        None => std::future::pending().await,
    }
}

/// Waits until the line was heard, of a container that still runs and was not restarted since.
async fn heard(engine: &Engine, id: &str, listening: &mut Option<Listening>) -> Result<log::Found> {
    let Some(listening) = listening else { return std::future::pending().await };
    listening.heard().await;
    match engine.inspect(id).await? {
        Some(seen) if seen.running && seen.restarts == 0 => Ok(log::Found::Line),
        // Its end is reported by who watches it; the next run is in the log.
        _ => std::future::pending().await,
    }
}

/// Looks again and again whether a log of a container that runs unchanged still goes back to its start: that shows only
/// with time where a single file is kept.
async fn dropped(engine: &Engine, service: &Service, id: &str, pattern: &Regex) -> Result<log::Found> {
    loop {
        tokio::time::sleep(LOOK_BACK_EVERY).await;
        if once::line(engine, service, id, pattern, INSIDE).await?.answer == Answer::Ready {
            return Ok(log::Found::Line);
        }
    }
}

/// Words that are an answer, to be told.
fn answered(said: &mut Option<String>, words: String) -> Input {
    Input::Answer(Answer::NotYet(said.insert(words).clone()))
}

/// After an answer of an address where nothing is: looks from time to time where the server really listens.
async fn looked(
    engine: &Engine,
    service: &mut Service,
    id: &str,
    (due, pause): &mut (Instant, Duration),
    question: &mut Question,
    addresses: &mut BTreeMap<u16, SocketAddr>,
    answer: Answer,
) -> Result<Answer> {
    if actual::is_elsewhere(&answer) && Instant::now() >= *due {
        (*due, *pause) = (Instant::now() + *pause, *pause * 2);
        if let Some(found) = actual::elsewhere(engine, service, id).await {
            *question = self::question(engine, &found, None).await?;
            *service = found;
            addresses.clear();
        }
    }
    Ok(answer)
}

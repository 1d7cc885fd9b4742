//! Waits for one service: asks it, watches its container, and reports at once when that ends. What an answer means and
//! when to ask again is [`Gate`]'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use regex::bytes::Regex;

use super::probe::{Answer, is_network};
use super::ready::{Effect, Gate, Input};
use super::{Run, actual, address, failure};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Health;
use crate::event::Failure;
use crate::model::{Probe, Protocol, Readiness, Service};
use crate::plan::observed::{Container, ContainerState};

/// How often the engine is asked what its health check says.
const HEALTH_EVERY: Duration = Duration::from_millis(100);

/// A service that nothing can be asked of is taken as up when it ran for so long: what can't start at all, ends sooner.
const STAYS_UP: Duration = Duration::from_millis(100);

/// Waits until a service is ready; for a job: until it has ended with exit 0. `fresh`: it was started by this run.
pub(super) async fn ready(
    run: &Run<'_>,
    service: &Service,
    id: &str,
    fresh: bool,
    began: Instant,
    tell: &dyn Fn(String),
) -> Result<(), Box<Failure>> {
    let failed = |error: Error| Box::new(failure::of_error(Some(service), &error));
    let mut waiting = Waiting::new(run, service, id, fresh).await.map_err(failed)?;
    let mut gate = Gate::new(&waiting.readiness(began), service.restart, began.elapsed());
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
        effect = gate.on(input, began.elapsed());
    }
}

/// How a service is asked.
#[derive(Debug)]
enum Question {
    /// From here, in its own protocol.
    Network(Probe),
    /// The same inside, by its own client.
    Client(Probe),
    /// By a command inside.
    Inside(Vec<String>),
    /// The engine's health check.
    Engine,
    /// A line of its log.
    Log(Regex),
    /// It has to end.
    Exit,
    /// Nothing to ask: it runs.
    Runs,
}

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
    question: Question,
    addresses: BTreeMap<u16, SocketAddr>,
    exit: Option<Exit<'a>>,
}

impl<'a> Waiting<'a> {
    async fn new(run: &'a Run<'a>, service: &'a Service, id: &'a str, fresh: bool) -> Result<Self> {
        let seen = run.seen.of(&service.name).next().filter(|_| !fresh);
        let question = question(run, service, seen.is_some()).await?;
        let look = (Instant::now() + LOOK_AFTER, LOOK_AFTER);
        let addresses = match (seen, address::declared(service)) {
            (Some(seen), _) => address::of(&run.engine.about, service, seen),
            (None, Some(declared)) => address::addresses(&run.engine.about, service, &declared, None),
            (None, None) => Default::default(),
        };
        Ok(Self { run, service: service.clone(), look, id, fresh, seen, question, addresses, exit: None })
    }

    /// The service's readiness with the question that is really asked, and no more time than the run has.
    fn readiness(&self, began: Instant) -> Readiness {
        let declared = &self.service.ready;
        let probe = match &self.question {
            Question::Network(probe) => probe.clone(),
            // It costs as much as any command inside.
            Question::Client(_) => Probe::Exec { command: Vec::new() },
            Question::Inside(command) => Probe::Exec { command: command.clone() },
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
        let Self { run, service, look, id, fresh, seen, question, addresses, exit } = self;
        let asked = async {
            tokio::time::sleep(pause).await;
            if address::needed(service).iter().any(|port| !addresses.contains_key(port)) {
                let Some(seen) = run.engine.inspect(id).await? else { return Ok(gone()) };
                let own = seen.addresses.first().copied();
                *addresses = address::addresses(&run.engine.about, service, &seen.ports, own);
            }
            match question {
                Question::Network(_) | Question::Client(_) => {
                    let answer = asked(run, service, id, question, addresses).await;
                    if !actual::is_elsewhere(&answer) || Instant::now() < look.0 {
                        return Ok(answer);
                    }
                    *look = (Instant::now() + look.1, look.1 * 2);
                    let Some(found) = actual::elsewhere(run.engine, service, id).await else { return Ok(answer) };
                    *question = self::question(run, &found, false).await?;
                    *service = found;
                    addresses.clear();
                    Ok(answer)
                }
                Question::Inside(command) => inside(run, id, command).await,
                Question::Runs if seen.take().is_some_and(|seen| seen.state == ContainerState::Running) => {
                    Ok(Answer::Ready)
                }
                Question::Runs => {
                    if std::mem::take(fresh) {
                        tokio::time::sleep(STAYS_UP).await;
                    }
                    runs(run, id).await
                }
                Question::Engine | Question::Log(_) | Question::Exit => Ok(Answer::NotYet(String::new())),
            }
        };
        let input = tokio::select! {
            answer = asked => Input::Answer(answer?),
            ended = watched(exit) => return self.ended(ended?).await,
            () = tokio::time::sleep(left) => Input::Tick,
        };
        self.watch();
        Ok(input)
    }

    /// Waits for what comes by itself.
    async fn wait(&mut self, left: Duration) -> Result<Input> {
        self.watch();
        let Self { run, id, question, exit, .. } = self;
        let event = async {
            match question {
                Question::Engine => healthy(run, id).await,
                Question::Log(pattern) => {
                    run.engine.wait_for_line(id, pattern).await?;
                    Ok(Input::LogMatched)
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
        self.exit = None;
        let Some(code) = code else {
            let message = format!("the container of {} was removed while it was waited for", self.service.name);
            return Err(Error::new(ErrorKind::Crashed, message));
        };
        let oom = self.run.engine.inspect(self.id).await?.is_some_and(|seen| seen.oom_killed);
        Ok(Input::Exited { code, oom })
    }
}

async fn asked(
    run: &Run<'_>,
    service: &Service,
    id: &str,
    question: &Question,
    addresses: &BTreeMap<u16, SocketAddr>,
) -> Answer {
    match question {
        Question::Network(probe) => run.prober.ask(probe, addresses).await,
        Question::Client(probe) => {
            let answer = actual::inside(run.engine, service, id, probe).await;
            answer.unwrap_or_else(|| Answer::NotYet("it can't be asked from here".into()))
        }
        _ => Answer::NotYet(String::new()),
    }
}

async fn watched(exit: &mut Option<Exit<'_>>) -> Result<Option<i64>> {
    match exit {
        Some(exit) => exit.await,
        None => std::future::pending().await,
    }
}

/// Finds out how a service can be asked, given where it runs. `unchanged`: its container was left as it was.
async fn question(run: &Run<'_>, service: &Service, unchanged: bool) -> Result<Question> {
    let published = |port: &u16| service.ports.iter().any(|published| published.container == *port);
    Ok(match &service.ready.probe {
        Probe::Exit => Question::Exit,
        Probe::Engine => Question::Engine,
        Probe::Exec { command } => Question::Inside(command.clone()),
        Probe::Log { pattern } => {
            Question::Log(Regex::new(pattern).with_context(|| format!("ready.log of {}", service.name))?)
        }
        Probe::Auto => match healthcheck(run, service, unchanged).await? {
            Some(command) => Question::Inside(command),
            None if service.ports.iter().any(|port| port.protocol == Protocol::Tcp) => {
                Question::Network(Probe::Tcp { ports: Vec::new() })
            }
            None => Question::Runs,
        },
        probe if is_network(probe) => {
            let has_address = |port: &u16| *port > 0 && (run.engine.about.container_network || published(port));
            match probe {
                _ if address::needed(service).iter().all(has_address) => Question::Network(probe.clone()),
                Probe::Postgres { .. } | Probe::Redis { .. } => Question::Client(probe.clone()),
                _ => Question::Runs,
            }
        }
        _ => Question::Runs,
    })
}

/// The health check of a service's image. A container that was made now may be of an image that was fetched now.
async fn healthcheck(run: &Run<'_>, service: &Service, unchanged: bool) -> Result<Option<Vec<String>>> {
    match run.seen.images.get(&service.image).filter(|_| unchanged) {
        Some(image) => Ok(image.healthcheck.clone()),
        None => Ok(run.engine.image(&service.image).await?.and_then(|image| image.healthcheck)),
    }
}

async fn inside(run: &Run<'_>, id: &str, command: &[String]) -> Result<Answer> {
    // A container that just ends refuses commands; its end is reported by who watches it.
    let executed = match run.engine.exec(id, command).await {
        Ok(executed) => executed,
        Err(error) if error.kind == ErrorKind::Engine => return Err(error),
        Err(error) => return Ok(Answer::NotYet(error.to_string())),
    };
    if executed.code == 0 {
        return Ok(Answer::Ready);
    }
    let last = executed.output.lines().next_back().unwrap_or_default();
    Ok(Answer::NotYet(format!("`{}` exits with {}: {last}", command.join(" "), executed.code)))
}

async fn runs(run: &Run<'_>, id: &str) -> Result<Answer> {
    let Some(seen) = run.engine.inspect(id).await? else { return Ok(gone()) };
    if !seen.running {
        return Ok(Answer::NotYet("not running".into()));
    }
    if seen.restarts == 0 {
        return Ok(Answer::Ready);
    }
    // One that the engine restarts runs for a moment each time.
    tokio::time::sleep(STAYS_UP).await;
    match run.engine.inspect(id).await? {
        Some(now) if now.running && now.started_at == seen.started_at => Ok(Answer::Ready),
        Some(_) => Ok(Answer::NotYet("it ended and was restarted".into())),
        None => Ok(gone()),
    }
}

fn gone() -> Answer {
    Answer::Never("the container is gone".into())
}

async fn healthy(run: &Run<'_>, id: &str) -> Result<Input> {
    loop {
        match run.engine.inspect(id).await?.and_then(|seen| seen.health) {
            Some(Health::Healthy) => return Ok(Input::Healthy),
            Some(Health::Unhealthy(output)) => return Ok(Input::Unhealthy(output)),
            Some(Health::Starting(_)) => {}
            None => return Ok(Input::Answer(Answer::Never("its image has no health check".into()))),
        }
        tokio::time::sleep(HEALTH_EVERY).await;
    }
}

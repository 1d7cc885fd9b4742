//! Chooses how a service is probed, and implements each kind of probe once.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use regex::bytes::Regex;

use super::{INSIDE, answered, log};
use crate::diag::{ErrorKind, Result};
use crate::engine::{Asked, Engine, Hanging, Health};
use crate::model::{Probe, Protocol, Service};
use crate::plan::observed::Image;
use crate::run::probe::{Answer, Prober, is_network};
use crate::run::ready::Input;
use crate::run::{actual, address};

/// How a service is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// From here, in its own protocol.
    Network(Probe),
    /// The same inside, by its own client.
    Client(Probe),
    /// By a command inside, which has so long to answer at first.
    Inside(Vec<String>, Duration),
    /// The engine's health check.
    Engine,
    /// A line of its log.
    Log(Regex),
    /// It has to end.
    Exit,
    /// Nothing to ask: it runs.
    Runs,
}

/// How often the engine is asked what its health check says.
const HEALTH_EVERY: Duration = Duration::from_millis(100);

/// A service that nothing can be asked of is taken as up when it ran for so long: what can't start at all, ends sooner.
pub(super) const STAYS_UP: Duration = Duration::from_millis(100);

/// How long a connection has to stay open once one was closed late: then the port forwarder is slow.
const STAYS_OPEN: Duration = Duration::from_secs(1);

/// Finds out how a service can be asked, given where it runs. `image`: its image, where that is known for sure.
pub(super) async fn question(engine: &Engine, service: &Service, image: Option<&Image>) -> Result<Question> {
    let published = |port: &u16| service.ports.iter().any(|published| published.container == *port);
    Ok(match &service.ready.probe {
        Probe::Exit => Question::Exit,
        Probe::Engine => Question::Engine,
        Probe::Exec { command } => Question::Inside(command.clone(), INSIDE),
        Probe::Log { pattern } => Question::Log(log::pattern(pattern)?),
        Probe::Auto => match healthcheck(engine, service, image).await? {
            Some(question) => question,
            None if service.ports.iter().any(|port| port.protocol == Protocol::Tcp) => {
                Question::Network(Probe::Tcp { ports: Vec::new() })
            }
            None => Question::Runs,
        },
        probe if is_network(probe) => {
            // One without a network of its own has no address of its own either.
            let own = engine.about.container_network && !service.networks.is_empty();
            let is_host = service.options.network_mode.as_deref() == Some("host");
            let has_address = |port: &u16| *port > 0 && (own || is_host || published(port));
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
pub(super) async fn healthcheck(engine: &Engine, service: &Service, image: Option<&Image>) -> Result<Option<Question>> {
    let check = match image {
        Some(image) => image.healthcheck.clone(),
        None => engine.image(&service.image).await?.and_then(|image| image.healthcheck),
    };
    Ok(check.map(|check| Question::Inside(check.command, check.limit.unwrap_or(INSIDE).max(INSIDE))))
}

/// Asks by the service's own client inside, where no port of it can be reached from here.
pub(super) async fn client(engine: &Engine, service: &Service, id: &str, probe: &Probe, limit: Duration) -> Answer {
    match tokio::time::timeout(limit, actual::inside(engine, service, id, probe)).await {
        Ok(answer) => answer.unwrap_or_else(|| Answer::NotYet("it can't be probed from here".into())),
        Err(_) => Answer::NotYet(format!("its client inside did not answer within {} s", seconds(limit))),
    }
}

/// Asks over the network. Where only the port forwarder can be asked and was seen to close late, it gets more time for it.
pub(super) async fn network(
    prober: &Prober,
    probe: &Probe,
    addresses: &BTreeMap<u16, SocketAddr>,
    own: &[IpAddr],
    limit: Duration,
    said: Option<&str>,
) -> Answer {
    let closed = said.is_some_and(|said| said.contains("then closed"));
    let prober = prober.clone().with_answer_within(limit);
    let prober = if closed { prober.with_open_for(STAYS_OPEN) } else { prober };
    prober.ask_of(probe, addresses, own).await
}

/// Asks by a command inside, which is ended when it does not answer in time.
pub(super) async fn inside(
    engine: &Engine,
    id: &str,
    command: &[String],
    limit: Duration,
    hanging: &mut Option<Hanging>,
) -> Result<Answer> {
    let words = command.join(" ");
    if let Some(earlier) = hanging.take() {
        *hanging = engine.end(id, earlier).await;
        if hanging.is_some() {
            return Ok(Answer::NotYet(format!("`{words}` does not answer, and can't be ended")));
        }
    }
    // A container that just ends refuses commands; its end is reported by who watches it.
    let executed = match engine.exec_within(id, command, limit).await {
        Ok(Asked::Ended(executed)) => executed,
        Ok(Asked::Silent(left)) => {
            *hanging = left;
            return Ok(Answer::NotYet(format!("`{words}` did not answer within {} s", seconds(limit))));
        }
        Err(error) if error.kind == ErrorKind::Engine => return Err(error),
        Err(error) => return Ok(Answer::NotYet(error.to_string())),
    };
    if executed.code == 0 {
        return Ok(Answer::Ready);
    }
    let last = executed.output.lines().next_back().unwrap_or_default();
    Ok(Answer::NotYet(format!("`{words}` exits with {}: {last}", executed.code)))
}

/// `5`, `0.3`.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}

pub(super) async fn runs(engine: &Engine, id: &str) -> Result<Answer> {
    let Some(seen) = engine.inspect(id).await? else { return Ok(gone()) };
    if !seen.running {
        return Ok(Answer::NotYet("not running".into()));
    }
    if seen.restarts == 0 {
        return Ok(Answer::Ready);
    }
    // One that the engine restarts runs for a moment each time.
    tokio::time::sleep(STAYS_UP).await;
    match engine.inspect(id).await? {
        Some(now) if now.running && now.started_at == seen.started_at => Ok(Answer::Ready),
        Some(_) => Ok(Answer::NotYet("it ended and was restarted".into())),
        None => Ok(gone()),
    }
}

pub(super) fn gone() -> Answer {
    Answer::Never("the container no longer exists".into())
}

/// Waits for what the engine's health check comes to; also returns when it says something new on the way.
pub(super) async fn healthy(engine: &Engine, id: &str, said: &mut Option<String>) -> Result<Input> {
    loop {
        match engine.inspect(id).await?.and_then(|seen| seen.health) {
            Some(Health::Healthy) => return Ok(Input::Healthy),
            Some(Health::Unhealthy(output)) => return Ok(Input::Unhealthy(output)),
            Some(Health::Starting(output)) => {
                let words = starting(&output);
                if said.as_ref() != Some(&words) {
                    return Ok(answered(said, words));
                }
            }
            None => return Ok(Input::Answer(Answer::Never("its image has no health check".into()))),
        }
        tokio::time::sleep(HEALTH_EVERY).await;
    }
}

/// What a health check says that has not come to an end.
pub(super) fn starting(output: &str) -> String {
    match output.lines().next_back() {
        Some(last) => format!("its health check has not succeeded yet: {last}"),
        None => "its health check has not succeeded yet".into(),
    }
}

//! Probes a service once, in exactly the way in which `up` waits for it: for `ps`, `explain` and a run that did not
//! change its container. So "ready" means the same in all of them.

use std::time::Duration;

use regex::bytes::Regex;

use super::ask::{Question, client, gone, inside, question, seconds, starting};
use super::{INSIDE, log};
use crate::diag::Result;
use crate::engine::{Engine, Health};
use crate::model::Service;
use crate::plan::observed::{Container, ContainerState, Image};
use crate::run::probe::{Answer, Prober};
use crate::run::{actual, address};

/// What a service answered, and what is to be known of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// Its answer.
    pub answer: Answer,
    /// How it is known to be ready, where it did not say so just now.
    pub remark: Option<&'static str>,
}

impl From<Answer> for ProbeResult {
    fn from(answer: Answer) -> Self {
        Self { answer, remark: None }
    }
}

/// Asks a service whose container was seen. `image`: its image, where that was looked at.
///
/// # Errors
/// When the engine does not answer.
pub async fn ask(
    engine: &Engine,
    prober: &Prober,
    service: &Service,
    container: &Container,
    image: Option<&Image>,
) -> Result<ProbeResult> {
    if container.state != ContainerState::Running {
        return Ok(Answer::NotYet("not running".into()).into());
    }
    let service = actual::read(engine, service, &container.id).await;
    let first = heard(engine, prober, &service, container, image).await?;
    if actual::is_elsewhere(&first.answer)
        && let Some(found) = actual::elsewhere(engine, &service, &container.id).await
    {
        return heard(engine, prober, &found, container, image).await;
    }
    Ok(first)
}

/// Asks a service as its container really is.
async fn heard(
    engine: &Engine,
    prober: &Prober,
    service: &Service,
    container: &Container,
    image: Option<&Image>,
) -> Result<ProbeResult> {
    let id = &container.id;
    Ok(match question(engine, service, image).await? {
        Question::Network(probe) => {
            let addresses = address::of(&engine.about, service, container);
            let prober = prober.clone().with_answer_within(INSIDE);
            prober.ask_of(&probe, &addresses, &address::own(&engine.about, container)).await.into()
        }
        Question::Client(probe) => client(engine, service, id, &probe, 2 * INSIDE).await.into(),
        // Asked again it would have twice the time.
        Question::Inside(command, limit) => inside(engine, id, &command, 2 * limit, &mut None).await?.into(),
        Question::Engine => match engine.inspect(id).await?.and_then(|seen| seen.health) {
            Some(Health::Healthy) => Answer::Ready.into(),
            Some(Health::Starting(output)) => Answer::NotYet(starting(&output)).into(),
            Some(Health::Unhealthy(output)) => {
                let last = output.lines().next_back().unwrap_or_default();
                Answer::NotYet(format!("its health check fails: {last}")).into()
            }
            None => Answer::Never("its image has no health check".into()).into(),
        },
        Question::Log(pattern) => line(engine, service, id, &pattern, INSIDE).await?,
        Question::Exit => Answer::NotYet("it has not ended".into()).into(),
        Question::Runs => Answer::Ready.into(),
    })
}

/// Looks for a line in what a container has written since its last start. One whose log no longer goes back that far is
/// taken as ready: it has not been restarted, and has written more than the engine keeps.
pub(super) async fn line(
    engine: &Engine,
    service: &Service,
    id: &str,
    pattern: &Regex,
    limit: Duration,
) -> Result<ProbeResult> {
    let look = async {
        let Some(seen) = engine.inspect(id).await? else { return Ok(gone().into()) };
        if !seen.running {
            return Ok(Answer::NotYet("not running".into()).into());
        }
        let size = match log::search(engine, id, &seen, pattern).await? {
            log::Found::Line => return Ok(Answer::Ready.into()),
            log::Found::Gone => return Ok(gone().into()),
            log::Found::Unreadable => return Ok(Answer::Never(log::unreadable()).into()),
            log::Found::Nothing { size } => size,
        };
        if log::is_rotated(engine, id, &seen, &service.logging, size, service.ready.timeout).await? {
            return Ok(ProbeResult { answer: Answer::Ready, remark: Some("its log no longer goes back to its start") });
        }
        Ok(Answer::NotYet(log::not_there(pattern)).into())
    };
    let late = || Answer::NotYet(format!("its log could not be read within {} s", seconds(limit)));
    tokio::time::timeout(limit, look).await.unwrap_or_else(|_| Ok(late().into()))
}

//! Converts a failed step to a report with the next command.

use crate::diag::{Error, ErrorKind};
use crate::engine::{BuildFailed, Engine};
use crate::kinds;
use crate::model::{Failure, Service, Stack};

/// How many of a service's last log lines a report shows.
const LOG_LINES: usize = 20;

/// How many are looked at: a service may log each of our own questions.
const TAIL: usize = 200;

/// An error of a step as a failure of its service.
pub(crate) fn of_error(service: Option<&Service>, error: &Error) -> Failure {
    Failure {
        service: service.map(|service| service.name.clone()),
        kind: error.kind,
        message: error.to_string(),
        exit_code: None,
        oom_killed: false,
        last_probe: None,
        log: error.source.downcast_ref::<BuildFailed>().map(|build| build.output.clone()).unwrap_or_default(),
        reason: None,
        next: error.hints.first().cloned(),
    }
}

/// Adds what the container can tell: exit code, memory, the last lines, the likely reason, and what to do next. Lines up to
/// `earlier` are of a run of the container that this one did not start.
pub(crate) async fn explain(
    engine: &Engine,
    stack: &Stack,
    service: &Service,
    container: Option<&str>,
    earlier: Option<jiff::Timestamp>,
    failure: &mut Failure,
) {
    if let Some(id) = container {
        if let Ok(Some(seen)) = engine.inspect(id).await {
            failure.exit_code = failure.exit_code.or(seen.exit_code);
            failure.oom_killed |= seen.oom_killed;
        }
        let mut log = engine.tail_since(id, TAIL, earlier).await;
        log.retain(|line| !kinds::is_probe_noise(service.kind, line));
        failure.log = log.split_off(log.len().saturating_sub(LOG_LINES));
    }
    kinds::explain(stack, service, failure);
    if failure.next.is_none() {
        let name = &service.name;
        failure.next = Some(match failure.kind {
            ErrorKind::NotReady => format!("taskava dev explain {name}"),
            _ => format!("taskava dev logs {name}"),
        });
    }
}

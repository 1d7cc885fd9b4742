//! Decides when a service is probed next, and when waiting for it is over. Pure: no clock, no I/O; time is an argument,
//! counted from any fixed moment.
//!
//! The caller carries out the last [`Effect`], and returns with whatever happened first: the answer, an engine event, a
//! matching log line, or only time ([`Input::Tick`]).

use std::fmt;
use std::time::Duration;

use crate::diag::ErrorKind;
use crate::model::signal;
use crate::model::{Failure, Probe, Readiness, RestartPolicy, ServiceName};
use crate::run::probe::Answer;

/// So many ends of a container that the engine restarts are a crash loop.
const CRASH_LOOP: u32 = 3;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The service was asked, and this is its answer.
    Answer(Answer),
    /// Its container ended.
    Exited {
        /// Exit code.
        code: i64,
        /// The engine ran out of memory for it.
        oom: bool,
    },
    /// The engine's health check says healthy.
    Healthy,
    /// The engine's health check says unhealthy; with the output of its last run.
    Unhealthy(String),
    /// The log line that was waited for came.
    LogMatched,
    /// Nothing but time.
    Tick,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the service after this pause.
    Ask(Duration),
    /// There is nothing to ask: wait for events, for so long at most.
    Wait(Duration),
    /// It is ready.
    Ready,
    /// It is not, and will not be.
    Failed(Unready),
}

/// Why a service did not become ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// Its container exited; with the number of restarts.
    Exited {
        /// Exit code.
        code: i64,
        /// The engine ran out of memory for it.
        oom: bool,
        /// How often it ended.
        exits: u32,
    },
    /// It answered that waiting is in vain.
    Refused(String),
    /// The engine's health check gave it up; with the output of its last run.
    Unhealthy(String),
    /// Not in time.
    TimedOut {
        /// The time it had.
        after: Duration,
        /// What it answered last.
        last: Option<String>,
    },
}

/// Waits for one service.
#[derive(Debug, Clone)]
pub struct Gate {
    timeout: Duration,
    deadline: Duration,
    asks: bool,
    may_end: bool,
    restart: RestartPolicy,
    first_pause: Duration,
    longest_pause: Duration,
    /// Which part of the time without a new answer the next pause is.
    lateness: u32,
    answered_anew: Duration,
    due: Duration,
    exits: u32,
    last: Option<Answer>,
    outcome: Option<Result<(), Unready>>,
}

impl Gate {
    /// Starts to wait. The first [`Input::Tick`] says what to do first.
    pub fn new(readiness: &Readiness, restart: RestartPolicy, now: Duration) -> Self {
        // A command inside costs the engine far more than a question over the network.
        let (first, longest, lateness) = match readiness.probe {
            Probe::Exec { .. } => (50, 500, 8),
            _ => (5, 100, 50),
        };
        let longest_pause = readiness.interval.unwrap_or(Duration::from_millis(longest));
        let first_pause = Duration::from_millis(first).min(longest_pause);
        Self {
            timeout: readiness.timeout,
            deadline: now + readiness.timeout,
            asks: !matches!(readiness.probe, Probe::Log { .. } | Probe::Engine | Probe::Exit),
            may_end: readiness.probe == Probe::Exit,
            restart,
            first_pause,
            longest_pause,
            lateness,
            answered_anew: now,
            due: now,
            exits: 0,
            last: None,
            outcome: None,
        }
    }

    /// Exit code 0 is as good as an answer.
    #[must_use]
    pub fn that_may_end(mut self, may_end: bool) -> Self {
        self.may_end |= may_end;
        self
    }

    /// When it is given up: a [`Input::Tick`] is due then even while an answer is awaited.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Takes in what happened and says what to do now.
    pub fn on(&mut self, input: Input, now: Duration) -> Effect {
        if self.outcome.is_none() {
            self.outcome = self.decide(input, now);
        }
        match &self.outcome {
            Some(Ok(())) => Effect::Ready,
            Some(Err(why)) => Effect::Failed(why.clone()),
            None if self.asks => Effect::Ask(self.due.saturating_sub(now)),
            None => Effect::Wait(self.deadline - now),
        }
    }

    fn decide(&mut self, input: Input, now: Duration) -> Option<Result<(), Unready>> {
        match input {
            Input::Answer(Answer::Ready) | Input::Healthy | Input::LogMatched => return Some(Ok(())),
            Input::Unhealthy(output) => return Some(Err(Unready::Unhealthy(output))),
            Input::Exited { code: 0, .. } if self.may_end => return Some(Ok(())),
            Input::Exited { code, oom } => {
                self.exits += 1;
                if self.exits >= self.patience(code) {
                    return Some(Err(Unready::Exited { code, oom, exits: self.exits }));
                }
                // What the container before answered says nothing about the next one.
                self.last = Some(Answer::NotYet(format!("restarting after {}", exit_words(code, oom))));
            }
            Input::Answer(answer) => {
                if let Answer::Never(why) = &answer
                    && self.last.as_ref() == Some(&answer)
                {
                    return Some(Err(Unready::Refused(why.clone())));
                }
                self.pace(&answer, now);
                self.last = Some(answer);
            }
            Input::Tick => {}
        }
        (now >= self.deadline).then(|| Err(Unready::TimedOut { after: self.timeout, last: self.last_words() }))
    }

    /// When to ask again: after a small part of the time that the answer has been the same, so that readiness is seen at
    /// most that part late, whether it takes a second or a minute. A hopeless answer is heard twice, a full pause apart,
    /// before it is believed: what answers in the first moment may be about to change.
    fn pace(&mut self, answer: &Answer, now: Duration) {
        if self.last.as_ref() != Some(answer) {
            self.answered_anew = now;
        }
        let part = (now - self.answered_anew) / self.lateness;
        let hopeless = matches!(answer, Answer::Never(_));
        let pause = if hopeless { self.longest_pause } else { part.clamp(self.first_pause, self.longest_pause) };
        self.due = (now + pause).min(self.deadline);
    }

    /// After how many ends it is given up: at the first, unless the engine restarts it.
    fn patience(&self, code: i64) -> u32 {
        match self.restart {
            RestartPolicy::Always | RestartPolicy::UnlessStopped => CRASH_LOOP,
            RestartPolicy::OnFailure(0) if code != 0 => CRASH_LOOP,
            RestartPolicy::OnFailure(restarts) if code != 0 => CRASH_LOOP.min(restarts.saturating_add(1)),
            RestartPolicy::OnFailure(_) | RestartPolicy::No => 1,
        }
    }

    fn last_words(&self) -> Option<String> {
        match &self.last {
            Some(Answer::NotYet(why) | Answer::Never(why)) => Some(why.clone()),
            Some(Answer::Ready) | None => None,
        }
    }
}

impl Unready {
    /// As the failure report begins; the log, reason and remedy are added by others.
    pub fn failure(&self, service: ServiceName) -> Failure {
        let (exit_code, oom_killed) = match self {
            Self::Exited { code, oom, .. } => (Some(*code), *oom),
            _ => (None, false),
        };
        let last_probe = match self {
            Self::Refused(why) | Self::Unhealthy(why) => Some(why.clone()),
            Self::TimedOut { last, .. } => last.clone(),
            Self::Exited { .. } => None,
        };
        Failure {
            service: Some(service),
            kind: if exit_code.is_some() { ErrorKind::Crashed } else { ErrorKind::NotReady },
            message: self.to_string(),
            exit_code,
            oom_killed,
            last_probe,
            log: Vec::new(),
            reason: None,
            next: None,
        }
    }
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code, oom, exits: 1 } => f.write_str(&exit_words(*code, *oom)),
            Self::Exited { code, oom, exits } => {
                write!(f, "crash loop: ended {exits} times, the last time {}", exit_words(*code, *oom))
            }
            Self::Refused(why) => f.write_str(why),
            Self::Unhealthy(_) => f.write_str("its health check fails"),
            Self::TimedOut { after, .. } => write!(f, "not ready after {} s", after.as_secs_f64()),
        }
    }
}

/// `exited with code 137 (SIGKILL, out of memory)`.
fn exit_words(code: i64, oom: bool) -> String {
    let signal = signal::of_exit_code(code).unwrap_or_default();
    let memory = if oom { "out of memory" } else { "" };
    match (signal, memory) {
        ("", "") => format!("exited with code {code}"),
        (one, "") | ("", one) => format!("exited with code {code} ({one})"),
        (signal, memory) => format!("exited with code {code} ({signal}, {memory})"),
    }
}

#[cfg(test)]
mod tests;

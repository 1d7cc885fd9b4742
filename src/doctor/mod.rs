//! Checks a machine for problems, and reports how to fix them. Changes nothing.
//!
//! This file contains the frame and the order; `engine` checks the engine, `host` this machine, `stack` what
//! services.toml needs. Each collects facts, and pure functions judge them. All run at once, each for at most
//! [`LIMIT`].

mod engine;
mod host;
mod stack;

use std::future::Future;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use serde::Serialize;

use crate::diag::{Error, Result};
use crate::engine::{Engine, connect};
use crate::load::Loaded;

/// How long one check may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could, or not for everything.
    Warn,
    /// `up` will fail.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `engine`, `port 5432`.
    pub check: String,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// How to put it right.
    pub fix: Option<String>,
}

impl Check {
    fn ok(check: &str, found: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Ok, found: found.into(), fix: None }
    }

    fn warn(check: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    fn fail(check: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Fail, ..Self::warn(check, found, fix) }
    }
}

/// Looks at everything. `loaded`: the stack that is meant, or why there is none.
pub async fn examine(options: &connect::ConnectOptions, loaded: &Result<Loaded>) -> Vec<Check> {
    let stack = loaded.as_ref().ok().map(|loaded| &loaded.stack);
    let (engine, mut checks) = match connected(options).await {
        Ok(engine) => (Some(engine), Vec::new()),
        Err(check) => (None, vec![*check]),
    };
    let mut work: Vec<LocalBoxFuture<'_, Vec<Check>>> = Vec::new();
    if let Some(engine) = &engine {
        checks.push(engine::found(engine));
        work.push(bounded("engine's machine", engine::machine(engine, stack)));
        work.push(bounded("networks", engine::networks(engine)));
        work.push(bounded("others", engine::others(engine, stack)));
    }
    work.push(bounded("this machine", host::machine(options, loaded)));
    checks.push(stack::file(loaded));
    if let Some(stack) = stack {
        work.push(bounded("ports", stack::ports(engine.as_ref(), stack)));
        if let Some(engine) = &engine {
            work.push(bounded("images", stack::images(engine, stack)));
            work.push(bounded("data", stack::unfinished(engine, stack)));
        }
    }
    checks.extend(join_all(work).await.into_iter().flatten());
    checks
}

async fn connected(options: &connect::ConnectOptions) -> Result<Engine, Box<Check>> {
    match tokio::time::timeout(LIMIT, Engine::connect(options)).await {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(error)) => Err(Box::new(Check::fail("engine", error.to_string(), remedy(&error)))),
        Err(_) => Err(Box::new(Check::fail(
            "engine",
            format!("it exists, but gives no answer within {} s", LIMIT.as_secs()),
            "it may be starting or stuck: wait a moment, or restart it",
        ))),
    }
}

/// The remedies of an error as one text.
fn remedy(error: &Error) -> String {
    match error.hints.as_slice() {
        [] => "taskava dev check".into(),
        hints => hints.join("; "),
    }
}

fn bounded<'a>(
    about: &'static str,
    work: impl Future<Output = Result<Vec<Check>>> + 'a,
) -> LocalBoxFuture<'a, Vec<Check>> {
    Box::pin(async move {
        match tokio::time::timeout(LIMIT, work).await {
            Ok(Ok(checks)) => checks,
            Ok(Err(error)) => vec![Check::warn(about, error.to_string(), remedy(&error))],
            Err(_) => {
                let found = format!("no answer within {} s", LIMIT.as_secs());
                vec![Check::warn(about, found, "the engine is busy or stuck: try again, or restart it")]
            }
        }
    })
}

#[cfg(test)]
mod tests;

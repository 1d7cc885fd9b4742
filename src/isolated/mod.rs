//! Isolated stacks: derived from a developer's stack, started until ready, and removed at the end in any case.
//!
//! `resolve::isolate` defines such a stack, `janitor` watches it, `gc` removes those that had no janitor. This module
//! runs one, for `taskava dev test` and for [`crate::testing`].

pub mod janitor;
pub mod key;
pub mod prepared;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use self::janitor::Janitor;
use self::prepared::Prepared;
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::event::{Events, Summary};
use crate::model::isolated::{Isolation, PREFIX};
use crate::model::subnet::Subnet;
use crate::model::{ServiceName, Stack, StackName};
use crate::plan::observed::Container;
use crate::plan::{self, Request};
use crate::resolve::isolate::isolate;
use crate::run::process_identity;
use crate::run::shutdown::{Shutdown, ShutdownLevel};
use crate::run::{Run, apply};

/// How long a stack of whose owner nothing is known stays, in seconds.
const LIFETIME: i64 = 6 * 3600;

/// How long one stays that was left on purpose, in seconds.
const KEPT_LIFETIME: i64 = 24 * 3600;

/// Where small subnets are taken from, unless `TASKAVA_SUBNET_POOL` says otherwise.
const POOLS: &str = "10.213.0.0/16,172.29.0.0/16,192.168.213.0/24";

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct IsolatedOptions {
    /// Only these services and what they need; empty = all active ones.
    pub services: Vec<ServiceName>,
    /// Limit on all waiting for readiness together.
    pub timeout: Option<Duration>,
    /// Servers and jobs make their data in this run, and no images are made of it.
    pub from_scratch: bool,
}

/// An isolated stack, as far as it came to be.
#[derive(Debug)]
pub struct Isolated {
    /// The stack; its name is its own.
    pub stack: Stack,
    /// How bringing it up ended. None when that was cut off by the user.
    pub summary: Option<Summary>,
    /// Its containers.
    pub containers: Vec<Container>,
    janitor: Option<Janitor>,
}

/// Brings up an isolated copy of a stack. One that does not come up is left as it is, for its failure to be looked at:
/// [`Isolated::remove`] it.
///
/// `janitors`: what watches over a stack of this name, in the order in which it is tried.
///
/// # Errors
/// When the engine can't be asked, or something that the stack needs from outside is missing. Then there is nothing left.
pub async fn start(
    engine: &Engine,
    stack: Stack,
    options: &IsolatedOptions,
    janitors: impl FnOnce(&str) -> Vec<std::process::Command>,
    events: &Events,
    shutdown: &Shutdown,
) -> Result<Isolated> {
    let name = new_name();
    let stack = isolate(stack, name, Some(isolation()?));
    // Before the first object is created, a process must exist that removes it.
    let mut isolated = Isolated {
        janitor: Janitor::start(janitors(stack.name.as_str())),
        stack,
        summary: None,
        containers: Vec::new(),
    };
    let up = async {
        let summary = bring_up(engine, &mut isolated.stack, options, events).await?;
        let containers = engine.containers(isolated.stack.name.as_str()).await?;
        Ok((summary, containers))
    };
    let up: Option<Result<_>> = tokio::select! {
        up = up => Some(up),
        () = shutdown.reached(ShutdownLevel::Stop) => None,
    };
    match up {
        Some(Ok((summary, containers))) => (isolated.summary, isolated.containers) = (Some(summary), containers),
        Some(Err(error)) => {
            isolated.remove(engine).await?;
            return Err(error);
        }
        None => {}
    }
    Ok(isolated)
}

/// Brings it up; once more when an image that it was to begin with was removed before its container was made.
async fn bring_up(engine: &Engine, stack: &mut Stack, options: &IsolatedOptions, events: &Events) -> Result<Summary> {
    let whole = stack.clone();
    let ended = bring_up_once(engine, stack, options, events).await;
    let wants_image = match &ended {
        Ok(summary) => summary.failures.iter().any(|failure| failure.kind == ErrorKind::Image),
        Err(error) => error.kind == ErrorKind::Image,
    };
    if !wants_image || !has_lost_an_image(engine, &whole, stack).await? {
        return ended;
    }
    engine.remove_isolated(stack.name.as_str()).await?;
    *stack = whole;
    bring_up_once(engine, stack, options, events).await
}

/// Whether a prepared image was removed. One that services.toml names is another matter.
async fn has_lost_an_image(engine: &Engine, whole: &Stack, stack: &Stack) -> Result<bool> {
    for (name, service) in &stack.services {
        let prepared = whole.services.get(name).is_some_and(|before| before.image != service.image);
        if prepared && engine.image(&service.image).await?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn bring_up_once(
    engine: &Engine,
    stack: &mut Stack,
    options: &IsolatedOptions,
    events: &Events,
) -> Result<Summary> {
    if !options.from_scratch
        && let Some(failed) = prepare(engine, stack, options, events).await?
    {
        return Ok(failed);
    }
    let seen = engine.observe(stack).await?;
    let request = Request { services: options.services.clone(), ..Request::default() };
    let plan = plan::up(stack, &seen, &crate::run::with_contents(stack, &request).await?)?;
    // Who is cut off removes everything: nothing has to be stopped first.
    let shutdown = Shutdown::default();
    let run = Run { timeout: options.timeout, ..Run::new(engine, stack, &seen, events, &shutdown)? };
    Ok(apply(&run, Arc::new(plan)).await)
}

/// Servers begin with their data in place, which is created first where it is missing. How that failed, if it did.
async fn prepare(
    engine: &Engine,
    stack: &mut Stack,
    options: &IsolatedOptions,
    events: &Events,
) -> Result<Option<Summary>> {
    let shutdown = &Shutdown::default();
    let of = prepared::PrepareOptions {
        engine,
        stack,
        services: &options.services,
        timeout: options.timeout,
        events,
        shutdown,
    };
    match prepared::prepared(&of).await? {
        Prepared::Stack(prepared) => *stack = *prepared,
        Prepared::Failed(summary) => return Ok(Some(summary)),
    }
    Ok(None)
}

impl Isolated {
    /// Whether everything is ready.
    pub fn is_ready(&self) -> bool {
        self.summary.as_ref().is_some_and(|summary| summary.ok)
    }

    /// Whether a janitor removes it when this process dies.
    pub fn is_watched(&self) -> bool {
        self.janitor.is_some()
    }

    /// This process runs for it: it is ended when this one dies.
    pub fn ends_too(&self, pid: u32) {
        if let Some(janitor) = &self.janitor {
            janitor.ends_too(pid);
        }
    }

    /// Removes it with its data. Nothing is stopped gently: its data is not needed again.
    ///
    /// # Errors
    /// When the engine refuses. The janitor goes on trying then.
    pub async fn remove(mut self, engine: &Engine) -> Result<()> {
        let name = self.stack.name.as_str();
        engine.remove_isolated(name).await?;
        match self.janitor.take() {
            Some(janitor) if self.summary.is_some() => janitor.dismiss(),
            // It was cut off: what was asked for in the last moment may still be in the making. That is the janitor's.
            Some(janitor) => drop(janitor),
            None if self.summary.is_none() => janitor::clear(engine, name).await?,
            None => {}
        }
        Ok(())
    }

    /// Leaves it as it is, for a day.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn keep(mut self, engine: &Engine) -> Result<()> {
        engine.keep(&self.stack, jiff::Timestamp::now().as_second() + KEPT_LIFETIME).await?;
        if let Some(janitor) = self.janitor.take() {
            janitor.dismiss();
        }
        Ok(())
    }
}

/// Whose it is and where its networks go.
fn isolation() -> Result<Isolation> {
    let pools = std::env::var("TASKAVA_SUBNET_POOL").ok().filter(|text| !text.is_empty());
    let pools = pools.as_deref().unwrap_or(POOLS);
    let parse = |text: &str| {
        Subnet::parse(text).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format_args!("TASKAVA_SUBNET_POOL: `{text}` is not an IPv4 subnet"))
                .hint("for example: TASKAVA_SUBNET_POOL=10.213.0.0/16")
        })
    };
    Ok(Isolation {
        owner: process_identity::this_process(),
        expires: jiff::Timestamp::now().as_second() + LIFETIME,
        pools: pools.split(',').map(parse).collect::<Result<_>>()?,
    })
}

/// A name that no other stack has.
fn new_name() -> StackName {
    let number = RandomState::new().hash_one(std::process::id()) >> 32;
    StackName::parse(&format!("{PREFIX}{number:08x}")).expect("letters, digits and dashes")
}

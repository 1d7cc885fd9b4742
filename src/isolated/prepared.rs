//! Prepared stacks: the servers of a test run start with schema and seed in place.
//!
//! The first run with a key creates the data: it starts the servers and jobs in its own stack, stops them cleanly and
//! commits them to images. Later runs start from those. The images are the state; if anything they were created from
//! changes, so does the key, and they are recreated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::key::key;
use crate::diag::Result;
use crate::engine::{Engine, prepared_reference};
use crate::event::{Event, Events, Summary};
use crate::gc;
use crate::model::{ServiceName, Stack, fingerprint_of};
use crate::plan::observed::Container;
use crate::plan::{self, Request};
use crate::resolve::prepared::{self, Selection};
use crate::run::lock::Notes;
use crate::run::stop::Stop;
use crate::run::{Lock, Run, Shutdown, apply, process_identity};

/// How long it is waited for another run that makes the same.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is to be prepared, and for whom.
#[derive(Debug)]
pub struct PrepareOptions<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// A stack of one's own, of which nothing is there yet.
    pub stack: &'a Stack,
    /// Only these services and what they need; empty = all active ones.
    pub services: &'a [ServiceName],
    /// Limit on all waiting for readiness together.
    pub timeout: Option<Duration>,
    /// Where to tell what happens.
    pub events: &'a Events,
    /// Whether the user wants to leave.
    pub shutdown: &'a Shutdown,
}

/// What came of it.
#[derive(Debug)]
pub enum Prepared {
    /// What to bring up instead of the stack.
    Stack(Box<Stack>),
    /// Making the data failed. What was started is still there, for its failure to be looked at.
    Failed(Summary),
}

/// The stack with the data of its servers in place, of images that are made if they are not there yet.
///
/// # Errors
/// When the engine can't be asked, or in the cases of [`plan::up`].
pub async fn prepared(options: &PrepareOptions<'_>) -> Result<Prepared> {
    let chosen = prepared::select(options.stack, options.services);
    let as_it_is = || Ok(Prepared::Stack(Box::new(options.stack.clone())));
    if chosen.servers.is_empty() {
        return as_it_is();
    }
    if let Some(stack) = find(options.engine, options.stack, &chosen).await? {
        return Ok(Prepared::Stack(Box::new(stack)));
    }
    // One makes it, the others wait.
    let name = format!("prepare-{}", fingerprint_of(options.stack.root.as_os_str().as_encoded_bytes()));
    let _lock =
        Lock::take(&options.engine.about.address, &name, "test", PATIENCE, options.events, options.shutdown).await?;
    if let Some(stack) = find(options.engine, options.stack, &chosen).await? {
        return Ok(Prepared::Stack(Box::new(stack)));
    }
    let summary = make(options, &chosen).await?;
    if !summary.ok {
        return Ok(Prepared::Failed(summary));
    }
    match find(options.engine, options.stack, &chosen).await? {
        Some(stack) => Ok(Prepared::Stack(Box::new(stack))),
        None => as_it_is(),
    }
}

/// The stack that starts from images which are there already.
///
/// # Errors
/// When the engine does not answer.
pub async fn find(engine: &Engine, stack: &Stack, chosen: &Selection) -> Result<Option<Stack>> {
    let Some(key) = key(engine, stack, chosen).await? else { return Ok(None) };
    let images = chosen.servers.iter().map(async |name| {
        let reference = prepared_reference(&key, &stack.services[name]);
        let image = engine.image(&reference).await?;
        Ok::<_, crate::diag::Error>(image.map(|_| (name.clone(), reference)))
    });
    let images: Option<BTreeMap<ServiceName, String>> = try_join_all(images).await?.into_iter().collect();
    Ok(images.map(|images| prepared::fork(stack, chosen, &images)))
}

/// Brings servers and jobs up, makes images of the servers and removes all of it again.
async fn make(options: &PrepareOptions<'_>, chosen: &Selection) -> Result<Summary> {
    let engine = options.engine;
    let stack = prepared::fresh(options.stack, chosen);
    let seen = engine.observe(&stack).await?;
    let request = Request { services: chosen.all().cloned().collect(), ..Request::default() };
    let plan = plan::up(&stack, &seen, &request)?;
    let run = Run::new(engine, &stack, &seen, options.events, options.shutdown)?;
    let run = Run { timeout: options.timeout, ..run };
    let summary = apply(&run, Arc::new(plan)).await;
    if !summary.ok {
        return Ok(summary);
    }
    let made = engine.containers(stack.name.as_str()).await?;
    // Files that change while they were compared would give an image that is not what its key says.
    match key(engine, options.stack, chosen).await? {
        // A run that creates an image also removes those that are no longer used. One that can't be removed is removed
        // another time.
        Some(key) if save(options, &stack, chosen, &made, &key).await? => drop(gc::images::sweep(engine).await),
        _ => options.events.emit(&Event::Notice { message: "the data could not be prepared for the next run".into() }),
    }
    let removed = made.iter().map(|container| engine.remove(&container.id, &container.service));
    try_join_all(removed).await?;
    // Who starts from the images starts as if these containers had never been.
    engine.remove_nameless(&stack).await?;
    Ok(summary)
}

/// Stops the servers and makes images of them. False when one of them did not stop cleanly.
async fn save(
    options: &PrepareOptions<'_>,
    stack: &Stack,
    chosen: &Selection,
    made: &[Container],
    key: &str,
) -> Result<bool> {
    let (engine, notes) = (options.engine, Notes::default());
    let (events, shutdown) = (options.events, options.shutdown);
    let stop = Stop { engine, events, shutdown, notes: &notes, timeout: None, hooks: true };
    let servers: Vec<_> = made.iter().filter(|container| chosen.servers.contains(&container.service)).collect();
    let clean = servers.iter().map(async |container| {
        let service = &stack.services[&container.service];
        stop.stop(&container.id, &service.name, Some(service)).await?;
        let ended = engine.inspect(&container.id).await?;
        Ok::<_, crate::diag::Error>(ended.is_some_and(|ended| ended.exit_code == Some(0)))
    });
    if try_join_all(clean).await?.contains(&false) {
        return Ok(false);
    }
    let machine = process_identity::machine();
    let images = servers.iter().map(|seen| {
        let service = &stack.services[&seen.service];
        engine.commit(stack, service, &seen.id, key, &machine)
    });
    try_join_all(images).await?;
    Ok(true)
}

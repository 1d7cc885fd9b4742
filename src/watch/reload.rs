//! Handles changes of services.toml and the files that belong to it: loads them again and applies them to the stack.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::act::shown;
use super::context::WatchContext;
use super::filter::Filter;
use super::sync;
use crate::diag::{Error, ErrorKind, Result, Source};
use crate::event::{Event, millis};
use crate::model::{Failure, ServiceName, Stack, graph};
use crate::plan::{self, Cause, Observed, Op, Plan, Request};
use crate::remedy;
use crate::run::failure;

/// Applies the difference between the previous and the new stack, and reports it. `worked` is called when only
/// readiness is still waited for.
pub(super) async fn carry_out(
    world: &WatchContext,
    filter: &Filter,
    before: &Stack,
    path: PathBuf,
    worked: impl FnOnce(),
) {
    let began = Instant::now();
    let stack = world.stack();
    let (changes, failures) = match apply(world, filter, before, worked).await {
        Ok(done) => done,
        Err(error) => (Vec::new(), vec![failure::of_error(None, &error)]),
    };
    let (path, ms) = (shown(&stack.root, &path), millis(began.elapsed()));
    world.events.emit(&Event::WatchReloaded { path, changes, failures, ms });
}

async fn apply(
    world: &WatchContext,
    filter: &Filter,
    before: &Stack,
    worked: impl FnOnce(),
) -> Result<(Vec<String>, Vec<Failure>)> {
    let stack = world.stack();
    let mut ids: BTreeMap<ServiceName, String> = BTreeMap::new();
    let mut nothing = false;
    let options = |stack: &Stack, seen: &Observed| {
        for container in seen.containers.iter().rev() {
            ids.insert(container.service.clone(), container.id.clone());
        }
        tell_orphans(world, stack, seen);
        let services = concerned(stack, before, seen);
        nothing = services.is_empty();
        if nothing {
            // An empty list would mean all.
            return Err(Error::new(ErrorKind::Other, "the stack has no containers"));
        }
        Ok(Request { services, ..Request::default() })
    };
    let result = world.apply(options, worked).await;
    if nothing {
        return Ok((Vec::new(), Vec::new()));
    }
    let (plan, summary) = result?;
    for (name, before) in ids {
        if let Some(service) = stack.services.get(&name).filter(|_| made_anew(&plan, &name)) {
            sync::if_made_anew(world, filter, service, &before).await?;
        }
    }
    Ok((words(&plan), summary.failures))
}

/// Services that have a container, those that are new in the file, and what these need. One that the user left out of
/// `up`, or took down, stays so.
fn concerned(stack: &Stack, before: &Stack, seen: &Observed) -> Vec<ServiceName> {
    let wanted = stack.services.values().filter(|service| {
        let is_new = service.active && before.services.get(&service.name).is_none_or(|before| !before.active);
        is_new || seen.of(&service.name).next().is_some()
    });
    let names: Vec<&ServiceName> = wanted.map(|service| &service.name).collect();
    graph::with_dependencies(stack, names)
}

fn tell_orphans(world: &WatchContext, stack: &Stack, seen: &Observed) {
    let orphans: Vec<&str> = plan::orphans(stack, seen).iter().map(|container| container.service.as_str()).collect();
    if !orphans.is_empty() {
        world.events.emit(&Event::Warning {
            message: format!("no longer in services.toml, but still on the engine: {}", orphans.join(", ")),
            hint: Some("remove them with: taskava dev up --remove-orphans".into()),
        });
    }
}

fn made_anew(plan: &Plan, name: &ServiceName) -> bool {
    plan.changes().any(|step| matches!(&step.op, Op::Create { service } if service == name))
}

/// What is done to each service, in a few words: `api recreated (config changed: env.A)`.
fn words(plan: &Plan) -> Vec<String> {
    let word = |op: &Op, cause: &Cause| match op {
        Op::Create { service } if *cause == Cause::Missing => Some(format!("{service} created")),
        Op::Create { service } => Some(format!("{service} recreated ({cause})")),
        Op::Start { service } if *cause != Cause::Follows => Some(format!("{service} started")),
        _ => None,
    };
    plan.changes().filter_map(|step| word(&step.op, &step.cause)).collect()
}

/// The file that makes the stack another one than `stack`, which was made from `sources` and `files`.
pub(super) fn edited(
    options: &crate::load::LoadOptions,
    stack: &Stack,
    sources: &[(PathBuf, Arc<Source>)],
    files: &[PathBuf],
) -> Option<PathBuf> {
    let any = || files.first().cloned();
    let Ok(now) = crate::load::stack(options) else { return any() };
    if now.stack == *stack {
        return None;
    }
    let text = |path: &PathBuf, all: &[(PathBuf, Arc<Source>)]| {
        all.iter().find(|(other, _)| other == path).map(|(_, source)| source.text.clone())
    };
    let other = now.sources.iter().find(|(path, source)| text(path, sources).as_ref() != Some(&source.text));
    other.map(|(path, _)| path.clone()).or_else(any)
}

/// Loads the files again.
///
/// # Errors
/// What is wrong with them; and that the stack has another name now, which can't be followed.
pub(super) fn load(options: &crate::load::LoadOptions, before: &Stack) -> Result<crate::load::Loaded> {
    let loaded = crate::load::stack(options)?;
    if loaded.stack.name != before.name {
        let message = format!("the stack's name changed from {} to {}", before.name, loaded.stack.name);
        let hint = format!(
            "end this with Ctrl-C, then take the old one down: {}",
            remedy::dev(&["-p", before.name.as_str(), "down"])
        );
        return Err(Error::new(ErrorKind::Other, message).hint(hint));
    }
    Ok(loaded)
}

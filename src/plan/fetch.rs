//! Plans for images alone: what `pull` and `build` would do, and what `--frozen` allows.

use std::collections::HashMap;

use indexmap::IndexSet;

use super::up::selection;
use super::{Cause, Observed, Op, Plan, Request, StepId};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Build, PullPolicy, Service, ServiceName, Stack};

/// Why `pull` leaves a service out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Its image is built.
    Built,
    /// `pull = "never"`: as with docker compose, no registry is asked for its image.
    Never,
}

/// Plans to pull the images of services, each once; without names, of all active ones; all of them, or only those that are
/// missing. Also says whose image is not pulled, and why.
pub fn pull<'a>(
    stack: &'a Stack,
    seen: &Observed,
    request: &Request,
    only_missing: bool,
) -> (Plan, Vec<(&'a ServiceName, LeftOut)>) {
    let mut plan = Plan::default();
    let mut left_out = Vec::new();
    let mut done = Vec::new();
    for service in meant(stack, &request.services) {
        if stack.builder(&service.image).is_some() {
            left_out.push((&service.name, LeftOut::Built));
        } else if service.pull == PullPolicy::Never {
            left_out.push((&service.name, LeftOut::Never));
        } else if !done.contains(&&service.image) {
            done.push(&service.image);
            let is_there = seen.images.contains_key(&service.image);
            if !(is_there && only_missing) {
                let cause = if is_there { Cause::Requested } else { Cause::Missing };
                plan.push(pull_of(service, request), cause, Vec::new());
            }
        }
    }
    (plan, left_out)
}

/// Plans to build the images of services, each once; without names, of all active ones that have a `build`.
///
/// # Errors
/// When a service is named that has none.
pub fn build(stack: &Stack, seen: &Observed, names: &[ServiceName]) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut done = HashMap::new();
    for service in meant(stack, names) {
        if stack.builder(&service.image).is_none() {
            if names.is_empty() {
                continue;
            }
            let message = format!("{} is not built: its image is {}", service.name, service.image);
            return Err(
                Error::new(ErrorKind::Usage, message).hint(format!("pull it with: taskava dev pull {}", service.name))
            );
        }
        build_one(stack, seen, service, &mut plan, &mut done)?;
    }
    Ok(plan)
}

/// The step that builds a service's image, once, after those of the images that it is built on.
fn build_one<'a>(
    stack: &'a Stack,
    seen: &Observed,
    service: &'a Service,
    plan: &mut Plan,
    done: &mut HashMap<&'a str, StepId>,
) -> Result<Option<StepId>> {
    let Some(builder) = stack.builder(&service.image) else { return Ok(None) };
    if let Some(step) = done.get(service.image.as_str()) {
        return Ok(Some(*step));
    }
    super::unusable::refuse_unusable_of(stack, [builder])?;
    let mut after = Vec::new();
    for base in builder.build.iter().flat_map(Build::services) {
        after.extend(build_one(stack, seen, &stack.services[base], plan, done)?);
    }
    let cause = if seen.images.contains_key(&service.image) { Cause::Requested } else { Cause::Missing };
    let step = plan.push(Op::Build { service: service.name.clone(), image: service.image.clone() }, cause, after);
    done.insert(&service.image, step);
    Ok(Some(step))
}

/// The services whose images are built for a request.
pub fn wanted<'a>(stack: &'a Stack, request: &Request) -> Vec<&'a Service> {
    let mut builders: IndexSet<&ServiceName> = IndexSet::new();
    let mut queue: Vec<&Service> =
        selection(stack, request).iter().rev().filter_map(|service| stack.builder(&service.image)).collect();
    while let Some(builder) = queue.pop() {
        if builders.insert(&builder.name) {
            let bases = builder.build.iter().flat_map(Build::services).map(|base| &stack.services[base].image);
            queue.extend(bases.filter_map(|image| stack.builder(image)));
        }
    }
    builders.into_iter().map(|name| &stack.services[name]).collect()
}

/// The services that are meant: those named, else the active ones.
fn meant<'a>(stack: &'a Stack, names: &[ServiceName]) -> Vec<&'a Service> {
    if names.is_empty() {
        return stack.services.values().filter(|service| service.active).collect();
    }
    names.iter().map(|name| &stack.services[name]).collect()
}

/// The step that pulls the image of a service.
pub(super) fn pull_of(service: &Service, request: &Request) -> Op {
    let pinned = request.frozen.as_ref().and_then(|pins| pins.get(&service.image)).cloned();
    Op::Pull { service: service.name.clone(), image: service.image.clone(), pinned }
}

/// The step that fetches an image that is only mounted into a service.
pub(super) fn mounted(stack: &Stack, service: &Service, image: &str, request: &Request) -> Op {
    match stack.builder(image) {
        Some(builder) => Op::Build { service: builder.name.clone(), image: image.to_owned() },
        None => pull_of(&Service { image: image.to_owned(), ..service.clone() }, request),
    }
}

/// With `--frozen`, every image that is not built has to be the one of the lock file. One that is pulled in any case will be.
pub(super) fn refuse_unpinned(stack: &Stack, seen: &Observed, request: &Request, services: &[&Service]) -> Result<()> {
    let Some(pins) = &request.frozen else { return Ok(()) };
    for service in services.iter().filter(|service| stack.builder(&service.image).is_none()) {
        let (name, image) = (&service.name, &service.image);
        let Some(pinned) = pins.get(image) else {
            let message = format!("can't start {name} with --frozen: {image} is not in the lock file");
            return Err(Error::new(ErrorKind::Image, message).hint("update it with: taskava dev lock"));
        };
        if request.pull.unwrap_or(service.pull) == PullPolicy::Always {
            continue;
        }
        if let Some(seen) = seen.images.get(image).filter(|seen| !seen.digests.contains(pinned)) {
            let here = seen.digests.first().map_or("a local image", String::as_str);
            let message =
                format!("can't start {name} with --frozen: {image} is {here}, but the lock file requires {pinned}");
            return Err(Error::new(ErrorKind::Image, message)
                .hint("pull what the lock file requires: taskava dev up --frozen --pull always")
                .hint("or lock the local images: taskava dev lock"));
        }
    }
    Ok(())
}

/// With `--no-build`, an image that is built has to exist.
pub(super) fn refuse_unbuilt(stack: &Stack, seen: &Observed, request: &Request, services: &[&Service]) -> Result<()> {
    let is_missing =
        |service: &&&Service| stack.builder(&service.image).is_some() && !seen.images.contains_key(&service.image);
    let Some(service) = services.iter().filter(|_| request.no_build).find(is_missing) else { return Ok(()) };
    let (name, image) = (&service.name, &service.image);
    let message = format!("can't start {name} with --no-build: its image {image} has not been built");
    Err(Error::new(ErrorKind::Image, message).hint(format!("build it with: taskava dev build {name}")))
}

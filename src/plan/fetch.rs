//! Plans for images alone: what `pull` and `build` would do, and what `--frozen` allows.

use super::{Cause, Observed, Op, Plan, Request};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{PullPolicy, Service, ServiceName, Stack};

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
    let mut done = Vec::new();
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
        super::unusable::refuse_unusable_of(stack, stack.builder(&service.image))?;
        if !done.contains(&&service.image) {
            done.push(&service.image);
            let cause = if seen.images.contains_key(&service.image) { Cause::Requested } else { Cause::Missing };
            let (service, image) = (service.name.clone(), service.image.clone());
            plan.push(Op::Build { service, image }, cause, Vec::new());
        }
    }
    Ok(plan)
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

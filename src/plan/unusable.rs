//! Requests for services that can't be fulfilled: files are missing, two want the same port, a container was never created.

use super::up::selection;
use super::{Observed, Request};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Service, ServiceName, Stack};
use crate::remedy;

/// Refuses services whose files are not there, once they are asked for.
///
/// # Errors
/// What is wrong with them.
pub fn refuse_unusable(stack: &Stack, request: &Request) -> Result<()> {
    // What was made is started as it is.
    if request.start_only {
        return Ok(());
    }
    refuse_unusable_of(stack, selection(stack, request))
}

pub(super) fn refuse_unusable_of<'a>(stack: &Stack, services: impl IntoIterator<Item = &'a Service>) -> Result<()> {
    let asked: Vec<&ServiceName> = services.into_iter().map(|service| &service.name).collect();
    match stack.problems_of(|name| asked.contains(&name)).cloned().collect::<Vec<_>>() {
        problems if problems.is_empty() => Ok(()),
        problems => Err(Error::configuration(problems)),
    }
}

/// `start` is for what was stopped; names all that was never made, and what makes it.
pub(super) fn nothing_to_start(stack: &Stack, seen: &Observed, request: &Request) -> Error {
    let missing = selection(stack, request).into_iter().map(|service| &service.name);
    let missing: Vec<&str> = missing.filter(|name| seen.of(name).next().is_none()).map(ServiceName::as_str).collect();
    let has = if missing.len() == 1 { "has no container" } else { "have no containers" };
    let message = format!("{} {has} to start", missing.join(", "));
    let named: &[&str] = if request.services.is_empty() { &[] } else { &missing };
    let command = remedy::dev(&[&["up"], named].concat());
    Error::new(ErrorKind::Other, message).hint(format!("start it for the first time: {command}"))
}

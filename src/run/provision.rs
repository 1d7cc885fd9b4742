//! Provisions the AWS resources of one emulator, once it answers. What they are and how they are created is up to
//! `aws`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::future::join_all;
use indexmap::IndexMap;

use super::{Run, address, objects};
use crate::aws::{Change, Client, Emulator, Outcome, ReconcileOptions, compare, look, reconcile};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::About;
use crate::event::Event;
use crate::model::aws::{Emulators, Resource, ResourceId, ResourceKind};
use crate::model::{Service, ServiceName, Stack, aws};
use crate::plan::Step;
use crate::plan::observed::Container;

/// Makes an emulator have what is declared, tells each change and what is declared no more; returns how many changes there
/// were.
pub(crate) async fn provision(
    run: &Run<'_>,
    step: &Step,
    service: &Service,
    id: &str,
    options: ReconcileOptions,
) -> Result<usize> {
    let (events, number) = (run.events.clone(), step.id);
    let client = client(run, service, id, options.fresh).await?.on_retry(move |refused| {
        let text = format!("{refused}; sent again");
        events.emit(&Event::StepProgress { step: number, layer: None, text, current: None, total: None });
    });
    let emulator = Emulator::new(client, run.stack.name.as_str());
    let declared: Vec<_> = run.stack.declared_in(&service.name).collect();
    let tell = |change: &Change| {
        run.events.emit(&Event::ResourceChanged {
            step: step.id,
            service: service.name.clone(),
            resource: change.id.to_string(),
            text: change.to_string(),
        });
    };
    let Outcome { done, failed, undeclared } = reconcile(&emulator, &declared, options, &tell).await;
    if !undeclared.is_empty() {
        let names: Vec<String> = undeclared.iter().map(ToString::to_string).collect();
        run.events.emit(&Event::Warning {
            message: format!("created for this stack, but no longer declared in [aws]: {}", names.join(", ")),
            hint: Some("remove them with: taskava dev up --prune".into()),
        });
    }
    let Some(first) = failed.first() else {
        // A bucket that was missing: the emulator may have been restarted by another program, and has lost the rest
        // too.
        if options.fresh || done.iter().any(Change::is_new_bucket) {
            objects::put_back(run, step, service, id, options.fresh).await?;
        }
        return Ok(done.len());
    };
    let mut message = format!("{} could not be created in {}: {}", first.what, service.name, first.refused);
    // Each for a reason of its own.
    for other in &failed[1..] {
        message.push_str(&format!("; {} could not: {}", other.what, other.refused));
    }
    let error = Error::new(ErrorKind::Other, message);
    Err(match first.refused.is_unknown() {
        true if first.refused.message.contains("is not enabled") => {
            let api = first.refused.message.split('\'').nth(1).unwrap_or("it").to_owned();
            error.hint(format!("add {api} to `env.SERVICES` of services.{}", service.name))
        }
        true => {
            error.hint("add a service with `kind = \"ministack\"`, which has what LocalStack's community edition lacks")
        }
        false if first.refused.code == "BucketNotEmpty" => {
            let name = first.what.trim_start_matches("bucket ");
            error.hint(format!("empty it first: taskava dev aws -- s3 rm --recursive s3://{name}"))
        }
        false => error.hint(format!("taskava dev logs {}", service.name)),
    })
}

/// What declared resources are called in the emulators that run, for what has no name of its own choice: URLs, ids, ARNs.
/// What does not answer, or does not exist yet, is left out.
pub async fn ids(about: &About, stack: &Stack, containers: &[Container]) -> IndexMap<ResourceId, String> {
    let emulators = running(about, stack, containers);
    let asked = emulators.iter().map(async |(emulator, service, address)| {
        let wanted = |resource: &&Resource| resource.id.kind.variable().is_some();
        let declared: Vec<_> = stack.declared_in(&service.name).filter(wanted).collect();
        let Ok(seen) = look(emulator, &declared).await else { return Vec::new() };
        let existing = declared.iter().filter(|resource| seen.existing.contains_key(&resource.id));
        let named = existing.map(|resource| {
            let known = match resource.id.kind {
                // The emulator knows no more than its own idea of its address.
                ResourceKind::Queue => format!("http://{address}/{}/{}", aws::ACCOUNT, resource.id.name),
                _ => emulator.known(&resource.id),
            };
            (resource.id.clone(), known)
        });
        named.filter(|(_, known)| !known.is_empty()).collect()
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What differs in the emulators that run from what is declared.
pub async fn differences(about: &About, stack: &Stack, containers: &[Container]) -> Vec<(ServiceName, Change)> {
    let emulators = running(about, stack, containers);
    let asked = emulators.iter().map(async |(emulator, service, _)| {
        let declared: Vec<_> = stack.declared_in(&service.name).collect();
        let changes = compare(emulator, &declared).await.unwrap_or_default();
        changes.into_iter().map(|change| (service.name.clone(), change)).collect::<Vec<_>>()
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The emulators of a stack that run and can be reached.
pub(crate) fn running<'a>(
    about: &'a About,
    stack: &'a Stack,
    containers: &'a [Container],
) -> Vec<(Emulator, &'a Service, SocketAddr)> {
    let Some(emulators) = Emulators::of(stack) else { return Vec::new() };
    let found = emulators.all().filter_map(|service| {
        let seen = containers.iter().find(|seen| seen.service == service.name && seen.is_up())?;
        let address = *address::of(about, service, seen).get(&aws::port(service)?)?;
        let client = Client::new(address, stack.region()).ok()?;
        Some((Emulator::new(client, stack.name.as_str()), service, address))
    });
    found.collect()
}

/// A client of the emulator over the address that a client on the host uses.
pub(crate) async fn client(run: &Run<'_>, service: &Service, id: &str, fresh: bool) -> Result<Client> {
    let port = aws::port(service)
        .ok_or_else(|| Error::new(ErrorKind::Usage, format_args!("{} does not emulate AWS", service.name)))?;
    // After a restart, it may have other ports.
    let before = run.seen.of(&service.name).next().filter(|seen| !fresh && seen.id == id && seen.is_up());
    let addresses = match before {
        Some(seen) => address::of(&run.engine.about, service, seen),
        None => match run.engine.inspect(id).await? {
            Some(seen) => {
                let own = seen.addresses.first().copied();
                address::addresses(&run.engine.about, service, &seen.ports, own)
            }
            None => BTreeMap::new(),
        },
    };
    let address = addresses.get(&port).ok_or_else(|| address::unreachable(service, port))?;
    Client::new(*address, run.stack.region())
}

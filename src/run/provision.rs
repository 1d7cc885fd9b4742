//! The AWS resources of one emulator, once that answers. What they are and how they are made is `aws`'s.

use super::{Run, address};
use crate::aws::{Ask, Change, Client, Emulator, Outcome, reconcile};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::model::{Service, aws};
use crate::plan::Step;
use crate::plan::observed::PublishedPort;

/// Makes an emulator have what is declared, tells each change and what is declared no more; returns how many changes there
/// were.
pub(super) async fn provision(run: &Run<'_>, step: &Step, service: &Service, id: &str, ask: Ask) -> Result<usize> {
    let emulator = Emulator::new(client(run, service, id).await?, run.stack.name.as_str());
    let declared: Vec<_> = run.stack.declared_in(&service.name).collect();
    let tell = |change: &Change| {
        run.events.emit(&Event::ResourceChanged {
            step: step.id,
            service: service.name.clone(),
            resource: change.id.to_string(),
            text: change.to_string(),
        });
    };
    let Outcome { done, failed, undeclared } = reconcile(&emulator, &declared, ask, &tell).await;
    if !undeclared.is_empty() {
        let names: Vec<String> = undeclared.iter().map(ToString::to_string).collect();
        run.events.emit(&Event::Warning {
            message: format!("made for this stack, but not declared in [aws] any more: {}", names.join(", ")),
            hint: Some("remove them with: taskava dev up --prune".into()),
        });
    }
    let Some(first) = failed.first() else { return Ok(done.len()) };
    let mut message = format!("{} could not be made in {}: {}", first.what, service.name, first.refused);
    if failed.len() > 1 {
        let others: Vec<&str> = failed[1..].iter().map(|failed| failed.what.as_str()).collect();
        message.push_str(&format!("; nor could {}", others.join(", ")));
    }
    let error = Error::new(ErrorKind::Other, message);
    Err(match first.refused.is_unknown() {
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

/// A client of the emulator over the address that a client on the host uses.
async fn client(run: &Run<'_>, service: &Service, id: &str) -> Result<Client> {
    let port = aws::port(service)
        .ok_or_else(|| Error::new(ErrorKind::Usage, format_args!("{} does not emulate AWS", service.name)))?;
    let before = run.seen.of(&service.name).next().filter(|seen| seen.id == id && seen.is_up());
    let (ports, own): (Vec<PublishedPort>, _) = match before {
        Some(seen) => (seen.ports.clone(), seen.networks.values().flatten().next().copied()),
        None => match run.engine.inspect(id).await? {
            Some(seen) => (seen.ports, seen.addresses.first().copied()),
            None => (Vec::new(), None),
        },
    };
    let addresses = address::addresses(&run.engine.about, service, &ports, own);
    let address = addresses.get(&port).ok_or_else(|| {
        Error::new(ErrorKind::Other, format_args!("port {port} of {} can't be reached from here", service.name))
            .hint(format!("publish it: ports = [\"{port}\"] in [services.{}]", service.name))
    })?;
    Client::new(*address, run.stack.region())
}

//! Containers that the stack has too many: of services that have fewer of them now, and of those that are in services.toml
//! no more.

use super::Builder;
use crate::model::{Service, Stack};
use crate::plan::observed::Container;
use crate::plan::{Cause, Observed};

impl Builder<'_> {
    /// Removes the containers that services have no longer.
    pub(super) fn scale_down(&mut self) {
        let request = self.request;
        if request.start_only {
            return;
        }
        for (container, service) in surplus(self.stack, self.seen) {
            if request.services.is_empty() || request.services.contains(&service.name) {
                let cause = Cause::ScaledDown { service: service.name.clone(), replicas: service.replicas };
                let step = self.remove(container, cause, &[]);
                self.names.freed.extend(container.ports.iter().map(|port| (port.host, step)));
            }
        }
    }
}

/// Containers of services that have fewer of them now, with the service.
fn surplus<'a>(stack: &'a Stack, seen: &'a Observed) -> impl Iterator<Item = (&'a Container, &'a Service)> {
    seen.containers.iter().filter_map(|container| {
        let service = match stack.services.get(&container.service) {
            Some(service) => Some(service).filter(|service| service.replicas == 0),
            None => stack.services.get(container.replica_of.as_ref()?),
        };
        Some((container, service?))
    })
}

/// Containers of the stack whose service is in services.toml no more.
pub fn orphans<'a>(stack: &Stack, seen: &'a Observed) -> Vec<&'a Container> {
    let is_orphan = |container: &&Container| {
        let mut of = std::iter::once(&container.service).chain(&container.replica_of);
        !of.any(|name| stack.services.contains_key(name))
    };
    let mut orphans: Vec<_> = seen.containers.iter().filter(is_orphan).collect();
    orphans.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    orphans
}

//! Decides what happens to the container of a service, and why.

use super::Builder;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Build, Kind, PullPolicy, Service, ServiceName, built, fingerprint, graph};
use crate::plan::observed::{Container, ContainerState};
use crate::plan::{Cause, Op, Trouble, fetch, nameless, networks, unusable};

/// What happens to the container of a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    /// There is none: make it.
    Create(Cause),
    /// It is removed, and a new one is created.
    Replace(Cause),
    /// It stays and is stopped and started.
    Restart(Cause),
    /// It stays and is started.
    Start(Cause),
    /// It runs; only its readiness is looked at.
    Keep,
    /// A job that has done its work.
    Done,
}

impl<'a> Builder<'a> {
    pub(super) fn decide(&self, service: &Service) -> Result<Decision> {
        let Some(container) = self.seen.of(&service.name).next() else {
            if self.request.start_only {
                return Err(unusable::nothing_to_start(self.stack, self.seen, self.request));
            }
            return Ok(Decision::Create(Cause::Missing));
        };
        if self.request.start_only {
            if let Some(cause @ Cause::Network { trouble: Trouble::Removed | Trouble::Replaced, .. }) =
                networks::trouble(self.stack, self.seen, service, container).filter(|_| !container.is_up())
            {
                let message = format!("{} can't be started as it is: {cause}", service.name);
                return Err(Error::new(ErrorKind::Other, message)
                    .hint(format!("create it again with: taskava dev up {}", service.name)));
            }
            let requested = self.request.restart && self.named(service) && service.kind != Kind::Job;
            return Ok(match container.state {
                ContainerState::Running | ContainerState::Restarting if requested => {
                    Decision::Restart(Cause::Requested)
                }
                ContainerState::Running | ContainerState::Restarting => Decision::Keep,
                state @ ContainerState::Stopping => {
                    Decision::Restart(Cause::NotRunning { state: state.as_str().into() })
                }
                _ if service.kind == Kind::Job && container.exit_code == Some(0) => Decision::Done,
                state => Decision::Start(Cause::NotRunning { state: state.as_str().into() }),
            });
        }
        if let Some(cause) = self.replaced(service, container) {
            return Ok(Decision::Replace(cause));
        }
        let requested = self.request.restart && self.named(service);
        if let Some(decision) = self.moved(service, container) {
            return Ok(decision);
        }
        Ok(match container.state {
            ContainerState::Running | ContainerState::Restarting if requested => Decision::Restart(Cause::Requested),
            ContainerState::Running | ContainerState::Restarting => Decision::Keep,
            // What an earlier run began is finished first; a job that was stopped in the middle begins again.
            state @ ContainerState::Stopping if service.kind != Kind::Job => {
                Decision::Restart(Cause::NotRunning { state: state.as_str().into() })
            }
            // One that was only created has nothing behind it yet.
            state if service.kind == Kind::Job && state != ContainerState::Created => {
                self.decide_ended_job(service, container, requested)
            }
            state => Decision::Start(Cause::NotRunning { state: state.as_str().into() }),
        })
    }

    /// Decides on running services that nothing asks for, and that are restarted with one that is.
    pub(super) fn followers(&mut self) -> Vec<&'a Service> {
        let mut found = Vec::new();
        for name in graph::order(self.stack) {
            let service = &self.stack.services[name];
            let container = self.seen.of(name).next().filter(|_| !self.decisions.contains_key(name));
            if let Some(decision @ Decision::Restart(_)) = container.and_then(|seen| self.moved(service, seen)) {
                self.decisions.insert(name.clone(), decision);
                found.push(service);
            }
        }
        found
    }

    /// What follows for a service from what is done with those whose namespaces it uses, or with which it is restarted.
    fn moved(&self, service: &Service, container: &Container) -> Option<Decision> {
        let cause = |dependency: &ServiceName| Cause::DependencyRecreated { dependency: dependency.clone() };
        let decided = |name: &str| self.decisions.get_key_value(name);
        for (name, decision) in service.options.hosts().filter_map(decided) {
            match decision {
                // The namespace is gone with the container.
                Decision::Create(_) | Decision::Replace(_) => {
                    return Some(Decision::Replace(cause(name)));
                }
                // It is another one since an earlier run, which was cut off.
                _ if self.has_network_of_another(service, container, name) => {
                    return Some(Decision::Replace(cause(name)));
                }
                Decision::Restart(_) | Decision::Start(_) if container.is_up() => {
                    return Some(Decision::Restart(cause(name)));
                }
                _ => {}
            }
        }
        if !container.is_up() {
            return None;
        }
        let together = service.depends_on.iter().filter(|(_, on)| on.restart);
        let together = together.filter_map(|(name, _)| decided(name.as_str()));
        let mut restarted =
            together.filter(|(_, decision)| matches!(decision, Decision::Replace(_) | Decision::Restart(_)));
        restarted.next().map(|(name, _)| Decision::Restart(cause(name)))
    }

    /// Whether the network that a container uses is not that of the container which the service has now.
    fn has_network_of_another(&self, service: &Service, container: &Container, host: &ServiceName) -> bool {
        let is_meant = service.options.network_mode.as_deref() == Some(format!("service:{host}").as_str());
        let current = self.seen.of(host).next();
        let used = container.network_of.as_ref().zip(current).filter(|_| is_meant);
        used.is_some_and(|(used, current)| *used != current.id && *used != current.name)
    }

    /// Why a container can't stay as it is.
    pub(super) fn replaced(&self, service: &Service, container: &Container) -> Option<Cause> {
        if self.request.recreate && self.named(service) {
            return Some(Cause::Requested);
        }
        if matches!(container.state, ContainerState::Dead | ContainerState::Removing) {
            return Some(Cause::NotRunning { state: container.state.as_str().into() });
        }
        if self.request.no_recreate {
            return None;
        }
        if self.request.renew && self.named(service) && nameless::of(self.seen, service).next().is_some() {
            return Some(Cause::VolumesRenewed);
        }
        let own = self.stack.container_name(&service.name);
        if container.name != own
            && self.stack.services.keys().any(|name| container.name == self.stack.container_name(name))
        {
            return Some(Cause::Misnamed { name: container.name.clone() });
        }
        let fields = fingerprint::changed(&container.config, &fingerprint::fingerprint(self.stack, service));
        if !fields.is_empty() {
            return Some(Cause::ConfigChanged { fields });
        }
        // A finished job no longer needs a network.
        let is_done = service.kind == Kind::Job && container.exit_code == Some(0) && !container.is_up();
        if let Some(cause) = networks::trouble(self.stack, self.seen, service, container).filter(|_| !is_done) {
            return Some(cause);
        }
        let fetched = self.fetches(service).map(|(_, cause)| cause);
        // An image that is built from something else says so, and is another one for that alone.
        if let Some(cause @ Cause::BuildChanged(_)) = fetched {
            return Some(cause);
        }
        if self.seen.images.get(&service.image).is_some_and(|image| image.id != container.image_id) {
            return Some(Cause::ImageChanged);
        }
        fetched.map(|_| Cause::IfImageChanged)
    }

    /// A job that exited with 0 is done, unless one of its dependencies was recreated since.
    fn decide_ended_job(&self, service: &Service, container: &Container, requested: bool) -> Decision {
        let recreated = service.depends_on.keys().find(|dependency| {
            matches!(self.decisions.get(*dependency), Some(Decision::Create(_) | Decision::Replace(_)))
        });
        match recreated {
            _ if requested => Decision::Replace(Cause::Requested),
            Some(dependency) if !self.request.no_recreate => {
                Decision::Replace(Cause::DependencyRecreated { dependency: dependency.clone() })
            }
            _ if container.exit_code == Some(0) && container.state == ContainerState::Exited => Decision::Done,
            _ if self.request.no_recreate => Decision::Start(Cause::NotRunning { state: ended(container) }),
            _ => Decision::Replace(Cause::NotRunning { state: ended(container) }),
        }
    }

    /// How the image of a service is fetched in this run, if it is.
    pub(super) fn fetches(&self, service: &Service) -> Option<(Op, Cause)> {
        let (image, seen) = (service.image.clone(), self.seen.images.get(&service.image));
        let name = service.name.clone();
        if let Some(builder) = self.stack.builder(&image) {
            let content = self.request.contents.get(&builder.name);
            let cause = match seen {
                None => Cause::Missing,
                Some(_) if self.request.no_build => return None,
                Some(seen) => match built::change(builder, content, seen.build.as_ref()) {
                    Some(change) if !self.request.start_only => Cause::BuildChanged(change),
                    _ if self.request.build => Cause::Requested,
                    _ if self.has_new_base(builder) => Cause::BuildChanged(built::Change {
                        parts: vec!["additional_contexts".into()],
                        files: Vec::new(),
                        more: 0,
                    }),
                    _ => return None,
                },
            };
            return Some((Op::Build { service: name, image }, cause));
        }
        let cause = if seen.is_none() { Cause::Missing } else { Cause::Requested };
        let is_due = match self.request.pull.unwrap_or(service.pull) {
            PullPolicy::Always => !self.request.start_only,
            PullPolicy::Missing => seen.is_none(),
            PullPolicy::Never => false,
        };
        is_due.then(|| (fetch::pull_of(service, self.request), cause))
    }

    /// Whether an image that another is built on is built in this plan.
    fn has_new_base(&self, builder: &Service) -> bool {
        let bases = builder.build.iter().flat_map(Build::services).map(|base| &self.stack.services[base]);
        let mut fetched = bases.filter_map(|base| self.fetches(base));
        fetched.any(|(op, _)| matches!(op, Op::Build { .. }))
    }
}

fn ended(container: &Container) -> String {
    match container.exit_code {
        Some(code) if container.state == ContainerState::Exited => format!("exited with code {code}"),
        _ => container.state.as_str().into(),
    }
}

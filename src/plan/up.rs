//! Plans `up`, `restart` and `start`, in three passes over the services: decide what each needs, stop and remove what
//! must be replaced (dependants first), create and start what is missing (dependencies first).

mod decision;
mod surplus;

use std::collections::HashMap;

use indexmap::{IndexMap, IndexSet};

use self::decision::Decision;
pub use self::surplus::orphans;
use super::observed::Container;
use super::unusable::{refuse_unusable, refuse_unusable_of};
use super::{
    Cause, Intent, Observed, Op, Plan, Request, StepId, Trouble, conflicts, fetch, gate, intent, nameless, networks,
};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Kind, MountSource, Service, ServiceName, Stack, graph};

/// Plans to bring services up.
///
/// # Errors
/// When something that is not this stack's is in the way, when an external network or volume is missing, when `start` is
/// asked for a service that has no container, or when an image is not the one that `--frozen` allows.
pub fn up(stack: &Stack, seen: &Observed, request: &Request) -> Result<Plan> {
    let mut services = selection(stack, request);
    refuse_unusable(stack, request)?;
    let is_renewed = |intent: &&Intent| {
        let mut named = services.iter().filter(|service| request.renew && is_named(request, service));
        named.any(|service| nameless::is_finished(stack, intent, service))
    };
    intent::refuse_but(stack, seen, services.iter().copied(), is_renewed)?;
    fetch::refuse_unpinned(stack, seen, request, &services)?;
    fetch::refuse_unbuilt(stack, seen, request, &services)?;
    let mut builder = Builder::new(stack, seen, request, Plan::default(), Names::default());
    for service in &services {
        let decision = builder.decide(service)?;
        builder.decisions.insert(service.name.clone(), decision);
    }
    services.extend(builder.followers());
    if !request.start_only && !request.no_recreate {
        builder.edited = networks::edited(stack, seen, &services).into_iter().cloned().collect();
    }
    for short in &builder.edited {
        networks::refuse_shared(stack, seen, request, short, |container| builder.is_removed(container))?;
    }
    let made = services
        .iter()
        .filter(|service| matches!(builder.decisions[&service.name], Decision::Create(_) | Decision::Replace(_)));
    for service in made {
        conflicts::check(stack, seen, request, service)?;
    }
    for leftover in intent::leftovers(seen) {
        builder.plan.push(leftover, Cause::CutOff, Vec::new());
    }
    builder.take_down();
    builder.renew(&services);
    for service in services {
        builder.bring_up(service)?;
    }
    Ok(builder.plan)
}

/// Plans what a one-off container of a service needs: the services of the request, and the service's image, networks and
/// volumes; not its own container.
///
/// # Errors
/// As [`up`].
pub fn needed(stack: &Stack, seen: &Observed, request: &Request, service: &Service) -> Result<Plan> {
    refuse_unusable_of(stack, [service])?;
    // A request for no services would be one for all.
    let plan = match request.services.is_empty() {
        true => Plan::default(),
        // A build or a pull that is asked for is the service's own.
        false => up(stack, seen, &Request { build: false, pull: None, ..request.clone() })?,
    };
    conflicts::check(stack, seen, request, service)?;
    let recreated =
        |name: &str| plan.steps.iter().any(|step| matches!(&step.op, Op::RemoveNetwork { network } if network == name));
    for short in networks::edited(stack, seen, &[service]) {
        if !recreated(&stack.networks[short].name) {
            let message = format!("network {} was edited in [networks.{short}]", stack.networks[short].name);
            return Err(Error::new(ErrorKind::Other, message).hint("create it again with: taskava dev up"));
        }
    }
    intent::refuse(stack, seen, [service])?;
    let mut names = Names::default();
    for step in &plan.steps {
        match &step.op {
            Op::Pull { image, .. } | Op::Build { image, .. } => names.images.insert(image.clone(), step.id),
            Op::CreateNetwork { network } => {
                names.networks.insert(short(&stack.networks, network, |n| &n.name), step.id)
            }
            Op::CreateVolume { volume, .. } => {
                names.volumes.insert(short(&stack.volumes, volume, |v| &v.name), step.id)
            }
            _ => None,
        };
    }
    let mut builder = Builder::new(stack, seen, request, plan, names);
    builder.surroundings(service);
    Ok(builder.plan)
}

/// The short name of what has this name on the engine.
fn short<T>(all: &IndexMap<String, T>, name: &str, name_of: impl Fn(&T) -> &String) -> String {
    all.iter().find(|(_, one)| name_of(one) == name).map(|(short, _)| short.clone()).unwrap_or_default()
}

/// The services a request is about, dependencies first.
pub(super) fn selection<'a>(stack: &'a Stack, request: &Request) -> Vec<&'a Service> {
    let active = stack.services.values().filter(|service| service.active).map(|service| &service.name);
    let names: IndexSet<&ServiceName> = if request.services.is_empty() {
        graph::closure(stack, active).into_iter().collect()
    } else if request.no_deps {
        request.services.iter().collect()
    } else {
        graph::closure(stack, &request.services).into_iter().collect()
    };
    let services =
        graph::order(stack).into_iter().filter(|name| names.contains(name)).map(|name| &stack.services[name]);
    services.filter(|service| service.replicas > 0).collect()
}

/// Numbers of the steps later ones wait for.
#[derive(Default)]
struct Names {
    images: HashMap<String, StepId>,
    networks: HashMap<String, StepId>,
    volumes: HashMap<String, StepId>,
    /// What has to be gone before a service's container can be made or started: others of the service, or of its name.
    gone: HashMap<ServiceName, Vec<StepId>>,
    /// The steps that remove edited networks, by short name.
    removed: HashMap<String, StepId>,
    /// Host ports of containers that are removed, and what has to be done before they are free.
    freed: HashMap<u16, StepId>,
    created: HashMap<ServiceName, StepId>,
    started: HashMap<ServiceName, StepId>,
    ready: HashMap<ServiceName, StepId>,
}

struct Builder<'a> {
    stack: &'a Stack,
    seen: &'a Observed,
    request: &'a Request,
    plan: Plan,
    decisions: IndexMap<ServiceName, Decision>,
    /// Short names of networks that are created again.
    edited: Vec<String>,
    names: Names,
}

impl<'a> Builder<'a> {
    fn new(stack: &'a Stack, seen: &'a Observed, request: &'a Request, plan: Plan, names: Names) -> Self {
        Self { stack, seen, request, plan, decisions: IndexMap::new(), edited: Vec::new(), names }
    }

    /// Whether the containers of a service are removed.
    fn goes(&self, name: &ServiceName) -> bool {
        matches!(self.decisions.get(name), Some(Decision::Create(_) | Decision::Replace(_)))
    }

    /// Whether a container is removed: its service's is recreated, or it is a second one of a service.
    fn is_removed(&self, container: &Container) -> bool {
        let is_second = || self.seen.of(&container.service).next().is_some_and(|first| first.id != container.id);
        self.decisions.contains_key(&container.service) && (self.goes(&container.service) || is_second())
    }

    /// Whether the user means this service itself, not only as a dependency of another.
    fn named(&self, service: &Service) -> bool {
        is_named(self.request, service)
    }

    /// Stops what has to go, dependants before what they depend on.
    fn take_down(&mut self) {
        let decisions: Vec<(ServiceName, Decision)> =
            self.decisions.iter().rev().map(|(name, decision)| (name.clone(), decision.clone())).collect();
        let mut stopped: HashMap<ServiceName, Vec<StepId>> = HashMap::new();
        for container in orphans(self.stack, self.seen) {
            let has_name = |name: &&ServiceName| container.name == self.stack.container_name(name);
            let in_the_way = decisions.iter().map(|(name, _)| name).find(has_name).filter(|name| self.goes(name));
            if self.request.remove_orphans || in_the_way.is_some() {
                let cause = if self.request.remove_orphans {
                    Cause::Orphan
                } else {
                    Cause::Misnamed { name: container.name.clone() }
                };
                let step = self.remove(container, cause, &[]);
                self.names.freed.extend(container.ports.iter().map(|port| (port.host, step)));
                if let Some(name) = in_the_way {
                    self.names.gone.entry(name.clone()).or_default().push(step);
                }
            }
        }
        self.scale_down();
        for (name, decision) in decisions {
            let mut after: Vec<StepId> = graph::dependents(self.stack, &name)
                .iter()
                .filter_map(|other| stopped.get(*other))
                .flatten()
                .copied()
                .collect();
            let seen: &'a Observed = self.seen;
            let mut containers = seen.containers.iter().filter(|seen| seen.service == name);
            let Some(container) = containers.next() else { continue };
            let last = match decision {
                // A new image has to be there before the old container goes: a failed pull then costs nothing.
                Decision::Replace(cause) => {
                    after.extend(self.image(&name));
                    let gone = self.remove(container, cause, &after);
                    self.names.freed.extend(container.ports.iter().map(|port| (port.host, gone)));
                    Some(gone)
                }
                Decision::Restart(cause) => {
                    let stop = Op::Stop { service: name.clone(), container: container.id.clone() };
                    Some(self.plan.push(stop, cause, after.clone()))
                }
                Decision::Create(_) | Decision::Start(_) | Decision::Keep | Decision::Done => None,
            };
            let duplicates: Vec<_> = containers.collect();
            let duplicates =
                duplicates.into_iter().map(|seen| (&seen.name, self.remove(seen, Cause::Duplicate, &after)));
            let steps: Vec<_> = last.into_iter().map(|last| (&container.name, last)).chain(duplicates).collect();
            for (of, step) in &steps {
                // Whose name it has waits as well.
                let has_name = |name: &&ServiceName| **of == self.stack.container_name(name);
                let other = self.stack.services.keys().filter(has_name).find(|other| **other != name);
                for name in other.into_iter().chain([&name]) {
                    self.names.gone.entry(name.clone()).or_default().push(*step);
                }
            }
            stopped.insert(name, steps.into_iter().map(|(_, step)| step).collect());
        }
        let gone: Vec<StepId> =
            self.plan.steps.iter().filter(|step| matches!(step.op, Op::Remove { .. })).map(|step| step.id).collect();
        for short in self.edited.clone() {
            let network = self.stack.networks[&short].name.clone();
            let cause = Cause::Network { network: network.clone(), trouble: Trouble::Edited };
            let step = self.plan.push(Op::RemoveNetwork { network }, cause, gone.clone());
            self.names.removed.insert(short, step);
        }
    }

    /// The steps after which nothing is in the way of a service's container.
    fn gone(&self, name: &ServiceName) -> Vec<StepId> {
        self.names.gone.get(name).cloned().unwrap_or_default()
    }

    /// Removes what `-V` means, once the containers are gone that have it.
    fn renew(&mut self, services: &[&'a Service]) {
        let is_new = |service: &Service| {
            matches!(self.decisions.get(&service.name), Some(Decision::Create(_) | Decision::Replace(_)))
        };
        let renewed: Vec<&Service> =
            services.iter().copied().filter(|one| self.request.renew && self.named(one) && is_new(one)).collect();
        let gone: Vec<StepId> = renewed.iter().flat_map(|service| self.gone(&service.name)).collect();
        for (service, step) in nameless::renew(&mut self.plan, self.stack, self.seen, self.request, &renewed, &gone) {
            self.names.gone.entry(service.name.clone()).or_default().push(step);
        }
    }

    /// Stops (where it runs) and removes a container; returns the last step.
    fn remove(&mut self, container: &Container, cause: Cause, after: &[StepId]) -> StepId {
        let (service, id) = (container.service.clone(), container.id.clone());
        let mut after = after.to_vec();
        let mut remove_cause = cause.clone();
        if container.is_up() {
            after = vec![self.plan.push(Op::Stop { service: service.clone(), container: id.clone() }, cause, after)];
            if !matches!(remove_cause, Cause::IfImageChanged | Cause::Orphan | Cause::Duplicate) {
                remove_cause = Cause::Replaced;
            }
        }
        self.plan.push(Op::Remove { service, container: id }, remove_cause, after)
    }

    /// The step that fetches a service's image, made once an image.
    fn image(&mut self, name: &ServiceName) -> Option<StepId> {
        let service = &self.stack.services[name];
        if let Some(step) = self.names.images.get(&service.image) {
            return Some(*step);
        }
        // What it is built on comes first.
        let builder = self.stack.builder(&service.image);
        let bases: Vec<ServiceName> = builder
            .and_then(|builder| builder.build.as_ref())
            .iter()
            .flat_map(|build| build.services())
            .cloned()
            .collect();
        let after: Vec<StepId> = bases.iter().filter_map(|base| self.image(base)).collect();
        let (op, cause) = self.fetches(service)?;
        let step = self.plan.push(op, cause, after);
        self.names.images.insert(service.image.clone(), step);
        Some(step)
    }

    fn bring_up(&mut self, service: &Service) -> Result<()> {
        let name = service.name.clone();
        let decision = self.decisions[&name].clone();
        let mut before_start = self.gone(&name);
        let start_cause = match decision {
            Decision::Done => return Ok(()),
            Decision::Keep => {
                let ready = self.plan.push(Op::WaitReady { service: name.clone() }, Cause::Unchanged, before_start);
                let mut ready = self.provision(&name, Cause::Unchanged, ready);
                if self.seen.owed.contains(&name) {
                    ready = self.plan.push(Op::PutBack { service: name.clone() }, Cause::CutOff, vec![ready]);
                }
                self.names.ready.insert(name, ready);
                return Ok(());
            }
            Decision::Create(cause) | Decision::Replace(cause) => {
                before_start = vec![self.create(service, cause.clone())?];
                if cause == Cause::IfImageChanged { cause } else { Cause::Follows }
            }
            Decision::Restart(_) => Cause::Follows,
            Decision::Start(cause) => cause,
        };
        if self.request.no_start {
            return Ok(());
        }
        before_start.extend(service.ports.iter().filter_map(|port| self.names.freed.get(&port.host?)));
        before_start.extend(self.check_data(service, &before_start));
        self.gates(service, &mut before_start);
        let started = self.plan.push(Op::Start { service: name.clone() }, start_cause, before_start);
        let gate = Cause::Gate { probe: service.ready.describe(), seconds: service.ready.timeout.as_secs() };
        let ready = self.plan.push(Op::WaitReady { service: name.clone() }, gate, vec![started]);
        self.names.started.insert(name.clone(), started);
        let declared = Cause::Declared { resources: self.stack.declared_in(&name).count() };
        let ready = self.provision(&name, declared, ready);
        self.names.ready.insert(name, ready);
        Ok(())
    }

    /// The step that makes the declared resources of an emulator, of which readiness is part; for another service the
    /// step before. One that has none declared may have some from before.
    fn provision(&mut self, name: &ServiceName, cause: Cause, ready: StepId) -> StepId {
        let fresh = cause != Cause::Unchanged;
        let declares = self.stack.declared_in(name).next().is_some();
        if self.request.undeclared || !declares && (fresh || !self.stack.is_emulator(name)) {
            return ready;
        }
        let op = Op::Provision { service: name.clone(), prune: self.request.prune };
        self.plan.push(op, cause, vec![ready])
    }

    /// The steps that have to be done before a service starts because of what it depends on. A job that is done already
    /// has none; what it depends on counts then, as its dependants still need that.
    fn gates(&self, service: &Service, found: &mut Vec<StepId>) {
        for (dependency, on) in &service.depends_on {
            if self.decisions.get(dependency) == Some(&Decision::Done) {
                self.gates(&self.stack.services[dependency], found);
            }
            let (started, ready) = (self.names.started.get(dependency), self.names.ready.get(dependency));
            found.extend(gate(on.condition, started.copied(), ready.copied()));
        }
    }

    fn create(&mut self, service: &Service, cause: Cause) -> Result<StepId> {
        let mut after = self.gone(&service.name);
        after.extend(self.surroundings(service));
        // The engine looks up the container whose namespace is used as soon as that.
        after.extend(service.options.hosts().filter_map(|host| self.names.created.get(host)));
        let step = self.plan.push(Op::Create { service: service.name.clone() }, cause, after);
        self.names.created.insert(service.name.clone(), step);
        Ok(step)
    }

    /// The steps that make what a container of a service is made of: image, networks, volumes.
    fn surroundings(&mut self, service: &Service) -> Vec<StepId> {
        let mut steps: Vec<StepId> = self.image(&service.name).into_iter().collect();
        for network in &service.networks {
            steps.extend(self.network(network));
        }
        for mount in &service.mounts {
            match &mount.source {
                MountSource::Volume(volume) => steps.extend(self.volume(volume)),
                MountSource::Image(image) => steps.extend(self.mounted_image(service, image)),
                MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous => {}
            }
        }
        steps
    }

    /// The step that fetches an image that is only mounted, where it is missing.
    fn mounted_image(&mut self, service: &Service, image: &str) -> Option<StepId> {
        let known = self.names.images.get(image).copied();
        if known.is_some() || self.seen.images.contains_key(image) {
            return known;
        }
        let op = fetch::mounted(self.stack, service, image, self.request);
        let step = self.plan.push(op, Cause::Missing, Vec::new());
        self.names.images.insert(image.to_owned(), step);
        Some(step)
    }

    fn network(&mut self, short: &str) -> Option<StepId> {
        let network = &self.stack.networks[short];
        let removed = self.names.removed.get(short).copied();
        let is_there = removed.is_none() && self.seen.networks.iter().any(|seen| seen.name == network.name);
        if let Some(step) = self.names.networks.get(short) {
            return Some(*step);
        }
        if network.external || is_there {
            return None;
        }
        let cause = if removed.is_some() { Cause::Replaced } else { Cause::Missing };
        let after = removed.into_iter().collect();
        let step = self.plan.push(Op::CreateNetwork { network: network.name.clone() }, cause, after);
        self.names.networks.insert(short.into(), step);
        Some(step)
    }

    fn volume(&mut self, short: &str) -> Option<StepId> {
        let volume = &self.stack.volumes[short];
        if volume.external || self.seen.volumes.iter().any(|seen| seen.name == volume.name) {
            return None;
        }
        if let Some(step) = self.names.volumes.get(short) {
            return Some(*step);
        }
        let step =
            self.plan.push(Op::CreateVolume { volume: volume.name.clone(), place: None }, Cause::Missing, Vec::new());
        self.names.volumes.insert(short.into(), step);
        Some(step)
    }

    /// A server about to start on a volume that was there before: what is in it may be of another version, or a first
    /// boot that was cut off.
    fn check_data(&mut self, service: &Service, after: &[StepId]) -> Option<StepId> {
        if service.kind != Kind::Postgres {
            return None;
        }
        let volume = nameless::data_volume(self.stack, self.seen, service)?;
        let is_renewed = self.request.renew && self.named(service) && self.stack.volume(&volume).is_none();
        (!is_renewed).then(|| {
            let op = Op::CheckData { service: service.name.clone(), volume };
            self.plan.push(op, Cause::Follows, after.to_vec())
        })
    }
}

/// Whether a request is for a service itself, and not for what depends on it.
fn is_named(request: &Request, service: &Service) -> bool {
    request.services.is_empty() || request.services.contains(&service.name)
}

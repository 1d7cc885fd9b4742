//! What `up`, `restart` and `start` would do. Three passes over the services: decide what each needs, take down what
//! has to go (dependants first), bring up what is missing (dependencies first).

use std::collections::HashMap;

use indexmap::{IndexMap, IndexSet};

use super::observed::{Container, ContainerState};
use super::{Cause, Observed, Op, Plan, Request, StepId, fetch, foreign, gate, intent};
use crate::diag::{Error, ErrorKind, Result};
use crate::kinds;
use crate::model::{Kind, MountSource, PullPolicy, Service, ServiceName, Stack, built, fingerprint, graph};

/// Plans to bring services up.
///
/// # Errors
/// When something that is not this stack's is in the way, when an external network or volume is missing, when `start` is
/// asked for a service that has no container, or when an image is not the one that `--frozen` allows.
pub fn up(stack: &Stack, seen: &Observed, ask: &Request) -> Result<Plan> {
    let services = selection(stack, ask);
    intent::refuse(stack, seen, services.iter().copied())?;
    fetch::refuse_unpinned(stack, seen, ask, &services)?;
    let mut builder =
        Builder { stack, seen, ask, plan: Plan::default(), fates: IndexMap::new(), names: Names::default() };
    for service in &services {
        let fate = builder.decide(service)?;
        builder.fates.insert(service.name.clone(), fate);
    }
    let made =
        services.iter().filter(|service| matches!(builder.fates[&service.name], Fate::Create(_) | Fate::Replace(_)));
    for service in made {
        foreign::refuse(stack, seen, ask, service)?;
    }
    for leftover in intent::leftovers(seen) {
        builder.plan.push(leftover, Cause::CutOff, Vec::new());
    }
    builder.take_down();
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
pub fn needed(stack: &Stack, seen: &Observed, ask: &Request, service: &Service) -> Result<Plan> {
    // A request for no services would be one for all.
    let plan = if ask.services.is_empty() { Plan::default() } else { up(stack, seen, ask)? };
    foreign::refuse(stack, seen, ask, service)?;
    intent::refuse(stack, seen, [service])?;
    let mut names = Names::default();
    for step in &plan.steps {
        match &step.op {
            Op::Pull { image, .. } | Op::Build { image, .. } => names.images.insert(image.clone(), step.id),
            Op::CreateNetwork { network } => {
                names.networks.insert(short(&stack.networks, network, |n| &n.name), step.id)
            }
            Op::CreateVolume { volume } => names.volumes.insert(short(&stack.volumes, volume, |v| &v.name), step.id),
            _ => None,
        };
    }
    let mut builder = Builder { stack, seen, ask, plan, fates: IndexMap::new(), names };
    builder.surroundings(service);
    Ok(builder.plan)
}

/// The short name of what has this name on the engine.
fn short<T>(all: &IndexMap<String, T>, name: &str, name_of: impl Fn(&T) -> &String) -> String {
    all.iter().find(|(_, one)| name_of(one) == name).map(|(short, _)| short.clone()).unwrap_or_default()
}

/// The services whose images are built for a request.
pub fn wanted<'a>(stack: &'a Stack, ask: &Request) -> Vec<&'a Service> {
    let builders: IndexSet<&ServiceName> = selection(stack, ask)
        .iter()
        .filter_map(|service| stack.builder(&service.image))
        .map(|builder| &builder.name)
        .collect();
    builders.into_iter().map(|name| &stack.services[name]).collect()
}

/// The services a request is about, dependencies first.
fn selection<'a>(stack: &'a Stack, ask: &Request) -> Vec<&'a Service> {
    let active = stack.services.values().filter(|service| service.active).map(|service| &service.name);
    let names: IndexSet<&ServiceName> = if ask.services.is_empty() {
        graph::closure(stack, active).into_iter().collect()
    } else if ask.no_deps {
        ask.services.iter().collect()
    } else {
        graph::closure(stack, &ask.services).into_iter().collect()
    };
    graph::order(stack).into_iter().filter(|name| names.contains(name)).map(|name| &stack.services[name]).collect()
}

/// What happens to the container of a service.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    /// There is none: make it.
    Create(Cause),
    /// It goes, and another one comes.
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

/// Numbers of the steps later ones wait for.
#[derive(Default)]
struct Names {
    images: HashMap<String, StepId>,
    networks: HashMap<String, StepId>,
    volumes: HashMap<String, StepId>,
    /// What has to be gone before a service's container can be made or started.
    gone: HashMap<ServiceName, StepId>,
    started: HashMap<ServiceName, StepId>,
    ready: HashMap<ServiceName, StepId>,
}

struct Builder<'a> {
    stack: &'a Stack,
    seen: &'a Observed,
    ask: &'a Request,
    plan: Plan,
    fates: IndexMap<ServiceName, Fate>,
    names: Names,
}

impl<'a> Builder<'a> {
    /// Whether the user means this service itself, not only as a dependency of another.
    fn named(&self, service: &Service) -> bool {
        self.ask.services.is_empty() || self.ask.services.contains(&service.name)
    }

    fn decide(&self, service: &Service) -> Result<Fate> {
        let Some(container) = self.seen.of(&service.name).next() else {
            if self.ask.start_only {
                return Err(Error::new(ErrorKind::Other, format_args!("{} has no container to start", service.name))
                    .hint(format!("make it with: taskava dev up {}", service.name)));
            }
            return Ok(Fate::Create(Cause::Missing));
        };
        if self.ask.start_only {
            return Ok(match container.state {
                ContainerState::Running | ContainerState::Restarting => Fate::Keep,
                _ if service.kind == Kind::Job && container.exit_code == Some(0) => Fate::Done,
                state => Fate::Start(Cause::NotRunning { state: state.as_str().into() }),
            });
        }
        if let Some(cause) = self.replaced(service, container) {
            return Ok(Fate::Replace(cause));
        }
        let requested = self.ask.restart && self.named(service);
        Ok(match container.state {
            ContainerState::Running | ContainerState::Restarting if requested => Fate::Restart(Cause::Requested),
            ContainerState::Running | ContainerState::Restarting => Fate::Keep,
            // One that was only created has nothing behind it yet.
            state if service.kind == Kind::Job && state != ContainerState::Created => {
                self.decide_ended_job(service, container, requested)
            }
            state => Fate::Start(Cause::NotRunning { state: state.as_str().into() }),
        })
    }

    /// Why a container can't stay as it is.
    fn replaced(&self, service: &Service, container: &Container) -> Option<Cause> {
        if self.ask.recreate && self.named(service) {
            return Some(Cause::Requested);
        }
        if matches!(container.state, ContainerState::Dead | ContainerState::Removing) {
            return Some(Cause::NotRunning { state: container.state.as_str().into() });
        }
        let fields = fingerprint::changed(&container.config, &fingerprint::fingerprint(self.stack, service));
        if !fields.is_empty() {
            return Some(Cause::ConfigChanged { fields });
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

    /// A job that ended well is done, unless what it worked on was made anew since.
    fn decide_ended_job(&self, service: &Service, container: &Container, requested: bool) -> Fate {
        let anew = service
            .depends_on
            .keys()
            .find(|dependency| matches!(self.fates.get(*dependency), Some(Fate::Create(_) | Fate::Replace(_))));
        match anew {
            _ if requested => Fate::Replace(Cause::Requested),
            Some(dependency) => Fate::Replace(Cause::DependencyRecreated { dependency: dependency.clone() }),
            None if container.exit_code == Some(0) && container.state == ContainerState::Exited => Fate::Done,
            None => Fate::Replace(Cause::NotRunning { state: ended(container) }),
        }
    }

    /// How the image of a service is fetched in this run, if it is.
    fn fetches(&self, service: &Service) -> Option<(Op, Cause)> {
        let (image, seen) = (service.image.clone(), self.seen.images.get(&service.image));
        let name = service.name.clone();
        if let Some(builder) = self.stack.builder(&image) {
            let content = self.ask.contents.get(&builder.name);
            let cause = match seen {
                None => Cause::Missing,
                Some(seen) => match built::change(builder, content, seen.build.as_ref()) {
                    Some(change) if !self.ask.start_only => Cause::BuildChanged(change),
                    _ if self.ask.build => Cause::Requested,
                    _ => return None,
                },
            };
            return Some((Op::Build { service: name, image }, cause));
        }
        let cause = if seen.is_none() { Cause::Missing } else { Cause::Requested };
        let is_due = match self.ask.pull.unwrap_or(service.pull) {
            PullPolicy::Always => !self.ask.start_only,
            PullPolicy::Missing => seen.is_none(),
            PullPolicy::Never => false,
        };
        is_due.then(|| (fetch::pull_of(service, self.ask), cause))
    }

    /// Stops what has to go, dependants before what they depend on.
    fn take_down(&mut self) {
        let fates: Vec<(ServiceName, Fate)> =
            self.fates.iter().rev().map(|(name, fate)| (name.clone(), fate.clone())).collect();
        let mut stopped: HashMap<ServiceName, Vec<StepId>> = HashMap::new();
        if self.ask.remove_orphans {
            for container in orphans(self.stack, self.seen) {
                self.remove(container, Cause::Orphan, &[]);
            }
        }
        for (name, fate) in fates {
            let mut after: Vec<StepId> = graph::dependents(self.stack, &name)
                .iter()
                .flat_map(|other| stopped.get(*other))
                .flatten()
                .copied()
                .collect();
            let seen: &'a Observed = self.seen;
            let mut containers = seen.containers.iter().filter(|seen| seen.service == name);
            let Some(container) = containers.next() else { continue };
            let last = match fate {
                // A new image has to be there before the old container goes: a failed pull then costs nothing.
                Fate::Replace(cause) => {
                    after.extend(self.image(&name));
                    Some(self.remove(container, cause, &after))
                }
                Fate::Restart(cause) => {
                    let stop = Op::Stop { service: name.clone(), container: container.id.clone() };
                    Some(self.plan.push(stop, cause, after.clone()))
                }
                Fate::Create(_) | Fate::Start(_) | Fate::Keep | Fate::Done => None,
            };
            self.names.gone.extend(last.map(|last| (name.clone(), last)));
            let duplicates: Vec<_> = containers.collect();
            let duplicates = duplicates.into_iter().map(|container| self.remove(container, Cause::Duplicate, &after));
            let steps = last.into_iter().chain(duplicates).collect();
            stopped.insert(name, steps);
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
        let (op, cause) = self.fetches(service)?;
        let step = self.plan.push(op, cause, Vec::new());
        self.names.images.insert(service.image.clone(), step);
        Some(step)
    }

    fn bring_up(&mut self, service: &Service) -> Result<()> {
        let name = service.name.clone();
        let fate = self.fates[&name].clone();
        let mut before_start: Vec<StepId> = self.names.gone.get(&name).copied().into_iter().collect();
        let start_cause = match fate {
            Fate::Done => return Ok(()),
            Fate::Keep => {
                let after = Vec::new();
                let ready = self.plan.push(Op::WaitReady { service: name.clone() }, Cause::Unchanged, after);
                let mut ready = self.provision(&name, Cause::Unchanged, ready);
                if self.seen.owed.contains(&name) {
                    ready = self.plan.push(Op::PutBack { service: name.clone() }, Cause::CutOff, vec![ready]);
                }
                self.names.ready.insert(name, ready);
                return Ok(());
            }
            Fate::Create(cause) | Fate::Replace(cause) => {
                before_start = vec![self.create(service, cause.clone())?];
                if cause == Cause::IfImageChanged { cause } else { Cause::Follows }
            }
            Fate::Restart(_) => Cause::Follows,
            Fate::Start(cause) => cause,
        };
        if self.ask.no_start {
            return Ok(());
        }
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
        if !declares && (fresh || !self.stack.is_emulator(name)) {
            return ready;
        }
        let op = Op::Provision { service: name.clone(), prune: self.ask.prune };
        self.plan.push(op, cause, vec![ready])
    }

    /// The steps that have to be done before a service starts because of what it depends on. A job that is done already
    /// has none; what it depends on counts then, as its dependants still need that.
    fn gates(&self, service: &Service, found: &mut Vec<StepId>) {
        for (dependency, condition) in &service.depends_on {
            if self.fates.get(dependency) == Some(&Fate::Done) {
                self.gates(&self.stack.services[dependency], found);
            }
            let (started, ready) = (self.names.started.get(dependency), self.names.ready.get(dependency));
            found.extend(gate(*condition, started.copied(), ready.copied()));
        }
    }

    fn create(&mut self, service: &Service, cause: Cause) -> Result<StepId> {
        let mut after: Vec<StepId> = self.names.gone.get(&service.name).copied().into_iter().collect();
        after.extend(self.surroundings(service));
        Ok(self.plan.push(Op::Create { service: service.name.clone() }, cause, after))
    }

    /// The steps that make what a container of a service is made of: image, networks, volumes.
    fn surroundings(&mut self, service: &Service) -> Vec<StepId> {
        let mut steps: Vec<StepId> = self.image(&service.name).into_iter().collect();
        for network in &service.networks {
            steps.extend(self.network(network));
        }
        for mount in &service.mounts {
            if let MountSource::Volume(volume) = &mount.source {
                steps.extend(self.volume(volume));
            }
        }
        steps
    }

    fn network(&mut self, short: &str) -> Option<StepId> {
        let network = &self.stack.networks[short];
        if network.external || self.seen.networks.iter().any(|seen| seen.name == network.name) {
            return None;
        }
        if let Some(step) = self.names.networks.get(short) {
            return Some(*step);
        }
        let step = self.plan.push(Op::CreateNetwork { network: network.name.clone() }, Cause::Missing, Vec::new());
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
        let step = self.plan.push(Op::CreateVolume { volume: volume.name.clone() }, Cause::Missing, Vec::new());
        self.names.volumes.insert(short.into(), step);
        Some(step)
    }

    /// A server about to start on a volume that was there before: what is in it may be of another version, or a first
    /// boot that was cut off.
    fn check_data(&mut self, service: &Service, after: &[StepId]) -> Option<StepId> {
        if service.kind != Kind::Postgres {
            return None;
        }
        let path = kinds::data_path(service)?;
        let mount = service.mounts.iter().find(|mount| path.starts_with(&mount.target))?;
        let MountSource::Volume(short) = &mount.source else { return None };
        let volume = &self.stack.volumes[short];
        let there = self.seen.volumes.iter().any(|seen| seen.name == volume.name);
        (there && !volume.external).then(|| {
            let op = Op::CheckData { service: service.name.clone(), volume: volume.name.clone() };
            self.plan.push(op, Cause::Follows, after.to_vec())
        })
    }
}

fn ended(container: &Container) -> String {
    match container.exit_code {
        Some(code) if container.state == ContainerState::Exited => format!("exited with code {code}"),
        _ => container.state.as_str().into(),
    }
}

/// Containers of the stack whose service is in services.toml no more.
pub fn orphans<'a>(stack: &Stack, seen: &'a Observed) -> Vec<&'a Container> {
    let orphans = seen.containers.iter().filter(|container| !stack.services.contains_key(&container.service));
    let mut orphans: Vec<_> = orphans.collect();
    orphans.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    orphans
}

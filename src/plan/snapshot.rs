//! What `snapshot save` and `snapshot restore` would do. A volume is copied while nothing that may write to it runs;
//! what ran before runs again afterwards.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::observed::{Container, ContainerState, Saved, Volume};
use super::{Cause, Observed, Op, Plan, Request, StepId, up};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{MountSource, ServiceName, Stack, graph};

/// Plans to save the volumes of some services (none named: of all) in a snapshot.
///
/// # Errors
/// When there is no volume to save.
pub fn save(stack: &Stack, seen: &Observed, services: &[ServiceName], snapshot: &str) -> Result<Plan> {
    let chosen = |name: &ServiceName| services.is_empty() || services.contains(name);
    let own = seen.volumes.iter().filter(|volume| is_own(stack, volume));
    let volumes: Vec<&str> = own
        .map(|volume| volume.name.as_str())
        .filter(|volume| services.is_empty() || users(stack, seen, volume).iter().any(|name| chosen(name)))
        .collect();
    if volumes.is_empty() {
        let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
        let of = if names.is_empty() { stack.name.to_string() } else { names.join(", ") };
        return Err(Error::new(ErrorKind::Other, format_args!("nothing to save: no volume of {of} is there"))
            .hint("a snapshot holds volumes: `volumes = [\"data:/path\"]`; `taskava dev up` makes them"));
    }
    let mut plan = Plan::default();
    let writers: BTreeSet<&ServiceName> = volumes.iter().flat_map(|volume| writers(stack, seen, volume)).collect();
    let stopped = stop(&mut plan, stack, seen, &writers, &Cause::Consistent);
    let mut saved: HashMap<&str, StepId> = HashMap::new();
    for volume in volumes {
        let users = self::writers(stack, seen, volume);
        let after = users.iter().filter_map(|name| stopped.get(*name)).copied().collect();
        saved.insert(volume, plan.push(save_volume(stack, seen, volume, snapshot), Cause::Requested, after));
    }
    let mut ready: HashMap<&ServiceName, StepId> = HashMap::new();
    for name in graph::order(stack).into_iter().filter(|name| stopped.contains_key(*name)) {
        let service = &stack.services[name];
        let of_it =
            |(volume, step): (&&str, &StepId)| self::writers(stack, seen, volume).contains(&name).then_some(*step);
        let mut after: Vec<StepId> = saved.iter().filter_map(of_it).collect();
        after.extend(service.depends_on.keys().filter_map(|dependency| ready.get(dependency)));
        let started = plan.push(Op::Start { service: name.clone() }, Cause::Follows, after);
        let gate = Cause::Gate { probe: service.ready.describe(), seconds: service.ready.timeout.as_secs() };
        let mut last = plan.push(Op::WaitReady { service: name.clone() }, gate, vec![started]);
        let resources = stack.declared_in(name).count();
        if resources > 0 {
            // An emulator forgets what it has when it stops.
            let op = Op::Provision { service: name.clone(), prune: false };
            last = plan.push(op, Cause::Declared { resources }, vec![last]);
        }
        ready.insert(name, last);
    }
    Ok(plan)
}

/// Plans to put saved volumes in the place of those that are there. `ask.snapshot` is what the present data is saved
/// as first; what ran of `ask.services`' volumes, and what depends on it, is made anew and started.
///
/// # Errors
/// When a volume of that name is somebody else's, and where [`up`] has some.
pub fn restore(stack: &Stack, seen: &Observed, saved: &[Saved], ask: &Request) -> Result<Plan> {
    let wanted = |saved: &&Saved| {
        ask.services.is_empty() || ask.services.iter().any(|name| saved.services.iter().any(|of| of == name.as_str()))
    };
    let saved: Vec<&Saved> = saved.iter().filter(wanted).collect();
    let mut users: BTreeSet<&ServiceName> = BTreeSet::new();
    for saved in &saved {
        refuse_foreign(stack, seen, &saved.volume)?;
        users.extend(self::users(stack, seen, &saved.volume));
        let of_place = saved.place.as_ref().and_then(|place| stack.services.get_key_value(&place.service));
        users.extend(of_place.map(|(name, _)| name));
    }
    let dependants: BTreeSet<&ServiceName> =
        users.iter().flat_map(|name| graph::dependents(stack, name)).filter(|name| !users.contains(name)).collect();
    let mut plan = Plan::default();
    let both = users.union(&dependants).copied().collect();
    let stopped = stop(&mut plan, stack, seen, &both, &Cause::Requested);
    let mut last: Vec<StepId> = stopped.values().copied().collect();
    for container in seen.containers.iter().filter(|container| users.contains(&container.service)) {
        let (service, id) = (container.service.clone(), container.id.clone());
        let after = stopped.get(&service).copied().into_iter().collect();
        last.push(plan.push(Op::Remove { service, container: id }, Cause::Requested, after));
    }
    let mut filled = Vec::new();
    for saved in saved {
        filled.push(replace(&mut plan, stack, seen, saved, ask.snapshot.as_deref(), &last));
    }
    // A job has done its work on the data that comes back.
    let ran = |container: &&Container| container.is_up() && both.contains(&container.service);
    let ran: Vec<ServiceName> = seen.containers.iter().filter(ran).map(|container| container.service.clone()).collect();
    if !ran.is_empty() {
        let then = taken_down(seen, &users, &dependants);
        let bring_up = up(stack, &then, &Request { services: ran, no_deps: true, ..Request::default() })?;
        append(&mut plan, bring_up, &filled);
    }
    Ok(plan)
}

/// One volume: saved, removed, made anew and filled. Returns the last step.
fn replace(
    plan: &mut Plan,
    stack: &Stack,
    seen: &Observed,
    saved: &Saved,
    snapshot: Option<&str>,
    after: &[StepId],
) -> StepId {
    let volume = saved.volume.clone();
    let mut after = after.to_vec();
    if seen.volumes.iter().any(|seen| seen.name == volume) {
        if let Some(snapshot) = snapshot {
            after = vec![plan.push(save_volume(stack, seen, &volume, snapshot), Cause::BeforeLoss, after)];
        }
        after = vec![plan.push(Op::RemoveVolume { volume: volume.clone() }, Cause::Requested, after)];
    }
    let create = Op::CreateVolume { volume: volume.clone(), place: saved.place.clone() };
    let made = plan.push(create, Cause::Replaced, after);
    let (snapshot, image) = (saved.snapshot.clone(), saved.reference.clone());
    plan.push(Op::FillVolume { volume, snapshot, image }, Cause::Requested, vec![made])
}

/// What is there when the users' containers are gone, what depends on them is stopped and the volumes are filled.
fn taken_down(seen: &Observed, users: &BTreeSet<&ServiceName>, stopped: &BTreeSet<&ServiceName>) -> Observed {
    let mut then = seen.clone();
    then.containers.retain(|container| !users.contains(&container.service));
    for container in &mut then.containers {
        if container.is_up() && stopped.contains(&container.service) {
            container.state = ContainerState::Exited;
        }
    }
    then
}

/// Appends a plan whose steps come after those given.
fn append(plan: &mut Plan, more: Plan, after: &[StepId]) {
    let offset = plan.steps.len();
    for step in more.steps {
        let shifted = step.after.iter().map(|id| id + offset);
        plan.push(step.op, step.cause, after.iter().copied().chain(shifted).collect());
    }
}

/// Stops services, dependants first. Returns the step that stopped each.
fn stop<'a>(
    plan: &mut Plan,
    stack: &'a Stack,
    seen: &Observed,
    services: &BTreeSet<&'a ServiceName>,
    cause: &Cause,
) -> IndexMap<ServiceName, StepId> {
    let mut stopped = IndexMap::new();
    for name in graph::order(stack).into_iter().rev().filter(|name| services.contains(name)) {
        for container in seen.of(name).filter(|container| container.is_up()) {
            let dependants = graph::dependents(stack, name);
            let after = dependants.iter().filter_map(|other| stopped.get(*other)).copied().collect();
            let op = Op::Stop { service: name.clone(), container: container.id.clone() };
            stopped.insert(name.clone(), plan.push(op, cause.clone(), after));
        }
    }
    stopped
}

/// The step that saves a volume.
pub(super) fn save_volume(stack: &Stack, seen: &Observed, volume: &str, snapshot: &str) -> Op {
    let services: Vec<&str> = users(stack, seen, volume).into_iter().map(ServiceName::as_str).collect();
    Op::SaveVolume { volume: volume.into(), snapshot: snapshot.into(), services: services.join(" ") }
}

/// The services that mount a volume.
pub(super) fn users<'a>(stack: &'a Stack, seen: &Observed, volume: &str) -> Vec<&'a ServiceName> {
    mounting(stack, seen, volume, true)
}

/// Those that may write to it.
fn writers<'a>(stack: &'a Stack, seen: &Observed, volume: &str) -> Vec<&'a ServiceName> {
    mounting(stack, seen, volume, false)
}

fn mounting<'a>(stack: &'a Stack, seen: &Observed, volume: &str, read_only: bool) -> Vec<&'a ServiceName> {
    if let Some(place) = seen.volumes.iter().find(|seen| seen.name == volume).and_then(|seen| seen.place.as_ref()) {
        return stack.services.get_key_value(&place.service).map(|(name, _)| name).into_iter().collect();
    }
    let is_it = |mount: &crate::model::Mount| match &mount.source {
        MountSource::Volume(short) => stack.volumes[short].name == volume && (read_only || !mount.read_only),
        MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous => false,
    };
    stack.services.values().filter(|service| service.mounts.iter().any(is_it)).map(|service| &service.name).collect()
}

fn is_own(stack: &Stack, volume: &Volume) -> bool {
    let external = stack.volume(&volume.name).is_some_and(|volume| volume.external);
    !external && volume.stack.as_deref() == Some(stack.name.as_str())
}

fn refuse_foreign(stack: &Stack, seen: &Observed, name: &str) -> Result<()> {
    match seen.volumes.iter().find(|volume| volume.name == name) {
        Some(volume) if !is_own(stack, volume) => {
            let message = format!("volume {name} is not this stack's; it is left alone");
            Err(Error::new(ErrorKind::Other, message).hint("restore other services only: name them"))
        }
        _ => Ok(()),
    }
}

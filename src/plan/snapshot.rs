//! Plans `snapshot save` and `snapshot restore`. A volume is copied while no service that may write to it runs;
//! services that ran before are started again afterwards.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;

use super::observed::{Container, ContainerState, Saved, Volume};
use super::{Cause, Intent, Observed, Op, Plan, Request, StepId, Work, intent, up};
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
        return Err(Error::new(ErrorKind::Other, format_args!("nothing to save: no volume of {of} exists"))
            .hint("a snapshot holds volumes: `volumes = [\"data:/path\"]`; `taskava dev up` creates them"));
    }
    let users = volumes.iter().flat_map(|volume| users(stack, seen, volume)).map(|name| &stack.services[name]);
    intent::refuse(stack, seen, users)?;
    let set: BTreeSet<String> = volumes.iter().map(|volume| (*volume).to_owned()).collect();
    if let Some(intent) = seen.intents.iter().find(|intent| !intent.volumes.is_disjoint(&set)) {
        return Err(intent.error());
    }
    let mut plan = Plan::default();
    for leftover in intent::leftovers(seen) {
        plan.push(leftover, Cause::CutOff, Vec::new());
    }
    let writers: BTreeSet<&ServiceName> = volumes.iter().flat_map(|volume| writers(stack, seen, volume)).collect();
    let stopped = stop(&mut plan, stack, seen, &writers, &Cause::Consistent);
    let mut saved: HashMap<&str, StepId> = HashMap::new();
    for volume in volumes {
        let users = self::writers(stack, seen, volume);
        let after = users.iter().filter_map(|name| stopped.get(*name)).copied().collect();
        let op = save_volume(stack, seen, volume, snapshot, &set);
        saved.insert(volume, plan.push(op, Cause::Requested, after));
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

/// A snapshot that is to be restored.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its volumes.
    pub saved: &'a [Saved],
    /// The command that does it, to be typed.
    pub command: &'a str,
}

/// Plans to put saved volumes in the place of those that are there. `request.snapshot` is what the present data is saved
/// as first; what ran of `request.services`' volumes, and what depends on it, is recreated and started. What is there between
/// the first volume that is removed and the last that is filled is not whole, which is written down.
///
/// # Errors
/// When a volume of that name is not this stack's, when what was saved was not whole, and where `up` has some.
pub fn restore(stack: &Stack, seen: &Observed, what: &Restore<'_>, request: &Request) -> Result<Plan> {
    let wanted = |saved: &&Saved| {
        request.services.is_empty()
            || request.services.iter().any(|name| saved.services.iter().any(|of| of == name.as_str()))
    };
    let saved: Vec<&Saved> = what.saved.iter().filter(wanted).collect();
    let mut plan = Plan::default();
    if saved.is_empty() {
        return Ok(plan);
    }
    let mut users: BTreeSet<&ServiceName> = BTreeSet::new();
    for saved in &saved {
        refuse_foreign(stack, seen, &saved.volume)?;
        refuse_incomplete(saved)?;
        users.extend(self::users(stack, seen, &saved.volume));
        let of_place = saved.place.as_ref().and_then(|place| stack.services.get_key_value(&place.service));
        users.extend(of_place.map(|(name, _)| name));
    }
    let volumes: BTreeSet<String> = saved.iter().map(|saved| saved.volume.clone()).collect();
    let covered: Vec<&Intent> = seen.intents.iter().filter(|intent| intent.is_covered(&volumes)).collect();
    let dependants: BTreeSet<&ServiceName> =
        users.iter().flat_map(|name| graph::dependents(stack, name)).filter(|name| !users.contains(name)).collect();
    let mut last: Vec<StepId> =
        intent::leftovers(seen).map(|leftover| plan.push(leftover, Cause::CutOff, Vec::new())).collect();
    let both = users.union(&dependants).copied().collect();
    let stopped = stop(&mut plan, stack, seen, &both, &Cause::Requested);
    last.extend(stopped.values().copied());
    // What a restore that was cut off left there is not data; what was there before it has been saved then. What a removal
    // left was to go.
    let is_known = |intent: &&&Intent| intent.before.is_some() || intent.work == Work::RemoveVolume;
    let known: BTreeSet<&String> = covered.iter().filter(is_known).flat_map(|intent| &intent.volumes).collect();
    let present = seen.volumes.iter().map(|seen| &seen.name).filter(|name| volumes.contains(*name));
    let present: BTreeSet<String> = present.filter(|name| !known.contains(name)).cloned().collect();
    last.extend(save_first(&mut plan, stack, seen, &present, request.snapshot.as_deref(), &last));
    let before_loss = last.clone();
    for container in seen.containers.iter().filter(|container| users.contains(&container.service)) {
        let (service, id) = (container.service.clone(), container.id.clone());
        last.push(plan.push(Op::Remove { service, container: id }, Cause::Requested, before_loss.clone()));
    }
    let carried = covered.iter().find_map(|intent| intent.before.clone());
    let intent = Intent {
        work: Work::RestoreSnapshot,
        of: what.name.into(),
        volumes: volumes.clone(),
        services: saved.iter().flat_map(|saved| &saved.services).cloned().collect(),
        finish: what.command.into(),
        before: carried.or_else(|| request.snapshot.clone().filter(|_| !present.is_empty())),
    };
    let begun = plan.push(Op::Begin { intent: intent.clone() }, Cause::Requested, last);
    let mut ended: Vec<StepId> = saved.iter().map(|saved| replace(&mut plan, seen, saved, begun)).collect();
    let over = covered.into_iter().filter(|other| **other != intent).cloned().chain([intent.clone()]);
    for intent in over.collect::<Vec<_>>() {
        ended = vec![plan.push(Op::Finish { intent }, Cause::Requested, ended)];
    }
    // A job has done its work on the data that comes back.
    let ran = |container: &&Container| container.is_up() && both.contains(&container.service);
    let ran: Vec<ServiceName> = seen.containers.iter().filter(ran).map(|container| container.service.clone()).collect();
    if !ran.is_empty() {
        let mut then = taken_down(seen, &users, &dependants);
        then.intents.retain(|intent| !intent.is_covered(&volumes));
        let bring_up = up(stack, &then, &Request { services: ran, no_deps: true, ..Request::default() })?;
        append(&mut plan, bring_up, &ended);
    }
    Ok(plan)
}

/// One volume: removed, created and filled. Returns the last step.
fn replace(plan: &mut Plan, seen: &Observed, saved: &Saved, begun: StepId) -> StepId {
    let (volume, mut after) = (saved.volume.clone(), vec![begun]);
    if seen.volumes.iter().any(|seen| seen.name == volume) {
        after = vec![plan.push(Op::RemoveVolume { volume: volume.clone(), intent: None }, Cause::Requested, after)];
    }
    let create = Op::CreateVolume { volume: volume.clone(), place: saved.place.clone() };
    let made = plan.push(create, Cause::Replaced, after);
    let (snapshot, image) = (saved.snapshot.clone(), saved.reference.clone());
    plan.push(Op::FillVolume { volume, snapshot, image }, Cause::Requested, vec![made])
}

/// Volumes that are removed for good.
pub(super) struct Removal<'a> {
    /// Their names on the engine.
    pub(super) volumes: &'a BTreeSet<String>,
    /// What they are saved as first, if they are.
    pub(super) snapshot: Option<&'a str>,
    /// The command that finishes it, to be typed.
    pub(super) finish: String,
}

impl Removal<'_> {
    /// The steps that save them, in one snapshot. What is left of one whose removal was cut off has been saved then, if that
    /// was asked for.
    pub(super) fn save_first(&self, plan: &mut Plan, stack: &Stack, seen: &Observed, after: &[StepId]) -> Vec<StepId> {
        let whole: BTreeSet<String> =
            self.volumes.iter().filter(|volume| begun(seen, volume).is_none()).cloned().collect();
        save_first(plan, stack, seen, &whole, self.snapshot, after)
    }

    /// The step that removes one of them.
    pub(super) fn remove(&self, stack: &Stack, seen: &Observed, volume: &str) -> Op {
        let services = users(stack, seen, volume).into_iter().map(ToString::to_string).collect();
        let before = match begun(seen, volume) {
            Some(earlier) => earlier.before.clone(),
            None => self.snapshot.map(ToOwned::to_owned),
        };
        let intent = Intent {
            work: Work::RemoveVolume,
            of: volume.into(),
            volumes: BTreeSet::from([volume.to_owned()]),
            services,
            finish: self.finish.clone(),
            before,
        };
        Op::RemoveVolume { volume: volume.into(), intent: Some(intent) }
    }
}

/// An earlier removal of a volume that was cut off.
fn begun<'a>(seen: &'a Observed, volume: &str) -> Option<&'a Intent> {
    seen.intents.iter().find(|intent| intent.work == Work::RemoveVolume && intent.of == volume)
}

/// The steps that save volumes before they are removed, in one snapshot.
fn save_first(
    plan: &mut Plan,
    stack: &Stack,
    seen: &Observed,
    volumes: &BTreeSet<String>,
    snapshot: Option<&str>,
    after: &[StepId],
) -> Vec<StepId> {
    let Some(snapshot) = snapshot else { return Vec::new() };
    let mut save = |volume: &String| {
        plan.push(save_volume(stack, seen, volume, snapshot, volumes), Cause::BeforeLoss, after.to_vec())
    };
    volumes.iter().map(&mut save).collect()
}

/// What is there when the users' containers are gone, what depends on them is stopped and the volumes are filled.
fn taken_down(seen: &Observed, users: &BTreeSet<&ServiceName>, stopped: &BTreeSet<&ServiceName>) -> Observed {
    let mut then = seen.clone();
    then.helpers.clear();
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

/// The step that saves a volume in a snapshot of these volumes.
fn save_volume(stack: &Stack, seen: &Observed, volume: &str, snapshot: &str, set: &BTreeSet<String>) -> Op {
    let services: Vec<&str> = users(stack, seen, volume).into_iter().map(ServiceName::as_str).collect();
    // Only before it is removed: what is half-done is saved as such.
    let half = |intent: &&Intent| intent.work == Work::RestoreSnapshot && intent.volumes.contains(volume);
    Op::SaveVolume {
        volume: volume.into(),
        snapshot: snapshot.into(),
        services: services.join(" "),
        set: set.iter().cloned().collect(),
        incomplete: seen.intents.iter().find(half).map(|intent| intent.finish.clone()),
    }
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
        MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => false,
    };
    stack.services.values().filter(|service| service.mounts.iter().any(is_it)).map(|service| &service.name).collect()
}

/// Volumes of something else that the stack uses: to restore one it would have to be replaced, which is not ours to do.
pub fn not_saved<'a>(stack: &Stack, seen: &'a Observed) -> impl Iterator<Item = &'a str> {
    let adopted =
        |volume: &&Volume| stack.volume(&volume.name).is_some_and(|declared| declared.adopt) && !is_own(stack, volume);
    seen.volumes.iter().filter(adopted).map(|volume| volume.name.as_str())
}

fn is_own(stack: &Stack, volume: &Volume) -> bool {
    let external = stack.volume(&volume.name).is_some_and(|volume| volume.external);
    !external && volume.stack.as_deref() == Some(stack.name.as_str())
}

/// A restore that was cut off had been at work on it when it was saved.
fn refuse_incomplete(saved: &Saved) -> Result<()> {
    let Some(finish) = &saved.incomplete else { return Ok(()) };
    let Saved { snapshot, volume, .. } = saved;
    let message =
        format!("{snapshot} holds only a part of volume {volume}: restoring it was cut off when it was saved");
    Err(Error::new(ErrorKind::Other, message).hint(format!("restore it completely with: {finish}")))
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

//! Plans `down` and `stop`: dependants before their dependencies, the network last, data only on request.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexSet;

use super::observed::Container;
use super::snapshot::Removal;
use super::{Cause, Observed, Op, Plan, Request, StepId, intent};
use crate::model::{MountSource, ServiceName, Stack, graph};
use crate::remedy;

/// Plans to take services down. Only what carries this stack's label is ever in it.
pub fn down(stack: &Stack, seen: &Observed, request: &Request) -> Plan {
    take_down(stack, seen, request, finish(&["down", "-v"], request))
}

/// Plans to remove containers that do not run; with `stop`, those that run are stopped first. Networks stay, and of volumes
/// only anonymous ones are removed, if volumes are asked for.
pub fn remove(stack: &Stack, seen: &Observed, request: &Request, stop: bool) -> Plan {
    let mut own = seen.clone();
    own.networks.clear();
    own.containers.retain(|container| stop || !container.is_up());
    own.one_offs.retain(|container| stop || !container.is_up());
    // What runs keeps its volumes.
    let stays = |service: &ServiceName| seen.of(service).any(|container| container.is_up() && !stop);
    own.volumes.retain(|volume| volume.place.as_ref().is_some_and(|place| !stays(&place.service)));
    take_down(stack, &own, request, finish(&["rm", "-f", "-v"], request))
}

fn take_down(stack: &Stack, seen: &Observed, request: &Request, finish: String) -> Plan {
    let mut plan = Plan::default();
    let chosen = |container: &&Container| {
        let orphan = !stack.services.contains_key(&container.service);
        (request.services.is_empty() && (!orphan || request.remove_orphans))
            || request.services.contains(&container.service)
    };
    let mut stopped: HashMap<&ServiceName, Vec<StepId>> = HashMap::new();
    let mut last: Vec<StepId> =
        intent::leftovers(seen).map(|leftover| plan.push(leftover, Cause::CutOff, Vec::new())).collect();
    let chosen_one_off =
        |container: &&Container| request.services.is_empty() || request.services.contains(&container.service);
    for container in seen.one_offs.iter().filter(chosen_one_off) {
        last.extend(one_off(&mut plan, container, request));
    }
    for name in reverse_order(stack, seen) {
        let after: Vec<StepId> =
            graph::dependents(stack, name).iter().filter_map(|other| stopped.get(*other)).flatten().copied().collect();
        for container in seen.of(name).filter(&chosen) {
            let (service, id) = (name.clone(), container.id.clone());
            let mut after = after.clone();
            if container.is_up() {
                let stop = Op::Stop { service: service.clone(), container: id.clone() };
                let step = plan.push(stop, Cause::Requested, after);
                stopped.entry(name).or_default().push(step);
                after = vec![step];
            }
            if !request.stop_only {
                last.push(plan.push(Op::Remove { service, container: id }, Cause::Requested, after));
            }
        }
    }
    if request.stop_only {
        return plan;
    }
    // A container that stays keeps its networks.
    if seen.containers.iter().all(|container| chosen(&container))
        && seen.one_offs.iter().all(|seen| chosen_one_off(&seen))
    {
        for network in seen.networks.iter().filter(|network| network.stack.as_deref() == Some(stack.name.as_str())) {
            plan.push(Op::RemoveNetwork { network: network.name.clone() }, Cause::Requested, last.clone());
        }
    }
    if request.volumes {
        let volumes = removable_volumes(stack, seen, request);
        let removal = Removal { volumes: &volumes, snapshot: request.snapshot.as_deref(), finish };
        // Nothing is removed before all of it is saved.
        last.extend(removal.save_first(&mut plan, stack, seen, &last));
        let settled: Vec<_> = intent::settled(seen, &volumes, &request.services).collect();
        let remove = |volume: &String| plan.push(removal.remove(stack, seen, volume), Cause::Requested, last.clone());
        let removed: Vec<StepId> = volumes.iter().map(remove).collect();
        for intent in settled {
            let after = last.iter().chain(&removed).copied().collect();
            plan.push(Op::Finish { intent: intent.clone() }, Cause::Requested, after);
        }
    }
    plan
}

/// The command that removes what a removal of volumes was cut off at.
fn finish(command: &[&'static str], request: &Request) -> String {
    let mut words: Vec<&str> = command.to_vec();
    words.extend(request.services.iter().map(ServiceName::as_str));
    remedy::dev(&words)
}

/// Nothing depends on a one-off container, so it is removed first. Returns the step that removes it.
fn one_off(plan: &mut Plan, container: &Container, request: &Request) -> Option<StepId> {
    let (service, id) = (container.service.clone(), container.id.clone());
    let cause = Cause::OneOff { container: container.name.clone() };
    let stop = container.is_up().then(|| {
        let stop = Op::Stop { service: service.clone(), container: id.clone() };
        plan.push(stop, cause.clone(), Vec::new())
    });
    let remove = Op::Remove { service, container: id };
    (!request.stop_only).then(|| plan.push(remove, cause, stop.into_iter().collect()))
}

/// Every service that has a container, dependants first; those that are in services.toml no more come first of all.
fn reverse_order<'a>(stack: &'a Stack, seen: &'a Observed) -> IndexSet<&'a ServiceName> {
    let orphans = seen.containers.iter().map(|container| &container.service);
    let known = graph::order(stack);
    orphans.filter(|name| !stack.services.contains_key(*name)).chain(known.into_iter().rev()).collect()
}

/// The stack's own volumes that nothing outside the selection uses.
pub fn removable_volumes(stack: &Stack, seen: &Observed, request: &Request) -> BTreeSet<String> {
    let used_by = |service: &crate::model::Service| -> Vec<String> {
        let volume = |mount: &crate::model::Mount| match &mount.source {
            MountSource::Volume(short) => Some(stack.volumes[short].name.clone()),
            MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => None,
        };
        service.mounts.iter().filter_map(volume).collect()
    };
    let external: BTreeSet<&str> =
        stack.volumes.values().filter(|volume| volume.external).map(|volume| volume.name.as_str()).collect();
    let own = seen.volumes.iter().filter(|volume| volume.stack.as_deref() == Some(stack.name.as_str()));
    let own = own.map(|volume| volume.name.clone()).filter(|name| !external.contains(name.as_str()));
    if request.services.is_empty() {
        return own.collect();
    }
    let (inside, outside): (Vec<_>, Vec<_>) =
        stack.services.values().partition(|service| request.services.contains(&service.name));
    let mut inside: BTreeSet<String> = inside.into_iter().flat_map(used_by).collect();
    let outside: BTreeSet<String> = outside.into_iter().flat_map(used_by).collect();
    let nameless = seen
        .volumes
        .iter()
        .filter(|seen| seen.place.as_ref().is_some_and(|place| request.services.contains(&place.service)));
    inside.extend(nameless.map(|volume| volume.name.clone()));
    own.filter(|name| inside.contains(name) && !outside.contains(name)).collect()
}

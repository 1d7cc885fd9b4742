//! Steps of plans for anonymous volumes ([`crate::model::nameless`]).

use std::path::Path;

use super::observed::Volume;
use super::snapshot::Removal;
use super::{Cause, Intent, Observed, Op, Plan, Request, StepId, Work};
use crate::kinds;
use crate::model::{MountSource, Service, Stack};
use crate::remedy;

/// Those of a service that are there.
pub(super) fn of<'a>(seen: &'a Observed, service: &'a Service) -> impl Iterator<Item = &'a Volume> {
    seen.volumes.iter().filter(|volume| volume.place.as_ref().is_some_and(|place| place.service == service.name))
}

/// Removes those of some services; all of them are saved before the first is removed, where that is asked for. What was cut
/// off at that has ended then. Returns the steps that remove each, with its service.
pub(super) fn renew<'a>(
    plan: &mut Plan,
    stack: &Stack,
    seen: &'a Observed,
    request: &Request,
    services: &[&'a Service],
    after: &[StepId],
) -> Vec<(&'a Service, StepId)> {
    let renewed: Vec<(&Service, &Volume)> =
        services.iter().flat_map(|service| of(seen, service).map(|volume| (*service, volume))).collect();
    let volumes = renewed.iter().map(|(_, volume)| volume.name.clone()).collect();
    let words: Vec<&str> = ["up", "-V"].into_iter().chain(services.iter().map(|one| one.name.as_str())).collect();
    let removal = Removal { volumes: &volumes, snapshot: request.snapshot.as_deref(), finish: remedy::dev(&words) };
    let mut after = after.to_vec();
    after.extend(removal.save_first(plan, stack, seen, &after));
    let mut remove =
        |volume: &Volume| plan.push(removal.remove(stack, seen, &volume.name), Cause::VolumesRenewed, after.clone());
    let mut removed: Vec<(&Service, StepId)> =
        renewed.into_iter().map(|(service, volume)| (service, remove(volume))).collect();
    // Its volume may have been gone when it was cut off.
    for intent in &seen.intents {
        if let Some(service) = services.iter().find(|service| is_finished(stack, intent, service)) {
            let steps = removed.iter().map(|(_, step)| *step).collect();
            removed.push((service, plan.push(Op::Finish { intent: intent.clone() }, Cause::VolumesRenewed, steps)));
        }
    }
    removed
}

/// Whether removing the anonymous volumes of a service is what an intent was cut off at.
pub(super) fn is_finished(stack: &Stack, intent: &Intent, service: &Service) -> bool {
    let is_anonymous = stack.volumes.values().all(|volume| volume.name != intent.of);
    intent.work == Work::RemoveVolume && is_anonymous && intent.services.iter().eq([service.name.as_str()])
}

/// The existing volume of ours that holds a server's data, whether services.toml gives it a name or not.
pub(super) fn data_volume(stack: &Stack, seen: &Observed, service: &Service) -> Option<String> {
    let path = kinds::data_path(&seen.on_image(service))?;
    let is_in = |target: &str| Path::new(&path).starts_with(target);
    let declared = service.mounts.iter().filter(|mount| is_in(&mount.target)).map(|mount| {
        let volume = match &mount.source {
            MountSource::Volume(short) => Some(&stack.volumes[short]).filter(|volume| !volume.external),
            MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => None,
        };
        (mount.target.as_str(), volume.map(|volume| volume.name.as_str()))
    });
    let nameless = of(seen, service).filter_map(|volume| {
        let target = volume.place.as_ref()?.target.as_str();
        let covered = service.mounts.iter().any(|mount| {
            mount.source != MountSource::Anonymous && crate::model::nameless::clean(&mount.target) == target
        });
        (is_in(target) && !covered).then_some((target, Some(volume.name.as_str())))
    });
    let (_, volume) = declared.chain(nameless).max_by_key(|(target, _)| target.trim_end_matches('/').len())?;
    let volume = volume?;
    seen.volumes.iter().any(|seen| seen.name == volume).then(|| volume.to_owned())
}

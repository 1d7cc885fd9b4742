//! What plans say of volumes that services.toml gives no name ([`crate::model::nameless`]).

use std::path::Path;

use super::observed::Volume;
use super::{Cause, Observed, Op, Plan, Request, StepId, snapshot};
use crate::kinds;
use crate::model::{MountSource, Service, Stack};

/// Those of a service that are there.
pub(super) fn of<'a>(seen: &'a Observed, service: &'a Service) -> impl Iterator<Item = &'a Volume> {
    seen.volumes.iter().filter(|volume| volume.place.as_ref().is_some_and(|place| place.service == service.name))
}

/// Removes those of some services; all of them are saved before the first is removed, where that is asked for. Returns the
/// step that removes each, with its service.
pub(super) fn renew<'a>(
    plan: &mut Plan,
    stack: &Stack,
    seen: &'a Observed,
    ask: &Request,
    services: &[&'a Service],
    after: &[StepId],
) -> Vec<(&'a Service, StepId)> {
    let renewed: Vec<(&Service, &Volume)> =
        services.iter().flat_map(|service| of(seen, service).map(|volume| (*service, volume))).collect();
    let names = renewed.iter().map(|(_, volume)| volume.name.clone()).collect();
    let mut after = after.to_vec();
    after.extend(snapshot::save_first(plan, stack, seen, &names, ask.snapshot.as_deref(), &after));
    let mut remove = |volume: &Volume| {
        let remove = Op::RemoveVolume { volume: volume.name.clone() };
        plan.push(remove, Cause::VolumesRenewed, after.clone())
    };
    renewed.into_iter().map(|(service, volume)| (service, remove(volume))).collect()
}

/// The volume of ours that is there and holds a server's data, whether services.toml gives it a name or not.
pub(super) fn data_volume(stack: &Stack, seen: &Observed, service: &Service) -> Option<String> {
    let path = kinds::data_path(&seen.on_image(service))?;
    let is_in = |target: &str| Path::new(&path).starts_with(target);
    let declared = service.mounts.iter().filter(|mount| is_in(&mount.target)).map(|mount| {
        let volume = match &mount.source {
            MountSource::Volume(short) => Some(&stack.volumes[short]).filter(|volume| !volume.external),
            MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous => None,
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

//! What a plan reports besides its steps: data that is not where services.toml suggests, volumes that were created with
//! other settings, and what happens to anonymous volumes.

use std::collections::{BTreeMap, BTreeSet};

use super::observed::Volume as Seen;
use super::{Cause, Observed, Op, Plan, Request, compose, nameless, placement, snapshot, up};
use crate::diag::Place;
use crate::kinds;
use crate::model::nameless::{clean, targets};
use crate::model::{MountSource, Service, ServiceName, Stack, Volume, danger};

/// Something to know, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Where it comes from.
    pub place: Option<Place>,
    /// Something on the engine is not as services.toml says, and `up` leaves it so.
    pub differs: bool,
}

impl Note {
    pub(super) fn new(message: String, hint: String, place: Option<&Place>) -> Self {
        Self { message, hint, place: place.cloned(), differs: false }
    }
}

/// What there is to know of the services of a request, and of its plan. Without anything observed, what is known of their
/// kinds.
pub fn notes(stack: &Stack, seen: &Observed, request: &Request, plan: &Plan) -> Vec<Note> {
    let services = up::selection(stack, request);
    let mut found: Vec<Note> = services.iter().flat_map(|service| of_service(stack, seen, service)).collect();
    found.extend(services.iter().filter_map(|service| hidden_by_image(seen, service, plan)));
    let used = services.iter().flat_map(|service| &service.mounts).filter_map(|mount| match &mount.source {
        MountSource::Volume(short) => Some(short),
        MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => None,
    });
    let used: BTreeSet<&String> = used.collect();
    found.extend(used.into_iter().filter_map(|short| differing(stack, seen, short)));
    found.extend(compose::notes(stack, seen, plan));
    found
}

/// Where a service's data is, as opposed to where services.toml seems to put it.
fn of_service(stack: &Stack, seen: &Observed, service: &Service) -> Vec<Note> {
    let image = seen.images.get(&service.image);
    let Some(declared) = image.map(|image| image.volumes.clone()).or_else(|| kinds::declared(service)) else {
        return Vec::new();
    };
    let targets = targets(service, &declared);
    let data = kinds::known_data_path(&seen.on_image(service)).map(|path| clean(&path));
    let data = data.as_deref();
    let mut found: Vec<Note> = targets
        .iter()
        .filter_map(|target| {
            placement::above(service, target, data)
                .map(|over| placement::beside(stack, seen, service, &over, target, data))
        })
        .collect();
    found.extend(data.and_then(|data| placement::misplaced(stack, service, &targets, data)));
    let shadowed = nameless::of(seen, service).filter_map(|volume| {
        let target = &volume.place.as_ref()?.target;
        let mount = service.mounts.iter().find(|mount| clean(&mount.target) == *target)?;
        (mount.source != MountSource::Anonymous).then_some((volume, target, mount))
    });
    for (volume, target, mount) in shadowed {
        let message = format!(
            "what {} had at {target} before something else was mounted there is kept in volume {}",
            service.name, volume.name
        );
        let hint = format!("when it is no longer needed: docker volume rm {}", volume.name);
        found.push(Note::new(message, hint, mount.place.as_ref()));
    }
    found
}

/// A container of another image takes over what was in a folder of the old one; what the new image has there is not seen.
fn hidden_by_image(seen: &Observed, service: &Service, plan: &Plan) -> Option<Note> {
    let is_other_image = |step: &&super::Step| {
        step.op.service() == Some(&service.name) && matches!(step.cause, Cause::ImageChanged | Cause::BuildChanged(_))
    };
    if kinds::data_path(service).is_some() || plan.steps.iter().all(|step| !is_other_image(&step)) {
        return None;
    }
    // The same one each time, in whatever order the engine lists them.
    let target = nameless::of(seen, service).filter_map(|volume| Some(&volume.place.as_ref()?.target)).min()?;
    let message = format!("{}: {target} keeps its content; what the new image has there is not visible", service.name);
    let hint = format!("start with the image's content: taskava dev up -V {}", service.name);
    Some(Note::new(message, hint, service.place.as_ref()))
}

/// A volume that was created with other settings than services.toml has now: recreating it would lose its data.
fn differing(stack: &Stack, seen: &Observed, short: &str) -> Option<Note> {
    let declared = &stack.volumes[short];
    let own = |seen: &&Seen| seen.name == declared.name && seen.stack.as_deref() == Some(stack.name.as_str());
    let seen_volume = seen.volumes.iter().find(own).filter(|_| !declared.external)?;
    let differences = differences(declared, seen_volume);
    if differences.is_empty() {
        return None;
    }
    let users: Vec<&str> = snapshot::users(stack, seen, &declared.name).into_iter().map(ServiceName::as_str).collect();
    let message = format!(
        "volume {} was created with other settings than [volumes.{short}], and keeps them: {}",
        declared.name,
        differences.join(", ")
    );
    let hint = format!(
        "recreate it: taskava dev down -v {} && taskava dev up; its data goes into a snapshot first",
        users.join(" ")
    );
    Some(Note { differs: true, ..Note::new(message, hint, None) })
}

/// `options.type tmpfs → nfs`: what differs, as in services.toml.
fn differences(declared: &Volume, seen: &Seen) -> Vec<String> {
    let shown = |value: Option<&String>| value.map_or("none", String::as_str).to_owned();
    let mut found = Vec::new();
    let driver = declared.driver.as_deref().unwrap_or("local");
    if !seen.driver.is_empty() && seen.driver != driver {
        found.push(format!("driver {} → {driver}", seen.driver));
    }
    let wanted = |map: &indexmap::IndexMap<String, String>| map.clone().into_iter().collect::<BTreeMap<_, _>>();
    for (word, now, wanted) in
        [("options", &seen.options, wanted(&declared.options)), ("labels", &seen.labels, wanted(&declared.labels))]
    {
        let keys: BTreeSet<&String> = now.keys().chain(wanted.keys()).collect();
        let differs = keys.into_iter().filter(|key| now.get(*key) != wanted.get(*key));
        found.extend(differs.map(|key| format!("{word}.{key} {} → {}", shown(now.get(key)), shown(wanted.get(key)))));
    }
    found
}

/// What gives the services whose containers a plan creates power over the machine: a line each.
pub fn dangers(stack: &Stack, plan: &Plan) -> Vec<String> {
    let created = plan.changes().filter_map(|step| match &step.op {
        Op::Create { service } => stack.services.get(service),
        _ => None,
    });
    created.filter_map(danger::line).collect()
}

/// What a plan leaves of the volumes without a name of the containers that it removes or creates: a line each.
pub fn kept(stack: &Stack, seen: &Observed, plan: &Plan) -> Vec<String> {
    let touched = |service: &str| {
        plan.changes().any(|step| match &step.op {
            Op::Remove { service: of, .. } => of.as_str() == service && !matches!(step.cause, Cause::OneOff { .. }),
            Op::Create { service: of } => of.as_str() == service,
            _ => false,
        })
    };
    let removed = |name: &str| {
        plan.steps.iter().any(|step| matches!(&step.op, Op::RemoveVolume { volume, .. } if volume == name))
    };
    let own = seen.volumes.iter().filter(|volume| volume.stack.as_deref() == Some(stack.name.as_str()));
    let kept = own.filter_map(|volume| {
        let place = volume.place.as_ref().filter(|place| touched(place.service.as_str()) && !removed(&volume.name))?;
        Some(format!("{}: what is in {} is kept (volume {})", place.service, place.target, volume.name))
    });
    kept.collect()
}

//! The labels that are the state of a stack. All our objects carry them; objects without them are never removed.

use std::collections::HashMap;
use std::path::Path;

use crate::config::STACK_FILES;
use crate::model::{Kind, Place, ServiceName, Stack};

/// What they all begin with.
pub(super) const PREFIX: &str = "dev.taskava.";
/// Name of the stack.
pub(super) const PROJECT: &str = "dev.taskava.project";
/// Which checkout: [`Stack::instance`].
pub(super) const INSTANCE: &str = "dev.taskava.instance";
/// Folder of the services.toml.
pub(super) const ROOT: &str = "dev.taskava.root";
/// Name of the service.
pub(super) const SERVICE: &str = "dev.taskava.service";
/// On a one-off container instead of [`SERVICE`]: the service it is based on.
pub(super) const ONEOFF: &str = "dev.taskava.oneoff";
/// On a further container of a service that has several: the service.
pub(super) const REPLICA_OF: &str = "dev.taskava.replica-of";
/// Host ports that were chosen for the container where services.toml names none, JSON: `{"5432/tcp": 20432}`.
pub(super) const CHOSEN_PORTS: &str = "dev.taskava.chosen-ports";
/// Kind of the service.
pub(super) const KIND: &str = "dev.taskava.kind";
/// Its dependencies, as a JSON array: the order in which services stop without a services.toml.
pub(super) const DEPENDS: &str = "dev.taskava.depends";
/// What it was created from: JSON object, field → short hash, for containers; one hash for networks and volumes.
pub(super) const CONFIG: &str = "dev.taskava.config";
/// Why the container was created, as text.
pub(super) const CAUSE: &str = "dev.taskava.cause";
/// Name of the snapshot that an image is a part of.
pub(super) const SNAPSHOT: &str = "dev.taskava.snapshot";
/// The volume that an image is a copy of, by its name on the engine.
pub(super) const VOLUME: &str = "dev.taskava.volume";
/// On a snapshot's image: all volumes of the snapshot, a JSON list. Images of older versions have none.
pub(super) const SET: &str = "dev.taskava.set";
/// On a snapshot's image: the volume was empty.
pub(super) const EMPTY: &str = "dev.taskava.empty";
/// On a snapshot's image: the volume was incomplete; the command that completes it.
pub(super) const INCOMPLETE: &str = "dev.taskava.incomplete";
/// On a container that a volume is copied through: the volume.
pub(super) const HELPER: &str = "dev.taskava.helper";
/// On an empty volume: what has begun and has not ended yet, JSON of [`crate::plan::Intent`].
pub(super) const INTENT: &str = "dev.taskava.intent";

/// The folder in the container of [`SERVICE`] that a volume without a name is for.
pub(super) const TARGET: &str = "dev.taskava.target";
/// On a volume without content of its own: the engine's volume that holds the data of its place. Earlier versions left the naming
/// to the engine, and a volume can't be renamed.
pub(super) const HOLDS: &str = "dev.taskava.holds";
/// Key of what an image was prepared from.
pub(super) const PREPARED: &str = "dev.taskava.prepared";
/// Whose an isolated stack is: JSON of [`crate::model::Owner`].
pub(super) const OWNER: &str = "dev.taskava.owner";
/// The machine that [`ROOT`] is on, as in [`crate::model::Owner::host`]; on images, which outlive their owner.
pub(super) const MACHINE: &str = "dev.taskava.machine";
/// When an isolated stack may be removed, whatever its owner: seconds since 1970.
pub(super) const EXPIRES: &str = "dev.taskava.expires";
/// On the volume that says of an isolated stack: its owner left it on purpose.
pub(super) const KEPT: &str = "dev.taskava.kept";
/// On the volumes of a view: its host path.
pub(super) const VIEW: &str = "dev.taskava.view";
/// What an image was built from: JSON object, see [`crate::model::built`].
pub(super) const BUILD: &str = "dev.taskava.build";

/// Labels of every object of a stack.
pub(super) fn of_stack(stack: &Stack) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (PROJECT.into(), stack.name.to_string()),
        (INSTANCE.into(), stack.instance()),
        (ROOT.into(), stack.root.display().to_string()),
    ]);
    if let Some(isolation) = &stack.isolation {
        labels.insert(OWNER.into(), serde_json::json!(isolation.owner).to_string());
        labels.insert(EXPIRES.into(), isolation.expires.to_string());
    }
    labels
}

/// Whether labels are those of an object created by a stack, and not only its name on an object of another tool.
pub(super) fn are_whole(found: &HashMap<String, String>) -> bool {
    [PROJECT, INSTANCE, ROOT].iter().all(|key| found.get(*key).is_some_and(|value| !value.is_empty()))
}

/// Why a stack has to leave something alone that carries its name; none when it is its own. A checkout that was moved or
/// deleted no longer counts.
pub(super) fn left_alone(found: &HashMap<String, String>, stack: &Stack) -> Option<String> {
    if found.get(PROJECT).map(String::as_str) != Some(stack.name.as_str()) || !are_whole(found) {
        return Some("is not this stack's".into());
    }
    let root = &found[ROOT];
    let other =
        found[INSTANCE] != stack.instance() && STACK_FILES.iter().any(|file| Path::new(root).join(file).exists());
    other.then(|| format!("was created by another checkout, {root}"))
}

/// Labels of a service's container, in addition to those of its stack.
pub(super) fn of_service(name: &ServiceName, kind: Kind, config: &str) -> [(String, String); 3] {
    [(SERVICE.into(), name.to_string()), (KIND.into(), kind.as_str().into()), (CONFIG.into(), config.into())]
}

/// Labels of an anonymous volume, in addition to those of its stack.
pub(super) fn of_place(place: &Place) -> [(String, String); 2] {
    [(SERVICE.into(), place.service.to_string()), (TARGET.into(), place.target.clone())]
}

/// Whether a label is one of ours.
pub(super) fn is_ours(label: &str) -> bool {
    label.starts_with("dev.taskava.")
}

/// The filter for objects of a stack.
pub(super) fn filter(project: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".into(), vec![format!("{PROJECT}={project}")])])
}

//! Operations that have begun and have not ended: recorded on the engine before the first step that leaves data
//! incomplete, removed after the last. A command that finds one does not start services on that data; it reports what
//! was cut off and the command that finishes it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::observed::Volume;
use super::{Observed, Op};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{MountSource, Service, ServiceName, Stack, fingerprint_of};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Volumes are replaced by those of a snapshot: no server may start on them.
    RestoreSnapshot,
    /// Servers that run are filled from the file of a backup.
    RestoreFile,
    /// A volume is removed with what is in it: an engine that ends meanwhile leaves a part.
    RemoveVolume,
}

/// Something that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What it is.
    pub work: Work,
    /// Name of the snapshot or volume, or path of the file.
    pub of: String,
    /// The volumes whose content is not whole meanwhile, by name on the engine.
    pub volumes: BTreeSet<String>,
    /// The services whose data is not whole meanwhile.
    pub services: BTreeSet<String>,
    /// The command that finishes it, to be typed.
    pub finish: String,
    /// The snapshot that holds what was there before, if one was taken.
    pub before: Option<String>,
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.work {
            Work::RestoreSnapshot => write!(f, "restoring snapshot {}", self.of),
            Work::RestoreFile => write!(f, "restoring {}", self.of),
            Work::RemoveVolume => write!(f, "removing volume {}", self.of),
        }
    }
}

impl Intent {
    /// Name of the volume that says so; the same for the same intent.
    pub fn name(&self, project: &str) -> String {
        let text = serde_json::json!(self).to_string();
        format!("{project}_unfinished-{}", fingerprint_of(text.as_bytes()))
    }

    /// Whether a service's data is not whole because of it.
    pub fn concerns(&self, stack: &Stack, service: &Service) -> bool {
        let mounts = |mount: &crate::model::Mount| match &mount.source {
            MountSource::Volume(short) => self.volumes.contains(&stack.volumes[short].name),
            MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => false,
        };
        self.services.contains(service.name.as_str()) || service.mounts.iter().any(mounts)
    }

    /// Whether a snapshot is needed to finish it, or to go back.
    pub fn needs(&self, snapshot: &str) -> bool {
        self.before.as_deref() == Some(snapshot) || self.work == Work::RestoreSnapshot && self.of == snapshot
    }

    /// Whether putting other content into these volumes makes up for it.
    pub fn is_covered(&self, volumes: &BTreeSet<String>) -> bool {
        !self.volumes.is_empty() && self.volumes.is_subset(volumes)
    }

    /// What was cut off, in one line: `restoring snapshot base was cut off: the data of postgres, redis is incomplete`.
    pub fn message(&self) -> String {
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        let volumes: Vec<&str> = self.volumes.iter().map(String::as_str).collect();
        let of = match (&services[..], &volumes[..]) {
            ([], volumes) => format!("volume {}", volumes.join(", ")),
            (services, []) => services.join(", "),
            (services, volumes) => format!("{} ({})", services.join(", "), volumes.join(", ")),
        };
        format!("{self} was cut off: the data of {of} is incomplete")
    }

    /// What to do about it, the best first.
    pub fn remedies(&self) -> Vec<String> {
        let mut all = vec![format!("finish it with: {}", self.finish)];
        all.extend(
            self.before
                .as_ref()
                .map(|name| format!("or go back to the previous data: taskava dev snapshot restore {name}")),
        );
        all
    }

    /// The error of a command that would go on with such data.
    pub fn error(&self) -> Error {
        self.remedies().into_iter().fold(Error::new(ErrorKind::Other, self.message()), Error::hint)
    }
}

/// Refuses to do something with services whose data is not whole.
///
/// # Errors
/// When the data of one is not.
pub fn refuse<'a>(stack: &Stack, seen: &Observed, services: impl IntoIterator<Item = &'a Service>) -> Result<()> {
    refuse_but(stack, seen, services, |_| false)
}

/// The same, but for what the plan finishes itself.
pub(super) fn refuse_but<'a>(
    stack: &Stack,
    seen: &Observed,
    services: impl IntoIterator<Item = &'a Service>,
    is_finished: impl Fn(&&Intent) -> bool,
) -> Result<()> {
    let services: Vec<&Service> = services.into_iter().collect();
    let is_open = |intent: &&Intent| services.iter().any(|service| intent.concerns(stack, service));
    let found = seen.intents.iter().filter(|intent| !is_finished(intent)).find(is_open);
    found.map_or(Ok(()), |intent| Err(intent.error()))
}

/// Those that are settled when a stack's volumes are gone.
/// `services`: whose; none = of all.
pub(super) fn settled<'a>(
    seen: &'a Observed,
    removed: &BTreeSet<String>,
    services: &'a [ServiceName],
) -> impl Iterator<Item = &'a Intent> {
    let is_meant = |name: &String| services.iter().any(|service| service.as_str() == name);
    let removed = removed.clone();
    seen.intents.iter().filter(move |intent| {
        let without = intent.volumes.is_empty() && intent.services.iter().all(is_meant);
        services.is_empty() || without || intent.is_covered(&removed)
    })
}

/// The steps that remove what copies that were cut off left behind.
pub(super) fn leftovers(seen: &Observed) -> impl Iterator<Item = Op> + '_ {
    seen.helpers.iter().map(|helper| Op::RemoveHelper { helper: helper.name.clone(), container: helper.id.clone() })
}

/// The stack's own volumes that a service has mounted.
pub fn volumes(stack: &Stack, seen: &[Volume], service: &Service) -> BTreeSet<String> {
    let named = service.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume(short) => Some(stack.volumes[short].name.clone()),
        MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => None,
    });
    named.filter(|name| seen.iter().any(|volume| volume.name == *name)).collect()
}

//! (Stack, Observed, Request) → Plan. Pure: no I/O, no clock.
//!
//! A plan is data: it can be printed, tested and explained before anything happens. Pulling, starting and waiting are
//! steps too, so the plan shows what each step waits for. `run::apply` carries it out.

mod compose;
mod conflicts;
mod down;
mod fetch;
mod intent;
mod nameless;
mod networks;
mod notes;
pub mod observed;
mod placement;
pub mod remains;
mod snapshot;
#[cfg(test)]
mod tests;
mod unusable;
mod up;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::model::{Condition, Pins, Place, ServiceName, built};

pub use down::{down, removable_volumes, remove};
pub use fetch::{LeftOut, build, pull, wanted};
pub use intent::{Intent, Work, refuse, volumes};
pub use notes::{Note, dangers, kept, notes};
pub use observed::Observed;
pub use snapshot::{Restore, not_saved, restore, save};
pub use unusable::refuse_unusable;
pub use up::{needed, orphans, up};

/// Number of a step in its plan, from 1.
pub type StepId = usize;

/// The steps to carry out, in topological order: a step comes after every step it waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The steps that change something; waiting for what already runs and checks do not.
    pub fn changes(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.cause != Cause::Unchanged)
    }

    /// Nothing to do.
    pub fn is_noop(&self) -> bool {
        self.changes().next().is_none()
    }

    /// The step that creates a service's AWS resources, if there is one: the service is ready only after it.
    pub fn provision(&self, service: &ServiceName) -> Option<&Step> {
        self.steps.iter().find(|step| matches!(&step.op, Op::Provision { service: of, .. } if of == service))
    }

    /// The step with this number.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id - 1]
    }

    /// Appends a step and returns its number.
    pub(crate) fn push(&mut self, op: Op, cause: Cause, mut after: Vec<StepId>) -> StepId {
        after.sort_unstable();
        after.dedup();
        let id = self.steps.len() + 1;
        debug_assert!(after.iter().all(|other| *other < id), "a step can only wait for earlier ones");
        self.steps.push(Step { id, op, cause, after });
        id
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// What is done.
    #[serde(flatten)]
    pub op: Op,
    /// Why.
    pub cause: Cause,
    /// The steps that must have succeeded before.
    pub after: Vec<StepId>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are what their names say: names on the engine, services of the stack")]
pub enum Op {
    /// Pull an image from its registry; `pinned` is the digest it must have.
    Pull { service: ServiceName, image: String, pinned: Option<String> },
    /// Build an image.
    Build { service: ServiceName, image: String },
    /// Create a network, by name on the engine.
    CreateNetwork { network: String },
    /// Create a volume, by name on the engine. `place`: where it belongs, for an anonymous volume.
    CreateVolume {
        volume: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
    /// Fill a new volume with the content of a snapshot's image.
    FillVolume { volume: String, snapshot: String, image: String },
    /// Save a volume, by name on the engine, of services that do not run, in a snapshot.
    SaveVolume {
        volume: String,
        snapshot: String,
        services: String,
        #[serde(skip)]
        set: Vec<String>,
        #[serde(skip)]
        incomplete: Option<String>,
    },
    /// Record an intent, so that the operation is recognised if it is cut off.
    Begin { intent: Intent },
    /// Remove the intent of a finished operation.
    Finish { intent: Intent },
    /// Remove the helper container of a copy that was cut off.
    RemoveHelper { helper: String, container: String },
    /// Create a service's container.
    Create { service: ServiceName },
    /// Inspect the data directory before a server starts on it: half-initialised, or of another major version.
    CheckData { service: ServiceName, volume: String },
    /// Start a service's container.
    Start { service: ServiceName },
    /// Wait until a service is ready; for a job: until it has exited with code 0.
    WaitReady { service: ServiceName },
    /// Create the AWS resources that are declared for an emulator. `prune`: remove those that are no longer declared.
    Provision { service: ServiceName, prune: bool },
    /// Put back the saved objects of an emulator: that was cut off, or the emulator was restarted since.
    PutBack { service: ServiceName },
    /// Stop a container.
    Stop { service: ServiceName, container: String },
    /// Remove a container. The data in a service's volumes is kept.
    Remove { service: ServiceName, container: String },
    /// Remove a network, by name on the engine.
    RemoveNetwork { network: String },
    /// Remove a volume and its content, by name on the engine. `intent`: recorded meanwhile, because an engine that
    /// ends while it removes a volume leaves part of its content; none if an intent is already recorded.
    RemoveVolume { volume: String, intent: Option<Intent> },
}

impl Op {
    /// The service a step is about, if it is about one.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Pull { service, .. }
            | Self::Build { service, .. }
            | Self::Create { service }
            | Self::CheckData { service, .. }
            | Self::Start { service }
            | Self::WaitReady { service }
            | Self::Provision { service, .. }
            | Self::PutBack { service }
            | Self::Stop { service, .. }
            | Self::Remove { service, .. } => Some(service),
            Self::CreateNetwork { .. }
            | Self::CreateVolume { .. }
            | Self::FillVolume { .. }
            | Self::SaveVolume { .. }
            | Self::Begin { .. }
            | Self::Finish { .. }
            | Self::RemoveHelper { .. }
            | Self::RemoveNetwork { .. }
            | Self::RemoveVolume { .. } => None,
        }
    }
}

impl Op {
    /// The service that a step starts, if it starts one.
    pub fn starts(&self) -> Option<&ServiceName> {
        match self {
            Self::Start { service } => Some(service),
            _ => None,
        }
    }

    /// The intent that a step records, if it begins an operation that may be cut off.
    pub fn begins(&self) -> Option<&Intent> {
        match self {
            Self::Begin { intent } => Some(intent),
            _ => None,
        }
    }
}

/// `create postgres`: verb and object, as in `plan` and in progress lines.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { image, pinned: Some(pinned), .. } => {
                let digest = pinned.rsplit_once("sha256:").map_or(pinned.as_str(), |(_, digest)| digest);
                write!(f, "pull {image} ({})", digest.get(..12).unwrap_or(digest))
            }
            Self::Pull { image, .. } => write!(f, "pull {image}"),
            Self::Build { image, .. } => write!(f, "build {image}"),
            Self::CreateNetwork { network } => write!(f, "create network {network}"),
            Self::CreateVolume { volume, .. } => write!(f, "create volume {volume}"),
            Self::FillVolume { volume, snapshot, .. } => write!(f, "fill volume {volume} from snapshot {snapshot}"),
            Self::SaveVolume { volume, snapshot, .. } => write!(f, "save volume {volume} in snapshot {snapshot}"),
            Self::Begin { intent } => write!(f, "begin {intent}"),
            Self::Finish { intent } => write!(f, "finish {intent}"),
            Self::RemoveHelper { helper, .. } => write!(f, "remove leftover {helper}"),
            Self::Create { service } => write!(f, "create {service}"),
            Self::CheckData { service, volume } => write!(f, "check data of {service} in {volume}"),
            Self::Start { service } => write!(f, "start {service}"),
            Self::WaitReady { service } => write!(f, "wait {service}"),
            Self::Provision { service, .. } => write!(f, "provision {service}"),
            Self::PutBack { service } => write!(f, "put back objects of {service}"),
            Self::Stop { service, .. } => write!(f, "stop {service}"),
            Self::Remove { service, .. } => write!(f, "remove {service}"),
            Self::RemoveNetwork { network } => write!(f, "remove network {network}"),
            Self::RemoveVolume { volume, .. } => write!(f, "remove volume {volume}"),
        }
    }
}

/// Why a step is part of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are what their names say")]
pub enum Cause {
    /// It does not exist.
    Missing,
    /// It exists but does not run.
    NotRunning { state: String },
    /// It runs as it should; the step only checks it.
    Unchanged,
    /// Its configuration differs: the fields, as in services.toml.
    ConfigChanged { fields: Vec<String> },
    /// Its image has changed.
    ImageChanged,
    /// The sources of its image have changed.
    BuildChanged(built::Change),
    /// Its image is pulled again; the step is skipped if the image is the same.
    IfImageChanged,
    /// One of its dependencies was recreated.
    DependencyRecreated { dependency: ServiceName },
    /// Something it uses is recreated.
    Replaced,
    /// Requested: `--renew-anon-volumes`.
    VolumesRenewed,
    /// A network it uses has a problem.
    Network { network: String, trouble: Trouble },
    /// It has the name of another service's container.
    Misnamed { name: String },
    /// The previous step prepared it.
    Follows,
    /// The probe that is waited for, and for how many seconds at most.
    Gate { probe: String, seconds: u64 },
    /// Number of AWS resources that are declared for it.
    Declared { resources: usize },
    /// Requested: `restart`, `--recreate`, `--pull always`, `down`.
    Requested,
    /// No service may write while it is saved.
    Consistent,
    /// Data is about to be removed.
    BeforeLoss,
    /// It was cut off.
    CutOff,
    /// A container of this stack whose service is no longer in services.toml.
    Orphan,
    /// Its service has fewer containers now.
    ScaledDown { service: ServiceName, replicas: u32 },
    /// Two containers claim the same service.
    Duplicate,
    /// A container created by `run`.
    OneOff { container: String },
}

/// The problem of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// It was removed.
    Removed,
    /// It was removed and created again: the container refers to another one.
    Replaced,
    /// The container was disconnected from it.
    Disconnected,
    /// `[networks.…]` in services.toml was edited.
    Edited,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "was removed",
            Self::Replaced => "was removed and created again",
            Self::Disconnected => "was disconnected",
            Self::Edited => "changed in services.toml",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "missing"),
            Self::NotRunning { state } => write!(f, "{state}"),
            Self::Unchanged => write!(f, "runs, unchanged"),
            Self::ConfigChanged { fields } => write!(f, "config changed: {}", fields.join(", ")),
            Self::ImageChanged => write!(f, "image changed"),
            Self::BuildChanged(change) => change.fmt(f),
            Self::IfImageChanged => write!(f, "if the image changed"),
            Self::DependencyRecreated { dependency } => write!(f, "{dependency} was recreated"),
            Self::Replaced => write!(f, "replaced"),
            Self::VolumesRenewed => write!(f, "anonymous volumes are renewed"),
            Self::Network { network, trouble } => write!(f, "network {network} {trouble}"),
            Self::Misnamed { name } => write!(f, "named {name}"),
            Self::Follows => Ok(()),
            Self::Gate { probe, seconds } => write!(f, "{probe} within {seconds}s"),
            Self::Declared { resources: 1 } => write!(f, "1 resource declared"),
            Self::Declared { resources } => write!(f, "{resources} resources declared"),
            Self::Requested => write!(f, "requested"),
            Self::Consistent => write!(f, "while it is saved"),
            Self::BeforeLoss => write!(f, "before it is removed"),
            Self::CutOff => write!(f, "was cut off"),
            Self::Orphan => write!(f, "not in services.toml"),
            Self::ScaledDown { service, replicas } => write!(f, "{service} is scaled to {replicas}"),
            Self::Duplicate => write!(f, "second container of the service"),
            Self::OneOff { container } => write!(f, "one-off container {container}"),
        }
    }
}

/// The user's request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent flag of the command line")]
pub struct Request {
    /// Only these services, and for `up` their dependencies; empty = all active ones.
    pub services: Vec<ServiceName>,
    /// Exclude their dependencies.
    pub no_deps: bool,
    /// Recreate containers even if nothing changed.
    pub recreate: bool,
    /// Recreate containers with new anonymous volumes. The data of the old ones is saved in `snapshot`.
    pub renew: bool,
    /// Restart even if nothing changed.
    pub restart: bool,
    /// Pull images even if they exist (`Some(Always)`), or not even if they are missing (`Some(Never)`).
    pub pull: Option<crate::model::PullPolicy>,
    /// Build images even if they exist.
    pub build: bool,
    /// Build nothing: an image that does not exist is an error.
    pub no_build: bool,
    /// Containers that exist stay as they are, whatever changed.
    pub no_recreate: bool,
    /// `up`: create what is missing, but start nothing.
    pub no_start: bool,
    /// The current hashes of the files of each build. For a service without an entry, only services.toml counts.
    pub contents: BTreeMap<ServiceName, built::Content>,
    /// The required digests of images, by reference: `--frozen`.
    pub frozen: Option<Pins>,
    /// Remove containers whose service is no longer in services.toml.
    pub remove_orphans: bool,
    /// Remove AWS resources that were created for this stack and are no longer declared.
    pub prune: bool,
    /// `down`: remove the stack's own volumes too.
    pub volumes: bool,
    /// Name of the snapshot that is taken before data is lost.
    pub snapshot: Option<String>,
    /// `down`: only stop.
    pub stop_only: bool,
    /// `start`, and `restart` by labels: only start existing containers; never create or recreate.
    pub start_only: bool,
    /// The content of `[aws]` is unknown: no resources are created, and none are removed.
    pub undeclared: bool,
}

/// The step that a dependant's start waits for; none if the dependency already runs and need not be ready.
pub(crate) fn gate(condition: Condition, started: Option<StepId>, ready: Option<StepId>) -> Option<StepId> {
    match condition {
        Condition::Started => started,
        Condition::Ready => ready,
    }
}

/// The numbered table that `plan` prints and tests compare.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Numbered as shown: steps that only look are left out.
        let shown: Vec<StepId> = self.changes().map(|step| step.id).collect();
        let number = |id: &StepId| shown.binary_search(id).ok().map(|position| (position + 1).to_string());
        let rows: Vec<[String; 4]> = self
            .changes()
            .map(|step| {
                let after = step.after.iter().filter_map(number).collect::<Vec<_>>().join(",");
                let after = if after.is_empty() { after } else { format!("after {after}") };
                [number(&step.id).unwrap_or_default(), step.op.to_string(), after, step.cause.to_string()]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (number, op, after) = (width(0), width(1), width(2));
        for row in &rows {
            let line = format!("{:>number$}  {:op$}  {:after$}  {}", row[0], row[1], row[2], row[3]);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

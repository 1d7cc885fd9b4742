//! (Stack, Observed, Request) → Plan. Pure: no I/O, no clock.
//!
//! A plan is data: it can be printed, tested and explained before anything happens. Pulling, starting and waiting are
//! steps like any other, so what gates what is visible in the plan. `run::apply` carries it out.

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

pub use down::{down, removable_volumes};
pub use fetch::{LeftOut, build, pull};
pub use intent::{Intent, Work, refuse, volumes};
pub use notes::{Note, kept, notes};
pub use observed::Observed;
pub use snapshot::{Restore, restore, save};
pub use unusable::refuse_unusable;
pub use up::{needed, orphans, up, wanted};

/// Number of a step in its plan, from 1.
pub type StepId = usize;

/// What would be done, in topological order: a step comes after every step it waits for.
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

    /// The step that makes a service's AWS resources, if there is one: only after it is the service ready.
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
    /// What must have succeeded before.
    pub after: Vec<StepId>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are what their names say: names on the engine, services of the stack")]
pub enum Op {
    /// Fetch an image from its registry; `pinned` is the digest it has to have.
    Pull { service: ServiceName, image: String, pinned: Option<String> },
    /// Build an image.
    Build { service: ServiceName, image: String },
    /// Create a network, by name on the engine.
    CreateNetwork { network: String },
    /// Create a volume, by name on the engine. `place`: where it belongs, when services.toml gives it no name.
    CreateVolume {
        volume: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<Place>,
    },
    /// Fill a new volume with what a snapshot's image holds.
    FillVolume { volume: String, snapshot: String, image: String },
    /// Save a copy of a volume, by name on the engine, of services that do not run.
    SaveVolume {
        volume: String,
        snapshot: String,
        services: String,
        #[serde(skip)]
        set: Vec<String>,
        #[serde(skip)]
        incomplete: Option<String>,
    },
    /// Write down what begins, so that it is known when it is cut off.
    Begin { intent: Intent },
    /// Write down that it has ended.
    Finish { intent: Intent },
    /// Remove what a copy that was cut off left behind.
    RemoveHelper { helper: String, container: String },
    /// Create a service's container.
    Create { service: ServiceName },
    /// Look into the data directory before a server starts on it: half-initialised, or of another major version.
    CheckData { service: ServiceName, volume: String },
    /// Start a service's container.
    Start { service: ServiceName },
    /// Wait until a service is ready; for a job: until it has ended with exit 0.
    WaitReady { service: ServiceName },
    /// Make the AWS resources that are declared for an emulator. `prune`: remove what is declared no more.
    Provision { service: ServiceName, prune: bool },
    /// Put back what was saved of an emulator's buckets: that was cut off, or the emulator was restarted since.
    PutBack { service: ServiceName },
    /// Stop a container.
    Stop { service: ServiceName, container: String },
    /// Remove a container. Of a service's, what is in its volumes stays.
    Remove { service: ServiceName, container: String },
    /// Remove a network, by name on the engine.
    RemoveNetwork { network: String },
    /// Remove a volume and what is in it, by name on the engine. `intent`: what is written down meanwhile, as an engine that
    /// ends while it removes one leaves a part of its content; none where that is written down already.
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

    /// What begins with a step, if something does that may be cut off.
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

/// Why a step is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are what their names say")]
pub enum Cause {
    /// It does not exist.
    Missing,
    /// It exists but does not run.
    NotRunning { state: String },
    /// It runs as it should; the step only looks.
    Unchanged,
    /// Its configuration differs: the fields, as in services.toml.
    ConfigChanged { fields: Vec<String> },
    /// Its image is another one now.
    ImageChanged,
    /// What its image is built from differs.
    BuildChanged(built::Change),
    /// Its image is fetched anew; the step is left out when that brings the same image.
    IfImageChanged,
    /// What it depends on was made anew.
    DependencyRecreated { dependency: ServiceName },
    /// Something it uses is made anew.
    Replaced,
    /// Asked for: `--renew-anon-volumes`.
    VolumesRenewed,
    /// A network it uses: what is the matter with it.
    Network { network: String, trouble: Trouble },
    /// It has the name of another service's container.
    Misnamed { name: String },
    /// What the step before prepared.
    Follows,
    /// Waits for this, for at most so many seconds.
    Gate { probe: String, seconds: u64 },
    /// So many AWS resources are declared for it.
    Declared { resources: usize },
    /// Asked for: `restart`, `--recreate`, `--pull always`, `down`.
    Requested,
    /// Nothing may write while it is saved.
    Consistent,
    /// Data is about to be removed.
    BeforeLoss,
    /// It was cut off.
    CutOff,
    /// A container of this stack whose service is in services.toml no more.
    Orphan,
    /// Two containers claim the same service.
    Duplicate,
    /// A container that `run` made.
    OneOff { container: String },
}

/// What is the matter with a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// It was removed.
    Removed,
    /// It was removed and created again: the container knows another one.
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
            Self::Duplicate => write!(f, "second container of the service"),
            Self::OneOff { container } => write!(f, "one-off container {container}"),
        }
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent flag of the command line")]
pub struct Request {
    /// Only these, and for `up` what they need; empty = all active ones.
    pub services: Vec<ServiceName>,
    /// Leave out what they need.
    pub no_deps: bool,
    /// Make containers anew even when nothing changed.
    pub recreate: bool,
    /// Recreate containers with new volumes in the place of those without a name. What is in them goes into `snapshot`.
    pub renew: bool,
    /// Restart even when nothing changed.
    pub restart: bool,
    /// Pull images even when they are there (`Some(Always)`), or not even when missing (`Some(Never)`).
    pub pull: Option<crate::model::PullPolicy>,
    /// Build images even when they are there.
    pub build: bool,
    /// `up`: create what is missing, but start nothing.
    pub no_start: bool,
    /// What the files of each build amount to now. Of a service that is not here, only what services.toml says counts.
    pub contents: BTreeMap<ServiceName, built::Content>,
    /// The only digests that images may have, by reference: `--frozen`.
    pub frozen: Option<Pins>,
    /// Remove containers whose service is in services.toml no more.
    pub remove_orphans: bool,
    /// Remove AWS resources that were made for this stack and are declared no more.
    pub prune: bool,
    /// `down`: remove the stack's own volumes too.
    pub volumes: bool,
    /// What data goes into before it is lost: name of the snapshot that is taken first.
    pub snapshot: Option<String>,
    /// `down`: only stop.
    pub stop_only: bool,
    /// `start`, and `restart` by labels: only start what is there; never create or recreate.
    pub start_only: bool,
    /// What `[aws]` declares is not known: nothing of it is made, and nothing is too much.
    pub undeclared: bool,
}

/// The step a dependant's start waits for; none when the dependency is up already and was not asked to be ready.
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

//! Everything that is reported about a run: the only communication between the work and the screen.
//!
//! `run` emits events, `ui` shows them: as a live tree, as plain lines, or one JSON object per line (versioned, see
//! [`VERSION`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::masks::Masks;
use crate::model::{Endpoint, Failure, ServiceName};
use crate::plan::{Plan, StepId};

/// Version of the JSON form; increased when a field changes its meaning or is removed.
pub const VERSION: u32 = 1;

/// Something happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are what their names say; times are milliseconds since the run began or took")]
pub enum Event {
    /// Another run works on the stack; this one waits for it.
    LockWaiting { holder: String },
    /// A plan is about to be carried out.
    PlanStarted { stack: String, plan: Arc<Plan> },
    /// A step began.
    StepStarted { step: StepId, text: String, service: Option<ServiceName> },
    /// Progress of a step. `layer` distinguishes parallel parts of one step (image layers, build steps).
    StepProgress { step: StepId, layer: Option<String>, text: String, current: Option<u64>, total: Option<u64> },
    /// A step is done.
    StepDone { step: StepId, text: String, service: Option<ServiceName>, ms: u64 },
    /// An AWS resource was created, changed or removed: `bucket uploads: versioning off → on`.
    ResourceChanged { step: StepId, service: ServiceName, resource: String, text: String },
    /// A step failed.
    StepFailed { step: StepId, text: String, service: Option<ServiceName>, message: String, ms: u64 },
    /// A step was skipped because one it waits for failed.
    StepSkipped { step: StepId, text: String, service: Option<ServiceName>, because: StepId },
    /// A service is ready.
    ServiceReady { service: ServiceName, ms: u64 },
    /// How long ago a service was asked to stop; `saves`: it has data that it saves first. Emitted when the stop begins
    /// outside of a step, after two seconds, and then every ten.
    ServiceStopping { service: ServiceName, saves: bool, ms: u64 },
    /// A service that this run had started was stopped again, after Ctrl-C.
    ServiceStopped { service: ServiceName, ms: u64 },
    /// What the run still waits for, with the last answers of services. Every ten seconds.
    Heartbeat { waiting: Vec<String>, answers: BTreeMap<String, String>, ms: u64 },
    /// Files are watched for these services; emitted again when services.toml was changed.
    WatchStarted { services: Vec<ServiceName>, folders: usize, files: usize, polling: bool },
    /// Changed files (their number is `files`, the first one is `path`) start an action of a service: `restart`,
    /// `sync`, …
    WatchAction { service: ServiceName, action: String, path: String, files: usize },
    /// That action is done, or failed.
    WatchDone(WatchDone),
    /// A service's action rewrites what it watches; nothing is done until something else changes.
    WatchSuspended { service: ServiceName, paths: Vec<String>, times: u32 },
    /// A file from which the stack was loaded (`path`) changed, and the difference was applied: what was done to which
    /// services.
    WatchReloaded { path: String, changes: Vec<String>, failures: Vec<Failure>, ms: u64 },
    /// Information that is not a failure.
    Notice { message: String },
    /// Something the user should look at.
    Warning { message: String, hint: Option<String> },
    /// Ctrl-C, SIGTERM or SIGHUP was received; describes what happens now.
    Interrupted { message: String },
    /// The end of a run; always the last event.
    Summary(Summary),
}

impl Event {
    /// The same with secrets masked in text from other programs: services, builds, the engine.
    fn masked(&self, masks: &Masks) -> Cow<'_, Self> {
        let mask = |text: &mut String| *text = masks.text(text).into_owned();
        let mut event = self.clone();
        match &mut event {
            Self::StepProgress { text, total: None, .. }
            | Self::ResourceChanged { text, .. }
            | Self::StepFailed { message: text, .. }
            | Self::Notice { message: text }
            | Self::Warning { message: text, .. } => mask(text),
            Self::Heartbeat { answers, .. } => answers.values_mut().for_each(mask),
            Self::WatchDone(WatchDone { output, failures, .. }) => {
                output.iter_mut().for_each(mask);
                failures.iter_mut().for_each(|failure| failure.mask(masks));
            }
            Self::WatchReloaded { failures, .. } | Self::Summary(Summary { failures, .. }) => {
                failures.iter_mut().for_each(|failure| failure.mask(masks));
            }
            // What is ours alone, as names are.
            _ => return Cow::Borrowed(self),
        }
        Cow::Owned(event)
    }
}

/// The result of a watch action.
#[derive(Debug, Clone, Default, Serialize)]
pub struct WatchDone {
    /// The service.
    pub service: Option<ServiceName>,
    /// `restart`, `sync`, …; several are joined with `+`.
    pub action: String,
    /// The first changed file.
    pub path: String,
    /// Number of changed files.
    pub files: usize,
    /// The end of a command's output, unchanged; only for `exec`.
    pub output: Option<String>,
    /// Root causes, if it failed.
    pub failures: Vec<Failure>,
    /// How long it took; for a restart, until the service was ready.
    pub ms: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Whether everything succeeded.
    pub ok: bool,
    /// Steps that changed something.
    pub changes: usize,
    /// Root causes of failure, one per service; failures caused by them are not included.
    pub failures: Vec<Failure>,
    /// Services that were skipped because of a failure.
    pub skipped: Vec<ServiceName>,
    /// Where the running services can be reached.
    pub endpoints: Vec<Endpoint>,
    /// How long it took.
    pub ms: u64,
}

/// Where events go. Cheap to clone; silent by default.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(&Event) + Send + Sync>);

impl Events {
    /// Sends each event to a function.
    pub fn to(sink: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// The same, with secrets masked.
    #[must_use]
    pub fn masked(&self, masks: Arc<Masks>) -> Self {
        let events = self.clone();
        Self::to(move |event| events.emit(&event.masked(&masks)))
    }

    /// Emits an event.
    pub fn emit(&self, event: &Event) {
        (self.0)(event);
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::to(|_| {})
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

/// Whole milliseconds, as events carry them.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A size for people: `39 MB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", (bytes + 500_000) / 1_000_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

/// A change of a container whose log is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Its process ended, with this code.
    Exited(Option<i64>),
    /// The same container was started again.
    StartedAgain,
    /// Another container of the service.
    Recreated,
}

/// A turn, with its service and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The service.
    pub service: ServiceName,
    /// When, in nanoseconds since 1970 by the engine's clock.
    pub at: Option<i64>,
    /// What.
    pub turn: Turn,
}

/// A number of things: `1 table`, `2 tables`.
pub fn counted(count: u64, one: &str) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{count} {one}{many}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::ErrorKind;

    #[test]
    fn sizes_for_people() {
        let shown = [0, 1, 999_999, 39_833_056, 2_340_000_000].map(size);
        assert_eq!(shown, ["0 kB", "1 kB", "1000 kB", "40 MB", "2.3 GB"]);
    }

    #[test]
    fn what_others_said_is_told_without_secrets() {
        let failure = Failure {
            service: None,
            kind: ErrorKind::Other,
            message: "password=pw-1".into(),
            exit_code: None,
            oom_killed: false,
            last_probe: Some("password=pw-2".into()),
            log: vec!["password=pw-3".into(), "-----BEGIN PRIVATE KEY-----".into(), "pw".into()],
            reason: None,
            next: Some("password=pw-4".into()),
        };
        let said = "password=pw-5".to_owned();
        for event in [
            Event::Summary(Summary { failures: vec![failure.clone()], ..Summary::default() }),
            Event::WatchDone(WatchDone {
                output: Some(said.clone()),
                failures: vec![failure.clone()],
                ..WatchDone::default()
            }),
            Event::WatchReloaded { path: String::new(), changes: Vec::new(), failures: vec![failure], ms: 0 },
            Event::StepProgress { step: 1, layer: None, text: said.clone(), current: None, total: None },
            Event::StepFailed { step: 1, text: "start".into(), service: None, message: said.clone(), ms: 0 },
            Event::Notice { message: said.clone() },
            Event::Warning { message: said, hint: None },
        ] {
            let (told, masked) = (format!("{event:?}"), format!("{:?}", event.masked(&Masks::default())));
            assert!(told.contains("pw") && !masked.contains("pw"), "{masked}");
        }
    }
}

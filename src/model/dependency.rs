//! How a service depends on another.

use serde::Serialize;

/// What a dependant waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// The container runs.
    Started,
    /// It is ready; for a job: it exited with code 0.
    Ready,
}

/// How a service depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// What it waits for.
    pub condition: Condition,
    /// It starts the other, and does not start without it. Otherwise it waits for it only where it is started anyway, and starts
    /// also where it fails.
    pub required: bool,
    /// It is restarted when the other is restarted or recreated.
    pub restart: bool,
}

impl Dependency {
    /// One that is required, and nothing more.
    pub fn on(condition: Condition) -> Self {
        Self { condition, required: true, restart: false }
    }
}

impl Condition {
    /// As written in services.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
        }
    }
}

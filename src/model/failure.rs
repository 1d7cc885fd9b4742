//! Why a service failed, and where a running one can be reached: plain data that kinds produce and events carry.

use serde::Serialize;

use super::ServiceName;
use crate::diag::ErrorKind;

/// A service and where it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The service.
    pub service: ServiceName,
    /// `5432`, `http`, …: which of its ports.
    pub label: String,
    /// URL with passwords masked, or `host:port`.
    pub url: String,
}

/// Why a service failed: everything one needs to go on.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The service, if the failure belongs to one.
    pub service: Option<ServiceName>,
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// What happened: `exited with code 1`, `not ready after 60 s`.
    pub message: String,
    /// Exit code, when its container ended.
    pub exit_code: Option<i64>,
    /// The engine ran out of memory for it.
    pub oom_killed: bool,
    /// What the last probe got as an answer.
    pub last_probe: Option<String>,
    /// The last lines of its log, sanitised.
    pub log: Vec<String>,
    /// The likely reason, when it is a known one.
    pub reason: Option<String>,
    /// The one command or edit to try next.
    pub next: Option<String>,
}

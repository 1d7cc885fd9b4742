//! Operations on a stack's data that were cut off, as reported by `ps --json` and `explain --json`.

use serde::Serialize;

use super::Context;
use crate::model::ServiceName;
use crate::plan::{Intent, Work};

/// Something that has begun and has not ended.
#[derive(Debug, Clone, Serialize)]
pub struct Unfinished<'a> {
    /// What is half done.
    pub what: What,
    /// Of which snapshot, or which file.
    pub of: Option<&'a str>,
    /// The services whose data is not whole.
    pub services: Vec<&'a str>,
    /// The volumes that are not whole, by name on the engine.
    pub volumes: Vec<&'a str>,
    /// The same for people.
    pub message: String,
    /// The command that finishes it.
    pub finish: String,
    /// The snapshot of what was there before.
    pub before: Option<&'a str>,
}

/// What is half done.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "what they say")]
pub enum What {
    RestoreSnapshot,
    RestoreFile,
    RemoveVolume,
    PutBackObjects,
}

impl<'a> From<&'a Intent> for Unfinished<'a> {
    fn from(intent: &'a Intent) -> Self {
        Self {
            what: match intent.work {
                Work::RestoreSnapshot => What::RestoreSnapshot,
                Work::RestoreFile => What::RestoreFile,
                Work::RemoveVolume => What::RemoveVolume,
            },
            of: Some(&intent.of),
            services: intent.services.iter().map(String::as_str).collect(),
            volumes: intent.volumes.iter().map(String::as_str).collect(),
            message: intent.message(),
            finish: intent.finish.clone(),
            before: intent.before.as_deref(),
        }
    }
}

impl<'a> Unfinished<'a> {
    /// An emulator that has not got back all that was saved of its buckets.
    pub fn objects(context: &Context, service: &'a ServiceName) -> Self {
        Self {
            what: What::PutBackObjects,
            of: None,
            services: vec![service.as_str()],
            volumes: Vec::new(),
            message: format!("not all objects of {service} are put back yet"),
            finish: context.command(["up", service.as_str()]),
            before: None,
        }
    }
}

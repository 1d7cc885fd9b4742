//! Declared AWS resources → requests to an emulator: lists what exists, creates or changes only what differs, and
//! reports each change with its cause. No state file: existing resources are queried, and those created for a stack
//! carry its tag.
//!
//! `sigv4` signs, `client` asks, `answer` is what comes back, `diff` compares (pure), one file a service of AWS knows
//! how its resources are looked at and made; `spec` is what they have in common, and lists them. When this happens is
//! `run`'s.

mod alarms;
mod answer;
mod client;
mod cognito;
mod diff;
mod dynamodb;
mod iam;
mod kms;
mod logs;
pub mod objects;
mod reconcile;
mod s3;
mod secrets;
mod seed;
mod ses;
pub mod sigv4;
mod sns;
mod spec;
mod sqs;
mod ssm;
mod user_pool_members;
mod xml;

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;

use crate::model::aws::{Properties, Property, ResourceId};

pub use answer::{Answer, AwsError};
pub use client::{Client, Protocol, Question};
pub use diff::{Change, Seen, What, diff};
pub use reconcile::{Failed, Outcome, ReconcileOptions, compare, look, reconcile, survey};

/// Tag of everything that was made for a stack; its value is the stack's name.
pub const STACK_TAG: &str = "taskava:stack";

/// An emulator on behalf of a stack.
#[derive(Debug)]
pub struct Emulator {
    /// Asks it.
    pub client: Client,
    /// Name of the stack.
    pub stack: String,
    /// What it calls resources by: URL of a queue, id of a user pool, ARN of a topic.
    ids: RefCell<HashMap<ResourceId, String>>,
}

impl Emulator {
    /// The emulator that a client asks, on behalf of a stack.
    pub fn new(client: Client, stack: impl Into<String>) -> Self {
        Self { client, stack: stack.into(), ids: RefCell::default() }
    }

    /// What the emulator calls a resource by; empty when it was not seen.
    pub fn known(&self, id: &ResourceId) -> String {
        self.ids.borrow().get(id).cloned().unwrap_or_default()
    }

    fn learn(&self, id: &ResourceId, name: &str) {
        self.ids.borrow_mut().insert(id.clone(), name.to_owned());
    }

    fn is_ours(&self, (name, value): &(String, String)) -> bool {
        name == STACK_TAG && *value == self.stack
    }

    /// Whether a list of tags, in the form of most JSON services, has the stack's.
    fn has_our_tag(&self, tags: &Value) -> bool {
        objects(tags).any(|tag| tag["Key"] == STACK_TAG && tag["Value"] == *self.stack)
    }
}

impl Seen {
    /// Notes a resource: with its properties when it is declared, else when it was made for this stack.
    fn note(&mut self, id: ResourceId, found: Option<Properties>, ours: bool) {
        match found {
            Some(found) => {
                self.existing.insert(id, found);
            }
            None if ours => {
                self.undeclared.insert(id);
            }
            None => {}
        }
    }

    /// Both together.
    #[must_use]
    fn with(mut self, other: Self) -> Self {
        self.existing.extend(other.existing);
        self.undeclared.extend(other.undeclared);
        self
    }
}

/// As [`Seen::note`] takes them.
impl FromIterator<(ResourceId, Option<Properties>, bool)> for Seen {
    fn from_iter<T: IntoIterator<Item = (ResourceId, Option<Properties>, bool)>>(looked: T) -> Self {
        let mut seen = Self::default();
        looked.into_iter().for_each(|(id, found, ours)| seen.note(id, found, ours));
        seen
    }
}

/// The members of a JSON array; none where there is none.
fn objects(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// AWS does not allow to change this; `remedy` are the arguments of the AWS CLI that remove the resource.
fn fixed(property: Property, remedy: &str) -> AwsError {
    let message =
        format!("{property} can't be changed; remove it, and `up` creates it again: taskava dev aws -- {remedy}");
    AwsError { status: 0, code: String::new(), message }
}

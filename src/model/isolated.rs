//! The owner of an isolated stack, and how such a stack is recognised. `resolve::isolate` derives one, `isolated` runs
//! it.

use serde::{Deserialize, Serialize};

use super::subnet::Subnet;

/// What names of isolated stacks begin with. Only stacks named so are ever removed without being asked for by name.
pub const PREFIX: &str = "taskava-t-";

/// Who made an isolated stack and until when it may stay. Written on everything it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The process that uses it.
    pub owner: Owner,
    /// When it may be removed even if nothing is known of its owner: seconds since 1970.
    pub expires: i64,
    /// Where its networks' addresses are taken from.
    pub pools: Vec<Subnet>,
}

/// A process, so that another one with the same PID is not mistaken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The machine.
    pub host: String,
    /// Its present run: changes when it is restarted.
    pub boot: String,
    /// Where the number counts: containers have numbers of their own.
    pub space: String,
    /// Number.
    pub pid: u32,
    /// When it was started, in the system's own words.
    pub started: String,
}

/// Whether a stack of this name is an isolated one.
pub fn is_name(name: &str) -> bool {
    name.starts_with(PREFIX)
}

//! Removes what crashed runs left behind: isolated stacks whose owner has ended, or which have expired while their
//! owner can't be checked; and images (`images`).

pub mod images;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::diag::{ErrorKind, Result};
use crate::engine::{Engine, ImageOrigin, IsolatedStack, ManagedImage};
use crate::event::Events;
use crate::plan::observed::Helper;
use crate::run::process_identity::{self, Life};
use crate::run::{Lock, Shutdown, snapshot};

/// Why a stack may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The process it was made for has ended.
    OwnerGone,
    /// Its time has passed.
    Expired,
}

/// An isolated stack, and why it may go; none = it stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The stack.
    pub isolated_stacks: IsolatedStack,
    /// Why it may go.
    pub why: Option<Reason>,
}

/// Whether a stack may go. A test that runs for long is no crashed one: as long as its owner is seen to live, it stays.
pub fn judge(isolated_stacks: &IsolatedStack, life: Life, now: i64) -> Option<Reason> {
    let expired = now >= isolated_stacks.expires;
    match life {
        Life::Alive => None,
        Life::Gone if !isolated_stacks.kept => Some(Reason::OwnerGone),
        Life::Gone | Life::Unknown => expired.then_some(Reason::Expired),
    }
}

/// All isolated stacks, and which of them may go.
///
/// # Errors
/// When the engine does not answer.
pub async fn look(engine: &Engine) -> Result<Vec<Candidate>> {
    let (here, now) = (process_identity::this_process(), jiff::Timestamp::now().as_second());
    let local = engine.about.address.starts_with("unix://");
    let judged = |isolated_stacks: IsolatedStack| {
        let life =
            isolated_stacks.owner.as_ref().map_or(Life::Unknown, |owner| process_identity::life(owner, &here, local));
        Candidate { why: judge(&isolated_stacks, life, now), isolated_stacks }
    };
    Ok(engine.isolated_stacks().await?.into_iter().map(judged).collect())
}

/// What copies and snapshots that were cut off left in people's stacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// A container that a volume was copied through.
    Helper(Helper),
    /// Images of a snapshot that is not whole.
    Part {
        /// The stack.
        project: String,
        /// Name that the snapshot would have got.
        snapshot: String,
    },
}

/// Looks for them in all stacks. What a run is just at looks the same: [`remove_leftover`] leaves that alone.
///
/// # Errors
/// When the engine does not answer.
pub async fn leftovers(engine: &Engine) -> Result<Vec<Leftover>> {
    let mut found: Vec<Leftover> = engine.helpers().await?.into_iter().map(Leftover::Helper).collect();
    let images = engine.own_images().await?;
    let project = |image: &ManagedImage| match &image.made {
        ImageOrigin::Snapshot { project, .. } => Some(project.clone()),
        ImageOrigin::Prepared { .. } | ImageOrigin::Build => None,
    };
    let projects: BTreeSet<String> = images.iter().filter_map(project).collect();
    for project in projects {
        let parts = snapshot::both(engine, &project).await?.1;
        found.extend(parts.into_iter().map(|part| Leftover::Part { project: project.clone(), snapshot: part.name }));
    }
    Ok(found)
}

/// Removes one, unless its stack is just being changed: then it stays, and false comes back.
///
/// # Errors
/// When the engine refuses.
pub async fn remove_leftover(engine: &Engine, leftover: &Leftover) -> Result<bool> {
    let (Leftover::Helper(Helper { project, .. }) | Leftover::Part { project, .. }) = leftover;
    let (events, shutdown) = (Events::default(), Shutdown::default());
    match Lock::take(&engine.about.address, project, "gc", Duration::ZERO, &events, &shutdown).await {
        Ok(_lock) => match leftover {
            Leftover::Helper(helper) => engine.remove_helper(helper).await.map(|()| true),
            // Looked at again: it may have become whole.
            Leftover::Part { .. } => snapshot::discard_parts(engine, project).await.map(|()| true),
        },
        Err(error) if error.kind == ErrorKind::Locked => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes every stack that may go.
///
/// # Errors
/// When the engine can't be asked, or refuses.
pub async fn sweep(engine: &Engine) -> Result<()> {
    for Candidate { isolated_stacks, .. } in look(engine).await?.into_iter().filter(|judged| judged.why.is_some()) {
        engine.remove_isolated(&isolated_stacks.project).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_living_process_uses_stays() {
        let isolated_stacks = IsolatedStack { expires: 100, ..IsolatedStack::default() };
        assert_eq!(judge(&isolated_stacks, Life::Alive, 1000), None);
        assert_eq!(judge(&isolated_stacks, Life::Gone, 0), Some(Reason::OwnerGone));
    }

    #[test]
    fn what_was_left_on_purpose_stays_until_its_time_has_passed() {
        let isolated_stacks = IsolatedStack { expires: 100, kept: true, ..IsolatedStack::default() };
        assert_eq!(judge(&isolated_stacks, Life::Gone, 99), None);
        assert_eq!(judge(&isolated_stacks, Life::Gone, 100), Some(Reason::Expired));
    }

    #[test]
    fn of_whom_nothing_is_known_time_decides() {
        let isolated_stacks = IsolatedStack { expires: 100, ..IsolatedStack::default() };
        assert_eq!(judge(&isolated_stacks, Life::Unknown, 99), None);
        assert_eq!(judge(&isolated_stacks, Life::Unknown, 100), Some(Reason::Expired));
    }
}

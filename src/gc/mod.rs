//! Removes what crashed runs left behind: isolated stacks whose owner is gone, or whose time has passed while nobody can
//! say whether their owner lives; and images (`images`).

pub mod images;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::diag::{ErrorKind, Result};
use crate::engine::{Engine, Made, OwnImage, Owned};
use crate::event::Events;
use crate::plan::observed::Helper;
use crate::run::owner::{self, Life};
use crate::run::{Cancel, Lock, snapshot};

/// Why a stack may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The process it was made for is gone.
    OwnerGone,
    /// Its time has passed.
    Expired,
}

/// An isolated stack, and why it may go; none = it stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The stack.
    pub owned: Owned,
    /// Why it may go.
    pub why: Option<Why>,
}

/// Whether a stack may go. A test that runs for long is no crashed one: as long as its owner is seen to live, it stays.
pub fn judge(owned: &Owned, life: Life, now: i64) -> Option<Why> {
    let expired = now >= owned.expires;
    match life {
        Life::Alive => None,
        Life::Gone if !owned.kept => Some(Why::OwnerGone),
        Life::Gone | Life::Unknown => expired.then_some(Why::Expired),
    }
}

/// All isolated stacks, and which of them may go.
///
/// # Errors
/// When the engine can't be asked.
pub async fn look(engine: &Engine) -> Result<Vec<Judged>> {
    let (here, now) = (owner::this_process(), jiff::Timestamp::now().as_second());
    let local = engine.about.address.starts_with("unix://");
    let judged = |owned: Owned| {
        let life = owned.owner.as_ref().map_or(Life::Unknown, |owner| owner::life(owner, &here, local));
        Judged { why: judge(&owned, life, now), owned }
    };
    Ok(engine.owned().await?.into_iter().map(judged).collect())
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
/// When the engine can't be asked.
pub async fn leftovers(engine: &Engine) -> Result<Vec<Leftover>> {
    let mut found: Vec<Leftover> = engine.helpers().await?.into_iter().map(Leftover::Helper).collect();
    let images = engine.own_images().await?;
    let project = |image: &OwnImage| match &image.made {
        Made::Snapshot { project, .. } => Some(project.clone()),
        Made::Prepared { .. } | Made::Build => None,
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
    let (events, cancel) = (Events::default(), Cancel::default());
    match Lock::take(&engine.about.address, project, "gc", Duration::ZERO, &events, &cancel).await {
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
    for Judged { owned, .. } in look(engine).await?.into_iter().filter(|judged| judged.why.is_some()) {
        engine.remove_isolated(&owned.project).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_living_process_uses_stays() {
        let owned = Owned { expires: 100, ..Owned::default() };
        assert_eq!(judge(&owned, Life::Alive, 1000), None);
        assert_eq!(judge(&owned, Life::Gone, 0), Some(Why::OwnerGone));
    }

    #[test]
    fn what_was_left_on_purpose_stays_until_its_time_has_passed() {
        let owned = Owned { expires: 100, kept: true, ..Owned::default() };
        assert_eq!(judge(&owned, Life::Gone, 99), None);
        assert_eq!(judge(&owned, Life::Gone, 100), Some(Why::Expired));
    }

    #[test]
    fn of_whom_nothing_is_known_time_decides() {
        let owned = Owned { expires: 100, ..Owned::default() };
        assert_eq!(judge(&owned, Life::Unknown, 99), None);
        assert_eq!(judge(&owned, Life::Unknown, 100), Some(Why::Expired));
    }
}

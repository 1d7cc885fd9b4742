//! Snapshots: which images belong together, names of automatic snapshots, and how long they are kept. Taking and
//! restoring one is a plan (`plan::save`, `plan::restore`); the content of an image is up to `engine::snapshots`.

use serde::Serialize;

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::plan::observed::Saved;

/// What begins the names of snapshots that were taken without being asked for.
const AUTO: &str = "auto-";

/// How many of those are kept.
pub(crate) const KEPT: usize = 3;

/// The saved volumes of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Taken by itself, before data was removed.
    pub auto: bool,
    /// The services whose data it holds.
    pub services: Vec<String>,
    /// Size of all of it, in bytes.
    pub size: u64,
    /// When it was taken, seconds since 1970 by the engine's clock.
    pub created: i64,
    /// The saved volumes.
    pub volumes: Vec<Saved>,
}

/// The name of a snapshot that is taken by itself: `auto-20260131-235959-042`. Two of one second are two.
pub fn auto_name() -> String {
    format!("{AUTO}{}", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S-%3f"))
}

/// Whether a name is one of those.
pub fn is_auto(name: &str) -> bool {
    name.starts_with(AUTO)
}

impl Snapshot {
    /// Whether an image of each of its volumes is there, and something is in one of them. What a run left that was cut off
    /// while it saved is no snapshot.
    pub fn is_whole(&self) -> bool {
        let is_there = |volume: &String| self.volumes.iter().any(|saved| saved.volume == *volume);
        self.volumes.iter().flat_map(|saved| &saved.set).all(is_there) && self.volumes.iter().any(|saved| !saved.empty)
    }
}

/// The snapshots of a stack, the newest first, and what exists of incomplete ones.
///
/// # Errors
/// When the engine does not answer.
pub async fn both(engine: &Engine, project: &str) -> Result<(Vec<Snapshot>, Vec<Snapshot>)> {
    Ok(group(engine.saved(project).await?).into_iter().partition(Snapshot::is_whole))
}

/// The snapshots of a stack, the newest first.
///
/// # Errors
/// When the engine does not answer.
pub async fn all(engine: &Engine, project: &str) -> Result<Vec<Snapshot>> {
    Ok(both(engine, project).await?.0)
}

/// Removes what there is of snapshots that are not whole. For who holds the stack's lock: no other run is at it.
///
/// # Errors
/// When the engine can't be asked, or refuses.
pub async fn discard_parts(engine: &Engine, project: &str) -> Result<()> {
    for part in both(engine, project).await?.1 {
        remove(engine, &part).await?;
    }
    Ok(())
}

/// One snapshot of a stack.
///
/// # Errors
/// [`ErrorKind::Usage`] when there is none of that name.
pub async fn find(engine: &Engine, project: &str, name: &str) -> Result<Snapshot> {
    let (all, parts) = both(engine, project).await?;
    if parts.iter().any(|part| part.name == name) {
        let message = format!("`{name}` is not a complete snapshot: saving it was cut off");
        return Err(Error::new(ErrorKind::Usage, message)
            .hint(format!("remove what was saved of it: taskava dev snapshot remove {name}")));
    }
    let names: Vec<&str> = all.iter().map(|snapshot| snapshot.name.as_str()).collect();
    let hint = if names.is_empty() {
        "there is none yet; take one with: taskava dev snapshot save NAME".into()
    } else {
        format!("there are: {}", names.join(", "))
    };
    let missing = || Error::new(ErrorKind::Usage, format_args!("no snapshot `{name}` of {project}")).hint(hint);
    all.iter().find(|snapshot| snapshot.name == name).cloned().ok_or_else(missing)
}

/// Removes a snapshot.
///
/// # Errors
/// When the engine refuses.
pub async fn remove(engine: &Engine, snapshot: &Snapshot) -> Result<()> {
    for saved in &snapshot.volumes {
        engine.remove_saved(saved).await?;
    }
    Ok(())
}

/// Removes all but the newest of the snapshots of a stack that were taken by themselves. What something that was cut off
/// needs stays.
///
/// # Errors
/// When the engine refuses.
pub async fn prune(engine: &Engine, project: &str) -> Result<()> {
    let (all, intents) = (all(engine, project).await?, engine.intents(project).await?);
    for snapshot in all.iter().filter(|snapshot| snapshot.auto).skip(KEPT) {
        if !intents.iter().any(|intent| intent.needs(&snapshot.name)) {
            remove(engine, snapshot).await?;
        }
    }
    Ok(())
}

/// `saved`: the newest first.
fn group(saved: Vec<Saved>) -> Vec<Snapshot> {
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for saved in saved {
        let known = snapshots.iter().position(|snapshot| snapshot.name == saved.snapshot);
        let at = known.unwrap_or_else(|| {
            let (name, auto) = (saved.snapshot.clone(), is_auto(&saved.snapshot));
            let (services, volumes, created) = (Vec::new(), Vec::new(), saved.created);
            snapshots.push(Snapshot { name, auto, services, size: 0, created, volumes });
            snapshots.len() - 1
        });
        let snapshot = &mut snapshots[at];
        snapshot.size += saved.size;
        if !saved.empty {
            snapshot.services.extend(saved.services.iter().cloned());
        }
        snapshot.services.sort_unstable();
        snapshot.services.dedup();
        snapshot.volumes.push(saved);
    }
    snapshots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(snapshot: &str, volume: &str, created: i64) -> Saved {
        let (reference, services) = (format!("taskava-snapshot:{volume}"), vec![format!("of-{volume}"), "both".into()]);
        let (snapshot, volume) = (snapshot.into(), volume.into());
        let (set, incomplete, empty) = (Vec::new(), None, false);
        let place = None;
        Saved { reference, snapshot, volume, services, place, created, size: 10, set, incomplete, empty }
    }

    #[test]
    fn a_snapshot_is_whole_when_each_of_its_volumes_is_there() {
        let of = |volume: &str, empty| Saved { set: vec!["x".into(), "y".into()], empty, ..saved("s", volume, 1) };
        let is_whole = |all: Vec<Saved>| group(all)[0].is_whole();
        assert!(is_whole(vec![of("x", false), of("y", false)]));
        assert!(is_whole(vec![of("x", true), of("y", false)]), "an empty one counts");
        assert!(!is_whole(vec![of("y", false)]));
        assert!(!is_whole(vec![of("x", true), of("y", true)]), "nothing is in it");
        assert!(is_whole(vec![saved("old", "x", 1)]), "older versions did not say");
    }

    #[test]
    fn volumes_of_one_name_belong_together() {
        let found = group(vec![saved("b", "x", 9), saved("a", "y", 5), saved("a", "x", 4)]);
        let names: Vec<&str> = found.iter().map(|snapshot| snapshot.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!((found[1].size, found[1].created), (20, 5));
        assert_eq!(found[1].services, ["both", "of-x", "of-y"]);
    }

    #[test]
    fn automatic_names_are_names() {
        // Once: the next millisecond has another.
        let name = auto_name();
        assert!(is_auto(&name));
        assert_eq!(crate::model::CopyName::parse(&name).map(|name| name.to_string()), Ok(name));
    }
}

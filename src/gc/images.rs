//! Our images that are no longer used: which, and why. Only the command `gc`, and runs that have just prepared images,
//! check them: the start of a test run does not wait for that.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::diag::{ErrorKind, Result};
use crate::engine::{Engine, ImageOrigin, ManagedImage};
use crate::event::Events;
use crate::model::isolated;
use crate::run::snapshot::{self, is_auto};
use crate::run::{Lock, Shutdown, process_identity};

/// Younger ones may just be getting their name, or a run may just be starting from them. Seconds.
const MOMENT: i64 = 10 * 60;

/// How long what a test run saved stays after it, in seconds.
const DAY: i64 = 24 * 3600;

/// How long those stay of which nothing more can be known, in seconds.
const FORTNIGHT: i64 = 14 * DAY;

/// How many prepared images of a checkout are kept: those of the branch one works on, and of two others.
pub(crate) const KEPT_PREPARED: usize = 3;

/// Why an image may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A later image took its name, or the run that made it was killed before it got one.
    Nameless,
    /// The folder it was made for no longer exists.
    FolderGone,
    /// There are newer ones, made from what that folder holds now.
    Superseded,
    /// It was made long ago in a place that can't be seen from here.
    Forgotten,
    /// It was saved by a test run that is over.
    OfTestRun,
    /// There are newer automatic snapshots, and their number is limited.
    TooMany,
}

/// What can be said from here of the folder an image was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// It exists.
    There,
    /// It no longer exists.
    Gone,
    /// It is on another machine, or in a container.
    Unknown,
}

/// What is known of an image besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its folder.
    pub folder: Folder,
    /// How many newer ones there are of the same kind: keys of its folder, automatic snapshots of its stack.
    pub newer: usize,
    /// Its stack is still on the engine. Only looked at for stacks of test runs.
    pub stack: bool,
}

/// An image, and why it may go; none = it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The image.
    pub image: ManagedImage,
    /// Why it may go.
    pub why: Option<Reason>,
}

/// Whether an image may be removed. A snapshot with a name of the user's is kept, whatever its age and wherever its folder is.
pub fn judge(image: &ManagedImage, around: &Facts, now: i64) -> Option<Reason> {
    let age = now - image.created;
    if image.used || age < MOMENT {
        return None;
    }
    match &image.made {
        ImageOrigin::Build => Some(Reason::Nameless),
        ImageOrigin::Prepared { .. } => judge_prepared(image, around, age),
        ImageOrigin::Snapshot { project, .. } if isolated::is_name(project) => {
            (!around.stack && age >= DAY).then_some(Reason::OfTestRun)
        }
        ImageOrigin::Snapshot { snapshot, .. } => judge_snapshot(image, is_auto(snapshot), around, age),
    }
}

fn judge_prepared(image: &ManagedImage, around: &Facts, age: i64) -> Option<Reason> {
    if image.name.is_none() {
        return Some(Reason::Nameless);
    }
    // It can be made again, so time is enough of a reason.
    let kept = if age < FORTNIGHT { KEPT_PREPARED } else { 1 };
    match around.folder {
        Folder::Gone => Some(Reason::FolderGone),
        _ if around.newer >= kept => Some(Reason::Superseded),
        Folder::Unknown => (age >= FORTNIGHT).then_some(Reason::Forgotten),
        Folder::There => None,
    }
}

fn judge_snapshot(image: &ManagedImage, auto: bool, around: &Facts, age: i64) -> Option<Reason> {
    if image.name.is_none() {
        // No command finds it. One that was to get a user's name is kept for a while, so that the user can look for it.
        return (auto || age >= FORTNIGHT).then_some(Reason::Nameless);
    }
    if auto && around.newer >= snapshot::KEPT {
        return Some(Reason::TooMany);
    }
    // The folder may have been moved, and the stack go on under its name: it is data, which is not lost so soon.
    (auto && around.folder == Folder::Gone && age >= FORTNIGHT).then_some(Reason::FolderGone)
}

/// All images of ours, and which of them may go.
///
/// # Errors
/// When the engine does not answer.
pub async fn look(engine: &Engine) -> Result<Vec<Candidate>> {
    let (images, stacks, now) = futures_util::join!(engine.own_images(), engine.isolated_stacks(), engine.now());
    let (images, stacks, now) = (images?, stacks?, now.as_second());
    // Containers may have the same name, and see other folders.
    let local = engine.about.address.starts_with("unix://") && engine.about.inside.is_none();
    let here = process_identity::machine();
    let newer = newer(&images);
    let judged = |(image, newer): (ManagedImage, usize)| {
        let folder = folder(&image, &here, local);
        let stack = matches!(&image.made, ImageOrigin::Snapshot { project, .. } if stacks.iter().any(|seen| seen.project == *project));
        Candidate { why: judge(&image, &Facts { folder, newer, stack }, now), image }
    };
    Ok(images.into_iter().zip(newer).map(judged).collect())
}

/// For each image, how many newer ones there are of its kind. `images`: the newest first.
fn newer(images: &[ManagedImage]) -> Vec<usize> {
    let mut seen: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    let mut count = |image| {
        let Some((of, which)) = kind(image) else { return 0 };
        let all = seen.entry(of).or_default();
        all.iter().position(|other| *other == which).unwrap_or_else(|| {
            all.push(which);
            all.len() - 1
        })
    };
    images.iter().map(&mut count).collect()
}

/// Among which images newer ones take its place, and what those have in common that are of one making.
fn kind(image: &ManagedImage) -> Option<((&str, &str), &str)> {
    image.name.as_ref()?;
    match &image.made {
        ImageOrigin::Prepared { key } => Some((("folder", &image.root), key)),
        ImageOrigin::Snapshot { project, snapshot } => is_auto(snapshot).then_some((("stack", project), snapshot)),
        ImageOrigin::Build => None,
    }
}

/// Looks for the folder. A missing one was removed only if this is the machine it was on: in a container that shares
/// the engine, no folder of the host is there.
fn folder(image: &ManagedImage, here: &str, local: bool) -> Folder {
    let (root, elsewhere) = (Path::new(&image.root), !image.machine.is_empty() && image.machine != here);
    match root.try_exists() {
        _ if elsewhere || image.root.is_empty() => Folder::Unknown,
        Ok(false) if local && image.machine == here => Folder::Gone,
        Ok(false) => Folder::Unknown,
        Ok(true) | Err(_) => Folder::There,
    }
}

/// Removes an image that may go. False when it is kept after all: it is used now, or its stack is just being changed.
///
/// # Errors
/// When the engine refuses.
pub async fn remove(engine: &Engine, image: &ManagedImage) -> Result<bool> {
    let ImageOrigin::Snapshot { project, snapshot } = &image.made else { return engine.remove_own_image(image).await };
    // It may just be being restored.
    let (events, shutdown) = (Events::default(), Shutdown::default());
    match Lock::take(&engine.about.address, project, "gc", Duration::ZERO, &events, &shutdown).await {
        // What was cut off needs it to be finished, or to go back.
        Ok(_lock) if engine.intents(project).await?.iter().any(|intent| intent.needs(snapshot)) => Ok(false),
        Ok(_lock) => engine.remove_own_image(image).await,
        Err(error) if error.kind == ErrorKind::Locked => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes what may be removed and is not a user's data: all but the snapshots of users' stacks, and builds, whose labels
/// are inherited by other images that are built on top of one.
///
/// # Errors
/// When the engine can't be asked, or refuses.
pub async fn sweep(engine: &Engine) -> Result<()> {
    let of_people = |image: &ManagedImage| {
        image.name.is_some()
            && matches!(&image.made, ImageOrigin::Snapshot { project, .. } if !isolated::is_name(project))
    };
    let going = look(engine)
        .await?
        .into_iter()
        .filter(|judged| judged.why.is_some() && judged.image.made != ImageOrigin::Build && !of_people(&judged.image));
    let going: Vec<ManagedImage> = going.map(|judged| judged.image).collect();
    let mut ended = Ok(());
    for image in &going {
        ended = ended.and(remove(engine, image).await.map(drop));
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Facts = Facts { folder: Folder::There, newer: 0, stack: false };
    const GONE: Facts = Facts { folder: Folder::Gone, ..HERE };
    const UNKNOWN: Facts = Facts { folder: Folder::Unknown, ..HERE };

    fn newer(newer: usize) -> Facts {
        Facts { newer, ..HERE }
    }

    fn image(made: ImageOrigin, name: &str) -> ManagedImage {
        let name = (!name.is_empty()).then(|| name.to_owned());
        let (root, machine) = ("/p".to_owned(), "m".to_owned());
        ManagedImage { made, id: "sha256:1".into(), name, root, machine, created: 0, size: 1, used: false }
    }

    fn prepared(key: &str, name: &str) -> ManagedImage {
        image(ImageOrigin::Prepared { key: key.into() }, name)
    }

    fn saved(project: &str, snapshot: &str, name: &str) -> ManagedImage {
        image(ImageOrigin::Snapshot { project: project.into(), snapshot: snapshot.into() }, name)
    }

    #[test]
    fn what_is_young_or_used_stays() {
        for image in [prepared("k", ""), prepared("k", "n"), saved("p", "auto-1", ""), image(ImageOrigin::Build, "")] {
            let around = Facts { newer: 99, ..GONE };
            assert_eq!(judge(&image, &around, MOMENT - 1), None, "{image:?}");
            assert!(judge(&image, &around, FORTNIGHT).is_some(), "{image:?}");
            assert_eq!(judge(&ManagedImage { used: true, ..image }, &around, FORTNIGHT), None);
        }
    }

    #[test]
    fn what_has_no_name_goes() {
        assert_eq!(judge(&prepared("k", ""), &HERE, MOMENT), Some(Reason::Nameless));
        assert_eq!(judge(&image(ImageOrigin::Build, ""), &HERE, MOMENT), Some(Reason::Nameless));
        assert_eq!(judge(&saved("p", "auto-1", ""), &HERE, MOMENT), Some(Reason::Nameless));
        assert_eq!(judge(&saved("p", "mine", ""), &HERE, FORTNIGHT - 1), None, "the user may look for it");
    }

    #[test]
    fn prepared_ones_stay_while_they_are_of_use() {
        let judged = |around, now| judge(&prepared("k", "n"), &around, now);
        assert_eq!(judged(HERE, 100 * DAY), None, "the newest of a folder that is there");
        assert_eq!(judged(GONE, MOMENT), Some(Reason::FolderGone));
        assert_eq!((judged(UNKNOWN, FORTNIGHT - 1), judged(UNKNOWN, FORTNIGHT)), (None, Some(Reason::Forgotten)));
        assert_eq!((judged(newer(2), MOMENT), judged(newer(3), MOMENT)), (None, Some(Reason::Superseded)));
        assert_eq!((judged(newer(1), FORTNIGHT - 1), judged(newer(1), FORTNIGHT)), (None, Some(Reason::Superseded)));
    }

    #[test]
    fn a_named_snapshot_stays_and_of_the_automatic_ones_the_newest() {
        let everywhere = [HERE, UNKNOWN, Facts { newer: 99, ..GONE }];
        assert!(everywhere.iter().all(|around| judge(&saved("p", "mine", "n"), around, 1000 * DAY).is_none()));
        let judged = |around, now| judge(&saved("p", "auto-1", "n"), &around, now);
        assert_eq!((judged(newer(2), 1000 * DAY), judged(newer(3), MOMENT)), (None, Some(Reason::TooMany)));
        assert_eq!((judged(GONE, FORTNIGHT - 1), judged(GONE, FORTNIGHT)), (None, Some(Reason::FolderGone)));
        assert_eq!(judged(UNKNOWN, 1000 * DAY), None, "data that may be a user's");
    }

    #[test]
    fn what_a_test_run_saved_goes_a_day_after_it() {
        let of_run = saved("taskava-t-1", "auto-1", "n");
        assert_eq!((judge(&of_run, &HERE, DAY - 1), judge(&of_run, &HERE, DAY)), (None, Some(Reason::OfTestRun)));
        assert_eq!(judge(&of_run, &Facts { stack: true, ..HERE }, DAY), None, "it still runs");
    }

    #[test]
    fn newer_ones_are_counted_by_folder_and_by_stack() {
        let of = |root: &str, key: &str| ManagedImage { root: root.into(), ..prepared(key, "n") };
        let images = [
            of("/p", "a"),
            of("/p", "a"),
            of("/q", "c"),
            of("/p", "b"),
            saved("p", "auto-2", "n"),
            saved("p", "mine", "n"),
            saved("p", "auto-1", "n"),
            saved("q", "auto-1", "n"),
            prepared("d", ""),
        ];
        assert_eq!(super::newer(&images), [0, 0, 0, 1, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_folder_is_gone_only_on_the_machine_it_was_on() {
        let there = tempfile::tempdir().unwrap();
        let of = |root: &Path, machine: &str| ManagedImage {
            root: root.display().to_string(),
            machine: machine.into(),
            ..prepared("k", "n")
        };
        let gone = there.path().join("gone");
        assert_eq!(folder(&of(there.path(), "m"), "m", true), Folder::There);
        assert_eq!(folder(&of(there.path(), ""), "m", true), Folder::There);
        assert_eq!(folder(&of(&gone, "m"), "m", true), Folder::Gone);
        for (machine, local) in [("other", true), ("", true), ("m", false)] {
            assert_eq!(folder(&of(&gone, machine), "m", local), Folder::Unknown, "{machine} {local}");
        }
        assert_eq!(folder(&of(there.path(), "other"), "m", true), Folder::Unknown);
    }
}

//! `gc`: removes what crashed test runs left behind, and images that are no longer used.

use std::process::ExitCode;

use serde::Serialize;

use super::snapshot::age;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::{Engine, ImageOrigin, ManagedImage};
use crate::event::{counted, size};
use crate::gc::{self, Candidate, Leftover, Reason, images};
use crate::ui::Format;
use crate::ui::table::{Table, stdout_width};

/// Remove what crashed test runs left behind, and images that are no longer used
///
/// Removes:
/// - stacks of `taskava dev test` and of the Rust library whose process has ended or which have expired
/// - containers and partial snapshots left over by a run that was killed
/// - prepared images whose folder no longer exists, which newer ones replaced, or whose run was killed while creating
///   them
/// - built images whose name a later build took
/// - automatic snapshots beyond the newest three, or two weeks after their folder was removed
/// - snapshots of a test run, one day later
/// - images whose folder is not visible from this machine, and untagged images, after two weeks
///
/// Never removes your own stack, a stack whose process is running, a snapshot that you named, an image that a container
/// uses, or an image less than ten minutes old.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Print the stacks and images found as JSON; `why` says why one is removed
    #[arg(long)]
    pub json: bool,
}

/// A stack in the JSON form.
#[derive(Serialize)]
struct Row<'a> {
    what: &'static str,
    project: &'a str,
    why: Option<Reason>,
    kept: bool,
    expires: i64,
    root: &'a str,
    containers: usize,
    networks: usize,
    volumes: usize,
    removed: bool,
}

/// An image in the JSON form.
#[derive(Serialize)]
struct ImageRow<'a> {
    what: &'static str,
    image: &'a str,
    id: &'a str,
    why: Option<images::Reason>,
    root: &'a str,
    size: u64,
    created: i64,
    used: bool,
    removed: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let engine = Engine::connect(&context.connect_options()).await?;
        let stacks = gc::look(&engine).await?;
        if !args.dry_run {
            for Candidate { isolated_stacks, .. } in stacks.iter().filter(|judged| judged.why.is_some()) {
                engine.remove_isolated(&isolated_stacks.project).await?;
            }
        }
        let (mut leftovers, mut ended) = (Vec::new(), Ok(()));
        for leftover in gc::leftovers(&engine).await? {
            let removed = match args.dry_run {
                true => Ok(false),
                false => gc::remove_leftover(&engine, &leftover).await,
            };
            leftovers.push((leftover, *removed.as_ref().unwrap_or(&false)));
            ended = ended.and(removed.map(drop));
        }
        // After the containers, which keep the images they were made from.
        let images = images::look(&engine).await?;
        let mut removed = vec![false; images.len()];
        for (at, judged) in images.iter().enumerate().filter(|(_, judged)| judged.why.is_some() && !args.dry_run) {
            match images::remove(&engine, &judged.image).await {
                Ok(gone) => removed[at] = gone,
                Err(error) => ended = ended.and(Err(error)),
            }
        }
        let found =
            Found { stacks, leftovers, images: images.into_iter().zip(removed).collect(), dry_run: args.dry_run };
        if args.json || context.format() == Format::Json {
            found.as_json(context)?;
        } else {
            found.for_people(context, engine.now().await.as_second())?;
        }
        ended.map(|()| ExitCode::SUCCESS)
    })
}

/// What was found, and what became of it.
struct Found {
    stacks: Vec<Candidate>,
    /// Each with whether it was removed.
    leftovers: Vec<(Leftover, bool)>,
    /// Each with whether it was removed.
    images: Vec<(images::Candidate, bool)>,
    dry_run: bool,
}

impl Found {
    fn as_json(&self, context: &Context) -> Result<()> {
        for judged in &self.stacks {
            context.screen.json(&row(judged, self.dry_run))?;
        }
        for (leftover, removed) in &self.leftovers {
            let (name, project) = named(leftover);
            let (what, removed) = ("leftover", *removed);
            context
                .screen
                .json(&serde_json::json!({ "what": what, "name": name, "project": project, "removed": removed }))?;
        }
        for (judged, removed) in &self.images {
            context.screen.json(&image_row(judged, *removed))?;
        }
        Ok(())
    }

    fn for_people(&self, context: &Context, now: i64) -> Result<()> {
        let going = || self.stacks.iter().filter(|judged| judged.why.is_some());
        for judged in going() {
            context.screen.out(&format!("{}\n", line(judged, self.dry_run)))?;
        }
        let mut some = going().next().is_some();
        for (leftover, _) in self.leftovers.iter().filter(|(_, removed)| *removed || self.dry_run) {
            some = true;
            let verb = if self.dry_run { "would remove" } else { "removed" };
            let (name, project) = named(leftover);
            context.screen.out(&format!("{verb} {name} of {project}: the run that created it was cut off\n"))?;
        }
        let mut table =
            Table::new(&[if self.dry_run { "WOULD REMOVE" } else { "REMOVED" }, "SIZE", "AGE", "WHY", "OF"]);
        let gone = self.images.iter().filter(|(judged, removed)| *removed || self.dry_run && judged.why.is_some());
        for (images::Candidate { image, why }, _) in gone {
            let why = why.map(reason).unwrap_or_default().to_owned();
            table.row([name(image).to_owned(), size(image.size), age(now - image.created), why, image.root.clone()]);
        }
        if !table.is_empty() {
            context.screen.out(&table.render(stdout_width(), context.screen.color()))?;
        } else if !some {
            let others = match self.stacks.len() {
                0 => String::new(),
                n => format!(" ({n} in use)"),
            };
            context.screen.note(&format!("nothing to remove{others}"));
        }
        Ok(())
    }
}

/// What it is called, and the stack it is of.
fn named(leftover: &Leftover) -> (String, &str) {
    match leftover {
        Leftover::Helper(helper) => (helper.name.clone(), &helper.project),
        Leftover::Part { project, snapshot } => (format!("a part of snapshot {snapshot}"), project),
    }
}

fn row(Candidate { isolated_stacks, why }: &Candidate, dry_run: bool) -> Row<'_> {
    Row {
        what: "stack",
        project: &isolated_stacks.project,
        why: *why,
        kept: isolated_stacks.kept,
        expires: isolated_stacks.expires,
        root: &isolated_stacks.root,
        containers: isolated_stacks.containers,
        networks: isolated_stacks.networks,
        volumes: isolated_stacks.volumes,
        removed: why.is_some() && !dry_run,
    }
}

fn line(Candidate { isolated_stacks, why }: &Candidate, dry_run: bool) -> String {
    let why = match why {
        Some(Reason::Expired) => "it has expired",
        Some(Reason::OwnerGone) | None => "its process has ended",
    };
    let some = |count: usize, one: &str| match count {
        0 => None,
        n => Some(counted(n as u64, one)),
    };
    let parts = [
        some(isolated_stacks.containers, "container"),
        some(isolated_stacks.networks, "network"),
        some(isolated_stacks.volumes, "volume"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let verb = if dry_run { "would remove" } else { "removed" };
    format!("{verb} {} of {} ({}): {why}", isolated_stacks.project, isolated_stacks.root, parts.join(", "))
}

fn image_row(images::Candidate { image, why }: &images::Candidate, removed: bool) -> ImageRow<'_> {
    let what = match image.made {
        ImageOrigin::Prepared { .. } => "prepared",
        ImageOrigin::Snapshot { .. } => "snapshot",
        ImageOrigin::Build => "build",
    };
    let ManagedImage { id, root, size, created, used, .. } = image;
    ImageRow { what, image: name(image), id, why: *why, root, size: *size, created: *created, used: *used, removed }
}

/// Its name, or as much of its id as `docker images` shows.
fn name(image: &ManagedImage) -> &str {
    let id = image.id.trim_start_matches("sha256:");
    image.name.as_deref().unwrap_or(&id[..12.min(id.len())])
}

fn reason(why: images::Reason) -> &'static str {
    match why {
        images::Reason::Nameless => "is untagged",
        images::Reason::FolderGone => "its folder no longer exists",
        images::Reason::Superseded => "newer ones replaced it",
        images::Reason::Forgotten => "created two weeks ago or more, elsewhere",
        images::Reason::OfTestRun => "saved by a test run that has ended",
        images::Reason::TooMany => "there are newer ones",
    }
}

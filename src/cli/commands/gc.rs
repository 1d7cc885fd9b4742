//! `gc`: removes what crashed test runs left behind, and images that nobody will use again.

use std::process::ExitCode;

use serde::Serialize;

use super::snapshot::age;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::{Engine, Made, OwnImage};
use crate::event::{counted, size};
use crate::gc::{self, Judged, Leftover, Why, images};
use crate::ui::Format;
use crate::ui::table::{Table, stdout_width};

/// Remove what crashed test runs left behind, and images that are no longer used
///
/// Removed are: stacks of `taskava dev test` and of the library whose process has ended or whose time has passed; containers and
/// parts of snapshots left over by a run that was killed; images that test runs start from, when their folder no longer exists,
/// newer ones replaced them, or the run that made them was killed; build results whose name a later build took; automatic
/// snapshots when there are three newer ones, or two weeks after their folder was removed; snapshots of a test run a day after it.
/// Images whose folder is not visible from this machine, and untagged images, are removed after two weeks.
///
/// Never removed are: your own stack, a stack whose process is alive, a snapshot that you named, an image that a container uses or
/// that is less than ten minutes old.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Print what was found as JSON: an object for each stack and image, with `why` if it is removed
    #[arg(long)]
    pub json: bool,
}

/// A stack in the JSON form.
#[derive(Serialize)]
struct Row<'a> {
    what: &'static str,
    project: &'a str,
    why: Option<Why>,
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
    why: Option<images::Why>,
    root: &'a str,
    size: u64,
    created: i64,
    used: bool,
    removed: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let engine = Engine::connect(&context.engine_ask()).await?;
        let stacks = gc::look(&engine).await?;
        if !args.dry_run {
            for Judged { owned, .. } in stacks.iter().filter(|judged| judged.why.is_some()) {
                engine.remove_isolated(&owned.project).await?;
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
    stacks: Vec<Judged>,
    /// Each with whether it was removed.
    leftovers: Vec<(Leftover, bool)>,
    /// Each with whether it was removed.
    images: Vec<(images::Judged, bool)>,
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
            context.screen.out(&format!("{verb} {name} of {project}: what made it was cut off\n"))?;
        }
        let mut table =
            Table::new(&[if self.dry_run { "WOULD REMOVE" } else { "REMOVED" }, "SIZE", "AGE", "WHY", "OF"]);
        let gone = self.images.iter().filter(|(judged, removed)| *removed || self.dry_run && judged.why.is_some());
        for (images::Judged { image, why }, _) in gone {
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

fn row(Judged { owned, why }: &Judged, dry_run: bool) -> Row<'_> {
    Row {
        what: "stack",
        project: &owned.project,
        why: *why,
        kept: owned.kept,
        expires: owned.expires,
        root: &owned.root,
        containers: owned.containers,
        networks: owned.networks,
        volumes: owned.volumes,
        removed: why.is_some() && !dry_run,
    }
}

fn line(Judged { owned, why }: &Judged, dry_run: bool) -> String {
    let why = match why {
        Some(Why::Expired) => "its time has passed",
        Some(Why::OwnerGone) | None => "its process is gone",
    };
    let some = |count: usize, one: &str| match count {
        0 => None,
        n => Some(counted(n as u64, one)),
    };
    let parts = [some(owned.containers, "container"), some(owned.networks, "network"), some(owned.volumes, "volume")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let verb = if dry_run { "would remove" } else { "removed" };
    format!("{verb} {} of {} ({}): {why}", owned.project, owned.root, parts.join(", "))
}

fn image_row(images::Judged { image, why }: &images::Judged, removed: bool) -> ImageRow<'_> {
    let what = match image.made {
        Made::Prepared { .. } => "prepared",
        Made::Snapshot { .. } => "snapshot",
        Made::Build => "build",
    };
    let OwnImage { id, root, size, created, used, .. } = image;
    ImageRow { what, image: name(image), id, why: *why, root, size: *size, created: *created, used: *used, removed }
}

/// Its name, or as much of its id as `docker images` shows.
fn name(image: &OwnImage) -> &str {
    let id = image.id.trim_start_matches("sha256:");
    image.name.as_deref().unwrap_or(&id[..12.min(id.len())])
}

fn reason(why: images::Why) -> &'static str {
    match why {
        images::Why::Nameless => "has no name any more",
        images::Why::FolderGone => "its folder is gone",
        images::Why::Superseded => "newer ones took its place",
        images::Why::Forgotten => "made two weeks ago or more, elsewhere",
        images::Why::OfTestRun => "saved by a test run that is over",
        images::Why::TooMany => "there are newer ones",
    }
}

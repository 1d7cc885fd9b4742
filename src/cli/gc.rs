//! `gc`: removes what crashed test runs left behind.

use std::process::ExitCode;

use serde::Serialize;

use super::{Context, block_on};
use crate::diag::Result;
use crate::engine::Engine;
use crate::run::gc::{self, Judged, Why};
use crate::ui::Format;

/// Remove what crashed test runs left behind
///
/// A stack of `taskava dev test` or of the library goes when the process it was made for is gone, or when its time has
/// passed. Nothing else is touched: not your own stack, and no stack that a living process uses.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// What was found as JSON: an object a stack, with `why` where it goes
    #[arg(long)]
    pub json: bool,
}

/// A stack in the JSON form.
#[derive(Serialize)]
struct Row<'a> {
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

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let engine = Engine::connect(&context.engine_ask()).await?;
        let found = gc::look(&engine).await?;
        let going = || found.iter().filter(|judged| judged.why.is_some());
        if !args.dry_run {
            for Judged { owned, .. } in going() {
                engine.remove_isolated(&owned.project).await?;
            }
        }
        if args.json || context.format() == Format::Json {
            for judged in &found {
                context.screen.json(&row(judged, args.dry_run))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        for judged in going() {
            context.screen.out(&format!("{}\n", line(judged, args.dry_run)))?;
        }
        if going().next().is_none() {
            let others = match found.len() {
                0 => String::new(),
                n => format!(" ({n} in use)"),
            };
            context.screen.note(&format!("nothing to remove{others}"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn row<'a>(Judged { owned, why }: &'a Judged, dry_run: bool) -> Row<'a> {
    Row {
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
    let counted = |count: usize, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {one}s")),
    };
    let parts =
        [counted(owned.containers, "container"), counted(owned.networks, "network"), counted(owned.volumes, "volume")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let verb = if dry_run { "would remove" } else { "removed" };
    format!("{verb} {} of {} ({}): {why}", owned.project, owned.root, parts.join(", "))
}

//! `ls`: the stacks on an engine.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::{Context, block_on, template};
use crate::diag::Result;
use crate::engine::{Engine, StackInfo};
use crate::ui::table::{Table, stdout_width};
use crate::ui::{Format, sanitise};

/// List the stacks on the engine, with the folder each is from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List stacks of which nothing runs, and those of test runs, too
    #[arg(short, long)]
    pub all: bool,
    /// List only stacks whose name contains this: `name=shop`; repeatable
    #[arg(long, value_name = "name=TEXT", value_parser = filter)]
    pub filter: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    status: String,
    folder: &'a str,
    /// Whether the folder exists here.
    folder_exists: bool,
    isolated: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let engine = Engine::connect(&context.connect_options()).await?;
        let stacks = engine.list_stacks().await?;
        let is_named = |stack: &StackInfo| args.filter.iter().all(|part| stack.name.contains(part));
        let is_listed = |stack: &&StackInfo| {
            (args.all || !stack.isolated && stack.states.contains_key("running")) && is_named(stack)
        };
        let rows: Vec<Row<'_>> = stacks.iter().filter(is_listed).map(row).collect();
        if args.json || context.format() == Format::Json {
            context.screen.json(&rows)?;
            return Ok(ExitCode::SUCCESS);
        }
        let fields = |row: &Row<'_>| {
            let all = [("Name", row.name), ("Status", row.status.as_str()), ("Folder", row.folder)];
            all.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
        };
        if template::show(context, &rows.iter().map(fields).collect::<Vec<_>>())? {
            return Ok(ExitCode::SUCCESS);
        }
        if context.global.quiet {
            context.screen.out(&rows.iter().map(|row| format!("{}\n", row.name)).collect::<String>())?;
            return Ok(ExitCode::SUCCESS);
        }
        if rows.is_empty() {
            let more = if stacks.is_empty() { "" } else { "; `ls -a` lists those that are stopped" };
            context.screen.note(&format!("no stack runs on this engine{more}"));
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new(&["NAME", "STATUS", "FOLDER"]);
        for row in &rows {
            let gone = if row.folder_exists { "" } else { " (not on this machine)" };
            table.row([sanitise::text(row.name), row.status.clone(), format!("{}{gone}", sanitise::text(row.folder))]);
        }
        context.screen.out(&table.render(stdout_width(), context.screen.color()))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `name=shop`
fn filter(text: &str) -> Result<String, String> {
    text.strip_prefix("name=").map(ToOwned::to_owned).ok_or_else(|| "write name=TEXT".into())
}

/// `running(3), exited(1)`, as docker compose has it.
fn row(stack: &StackInfo) -> Row<'_> {
    let status = stack.states.iter().rev().map(|(state, count)| format!("{state}({count})")).collect::<Vec<_>>();
    Row {
        name: &stack.name,
        status: status.join(", "),
        folder: &stack.root,
        folder_exists: Path::new(&stack.root).is_dir(),
        isolated: stack.isolated,
    }
}

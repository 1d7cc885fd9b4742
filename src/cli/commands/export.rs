//! `export`: writes services.toml as a file for another tool.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueHint;

use super::import::write_new;
use crate::cli::Context;
use crate::cli::session::{load_options, tell_loaded};
use crate::compose::export::{Exported, export};
use crate::config::node::Node;
use crate::diag::{Error, Result, Source};
use crate::load;
use crate::ui::Format;

/// Export the stack as a file for another tool
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The tool to export for.
    #[command(subcommand)]
    pub what: What,
}

/// The tool to export for.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Export a Compose file, with health checks and the same volumes
    ///
    /// Variables are kept as variables. Settings without an equivalent in Compose are kept under `x-taskava`, where
    /// `import` finds them again.
    Compose(ComposeArgs),
}

/// `export compose`
#[derive(Debug, clap::Args)]
pub struct ComposeArgs {
    /// Output file; `-` = stdout [default: -]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "-", hide_default_value = true)]
    pub output: PathBuf,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let What::Compose(args) = &args.what;
    let loaded = load::stack(&load_options(context))?;
    tell_loaded(context, &loaded);
    let exported = export(&loaded.stack, &written(&loaded.sources)?);
    if context.format() == Format::Json {
        let notes: Vec<String> = exported.notes.iter().map(ToString::to_string).collect();
        let value = serde_json::json!({ "v": crate::event::VERSION, "text": exported.text, "notes": notes });
        context.screen.json(&value)?;
    } else {
        for note in &exported.notes {
            context.screen.remark(&note.to_string());
        }
    }
    put(args, context, &exported)?;
    Ok(ExitCode::SUCCESS)
}

fn put(args: &ComposeArgs, context: &Context, exported: &Exported) -> Result<()> {
    if args.output != Path::new("-") {
        write_new(&args.output, &exported.text, args.force)?;
        context.screen.note(&format!("{} written; try: docker compose -f {0} config", args.output.display()));
    } else if context.format() != Format::Json {
        context.screen.data(&exported.text)?;
    }
    Ok(())
}

/// The configuration as it is written, before variables are put in.
fn written(sources: &[Arc<Source>]) -> Result<Node> {
    let mut root: Option<Node> = None;
    for source in sources {
        let node = Node::parse(source).map_err(Error::configuration)?;
        match &mut root {
            Some(root) => root.merge(node),
            None => root = Some(node),
        }
    }
    root.ok_or_else(|| Error::new(crate::diag::ErrorKind::Other, "there is no configuration to export"))
}

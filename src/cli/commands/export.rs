//! `export`: writes services.toml as a file for another tool.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::import::write_new;
use crate::cli::compose_options::Index;
use crate::cli::services::find_one;
use crate::cli::session::{load_options, tell_loaded};
use crate::cli::whole_file::WholeFile;
use crate::cli::{Context, block_on, inside};
use crate::compose::export::{Exported, export};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::Events;
use crate::load;
use crate::run::shutdown::{Shutdown, ShutdownLevel};
use crate::ui::Format;

/// Export the files of a service's container as a tar, or the stack for another tool
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  taskava dev export api -o api.tar            the files of a container, without those of its volumes
  taskava dev export compose -o compose.yml    the stack as a Compose file")]
pub struct Args {
    /// The tool to export for.
    #[command(subcommand)]
    pub what: Option<What>,
    /// The service whose container is exported
    #[arg(value_name = "SERVICE", required = true, add = super::completions::services())]
    pub service: Option<String>,
    /// Output file; `-` = stdout [default: -]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "-", hide_default_value = true)]
    pub output: PathBuf,
    /// Which container.
    #[command(flatten)]
    pub index: Index,
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
    let args = match (&args.what, &args.service) {
        (Some(What::Compose(args)), _) => args,
        (None, service) => {
            return block_on(container(context, service.as_deref().unwrap_or_default(), args.index, &args.output));
        }
    };
    let options = load_options(context);
    let loaded = load::stack(&options)?;
    tell_loaded(context, &loaded);
    let exported = export(&loaded.stack, &load::written(&options)?);
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

/// Writes the file system of a service's container.
async fn container(context: &Context, service: &str, index: Index, output: &Path) -> Result<ExitCode> {
    let to_stdout = output == Path::new("-");
    if to_stdout && std::io::stdout().is_terminal() {
        let message = "a tar is not for a terminal: name a file with -o FILE, or redirect the output";
        return Err(Error::new(ErrorKind::Usage, message));
    }
    let (engine, container) = find_one(context, service, index).await?;
    let failed = |error| Error::new(ErrorKind::Other, format_args!("can't export {service}: {error}"));
    let mut archive = std::pin::pin!(engine.export(&container.id).map_err(failed));
    if to_stdout {
        inside::to_stdout(archive).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut file = WholeFile::create(output)?;
    let shutdown = Shutdown::on_signals(&Events::default());
    loop {
        let piece = tokio::select! {
            piece = archive.next() => piece,
            () = shutdown.reached(ShutdownLevel::Stop) => return Err(shutdown.error()),
        };
        match piece {
            Some(piece) => file.write(&piece?)?,
            None => break,
        }
    }
    file.finish()?;
    context.screen.note(&format!("{} written", output.display()));
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

//! `exec`: runs a command in the container of a running service.

use std::process::ExitCode;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::compose_options::Index;
use crate::cli::inside::{self, Streams};
use crate::cli::{Context, block_on};
use crate::diag::{ErrorKind, Result};
use crate::engine::attach::{ExecOptions, not_run};

/// Run a command in a service's container
///
/// Allocates a terminal if run from one; otherwise the command's stdin, stdout and stderr are passed through. The exit
/// code is the command's: 127 if it does not exist, 126 if it can't be run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev exec api sh                          open a shell in api
  taskava dev exec -T postgres pg_dump app > app.sql
  echo hi | taskava dev exec -T api cat")]
pub struct Args {
    /// How the command is connected.
    #[command(flatten)]
    pub streams: Streams,
    /// Set an environment variable; NAME alone passes its value from this environment
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = inside::variable)]
    pub env: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIRECTORY")]
    pub workdir: Option<String>,
    /// Run as this user (and group)
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Run the command in the background; its output is discarded
    #[arg(short, long)]
    pub detach: bool,
    /// Give the command all capabilities
    #[arg(long)]
    pub privileged: bool,
    /// Which container.
    #[command(flatten)]
    pub index: Index,
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let name = args.index.of(&found.stack, &args.service)?;
        let alone = format!("or run the command in a new container: taskava dev run {name} …");
        let container = found.container(&engine, &name).await.map_err(|error| match error.kind {
            ErrorKind::Other if !found.by_labels => error.hint(alone),
            _ => error,
        })?;
        let tty = if args.detach { None } else { args.streams.tty() };
        let options = ExecOptions {
            command: args.command.clone(),
            env: inside::variables(&args.env),
            user: args.user.clone(),
            working_dir: args.workdir.clone(),
            privileged: args.privileged,
            stdin: !args.detach && !args.streams.no_stdin,
            output: !args.detach,
            tty,
        };
        if !args.detach {
            return inside::exec(context, &engine, &container, &options).await;
        }
        let exec = engine.prepare_exec(&container.id, &options).await?;
        match engine.start_exec_detached(&exec).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => match not_run(&error.to_string()) {
                Some((code, why)) => {
                    context.screen.error(&inside::cannot_run(&args.command, &why, &name));
                    Ok(ExitCode::from(code))
                }
                None => Err(error),
            },
        }
    })
}

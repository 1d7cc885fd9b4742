//! The command line. `commands` has one file per command; this module contains what they share, and the entry point.
//! Output goes through `ui::Screen`.

pub mod by_labels;
pub mod commands;
mod compose_options;
pub mod context;
mod direct;
mod help;
pub mod inside;
#[cfg(test)]
mod markdown;
mod process;
#[cfg(test)]
mod remedies;
mod services;
pub mod session;
mod suggest;
mod template;
pub mod unfinished;
mod whole_file;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::diag::{self, Error, Result};
use crate::event::Events;
use crate::remedy;
use crate::run::shutdown::{Shutdown, ShutdownLevel};

use context::FormatArg;
pub use context::{Context, Global};

/// Taskava's developer tools.
#[derive(Debug, Parser)]
#[command(name = "taskava", version, about, arg_required_else_help = true, subcommand_required = true)]
struct Taskava {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Debug, Subcommand)]
enum Tool {
    Dev(Dev),
}

/// Run the local development stack: from a fresh clone to ready services with one command
#[derive(Debug, clap::Args)]
#[command(version, arg_required_else_help = true, subcommand_required = true)]
struct Dev {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: commands::Command,
}

/// Runs a command that needs the asynchronous runtime. One thread is enough: the work is waiting.
pub fn block_on(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A name lookup or a read of stdin that hangs in a helper thread must not keep the process.
    runtime.shutdown_background();
    result
}

/// The same for one that shows what happens until Ctrl-C, which is how it ends: nothing to say about that.
fn block_until_interrupted(showing: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    block_on(async {
        let shutdown = Shutdown::on_signals(&Events::default());
        tokio::select! {
            shown = showing => shown.map(|()| ExitCode::SUCCESS),
            () = shutdown.reached(ShutdownLevel::Stop) => Ok(ExitCode::from(shutdown.error().kind.exit_code())),
        }
    })
}

/// The whole command line, as clap sees it.
pub fn command() -> clap::Command {
    help::dress(<Taskava as clap::CommandFactory>::command())
}

/// The program.
pub fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(commands::completions::command).complete();
    process::allow_open_files();
    let Tool::Dev(dev) = match command().try_get_matches().and_then(|found| Taskava::from_arg_matches(&found)) {
        Ok(parsed) => parsed.tool,
        Err(error) => return not_run(error),
    };
    let context = Context::new(dev.global);
    let result = dev.command.run(&context);
    context.screen.finish();
    match result {
        Ok(code) => code,
        // `| head` has seen enough: as if SIGPIPE had ended us.
        Err(error) if is_broken_pipe(&error) => ExitCode::from(141),
        Err(mut error) => {
            let options = context.same_stack();
            error.hints.iter_mut().for_each(|hint| *hint = remedy::with_options(hint, &options));
            context.screen.error(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// Ends where clap ended: help and version were asked for, or the command line is wrong.
fn not_run(error: clap::Error) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let error = match suggest::answer(error, &args) {
        suggest::Answer::Clap(error) => error,
        suggest::Answer::Instead(error) => {
            let format = if asks_for_json(args.into_iter()) { FormatArg::Json } else { FormatArg::Auto };
            Context::new(Global { format, ..Global::default() }).screen.error(&error);
            return ExitCode::from(error.kind.exit_code());
        }
    };
    let wrong = error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if wrong && asks_for_json(args.into_iter()) {
        let text = error.render().to_string();
        let message = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
        let global = Global { format: FormatArg::Json, ..Global::default() };
        Context::new(global).screen.error(&Error::new(diag::ErrorKind::Usage, message));
    } else {
        let screen = Context::new(Global::default()).screen;
        screen.of_clap(&error.render().ansi().to_string(), error.use_stderr());
    }
    ExitCode::from(if error.use_stderr() { diag::ErrorKind::Usage.exit_code() } else { 0 })
}

/// Whether a command line that clap could not read asks for JSON.
fn asks_for_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<_> = args.take_while(|arg| arg != "--").collect();
    args.iter().any(|arg| arg == "--format=json")
        || args.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}

fn is_broken_pipe(error: &Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.source.downcast_ref::<io::Error>().is_some_and(broken)
}

//! The command line: one file a command, each with `Args` (their doc comments are the help) and `run`.
//!
//! Here are the frame that all commands share, and the way in. What a command prints goes through `ui::Screen`.

pub mod aws;
pub mod backup;
pub mod build;
pub mod by_labels;
pub mod check;
pub mod completions;
pub mod config;
pub mod connect;
pub mod context;
pub mod db;
mod direct;
pub mod doctor;
pub mod down;
pub mod env;
pub mod events;
pub mod exec;
pub mod explain;
pub mod export;
pub mod gc;
mod help;
pub mod import;
pub mod init;
pub mod inside;
pub mod janitor;
pub mod lock;
pub mod logs;
pub mod man;
#[cfg(test)]
mod markdown;
pub mod open;
pub mod plan;
mod process;
pub mod ps;
pub mod pull;
#[cfg(test)]
mod remedies;
pub mod restart;
pub mod restore;
pub mod run;
pub mod schema;
pub mod session;
pub mod snapshot;
pub mod start;
pub mod stats;
pub mod stop;
mod suggest;
pub mod terraform;
pub mod test;
pub mod unfinished;
pub mod up;
pub mod url;
pub mod watch;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::diag::{self, Error, Result};
use crate::event::Events;
use crate::remedy;
use crate::run::cancel::{Cancel, Hurry};

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

/// Local development stack: from clone to a ready stack with one command
#[derive(Debug, clap::Args)]
#[command(version, arg_required_else_help = true, subcommand_required = true)]
struct Dev {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The commands. `help::GROUPS` says under which heading each is listed.
#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Ps(ps::Args),
    Logs(logs::Args),
    Down(down::Args),
    Restart(restart::Args),
    Stop(stop::Args),
    Start(start::Args),
    Exec(exec::Args),
    Run(run::Args),
    Connect(connect::Args),
    Open(open::Args),
    Url(url::Args),
    Stats(stats::Args),
    Events(events::Args),
    Watch(watch::Args),
    Plan(plan::Args),
    Env(env::Args),
    Explain(explain::Args),
    Snapshot(snapshot::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Db(db::Args),
    Pull(pull::Args),
    Build(build::Args),
    Lock(lock::Args),
    Check(check::Args),
    Config(config::Args),
    Doctor(doctor::Args),
    Init(init::Args),
    Import(import::Args),
    Export(export::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Test(test::Args),
    Gc(gc::Args),
    Aws(aws::Args),
    Terraform(terraform::Args),
    #[command(hide = true)]
    Janitor(janitor::Args),
    #[command(hide = true)]
    Man(man::Args),
}

impl Command {
    /// Carries out a command. Those that talk to an engine go through [`block_on`].
    fn run(self, context: &Context) -> Result<ExitCode> {
        if context.global.format.is_of_env() && !matches!(self, Self::Env(_)) {
            let message = "this format is one of `taskava dev env`; others have auto, tty, plain and json";
            return Err(Error::new(diag::ErrorKind::Usage, message));
        }
        match self {
            Self::Up(args) => up::run(&args, context),
            Self::Ps(args) => ps::run(&args, context),
            Self::Logs(args) => logs::run(&args, context),
            Self::Down(args) => down::run(&args, context),
            Self::Restart(args) => restart::run(&args, context),
            Self::Stop(args) => stop::run(&args, context),
            Self::Start(args) => start::run(&args, context),
            Self::Env(args) => env::run(&args, context),
            Self::Exec(args) => exec::run(&args, context),
            Self::Run(args) => run::run(&args, context),
            Self::Connect(args) => connect::run(&args, context),
            Self::Open(args) => open::run(&args, context),
            Self::Url(args) => url::run(&args, context),
            Self::Stats(args) => stats::run(&args, context),
            Self::Events(args) => events::run(&args, context),
            Self::Watch(args) => watch::run(&args, context),
            Self::Plan(args) => plan::run(&args, context),
            Self::Pull(args) => pull::run(&args, context),
            Self::Build(args) => build::run(&args, context),
            Self::Lock(args) => lock::run(&args, context),
            Self::Check(args) => check::run(&args, context),
            Self::Config(args) => config::run(&args, context),
            Self::Doctor(args) => doctor::run(&args, context),
            Self::Snapshot(args) => snapshot::run(&args, context),
            Self::Backup(args) => backup::run(&args, context),
            Self::Restore(args) => restore::run(&args, context),
            Self::Db(args) => db::run(&args, context),
            Self::Init(args) => init::run(&args, context),
            Self::Import(args) => import::run(&args, context),
            Self::Export(args) => export::run(&args, context),
            Self::Schema(args) => schema::run(&args, context),
            Self::Explain(args) => explain::run(&args, context),
            Self::Completions(args) => completions::run(args, context),
            Self::Aws(args) => aws::run(&args, context),
            Self::Terraform(args) => terraform::run(&args, context),
            Self::Test(args) => test::run(&args, context),
            Self::Gc(args) => gc::run(&args, context),
            Self::Janitor(args) => janitor::run(&args, context),
            Self::Man(args) => man::run(&args),
        }
    }
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
        let cancel = Cancel::on_signals(&Events::default());
        tokio::select! {
            shown = showing => shown.map(|()| ExitCode::SUCCESS),
            () = cancel.reached(Hurry::Stop) => Ok(ExitCode::from(cancel.error().kind.exit_code())),
        }
    })
}

/// The whole command line, as clap sees it.
pub fn command() -> clap::Command {
    help::dress(<Taskava as clap::CommandFactory>::command())
}

/// The program.
pub fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(completions::command).complete();
    process::allow_open_files();
    let Tool::Dev(dev) = match command().try_get_matches().and_then(|found| Taskava::from_arg_matches(&found)) {
        Ok(parsed) => parsed.tool,
        Err(error) => return not_run(&suggest::improve(error)),
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
fn not_run(error: &clap::Error) -> ExitCode {
    let wrong = error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if wrong && asks_for_json(std::env::args_os().skip(1)) {
        let text = error.render().to_string();
        let message = text.trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
        let global = Global { format: context::FormatArg::Json, ..Global::default() };
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

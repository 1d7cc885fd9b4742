//! `completions`: scripts that make shells complete commands, options and service names.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;

use super::Context;
use super::context::split;
use crate::diag::{Error, ErrorKind, Result};
use crate::load;
use crate::model::ServiceName;

/// Print a script that makes your shell complete taskava's commands
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(taskava dev completions bash --dynamic)                        bash, for this session
  taskava dev completions zsh > ~/.zfunc/_taskava                         zsh
  taskava dev completions fish > ~/.config/fish/completions/taskava.fish  fish")]
pub struct Args {
    /// The shell
    shell: Shell,
    /// Also complete names of services: the script asks taskava each time
    #[arg(long)]
    dynamic: bool,
}

/// Completes names of services of the stack that is meant. A broken services.toml completes nothing.
pub fn services() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let files = std::env::var_os("TASKAVA_FILE").map(|list| split(list.as_ref())).unwrap_or_default();
        let Ok(loaded) = load::stack(&load::Ask { files, ..load::Ask::default() }) else { return Vec::new() };
        let names = loaded.stack.services.keys().map(ServiceName::as_str);
        let typed = typed.to_string_lossy();
        names.filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
    })
}

/// Prints the script.
pub fn run(args: Args, context: &Context) -> Result<ExitCode> {
    let mut script = Vec::new();
    if args.dynamic {
        let shell = args.shell.to_string();
        let shells = Shells::builtins();
        let completer = shells.completer(&shell);
        let completer =
            completer.ok_or_else(|| Error::new(ErrorKind::Usage, format_args!("no dynamic completion for {shell}")))?;
        completer.write_registration("COMPLETE", "taskava", "taskava", "taskava", &mut script)?;
    } else {
        clap_complete::generate(args.shell, &mut super::command(), "taskava", &mut script);
    }
    context.screen.data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

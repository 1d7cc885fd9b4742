//! `completions`: scripts that make shells complete commands, options, and the names of services, profiles, snapshots and forks.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use serde_json::Value;

use crate::cli::Context;
use crate::cli::context::split;
use crate::diag::{Error, ErrorKind, Result};
use crate::load;
use crate::model::Stack;

/// Print a shell completion script
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(taskava dev completions bash --dynamic)                        bash, for the current session
  taskava dev completions zsh > ~/.zfunc/_taskava                         zsh
  taskava dev completions fish > ~/.config/fish/completions/taskava.fish  fish")]
pub struct Args {
    /// The shell
    shell: Shell,
    /// Also complete names of services, profiles, snapshots and forks, by running taskava each time
    #[arg(long)]
    dynamic: bool,
}

/// The command line that is completed, and which of its words; none when nothing is completed now.
fn typed() -> Option<(Vec<String>, usize)> {
    // `taskava -- WORD…`; the variable that asks for it is gone by now.
    let words = std::env::args_os().skip(1).skip_while(|word| word != "--").skip(1);
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    let index = index.unwrap_or_else(|| words.len().saturating_sub(1));
    (!words.is_empty()).then_some((words, index))
}

/// The command line as shells complete it: options only after `-`, where they are not in the way of names.
pub(in crate::cli) fn command() -> clap::Command {
    let command = crate::cli::command();
    let Some((words, index)) = typed() else { return command };
    let begun = words.get(index).map_or("", String::as_str);
    if begun.starts_with('-') { command } else { without_options(command) }
}

fn without_options(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| if arg.is_positional() { arg } else { arg.hide(true) });
    // Those that are made for each command can only be left out.
    command.disable_help_flag(true).disable_version_flag(true).mut_subcommands(without_options)
}

/// The values that an option has on the line so far: `-f a`, `--file a`, `--file=a`, `-fa`.
fn given(words: &[String], short: Option<char>, long: &str) -> Vec<String> {
    let (long, short) = (format!("--{long}"), short.map(|short| format!("-{short}")));
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let joined = |name: &str, rest: &str| word.strip_prefix(name)?.strip_prefix(rest).map(str::to_owned);
        if *word == long || Some(word) == short.as_ref() {
            found.extend(words.get(at + 1).cloned());
        } else if let Some(value) = joined(&long, "=") {
            found.push(value);
        } else if let Some(value) = short.as_deref().filter(|_| !word.starts_with("--")).and_then(|s| joined(s, "")) {
            found.push(value);
        }
    }
    found
}

/// The stack that is meant. A broken services.toml completes nothing.
fn stack() -> Option<Stack> {
    let (words, index) = typed()?;
    let mut files: Vec<PathBuf> =
        given(&words[..index.min(words.len())], Some('f'), "file").into_iter().map(Into::into).collect();
    if files.is_empty() {
        files = std::env::var_os("TASKAVA_FILE").map(|list| split(list.as_ref())).unwrap_or_default();
    }
    Some(load::stack(&load::LoadOptions { files, ..load::LoadOptions::default() }).ok()?.stack)
}

/// Completes what begins with what is typed, of these words.
fn of(words: impl Fn() -> Vec<String> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let typed = typed.to_string_lossy();
        words().into_iter().filter(|word| word.starts_with(&*typed)).map(CompletionCandidate::new).collect()
    })
}

/// Completes names of services of the stack that is meant.
pub fn services() -> ArgValueCompleter {
    of(|| stack().map(|stack| stack.services.keys().map(ToString::to_string).collect()).unwrap_or_default())
}

/// Completes names of profiles.
pub fn profiles() -> ArgValueCompleter {
    of(|| {
        let stack = stack();
        let services = stack.iter().flat_map(|stack| stack.services.values());
        let names: BTreeSet<String> = services.flat_map(|service| service.profiles.iter().cloned()).collect();
        names.into_iter().collect()
    })
}

/// Completes names of snapshots.
pub fn snapshots() -> ArgValueCompleter {
    of(|| names(&["snapshot", "list", "--json"], "snapshots", |snapshot| snapshot["name"].as_str()))
}

/// Completes names of copies of a database.
pub fn forks() -> ArgValueCompleter {
    of(|| {
        names(&["db", "list", "--json"], "databases", |copy| {
            copy["database"].as_str().filter(|_| copy["role"] == "fork")
        })
    })
}

/// Completes `--format`, which means something else to `env`.
pub fn formats() -> ArgValueCompleter {
    of(|| {
        let of_env = typed().is_some_and(|(words, _)| words.iter().any(|word| word == "env"));
        let words: &[&str] =
            if of_env { &["dotenv", "shell", "json", "docker", "github"] } else { &["auto", "tty", "plain", "json"] };
        words.iter().map(ToString::to_string).collect()
    })
}

/// How long a shell may be kept waiting for names that only the engine knows.
const PATIENCE: Duration = Duration::from_secs(2);

/// What another command of ours says there is, asked of the stack and the engine that are meant.
fn names(options: &[&str], list: &str, name: impl Fn(&Value) -> Option<&str>) -> Vec<String> {
    let look = || {
        let (words, index) = typed()?;
        let words = &words[..index.min(words.len())];
        let mut command = Command::new(std::env::current_exe().ok()?);
        command.arg("dev");
        for (short, long) in [(Some('f'), "file"), (Some('p'), "project"), (None, "host"), (None, "context")] {
            for value in given(words, short, long) {
                command.arg(format!("--{long}={value}"));
            }
        }
        command.args(options).env_remove("COMPLETE").stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let mut stdout = child.stdout.take()?;
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.read_to_string(&mut text);
            tell.send(read.map(|_| text))
        });
        let text = told.recv_timeout(PATIENCE);
        let _ = child.kill();
        let _ = child.wait();
        serde_json::from_str::<Value>(&text.ok()?.ok()?).ok()
    };
    let found = look().unwrap_or_default();
    found[list].as_array().into_iter().flatten().filter_map(|one| name(one).map(str::to_owned)).collect()
}

/// Prints the script.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let mut script = Vec::new();
    if args.dynamic {
        let shell = args.shell.to_string();
        let shells = Shells::builtins();
        let completer = shells.completer(&shell);
        let completer =
            completer.ok_or_else(|| Error::new(ErrorKind::Usage, format_args!("no dynamic completion for {shell}")))?;
        completer.write_registration("COMPLETE", "taskava", "taskava", "taskava", &mut script)?;
    } else {
        clap_complete::generate(args.shell, &mut crate::cli::command(), "taskava", &mut script);
    }
    context.screen.data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

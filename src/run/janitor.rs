//! The janitor: a process beside this one that removes an isolated stack when this one dies without having done so.
//!
//! It reads from a pipe that only we hold. A word on it means that there is nothing to do; its end without one, that we
//! are gone, however that happened. It says when it watches, and only then the first thing is made on the engine.
//!
//! The command line starts itself once more (`taskava dev janitor`). A test binary can't be started a second time as
//! something else: there it is a `taskava` that can be found, else a few lines of shell (`janitor.sh`).

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use crate::diag::Result;
use crate::engine::Engine;

/// What the janitor says when it watches.
const READY: &str = "ready";

/// Pauses between two looks at what is left. What was asked for in the last moment may still be in the making.
const PAUSES: [u64; 14] = [0, 100, 200, 500, 1000, 1000, 2000, 2000, 3000, 5000, 5000, 10_000, 10_000, 10_000];

/// How many looks in a row that find nothing are the end.
const EMPTY_LOOKS: usize = 6;

/// For programs that find no `taskava`.
const SCRIPT: &str = include_str!("janitor.sh");

/// Watches over a stack as long as this lives, and removes the stack when this dies without [`Janitor::dismiss`].
#[derive(Debug)]
pub struct Janitor {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Janitor {
    /// Starts the first of these commands that says that it watches; none when none does.
    pub fn start(commands: impl IntoIterator<Item = Command>) -> Option<Self> {
        commands.into_iter().find_map(Self::try_start)
    }

    fn try_start(mut command: Command) -> Option<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        clean(&mut command);
        detach(&mut command);
        let mut child = command.spawn().ok()?;
        let (pipe, stdout) = (child.stdin.take(), child.stdout.take()?);
        let mut line = String::new();
        let said = BufReader::new(stdout).read_line(&mut line);
        if said.is_ok() && line.trim() == READY {
            return Some(Self { child, pipe });
        }
        drop(pipe);
        let _ = child.wait();
        None
    }

    /// There is nothing to do any more: the stack is gone, or stays on purpose.
    pub fn dismiss(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.child.wait();
    }
}

/// The command line as a janitor; `engine`: the options that say which engine.
pub fn by_program(program: impl AsRef<OsStr>, engine: &[OsString], project: &str) -> Command {
    let mut command = Command::new(program);
    let owner = format!("--owner={}", std::process::id());
    command.arg("dev").args(engine).args(["janitor", project, &owner]);
    command
}

/// For a program that is not `taskava`: one that can be found, else the shell.
pub fn by_whom_there_is(address: &str, project: &str) -> Vec<Command> {
    let programs = programs().into_iter().map(|program| by_program(program, &[], project));
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, "janitor", project, address]);
    programs.chain([shell]).collect()
}

/// Where `taskava` may be: where one says, beside a test binary of this very package, on the path.
fn programs() -> Vec<PathBuf> {
    let name = format!("taskava{}", std::env::consts::EXE_SUFFIX);
    if let Some(program) = std::env::var_os("TASKAVA_JANITOR") {
        return if program.is_empty() { Vec::new() } else { vec![program.into()] };
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.parent()?.join(&name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(&name));
    beside.into_iter().chain(on_path).filter(|program| program.is_file()).collect()
}

/// What continuous integration looks for when it ends what a job left running, and what is nobody's business.
fn clean(command: &mut Command) {
    for name in ["RUNNER_TRACKING_ID", "BUILD_ID", "JENKINS_NODE_COOKIE", "TASKAVA_PROJECT", "TASKAVA_FILE"] {
        command.env_remove(name);
    }
    command.current_dir("/");
}

/// In a process group of its own, so that the Ctrl-C that ends us does not end it.
fn detach(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// The janitor itself: waits on its standard input, and removes the stack when that ends without a word.
///
/// # Errors
/// When the engine refuses to the last.
pub async fn watch(engine: &Engine, project: &str, say_ready: impl FnOnce() -> std::io::Result<()>) -> Result<()> {
    ignore_signals();
    say_ready()?;
    let mut word = [0; 1];
    if tokio::io::stdin().read(&mut word).await.is_ok_and(|read| read > 0) {
        return Ok(());
    }
    clear(engine, project).await
}

/// Removes a stack whose owner died in the middle of it, as often as it takes.
///
/// # Errors
/// When the engine refuses to the last.
pub async fn clear(engine: &Engine, project: &str) -> Result<()> {
    let (mut empty, mut last) = (0, Ok(()));
    for pause in PAUSES {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        match engine.remove_isolated(project).await {
            Ok(0) => empty += 1,
            Ok(_) => empty = 0,
            Err(error) => (empty, last) = (0, Err(error)),
        }
        if empty == EMPTY_LOOKS {
            return Ok(());
        }
    }
    last
}

/// A terminal that is closed, or Ctrl-C, is exactly what it is there for.
fn ignore_signals() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate(), SignalKind::pipe()] {
            let Ok(mut signals) = signal(kind) else { continue };
            tokio::spawn(async move { while signals.recv().await.is_some() {} });
        }
    }
}

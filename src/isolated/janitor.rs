//! The janitor: a separate process that removes an isolated stack if this process ends without having done so.
//!
//! It reads from a pipe that only we hold. A message on it means that there is nothing to do; its end without one means
//! that we have ended, for whatever reason. It reports when it is ready, and only then is the first object created on
//! the engine.
//!
//! The command line starts itself again (`taskava dev janitor`). A test binary can't be started as something else: then
//! it is a `taskava` that is found, otherwise a short shell script (`janitor.sh`).

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncBufReadExt as _;

use crate::diag::Result;
use crate::engine::Engine;
use crate::run::process_identity::{self, Process};
use crate::run::signals;

/// What the janitor says when it watches.
const READY: &str = "ready";

/// What the janitor reads about a process that is to end with us; any other word means that there is nothing to do.
const RUNS: &str = "runs";

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

    /// This process runs for us: it ends with us. Only the command line's janitor knows how.
    pub fn ends_too(&self, pid: u32) {
        if let (Some(mut pipe), Some(started)) = (self.pipe.as_ref(), process_identity::started(pid)) {
            let _ = pipe.write_all(format!("{RUNS} {pid} {started}\n").as_bytes());
        }
    }

    /// There is nothing left to do: the stack is removed, or kept on purpose.
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
    // A process that leads no group goes into a session of its own without becoming another one, so `setsid` gets
    // no group; without it, as on macOS, a group is the best option.
    let (mut session, mut group) = (Command::new("setsid"), Command::new("sh"));
    session.arg("sh");
    lead_group(&mut group);
    for shell in [&mut session, &mut group] {
        shell.args(["-c", SCRIPT, "janitor", project, address]);
    }
    programs.chain([session, group]).collect()
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

/// What continuous integration looks for when it ends what a job left running, and variables of our own.
fn clean(command: &mut Command) {
    for name in ["RUNNER_TRACKING_ID", "BUILD_ID", "JENKINS_NODE_COOKIE", "TASKAVA_PROJECT", "TASKAVA_FILE"] {
        command.env_remove(name);
    }
    command.current_dir("/");
}

/// In a process group of its own, so that the Ctrl-C that ends us does not end it. A session of its own goes further: it
/// outlives that of the terminal. The command line makes one by itself.
fn lead_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// The janitor itself: waits on its standard input, and removes the stack when that ends without a word. What ran for the
/// owner then `end`s too.
///
/// # Errors
/// When the engine refuses to the last.
pub async fn watch(
    engine: &Engine,
    project: &str,
    say_ready: impl FnOnce() -> std::io::Result<()>,
    end: impl AsyncFn(Process),
) -> Result<()> {
    // A terminal that is closed, or Ctrl-C, is exactly what it is there for.
    signals::ignore();
    say_ready()?;
    let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    let mut runs = None;
    while let Ok(Some(line)) = lines.next_line().await {
        match process(&line) {
            Some(process) => runs = Some(process),
            None => return Ok(()),
        }
    }
    let ended = async {
        if let Some(process) = runs {
            end(process).await;
        }
    };
    futures_util::join!(clear(engine, project), ended).0
}

fn process(line: &str) -> Option<Process> {
    let (pid, started) = line.strip_prefix(RUNS)?.trim_start().split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, parent: std::process::id(), started: started.into() })
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

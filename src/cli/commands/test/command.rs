//! The command of a test run: started with the stack's variables, in our process group; signals that only this process
//! got are forwarded.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::diag::{Error, ErrorKind, Result};
use crate::run::shutdown::{Shutdown, ShutdownLevel};
use crate::ui::Format;

/// How long a command that was asked to end may take.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a command to its end, with these variables and `without` those of our own, and tells its process when it has one;
/// its exit code, 128 + n for signal n.
///
/// # Errors
/// When there is no such command, or it may not be executed: with the exit codes that shells have for that.
pub(in crate::cli) async fn run(
    words: &[OsString],
    variables: Vec<(String, OsString)>,
    without: &[&str],
    format: Format,
    shutdown: &Shutdown,
    on_start: impl FnOnce(u32),
) -> Result<u8> {
    let (program, arguments) = words.split_first().expect("clap requires a word");
    let mut command = Command::new(program);
    command.args(arguments);
    for name in without {
        command.env_remove(name);
    }
    command.envs(variables);
    if format == Format::Json {
        // Standard output is for JSON alone.
        command.stdout(Stdio::from(io::stderr()));
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Err(not_started(program, &error)),
    };
    child.id().map(on_start);
    tokio::select! {
        status = child.wait() => return Ok(code(status?)),
        () = shutdown.reached(ShutdownLevel::Stop) => {}
    }
    // A terminal sends Ctrl-C to the whole process group; any other signal may have been ours alone.
    let cause = shutdown.error().kind;
    let by_keyboard = cause == ErrorKind::Interrupted && io::stdin().is_terminal();
    if !by_keyboard {
        pass_on(&child, cause);
    }
    tokio::select! {
        status = child.wait() => return Ok(code(status?)),
        () = shutdown.reached(ShutdownLevel::Kill) => {}
        () = tokio::time::sleep(GRACE), if cause != ErrorKind::Interrupted => {}
    }
    child.kill().await?;
    Ok(code(child.wait().await?))
}

/// Looks a program up as it will be when it is run, so that a misspelt one is reported before a stack is started for it.
///
/// # Errors
/// Those of `run`: there is no such command, or it may not be executed.
pub(in crate::cli) fn look_up(program: &OsStr) -> Result<()> {
    let is_path = program.as_encoded_bytes().contains(&b'/');
    let folders = if is_path { Some(OsString::new()) } else { std::env::var_os("PATH") };
    // Without PATH, and on Windows, the system knows more ways; starting the command tells whether it finds one.
    let Some(folders) = folders.filter(|_| cfg!(unix)) else { return Ok(()) };
    let mut error = io::ErrorKind::NotFound;
    let candidates = std::env::split_paths(&folders).filter(|_| !program.is_empty());
    for file in candidates.map(|folder| folder.join(program)) {
        match std::fs::metadata(&file) {
            Ok(file) if is_executable(&file) => return Ok(()),
            Ok(_) => error = io::ErrorKind::PermissionDenied,
            Err(missing) if matches!(missing.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(other) => error = other.kind(),
        }
    }
    // The words of the system, which an error of spawning has, too.
    let error = match error {
        io::ErrorKind::NotFound => io::Error::from_raw_os_error(2),
        io::ErrorKind::PermissionDenied => io::Error::from_raw_os_error(13),
        other => other.into(),
    };
    Err(not_started(program, &error))
}

/// Whether the system would start a file. What it says of its owner's rights is left to starting it.
fn is_executable(file: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    let allowed = std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let allowed = true;
    file.is_file() && allowed
}

fn not_started(program: &OsStr, error: &io::Error) -> Error {
    let message = format!("can't run `{}`: {error}", program.to_string_lossy());
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::CommandMissing, message)
            .hint("is it installed? shell syntax needs a shell: -- sh -c '…'"),
        _ => Error::new(ErrorKind::CommandRefused, message).hint("may it be executed?"),
    }
}

fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
    #[cfg(not(unix))]
    let signal = None;
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// Sends a command the signal that we got.
fn pass_on(child: &Child, cause: ErrorKind) {
    #[cfg(unix)]
    {
        let signal = match cause {
            ErrorKind::Interrupted => rustix::process::Signal::INT,
            ErrorKind::HungUp => rustix::process::Signal::HUP,
            _ => rustix::process::Signal::TERM,
        };
        let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
    #[cfg(not(unix))]
    let _ = (child, cause);
}

//! Shared by `exec`, `run` and `connect`: finding the container, deciding whether to allocate a terminal, and
//! forwarding bytes (`pump`), signals and the window size (`outside`).

mod outside;
mod pump;

use std::process::ExitCode;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWriteExt as _;

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::engine::Size;
use crate::engine::attach::{Channel, ExecOptions, not_run};
use crate::model::{ServiceName, Stack};
use crate::plan::observed::{Container, ContainerState};
use crate::ui::terminal::{self, Raw};

use super::Context;

pub use outside::{Outside, What};
pub use pump::{Ended, Flow, pump};

/// Options that say how the command inside is connected to this one.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Streams {
    /// Don't allocate a terminal, so that stdout and stderr stay separate [default: when stdin or stdout is not a
    /// terminal]
    #[arg(short = 'T', long)]
    pub no_tty: bool,
    /// Allocate a terminal (the default in a terminal; accepted for compatibility)
    #[arg(short = 't', long = "tty", conflicts_with = "no_tty")]
    pub with_tty: bool,
    /// Keep stdin open (the default; accepted for compatibility)
    #[arg(short, long)]
    pub interactive: bool,
    /// Don't read stdin, for example inside a shell loop that reads it itself
    #[arg(long, conflicts_with = "interactive")]
    pub no_stdin: bool,
}

impl Streams {
    /// The size of the terminal to make inside; none = none.
    pub fn tty(self) -> Option<Size> {
        let wanted = cfg!(unix) && !self.no_tty && !self.no_stdin && terminal::is_interactive();
        wanted.then(|| terminal::size().unwrap_or((24, 80)))
    }
}

/// The container of a service, which has to run.
///
/// # Errors
/// Says what to do when it does not.
pub async fn container(engine: &Engine, stack: &Stack, service: &ServiceName) -> Result<Container> {
    let containers = engine.containers(stack.name.as_str()).await?;
    let Some(container) = containers.into_iter().find(|seen| seen.service == *service) else {
        let error = Error::new(ErrorKind::Other, format_args!("{service} does not run: it has no container"));
        return Err(error.hint(format!("start it with: taskava dev up {service}")));
    };
    let state = match (container.state, container.exit_code) {
        (ContainerState::Running, _) => return Ok(container),
        (ContainerState::Paused, _) => "is paused".to_owned(),
        (ContainerState::Restarting, _) => {
            let error = Error::new(ErrorKind::Other, format_args!("{service} is restarting again and again"));
            return Err(error.hint(format!("see why: taskava dev logs {service}")));
        }
        (_, Some(code)) => format!("does not run: it exited with code {code}"),
        (state, None) => format!("does not run: it is {}", state.as_str()),
    };
    Err(Error::new(ErrorKind::Other, format_args!("{service} {state}"))
        .hint(format!("start it with: taskava dev up {service}"))
        .hint(format!("see why: taskava dev explain {service}")))
}

/// `NAME=value` as it is; of `NAME` the value it has here. One that is not set here is none inside.
pub fn variables(given: &[String]) -> Vec<String> {
    let variable = |text: &String| match text.split_once('=') {
        Some(_) => Some(text.clone()),
        None => std::env::var(text).ok().map(|value| format!("{text}={value}")),
    };
    given.iter().filter_map(variable).collect()
}

/// Checks a `-e`.
///
/// # Errors
/// When it names no variable.
pub fn variable(text: &str) -> Result<String, String> {
    match text.split('=').next() {
        Some("") | None => Err("NAME=VALUE, or NAME for the value it has here".into()),
        Some(_) => Ok(text.into()),
    }
}

/// Writes an archive to stdout, as it comes.
///
/// # Errors
/// What the archive ends with; when no process reads it.
pub async fn to_stdout(archive: impl Stream<Item = Result<Bytes>>) -> Result<()> {
    let (mut archive, mut stdout) = (std::pin::pin!(archive), tokio::io::stdout());
    while let Some(piece) = archive.next().await {
        stdout.write_all(&piece?).await?;
    }
    Ok(stdout.flush().await?)
}

/// An exit code of a process as ours.
pub fn exit_code(code: i64) -> ExitCode {
    ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1))
}

/// Runs a command in a running container, connected to our streams; ends with its exit code.
pub async fn exec(
    context: &Context,
    engine: &Engine,
    container: &Container,
    options: &ExecOptions,
) -> Result<ExitCode> {
    let mut outside = Outside::listen();
    let exec =
        engine.prepare_exec(&container.id, options).await.map_err(|error| explained(error, &container.service))?;
    // The engine holds the size back until the command is started: so it is sent as early as possible.
    let (attached, ()) = tokio::join!(engine.start_exec(&exec, options), async {
        if let Some(size) = options.tty {
            engine.resize_exec(&exec, size).await;
        }
    });
    let attached = attached.map_err(|error| explained(error, &container.service))?;
    let raw = options.tty.map(|_| Raw::enter()).transpose()?;
    let on = async |what| match what {
        What::Resized(size) => {
            engine.resize_exec(&exec, size).await;
            Ok(Flow::GoOn)
        }
        // The engine has no way to signal a command inside: as with docker, only this side ends.
        What::Signal(signal) => Ok(Flow::Leave(signal.exit_code())),
    };
    let ended = pump(attached, options.stdin, &mut outside, on).await;
    drop(raw);
    let ended = ended?;
    if let Some(code) = ended.left {
        return Ok(ExitCode::from(code));
    }
    let code = tokio::select! {
        code = pump::exec_end(engine, &exec, options.tty.is_some()) => code?,
        code = outside.left() => return Ok(ExitCode::from(code)),
    };
    let Some(code) = code else {
        context.screen.note(&format!("detached; the command keeps running in {}", container.service));
        return Ok(ExitCode::SUCCESS);
    };
    let words = ended.held.as_deref().map(String::from_utf8_lossy);
    match (words.as_deref().and_then(not_run), code) {
        // Engines have 126 even where there is no such command.
        (Some((code, why)), 126 | 127) => {
            context.screen.error(&cannot_run(&options.command, &why, &container.service));
            Ok(ExitCode::from(code))
        }
        _ => {
            if let Some(held) = ended.held {
                pump::write(Channel::Stdout, &held).await?;
            }
            Ok(exit_code(code))
        }
    }
}

/// Shows what was held back of the output, which was no refusal after all.
///
/// # Errors
/// When no process reads it.
pub async fn show_held(ended: Ended) -> Result<()> {
    match ended.held {
        Some(held) => pump::write(Channel::Stdout, &held).await,
        None => Ok(()),
    }
}

/// The error of a command that could not be run.
pub fn cannot_run(command: &[String], why: &str, service: &ServiceName) -> Error {
    let command = command.first().map_or("its command", String::as_str);
    let why = why.strip_prefix(&format!("{command:?}: ")).unwrap_or(why);
    let error = Error::new(ErrorKind::Other, format_args!("can't run `{command}` in {service}: {why}"));
    if why.contains("executable file not found") {
        return error.hint("the service's image has no such program; name one that it has, with its path if needed");
    }
    error
}

/// A refusal of the engine with what it means here.
fn explained(error: Error, service: &ServiceName) -> Error {
    let text = error.to_string();
    if let Some((_, why)) = not_run(&text) {
        return Error::new(ErrorKind::Other, format_args!("can't run the command in {service}: {why}"));
    }
    if text.contains("is not running") || text.contains("No such container") {
        return error.hint(format!("it has just ended; see why: taskava dev explain {service}"));
    }
    error
}

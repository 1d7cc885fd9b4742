//! Attaches to processes: commands in a running container and the main process of a new one, with their streams as
//! bytes, their terminal's size, signals, and exit codes. The other end of the streams is up to the caller.

use std::io;
use std::time::Duration;

use bollard::exec::ResizeExecOptions;
use bollard::models::{ExecConfig, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptions, ResizeContainerTTYOptions,
};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWrite};

use super::connect::answer;
use super::error::{failed, status};
use super::hijack::{self, Reader, Then, Writer};
use super::logs::decode::frame;
use super::spec::{OneOffOptions, Size, console_size};
use super::{Engine, spec};
use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::{Service, Stack};

/// Longest pause between two questions whether a command has ended.
const PAUSE: Duration = Duration::from_millis(100);

/// A command to be run in a running container.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The command.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `user[:group]`; otherwise the container's.
    pub user: Option<String>,
    /// Working directory; otherwise the container's.
    pub working_dir: Option<String>,
    /// With all capabilities.
    pub privileged: bool,
    /// It gets what we send it.
    pub stdin: bool,
    /// Its output is wanted.
    pub output: bool,
    /// In a terminal of this size; none = without a terminal.
    pub tty: Option<Size>,
}

/// How to connect to a main process.
#[derive(Debug, Clone, Default)]
pub struct AttachOptions {
    /// It gets what we send it.
    pub stdin: bool,
    /// Keys that detach: `ctrl-p,ctrl-q`.
    pub detach_keys: Option<String>,
}

/// The streams that a main process has.
#[derive(Debug, Clone, Copy)]
pub struct Streams {
    /// It has a terminal.
    pub tty: bool,
    /// It reads input.
    pub stdin: bool,
}

/// Which stream a piece of output is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// stdout, and everything that comes from a terminal.
    Stdout,
    /// stderr.
    Stderr,
}

/// A process and we, connected.
pub struct Attached {
    /// To its stdin; shutting it down is the end of its input.
    pub input: std::pin::Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes.
    pub output: Output,
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attached")
    }
}

/// What a process writes, piece by piece.
pub struct Output {
    from: Reader,
    frames: Option<Frames>,
}

impl Output {
    fn attached((from, input): (Reader, Writer), tty: bool) -> Attached {
        Attached { input, output: Self { from, frames: (!tty).then(Frames::default) } }
    }

    /// The next piece; none at the end. Nothing is lost when the wait for it is given up.
    pub async fn next(&mut self) -> io::Result<Option<(Channel, Vec<u8>)>> {
        loop {
            let bytes = self.from.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let Some(frames) = &mut self.frames else {
                let piece = bytes.to_vec();
                self.from.consume(piece.len());
                return Ok(Some((Channel::Stdout, piece)));
            };
            let (used, piece) = frames.take(bytes);
            let piece = piece.map(|(channel, piece)| (channel, piece.to_vec()));
            self.from.consume(used);
            if piece.is_some() {
                return Ok(piece);
            }
        }
    }
}

/// Decodes frames: one byte for the stream, three empty ones, four for the length, then that number of bytes.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; 8],
    /// Number of header bytes read so far.
    have: usize,
    /// Bytes of the frame that are still to come.
    left: usize,
}

impl Frames {
    /// How many of these bytes were used, and the output among them.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> (usize, Option<(Channel, &'a [u8])>) {
        let mut used = 0;
        if self.left == 0 {
            used = bytes.len().min(self.header.len() - self.have);
            self.header[self.have..self.have + used].copy_from_slice(&bytes[..used]);
            self.have += used;
            if self.have < self.header.len() {
                return (used, None);
            }
            self.have = 0;
            (_, self.left) = frame(self.header);
        }
        let piece = &bytes[used..used + self.left.min(bytes.len() - used)];
        self.left -= piece.len();
        let channel = if self.header[0] == 1 { Channel::Stdout } else { Channel::Stderr };
        (used + piece.len(), (!piece.is_empty()).then_some((channel, piece)))
    }
}

/// The end of a container, waited for since before its start. The engine gives up when we end our direction of the
/// connection, so that is kept.
pub struct Ending(Reader, #[expect(dead_code, reason = "kept open")] Writer);

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ending")
    }
}

impl Ending {
    /// Its exit code.
    ///
    /// # Errors
    /// When the connection to the engine is lost.
    pub async fn code(mut self) -> Result<i64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Ended {
            status_code: i64,
        }
        let text = bounded::stream(&mut self.0, 64 << 10).await?;
        let ended: Option<Ended> = serde_json::from_slice(&text).ok();
        ended.map(|ended| ended.status_code).ok_or_else(|| {
            Error::new(ErrorKind::Engine, "lost track of the container before it exited")
                .hint("is the engine still running? try: taskava dev ps")
        })
    }
}

impl Engine {
    /// Prepares a command in a running container. Returns its id.
    ///
    /// # Errors
    /// When the container does not run.
    pub async fn prepare_exec(&self, container: &str, options: &ExecOptions) -> Result<String> {
        let config = ExecConfig {
            cmd: Some(options.command.clone()),
            env: Some(options.env.clone()),
            user: options.user.clone(),
            working_dir: options.working_dir.clone(),
            privileged: Some(options.privileged),
            attach_stdin: Some(options.stdin),
            attach_stdout: Some(options.output),
            attach_stderr: Some(options.output),
            tty: Some(options.tty.is_some()),
            console_size: options.tty.filter(|_| self.takes_sizes()).map(console_size),
            ..Default::default()
        };
        let created = answer(self.docker.create_exec(container, config)).await;
        created.map(|created| created.id).map_err(|error| failed("can't run a command in the container", &error))
    }

    /// Starts a prepared command and connects to it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn start_exec(&self, exec: &str, options: &ExecOptions) -> Result<Attached> {
        let mut body = serde_json::json!({ "Detach": false, "Tty": options.tty.is_some() });
        if let Some(size) = options.tty.filter(|_| self.takes_sizes()) {
            body["ConsoleSize"] = console_size(size).into();
        }
        let wire = hijack::post(&self.address, &format!("/exec/{exec}/start"), &body.to_string(), Then::Upgrade).await;
        let wire = wire.map_err(|error| failed("can't run a command in the container", &error))?;
        Ok(Output::attached(wire, options.tty.is_some()))
    }

    /// Starts a prepared command and leaves it alone.
    ///
    /// # Errors
    /// When the engine refuses, for instance because there is no such command.
    pub async fn start_exec_detached(&self, exec: &str) -> Result<()> {
        let path = format!("/exec/{exec}/start");
        let started = hijack::post(&self.address, &path, r#"{"Detach":true}"#, Then::Body).await;
        started.map(drop).map_err(|error| failed("can't run a command in the container", &error))
    }

    /// Tells a command's terminal its size. The engine waits for the command to be started.
    pub async fn resize_exec(&self, exec: &str, (height, width): Size) {
        // A command that has just exited no longer has a terminal.
        let _ = self.docker.resize_exec(exec, ResizeExecOptions { height, width }).await;
    }

    /// The exit code of a command whose output has ended; it may take a moment longer, or have closed its output and
    /// keep running.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn exec_end(&self, exec: &str) -> Result<i64> {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(code) = self.exec_code(exec).await? {
                return Ok(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// The exit code of a command; none while it runs.
    async fn exec_code(&self, exec: &str) -> Result<Option<i64>> {
        let seen = answer(self.docker.inspect_exec(exec)).await;
        let seen = seen.map_err(|error| failed("lost track of the command", &error))?;
        Ok(if seen.running == Some(true) { None } else { Some(seen.exit_code.unwrap_or(0)) })
    }

    /// Creates a one-off container of a service. Returns its id and the engine's warnings.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn create_one_off(
        &self,
        stack: &Stack,
        service: &Service,
        options: &OneOffOptions,
    ) -> Result<(String, Vec<String>)> {
        let at_once = if self.about.api >= (1, 44) { service.networks.len() } else { 1 };
        let body = spec::one_off(stack, service, options, at_once);
        let platform = service.platform.clone().unwrap_or_default();
        let named = CreateContainerOptions { name: Some(options.name.clone()), platform };
        let created = self.docker.create_container(Some(named), body).await;
        let created = created.map_err(|error| match status(&error) {
            Some(409) => failed(format_args!("can't create {}", options.name), &error)
                .hint("remove the container of that name, or give this one another: --name NAME"),
            _ => failed(format_args!("can't create {}", options.name), &error),
        })?;
        for short in service.networks.iter().skip(at_once) {
            let network = &stack.networks[short].name;
            let request = NetworkConnectRequest { container: created.id.clone(), endpoint_config: None };
            let connected = self.docker.connect_network(network, request).await;
            connected
                .map_err(|error| failed(format_args!("can't connect {} to network {network}", options.name), &error))?;
        }
        self.put_files(&created.id, &service.files).await?;
        let ignored = super::mounts::ignored(self.about.api, service);
        Ok((created.id, created.warnings.into_iter().chain(ignored).collect()))
    }

    /// Listens to a container without a terminal that is not started yet: nothing of its output is missed.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn overhear(&self, container: &str, name: &str) -> Result<Attached> {
        let path = format!("/containers/{container}/attach?stream=1&stdout=1&stderr=1");
        let wire = hijack::post(&self.address, &path, "", Then::Upgrade).await;
        Ok(Output::attached(wire.map_err(|error| failed(format_args!("can't listen to {name}"), &error))?, false))
    }

    /// Connects to a container that is not started yet: nothing of its output is missed.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn attach(&self, container: &str, options: &OneOffOptions) -> Result<Attached> {
        let stdin = if options.stdin { "&stdin=1" } else { "" };
        let path = format!("/containers/{container}/attach?stream=1&stdout=1&stderr=1{stdin}");
        let wire = hijack::post(&self.address, &path, "", Then::Upgrade).await;
        let wire = wire.map_err(|error| failed(format_args!("can't connect to {}", options.name), &error))?;
        Ok(Output::attached(wire, options.tty.is_some()))
    }

    /// Connects to the main process of a container that runs.
    ///
    /// # Errors
    /// When it does not run, or the engine does not know the keys.
    pub async fn attach_running(&self, id: &str, name: &str, options: &AttachOptions) -> Result<(Attached, Streams)> {
        let seen = answer(self.docker.inspect_container(id, None::<InspectContainerOptions>)).await;
        let seen = seen.map_err(|error| failed(format_args!("can't inspect {name}"), &error))?;
        let config = seen.config.unwrap_or_default();
        let kind = Streams { tty: config.tty.unwrap_or_default(), stdin: config.open_stdin.unwrap_or_default() };
        let stdin = if options.stdin && kind.stdin { "&stdin=1" } else { "" };
        let mut path = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1{stdin}");
        if let Some(keys) = &options.detach_keys {
            path = format!("{path}&{}", hijack::query(&[("detachKeys", keys.clone())]));
        }
        let wire = hijack::post(&self.address, &path, "", Then::Upgrade).await;
        let wire = wire.map_err(|error| failed(format_args!("can't attach to {name}"), &error))?;
        Ok((Output::attached(wire, kind.tty), kind))
    }

    /// Begins to wait for the end of a container that is not started yet; where the engine removes it, for that too.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn ending(&self, container: &str, removed: bool) -> Result<Ending> {
        let condition = if removed { "removed" } else { "next-exit" };
        let path = format!("/containers/{container}/wait?condition={condition}");
        let wire = hijack::post(&self.address, &path, "", Then::Body).await;
        let (reader, writer) = wire.map_err(|error| failed("can't wait for the container", &error))?;
        Ok(Ending(reader, writer))
    }

    /// Tells a container's terminal its size.
    pub async fn resize(&self, container: &str, (rows, columns): Size) {
        let options = ResizeContainerTTYOptions { h: rows.into(), w: columns.into() };
        // One that has just exited no longer has a terminal.
        let _ = self.docker.resize_container_tty(container, options).await;
    }

    /// Sends a signal (`SIGINT`) to a container's main process. One that has ended needs none.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn signal(&self, container: &str, signal: &str) -> Result<()> {
        match self.docker.kill_container(container, Some(KillContainerOptions { signal: signal.into() })).await {
            Ok(()) => Ok(()),
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            Err(error) => Err(failed(format_args!("can't send {signal}"), &error)),
        }
    }

    /// Whether a terminal's size can be set when the command is created; otherwise it is set a moment later.
    fn takes_sizes(&self) -> bool {
        self.about.api >= (1, 42)
    }
}

/// How the engine begins when it could not run a command. While a command is attached, it has no other place to say so than
/// the command's output.
const REFUSALS: [&str; 3] = ["OCI runtime exec failed", "unable to find user", "unable to find group"];

/// Whether output may be the engine's own words instead of a command's.
pub fn may_be_refusal(output: &[u8]) -> bool {
    REFUSALS.iter().any(|words| output.starts_with(words.as_bytes()))
}

/// The engine's message for a command that could not be run, shortened, and the exit code that a shell uses for it: 127
/// if the command does not exist, 126 if it can't be run. None: something else failed.
pub fn not_run(text: &str) -> Option<(u8, String)> {
    let text = text.trim();
    if !text.contains("OCI runtime") && !REFUSALS.iter().any(|words| text.contains(words)) {
        return None;
    }
    // `OCI runtime exec failed: …: unable to start container process: exec: "nope": executable file not found in $PATH`
    let marks = ["exec: \"", "starting container process caused: ", "unable to start container process: "];
    let said = marks.iter().find_map(|mark| {
        let at = text.rfind(mark)?;
        Some(&text[at + mark.trim_end_matches('"').len()..])
    });
    let said = said.unwrap_or(text).trim_end_matches(": unknown");
    let missing = ["executable file not found", "no such file or directory"];
    let code = if said.starts_with('"') && missing.iter().any(|words| said.contains(words)) { 127 } else { 126 };
    Some((code, said.to_owned()))
}

#[cfg(test)]
mod tests;

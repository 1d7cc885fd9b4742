//! Runs scripts in a container whose streams are bytes, and which clean up when this process ends.

use tokio::io::AsyncWriteExt as _;

use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::engine::attach::{Attached, Channel, ExecOptions};

/// Longest complaint that is kept.
const COMPLAINT: usize = 16 * 1024;

/// Where a script runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The engine.
    pub(super) engine: &'a Engine,
    /// Id of the container.
    pub(super) container: &'a str,
    /// `NAME=value`.
    pub(super) env: &'a [String],
}

/// A script that runs.
#[derive(Debug)]
pub(super) struct Script<'a> {
    engine: &'a Engine,
    exec: String,
    attached: Attached,
    complaint: String,
}

impl<'a> Script<'a> {
    /// Starts it.
    pub(super) async fn start(place: Place<'a>, script: &str) -> Result<Self> {
        Self::start_as(None, place, script).await
    }

    /// Starts it as another user than the container's own.
    pub(super) async fn start_as(user: Option<String>, place: Place<'a>, script: &str) -> Result<Self> {
        let options = ExecOptions {
            user,
            command: ["sh", "-c", script].map(String::from).to_vec(),
            env: place.env.to_vec(),
            stdin: true,
            output: true,
            ..ExecOptions::default()
        };
        let exec = place.engine.prepare_exec(place.container, &options).await?;
        let attached = place.engine.start_exec(&exec, &options).await?;
        Ok(Self { engine: place.engine, exec, attached, complaint: String::new() })
    }

    /// The next piece of what it writes; none at the end. What it complains of is kept.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        while let Some((channel, piece)) = self.attached.output.next().await? {
            if channel == Channel::Stdout {
                return Ok(Some(piece));
            }
            complain(&mut self.complaint, &piece);
        }
        Ok(None)
    }

    /// Sends it a chunk. False: it no longer reads.
    pub(super) async fn send(&mut self, piece: &[u8]) -> Result<bool> {
        // It may say something while it is sent to, and wait until that is heard.
        let (input, output, complaint) = (&mut self.attached.input, &mut self.attached.output, &mut self.complaint);
        let sending = async {
            input.write_all(piece).await?;
            input.flush().await
        };
        tokio::pin!(sending);
        loop {
            tokio::select! {
                sent = &mut sending => return Ok(sent.is_ok()),
                heard = output.next() => match heard? {
                    Some((_, piece)) => complain(complaint, &piece),
                    None => return Ok(false),
                },
            }
        }
    }

    /// Ends its input, waits for its end; what it complained of.
    ///
    /// # Errors
    /// When it fails.
    pub(super) async fn end(mut self, what: &str) -> Result<String> {
        // One that ended by itself no longer reads.
        let _ = self.attached.input.shutdown().await;
        while let Some((_, piece)) = self.attached.output.next().await? {
            complain(&mut self.complaint, &piece);
        }
        let code = self.engine.exec_end(&self.exec).await?;
        if code == 0 {
            return Ok(self.complaint);
        }
        let said = match self.complaint.trim() {
            "" => format!("exit code {code}"),
            said => said.to_owned(),
        };
        let error = Error::new(ErrorKind::Other, format_args!("{what}: {said}"));
        Err(match said.contains("No space left") {
            true => error.hint("the engine's disk is full; `docker system df` shows what takes the room"),
            false => error,
        })
    }
}

/// Numbers of the user and group that own a folder, so that nothing is done as root with files of others. None when they
/// can't be found out, or are root. `folder`: as a shell in the container reads it.
pub(super) async fn owner_of(place: Place<'_>, folder: &str) -> Result<Option<String>> {
    let mut script = Script::start(place, &format!("exec stat -c %u:%g \"{folder}\"")).await?;
    let mut said = Vec::new();
    while let Some(piece) = script.next().await? {
        said.extend(piece);
    }
    // An image without `stat` says nothing.
    let _ = script.end("can't look at the data").await;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = said.split_once(':').is_some_and(|(user, group)| number(user) && number(group) && user != "0");
    Ok(is_one.then_some(said))
}

fn complain(all: &mut String, piece: &[u8]) {
    if all.len() < COMPLAINT {
        all.push_str(&String::from_utf8_lossy(piece));
    }
}

//! Runs a command in a container and waits until it exits.

use bollard::errors::Error as Bollard;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt as _;

use super::Engine;
use super::connect::answer;
use super::error::failed;
use super::ops::short;
use crate::diag::Result;
use crate::model::Hook;

/// How a command inside a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Exit code.
    pub code: i64,
    /// The end of what it wrote, both streams.
    pub output: String,
}

/// What is kept of a command's output.
const OUTPUT_LIMIT: usize = 16 * 1024;

impl Engine {
    /// Runs a command inside a container.
    ///
    /// # Errors
    /// When the engine refuses, for instance because the container does not run.
    pub async fn exec(&self, id: &str, command: &[String]) -> Result<Executed> {
        self.exec_with(id, command, Vec::new(), Bytes::new()).await
    }

    /// The same as another user (`user[:group]`) than the container's.
    ///
    /// # Errors
    /// As above.
    pub async fn exec_as(&self, id: &str, user: &str, command: &[String]) -> Result<Executed> {
        let options = CreateExecOptions { user: Some(user.into()), ..Default::default() };
        self.executed(id, command, options, Bytes::new()).await
    }

    /// The same with variables (`NAME=value`) in its environment, and something on its standard input.
    ///
    /// # Errors
    /// As above.
    pub async fn exec_with(&self, id: &str, command: &[String], env: Vec<String>, input: Bytes) -> Result<Executed> {
        let options = CreateExecOptions { env: Some(env), ..Default::default() };
        self.executed(id, command, options, input).await
    }

    /// Runs a hook inside a container.
    ///
    /// # Errors
    /// As above.
    pub async fn exec_hook(&self, id: &str, hook: &Hook) -> Result<Executed> {
        let Hook { command, user, working_dir, env, privileged } = hook;
        let options = CreateExecOptions {
            user: user.clone(),
            working_dir: working_dir.clone(),
            env: Some(env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            privileged: privileged.then_some(true),
            ..Default::default()
        };
        self.executed(id, command, options, Bytes::new()).await
    }

    async fn executed(
        &self,
        id: &str,
        command: &[String],
        options: CreateExecOptions<String>,
        input: Bytes,
    ) -> Result<Executed> {
        let failed =
            |error: Bollard| failed(format_args!("can't run `{}` in {}", command.join(" "), short(id)), &error);
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdin: Some(!input.is_empty()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..options
        };
        let exec = answer(self.docker.create_exec(id, options)).await.map_err(failed)?;
        self.finish_exec(&exec.id, input).await.map_err(failed)
    }

    /// Starts a prepared command, gives it its standard input, and waits for its end.
    pub(super) async fn finish_exec(&self, exec: &str, input: Bytes) -> std::result::Result<Executed, Bollard> {
        let mut output = Vec::new();
        if let StartExecResults::Attached { output: mut stream, input: mut stdin } =
            self.docker.start_exec(exec, None::<StartExecOptions>).await?
        {
            // Whether it reads what it is given is its own affair: what counts is its output and its end.
            let mut feeding = std::pin::pin!(async {
                let _ = stdin.write_all(&input).await;
                let _ = stdin.shutdown().await;
            });
            let mut fed = input.is_empty();
            loop {
                let frame = tokio::select! {
                    frame = stream.next() => frame,
                    () = &mut feeding, if !fed => {
                        fed = true;
                        continue;
                    }
                };
                let Some(frame) = frame else { break };
                output.extend_from_slice(&frame?.into_bytes());
                if output.len() > 2 * OUTPUT_LIMIT {
                    output.drain(..output.len() - OUTPUT_LIMIT);
                }
            }
        }
        let seen = answer(self.docker.inspect_exec(exec)).await?;
        let output = String::from_utf8_lossy(&output).trim().to_owned();
        Ok(Executed { code: seen.exit_code.unwrap_or(-1), output })
    }
}

//! Commands in a container with a time limit, after which they are killed, so that nothing of ours hangs there.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::exec::CreateExecOptions;
use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::Engine;
use super::connect::answer;
use super::error::failed;
use super::exec::Executed;
use super::ops::short;
use crate::diag::Result;

/// Carries a word of our own into a command's environment, and so into that of every process it starts: by that they are
/// found inside the container, where they have other numbers than the engine knows.
const MARK: &str = "TASKAVA_QUESTION";

/// Ends every process that carries a mark (`$0`), with nothing but a shell. That of this script itself is among its
/// arguments only.
const END: &str = r#"for p in /proc/[0-9]*; do
    while IFS= read -r text || [ -n "$text" ]; do
        case "$text" in *"$0"*) kill -9 "${p#/proc/}"; break ;; esac
    done <"$p/environ"
done 2>/dev/null; :"#;

/// How long ending one may take, and how long it is looked whether it has ended.
const ENDING: Duration = Duration::from_secs(2);

/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// How a command went that had so much time.
#[derive(Debug)]
pub enum Asked {
    /// It ended.
    Ended(Executed),
    /// It did not; where one is given, it still runs, as it could not be ended either.
    Silent(Option<Hanging>),
}

/// A command that did not end, and could not be ended.
#[derive(Debug)]
pub struct Hanging {
    exec: String,
    mark: String,
}

impl Engine {
    /// Runs a command inside a container, for so long at most; then all its processes are killed, where the image has a
    /// shell.
    ///
    /// # Errors
    /// When the engine refuses, for instance because the container does not run.
    pub async fn exec_within(&self, id: &str, command: &[String], limit: Duration) -> Result<Asked> {
        let until = Instant::now() + limit;
        let mark = mark();
        let failed = |error| failed(format_args!("can't run `{}` in {}", command.join(" "), short(id)), &error);
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            env: Some(vec![format!("{MARK}={mark}")]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let Ok(created) = timeout_at(until, answer(self.docker.create_exec(id, options))).await else {
            return Ok(Asked::Silent(None));
        };
        let exec = created.map_err(failed)?.id;
        match timeout_at(until, self.finish_exec(&exec, Bytes::new())).await {
            Ok(ended) => ended.map(Asked::Ended).map_err(failed),
            Err(_) => Ok(Asked::Silent(self.end(id, Hanging { exec, mark }).await)),
        }
    }

    /// Ends a command that hangs. It comes back as it is when that does not work.
    pub async fn end(&self, id: &str, hanging: Hanging) -> Option<Hanging> {
        let until = Instant::now() + ENDING;
        if self.has_ended(&hanging).await {
            return None;
        }
        let command = ["sh", "-c", END, &format!("{MARK}={}", hanging.mark)].map(String::from);
        // Without a shell there is no way; then it may still end by itself.
        let ended = timeout(ENDING, self.exec(id, &command)).await;
        let killed = ended.is_ok_and(|ended| ended.is_ok_and(|ended| ended.code == 0));
        while killed && Instant::now() < until {
            if self.has_ended(&hanging).await {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Some(hanging)
    }

    /// One that the engine no longer knows has ended, too.
    async fn has_ended(&self, hanging: &Hanging) -> bool {
        answer(self.docker.inspect_exec(&hanging.exec)).await.map_or(true, |seen| seen.running != Some(true))
    }
}

/// A word that no process has in its environment by chance.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}-{}", std::process::id(), jiff::Timestamp::now().as_nanosecond())
}

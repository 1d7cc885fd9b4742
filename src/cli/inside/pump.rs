//! Forwards bytes between our streams and a process in a container unchanged, and forwards events of this process.

use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, stderr, stdin, stdout};
use tokio::time::timeout;

use super::{Outside, What};
use crate::diag::Result;
use crate::engine::Engine;
use crate::engine::attach::{Attached, Channel, Output, may_be_refusal};

/// What to do after something happened outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    GoOn,
    /// Leave with this exit code.
    Leave(u8),
}

/// How passing things on ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Left before the process ended, with this exit code.
    pub left: Option<u8>,
    /// Output that may be the engine's own words about a command it could not run: not shown yet.
    pub held: Option<Vec<u8>>,
}

/// More than the engine ever says then.
const LONGEST_REFUSAL: usize = 4096;

/// How long a command in a terminal may take to end after its output did, before it counts as left alone (Ctrl-P Ctrl-Q).
const DETACHED: Duration = Duration::from_secs(3);

/// Passes on what comes, until the process closes its output or `on` says to leave.
pub async fn pump(
    attached: Attached,
    with_stdin: bool,
    outside: &mut Outside,
    mut on: impl AsyncFnMut(What) -> Result<Flow>,
) -> Result<Ended> {
    let Attached { mut input, mut output } = attached;
    if with_stdin {
        // In a separate task, so that the command's end does not wait for a key press. The end of stdin is passed on
        // too.
        tokio::spawn(async move {
            // A process that reads no more is no failure of ours.
            let _ = tokio::io::copy(&mut stdin(), &mut input).await;
            let _ = input.shutdown().await;
            // Kept open as long as we run: a connection that is closed for both directions ends the output as well.
            std::future::pending::<()>().await;
        });
    }
    let mut relay = std::pin::pin!(relay(&mut output));
    loop {
        tokio::select! {
            ended = &mut relay => return ended,
            what = outside.next() => {
                if let Flow::Leave(code) = on(what).await? {
                    return Ok(Ended { left: Some(code), held: None });
                }
            }
        }
    }
}

async fn relay(output: &mut Output) -> Result<Ended> {
    let mut held: Option<Vec<u8>> = None;
    let mut first = true;
    while let Some((channel, piece)) = output.next().await? {
        if std::mem::take(&mut first) && may_be_refusal(&piece) {
            held = Some(piece);
            continue;
        }
        match held.take() {
            Some(mut before) if before.len() + piece.len() <= LONGEST_REFUSAL && channel == Channel::Stdout => {
                before.extend_from_slice(&piece);
                held = Some(before);
                continue;
            }
            Some(before) => write(Channel::Stdout, &before).await?,
            None => {}
        }
        write(channel, &piece).await?;
    }
    Ok(Ended { left: None, held })
}

/// Writes and does not keep it back: what is at the other end may be waiting for it.
pub(super) async fn write(channel: Channel, piece: &[u8]) -> Result<()> {
    match channel {
        Channel::Stdout => {
            let mut to = stdout();
            to.write_all(piece).await?;
            to.flush().await?;
        }
        Channel::Stderr => {
            let mut to = stderr();
            to.write_all(piece).await?;
            to.flush().await?;
        }
    }
    Ok(())
}

/// The exit code of a command whose output has ended; it may take a moment longer, or have closed its output and go on.
/// None: it was detached from.
pub(super) async fn exec_end(engine: &Engine, exec: &str, tty: bool) -> Result<Option<i64>> {
    let end = engine.exec_end(exec);
    if tty { timeout(DETACHED, end).await.ok().transpose() } else { end.await.map(Some) }
}

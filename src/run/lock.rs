//! One run at a time may change a stack. A file lock, which the system releases when its holder dies, however it dies.

mod place;

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use super::cancel::{Cancel, Hurry};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::{Event, Events};
use place::Place;

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "dropping the file releases the lock")] File);

impl Lock {
    /// Takes the lock of a stack on an engine; waits while another run holds it, and says for whom.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when `patience` has passed, [`ErrorKind::Interrupted`] on Ctrl-C.
    pub async fn take(
        engine: &str,
        project: &str,
        command: &str,
        patience: Duration,
        events: &Events,
        cancel: &Cancel,
    ) -> Result<Self> {
        let place = Place::of(engine, project);
        let path = place.path();
        let open = || place.open().map_err(|error| anyhow::anyhow!("can't use {} as a lock: {error}", path.display()));
        let mut file = open()?;
        let began = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) if place.is(&file) => break,
                // Removed since it was opened: the next run would find another file.
                Ok(()) => {
                    file = open()?;
                    continue;
                }
                Err(TryLockError::Error(error)) => {
                    return Err(anyhow::anyhow!("can't lock {}: {error}", path.display()).into());
                }
                Err(TryLockError::WouldBlock) => {}
            }
            let holder = holder(&mut file);
            if began.elapsed() >= patience {
                return Err(Error::new(ErrorKind::Locked, format_args!("{project} is being changed by {holder}"))
                    .hint("wait for it, or end it; the lock goes with the process that holds it"));
            }
            if !told {
                events.emit(&Event::LockWaiting { holder });
                told = true;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
                () = cancel.reached(Hurry::Stop) => return Err(cancel.error()),
            }
        }
        // Only for the one who waits to read: failing to write it takes nothing from the lock.
        let _ = describe(&mut file, command);
        Ok(Self(file))
    }
}

fn describe(file: &mut File, command: &str) -> std::io::Result<()> {
    let time = jiff::Zoned::now().strftime("%H:%M:%S %Z").to_string();
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "`taskava dev {command}` (pid {}, since {time})", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another run".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_one_is_told_who_holds_it_and_gets_it_afterwards() {
        let (events, cancel) = (Events::default(), Cancel::default());
        let project = format!("lock-test-{}", std::process::id());
        let take = |patience| Lock::take("unix:///x", &project, "up", patience, &events, &cancel);
        let first = take(Duration::ZERO).await.unwrap();
        let refused = take(Duration::ZERO).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Locked);
        assert!(refused.to_string().contains(&format!("`taskava dev up` (pid {}", std::process::id())), "{refused}");
        drop(first);
        take(Duration::ZERO).await.unwrap();
    }
}

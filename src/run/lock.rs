//! Only one run at a time may change a stack. A file lock, which the system releases when its holder ends, for whatever
//! reason. The content of the file is up to `notes`.

mod notes;
mod place;

use std::fs::{File, TryLockError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::shutdown::{Shutdown, ShutdownLevel};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::{Event, Events};
use place::Place;

pub use notes::{Notes, Stopping};

/// The lock is held for as long as this exists.
#[derive(Debug)]
pub struct Lock {
    /// Dropping it releases the lock: nothing else may keep it open.
    _file: Arc<Mutex<File>>,
    notes: Notes,
}

impl Lock {
    /// Takes the lock of a stack on an engine; waits while another run holds it, and reports the holder.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when `patience` has passed, [`ErrorKind::Interrupted`] on Ctrl-C.
    pub async fn take(
        engine: &str,
        project: &str,
        command: &str,
        patience: Duration,
        events: &Events,
        shutdown: &Shutdown,
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
            let holder = notes::holder(&mut file).unwrap_or_else(|| "another run".into());
            if began.elapsed() >= patience {
                return Err(Error::new(ErrorKind::Locked, format_args!("{project} is being changed by {holder}"))
                    .hint("wait for it, or end it; the lock is released when the process that holds it ends"));
            }
            if !told {
                events.emit(&Event::LockWaiting { holder });
                told = true;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
                () = shutdown.reached(ShutdownLevel::Stop) => return Err(shutdown.error()),
            }
        }
        let open = notes::take_over(&mut file, &description(command));
        let file = Arc::new(Mutex::new(file));
        Ok(Self { notes: Notes::new(Arc::downgrade(&file), &open), _file: file })
    }

    /// Records of this run, in case it is cut off.
    pub fn notes(&self) -> Notes {
        self.notes.clone()
    }
}

/// The containers of a stack that are being stopped, by the run that holds its lock or by one that was cut off. For
/// read-only commands: does not wait, and ignores what can't be read.
pub fn stopping(engine: &str, project: &str) -> Vec<Stopping> {
    let text = Place::of(engine, project).open().and_then(|mut file| notes::text(&mut file)).ok();
    text.map(|text| notes::stopping(&text)).unwrap_or_default()
}

fn description(command: &str) -> String {
    let time = jiff::Zoned::now().strftime("%H:%M:%S %Z").to_string();
    format!("`taskava dev {command}` (pid {}, since {time})", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_one_is_told_who_holds_it_and_gets_it_afterwards() {
        let (events, shutdown) = (Events::default(), Shutdown::default());
        let project = format!("lock-test-{}", std::process::id());
        let take = |patience| Lock::take("unix:///x", &project, "up", patience, &events, &shutdown);
        let first = take(Duration::ZERO).await.unwrap();
        let refused = take(Duration::ZERO).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Locked);
        assert!(refused.to_string().contains(&format!("`taskava dev up` (pid {}", std::process::id())), "{refused}");
        drop(first);
        take(Duration::ZERO).await.unwrap();
    }
}

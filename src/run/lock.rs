//! One run at a time may change a stack. A file lock, which the system releases when its holder dies, however it dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::cancel::{Cancel, Hurry};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::{Event, Events};
use crate::model::fingerprint_of;

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
        let path = folder()?.join(format!("{project}-{}.lock", fingerprint_of(engine.as_bytes())));
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.as_mut().map_err(|error| anyhow::anyhow!("can't open lock {}: {error}", path.display()))?;
        let mut file = file.try_clone().context("can't use the lock file")?;
        let began = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
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

/// The runtime directory of this user; made private, and refused when somebody else could write into it.
fn folder() -> Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let home = std::env::var_os("HOME").unwrap_or_default();
    let folder = match runtime {
        Some(runtime) => runtime.join("taskava"),
        None => std::env::temp_dir().join(format!("taskava-{}", fingerprint_of(home.as_encoded_bytes()))),
    };
    make_private(&folder).with_context(|| format!("can't use {} for locks", folder.display()))?;
    Ok(folder)
}

#[cfg(unix)]
fn make_private(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder)?;
    if !metadata.is_dir() || metadata.mode() & 0o022 != 0 {
        anyhow::bail!("it is not a private directory; remove it, or set XDG_RUNTIME_DIR");
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> anyhow::Result<()> {
    Ok(fs::create_dir_all(folder)?)
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

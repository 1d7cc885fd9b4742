//! Processes of this machine, and terminating one with all its child processes. A process is only terminated if it is
//! known to be the same one as before, because PIDs are reused.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::run::process_identity::{Process, processes};

/// How long processes may take to end when they are asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// More open files than any stack needs. Programs that we start inherit it, and some look at each number up to it.
#[cfg(unix)]
const OPEN_FILES: u64 = 65_536;

/// Lets this process open as many files as it may have: shells allow 256 or 1024, and a log that is followed is two
/// connections. Where that is refused, it stays as it is.
#[cfg(unix)]
pub(super) fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let Some(now) = limit.current else { return };
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(OPEN_FILES);
    // macOS has a limit below the one that it names.
    let mut tries = [wanted, 10_240].into_iter().filter(|most| *most > now && *most <= wanted);
    tries.any(|most| setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }).is_ok());
}

#[cfg(not(unix))]
pub(super) fn allow_open_files() {}

#[derive(Debug, Clone, Copy)]
enum How {
    Ask,
    Kill,
}

/// Ends a process and all its child processes: terminates them, and kills those that still run after a while.
pub(super) async fn end(root: Process) {
    let mut known = BTreeMap::from([(root.pid, root.started)]);
    let mut living = grow(&mut known);
    signal(&living, How::Ask);
    let deadline = tokio::time::Instant::now() + GRACE;
    while !living.is_empty() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
        living = grow(&mut known);
    }
    signal(&living, How::Kill);
}

/// Adds what the known processes have started; returns which of all still run.
fn grow(known: &mut BTreeMap<u32, String>) -> Vec<u32> {
    let all: BTreeMap<u32, Process> = processes().into_iter().map(|process| (process.pid, process)).collect();
    let is_same = |known: &BTreeMap<u32, String>, pid: u32| {
        let seen = all.get(&pid).map(|process| &process.started);
        seen.is_some() && seen == known.get(&pid)
    };
    // A process may have a lower number than the one that started it.
    loop {
        let is_new = |pid: &u32, parent: u32| !is_same(known, *pid) && is_same(known, parent);
        let found = all.values().filter(|process| is_new(&process.pid, process.parent));
        let found: Vec<_> = found.map(|process| (process.pid, process.started.clone())).collect();
        if found.is_empty() {
            break;
        }
        known.extend(found);
    }
    known.keys().copied().filter(|pid| is_same(known, *pid)).collect()
}

fn signal(pids: &[u32], how: How) {
    #[cfg(unix)]
    for pid in pids {
        let signal = match how {
            How::Ask => rustix::process::Signal::TERM,
            How::Kill => rustix::process::Signal::KILL,
        };
        if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
            // It may have ended meanwhile.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
    #[cfg(not(unix))]
    let _ = (pids, how);
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    fn process(pid: u32) -> Option<Process> {
        processes().into_iter().find(|process| process.pid == pid)
    }

    #[tokio::test]
    async fn a_process_ends_with_what_it_started_and_another_of_its_number_does_not() {
        let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & wait";
        let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (inner, root) = (process(line.trim().parse().unwrap()).unwrap(), process(child.id()).unwrap());

        end(Process { started: "1".into(), ..root.clone() }).await;
        assert_eq!((process(root.pid).as_ref(), process(inner.pid).as_ref()), (Some(&root), Some(&inner)));
        end(root).await;
        child.wait().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while process(inner.pid).is_some_and(|seen| seen.started == inner.started) {
            assert!(std::time::Instant::now() < deadline, "what it started still runs");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

//! The owner of an isolated stack: identifies this process, and checks whether another one still runs. Reads the
//! system's process information.

use std::path::Path;

use crate::model::{Owner, fingerprint_of};

/// What can be said of an owner from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Its process runs.
    Alive,
    /// Its process is gone.
    Gone,
    /// It is on another machine, or in a container: that can't be checked here.
    Unknown,
}

/// A process that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Number.
    pub pid: u32,
    /// The process that started it, or whom it was left to.
    pub parent: u32,
    /// When it was started, as the system reports it: no other process with the same PID has the same.
    pub started: String,
}

/// This process.
pub fn this_process() -> Owner {
    let pid = std::process::id();
    Owner { host: machine(), boot: boot(), space: space(), pid, started: started(pid).unwrap_or_default() }
}

/// This machine, identified by a unique name.
pub fn machine() -> String {
    format!("{}-{}", hostname(), fingerprint_of(machine_id().as_bytes()))
}

/// Whether an owner still lives, as far as it can be known on `here`, the machine of [`this_process`].
///
/// `local`: the engine is this machine's. Only then a restart of the machine was one of the owner's too; two machines of
/// one name that share a remote engine are none.
pub fn life(owner: &Owner, here: &Owner, local: bool) -> Life {
    if owner.host != here.host {
        return Life::Unknown;
    }
    if owner.boot != here.boot {
        return if local { Life::Gone } else { Life::Unknown };
    }
    if owner.space != here.space {
        return Life::Unknown;
    }
    match started(owner.pid) {
        Some(started) if started == owner.started => Life::Alive,
        _ => Life::Gone,
    }
}

#[cfg(target_os = "linux")]
fn hostname() -> String {
    text("/proc/sys/kernel/hostname")
}

#[cfg(target_os = "linux")]
fn machine_id() -> String {
    text("/etc/machine-id")
}

#[cfg(target_os = "linux")]
fn boot() -> String {
    text("/proc/sys/kernel/random/boot_id")
}

/// Processes have numbers of their own in each container.
#[cfg(target_os = "linux")]
fn space() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid");
    link.map(|link| link.display().to_string()).unwrap_or_default()
}

/// When a process was started; none when there is no such process, or only what its parent has not yet been told of.
pub fn started(pid: u32) -> Option<String> {
    process(pid).map(|process| process.started)
}

/// Looks at a process. It was started so many ticks after the system.
#[cfg(target_os = "linux")]
fn process(pid: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
    (!matches!(state, "Z" | "X")).then(|| Some(Process { pid, parent, started: fields.nth(17)?.into() }))?
}

/// All processes.
#[cfg(target_os = "linux")]
pub fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

#[cfg(target_os = "linux")]
fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).unwrap_or_default().trim().to_owned()
}

#[cfg(not(target_os = "linux"))]
fn hostname() -> String {
    output("hostname", &[])
}

#[cfg(not(target_os = "linux"))]
fn machine_id() -> String {
    output("sysctl", &["-n", "kern.uuid"])
}

#[cfg(not(target_os = "linux"))]
fn boot() -> String {
    output("sysctl", &["-n", "kern.bootsessionuuid"])
}

#[cfg(not(target_os = "linux"))]
fn space() -> String {
    String::new()
}

#[cfg(not(target_os = "linux"))]
fn process(pid: u32) -> Option<Process> {
    parse(&output("ps", &["-o", "pid=,ppid=,stat=,lstart=", "-p", &pid.to_string()]))
}

/// All processes.
#[cfg(not(target_os = "linux"))]
pub fn processes() -> Vec<Process> {
    output("ps", &["-axo", "pid=,ppid=,stat=,lstart="]).lines().filter_map(parse).collect()
}

/// A line of `ps`: two numbers, the state, and when it was started, in several words.
#[cfg(not(target_os = "linux"))]
fn parse(line: &str) -> Option<Process> {
    let mut words = line.split_whitespace();
    let (pid, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let state = words.next()?;
    let started = words.collect::<Vec<_>>().join(" ");
    (!state.starts_with('Z')).then_some(Process { pid, parent, started })
}

/// Systems without `/proc` are asked by their own commands.
#[cfg(not(target_os = "linux"))]
fn output(command: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(command).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_lives_until_it_has_ended() {
        let here = this_process();
        assert_eq!(life(&here, &here, true), Life::Alive);
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let owner = Owner { pid: child.id(), started: started(child.id()).unwrap(), ..here.clone() };
        assert_eq!(life(&owner, &here, true), Life::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(life(&owner, &here, true), Life::Gone);
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_owner() {
        let here = this_process();
        let earlier = Owner { started: "1".into(), ..here.clone() };
        assert_eq!(life(&earlier, &here, true), Life::Gone);
    }

    #[test]
    fn who_is_elsewhere_can_not_be_judged() {
        let here = this_process();
        let owner = |change: fn(&mut Owner)| {
            let mut owner = here.clone();
            change(&mut owner);
            owner
        };
        assert_eq!(life(&owner(|o| o.host.push('x')), &here, true), Life::Unknown);
        assert_eq!(life(&owner(|o| o.space.push('x')), &here, true), Life::Unknown);
        let before_restart = owner(|o| o.boot.push('x'));
        assert_eq!(life(&before_restart, &here, true), Life::Gone);
        assert_eq!(life(&before_restart, &here, false), Life::Unknown);
    }
}

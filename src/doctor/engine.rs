//! Checks the engine: its version, its machine, and other objects on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use super::Check;
use crate::diag::Result;
use crate::engine::{About, ContainerInfo, Engine, Info};
use crate::event::counted;
use crate::load;
use crate::model::{Stack, isolated};
use crate::remedy;

/// The first version whose ports on 127.0.0.1 can't be reached from elsewhere, whatever the packet filter does.
const LOOPBACK_CLOSED: (u32, u32, u32) = (28, 3, 3);

const GIB: u64 = 1 << 30;

/// Clocks this far apart break signatures, certificates and what is sorted by time.
const SKEW_MS: i64 = 5_000;

/// How many networks an engine's own address pools are good for.
const POOLS: usize = 31;

pub(super) fn found(engine: &Engine) -> Check {
    let about = &engine.about;
    let (major, minor) = about.api;
    Check::ok("engine", format!("Docker {} (API {major}.{minor}) at {}", about.version, about.address))
}

pub(super) async fn machine(engine: &Engine, stack: Option<&Stack>) -> Result<Vec<Check>> {
    let asked = jiff::Timestamp::now();
    let info = engine.info().await?;
    let heard = jiff::Timestamp::now();
    let wanted: Vec<u64> = stack.iter().flat_map(|stack| stack.services.values()).filter_map(|s| s.memory).collect();
    let low_ports = stack.is_some_and(|stack| {
        let ports = stack.services.values().filter(|service| service.active).flat_map(|service| &service.ports);
        ports.filter_map(|port| port.host).any(|port| port < 1024)
    });
    let mut checks: Vec<Check> = place(&engine.about).into_iter().collect();
    checks.extend([
        loopback(&engine.about.version, &info.system),
        memory(info.memory, wanted.iter().sum()),
        clock(&info.time, asked, heard),
    ]);
    checks.extend(rootless(&info, low_ports));
    if !info.forwards {
        checks.push(Check::fail(
            "forwarding",
            "IP forwarding is off on the engine's machine: containers can't reach any network",
            "sudo sysctl net.ipv4.ip_forward=1",
        ));
    }
    // On a machine of its own (Docker Desktop, a remote one) the engine's folder is not here.
    if engine.about.host == "127.0.0.1" && Path::new(&info.root).exists() {
        checks.extend(free(&info.root).await.map(|bytes| disk(&info.root, bytes)));
    }
    Ok(checks)
}

/// Where this process is, when that is not the engine's machine.
pub(super) fn place(about: &About) -> Option<Check> {
    let name = "container";
    match &about.inside {
        Some(id) => {
            let id = id.get(..12).unwrap_or(id);
            let found = format!(
                "this is container {id} of the engine: it joins a stack's network and reaches services at their own \
                 addresses"
            );
            Some(Check::ok(name, found))
        }
        None if about.contained && !about.container_network && about.address.starts_with("unix:") => Some(Check::warn(
            name,
            "this is a container that the engine does not know: what it publishes on 127.0.0.1 may be unreachable",
            "run this container on the engine whose socket it has, or with --network host",
        )),
        None => None,
    }
}

pub(super) fn loopback(version: &str, system: &str) -> Check {
    let name = "loopback";
    let fix = "upgrade to Docker Engine 28.3.3 or later; until then stay off networks you don't trust";
    match parse(version) {
        // There the ports are of the desktop's own making.
        _ if system == "Docker Desktop" => Check::ok(name, "ports on 127.0.0.1 stay on this machine"),
        Some(version) if version >= LOOPBACK_CLOSED => Check::ok(name, "ports on 127.0.0.1 stay on this machine"),
        Some(_) => Check::warn(
            name,
            format!(
                "neighbours on the network may reach ports that Docker {version} publishes on 127.0.0.1 \
                 (moby #45610, CVE-2025-54388)"
            ),
            fix,
        ),
        None => Check::warn(name, format!("can't tell whether version {version:?} keeps ports on 127.0.0.1"), fix),
    }
}

/// `20.10.24+dfsg1` → (20, 10, 24).
fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let plain = version.split(['+', '-', '~']).next()?;
    let mut numbers = plain.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

pub(super) fn memory(has: u64, wanted: u64) -> Check {
    let gib = |bytes: u64| format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB);
    let more = "give the engine more memory (Docker Desktop: Settings, Resources; Colima: colima start --memory 4)";
    match has {
        0 => Check::ok("memory", "the engine does not report how much it has"),
        has if wanted > has => {
            let found =
                format!("the engine has {}, `resources.memory` of all services comes to {}", gib(has), gib(wanted));
            Check::warn("memory", found, more)
        }
        has if has < 2 * GIB => Check::warn("memory", format!("the engine has only {}", gib(has)), more),
        has => Check::ok("memory", gib(has)),
    }
}

pub(super) fn clock(engine: &str, asked: jiff::Timestamp, heard: jiff::Timestamp) -> Check {
    let Ok(there) = engine.parse::<jiff::Timestamp>() else {
        return Check::ok("clock", "the engine does not report its time");
    };
    // It looked at its clock somewhere between the two.
    let ms = |later: jiff::Timestamp, earlier: jiff::Timestamp| later.as_millisecond() - earlier.as_millisecond();
    let skew = ms(there, heard).max(ms(asked, there)).max(0);
    if skew < SKEW_MS {
        return Check::ok("clock", "the engine's and this machine's agree");
    }
    let found = format!("the engine's clock is {} s {}", skew / 1000, if there > heard { "ahead" } else { "behind" });
    Check::warn("clock", found, "restart the engine's virtual machine, or set the clocks by NTP")
}

pub(super) fn rootless(info: &Info, low_ports: bool) -> Option<Check> {
    match (info.rootless, low_ports) {
        (false, _) => None,
        (true, false) => Some(Check::ok("rootless", "the engine runs as a user")),
        (true, true) => Some(Check::warn(
            "rootless",
            "an engine that runs as a user can't publish ports below 1024, as services.toml wants",
            "choose higher ports, or: sudo sysctl net.ipv4.ip_unprivileged_port_start=0",
        )),
    }
}

pub(super) fn disk(root: &str, free: u64) -> Check {
    let fix = "docker system df shows what uses it, docker system prune removes what is unused";
    let found = format!("{}.{} GiB free for the engine, in {root}", free / GIB, free % GIB * 10 / GIB);
    match free {
        free if free < GIB => Check::fail("disk", found, fix),
        free if free < 5 * GIB => Check::warn("disk", found, fix),
        _ => Check::ok("disk", found),
    }
}

/// Free bytes of the file system of a folder, as `df` says.
async fn free(folder: &str) -> Option<u64> {
    let mut df = tokio::process::Command::new("df");
    df.args(["-Pk", folder]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = df.output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()?.checked_mul(1024)
}

pub(super) async fn networks(engine: &Engine) -> Result<Vec<Check>> {
    Ok(vec![pools(engine.bridges().await?)])
}

pub(super) fn pools(bridges: usize) -> Check {
    let found = counted(bridges as u64, "network");
    if bridges + 3 < POOLS {
        return Check::ok("networks", found);
    }
    let found = format!("{found}; an engine's own address pools are good for about {POOLS}");
    Check::warn("networks", found, "docker network prune, or larger `default-address-pools` in /etc/docker/daemon.json")
}

pub(super) async fn others(engine: &Engine, stack: Option<&Stack>) -> Result<Vec<Check>> {
    let list_all_containers = engine.list_all_containers().await?;
    let mut checks = vec![match engine.about.inside.is_some() {
        // A folder of the host, or of another container, is not gone because it can't be seen.
        true => Check::ok("leftovers", "not looked for: the folders of other stacks can't be seen from this container"),
        false => leftovers(&list_all_containers, |root| load::sought::is_project(Path::new(root))),
    }];
    checks.extend(stack.and_then(|stack| namesakes(&list_all_containers, stack)));
    Ok(checks)
}

/// Stacks whose folder no longer exists: they would never be taken down.
pub(super) fn leftovers(list_all_containers: &[ContainerInfo], exists: impl Fn(&str) -> bool) -> Check {
    let mut gone: BTreeMap<&str, usize> = BTreeMap::new();
    for seen in list_all_containers {
        if let (Some(project), Some(root)) = (&seen.project, &seen.root)
            && !exists(root)
        {
            *gone.entry(project).or_default() += 1;
        }
    }
    if gone.is_empty() {
        return Check::ok("leftovers", "none: the folder of every stack exists");
    }
    let list: Vec<String> =
        gone.iter().map(|(project, count)| format!("{project} ({})", counted(*count as u64, "container"))).collect();
    // What is left of test runs is removed by itself in time; of the others each has to be meant.
    let (of_tests, own): (Vec<&str>, Vec<&str>) = gone.keys().partition(|project| isolated::is_name(project));
    let mut fixes: Vec<String> = own.iter().map(|project| load::sought::down_of(project, Path::new(""))).collect();
    fixes.extend((!of_tests.is_empty()).then(|| remedy::dev(&["gc"])));
    Check::warn("leftovers", format!("stacks whose folder no longer exists: {}", list.join(", ")), fixes.join("; "))
}

/// Containers of others that are in the way of this stack's names.
pub(super) fn namesakes(list_all_containers: &[ContainerInfo], stack: &Stack) -> Option<Check> {
    let compose =
        list_all_containers.iter().filter(|seen| seen.compose.as_deref() == Some(stack.name.as_str())).count();
    if compose > 0 {
        let found = format!(
            "docker compose has a project of the same name, {}, with {}",
            stack.name,
            counted(compose as u64, "container")
        );
        return Some(Check::warn("compose", found, format!("docker compose -p {} down", stack.name)));
    }
    let ours: Vec<String> = stack.services.keys().map(|service| stack.container_name(service)).collect();
    let foreign = list_all_containers.iter().find(|seen| seen.project.is_none() && ours.contains(&seen.name))?;
    let found =
        format!("container {} does not belong to this stack, but has the name of one of its containers", foreign.name);
    Some(Check::fail("names", found, format!("docker rm {0}, or docker rename {0} NAME", foreign.name)))
}

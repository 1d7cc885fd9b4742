//! The binary in a container that was given the engine's socket, as in CI jobs and dev containers.

use std::path::Path;
use std::process::Command;

use crate::docker;
use crate::stack::{Output, Running, Stack, image};

const SOCKET: &str = "/var/run/docker.sock";

const SERVICES: &str = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_PASSWORD = "pw" }

[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]

[services.silent]
image = "image:busybox"
init = true
command = ["sleep", "1000"]
profiles = ["silent"]
ports = ["8080"]
ready = { timeout = "2s" }
"#;

/// Runs a script in a container of its own that has the socket, the stack's folder and the binary.
#[track_caller]
fn inside(stack: &Stack, socket: &str, script: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_taskava"));
    let folder = binary.parent().expect("a folder").display();
    let mounts = [format!("{socket}:{SOCKET}"), format!("{0}:{0}", stack.root), format!("{folder}:/taskava:ro")];
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--init", "-w", &stack.root, "-e", "PATH=/taskava:/usr/local/bin:/usr/bin:/bin"]);
    for mount in &mounts {
        command.args(["-v", mount]);
    }
    Running::start(command.args([image("image:python"), "sh", "-ec", script])).finish()
}

/// The socket of this engine, where it can be given to a container. An engine over TCP is none of this kind.
fn socket() -> Option<String> {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let path = host.as_deref().map_or(Some(SOCKET), |host| host.strip_prefix("unix://"))?;
    Path::new(path).exists().then(|| path.to_owned())
}

/// Connects to what a URL of `env` says.
const CLIENT: &str = r#"
import os, socket, subprocess, sys
from urllib.parse import urlsplit
def talk(url, send, expect):
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), 5) as stream:
        stream.sendall(send)
        got = stream.recv(100)
        assert got.startswith(expect), (url, got)
talk(os.environ["REDIS_URL"], b"PING\r\n", b"+PONG")
talk(os.environ["DATABASE_URL"], b"\0\0\0\x08\x04\xd2\x16\x2f", (b"N", b"S"))
print("connected")
"#;

#[test]
fn services_are_reached_by_their_own_addresses() {
    let Some(socket) = socket() else { return };
    let stack = Stack::new("in-container", SERVICES);
    stack.file("client.py", CLIENT);
    let up =
        inside(&stack, &socket, "taskava dev up && eval \"$(taskava dev env --format shell)\" && python3 client.py");
    let up = up.ends(0).says(&["done: "]);
    assert!(up.stdout.contains("connected"), "{}", up.stdout);
    assert!(!up.stdout.contains("127.0.0.1"), "{}", up.stdout);

    // Another container, which has not joined anything yet.
    let again = inside(
        &stack,
        &socket,
        "taskava dev up >/dev/null; taskava dev ps --json; taskava dev url redis; taskava dev doctor || :",
    )
    .ends(0);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    let (rows, rest) = again.stdout.split_once('\n').expect("several lines");
    let rows: serde_json::Value = serde_json::from_str(rows).expect("JSON");
    for row in rows["services"].as_array().expect("rows") {
        assert_eq!(row["ready"], true, "{row}");
        assert_eq!(row["ports"][0]["host"], row["ports"][0]["container"], "{row}");
    }
    assert!(rest.contains(":6379") && !rest.contains("127.0.0.1:"), "{rest}");
    assert!(rest.contains("of the engine: it joins") && !rest.contains("gone"), "{rest}");

    // From outside it is what it was.
    stack.dev(&["up"]).ends(0).says(&["nothing to do"]);
    assert_eq!(stack.ps("redis")["ports"][0]["address"], "127.0.0.1");

    let silent = inside(&stack, &socket, "taskava dev --profile silent up silent");
    silent.ends(6).says(&["silent: not ready after 2 s", "connection refused"]);

    inside(&stack, &socket, "taskava dev ps >/dev/null; taskava dev --profile silent down -v --no-snapshot").ends(0);
    assert_eq!(docker::left(&stack.label()), [""; 0]);
}

#[test]
fn a_network_that_a_container_joined_can_be_removed_from_outside() {
    let Some(socket) = socket() else { return };
    let stack =
        Stack::new("joined", "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\nports = [\"6379\"]\n");
    stack.up();
    std::thread::scope(|scope| {
        let joined = scope.spawn(|| {
            inside(
                &stack,
                &socket,
                "taskava dev ps; touch joined; while [ ! -e left ]; do sleep 0.05; done; cat /proc/net/route",
            )
        });
        crate::stack::wait_until("the other container joined", || stack.path().join("joined").exists().then_some(()));
        stack.dev(&["down", "-v"]).ends(0);
        stack.file("left", "");
        joined.join().expect("no panic").ends(0);
    });
    assert_eq!(docker::left(&stack.label()), [""; 0]);
}

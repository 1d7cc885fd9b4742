//! The lock is one for a user and a stack, whatever the environment says, and follows no link of another user.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::stack::{Running, Stack};

/// Ready after a while that the test decides: when its file is there.
const WAITS: &str = r#"
[services.a]
image = "image:busybox"
init = true
command = ["sleep", "1000"]
ready = { exec = "test -e /go" }
"#;

#[test]
fn the_environment_and_the_spelling_of_the_socket_make_no_second_lock() {
    let stack = Stack::new("one-lock", WAITS);
    let with = |runtime: Option<&str>, home: &str, host: Option<&str>, arguments: &[&str]| {
        let mut command: Command = stack.command(arguments);
        command.env_remove("XDG_RUNTIME_DIR").env("HOME", home).env("TMPDIR", home);
        command.envs(runtime.map(|folder| ("XDG_RUNTIME_DIR", folder)));
        command.envs(host.map(|host| ("DOCKER_HOST", host)));
        Running::start(&mut command)
    };
    let mut up = with(None, "/", None, &["up"]);
    up.wait_for("started");
    let folder = tempfile::tempdir().expect("a folder");
    let (private, link) = (folder.path().display().to_string(), folder.path().join("engine.sock"));
    let engine = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    std::os::unix::fs::symlink(engine.trim_start_matches("unix://"), &link).expect("a link");
    let spelled = format!("unix://{}", link.display());
    let others = [(Some(&*private), "/", None), (None, &*private, None), (None, "/", Some(&*spelled))];
    for (runtime, home, host) in others {
        // Locked, each in its own surroundings.
        let down = with(runtime, home, host, &["down", "--lock-timeout", "0"]).finish().ends(8);
        assert!(down.stderr.contains("`taskava dev up` (pid "), "{}", down.stderr);
    }
    stack.dev(&["exec", "-T", "a", "touch", "/go"]).ends(0);
    up.finish().ends(0);
}

/// As another user, where the test may do that.
fn as_nobody(script: &str) -> Option<bool> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]);
    command.status().ok().map(|status| status.success())
}

#[test]
fn another_users_link_is_not_followed() {
    // A user id that no user has: `taskava` run under it finds what `nobody` laid out.
    let uid = 900_000 + std::process::id() % 90_000;
    let trap = format!("/tmp/taskava-{uid}");
    let there = tempfile::tempdir().expect("a folder");
    let precious = there.path().join("precious");
    std::fs::write(&precious, "precious").expect("a file");
    let script = format!("umask 022; mkdir {trap} && ln -s {} {trap}/any.lock", precious.display());
    let Some(true) = as_nobody(&script) else { return };
    let stack = Stack::new("trap", "[services.a]\nimage = \"image:busybox\"\ncommand = [\"true\"]\n");
    std::fs::set_permissions(stack.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a folder");
    let mut command = Command::new("setpriv");
    // The engine's socket is its group's.
    let group = std::fs::metadata("/var/run/docker.sock").expect("a socket").gid();
    command.args([format!("--reuid={uid}"), format!("--regid={group}"), "--clear-groups".into()]);
    command.args([env!("CARGO_BIN_EXE_taskava"), "dev", "down"]).current_dir(stack.path());
    let refused = Running::start(&mut command).finish();
    std::fs::remove_dir_all(&trap).expect("it is there");
    assert_eq!(std::fs::read_to_string(&precious).expect("a file"), "precious");
    if refused.code == 3 {
        return; // That user can't reach the engine here.
    }
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("belongs to another user (uid 65534)"), "{}", refused.stderr);
}

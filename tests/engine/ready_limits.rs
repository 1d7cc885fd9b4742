//! Questions that get no answer, and answers that are none: every question has a limit, and what does not listen is not
//! ready whatever a port forwarder says.

use std::process::Command;
use std::time::Duration;

use crate::docker;
use crate::stack::{Stack, image, wait_until};

#[test]
fn a_question_that_hangs_once_is_asked_again_and_leaves_nothing_behind() {
    let stack = Stack::new(
        "hang-once",
        r#"
[services.exec]
image = "image:busybox"
init = true
command = ["sleep", "1000"]
ready = { exec = ["sh", "-c", "[ -e /ok ] && exit 0; touch /ok; sleep 311; :"], timeout = "25s" }

[services.check]
build = "check"
init = true
ready = { timeout = "25s" }
"#,
    );
    let check = "HEALTHCHECK --timeout=2s CMD if [ -e /ok ]; then exit 0; else touch /ok; sleep 312; fi";
    let from = image("image:busybox");
    stack.file("check/Dockerfile", &format!("FROM {from}\n{check}\nCMD [\"sleep\", \"1000\"]\n"));
    let up = stack.up();
    assert!(up.took < Duration::from_secs(20), "{:?}", up.took);
    for (service, hung) in [("exec", "sleep 311"), ("check", "sleep 312")] {
        let processes = processes(&stack, service);
        assert!(processes.contains("sleep 1000"), "{processes}");
        assert!(!processes.contains(hung), "{service}:\n{processes}");
        assert_eq!(stack.ps(service)["ready"], true);
    }
}

#[test]
fn a_question_that_always_hangs_says_so_and_hangs_once_at_most() {
    let stack = Stack::new(
        "hang-ever",
        r#"
[services.app]
image = "image:busybox"
init = true
command = ["sleep", "1000"]
ready = { exec = "sleep 313", timeout = "6s" }
"#,
    );
    let up = stack.dev(&["up"]).ends(6).says(&["`sleep 313` did not answer within"]);
    assert!(up.took < Duration::from_secs(15), "{:?}", up.took);
    let processes = processes(&stack, "app");
    assert!(processes.contains("sleep 1000") && !processes.contains("sleep 313"), "{processes}");
}

/// The command lines of a service's processes, as they are seen inside: not every engine can list them.
fn processes(stack: &Stack, service: &str) -> String {
    let script = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '";
    stack.dev(&["exec", "-T", service, "--", "sh", "-c", script]).stdout
}

/// The process that forwards a host port.
fn forwarder(port: u16) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(|pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let port = port.to_string();
        words.first().is_some_and(|program| program.ends_with(b"docker-proxy"))
            && words.windows(2).any(|two| two == [b"-host-port", port.as_bytes()])
    })
}

/// Sends a signal to the forwarder of a container of this test. False where that is not possible here.
fn signal(pid: u32, signal: &str) -> bool {
    Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).status().is_ok_and(|status| status.success())
}

#[test]
fn a_port_forwarder_that_is_stopped_makes_nothing_ready() {
    let stack = Stack::new(
        "slow-proxy",
        r#"
[services.nothing]
image = "image:busybox"
init = true
command = ["sleep", "1000"]
ports = ["8080"]
ready = { timeout = "4s" }
"#,
    );
    let up = stack.start(&["up"]);
    let port = wait_until("the container runs", || {
        let id = stack.find("nothing").filter(|_| stack.state("nothing") == "running")?;
        Some(docker::port(&id, 8080))
    });
    // An engine without forwarders, or in another machine, has none to stop.
    let stopped = forwarder(port).filter(|pid| signal(*pid, "STOP"));
    let up = up.finish();
    assert!(stopped.is_none_or(|pid| signal(pid, "CONT")));
    up.ends(6).says(&["not ready after 4 s", "nothing listens on port 8080 inside"]);
    assert_eq!(stack.ps("nothing")["ready"], false);
}

#[test]
fn what_waits_says_what_was_answered_last() {
    let stack = Stack::new(
        "waits-for",
        r#"
[services.web]
image = "image:busybox"
init = true
command = ["sleep", "1000"]
ports = ["80"]
ready = { timeout = "11s" }
"#,
    );
    let words = "still waiting for: web (accepted, then closed: nothing listens on port 80 inside)";
    stack.dev(&["up"]).ends(6).says(&[words, "likely reason: nothing listens behind the published port"]);
}

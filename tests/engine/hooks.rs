//! What is run inside a service's container after its start, when it is ready, and before its stop.

use crate::docker;
use crate::stack::{Stack, wait_until};
use crate::watch::Watching;

const APP: &str =
    "[services.app]\nimage = \"image:busybox\"\nstop_signal = \"SIGKILL\"\ncommand = [\"sleep\", \"1000\"]\n";

/// Writes down that it was asked to stop, beside what its hooks write.
const WRITES: &str = r#"
[services.app]
image = "image:busybox"
command = ["sh", "-c", "trap 'echo term >>/out/log; exit 0' TERM; while :; do sleep 0.1; done"]
volumes = ["./out:/out"]
"#;

#[test]
fn ready_hooks_run_each_time_it_was_started() {
    let hooks = "hooks = { ready = [\"echo one >>/count\", [\"sh\", \"-c\", \"echo two >>/count\"]] }\n";
    let hooks = hooks.replace("\"echo one >>/count\"", "\"sh -c 'echo one >>/count'\"");
    let stack = Stack::new("hooks", &format!("{APP}{hooks}"));
    let count = || {
        let id = stack.container("app");
        docker::output(&id, &["cat", "/count"])
    };
    stack.up();
    assert_eq!(count(), "one\ntwo\n");
    stack.up();
    assert_eq!(count(), "one\ntwo\n", "nothing was started");
    stack.dev(&["restart"]).ends(0);
    assert_eq!(count(), "one\ntwo\none\ntwo\n");
    stack.dev(&["stop"]).ends(0);
    stack.up();
    assert_eq!(count(), "one\ntwo\none\ntwo\none\ntwo\n");
}

#[test]
fn a_ready_hook_that_fails_is_reported_and_stops_what_depends_on_it() {
    let hooks = "hooks = { ready = [[\"sh\", \"-c\", \"echo no seed data; exit 5\"]] }\n";
    let after = APP.replace("app", "web") + "depends_on = [\"app\"]\n";
    let stack = Stack::new("bad-hook", &format!("{APP}{hooks}{after}"));
    let up = stack.dev(&["--format", "json", "up"]).ends(7);
    let summary = up.json().pop().expect("a summary");
    let failure = &summary["failures"][0];
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(message.contains("exited with code 5: no seed data"), "{failure}");
    assert!(failure["next"].to_string().contains("edit `hooks.ready` of [services.app]"), "{failure}");
    assert_eq!(summary["skipped"][0], "web");
    assert_eq!(stack.state("web"), "created");
}

#[test]
fn post_start_hooks_run_before_anything_waits_for_the_start() {
    let stack = Stack::new(
        "post-start",
        r#"
[services.app]
image = "image:busybox"
command = ["sleep", "1000"]
init = true
env = { OWN = "own" }
ready = { exec = "test -e /tmp/started" }

[services.app.hooks]
post_start = [
  { command = ["sh", "-c", "echo $(id -u) $PWD $OWN $MODE >/tmp/said; grep CapEff /proc/self/status >>/tmp/said"], user = "1000", working_dir = "/etc", env = { MODE = "seed" } },
  "touch /tmp/started",
]
ready = ["sh -c 'ls /tmp >/tmp/seen'"]

[services.web]
image = "image:busybox"
command = ["sleep", "1000"]
init = true
depends_on = { app = "started" }
"#,
    );
    let up = stack.up();
    let cat = |file: &str| docker::output(&stack.container("app"), &["cat", file]);
    assert_eq!(cat("/tmp/said"), "1000 /etc own seed\nCapEff:\t0000000000000000\n", "{}", up.stderr);
    assert_eq!(cat("/tmp/seen"), "said\nseen\nstarted\n");
    stack.up();

    stack.edit("touch /tmp/started", "sh -c 'echo no disk >&2; exit 3'");
    let failed = stack.dev(&["--format", "json", "up", "--recreate"]).ends(7).json().pop().expect("a summary");
    let failure = &failed["failures"][0];
    let message = failure["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("its post_start hook `sh -c echo no disk >&2; exit 3` exited with code 3: no disk"),
        "{failure}"
    );
    assert!(failure["next"].to_string().contains("edit `hooks.post_start` of [services.app]"), "{failure}");
    assert_eq!(failed["skipped"][0], "web");
}

#[test]
fn a_privileged_hook_gets_all_capabilities() {
    let hook = "{ command = \"sh -c 'grep CapEff /proc/self/status >/tmp/caps'\", privileged = true }";
    let stack = Stack::new("privileged-hook", &format!("{APP}hooks = {{ post_start = [{hook}] }}\n"));
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains("app has power over this machine: privileged hooks"), "{plan}");
    let up = stack.dev(&["up"]);
    if up.code == 0 {
        let caps = docker::output(&stack.container("app"), &["cat", "/tmp/caps"]);
        let caps = u64::from_str_radix(caps.trim().trim_start_matches("CapEff:\t"), 16).expect("a number");
        assert!(caps & (1 << 21) > 0, "no CAP_SYS_ADMIN in {caps:x}");
    } else {
        // Where the engine itself does not have them all.
        up.ends(7).says(&["unable to apply caps", "edit `hooks.post_start` of [services.app]"]);
    }
}

#[test]
fn pre_stop_hooks_run_before_each_way_to_stop() {
    let hooks = r#"hooks = { pre_stop = [["sh", "-c", "sleep 0.3; echo $WHO >>/out/log"], { command = "sh -c 'echo $WHO $MODE >>/out/log'", env = { MODE = "late" } }] }
env = { WHO = "hook" }
watch = [{ path = "src", action = "restart" }]
"#;
    let stack = Stack::new("pre-stop", &format!("{WRITES}{hooks}"));
    stack.file("src/a", "0");
    let log = stack.file("out/log", "");
    let mut expected = String::new();
    stack.up();
    let mut is = |what: &str| {
        expected.push_str("hook\nhook late\nterm\n");
        wait_until(what, || (std::fs::read_to_string(&log).unwrap_or_default().len() >= expected.len()).then_some(()));
        assert_eq!(std::fs::read_to_string(&log).expect("a file"), expected, "{what}");
    };
    for command in [&["restart"][..], &["stop"], &["up", "--recreate"], &["down"]] {
        if command[0] == "up" {
            stack.up();
        }
        let ended = stack.dev(command).ends(0);
        assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
        is(command[0]);
    }
    stack.up();
    let watching = Watching::start(&stack, &[]);
    stack.file("src/a", "1");
    watching.done(1);
    drop(watching);
    is("watch");
    // What `run` starts is not what the hooks are about.
    stack.dev(&["run", "-d", "app", "sleep", "1000"]).ends(0);
    stack.dev(&["down", "--timeout", "1"]).ends(0);
    is("down");
}

#[test]
fn a_pre_stop_hook_never_prevents_the_stop() {
    let hooks = "hooks = { pre_stop = [\"sh -c 'echo still busy; exit 4'\", \"no-such-program\", \"sh -c 'echo last >>/out/log'\"] }\n";
    let stack = Stack::new("bad-pre-stop", &format!("{WRITES}{hooks}stop_timeout = \"2s\"\n"));
    let log = stack.file("out/log", "");
    stack.up();
    stack.dev(&["stop"]).ends(0).says(&[
        "warning: the pre_stop hook `sh -c echo still busy; exit 4` of app exited with code 4: still busy",
        "hint: edit `hooks.pre_stop` of [services.app]",
        "the pre_stop hook `no-such-program` of app ",
    ]);
    assert_eq!(stack.state("app"), "exited");
    assert_eq!(std::fs::read_to_string(&log).expect("a file"), "last\nterm\n");

    stack.edit("exit 4", "sleep 1000");
    stack.up();
    let slow = stack.dev(&["stop"]).ends(0);
    assert!(slow.took.as_secs_f64() < 5.0, "{:?}", slow.took);
    let slow = slow.says(&[
        "the pre_stop hook `sh -c echo still busy; sleep 1000` of app did not end within 2 s; app is stopped now",
        "hint: give it more time: `stop_timeout` of [services.app] in services.toml",
    ]);
    assert!(!slow.stderr.contains("no-such-program"), "{}", slow.stderr);
    assert_eq!(std::fs::read_to_string(&log).expect("a file"), "last\nterm\nterm\n");
    // One that does not run has nothing to do.
    assert!(!stack.dev(&["down"]).ends(0).stderr.contains("hook"));
}

#[test]
fn a_hook_that_ends_the_service_itself_has_not_failed() {
    let hooks = "hooks = { pre_stop = [\"sh -c 'kill -TERM 1; sleep 1000'\"] }\n";
    let stack = Stack::new("ends-itself", &format!("{WRITES}{hooks}"));
    stack.file("out/log", "");
    stack.up();
    let stop = stack.dev(&["stop"]).ends(0);
    assert!(!stop.stderr.contains("warning") && stop.took.as_secs() < 8, "{stop:?}");
}

#[test]
fn the_next_run_finishes_a_stop_that_was_cut_off_in_a_hook() {
    let hooks = "hooks = { pre_stop = [\"sh -c 'echo begun >>/out/log; sleep 2; echo done >>/out/log'\"] }\n";
    let stack = Stack::new("cut-pre-stop", &format!("{WRITES}{hooks}"));
    let log = stack.file("out/log", "");
    stack.up();
    let started = docker::inspect(&stack.container("app")).started_at;
    let cut = stack.start(&["stop"]);
    wait_until("the hook runs", || std::fs::read_to_string(&log).expect("a file").contains("begun").then_some(()));
    cut.signal("KILL");
    cut.finish();
    assert_eq!(stack.ps("app")["state"], "stopping");
    // It was about to stop: as it is it can't be kept.
    stack.up();
    assert_ne!(docker::inspect(&stack.container("app")).started_at, started);
    let written = std::fs::read_to_string(&log).expect("a file");
    assert!(written.matches("begun").count() == 2 && written.ends_with("term\n"), "{written}");
    stack.dev(&["plan", "--exit-code"]).ends(0);
}

//! Runs that are killed at any moment leave nothing, and nobody else's stack is touched.

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::stack::{Running, Stack, heavy, wait_until};
use crate::test_command::isolated;

/// Killed runs in all.
const RUNS: usize = 50;

/// How many run at the same time.
const AT_ONCE: usize = 4;

const SMALL: &str = r#"
[services.redis]
kind = "redis"
image = "image:redis"
volumes = ["data:/data"]
[services.app]
image = "image:busybox"
command = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
depends_on = ["redis"]
"#;

/// Janitors that watch over one of these processes.
fn janitors(owners: &[u32]) -> Vec<u32> {
    let arguments: Vec<String> = owners.iter().map(|pid| format!("--owner={pid}")).collect();
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| arguments.iter().any(|wanted| wanted.as_bytes() == word))
    };
    pids.filter(is_one).collect()
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status();
    assert!(killed.expect("a shell").success());
}

/// A registry that accepts and never answers: what is pulled from it is pulled for ever.
fn silent_registry() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let reference = format!("{}/silent:1", listener.local_addr().expect("an address"));
    (listener, reference)
}

#[test]
fn fifty_runs_killed_at_any_moment_leave_nothing_and_touch_nobody() {
    let _turn = heavy();
    // The developer's stack, and a test run that goes on all the time.
    let others = Stack::new("others", SMALL);
    others.up();
    let developers = others.containers(["redis", "app"]);
    let mut living = others.command(&["test", "--", "sh", "-c", "echo it goes on >&2; cat"]);
    let mut living = Running::start_with_stdin(living.stdin(Stdio::piped()));
    living.wait_for("it goes on");
    let before = isolated(&others);
    assert_eq!(before.len(), 4, "two containers, a network and a volume: {before:?}");

    let stack = Stack::new("killed", SMALL);
    let whole = {
        let began = Instant::now();
        stack.dev(&["test", "--", "sleep", "0.2"]).ends(0);
        // Side by side they take longer.
        began.elapsed().mul_f64(1.5)
    };
    let (_listener, silent) = silent_registry();
    let pulling = Stack::new("killed-pull", &SMALL.replace("image:busybox", &silent));
    let owners = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= RUNS {
                        return;
                    }
                    // Every tenth is killed while the engine pulls, the others from the first moment to the last.
                    let of = if number % 10 == 9 { &pulling } else { &stack };
                    let mut run = of.command(&["test", "--", "sleep", "0.2"]);
                    let mut run =
                        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("runs");
                    owners.lock().expect("no panic").push(run.id());
                    std::thread::sleep(whole.mul_f64((f64::from(number as u32) + 0.5) / RUNS as f64));
                    run.kill().expect("a child");
                    run.wait().expect("a child");
                }
            });
        }
    });
    let owners = owners.into_inner().expect("no panic");
    wait_until("every janitor is done", || janitors(&owners).is_empty().then_some(()));
    assert_eq!((isolated(&stack), isolated(&pulling)), (Vec::new(), Vec::new()));

    assert_eq!(isolated(&others), before, "a stack that somebody uses is left alone");
    assert_eq!(others.containers(["redis", "app"]), developers);
    living.close_stdin();
    living.finish().ends(0);
    assert_eq!(isolated(&others), [""; 0]);
}

/// A run that goes on until it is killed.
fn going_on(stack: &Stack) -> Running {
    let mut run = stack.command(&["test", "--", "sh", "-c", "echo it goes on >&2; exec cat"]);
    let mut run = Running::start_with_stdin(run.stdin(Stdio::piped()));
    run.wait_for("it goes on");
    run
}

/// Both at once, as a machine that loses power does.
fn kill_with_janitor(mut run: Running) {
    janitors(&[run.id()]).into_iter().for_each(kill);
    run.signal("KILL");
    // The command would go on reading.
    run.close_stdin();
    run.finish().ends(-1);
}

#[test]
fn a_killed_run_takes_its_command_and_what_that_started_with_it() {
    let stack = Stack::new("killed-command", "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\n");
    // Neither reads: nothing but the janitor ends them.
    let script = "sh -c 'echo $$ >inner; echo it goes on >&2; while :; do sleep 0.05; done' & wait";
    let mut run = stack.start(&["test", "--", "sh", "-c", script]);
    run.wait_for("it goes on");
    let inner = std::fs::read_to_string(stack.path().join("inner")).expect("a number");
    let runs = || std::path::Path::new("/proc").join(inner.trim()).exists();
    assert!(runs());
    run.signal("KILL");
    wait_until("the command has ended", || (!runs()).then_some(()));
    run.finish().ends(-1);
    wait_until("nothing left", || isolated(&stack).is_empty().then_some(()));
}

#[test]
fn gc_removes_what_no_janitor_could() {
    let stack = Stack::new("gc", SMALL);
    let run = going_on(&stack);
    let root = stack.path().canonicalize().expect("a folder").display().to_string();
    let mine = || {
        let rows = stack.dev(&["gc", "--dry-run", "--json"]).ends(0).json();
        rows.into_iter().find(|row| row["root"] == root.as_str())
    };
    let seen = mine().expect("a row");
    assert_eq!((&seen["why"], &seen["containers"]), (&serde_json::Value::Null, &2.into()), "its process lives");
    stack.dev(&["gc"]).ends(0);
    assert_eq!(isolated(&stack).len(), 4, "what a living process uses stays");

    kill_with_janitor(run);
    // Another test's run may have cleared up already.
    if let Some(seen) = mine() {
        assert_eq!((&seen["why"], &seen["removed"]), (&"owner-gone".into(), &false.into()));
    }
    stack.dev(&["gc"]).ends(0);
    wait_until("nothing left", || isolated(&stack).is_empty().then_some(()));
}

#[test]
fn the_next_run_removes_what_an_earlier_one_left() {
    let stack = Stack::new("swept", SMALL);
    kill_with_janitor(going_on(&stack));
    let next = Stack::new("sweeps", "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\n");
    let mut sweeps = going_on(&next);
    wait_until("the next run clears up", || isolated(&stack).is_empty().then_some(()));
    sweeps.close_stdin();
    sweeps.finish().ends(0);
}

//! Runs that are killed at any moment leave nothing, and no other stack is touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::stack::{Running, Stack, heavy, wait_until};
use crate::test_command::isolated;

/// Runs that are killed while they run; more when by then not every phase was hit.
const KILLED: usize = 30;

/// Runs at most.
const MOST: usize = 120;

/// In each of these at least [`OFTEN`] runs are killed.
const PHASES: [&str; 6] = ["pull", "create", "start", "wait", "test", "teardown"];

/// How often each phase is to be hit.
const OFTEN: usize = 3;

/// How long after the beginning of a phase that was drawn a run is killed at the latest: then it may be in the next one.
const LONGEST: Duration = Duration::from_millis(400);

/// How many run at the same time.
const AT_ONCE: usize = 4;

const SMALL: &str = r#"
[services.redis]
kind = "redis"
image = "image:redis"
volumes = ["data:/data"]
[services.app]
image = "image:busybox"
# Longer than the engine takes to say that it has started it, when it has much to do.
command = ["sh", "-c", "trap 'exit 0' TERM; sleep 2; touch /ready; sleep 1000 & wait"]
ready = { exec = "test -e /ready" }
depends_on = ["redis"]
"#;

/// Numbers that look drawn and are the same again from the same seed (SplitMix64).
pub(crate) struct Draws(u64);

impl Draws {
    /// From `TASKAVA_TEST_SEED`; otherwise a new one, which is shown.
    pub(crate) fn new() -> Self {
        let given = std::env::var("TASKAVA_TEST_SEED").ok();
        let seed = given.map_or_else(rand_seed, |text| text.parse().expect("TASKAVA_TEST_SEED is a number"));
        writeln!(io::stderr(), "the moments are those of TASKAVA_TEST_SEED={seed}").expect("stderr");
        Self(seed)
    }

    /// From 0 to 1.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(((mixed ^ (mixed >> 31)) >> 32) as u32) / f64::from(u32::MAX)
    }
}

fn rand_seed() -> u64 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(std::process::id()) >> 32
}

/// What a run was doing when it was killed, by what it had told until then; several things go on at once.
fn phases(events: &str, said: &str) -> Vec<&'static str> {
    if said.contains("ends") {
        return vec!["teardown"];
    }
    if said.contains("begins") {
        return vec!["test"];
    }
    let mut going: BTreeMap<u64, String> = BTreeMap::new();
    // The last line may be cut off.
    for event in events.lines().map_while(|line| serde_json::from_str::<Value>(line).ok()) {
        let step = event["step"].as_u64().unwrap_or_default();
        if event["event"] == "step-started" {
            going.insert(step, event["text"].as_str().unwrap_or_default().into());
        } else if event["event"] == "step-done" || event["event"] == "step-failed" {
            going.remove(&step);
        }
    }
    let is = |phase: &&str| going.values().any(|text| text.split(' ').next() == Some(phase));
    PHASES.into_iter().filter(is).collect()
}

/// Starts a run and kills it so long after a phase has begun. What it was doing then; none when it had ended before.
fn killed(
    stack: &Stack,
    number: usize,
    phase: &str,
    after: Duration,
    owners: &Mutex<Vec<u32>>,
) -> Option<Vec<&'static str>> {
    let script = "echo begins >&2; sleep 0.3; echo ends >&2";
    let file = |end: &str| stack.path().join(format!("{number}.{end}"));
    let make = |end: &str| Stdio::from(File::create(file(end)).expect("a file"));
    let mut run = stack.command(&["--format", "json", "test", "--", "sh", "-c", script]);
    let run = run.stdin(Stdio::null()).stdout(make("events")).stderr(make("said"));
    let mut run = run.spawn().expect("runs");
    owners.lock().expect("no panic").push(run.id());
    let read = |end: &str| std::fs::read_to_string(file(end)).expect("a file");
    let seen = || phases(&read("events"), &read("said"));
    let mut has_ended = || run.try_wait().expect("a child").is_some();
    wait_until(phase, || (has_ended() || seen().contains(&phase)).then_some(()));
    std::thread::sleep(after);
    let ended = has_ended();
    run.kill().expect("a child");
    run.wait().expect("a child");
    (!ended).then(seen)
}

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
    let killed = Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status();
    assert!(killed.expect("a shell").success());
}

/// A registry that accepts and never answers: a pull from it never ends.
fn silent_registry() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let reference = format!("{}/silent:1", listener.local_addr().expect("an address"));
    (listener, reference)
}

#[test]
fn thirty_runs_killed_at_random_moments_leave_nothing_and_touch_nobody() {
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
    let (_listener, silent) = silent_registry();
    let pulling = Stack::new("killed-pull", &SMALL.replace("image:busybox", &silent));
    let owners = Mutex::new(Vec::new());
    let draws = Mutex::new((Draws::new(), 0));
    let hit: Mutex<(usize, BTreeMap<&str, usize>)> = Mutex::default();
    let enough = || {
        let (kills, hit) = &*hit.lock().expect("no panic");
        *kills >= KILLED && PHASES.iter().all(|phase| hit.get(phase).is_some_and(|count| *count >= OFTEN))
    };
    let draw = || {
        let (draws, number) = &mut *draws.lock().expect("no panic");
        *number += 1;
        (*number <= MOST).then(|| (*number, draws.next(), draws.next()))
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !enough()
                    && let Some((number, which, moment)) = draw()
                {
                    let phase = PHASES[((which * PHASES.len() as f64) as usize).min(PHASES.len() - 1)];
                    let of = if phase == "pull" { &pulling } else { &stack };
                    // Most are soon over.
                    let after = LONGEST.mul_f64(moment * moment);
                    if let Some(phases) = killed(of, number, phase, after, &owners) {
                        let (kills, hit) = &mut *hit.lock().expect("no panic");
                        *kills += 1;
                        phases.into_iter().for_each(|phase| *hit.entry(phase).or_default() += 1);
                    }
                }
            });
        }
    });
    let (kills, hit) = hit.into_inner().expect("no panic");
    eprintln!("{kills} were killed while they ran: {hit:?}");
    assert!(kills >= KILLED, "{kills} of {MOST} were killed while they ran");
    let missed: Vec<_> = PHASES.iter().filter(|phase| hit.get(*phase).is_none_or(|count| *count < OFTEN)).collect();
    assert!(missed.is_empty(), "too seldom in {missed:?}: {hit:?}");
    let owners = owners.into_inner().expect("no panic");
    wait_until("every janitor is done", || janitors(&owners).is_empty().then_some(()));
    assert_eq!((isolated(&stack), isolated(&pulling)), (Vec::new(), Vec::new()));

    assert_eq!(isolated(&others), before, "a stack that is used is left alone");
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
    let runs = || Path::new("/proc").join(inner.trim()).exists();
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
    // Another test's run may clear up before: then once more.
    let removed = (0..10).any(|_| {
        if isolated(&stack).is_empty() {
            kill_with_janitor(going_on(&stack));
        }
        let Some(seen) = mine() else { return false };
        assert_eq!((&seen["why"], &seen["removed"]), (&"owner-gone".into(), &false.into()), "only looked at");
        let rows = stack.dev(&["gc", "--json"]).ends(0).json();
        let row = rows.into_iter().find(|row| row["root"] == root.as_str() && row["why"] == "owner-gone");
        wait_until("nothing left", || isolated(&stack).is_empty().then_some(()));
        row.is_some_and(|row| row["removed"] == true)
    });
    assert!(removed, "`gc` itself has removed one");
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

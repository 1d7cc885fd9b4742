//! Snapshots: data by name, saved, brought back, and saved by itself before it is lost.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::clients::{POSTGRES, REDIS, ask, postgres};
use crate::docker;
use crate::logs::Wire;
use crate::stack::{Running, Stack, heavy};

/// What the stack's snapshots are, as `snapshot list --json` says.
fn snapshots(stack: &Stack) -> Vec<serde_json::Value> {
    let list = stack.dev(&["snapshot", "list", "--json"]).ends(0).json().remove(0);
    list["snapshots"].as_array().expect("a list").clone()
}

fn names(stack: &Stack) -> Vec<String> {
    snapshots(stack).iter().map(|snapshot| snapshot["name"].as_str().expect("a name").to_owned()).collect()
}

#[track_caller]
fn redis(stack: &Stack, line: &str) -> String {
    ask(&stack.address("redis", 6379), line)
}

#[track_caller]
fn row(stack: &Stack) -> i32 {
    let mut client = postgres(stack.port("postgres", 5432));
    client.query_one("select id from kept", &[]).expect("the row").get(0)
}

#[track_caller]
fn sql(stack: &Stack, text: &str) {
    postgres(stack.port("postgres", 5432)).batch_execute(text).expect("run");
}

/// PostgreSQL and Redis with data.
fn everything(name: &str) -> Stack {
    let stack = Stack::new(name, &format!("{POSTGRES}{REDIS}"));
    stack.up();
    sql(&stack, "create table kept (id int); insert into kept values (1)");
    assert_eq!(redis(&stack, "SET key before"), "+OK");
    stack
}

#[test]
fn a_whole_stack_comes_back_as_it_was_saved() {
    let _turn = heavy();
    let stack = everything("snap");
    let saved = stack.dev(&["snapshot", "save", "first"]).ends(0);
    saved.says(&["postgres  stopped", "redis     stopped", "saved", "postgres  ready", "redis     ready"]);
    let list = snapshots(&stack);
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["services"], serde_json::json!(["postgres", "redis"]));
    assert!(list[0]["size"].as_u64().is_some_and(|size| size > 10_000_000), "{list:?}");

    sql(&stack, "update kept set id = 2");
    assert_eq!(redis(&stack, "SET key after"), "+OK");
    stack.dev(&["snapshot", "restore", "first"]).ends(0);
    assert_eq!((row(&stack), redis(&stack, "STRLEN key")), (1, ":6".into()));
    stack.dev(&["plan", "--exit-code"]).ends(0);

    // What was there before went into a snapshot of its own.
    let auto = names(&stack).into_iter().find(|name| name.starts_with("auto-")).expect("taken by itself");
    stack.dev(&["snapshot", "restore", &auto, "--no-snapshot", "redis"]).ends(0);
    assert_eq!((row(&stack), redis(&stack, "STRLEN key")), (1, ":5".into()), "only that service");
    stack.dev(&["snapshot", "restore", &auto, "--no-snapshot"]).ends(0);
    assert_eq!(row(&stack), 2);

    stack.dev(&["snapshot", "remove", "first", &auto]).ends(0);
    assert_eq!(names(&stack), Vec::<String>::new());
    assert_eq!(docker::images(&stack.label()), Vec::<String>::new());
}

#[test]
fn down_v_keeps_a_snapshot_that_brings_everything_back() {
    let _turn = heavy();
    let stack = everything("snap-down");
    let down = stack.dev(&["down", "-v"]).ends(0);
    let name = names(&stack).pop().expect("a snapshot");
    down.says(&[&format!("restore it with: taskava dev snapshot restore {name}")]);
    assert!(docker::left(&stack.label()).is_empty());

    // Nothing ran: nothing is started.
    stack.dev(&["snapshot", "restore", &name]).ends(0);
    assert_eq!((stack.state("postgres"), stack.state("redis")), ("none".into(), "none".into()));
    stack.up();
    assert_eq!((row(&stack), redis(&stack, "GET key")), (1, "$6".into()));

    stack.dev(&["down", "-v", "--no-snapshot"]).ends(0);
    assert_eq!(names(&stack), [name], "asked not to");
}

/// Whether a run holds a lock of a stack, on whatever engine.
fn is_locked(folder: &Path, project: &str) -> bool {
    let locks = folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut own = locks.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(project)));
    own.any(|path| File::open(path).expect("the lock").try_lock().is_err())
}

#[test]
fn only_the_newest_automatic_snapshots_stay_and_named_ones_are_never_touched() {
    let stack = Stack::new("snap-gc", REDIS);
    // Whether the stack was locked at each removal: who waits for the lock may restore what is there.
    let locked = Arc::new(Mutex::new(Vec::new()));
    let user = std::fs::metadata("/proc/self").expect("/proc").uid();
    let (locks, project, seen) = (PathBuf::from(format!("/tmp/taskava-{user}")), stack.project.clone(), locked.clone());
    let wire = Wire::tapped(move |asked| {
        let head = String::from_utf8_lossy(asked);
        if head.starts_with("DELETE ") && head.contains("/images/") {
            seen.lock().expect("no thread panicked with it").push(is_locked(&locks, &project));
        }
    });
    let dev = |arguments: &[&str]| {
        let mut command = stack.command(arguments);
        command.env("DOCKER_HOST", wire.address());
        Running::start(&mut command).finish().ends(0)
    };
    for round in 0..5 {
        stack.up();
        assert_eq!(redis(&stack, &format!("SET key {round}")), "+OK");
        if round == 0 {
            stack.dev(&["snapshot", "save", "mine"]).ends(0);
        }
        dev(&["down", "-v"]);
    }
    let names = names(&stack);
    assert_eq!((names.len(), &names[3]), (4, &"mine".to_owned()), "{names:?}");
    dev(&["snapshot", "remove", "mine"]);
    assert_eq!(*locked.lock().expect("no thread panicked with it"), [true; 3]);
}

#[test]
fn an_empty_volume_leaves_no_snapshot() {
    let services = "[services.a]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\nstop_signal = \"SIGKILL\"\nvolumes = [\"v:/v\"]\n";
    let stack = Stack::new("snap-empty", services);
    stack.up();
    stack.dev(&["down", "-v"]).ends(0).says(&["is empty"]);
    assert_eq!(names(&stack), Vec::<String>::new());
}

#[test]
fn what_cant_be_done_is_said() {
    let stack = Stack::new("snap-no", REDIS);
    stack.dev(&["snapshot", "save", "x"]).ends(1).says(&["nothing to save", "taskava dev up"]);
    stack.dev(&["snapshot", "restore", "x"]).ends(2).says(&["no snapshot `x`", "snapshot save NAME"]);
    stack.dev(&["snapshot", "remove", "x"]).ends(2);
    stack.dev(&["snapshot", "save", "A b"]).ends(2).says(&["a name can't contain 'A'"]);
    stack.dev(&["snapshot", "save", "auto-x"]).ends(2);
    stack.dev(&["snapshot", "list"]).ends(0).says(&["no snapshots"]);
    stack.up();
    stack.dev(&["snapshot", "save", "x", "redis"]).ends(0);
    stack.dev(&["snapshot", "save", "x"]).ends(2).says(&["snapshot `x` already exists"]);
}

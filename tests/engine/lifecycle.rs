//! `stop`, `start` and `restart`: their order, and what they leave.

use crate::docker;
use crate::stack::Stack;

/// `one` ← `two` ← `three`, and a job.
const CHAIN: &str = r#"
[services.one]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"

[services.two]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
depends_on = ["one"]

[services.job]
kind = "job"
image = "image:busybox"
command = ["true"]
depends_on = ["two"]

[services.three]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
depends_on = ["job"]
"#;

fn states(stack: &Stack) -> [String; 3] {
    ["one", "two", "three"].map(|service| stack.state(service))
}

/// Panics unless the lines of stderr that are about a verb name these services in this order.
#[track_caller]
fn in_order(stderr: &str, verb: &str, services: &[&str]) {
    let about = stderr.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(2) == Some(&verb)).then(|| words[1])
    });
    assert_eq!(about.collect::<Vec<_>>(), services, "{stderr}");
}

#[test]
fn dependants_stop_first_and_start_last() {
    let stack = Stack::new("chain", CHAIN);
    in_order(&stack.up().stderr, "started", &["one", "two", "job", "three"]);
    let ids = stack.containers(["one", "two", "job", "three"]);

    let stop = stack.dev(&["stop"]).ends(0);
    in_order(&stop.stderr, "stopped", &["three", "two", "one"]);
    assert_eq!(states(&stack), ["exited", "exited", "exited"]);
    stack.dev(&["stop"]).ends(0).says(&["nothing to do"]);

    let start = stack.dev(&["start"]).ends(0);
    in_order(&start.stderr, "started", &["one", "two", "three"]);
    assert_eq!(states(&stack), ["running", "running", "running"]);
    assert_eq!(stack.containers(["one", "two", "job", "three"]), ids);
    stack.dev(&["start"]).ends(0).says(&["nothing to do"]);

    let restart = stack.dev(&["restart"]).ends(0);
    in_order(&restart.stderr, "stopped", &["three", "two", "one"]);
    let [one, two, _, three] = ids;
    assert_eq!(stack.containers(["one", "two", "three"]), [one, two, three]);

    let down = stack.dev(&["down"]).ends(0);
    in_order(&down.stderr, "stopped", &["three", "two", "one"]);
    assert_eq!(states(&stack), ["none", "none", "none"]);
}

#[test]
fn one_service_can_be_stopped_and_started() {
    let stack = Stack::new("single", CHAIN);
    stack.up();
    stack.dev(&["stop", "three"]).ends(0);
    assert_eq!(states(&stack), ["running", "running", "exited"]);
    stack.dev(&["start", "three"]).ends(0);
    assert_eq!(states(&stack), ["running", "running", "running"]);
    let started = |service: &str| docker::inspect(&stack.container(service)).started_at;
    let before = ["one", "two", "three"].map(started);
    stack.dev(&["restart", "two"]).ends(0);
    let after = ["one", "two", "three"].map(started);
    assert_eq!((&before[0], &before[2]), (&after[0], &after[2]));
    assert_ne!(before[1], after[1]);
}

#[test]
fn start_makes_nothing() {
    let stack = Stack::new("start", CHAIN);
    stack.dev(&["start"]).ends(1).says(&["no container", "to start", "taskava dev up"]);
    assert_eq!(states(&stack), ["none", "none", "none"]);
}

#[test]
fn data_and_ports_survive_stop_and_start() {
    let stack =
        Stack::new("lives-on", "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\nports = [\"6379\"]\n");
    stack.up();
    assert_eq!(crate::clients::ask(&stack.address("redis", 6379), "SET key value"), "+OK");
    assert_eq!(crate::clients::ask(&stack.address("redis", 6379), "SAVE"), "+OK");
    stack.dev(&["stop"]).ends(0);
    stack.dev(&["start"]).ends(0);
    assert_eq!(crate::clients::ask(&stack.address("redis", 6379), "EXISTS key"), ":1");
    stack.dev(&["restart"]).ends(0);
    assert_eq!(crate::clients::ask(&stack.address("redis", 6379), "EXISTS key"), ":1");
}

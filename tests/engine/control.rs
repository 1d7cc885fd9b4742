//! Commands that act on containers as they are: `ls`, `port`, `top`, `kill`, `pause`, `unpause`, `wait`, `images`. All work by
//! labels, too.

use crate::stack::{Stack, wait_until};

const TWO: &str = r#"
[services.idle]
image = "image:busybox"
command = ["sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.1; done"]
ports = ["8080", "53/udp"]
ready = { exec = "true" }
[services.other]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
"#;

#[test]
fn containers_are_listed_looked_at_paused_and_killed() {
    let stack = Stack::new("control", TWO);
    stack.dev(&["top"]).ends(0);
    stack.dev(&["kill", "idle"]).ends(1).says(&["idle has no container", "taskava dev up idle"]);
    stack.up();

    let all = stack.dev(&["ls", "--json"]).ends(0).json().remove(0);
    let row =
        all.as_array().expect("rows").iter().find(|row| row["name"] == *stack.project).expect("the stack").clone();
    assert_eq!(row["status"], "running(2)");
    assert_eq!(row["folder"].as_str().map(std::path::Path::new), stack.path().canonicalize().ok().as_deref());
    assert!(stack.dev(&["ls", "-q"]).ends(0).stdout.lines().any(|line| line == stack.project));

    let tcp = stack.dev(&["port", "idle", "8080"]).ends(0).stdout;
    assert_eq!(tcp, format!("127.0.0.1:{}\n", stack.port("idle", 8080)));
    assert!(stack.dev(&["port", "idle", "53/udp"]).ends(0).stdout.starts_with("127.0.0.1:"));
    assert_eq!(stack.dev(&["port", "idle"]).ends(0).stdout.lines().count(), 2);
    stack.dev(&["port", "idle", "9"]).ends(1).says(&["idle does not publish port 9/tcp", "ports = [\"9\"]"]);
    stack.dev(&["port", "idle", "x"]).ends(2).says(&["that is no port"]);

    let top = stack.dev(&["top", "other"]).ends(0).stdout;
    assert!(top.starts_with("other\n") && top.contains("sleep 1000"), "{top}");
    let top = stack.dev(&["--format", "json", "top"]).ends(0).json().remove(0);
    assert!(top["idle"][0]["CMD"].as_str().is_some_and(|command| command.contains("trap")), "{top}");
    assert_eq!(stack.dev(&["images"]).ends(0).stdout.lines().count(), 3);

    stack.dev(&["pause", "other"]).ends(0).says(&["other: paused"]);
    assert_eq!((stack.state("idle"), stack.state("other")), ("running".into(), "paused".into()));
    stack.dev(&["pause"]).ends(0);
    // A file that can't be read is no reason to leave them paused.
    stack.edit("[services.idle]", "[services.idle");
    stack.dev(&["unpause"]).ends(0);
    assert_eq!((stack.state("idle"), stack.state("other")), ("running".into(), "running".into()));

    let waiting = stack.start(&["wait", "idle"]);
    stack.dev(&["kill", "-s", "USR1", "idle"]).ends(0).says(&["idle: USR1 sent"]);
    let ended = waiting.finish().ends(7);
    assert!(ended.stdout.contains("idle exited with code 7"), "{}", ended.stdout);
    stack.dev(&["kill"]).ends(0);
    wait_until("all are killed", || (stack.state("other") == "exited").then_some(()));
    stack.dev(&["kill", "-s", "NONSENSE", "other"]).ends(0);
    stack.edit("[services.idle", "[services.idle]");
    assert!(!stack.dev(&["ls", "-q"]).ends(0).stdout.contains(&stack.project), "nothing of it runs");
    assert!(stack.dev(&["ls", "-a", "-q"]).ends(0).stdout.contains(&stack.project));
}

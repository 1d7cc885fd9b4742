//! `events`: what happens to the stack, and to no other, without our own requests.

use crate::docker;
use crate::logs::Wire;
use crate::stack::{Running, Stack, wait_until};

const TWO: &str = r#"
[services.app]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
ready = { exec = "true" }

[services.other]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
"#;

/// The names of the events of a service, in their order.
fn of(output: &[serde_json::Value], service: &str) -> Vec<String> {
    let of = output.iter().filter(|event| event["service"] == service);
    of.map(|event| event["event"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn starts_and_ends_are_told_with_their_exit_code_and_probes_are_not() {
    let stack = Stack::new("events", TWO);
    stack.up();
    docker::kill(&stack.container("app"));
    wait_until("its end", || (stack.state("app") == "exited").then_some(()));
    let past = |arguments: &[&str]| {
        let all = [&["events", "--since", "5m", "--until", "0s"], arguments].concat();
        stack.dev(&all).ends(0).json()
    };
    let all = past(&[]);
    assert_eq!(of(&all, "app")[..2], ["container.create", "container.start"], "{all:#?}");
    let die = all.iter().find(|event| event["event"] == "container.die").expect("it died");
    assert_eq!((&die["v"], &die["service"], &die["exit_code"]), (&1.into(), &"app".into(), &137.into()));
    assert!(all.iter().any(|event| event["event"] == "network.create" && event["name"] == stack.volume("default")));
    assert!(all.iter().all(|event| !event["event"].as_str().is_some_and(|name| name.contains("exec"))), "{all:#?}");
    assert!(past(&["--all"]).iter().any(|event| event["event"] == "container.exec_create"));
    let other = past(&["other"]);
    assert_eq!(of(&other, "other").len(), other.len(), "only of the one asked for");
    stack.dev(&["events", "--since", "soon"]).ends(2).says(&["`soon` is not a time"]);
}

#[test]
fn a_lost_connection_costs_no_event_and_shows_none_twice() {
    let stack = Stack::new("events-cut", TWO);
    stack.dev(&["up", "other"]).ends(0);
    let wire = Wire::new();
    let mut events = Running::start(&mut stack.command(&["--host", &wire.address(), "events", "--since", "5m"]));
    let starts = |events: &Running, service: &str| {
        let lines = events.printed();
        let of = |line: &&str| line.contains("container.start") && line.contains(&format!("\"service\":\"{service}\""));
        lines.lines().filter(of).count()
    };
    wait_until("what was", || (starts(&events, "other") == 1).then_some(()));
    wire.cut();
    stack.dev(&["up", "app"]).ends(0);
    wait_until("what came meanwhile", || (starts(&events, "app") == 1).then_some(()));
    events.wait_for("the engine is back");
    events.signal("INT");
    let output = events.finish().ends(130);
    assert_eq!(output.stdout.matches("container.start").count(), 2, "{}", output.stdout);
}

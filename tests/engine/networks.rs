//! Networks and volumes that were edited, removed, or created again behind our back: one `up` ends right.

use std::collections::HashMap;

use bollard::models::{NetworkCreateRequest, NetworkDisconnectRequest};
use bollard::query_parameters::InspectNetworkOptions;

use crate::clients::{REDIS, ask};
use crate::docker::engine;
use crate::stack::Stack;

const TWO: &str = r#"
[services.cache]
kind = "redis"
image = "image:redis"
ports = ["6379"]
networks = ["default", "back"]

[services.app]
image = "image:busybox"
command = ["sleep", "1000"]
init = true
networks = ["back"]

[networks.back]
labels = { a = "1" }
"#;

fn remove_network(name: &str) {
    engine(async |docker| docker.remove_network(name).await);
}

fn network(name: &str) -> bollard::models::NetworkInspect {
    engine(async |docker| docker.inspect_network(name, None::<InspectNetworkOptions>).await)
}

fn disconnect(network: &str, container: &str) {
    let request = NetworkDisconnectRequest { container: container.into(), force: Some(true) };
    engine(async |docker| docker.disconnect_network(network, request).await);
}

#[test]
fn a_network_that_was_removed_comes_back_with_what_hangs_on_it() {
    let stack = Stack::new("net-gone", REDIS);
    stack.up();
    assert_eq!(ask(&stack.address("redis", 6379), "SET key kept"), "+OK");
    stack.dev(&["stop"]).ends(0);
    let name = format!("{}-default", stack.project);
    remove_network(&name);
    stack.dev(&["start"]).ends(1).says(&[&format!("network {name} was removed"), "taskava dev up redis"]);
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains(&format!("network {name} was removed")), "{plan}");
    assert!(plan.contains(&format!("create network {name}")), "{plan}");
    stack.up();
    assert_eq!(ask(&stack.address("redis", 6379), "GET key"), "$4");

    // Another one of that name, with our labels.
    stack.dev(&["stop"]).ends(0);
    let labels: HashMap<String, String> = network(&name).labels.unwrap_or_default();
    remove_network(&name);
    let request = NetworkCreateRequest { name: name.clone(), labels: Some(labels), ..Default::default() };
    engine(async |docker| docker.create_network(request).await);
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains("was removed and created again"), "{plan}");
    stack.up();
    assert_eq!(ask(&stack.address("redis", 6379), "GET key"), "$4");
    stack.dev(&["plan", "--exit-code"]).ends(0);
}

#[test]
fn a_container_that_was_disconnected_comes_back() {
    let stack = Stack::new("net-off", TWO);
    stack.up();
    let before = stack.containers(["cache", "app"]);
    disconnect(&format!("{}-back", stack.project), &before[1]);
    disconnect(&format!("{}-default", stack.project), &before[0]);
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    for network in ["back", "default"] {
        assert!(plan.contains(&format!("network {}-{network} was disconnected", stack.project)), "{plan}");
    }
    stack.up();
    assert_eq!(ask(&stack.address("cache", 6379), "PING"), "+PONG");
    let found = crate::docker::output(&stack.container("app"), &["nslookup", "cache"]);
    assert!(found.contains("Address"), "{found}");
    stack.dev(&["plan", "--exit-code"]).ends(0);
}

#[test]
fn an_edited_network_is_applied() {
    let stack = Stack::new("net-edit", TWO);
    stack.up();
    let name = format!("{}-back", stack.project);
    stack.edit("labels = { a = \"1\" }", "internal = true\nlabels = { a = \"2\" }");
    let plan = stack.dev(&["plan", "--exit-code"]).ends(10).stdout;
    assert!(plan.contains(&format!("network {name} changed in services.toml")), "{plan}");
    // Not from under a service that this run leaves alone.
    let refused = stack.dev(&["up", "app"]).ends(1).says(&["cache is in it", "taskava dev up"]);
    assert!(!refused.stderr.contains("stopped"), "{}", refused.stderr);
    stack.up();
    let seen = network(&name);
    assert_eq!((seen.internal, seen.labels.unwrap_or_default()["a"].as_str()), (Some(true), "2"));
    assert_eq!(ask(&stack.address("cache", 6379), "PING"), "+PONG");
    stack.dev(&["plan", "--exit-code"]).ends(0);

    // Cut off after the first of them was removed.
    stack.edit("internal = true", "internal = false");
    let mut up = stack.start(&["up"]);
    up.wait_for("removed");
    up.signal("KILL");
    up.finish();
    crate::stack::wait_until("up after a kill", || (stack.dev(&["up"]).code == 0).then_some(()));
    assert_eq!(network(&name).internal, Some(false));
    stack.dev(&["plan", "--exit-code"]).ends(0);
}

#[test]
fn an_edited_volume_is_named_with_the_command_that_applies_it() {
    let stack = Stack::new("vol-edit", &format!("{REDIS}[volumes.cache]\nlabels = {{ a = \"1\" }}\n"));
    stack.up();
    assert_eq!(ask(&stack.address("redis", 6379), "SET key kept"), "+OK");
    stack.edit("a = \"1\"", "a = \"2\", b = \"3\"");
    let plan = stack.dev(&["plan", "--exit-code"]).ends(10).says(&["labels.a 1 → 2", "labels.b none → 3"]);
    assert!(!plan.stdout.contains("matches services.toml"), "{}", plan.stdout);
    stack.up().says(&["labels.a 1 → 2", "taskava dev down -v redis && taskava dev up"]);
    assert_eq!(ask(&stack.address("redis", 6379), "GET key"), "$4", "it stays");
    stack.edit("b = \"3\" }", "b = \"3\" }\noptions = { type = \"tmpfs\", device = \"tmpfs\", o = \"size=16m\" }");
    stack.dev(&["plan"]).ends(0).says(&["options.type none → tmpfs"]);
    stack.dev(&["down", "-v", "redis"]).ends(0).says(&["saved"]);
    stack.up();
    assert!(stack.dev(&["plan", "--exit-code"]).ends(0).stdout.contains("matches services.toml"));
}

#[test]
fn a_subnet_that_is_too_small_is_one_report() {
    let services: String = (0..9)
        .map(|number| {
            let lines = "image = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\ninit = true\n";
            format!("[services.s{number}]\n{lines}")
        })
        .collect();
    let stack = Stack::new("full", &format!("{services}[networks.default]\nsubnet = \"10.214.77.0/29\"\n"));
    let failed = stack.dev(&["up"]).ends(1).says(&["has no free address", "[networks.default]", "the same for"]);
    let reports = failed.stderr.matches("write a larger `subnet`").count();
    assert_eq!(reports, 1, "{}", failed.stderr);
    // What the report says helps.
    stack.edit("10.214.77.0/29", "10.214.77.0/24");
    stack.up();
}

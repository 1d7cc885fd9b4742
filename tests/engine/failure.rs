//! A failed `up` says at once what happened, why and what to do, and stops only what can't go on.

use std::net::TcpListener;
use std::time::Duration;

use crate::clients::ask;
use crate::docker::Foreign;
use crate::stack::{Stack, image};

const REDIS: &str = "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\nports = [\"6379\"]\n";

/// A shell command as a service.
fn shell(name: &str, script: &str, more: &str) -> String {
    format!(
        "[services.{name}]\nimage = \"image:busybox\"\nstop_signal = \"SIGKILL\"\ncommand = [\"sh\", \"-c\", {script:?}]\n{more}\n"
    )
}

#[test]
fn a_crash_is_reported_at_once_with_exit_code_and_log() {
    let script = "echo reading config; echo no such key: PORT >&2; exit 3";
    let ready = "ports = [\"80\"]\nready = { tcp = 80, timeout = \"10m\" }";
    let stack = Stack::new("crash", &shell("api", script, ready));
    let up = stack.dev(&["up"]).ends(7);
    assert!(up.took < Duration::from_secs(60), "{:?} of 10 min", up.took);
    up.says(&["✘ api", "exited with code 3", "│ reading config", "│ no such key: PORT", "next: taskava dev logs api"]);
}

#[test]
fn the_report_has_no_lines_of_an_earlier_run() {
    let script = "n=$(cat /n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >/n; echo attempt $n; exit 3";
    let ready = "ports = [\"80\"]\nready = { tcp = 80, timeout = \"10m\" }";
    let stack = Stack::new("crash-again", &shell("api", script, ready));
    stack.dev(&["up"]).ends(7).says(&["│ attempt 1"]);
    for attempt in [2, 3] {
        let up = stack.dev(&["up"]).ends(7).says(&[&format!("│ attempt {attempt}")]);
        assert_eq!(up.stderr.matches("│ attempt").count(), 1, "{}", up.stderr);
    }
}

#[test]
fn what_is_not_ready_in_time_is_reported_with_the_last_answer() {
    let ready = "ports = [\"80\"]\nready = { http = \"http://:80/health\", timeout = \"2s\" }";
    let script = "echo up; mkdir /www; exec httpd -f -p 80 -h /www";
    let stack = Stack::new("late", &shell("api", script, ready));
    let up = stack.dev(&["up"]).ends(6);
    assert!(up.took > Duration::from_secs(2), "{:?}", up.took);
    up.says(&["✘ api", "not ready after 2", "404", "│ up"]);
    assert_eq!(stack.state("api"), "running", "one can look into it");
}

#[test]
fn timeout_limits_the_whole_run() {
    let ready = "ready = { exec = \"false\", timeout = \"10m\" }";
    let stack = Stack::new("timeout", &shell("api", "exec sleep 1000", ready));
    let up = stack.dev(&["up", "--timeout", "2"]).ends(6);
    assert!(up.took < Duration::from_secs(60), "{:?} of 10 min", up.took);
}

#[test]
fn an_image_that_cannot_be_had_leaves_what_needs_none_of_it() {
    let missing = "[services.api]\nimage = \"127.0.0.1:1/nobody/nothing:0\"\n";
    let stack = Stack::new("no-image", &format!("{missing}{REDIS}"));
    stack.dev(&["up"]).ends(4).says(&["✘ api", "127.0.0.1:1/nobody/nothing:0"]);
    assert_eq!(ask(&stack.address("redis", 6379), "PING"), "+PONG");
    stack.dev(&["up", "--pull", "never"]).ends(4).says(&["nothing:0", "pulling is off"]);
}

#[test]
fn a_port_held_by_a_process_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stack = Stack::new("port", &REDIS.replace("[\"6379\"]", &format!("[\"{port}:6379\"]")));
    let holder = format!("(pid {})", std::process::id());
    stack.dev(&["up"]).ends(5).says(&["✘ redis", &port.to_string(), &holder]);
    drop(listener);
    stack.up();
    assert_eq!(stack.port("redis", 6379), port);
}

#[test]
fn a_service_keeps_running_when_the_port_it_is_moved_to_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stack = Stack::new("moved", REDIS);
    stack.up();
    let id = stack.container("redis");
    stack.edit("[\"6379\"]", &format!("[\"{port}:6379\"]"));
    stack.dev(&["up"]).ends(5).says(&["✘ redis", &port.to_string()]);
    assert_eq!(stack.container("redis"), id);
    assert_eq!(stack.ps("redis")["ready"], true);
    drop(listener);
    stack.up();
    assert_eq!(stack.port("redis", 6379), port);
}

#[test]
fn a_port_held_by_a_container_names_it() {
    let port = crate::stack::free_port();
    let stack = Stack::new("published", &REDIS.replace("[\"6379\"]", &format!("[\"{port}:6379\"]")));
    let name = format!("{}-holder", stack.project);
    let holder = Foreign::run(&name, image("image:busybox"), &["httpd", "-f"], Some(port));
    stack.dev(&["up"]).ends(5).says(&["✘ redis", &format!("port {port} is published by container {name}")]);
    drop(holder);
    stack.up();
}

#[test]
fn a_failed_job_stops_only_what_depends_on_it() {
    let job = "[services.migrate]\nkind = \"job\"\nimage = \"image:busybox\"\n\
               command = [\"sh\", \"-c\", \"echo no table; exit 4\"]\n";
    let after = |name: &str, on: &str| shell(name, "exec sleep 1000", &format!("depends_on = [\"{on}\"]"));
    let stack = Stack::new("job-fails", &format!("{job}{}{}{REDIS}", after("api", "migrate"), after("web", "api")));
    let up = stack.dev(&["up"]).ends(7);
    up.says(&["✘ migrate: exited with code 4", "│ no table", "left out because of that: api, web"]);
    assert_eq!(ask(&stack.address("redis", 6379), "PING"), "+PONG");
    assert_eq!((stack.state("api"), stack.state("web")), ("created".into(), "created".into()));

    stack.edit("exit 4", "exit 0");
    stack.up();
    assert_eq!((stack.state("api"), stack.state("web")), ("running".into(), "running".into()));
}

#[test]
fn running_out_of_memory_is_named() {
    let eat = "exec tail /dev/zero";
    // More than any engine needs to start a container: this is about what runs in it.
    let more = "resources = { memory = \"64m\" }\nready = { exec = \"false\" }";
    let stack = Stack::new("oom", &shell("api", eat, more));
    let up = stack.dev(&["--format", "json", "up"]).ends(7);
    let failure = up.json().pop().expect("a summary")["failures"][0].clone();
    assert_eq!((&failure["oom_killed"], &failure["exit_code"]), (&true.into(), &137.into()), "{failure}");
    assert!(failure["reason"].to_string().contains("memory"), "{failure}");
}

/// Some engines need more than this to start any container, with others it ends at its first allocation.
#[test]
fn a_memory_limit_too_small_to_start_is_named() {
    let more = "resources = { memory = \"6m\" }\nready = { exec = \"false\" }";
    let stack = Stack::new("tiny", &shell("api", "exec tail /dev/zero", more));
    let up = stack.dev(&["--format", "json", "up"]).ends(7);
    let failure = up.json().pop().expect("a summary")["failures"][0].clone();
    assert!(failure["reason"].to_string().contains("memory"), "{failure}");
    assert!(failure["next"].to_string().contains("raise `resources.memory`"), "{failure}");
}

#[test]
fn json_is_json_to_the_last_line_which_carries_the_failure() {
    let failing = shell("api", "echo \"{broken\"; exit 3", "ready = { exec = \"false\" }");
    let stack = Stack::new("json", &format!("{failing}{REDIS}"));
    let up = stack.dev(&["--format", "json", "up"]).ends(7);
    assert_eq!(up.stderr, "", "nothing beside the lines");
    let events = up.json();
    for event in &events {
        assert!(event["v"] == 1 && event["ts"].is_string() && event["event"].is_string(), "{event}");
    }
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "summary").count(), 1);
    assert!(names.contains(&"plan-started") && names.contains(&"step-failed"), "{names:?}");
    assert!(events.iter().any(|event| event["event"] == "service-ready" && event["service"] == "redis"));

    let last = events.last().expect("lines");
    assert_eq!((&last["event"], &last["ok"]), (&"summary".into(), &false.into()));
    let failure = &last["failures"][0];
    assert_eq!((&failure["service"], &failure["kind"]), (&"api".into(), &"crashed".into()));
    assert_eq!((&failure["exit_code"], &failure["log"][0]), (&3.into(), &"{broken".into()));
    assert!(failure["next"].as_str().is_some_and(|next| next.contains("taskava dev")), "{failure}");
    let address = format!(":{}", stack.port("redis", 6379));
    let endpoint = last["endpoints"][0]["url"].as_str().expect("the endpoint of redis");
    assert!(endpoint.contains(&address), "{endpoint}");
}

#[test]
fn two_root_causes_are_both_reported() {
    let crash = |name: &str, code: u8| shell(name, &format!("exit {code}"), "ready = { exec = \"false\" }");
    let stack = Stack::new("two", &format!("{}{}", crash("one", 3), crash("two", 5)));
    stack.dev(&["up"]).ends(7).says(&["✘ one: exited with code 3", "✘ two: exited with code 5"]);
}

#[test]
fn keep_going_starts_what_depends_on_a_failure() {
    let failing = shell("one", "exec sleep 1000", "ready = { exec = \"false\", timeout = \"1s\" }");
    let after = shell("two", "exec sleep 1000", "depends_on = [\"one\"]");
    let stack = Stack::new("going", &format!("{failing}{after}"));
    stack.dev(&["up"]).ends(6).says(&["left out because of that: two"]);
    assert_eq!(stack.state("two"), "created");
    stack.dev(&["up", "--keep-going"]).ends(6);
    assert_eq!(stack.state("two"), "running");
}

#[test]
fn wrong_usage_and_a_wrong_file_are_2_before_anything_happens() {
    let stack = Stack::new("usage", &REDIS.replace("6379", "0x"));
    stack.dev(&["up"]).ends(2).says(&["services.toml:", "^"]);
    stack.dev(&["up", "--nonsense"]).ends(2);
    stack.services(REDIS);
    stack.dev(&["up", "redi"]).ends(2).says(&["no service `redi`", "did you mean `redis`"]);
    stack.dev(&["--file", "nowhere.toml", "up"]).ends(2).says(&["nowhere.toml"]);
    assert_eq!(stack.find("redis"), None);
}

#[test]
fn no_engine_is_3() {
    let stack = Stack::new("no-engine", REDIS);
    let nowhere = format!("unix://{}/nowhere.sock", stack.path().display());
    stack.dev(&["--host", &nowhere, "up"]).ends(3).says(&["nowhere.sock"]);
}

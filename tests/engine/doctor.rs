//! `doctor` on a real engine: what it finds, what it makes of it, and that it changes nothing.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;

use crate::docker::{self, Foreign};
use crate::one_file_image::{FOREIGN, TinyImage};
use crate::stack::{Output, Stack, free_port, image};

/// One service with a port, its image at hand.
fn services(port: &str) -> String {
    format!("[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\nports = [\"{port}\"]\n")
}

/// What was found under a name.
#[track_caller]
fn check(output: &Output, name: &str) -> Value {
    let report = output.json().remove(0);
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().find(|check| check["check"] == name);
    found.cloned().unwrap_or_else(|| panic!("no check {name} in {report:#}"))
}

#[test]
fn a_machine_that_has_what_it_needs_is_said_to() {
    let stack = Stack::new("doctor", &services("6379"));
    let report = stack.dev(&["doctor", "--json"]).ends(0);
    assert!(report.took < Duration::from_secs(5), "{:?}", report.took);
    for name in ["engine", "memory", "clock", "services.toml", "ports", "images"] {
        assert_eq!(check(&report, name)["status"], "ok", "{name}");
    }
    // Both engines of the tests are older than 28.3.3.
    assert!(check(&report, "engine")["found"].to_string().contains("Docker "));
    let whole = report.json().remove(0);
    assert_eq!((&whole["v"], &whole["ok"]), (&1.into(), &true.into()));
    for found in whole["checks"].as_array().expect("checks") {
        assert_eq!(found["status"] == "ok", found["fix"].is_null(), "what is not well has a fix: {found}");
    }
    assert!(docker::left(&stack.label()).is_empty(), "nothing was made");
    let text = stack.dev(&["doctor"]).ends(0).stdout;
    assert!(text.contains("✔ engine") && text.contains(" 0 errors"), "{text}");
}

#[test]
fn a_port_that_is_taken_is_told_with_its_holder() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stack = Stack::new("doctor-port", &services(&format!("{port}:6379")));
    let taken = stack.dev(&["doctor", "--json"]).ends(1);
    let found = check(&taken, &format!("port {port}"));
    assert_eq!(found["status"], "fail");
    assert!(found["found"].to_string().contains(&format!("(pid {})", std::process::id())), "{found}");
    assert!(found["fix"].to_string().contains("services.local.toml"), "{found}");
    drop(listener);

    stack.up();
    assert_eq!(check(&stack.dev(&["doctor", "--json"]).ends(0), "ports")["status"], "ok", "it is this stack's own");
    stack.dev(&["down"]).ends(0);

    let name = format!("{}-holder", stack.project);
    let holder = Foreign::run(&name, image("image:busybox"), &["httpd", "-f"], Some(port));
    let found = check(&stack.dev(&["doctor", "--json"]).ends(1), &format!("port {port}"));
    assert!(found["found"].to_string().contains(&name), "{found}");
    assert!(found["fix"].to_string().contains(&format!("docker stop {name}")), "{found}");
    drop(holder);
}

#[test]
fn an_image_that_is_not_here_and_cannot_be_had_is_told() {
    let stack = Stack::new("doctor-image", "[services.app]\nimage = \"127.0.0.1:1/nobody/nothing:0\"\n");
    let report = stack.dev(&["doctor", "--json"]).ends(1);
    assert!(report.took < Duration::from_secs(8), "{:?}", report.took);
    let found = check(&report, "images");
    assert!(found["found"].to_string().contains("missing: 127.0.0.1:1/nobody/nothing:0"), "{found}");
    assert!(found["fix"].to_string().contains("scripts/images"), "{found}");
}

#[test]
fn an_image_for_another_machine_is_told() {
    let foreign = TinyImage::load("doctor-arch", FOREIGN, &[]);
    let stack = Stack::new("doctor-arch", &format!("[services.app]\nimage = \"{}\"\n", foreign.0));
    let found = check(&stack.dev(&["doctor", "--json"]).ends(0), "architecture");
    assert!(found["found"].to_string().contains(&format!("is for {FOREIGN}")), "{found}");
    assert_eq!(found["status"], "warn");
    drop(stack);
}

#[test]
fn a_container_that_has_a_name_of_the_stack_is_told() {
    let stack = Stack::new("doctor-name", &services("6379"));
    let name = format!("{}-redis", stack.project);
    let foreign = Foreign::run(&name, image("image:busybox"), &["sleep", "1000"], None);
    let found = check(&stack.dev(&["doctor", "--json"]).ends(1), "names");
    assert!(found["fix"].to_string().contains(&format!("docker rm {name}")), "{found}");
    drop(foreign);
}

#[test]
fn what_is_wrong_with_the_file_or_the_engine_is_told_together() {
    let port = free_port();
    let stack = Stack::new("doctor-both", &services(&format!("{port}:0x")));
    let nowhere = format!("unix://{}/nowhere.sock", stack.path().display());
    let mut command = stack.command(&["doctor", "--json"]);
    command.env("DOCKER_HOST", &nowhere);
    let report = crate::stack::Running::start(&mut command).finish().ends(1);
    let engine = check(&report, "engine");
    assert!(engine["found"].to_string().contains("nowhere.sock (from DOCKER_HOST): no such file"), "{engine}");
    assert!(engine["fix"].to_string().contains("unset it"), "{engine}");
    let file = check(&report, "services.toml");
    assert!(file["found"].to_string().contains("services.toml:5:10"), "{file}");
    assert!(file["fix"].to_string().contains("taskava dev check"), "{file}");
}

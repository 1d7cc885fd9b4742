//! Where a stack's values come from (several files, env files), and what is done inside when a service becomes ready.

use crate::docker;
use crate::stack::Stack;

const APP: &str =
    "[services.app]\nimage = \"image:busybox\"\nstop_signal = \"SIGKILL\"\ncommand = [\"sleep\", \"1000\"]\n";

#[test]
fn each_value_is_told_with_the_file_it_comes_from() {
    let env = "env_file = [\"app.env\", \"more.env\"]\nenv = { A = \"file\", B = \"file\" }\n";
    let stack = Stack::new("sources", &format!("{APP}{env}"));
    stack.file("app.env", "A=first\nC=first\nD=first\n");
    stack.file("more.env", "# comment\nD=second\n");
    stack.file("extra/over.toml", "[services.app]\nenv = { B = \"over\", E = \"over\" }\n");
    let files = ["-f", "services.toml", "-f", "extra/over.toml"];
    let dev = |arguments: &[&str]| stack.dev(&[&files, arguments].concat());
    dev(&["up"]).ends(0);
    let env = docker::inspect(&stack.container("app")).env;
    for pair in ["A=file", "B=over", "C=first", "D=second", "E=over"] {
        assert!(env.iter().any(|found| found == pair), "no {pair} in {env:?}");
    }
    let told = dev(&["explain", "app"]).ends(0).stdout;
    let of = |name: &str| {
        let line = told.lines().find(|line| line.contains(&format!(" {name} = ")));
        line.unwrap_or_else(|| panic!("no {name} in\n{told}")).to_owned()
    };
    for (name, place) in [
        ("A", "services.toml:7:"),
        ("B", "extra/over.toml:2:"),
        ("C", "app.env:2"),
        ("D", "more.env:2"),
        ("E", "extra/over.toml:2:"),
    ] {
        assert!(of(name).contains(place), "no {place} in {}", of(name));
    }
    assert!(of("B").contains("overrides services.toml:7:"), "{}", of("B"));

    // Without the second file it is another configuration; with it, the same.
    dev(&["plan", "--exit-code"]).ends(0);
    stack.dev(&["plan", "--exit-code"]).ends(10);
}

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

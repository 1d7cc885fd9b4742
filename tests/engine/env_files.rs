//! Where a stack's values come from: several files, env files.

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

//! `down`, `ps`, `logs`, `stop` and their like go by labels where services.toml can't be used, and with `-p NAME` from
//! anywhere.

use std::path::Path;
use std::process::Command;

use crate::docker;
use crate::stack::{Output, Running, Stack, heavy};

/// Two services of which one depends on the other, with a volume.
const SHOP: &str = r#"
[services.store]
kind = "redis"
image = "image:redis"
ports = ["6379"]
volumes = ["data:/data"]
stop_timeout = "9s"
[services.front]
image = "image:busybox"
command = ["sh", "-c", "echo open for business; trap 'exit 0' TERM; while :; do sleep 0.1; done"]
depends_on = ["store"]
"#;

/// `taskava dev …` in another folder than the stack's.
fn dev_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
    command.arg("dev").args(arguments).current_dir(folder);
    for name in ["CI", "GITHUB_ACTIONS", "NO_COLOR", "TASKAVA_FILE", "TASKAVA_PROJECT", "TASKAVA_PROFILES"] {
        command.env_remove(name);
    }
    Running::start(&mut command).finish()
}

/// Makes services.toml unusable in one of many ways.
fn spoil(stack: &Stack, how: &str) {
    let file = stack.path().join("services.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    let with = |line: &str| std::fs::write(&file, format!("{text}{line}\n")).expect("a file");
    match how {
        "variable" => with("env = { A = \"${NOT_SET_ANYWHERE:?say what A is}\" }"),
        "bind source" => with("volumes = [\"./gone.conf:/etc/x.conf\"]"),
        "env file" => with("env_file = \"gone.env\""),
        "syntax" => with("[services.front"),
        "project" => std::fs::write(&file, text.replace("project = ", "projekt = ")).expect("a file"),
        "UTF-16" => {
            let text = "\u{feff}A=1\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
            std::fs::write(stack.path().join(".env"), text).expect("a file");
        }
        "deleted" => std::fs::remove_file(file).expect("a file"),
        _ => unreachable!(),
    }
}

#[test]
fn whatever_is_wrong_with_the_file_the_stack_can_be_looked_at_and_taken_down() {
    let ways = [
        ("variable", "say what A is"),
        ("bind source", "./gone.conf"),
        ("env file", "gone.env"),
        ("syntax", "services.toml:"),
        ("project", "projekt"),
        ("UTF-16", "UTF-8"),
        ("deleted", "no services.toml"),
    ];
    let stack = Stack::new("spoilt", SHOP);
    let whole = std::fs::read_to_string(stack.path().join("services.toml")).expect("a file");
    for (how, said) in ways {
        stack.up();
        spoil(&stack, how);
        let ps = stack.dev(&["ps", "--json"]).ends(0).says(&["warning", said, "using what the engine has"]);
        let rows = ps.json().remove(0)["services"].as_array().expect("rows").clone();
        let rows: Vec<_> = rows.iter().map(|row| (row["service"].as_str().unwrap(), row["ready"].as_bool())).collect();
        assert_eq!(rows, [("front", Some(true)), ("store", Some(true))], "{how}");
        let logs = stack.dev(&["logs", "front"]).ends(0);
        assert!(logs.stdout.contains("open for business"), "{how}: {}", logs.stdout);
        let exec = stack.dev(&["exec", "-T", "front", "echo", "inside"]).ends(0);
        assert_eq!(exec.stdout.trim(), "inside");
        // Dependants first, as services.toml had it.
        let down = stack.dev(&["down"]).ends(0).says(&[said]);
        let at =
            |words: &str| down.stderr.find(words).unwrap_or_else(|| panic!("{how}: no {words} in {}", down.stderr));
        assert!(at("front  stopped") < at("store  stopped"), "{how}: {}", down.stderr);
        assert_eq!(docker::left(&stack.label()), [format!("volume {}", stack.volume("data"))], "{how}");
        stack.dev(&["down"]).ends(0).says(&["nothing to do"]);
        std::fs::write(stack.path().join("services.toml"), &whole).expect("a file");
        let _ = std::fs::remove_file(stack.path().join(".env"));
    }
}

#[test]
fn a_name_is_enough_from_anywhere() {
    let stack = Stack::new("anywhere", SHOP);
    stack.up();
    stack.dev(&["connect", "store", "--", "SET", "kept", "yes"]).ends(0);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let dev = |arguments: &[&str]| dev_in(elsewhere.path(), arguments);
    let name = stack.project.as_str();

    let bare = dev(&["ps"]).ends(2).says(&["no services.toml", "taskava dev init", "-p NAME", name]);
    assert!(!bare.stderr.contains("taskava dev import"), "{}", bare.stderr);
    std::fs::write(elsewhere.path().join("compose.yaml"), "services: {}").expect("a file");
    dev(&["up"]).ends(2).says(&["compose.yaml has no services"]);
    std::fs::remove_file(elsewhere.path().join("compose.yaml")).expect("a file");

    let ps = dev(&["-p", name, "ps"]).ends(0);
    assert!(ps.stdout.contains("store") && ps.stdout.contains("redis") && ps.stderr.is_empty(), "{ps:?}");
    assert_eq!(dev(&["-p", name, "connect", "store", "--", "GET", "kept"]).ends(0).stdout.trim(), "yes");
    assert!(dev(&["-p", name, "logs"]).ends(0).stdout.contains("open for business"));
    assert!(dev(&["-p", name, "stats", "--no-stream"]).ends(0).stdout.contains("store"));
    dev(&["-p", name, "events", "--since", "1m", "--until", "0s"]).ends(0);
    dev(&["-p", name, "ps", "nosuch"]).ends(2).says(&["no service `nosuch`"]);
    dev(&["-p", name, "stop", "front"]).ends(0);
    assert_eq!((stack.state("front"), stack.state("store")), ("exited".into(), "running".into()));
    dev(&["-p", name, "stop"]).ends(0);
    assert_eq!(stack.state("store"), "exited");

    let plan = dev(&["-p", name, "plan", "down", "-v"]).ends(0);
    assert!(plan.stdout.contains("save volume"), "{}", plan.stdout);
    let down = dev(&["-p", name, "down", "-v"]).ends(0).says(&["saved"]);
    assert!(docker::left(&stack.label()).is_empty(), "{}", down.stderr);
    let snapshot = down.stderr.split("snapshot restore ").nth(1).and_then(|rest| rest.split_whitespace().next());
    stack.dev(&["snapshot", "restore", snapshot.expect("its name")]).ends(0);
    stack.up();
    assert_eq!(
        stack.dev(&["connect", "store", "--", "GET", "kept"]).ends(0).stdout.trim(),
        "yes",
        "the snapshot has it"
    );

    dev(&["-p", "t-no-such-stack", "down"]).ends(0).says(&["no stack t-no-such-stack", name, "nothing to do"]);
    dev(&["-p", "Not A Name", "down"]).ends(2).says(&["can't name a project"]);
    dev(&["-f", "gone.toml", "-p", name, "ps"]).ends(2).says(&["gone.toml doesn't exist"]);
}

#[test]
fn what_is_not_the_stacks_own_stays() {
    let external = docker::ForeignVolume::create(&format!("t-{}-external", std::process::id()));
    let services = format!(
        "{}\n[volumes.shared]\nname = \"{}\"\nexternal = true\n",
        SHOP.replace("\"data:/data\"", "\"data:/data\", \"shared:/shared\", \"/nameless\""),
        external.0
    );
    let (stack, other) = (Stack::new("own", &services), Stack::new("own-too", SHOP));
    stack.up();
    other.up();
    spoil(&stack, "syntax");
    stack.dev(&["down", "-v", "--no-snapshot"]).ends(0);
    assert!(docker::left(&stack.label()).is_empty());
    assert!(docker::volumes().contains(&external.0), "an external volume stays");
    assert_eq!((other.state("store"), docker::volumes().contains(&other.volume("data"))), ("running".into(), true));
}

#[test]
fn another_checkout_is_refused_with_a_broken_file_too() {
    let stack = Stack::new("checkout", SHOP);
    stack.up();
    let copy = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(stack.path().join("services.toml")).expect("a file");
    std::fs::write(copy.path().join("services.toml"), format!("{text}[services.broken\n")).expect("a file");
    let refused = dev_in(copy.path(), &["down", "-v"]).ends(1).says(&["runs from another checkout"]);
    assert_eq!(stack.state("store"), "running", "{}", refused.stderr);
    // What is printed works when it is typed.
    let hint = refused.stderr.lines().find_map(|line| line.split_once("cd ")).expect("a command with its folder").1;
    let line = format!("cd {hint}").replace("taskava dev", &format!("{} dev", env!("CARGO_BIN_EXE_taskava")));
    let status = Command::new("sh").args(["-c", &line]).current_dir(copy.path()).status().expect("a shell");
    assert!(status.success(), "{line}");
    assert_eq!(stack.state("store"), "none");
}

#[test]
fn how_long_a_service_has_to_stop_is_on_its_container() {
    let slow = r#"
[services.slow]
image = "image:busybox"
stop_timeout = "1s"
command = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
"#;
    let stack = Stack::new("grace", slow);
    stack.up();
    spoil(&stack, "deleted");
    let stopped = stack.dev(&["stop"]).ends(0);
    assert!(stopped.took.as_secs_f64() < 8.0, "not the 10 s of unknown services: {:?}", stopped.took);
}

#[test]
fn what_needs_only_the_engine_goes_on_without_the_file() {
    let stack = Stack::new("as-it-is", SHOP);
    stack.up();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let dev = |arguments: &[&str]| dev_in(elsewhere.path(), &[&["-p", &stack.project], arguments].concat());
    let told = |arguments: &[&str]| stack.dev(arguments).ends(0).stdout;
    let (url, env) = (told(&["url", "store"]), told(&["env", "store"]));
    let ids = stack.containers(["store", "front"]);
    spoil(&stack, "bind source");

    assert_eq!(stack.dev(&["url", "store"]).ends(0).says(&["./gone.conf"]).stdout, url);
    assert_eq!(dev(&["url", "store"]).ends(0).stdout, url);
    assert_eq!(dev(&["env", "store"]).ends(0).says(&["only services.toml has them"]).stdout, env);
    dev(&["open", "store"]).ends(1).says(&["store has no web page"]);

    let began = docker::inspect(&ids[0]).started_at;
    stack.dev(&["restart"]).ends(0).says(&["./gone.conf", "services start as they are", "taskava dev up"]);
    assert_ne!(docker::inspect(&ids[0]).started_at, began);
    dev(&["stop"]).ends(0);
    dev(&["exec", "-T", "front", "true"]).ends(1).says(&["front does not run", "start front"]);
    let start = dev(&["start"]).ends(0);
    let at = |words: &str| start.stderr.find(words).unwrap_or_else(|| panic!("no {words} in {}", start.stderr));
    assert!(at("store  ready") < at("front  started"), "what it depends on first: {}", start.stderr);
    assert_eq!(stack.containers(["store", "front"]), ids, "nothing is recreated");

    dev(&["snapshot", "save", "base"]).ends(0);
    assert_eq!((stack.state("store"), stack.containers(["store", "front"])), ("running".into(), ids));
    assert!(dev(&["snapshot", "list"]).ends(0).stdout.contains("base"));
    stack.dev(&["snapshot", "restore", "base"]).ends(2).says(&["./gone.conf"]);
    dev(&["snapshot", "remove", "base"]).ends(0);

    for command in ["start", "restart"] {
        dev_in(elsewhere.path(), &["-p", "t-no-such-stack", command]).ends(1).says(&["has no container"]);
    }
    dev_in(elsewhere.path(), &["-p", "t-no-such-stack", "env"])
        .ends(1)
        .says(&["no service of t-no-such-stack is running"]);
}

#[test]
fn an_emulator_is_not_made_to_forget_what_only_the_file_declares() {
    let _turn = heavy();
    let emulator = r#"
[services.localstack]
kind = "localstack"
image = "image:localstack"
ready = { timeout = "4m" }
ports = ["4566"]
env = { SERVICES = "s3" }
volumes = ["data:/var/lib/localstack"]
"#;
    let stack = Stack::new("forgets", &format!("{emulator}[aws.buckets]\nkept = {{ versioning = true }}\n"));
    stack.up();
    let began = docker::inspect(&stack.container("localstack")).started_at;
    spoil(&stack, "variable");
    for command in [&["restart"][..], &["snapshot", "save", "base"]] {
        stack.dev(command).ends(1).says(&["localstack loses", "[aws]", "services.toml"]);
    }
    assert_eq!(docker::inspect(&stack.container("localstack")).started_at, began);
    let start = stack.dev(&["start"]).ends(0);
    assert!(!start.stderr.contains("not declared"), "what is declared is not known: {}", start.stderr);
    // Once it is stopped there is nothing to lose.
    stack.dev(&["stop"]).ends(0);
    stack.dev(&["start"]).ends(0).says(&["services start as they are"]);
}

//! What is printed as the next thing to type works when it is typed, where it was printed.

use std::path::Path;
use std::process::Command;

use crate::docker;
use crate::stack::{Output, Running, Stack, free_port};

/// The commands that an output names, as a shell takes them: from `taskava dev` or `cd … &&` to the end of the remedy.
fn commands(output: &Output) -> Vec<String> {
    let text = format!("{}\n{}", output.stderr, output.stdout);
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.contains("taskava dev ")) {
        for part in line.split("; ") {
            let Some(at) = part.find("cd ").or_else(|| part.find("taskava dev ")) else { continue };
            let end = part[at..].find([')', '`']).map_or(part.len(), |end| at + end);
            found.push(part[at..end].trim().to_owned());
        }
    }
    found
}

/// Types a command in a folder.
fn typed(folder: &Path, line: &str) -> Output {
    let program = format!("{} dev", env!("CARGO_BIN_EXE_taskava"));
    let mut command = Command::new("sh");
    command.args(["-c", &line.replace("taskava dev", &program)]).current_dir(folder);
    for name in ["CI", "GITHUB_ACTIONS", "NO_COLOR", "TASKAVA_FILE", "TASKAVA_PROJECT", "TASKAVA_PROFILES"] {
        command.env_remove(name);
    }
    Running::start(&mut command).finish()
}

/// The one command among those printed that has these words; it ends well when it is typed.
#[track_caller]
fn works(output: &Output, words: &str, folder: &Path) {
    let all = commands(output);
    let line = all.iter().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no {words:?} in {all:?}\n{}", output.stderr));
    typed(folder, line).ends(0);
}

fn sleeper(name: &str, port: u16) -> String {
    format!(
        "[services.{name}]\nimage = \"image:busybox\"\nports = [\"{port}:80\"]\n\
         command = [\"sh\", \"-c\", \"mkdir -p /www; exec httpd -f -p 80 -h /www\"]\ninit = true\n"
    )
}

#[test]
fn a_port_of_another_project_is_freed_by_what_is_printed() {
    let port = free_port();
    let (other, mine) = (Stack::new("holder", &sleeper("web", port)), Stack::new("wants", &sleeper("api", port)));
    other.up();
    let refused = mine.dev(&["up"]).ends(5);
    refused.says_of(&other);
    works(&refused, &format!("cd {} && taskava dev down", other.root), mine.path());
    assert_eq!(other.state("web"), "none");
    mine.up();

    // Without its folder it is named.
    mine.dev(&["down"]).ends(0);
    other.up();
    std::fs::remove_file(other.path().join("services.toml")).expect("a file");
    let refused = mine.dev(&["up"]).ends(5);
    works(&refused, &format!("-p {} down", other.project), mine.path());
    assert_eq!(other.state("web"), "none");
    other.services(&sleeper("web", port));
}

impl Output {
    /// That this stack is named.
    #[track_caller]
    fn says_of(&self, stack: &Stack) {
        assert!(self.stderr.contains(&stack.project), "{}", self.stderr);
    }
}

#[test]
fn a_renamed_service_keeps_its_port() {
    let port = free_port();
    let stack = Stack::new("renamed", &sleeper("one", port));
    stack.up();
    stack.services(&sleeper("two", port));
    let refused = stack.dev(&["up"]).ends(5);
    assert!(!refused.stderr.contains("taskava dev -p"), "it is this very stack: {}", refused.stderr);
    works(&refused, "up --remove-orphans", stack.path());
    assert_eq!((stack.state("one"), stack.state("two")), ("none".into(), "running".into()));
    // Two that change their ports are one `up`.
    let other = free_port();
    stack.services(&(sleeper("two", other) + &sleeper("three", port)));
    let refused = stack.dev(&["up", "three"]).ends(5);
    works(&refused, "taskava dev up", stack.path());
    assert_eq!(stack.state("three"), "running");
}

#[test]
fn a_stack_that_was_never_started_is_started_by_what_is_printed() {
    let stack = Stack::new("never", &(sleeper("a", free_port()) + &sleeper("b", free_port())));
    let refused = stack.dev(&["start"]).ends(1).says(&["a, b have no containers to start"]);
    assert_eq!(commands(&refused), ["taskava dev up"]);
    let one = stack.dev(&["start", "a"]).ends(1);
    assert_eq!(commands(&one), ["taskava dev up a"]);
    let exec = stack.dev(&["exec", "-T", "a", "true"]).ends(1);
    assert_eq!(exec.stderr.matches("in a new container").count(), 1, "{}", exec.stderr);
    let url = stack.dev(&["url", "a"]);
    assert!(!url.stderr.contains("in a new container"), "{}", url.stderr);
    works(&exec, "up a", stack.path());
    works(&refused, "up", stack.path());
    stack.dev(&["exec", "-T", "b", "true"]).ends(0);
    // Nothing to take down is no success of services.toml.
    stack.dev(&["down"]).ends(0);
    assert!(stack.dev(&["plan", "down"]).ends(0).stdout.contains("has nothing on this engine"));
}

#[test]
fn options_that_led_to_the_stack_are_in_what_is_printed() {
    let stack = Stack::new("options", &sleeper("a", free_port()));
    let elsewhere = tempfile::tempdir().expect("a folder");
    let line = format!("taskava dev -f {}/services.toml exec -T a true", stack.root);
    let refused = typed(elsewhere.path(), &line).ends(1);
    works(&refused, "up a", elsewhere.path());
    assert_eq!(stack.state("a"), "running");
    let orphaned = stack.project.clone();
    stack.services(&sleeper("b", free_port()));
    let warned = typed(elsewhere.path(), &format!("taskava dev -f {} up", stack.root)).ends(0);
    works(&warned, "--remove-orphans", elsewhere.path());
    assert_eq!((stack.state("a"), stack.project == orphaned), ("none".into(), true));
}

#[test]
fn a_path_that_only_an_inactive_service_needs_is_no_reason_to_refuse() {
    let services = sleeper("a", free_port())
        + "[services.app]\nbuild = \"gone\"\nprofiles = [\"app\"]\nvolumes = [\"./nowhere:/x\"]\nenv_file = \"no.env\"\n\
           watch = [{ path = \"src\", action = \"sync\", target = \"/app\" }]\n\
           [services.needs]\nimage = \"image:busybox\"\nprofiles = [\"app\"]\ndepends_on = [\"app\"]\n";
    let stack = Stack::new("inactive", &services);
    stack.dev(&["check"]).ends(0).says(&[
        "warning: the build context `gone` doesn't exist",
        "./nowhere",
        "no.env",
        "src",
    ]);
    let up = stack.up();
    assert!(!up.stderr.contains("gone"), "{}", up.stderr);
    stack.dev(&["ps"]).ends(0);
    for asked in
        [&["up", "app"][..], &["up", "needs"], &["--profile", "app", "up"], &["build", "app"], &["run", "app", "true"]]
    {
        stack.dev(asked).ends(2).says(&["error: the build context `gone` doesn't exist"]);
    }
    stack.dev(&["--profile", "app", "check"]).ends(2);
    // What is looked at or taken down is not asked for.
    stack.dev(&["--profile", "app", "down"]).ends(0);
    assert!(docker::left(&stack.label()).is_empty());
}

#[test]
fn few_open_files_are_enough_or_are_named() {
    let few = |n: usize| {
        (0..n).map(|n| format!("[services.s{n}]\nimage = \"image:busybox\"\ninit = true\ncommand = [\"sh\", \"-c\", \"echo line of {n}; exec sleep 1000\"]\n"))
    };
    let stack = Stack::new("files", &few(14).collect::<String>());
    stack.up();
    let program = env!("CARGO_BIN_EXE_taskava");
    let limited = |limit: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit {limit}; exec {program} dev logs -f")]).current_dir(stack.path());
        Running::start(&mut command)
    };
    let soft = limited("-Sn 24");
    crate::stack::wait_until("all lines", || (soft.printed().matches("line of").count() == 14).then_some(()));
    assert!(!soft.said().contains("lost the engine"), "{}", soft.said());
    drop(soft);
    // Where no more are allowed, that is the reason.
    let hard = limited("-n 16").finish();
    assert!(
        hard.code == 1 && hard.stderr.contains("Too many open files") && hard.stderr.contains("ulimit"),
        "{hard:?}"
    );
    assert!(!hard.stderr.contains("lost the engine"), "{}", hard.stderr);
}

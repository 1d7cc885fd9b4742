//! The real binary without an engine: help, usage errors, JSON errors, pipes, completions, colours.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary in a clean environment and a folder.
fn taskava(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
    command.args(args).current_dir(folder).env_clear().env("HOME", folder);
    command
}

fn run(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    taskava(folder.path(), args).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// A folder with a services.toml that has two errors.
fn broken() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = "project = \"x\"\n[services.db]\nimge = \"a\"\n[services.web]\nports = 1\n";
    std::fs::write(folder.path().join("services.toml"), file).expect("a file in it");
    folder
}

#[test]
fn help_goes_to_stdout_and_lists_commands_in_the_order_of_use() {
    let output = run(&["dev", "--help"]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    let at = |word: &str| help.find(word).unwrap_or_else(|| panic!("{word} is not in\n{help}"));
    assert!(
        at("\n  up ") < at("\n  ps ") && at("\n  ps ") < at("\n  down ") && at("\n  down ") < at("\n  completions ")
    );
    assert!(at("Exit codes:") < at("Environment:"));
    assert!(!help.contains('\x1b'), "no colours in a pipe");
    assert!(!help.contains("  man "), "packagers' command is hidden");
}

#[test]
fn dev_alone_prints_the_help() {
    let output = run(&["dev"]);
    assert!(text(&output.stderr).contains("Every day:"), "{output:?}");
}

#[test]
fn the_version_needs_nothing() {
    for args in [&["--version"][..], &["dev", "--version"], &["dev", "-V"]] {
        let output = run(args);
        assert!(output.status.success());
        assert!(text(&output.stdout).ends_with(concat!(env!("CARGO_PKG_VERSION"), "\n")), "{output:?}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2_with_a_suggestion() {
    let output = run(&["dev", "pss"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("'ps'"), "{output:?}");
    assert_eq!(run(&["dev", "ps", "--host", "a", "--context", "b"]).status.code(), Some(2));
}

#[test]
fn a_wrong_command_line_is_json_when_json_is_asked_for() {
    for args in [&["dev", "--format", "json", "pss"][..], &["dev", "ps", "--format=json", "--nonsense"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2));
        let event: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!((&event["v"], &event["event"], &event["kind"]), (&1.into(), &"error".into(), &"usage".into()));
        assert!(event["message"].as_str().is_some_and(|message| !message.contains('\n')), "{event}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_broken_file_is_shown_with_its_places() {
    let folder = broken();
    let output = taskava(folder.path(), &["dev", "plan"]).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let shown = text(&output.stderr);
    assert!(shown.contains("services.toml:3:1") && shown.contains("services.toml:5:9"), "{shown}");
    assert!(shown.contains("^^^^") && shown.contains("hint:"), "{shown}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_broken_file_is_one_json_event() {
    let folder = broken();
    let output = taskava(folder.path(), &["dev", "plan", "--format", "json"]).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let event: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&event["event"], &event["kind"]), (&"error".into(), &"usage".into()));
    let found = event["diagnostics"].as_array().expect("a list");
    assert!(
        found.iter().any(|found| found["line"] == 3 && found["column"] == 1 && found["severity"] == "error"),
        "{event}"
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn no_engine_is_exit_code_3() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("services.toml"), "project = \"x\"\n[services.db]\nimage = \"a\"\n")
        .expect("a file");
    let host = format!("unix://{}", folder.path().join("nobody.sock").display());
    let output = taskava(folder.path(), &["dev", "ps", "--host", &host]).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).starts_with("error: "), "{output:?}");
}

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = taskava(folder.path(), &["dev", "completions", "zsh"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        for more in [&[][..], &["--dynamic"]] {
            let args = [&["dev", "completions", shell], more].concat();
            let output = run(&args);
            assert!(output.status.success(), "{output:?}");
            assert!(text(&output.stdout).contains("taskava"), "{shell} {more:?}");
        }
    }
}

#[test]
fn names_of_services_are_completed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = "project = \"x\"\n[services.redis-a]\nimage = \"a\"\n[services.redis-b]\nimage = \"a\"\n[services.db]\nimage = \"a\"\n";
    std::fs::write(folder.path().join("services.toml"), file).expect("a file");
    let mut command = taskava(folder.path(), &["--", "taskava", "dev", "up", "red"]);
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "3").env("_CLAP_IFS", "\n");
    let output = command.output().expect("the binary runs");
    assert_eq!(text(&output.stdout), "redis-a\nredis-b", "{output:?}");
}

#[test]
fn colours_are_off_in_pipes_and_on_when_forced() {
    let folder = broken();
    let colored = |args: &[&str], set: &[(&str, &str)]| {
        let mut command = taskava(folder.path(), args);
        command.envs(set.iter().copied());
        text(&command.output().expect("the binary runs").stderr).contains('\x1b')
    };
    let plan = &["dev", "plan"];
    assert!(!colored(plan, &[]));
    assert!(colored(plan, &[("FORCE_COLOR", "1")]));
    assert!(!colored(plan, &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
    assert!(colored(plan, &[("FORCE_COLOR", "1"), ("NO_COLOR", "")]), "an empty NO_COLOR is none");
    assert!(colored(&["dev", "plan", "--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!colored(&["dev", "plan", "--color", "never"], &[("FORCE_COLOR", "1")]));
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let folder = broken();
    let mut command = taskava(folder.path(), &["dev", "plan"]);
    let output = command.env("TASKAVA_FILE", "").env("TASKAVA_PROJECT", "").env("TASKAVA_PROFILES", "").output();
    assert!(text(&output.expect("the binary runs").stderr).contains("services.toml:3:1"));
}

#[test]
fn man_pages_are_written_for_every_command() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let status = taskava(folder.path(), &["dev", "man", "pages"]).status().expect("the binary runs");
    assert!(status.success());
    let page = std::fs::read_to_string(folder.path().join("pages/taskava-dev-up.1")).expect("a page for up");
    assert!(page.contains(".TH taskava-dev-up 1"), "{page}");
}

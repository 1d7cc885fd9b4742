//! The real binary without an engine: help, usage errors, JSON errors, pipes, completions, colours.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary in a clean environment and a folder.
fn taskava(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
    command.args(args).current_dir(folder).env_clear().env("HOME", folder).env("XDG_RUNTIME_DIR", folder);
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
    std::fs::write(
        folder.path().join("other.toml"),
        "project = \"y\"\n[services.other]\nimage = \"a\"\nprofiles = [\"debug\", \"all\"]\n",
    )
    .expect("a file");
    let completed = |words: &[&str]| {
        let arguments = [&["--", "taskava", "dev"], words].concat();
        let index = (words.len() + 1).to_string();
        let mut command = taskava(folder.path(), &arguments);
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        let output = command.output().expect("the binary runs");
        text(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed(&["up", "red"]), ["redis-a", "redis-b"]);
    // Options are not offered until one is begun.
    assert_eq!(completed(&["up", ""]), ["redis-a", "redis-b", "db"]);
    assert!(completed(&["up", "--no"]).contains(&"--no-deps".to_owned()));
    assert_eq!(completed(&["-f", "other.toml", "up", ""]), ["other"]);
    assert_eq!(completed(&["--file=other.toml", "--profile", ""]), ["all", "debug"]);
    assert_eq!(completed(&["env", "--format", ""]), ["dotenv", "shell", "json", "docker", "github"]);
    assert_eq!(completed(&["env", "--format", "s"]), ["shell"]);
    assert_eq!(completed(&["ps", "--format", ""]), ["auto", "tty", "plain", "json"]);
    // Without an engine there are no names, and no noise.
    assert_eq!(completed(&["--host", "unix:///nowhere", "snapshot", "restore", "x"]), [""; 0]);
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

/// A folder with files of these names and texts.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    folder
}

/// The images of a stack that the resolved configuration has.
#[track_caller]
fn images(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    let config: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let services = config["services"].as_object().expect("services");
    services.values().map(|service| service["image"].as_str().expect("an image").to_owned()).collect()
}

#[test]
fn several_files_override_each_other_in_their_order() {
    let folder = folder(&[
        ("a.toml", "project = \"x\"\n[services.one]\nimage = \"one:1\"\n[services.two]\nimage = \"two:1\"\n"),
        ("more/b.toml", "[services.two]\nimage = \"two:2\"\n[services.three]\nimage = \"three:2\"\n"),
        ("c.toml", "[services.three]\nimage = \"three:3\"\n"),
        ("services.local.toml", "[services.one]\nimage = \"local:1\"\n"),
    ]);
    let config = |before: &[&str], after: &[&str], file: &str| {
        let args = [&["dev"], before, &["config", "--format", "json"], after].concat();
        taskava(folder.path(), &args).env("TASKAVA_FILE", file).output().expect("the binary runs")
    };
    let all = ["-f", "a.toml", "-f", "more/b.toml", "-f", "c.toml"];
    let merged = ["one:1", "three:3", "two:2"];
    assert_eq!(images(&config(&all, &[], "")), merged, "services.local.toml belongs to services.toml only");
    assert_eq!(images(&config(&[], &all, "")), merged);
    assert_eq!(images(&config(&[], &[], "a.toml:more/b.toml:c.toml")), merged);
    assert_eq!(images(&config(&["-f", "a.toml"], &[], "c.toml")), ["one:1", "two:1"], "the flag wins");

    let missing = config(&["-f", "a.toml", "-f", "d.toml"], &[], "");
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stdout).contains("d.toml doesn't exist"), "{missing:?}");
}

#[test]
fn services_local_toml_comes_before_what_is_named_by_hand() {
    let folder = folder(&[
        ("services.toml", "project = \"x\"\n[services.one]\nimage = \"one:1\"\n[services.two]\nimage = \"two:1\"\n"),
        ("services.local.toml", "[services.one]\nimage = \"one:local\"\n[services.two]\nimage = \"two:local\"\n"),
        ("ci.toml", "[services.two]\nimage = \"two:ci\"\n"),
    ]);
    let config = |files: &[&str]| {
        let args = [&["dev"], files, &["config", "--format", "json"]].concat();
        images(&taskava(folder.path(), &args).output().expect("the binary runs"))
    };
    assert_eq!(config(&[]), ["one:local", "two:local"]);
    assert_eq!(config(&["-f", "services.toml", "-f", "ci.toml"]), ["one:local", "two:ci"]);
    assert_eq!(config(&["-f", ".", "-f", "ci.toml", "-f", "services.local.toml"]), ["one:local", "two:local"]);
}

#[test]
fn what_is_wrong_in_one_of_several_files_is_shown_there() {
    let folder = folder(&[
        ("a.toml", "project = \"x\"\n[services.one]\nimage = \"one:1\"\nports = [\"8080:80\"]\n"),
        (
            "b.toml",
            "\n[services.one]\nimge = \"two\"\n[services.two]\nimage = \"two\"\nports = [\"8080:80\"]\nenv_file = \"none.env\"\n",
        ),
    ]);
    let args = ["dev", "-f", "a.toml", "-f", "b.toml", "check"];
    let output = taskava(folder.path(), &args).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stderr);
    for place in ["b.toml:3:1", "b.toml:6:10", "published by `one` at a.toml:4:10", "b.toml:7:12"] {
        assert!(shown.contains(place), "no {place} in\n{shown}");
    }
}

#[test]
fn an_image_that_needs_an_account_is_refused_before_anything_is_pulled() {
    let file = "[services.aws]\nkind = \"localstack\"\nimage = \"localstack/localstack:latest\"\n";
    let with_token = format!("{file}env = {{ LOCALSTACK_AUTH_TOKEN = \"${{LOCALSTACK_AUTH_TOKEN}}\" }}\n");
    let folder = folder(&[("services.toml", file), ("token.toml", &with_token)]);
    // Nothing listens there: a command that needs an engine would end with 3.
    for args in [&["check"][..], &["plan"], &["up"], &["pull"]] {
        let all = [&["dev"], args].concat();
        let mut command = taskava(folder.path(), &all);
        let output = command.env("DOCKER_HOST", "unix:///no/such/socket").output().expect("it runs");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for words in ["needs a LocalStack account", "code 55", "4.14.0", "LOCALSTACK_AUTH_TOKEN"] {
            assert!(said.contains(words), "no {words:?} in\n{said}");
        }
    }
    for (token, code) in [("", 2), ("ls-example", 0)] {
        let mut command = taskava(folder.path(), &["dev", "--file", "token.toml", "check"]);
        let output = command.env("LOCALSTACK_AUTH_TOKEN", token).output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{token:?}: {}", text(&output.stderr));
    }
}

/// A checkout with Windows line ends is the same stack, in scripts of several lines, too.
#[test]
fn windows_line_ends_do_not_reach_the_scripts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = "project = \"x\"\n[services.a]\nimage = \"b\"\ncommand = [\"sh\", \"-c\", \"\"\"\nset -e\necho one\n\"\"\"]\n\
                env = { TEXT = '''one\ntwo''' }\n";
    let config = |content: &str| {
        std::fs::write(folder.path().join("services.toml"), content).expect("a file");
        let output = taskava(folder.path(), &["dev", "config", "--format", "json"]).output().expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    };
    let unix = config(file);
    assert!(unix.contains(r"set -e\necho one\n"), "{unix}");
    assert_eq!(config(&file.replace('\n', "\r\n")), unix);
}

#[test]
fn a_folder_without_a_file_is_told_what_makes_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = ["--host", "unix:///nowhere.sock"];
    let said = |args: &[&str]| {
        text(&taskava(folder.path(), &[&["dev"], &nowhere[..], args].concat()).output().expect("runs").stderr)
    };
    for command in ["up", "down", "ps", "check"] {
        let said = said(&[command]);
        assert!(said.contains("no services.toml") && said.contains("taskava dev init"), "{said}");
    }
    std::fs::write(folder.path().join("docker-compose.yml"), "services: {}").expect("a file");
    let said = said(&["check"]);
    assert!(said.contains("docker-compose.yml has no services") && said.contains("dev init --fresh"), "{said}");
}

#[test]
fn a_syntax_error_is_the_only_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("services.toml"), "project = \"x\n").expect("a file");
    let output = taskava(folder.path(), &["dev", "--profile", "app", "check"]).output().expect("runs");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("1 error in") && !said.contains("no service has the profile"), "{said}");
}

#[cfg(unix)]
#[test]
fn too_few_open_files_are_named_wherever_they_are_missed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = "project = \"x\"\n[services.a]\nimage = \"a:1\"\n";
    std::fs::write(folder.path().join("services.toml"), file).expect("a file in it");
    let missed = (4..24).filter(|limit| {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_taskava");
        command.args(["-c", &format!("ulimit -n {limit}; exec {program} dev ps")]).current_dir(folder.path());
        command.env_clear().env("HOME", folder.path()).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        let said = text(&command.output().expect("a shell runs").stderr);
        let is_missed = said.contains("Too many open files") && said.starts_with("error: ");
        assert!(!is_missed || said.contains("ulimit -n 1024"), "{limit}: {said}");
        is_missed
    });
    assert!(missed.count() > 0, "some limit is too low for the program and not for the shell");
}

#[test]
fn variables_of_docker_compose_that_nothing_reads_are_pointed_out_once() {
    let folder = folder(&[
        (
            "services.toml",
            "project = \"${COMPOSE_PROJECT_NAME:-x}\"\n[services.a]\nimage = \"a:1\"\nprofiles = [\"p\"]\n",
        ),
        ("compose.yaml", "services: { a: { image: 'a:1' } }\n"),
    ]);
    let said = |args: &[&str]| {
        let mut command = taskava(folder.path(), &[&["dev", "check"], args].concat());
        let set = [("COMPOSE_FILE", "compose.yaml"), ("COMPOSE_PROJECT_NAME", "y"), ("COMPOSE_PROFILES", "p")];
        let output = command.envs(set).output().expect("the binary runs");
        assert!(output.status.success(), "{output:?}");
        text(&output.stderr)
    };
    // The name of the project is taken by the file.
    let line = "COMPOSE_FILE, COMPOSE_PROFILES are not read beside a services.toml: use -f FILE (or TASKAVA_FILE), \
                --profile NAME (or TASKAVA_PROFILES)\n";
    assert_eq!(said(&[]), line);
    assert_eq!(said(&["--profile", "p", "-f", "services.toml"]), "");
    assert_eq!(said(&["--quiet"]), "");
    assert_eq!(said(&["--format", "json"]), "");
    assert_eq!(said(&["-f", "compose.yaml"]), "", "with Compose files they count");
}

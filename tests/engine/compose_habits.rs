//! Flags and commands that people know from docker compose do the same here.

use crate::docker;
use crate::stack::{Running, Stack, wait_until};

const TWO: &str = r#"
[services.idle]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
volumes = ["kept:/kept", "/nameless"]
[services.slow]
image = "image:busybox"
command = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
stop_timeout = "2m"
[services.extra]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
profiles = ["extra"]
"#;

#[test]
fn a_stack_is_created_looked_at_and_removed() {
    let stack = Stack::new("habits", TWO);
    stack.dev(&["rm", "-f"]).ends(0).says(&["nothing to do"]);
    let planned = stack.dev(&["up", "--dry-run"]).ends(0).stdout;
    assert!(planned.contains("create idle") && stack.state("idle") == "none", "{planned}");
    stack.dev(&["create", "--quiet-pull"]).ends(0);
    assert_eq!((stack.state("idle"), stack.state("slow")), ("created".into(), "created".into()));

    stack.dev(&["--ansi", "never", "--progress", "plain", "--parallel", "2", "up", "-d", "--wait"]).ends(0);
    let name = |service: &str| format!("{}-{service}", stack.project);
    let rows = stack.dev(&["ps", "--format", "{{.Service}} {{.Name}} {{.State}}"]).ends(0).stdout;
    assert_eq!(rows, format!("idle {} running\nslow {} running\n", name("idle"), name("slow")));
    stack.dev(&["ps", "--format", "{{.Nonsense}}"]).ends(2).says(&["no field .Nonsense; there are:", "Service"]);
    assert_eq!(stack.dev(&["ps", "--status", "exited", "-q"]).ends(0).stdout, "");
    assert_eq!(stack.dev(&["ps", "--filter", "status=running", "--services"]).ends(0).stdout, "idle\nslow\n");
    assert!(stack.dev(&["ls", "--filter", &format!("name={}", stack.project), "-q"]).ends(0).stdout.contains("habits"));
    assert!(stack.dev(&["images", "--format", "json"]).ends(0).stdout.contains("busybox"));

    // Containers stay, whatever changed.
    let before = stack.containers(["idle"]);
    stack.edit("\"1000\"]\nstop_signal = \"SIGKILL\"\nvolumes", "\"999\"]\nstop_signal = \"SIGKILL\"\nvolumes");
    stack.dev(&["up", "--no-recreate"]).ends(0);
    assert_eq!(stack.containers(["idle"]), before);

    // Only what does not run, unless it is said; named volumes stay.
    stack.dev(&["rm", "-f", "slow"]).ends(0).says(&["nothing to do"]);
    let stopped = stack.dev(&["stop", "-t", "0", "slow"]).ends(0);
    assert!(stopped.took.as_secs() < 60, "not its own two minutes: {:?}", stopped.took);
    stack.dev(&["rm"]).ends(0);
    assert_eq!((stack.state("idle"), stack.state("slow")), ("running".into(), "none".into()));
    stack.dev(&["exec", "-T", "--index", "1", "idle", "sh", "-c", "echo x > /kept/x"]).ends(0);
    stack.dev(&["exec", "--index", "2", "idle", "true"]).ends(2).says(&["idle has 1 container"]);
    let saved = stack.dev(&["rm", "-s", "-f", "-v", "idle"]).ends(0).says(&["saved"]);
    assert_eq!(stack.state("idle"), "none", "{}", saved.stderr);
    assert!(docker::volumes().contains(&stack.volume("kept")), "a named volume stays");
    stack.dev(&["rm", "none"]).ends(2).says(&["no service `none`"]);
    let planned = stack.dev(&["down", "--dry-run"]).ends(0).stdout;
    assert!(planned.contains("remove network"), "{planned}");

    let version = stack.dev(&["version", "--format", "json"]).ends(0).json().remove(0);
    assert!(version["engine"].is_string(), "{version}");
    assert_eq!(stack.dev(&["version", "--short"]).ends(0).stdout.trim(), env!("CARGO_PKG_VERSION"));
    stack.dev(&["down", "-v", "-y", "--no-snapshot", "-t", "1"]).ends(0);
}

#[test]
fn up_ends_with_the_first_container_and_its_exit_code() {
    let stack = Stack::new(
        "abort",
        r#"
[services.server]
image = "image:busybox"
command = ["sh", "-c", "echo serving; sleep 1000"]
stop_signal = "SIGKILL"
[services.tests]
image = "image:busybox"
command = ["sh", "-c", "echo testing; sleep 3; echo tested; exit 5"]
depends_on = ["server"]
"#,
    );
    let ended = stack.dev(&["up", "--abort-on-container-exit", "--no-attach", "server"]).ends(5);
    assert!(ended.stdout.contains("tested") && !ended.stdout.contains("serving"), "{}", ended.stdout);
    assert_eq!((stack.state("server"), stack.state("tests")), ("exited".into(), "exited".into()));

    let ended = stack.dev(&["up", "--exit-code-from", "server", "--no-log-prefix"]).ends(137);
    assert!(ended.stdout.lines().any(|line| line == "tested"), "{}", ended.stdout);
    stack.dev(&["up", "--exit-code-from", "none"]).ends(2).says(&["no service `none`"]);
    assert_eq!(stack.state("server"), "exited", "nothing was started");

    stack.edit("exit 5", "exit 0");
    let mut running = stack.start(&["up", "--abort-on-container-failure"]);
    running.wait_for("ready");
    wait_until("the tests end", || (stack.state("tests") == "exited").then_some(()));
    assert_eq!(stack.state("server"), "running", "that was no failure");
    docker::kill(&stack.container("server"));
    running.finish().ends(137);

    stack.dev(&["up", "-d"]).ends(0);
    assert!(stack.dev(&["wait", "--down-project", "tests"]).ends(0).stdout.contains("tests exited with code 0"));
    assert_eq!(stack.state("server"), "none");
}

#[test]
fn a_service_is_attached_to() {
    let stack = Stack::new(
        "attach",
        r#"
[services.cat]
image = "image:busybox"
stdin_open = true
command = ["sh", "-c", "while read line; do echo got $line; [ $line = end ] && exit 3; done"]
[services.quiet]
image = "image:busybox"
command = ["sh", "-c", "trap 'echo asked; exit 4' INT; while :; do sleep 0.1; done"]
"#,
    );
    stack.dev(&["attach", "cat"]).ends(1).says(&["cat does not run"]);
    stack.up();
    let mut command = stack.command(&["attach", "cat"]);
    let mut attached = Running::start_with_stdin(command.stdin(std::process::Stdio::piped()));
    std::io::Write::write_all(attached.stdin(), b"one\nend\n").expect("it reads");
    let ended = attached.finish().ends(3);
    assert_eq!(ended.stdout, "got one\ngot end\n");

    let mut attached = stack.start(&["attach", "quiet"]);
    attached.wait_for("reads no input");
    attached.signal("INT");
    let ended = attached.finish().ends(4);
    assert_eq!(ended.stdout, "asked\n");
    stack.dev(&["start", "quiet"]).ends(0);
    let mut attached = stack.start(&["attach", "--sig-proxy=false", "quiet"]);
    attached.wait_for("reads no input");
    attached.signal("INT");
    attached.finish().ends(0).says(&["detached; quiet keeps running"]);
    assert_eq!(stack.state("quiet"), "running");
    stack.dev(&["attach", "--detach-keys", "nonsense", "quiet"]).ends(1);
}

#[test]
fn the_keys_of_docker_leave_a_service_running() {
    let shell = "[services.sh]\nimage = \"image:busybox\"\ncommand = [\"sh\"]\ntty = true\nstdin_open = true\nstop_signal = \"SIGKILL\"\n";
    let stack = Stack::new("keys", shell);
    stack.up();
    for (arguments, keys) in
        [(&["attach", "sh"][..], "\u{10}\u{11}"), (&["attach", "--detach-keys", "ctrl-x,q", "sh"], "\u{18}q")]
    {
        let mut terminal = crate::pty::Terminal::start(&stack.command(arguments), 24, 80);
        wait_until("keys go through", || terminal.is_raw().then_some(()));
        terminal.types("echo $((6 * 7))\n");
        terminal.wait_for("42");
        terminal.types(keys);
        assert_eq!(terminal.ends(), 0, "{}", terminal.shown());
        assert!(!terminal.is_raw());
        assert_eq!(stack.state("sh"), "running");
    }
    let mut terminal = crate::pty::Terminal::start(&stack.command(&["run", "sh"]), 24, 80);
    wait_until("keys go through", || terminal.is_raw().then_some(()));
    terminal.types("echo $((6 * 7))\n");
    terminal.wait_for("42");
    terminal.types("\u{10}\u{11}");
    terminal.ends();
    assert!(terminal.everything().contains("detached"), "{}", terminal.shown());
    assert_eq!(docker::names(&[&stack.label()]).len(), 2, "the container of `run` goes on");
    stack.dev(&["down"]).ends(0);
}

#[test]
fn a_one_off_container_takes_what_compose_takes() {
    let stack = Stack::new("one-off", TWO);
    stack.file("vars", "FROM_FILE=a\nBOTH=file\n");
    let line = ["run", "--no-deps", "-T", "--env-from-file", "vars", "-e", "BOTH=option", "-l", "of=test", "-P"];
    let ran = stack.dev(&[&line[..], &["idle", "sh", "-c", "echo $FROM_FILE $BOTH"]].concat()).ends(0);
    assert_eq!(ran.stdout, "a option\n");
    stack.dev(&["run", "--no-deps", "-l", "dev.taskava.project=x", "idle"]).ends(2).says(&["taskava's own"]);
    let name = stack.dev(&["run", "-d", "--no-deps", "--cap-add", "NET_ADMIN", "idle", "sleep", "1000"]).ends(0).stdout;
    assert!(docker::names(&[&stack.label()]).contains(&name.trim().to_owned()), "{name}");
    assert_eq!(stack.state("idle"), "none", "it is none of the service's");
    stack.dev(&["down"]).ends(0);
    assert!(!docker::names(&[&stack.label()]).contains(&name.trim().to_owned()));
}

#[test]
fn images_are_built_and_removed_as_asked() {
    let stack = Stack::new("rmi", "[services.app]\nbuild = \".\"\nstop_signal = \"SIGKILL\"\n");
    stack.file(
        "Dockerfile",
        &format!(
            "FROM {}\nARG WHO=nobody\nENV WHO=$WHO\nCMD [\"sleep\", \"1000\"]\n",
            crate::stack::image("image:busybox")
        ),
    );
    stack.dev(&["up", "--no-build"]).ends(4).says(&["--no-build", "taskava dev build app"]);
    stack.dev(&["build", "--build-arg", "WHO=me", "--with-dependencies", "app"]).ends(0);
    stack.dev(&["up", "--no-build"]).ends(0);
    assert_eq!(stack.dev(&["exec", "-T", "app", "sh", "-c", "echo $WHO"]).ends(0).stdout, "me\n");
    assert!(stack.dev(&["plan"]).ends(0).stdout.contains("nothing to do"), "an argument of one build is no change");
    stack.dev(&["push"]).ends(0).says(&["app: skipped"]);
    let image = format!("{}-app:latest", stack.project);
    assert!(docker::has_image(&image));
    stack.dev(&["down", "--rmi", "local"]).ends(0).says(&[&format!("image {image} removed")]);
    assert!(!docker::has_image(&image));
}

#[test]
fn another_env_file_and_another_folder_are_used() {
    let stack = Stack::new("env-file", &TWO.replace("\"1000\"]", "\"${SECONDS_OF_TEST:-1000}\"]"));
    stack.file("other.env", "SECONDS_OF_TEST=77\n");
    let shown = stack.dev(&["--env-file", "other.env", "config", "--environment"]).ends(0).stdout;
    assert_eq!(shown, "SECONDS_OF_TEST=77\n");
    stack.dev(&["--env-file", "gone.env", "config"]).ends(2).says(&["--env-file", "gone.env doesn't exist"]);
    let folder = stack.path().display().to_string();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut command = stack.command(&["--project-directory", &folder, "config", "--services"]);
    let output = Running::start(command.current_dir(elsewhere.path())).finish().ends(0);
    assert_eq!(output.stdout, "idle\nslow\n");
    let both = ["-f", "services.toml", "--project-directory", "x", "ps"];
    stack.dev(&both).ends(2).says(&["--project-directory with --file"]);
    for (list, said) in
        [("--images", "busybox"), ("--volumes", "kept"), ("--networks", "default"), ("--profiles", "extra")]
    {
        assert!(stack.dev(&["config", list]).ends(0).stdout.contains(said), "{list}");
    }
    assert!(stack.dev(&["config", "--hash", "idle"]).ends(0).stdout.starts_with("idle "));
    stack.dev(&["config", "-o", "resolved.toml", "idle"]).ends(0);
    let written = std::fs::read_to_string(stack.path().join("resolved.toml")).expect("a file");
    assert!(written.contains("[services.idle]") && !written.contains("[services.slow]"), "{written}");
}

//! `run`: a container of its own, like the service's, and never taken for it.

use std::process::Command;

use crate::docker;
use crate::exec::piped;
use crate::pty::Terminal;
use crate::stack::{Stack, wait_until};

const STACK: &str = r#"
[services.db]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"

[services.migrate]
kind = "job"
image = "image:busybox"
command = ["sh", "-c", "echo migrated > /shared/state"]
volumes = ["shared:/shared"]
depends_on = ["db"]

[services.app]
image = "image:busybox"
command = ["sh", "-c", "echo the service; exit 4"]
stop_signal = "SIGKILL"
env = { WHO = "app" }
ports = ["80"]
volumes = ["shared:/shared"]
depends_on = ["db", "migrate"]
"#;

/// Names of the one-off containers of a stack.
fn one_offs(stack: &Stack) -> Vec<String> {
    docker::names(&[&stack.label(), "dev.taskava.oneoff"])
}

#[test]
fn what_the_service_depends_on_is_ready_and_the_service_is_left_alone() {
    let stack = Stack::new("run-deps", STACK);
    let script = "echo $WHO; cat /shared/state; ping -c1 -q db >/dev/null && echo reaches db; echo err >&2; exit 42";
    let output = stack.dev(&["run", "app", "sh", "-c", script]).ends(42).says(&["err"]);
    assert_eq!(output.stdout, "app\nmigrated\nreaches db\n", "nothing but the command's own");
    assert_eq!(
        (stack.state("db"), stack.state("migrate"), stack.find("app")),
        ("running".into(), "exited".into(), None)
    );
    assert_eq!(one_offs(&stack), [""; 0], "removed");

    let quiet = stack.dev(&["run", "app"]).ends(4);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("the service\n", ""), "what is up goes without saying");
    let json = stack.dev(&["--format", "json", "run", "app", "echo", "mine"]).ends(0);
    assert_eq!(json.stdout, "mine\n");
    let hi = piped(&mut stack.command(&["run", "-T", "app", "cat"]), b"hi\n".to_vec());
    assert_eq!((hi.status.code(), &hi.stdout[..]), (Some(0), &b"hi\n"[..]));
}

#[test]
fn without_dependencies_there_is_only_what_it_is_made_of() {
    let stack = Stack::new("run-alone", STACK);
    stack.dev(&["run", "--no-deps", "app", "true"]).ends(0);
    assert_eq!((stack.find("db"), stack.find("migrate")), (None, None));
    assert!(docker::volumes().contains(&stack.volume("shared")));
    stack.edit("echo migrated", "false; echo migrated");
    stack.edit("> /shared/state\"", "> /nowhere/state\"");
    let failed = stack.dev(&["run", "app", "echo", "never"]).ends(7).says(&["migrate", "exited with code"]);
    assert_eq!(failed.stdout, "");
    assert_eq!(one_offs(&stack), [""; 0]);
}

#[test]
fn the_command_line_wins_over_services_toml() {
    let stack = Stack::new("run-options", STACK);
    stack.file("folder/inside", "a file");
    let shown = |arguments: &[&str]| {
        let output = stack.dev(&[&["run", "--no-deps"], arguments].concat()).ends(0);
        output.stdout.trim().to_owned()
    };
    assert_eq!(shown(&["-e", "WHO=me", "-e", "B=b", "app", "sh", "-c", "echo $WHO $B"]), "me b");
    assert_eq!(shown(&["--entrypoint", "sh -c", "app", "echo $0 $WHO", "zero"]), "zero app");
    assert_eq!(shown(&["-w", "/tmp", "-u", "1000:1001", "app", "sh", "-c", "pwd; id -u; id -g"]), "/tmp\n1000\n1001");
    assert_eq!(shown(&["-v", "./folder:/folder:ro", "app", "cat", "/folder/inside"]), "a file");
    assert_eq!(shown(&["-v", "shared:/elsewhere", "app", "sh", "-c", "touch /elsewhere/x; ls /shared"]), "x");
    stack.dev(&["run", "-v", "nothing:/x", "app", "true"]).ends(2).says(&["no volume `nothing`", "shared"]);
    stack.dev(&["run", "-p", "70000", "app", "true"]).ends(2).says(&["`70000` is not a port"]);

    let name = format!("{}-mine", stack.project);
    for (options, port) in [(&["-p", "8080"][..], 8080), (&["--service-ports"], 80)] {
        let serve = format!("echo serving; exec httpd -f -p {port} -h /etc");
        let arguments = [&["run", "--no-deps", "--name", &name], options, &["app", "sh", "-c", &serve]].concat();
        let run = stack.start(&arguments);
        wait_until("it serves", || run.printed().contains("serving").then_some(()));
        let address = format!("127.0.0.1:{}", docker::port(&name, port));
        wait_until("it answers", || std::net::TcpStream::connect(&address).ok());
        run.signal("KILL");
        docker::kill(&name);
        wait_until("the engine removed it", || one_offs(&stack).is_empty().then_some(()));
    }
}

#[test]
fn signals_are_the_commands() {
    let stack = Stack::new("run-signals", STACK);
    let trap = "trap 'echo int' INT; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let run = stack.start(&["run", "--no-deps", "app", "sh", "-c", trap]);
    let prints = |words: &str| wait_until(words, || run.printed().contains(words).then_some(()));
    prints("ready");
    run.signal("INT");
    prints("int");
    run.signal("TERM");
    run.finish().ends(5);
    assert_eq!(one_offs(&stack), [""; 0]);

    let deaf = "trap '' INT; echo ready; while :; do sleep 0.05; done";
    let run = stack.start(&["run", "--no-deps", "app", "sh", "-c", deaf]);
    wait_until("it runs", || run.printed().contains("ready").then_some(()));
    for _ in 0..3 {
        run.signal("INT");
        // Signals that come together are one.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    run.finish().ends(137);
    assert_eq!(one_offs(&stack), [""; 0]);
}

#[test]
fn ctrl_c_while_dependencies_come_up_ends_it() {
    let stack = Stack::new("run-int", &STACK.replace("echo migrated", "sleep 1000"));
    let run = stack.start(&["run", "app", "echo", "never"]);
    wait_until("the job runs", || (stack.state("migrate") == "running").then_some(()));
    run.signal("INT");
    let output = run.finish().ends(130);
    assert_eq!((output.stdout.as_str(), one_offs(&stack).len()), ("", 0));
}

#[test]
fn a_command_that_can_not_be_run_leaves_nothing() {
    let stack = Stack::new("run-not", STACK);
    for (command, code) in [("nope", 127), ("/etc", 126)] {
        let output = stack.dev(&["run", "--no-deps", "app", command]).ends(code);
        assert_eq!(output.stdout, "");
        output.says(&[&format!("can't run `{command}` in app")]);
    }
    assert_eq!(one_offs(&stack), [""; 0]);
}

#[test]
fn one_that_is_kept_is_nobodys_service_and_goes_with_down() {
    let stack = Stack::new("run-kept", STACK);
    let name = format!("{}-kept", stack.project);
    stack.dev(&["run", "--no-rm", "--name", &name, "app", "true"]).ends(0);
    assert_eq!(one_offs(&stack), [name.as_str()]);
    stack.dev(&["run", "--no-deps", "--name", &name, "app", "true"]).ends(1).says(&["--name NAME"]);
    assert_eq!(stack.ps("app")["state"], "missing");
    stack.dev(&["exec", "app", "true"]).ends(1).says(&["app does not run"]);
    let plan = stack.dev(&["plan", "down"]).ends(0).stdout;
    assert!(plan.contains(&format!("one-off container {name}")), "{plan}");
    let orphans = stack.dev(&["plan", "up", "app"]).ends(0);
    assert!(orphans.stdout.contains("create app") && !orphans.stderr.contains("not in services.toml"), "{orphans:?}");
    stack.dev(&["down", "-v", "-y"]).ends(0);
    assert_eq!(docker::left(&stack.label()), [""; 0]);
}

#[test]
fn a_terminal_follows_its_window_and_a_killed_client_leaves_what_down_removes() {
    let stack = Stack::new("run-tty", STACK);
    stack.dev(&["up", "db"]).ends(0);
    let shell = || -> Command { stack.command(&["run", "--no-deps", "-e", "PS1=> ", "app", "sh"]) };
    let mut terminal = Terminal::start(&shell(), 30, 100);
    terminal.wait_for("> ");
    assert!(terminal.is_raw());
    terminal.resize(41, 97);
    wait_until("the new size", || {
        terminal.types("stty size\r");
        terminal.shown().contains("41 97\r\n").then_some(())
    });
    terminal.types("exit 9\r");
    assert_eq!((terminal.ends(), terminal.is_raw()), (9, false));
    assert_eq!(one_offs(&stack), [""; 0]);

    let mut killed = Terminal::start(&shell(), 24, 80);
    killed.wait_for("> ");
    killed.signal("KILL");
    assert_eq!(killed.ends(), -1);
    assert_eq!(one_offs(&stack).len(), 1, "no process was left to remove it");
    assert_eq!(stack.ps("db")["ready"], true);
    stack.dev(&["stop"]).ends(0);
    wait_until("the engine removed what was stopped", || one_offs(&stack).is_empty().then_some(()));
}

//! `exec`: a command inside is as good as one here: streams, exit code, terminal, signals.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::docker;
use crate::pty::Terminal;
use crate::stack::{Stack, wait_until};

const APP: &str = r#"
[services.app]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
env = { WHO = "app" }
"#;

/// Runs a command with bytes on its stdin.
pub(crate) fn piped(command: &mut Command, input: Vec<u8>) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut stdin = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("ends");
    let _ = writer.join().expect("does not panic");
    output
}

#[test]
fn bytes_and_the_end_of_stdin_reach_the_command() {
    let stack = Stack::new("exec-pipe", APP);
    stack.up();
    let hi = piped(&mut stack.command(&["exec", "-T", "app", "cat"]), b"hi\n".to_vec());
    assert_eq!((hi.status.code(), &hi.stdout[..], &hi.stderr[..]), (Some(0), &b"hi\n"[..], &b""[..]));
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let back = piped(&mut stack.command(&["exec", "app", "cat"]), bytes.clone());
    assert!(back.status.success() && back.stdout == bytes, "{} of {} bytes", back.stdout.len(), bytes.len());
    // A command that does not read ends all the same, and one whose stdin is not wanted gets none.
    let deaf = piped(&mut stack.command(&["exec", "app", "true"]), bytes);
    assert_eq!(deaf.status.code(), Some(0));
    let none = piped(&mut stack.command(&["exec", "--no-stdin", "app", "cat"]), b"hi".to_vec());
    assert_eq!((none.status.code(), none.stdout.len()), (Some(0), 0));
}

#[test]
fn streams_stay_apart_and_the_exit_code_is_the_commands() {
    let stack = Stack::new("exec-streams", APP);
    stack.up();
    let both = stack.dev(&["exec", "app", "sh", "-c", "echo out; echo err >&2; exit 42"]).ends(42);
    assert_eq!((both.stdout.as_str(), both.stderr.as_str()), ("out\n", "err\n"));
    stack.dev(&["exec", "app", "sh", "-c", "kill -9 $$"]).ends(137);
    let closed = stack.dev(&["exec", "app", "sh", "-c", "exec >&- 2>&-; sleep 0.5; exit 3"]).ends(3);
    assert_eq!(closed.stdout, "", "it goes on after its output, and so do we");
    // stdout that looks like the engine's refusal is stdout.
    let said = stack.dev(&["exec", "app", "echo", "OCI runtime exec failed: not at all"]).ends(0);
    assert_eq!(said.stdout, "OCI runtime exec failed: not at all\n");
    // Options after the command are the command's.
    assert_eq!(stack.dev(&["exec", "app", "echo", "-T", "--help", "-v"]).ends(0).stdout, "-T --help -v\n");

    let mut yes = stack.command(&["exec", "app", "yes"]).stdout(Stdio::piped()).spawn().expect("runs");
    drop(yes.stdout.take());
    assert_eq!(yes.wait().expect("ends").code(), Some(141), "as if SIGPIPE had ended it");
}

#[test]
fn what_can_not_be_run_says_so_on_stderr() {
    let stack = Stack::new("exec-not", APP);
    let absent = stack.dev(&["exec", "app", "true"]).ends(1);
    absent.says(&["app does not run", "taskava dev up app", "taskava dev run app"]);
    stack.up();
    for (command, code, words) in [
        (&["app", "nope"][..], 127, &["can't run `nope` in app", "not found"][..]),
        (&["app", "/etc"], 126, &["can't run `/etc` in app", "permission denied"]),
        (&["-u", "nosuch", "app", "true"], 126, &["nosuch"]),
        (&["-d", "app", "nope"], 127, &["can't run `nope` in app"]),
    ] {
        let output = stack.dev(&[&["exec"], command].concat()).ends(code).says(words);
        assert_eq!(output.stdout, "", "{command:?}");
    }
    stack.dev(&["exec", "-e", "=x", "app", "true"]).ends(2).says(&["NAME=VALUE"]);
    stack.dev(&["exec", "nobody", "true"]).ends(2).says(&["no service `nobody`"]);
    docker::pause(&stack.container("app"));
    stack.dev(&["exec", "app", "true"]).ends(1).says(&["app is paused", "taskava dev up app"]);
    docker::unpause(&stack.container("app"));
    docker::kill(&stack.container("app"));
    wait_until("its end", || (stack.state("app") == "exited").then_some(()));
    stack.dev(&["exec", "app", "true"]).ends(1).says(&["exited with code 137", "taskava dev explain app"]);
}

#[test]
fn variables_folder_user_and_privileges_are_those_asked_for() {
    let stack = Stack::new("exec-options", APP);
    stack.up();
    let shown = |options: &[&str], script: &str| {
        let mut command = stack.command(&[&["exec"], options, &["app", "sh", "-c", script]].concat());
        let output = command.env("FROM_HERE", "here").stdin(Stdio::null()).output().expect("runs");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let variables = ["-e", "A=1=2", "-e", "FROM_HERE", "--env", "NOT_SET_ANYWHERE"];
    assert_eq!(shown(&variables, "echo $A $FROM_HERE ${NOT_SET_ANYWHERE-none} $WHO"), "1=2 here none app");
    assert_eq!(shown(&["-w", "/tmp"], "pwd"), "/tmp");
    assert_eq!(shown(&["-u", "1000:1001"], "id -u; id -g"), "1000\n1001");
    let capabilities = "grep CapEff /proc/self/status";
    assert_ne!(shown(&[], capabilities), shown(&["--privileged"], capabilities));
    stack.dev(&["exec", "-d", "app", "sh", "-c", "sleep 0.2; touch /tmp/done"]).ends(0);
    wait_until("it ran", || (stack.dev(&["exec", "app", "test", "-e", "/tmp/done"]).code == 0).then_some(()));
}

#[test]
fn ctrl_c_without_a_terminal_ends_this_side() {
    let stack = Stack::new("exec-int", APP);
    stack.up();
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let exec = stack.start(&["exec", "app", "sh", "-c", "echo began; sleep 1000"]);
        wait_until("it runs", || exec.printed().contains("began").then_some(()));
        exec.signal(signal);
        assert_eq!(exec.finish().ends(code).stderr, "");
    }
}

#[test]
fn a_terminal_is_the_commands_until_it_ends() {
    let stack = Stack::new("exec-tty", APP);
    stack.up();
    let mut terminal = Terminal::start(&stack.command(&["exec", "-e", "PS1=> ", "app", "sh"]), 30, 100);
    terminal.wait_for("> ");
    assert!(terminal.is_raw());
    wait_until("the size", || {
        terminal.types("stty size\r");
        terminal.shown().contains("30 100\r\n").then_some(())
    });
    terminal.resize(41, 97);
    wait_until("the new size", || {
        terminal.types("stty size\r");
        terminal.shown().contains("41 97\r\n").then_some(())
    });
    // Ctrl-C is a key like any other here; the shell inside has to do with it.
    terminal.types("sh -c 'trap \"echo caught; exit\" INT; echo wai''ting; while :; do sleep 0.05; done'\r");
    terminal.wait_for("waiting\r\n");
    terminal.types("\u{3}");
    terminal.wait_for("caught\r\n");
    // Bytes that mean something to the engine's frames stay what they are.
    terminal.types("printf '\\001\\002\\000end\\n'\r");
    terminal.wait_for("\u{1}\u{2}\u{0}end\r\n");
    terminal.types("exit 7\r");
    assert_eq!(terminal.ends(), 7);
    assert!(!terminal.is_raw(), "given back");
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let stack = Stack::new("exec-back", APP);
    stack.up();
    let shell = || {
        let terminal = Terminal::start(&stack.command(&["exec", "-e", "PS1=> ", "app", "sh"]), 24, 80);
        terminal.wait_for("> ");
        wait_until("raw mode", || terminal.is_raw().then_some(()));
        terminal
    };
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let mut terminal = shell();
        terminal.signal(signal);
        assert_eq!((terminal.ends(), terminal.is_raw()), (code, false), "{signal}");
    }
    let mut refused = Terminal::start(&stack.command(&["exec", "app", "nope"]), 24, 80);
    assert_eq!((refused.ends(), refused.is_raw()), (127, false));
    refused.wait_for("can't run `nope` in app");

    // Nothing can be given back after SIGKILL, but nothing is lost inside either.
    let mut killed = shell();
    killed.signal("KILL");
    assert_eq!(killed.ends(), -1);
    stack.dev(&["exec", "app", "true"]).ends(0);
    assert_eq!(stack.ps("app")["ready"], true);
}

#[test]
fn without_a_terminal_is_without_one_even_on_a_terminal() {
    let stack = Stack::new("exec-no-tty", APP);
    stack.up();
    let mut terminal =
        Terminal::start(&stack.command(&["exec", "-T", "app", "sh", "-c", "tty; read x; echo got $x"]), 24, 80);
    terminal.wait_for("not a tty");
    assert!(!terminal.is_raw());
    terminal.types("hello\n");
    terminal.wait_for("got hello");
    assert_eq!(terminal.ends(), 0);
}

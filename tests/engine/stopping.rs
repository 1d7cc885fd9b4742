//! Stopping: nothing is killed before it has saved, what had to be killed is reported, and a stop that was cut off goes on
//! under the eyes of the next run.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::docker;
use crate::pty::Terminal;
use crate::stack::{Output, Running, Stack, wait_until};

/// Takes about four seconds to save what is in it.
const SLOW_REDIS: &str = r#"
[services.cache]
kind = "redis"
image = "image:redis"
command = "redis-server --save 3600 1 --enable-debug-command yes --rdb-key-save-delay 150"
volumes = ["cache:/data"]
"#;

const KEYS: &str = "20000";

/// `listens` says that it was asked to stop, and takes two seconds; `deaf` says so and goes on.
const SLOW: &str = r#"
[services.listens]
image = "image:busybox"
command = ["sh", "-c", "trap 'echo asked; sleep 2; exit 0' TERM; echo begun; while :; do sleep 0.1; done"]
ready = { exec = "true" }

[services.deaf]
image = "image:busybox"
command = ["sh", "-c", "trap 'echo asked' TERM; echo begun; while :; do sleep 0.1; done"]
stop_timeout = "3s"
restart = "always"
ready = { exec = "true" }
"#;

fn redis(stack: &Stack, words: &[&str]) -> String {
    docker::output(&stack.container("cache"), &[&["redis-cli"], words].concat()).trim().to_owned()
}

/// How often a service has said that it was asked to stop.
fn asked(stack: &Stack, service: &str) -> usize {
    docker::log(&stack.container(service)).matches("asked").count()
}

#[track_caller]
fn started_at(stack: &Stack, service: &str) -> String {
    docker::inspect(&stack.container(service)).started_at
}

#[test]
fn redis_saves_everything_before_it_ends() {
    let stack = Stack::new("saves", SLOW_REDIS);
    stack.up();
    redis(&stack, &["DEBUG", "POPULATE", KEYS, "key", "40"]);
    let check = |written: &str| {
        assert_eq!(redis(&stack, &["GET", "important"]), written);
        assert_eq!(redis(&stack, &["DBSIZE"]), (KEYS.parse::<u64>().unwrap() + 1).to_string());
    };
    for (round, commands) in
        [[&["stop"][..], &["start"]], [&["down"], &["up"]], [&["ps"], &["up", "--recreate"]]].iter().enumerate()
    {
        let written = format!("round {round}");
        redis(&stack, &["SET", "important", &written]);
        for command in commands {
            let ended = stack.dev(command).ends(0);
            assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
            if matches!(command[..], ["stop" | "down"] | ["up", "--recreate"]) {
                ended.says(&["cache  is still saving its data (2 s)"]);
            }
        }
        check(&written);
    }
}

#[test]
fn who_gives_a_server_too_little_time_is_told_what_is_lost() {
    let stack = Stack::new("too-little", &format!("{SLOW_REDIS}stop_timeout = \"1s\"\n"));
    stack.up();
    redis(&stack, &["DEBUG", "POPULATE", KEYS, "key", "40"]);
    redis(&stack, &["SET", "a", "1"]);
    stack.dev(&["stop"]).ends(0).says(&[
        "warning: cache did not stop within 1 s and was killed: what it had not saved yet is lost",
        "hint: give it more time: `stop_timeout` of [services.cache] in services.toml",
    ]);
}

#[test]
fn a_service_that_has_to_be_killed_is_told_by_every_command_that_stops() {
    let deaf = r#"
[services.api]
image = "image:busybox"
command = ["sleep", "1000"]
stop_timeout = "1s"
"#;
    let stack = Stack::new("deaf", deaf);
    let said = "warning: api ignored SIGTERM for 1 s and was killed\nhint: `init = true`";
    for command in [&["up", "--recreate"][..], &["restart"], &["stop"], &["up"], &["down"], &["up"]] {
        let ended = stack.dev(command).ends(0);
        let stops = !matches!(command[..], ["up"]) && stack.path().join("was-up").exists();
        assert_eq!(ended.stderr.contains(said), stops, "{command:?}: {}", ended.stderr);
        stack.file("was-up", "");
    }
    stack.edit("stop_timeout", "env = { A = \"1\" }\nstop_timeout");
    let events = stack.dev(&["up", "--format", "json"]).ends(0).json();
    let warning = events.iter().find(|event| event["event"] == "warning").expect("a warning");
    assert_eq!(warning["message"], "api ignored SIGTERM for 1 s and was killed");

    stack.edit("stop_timeout = \"1s\"", "init = true");
    stack.up();
    let stop = stack.dev(&["stop"]).ends(0);
    assert!(!stop.stderr.contains("warning"), "{}", stop.stderr);
}

#[test]
fn a_service_that_restarts_always_stays_stopped() {
    let services = r#"
[services.api]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGINT"
init = true
restart = "always"

[services.deaf]
image = "image:busybox"
command = ["sleep", "1000"]
stop_timeout = "1s"
restart = "unless-stopped"
"#;
    let stack = Stack::new("always", services);
    stack.up();
    let before = ["api", "deaf"].map(|service| started_at(&stack, service));
    stack.dev(&["stop"]).ends(0);
    // A restart would come after 100 ms.
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        for (service, before) in ["api", "deaf"].iter().zip(&before) {
            assert_eq!((stack.state(service), &started_at(&stack, service)), ("exited".into(), before), "{service}");
        }
    }
}

const BOTH: [&str; 2] = ["listens", "deaf"];

fn both<T>(look: impl Fn(&str) -> T) -> [T; 2] {
    BOTH.map(look)
}

/// Kills a command that stops both services when they were asked to; then one `up` has to be enough.
#[track_caller]
fn is_finished_by_up(stack: &Stack, command: &[&str]) -> Output {
    let before = both(|service| (started_at(stack, service), asked(stack, service), stack.container(service)));
    let cut: Running = stack.start(command);
    wait_until("both were asked to stop", || {
        let asked = both(|service| stack.find(service).map_or(0, |_| asked(stack, service)));
        (asked[0] > before[0].1 && asked[1] > before[1].1).then_some(())
    });
    cut.signal("KILL");
    assert_eq!(cut.finish().code, -1, "{command:?} was over before it was killed");
    let shown = stack.dev(&["ps"]).ends(0).stdout;
    assert!(shown.contains("stopping"), "after {command:?}:\n{shown}");
    let up = stack.up();
    for (service, (started, count, id)) in BOTH.iter().zip(&before) {
        let state = (stack.ps(service)["state"].clone(), stack.ps(service)["ready"].clone());
        assert_eq!(state, ("running".into(), true.into()), "{service} after {command:?}:\n{}", up.stderr);
        assert_ne!(&started_at(stack, service), started, "{service}: what was asked to stop runs on: {command:?}");
        let again = *service == "listens" && stack.container(service) == *id && asked(stack, service) != count + 1;
        assert!(!again, "{service} is asked once: {command:?}");
    }
    up
}

#[test]
fn one_up_is_enough_after_a_stop_that_was_killed() {
    let stack = Stack::new("stop-cut", SLOW);
    stack.up();
    for command in [&["stop"][..], &["restart"], &["up", "--recreate"], &["down"]] {
        is_finished_by_up(&stack, command);
    }
    // What a killed run had begun would show by now.
    let begun = both(|service| started_at(&stack, service));
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(both(|service| started_at(&stack, service)), begun);
        assert_eq!(both(|service| stack.state(service)), ["running"; 2]);
    }
    stack.dev(&["plan", "--exit-code"]).ends(0);
}

#[test]
fn what_is_being_stopped_is_shown_and_finished_by_stop_too() {
    let stack = Stack::new("cut-shown", SLOW);
    stack.up();
    let cut = stack.start(&["stop", "deaf"]);
    wait_until("it was asked", || (asked(&stack, "deaf") == 1).then_some(()));
    // While the other run is at it, too.
    assert_eq!(stack.ps("deaf")["state"], "stopping");
    cut.signal("KILL");
    cut.finish();
    let explained = stack.dev(&["explain", "deaf"]).ends(0).stdout;
    assert!(explained.contains("stop deaf (stopping), start deaf"), "{explained}");
    stack.dev(&["stop", "deaf"]).ends(0).says(&["deaf did not end within 3 s of SIGTERM and was killed"]);
    assert_eq!(both(|service| stack.state(service)), ["running", "exited"]);
    // Started behind our back it is another process.
    docker::restart(&stack.container("deaf"));
    assert_eq!(stack.ps("deaf")["state"], "running");
    stack.dev(&["plan", "--exit-code"]).ends(0);
}

#[test]
fn a_redis_that_saves_when_its_stop_is_killed_is_waited_for() {
    let stack = Stack::new("cut-saves", SLOW_REDIS);
    stack.up();
    redis(&stack, &["DEBUG", "POPULATE", KEYS, "key", "40"]);
    for command in [&["stop"][..], &["up", "--recreate"], &["down"]] {
        redis(&stack, &["SET", "important", command[0]]);
        let cut = stack.start(command);
        let container = stack.container("cache");
        let saves = "Saving the final RDB snapshot before exiting";
        let count = docker::log(&container).matches(saves).count();
        wait_until("it saves", || (docker::log(&container).matches(saves).count() > count).then_some(()));
        cut.signal("KILL");
        cut.finish();
        stack.up();
        assert_eq!(redis(&stack, &["GET", "important"]), command[0]);
        assert_eq!(redis(&stack, &["DBSIZE"]), (KEYS.parse::<u64>().unwrap() + 1).to_string());
    }
}

/// Waits for words, whatever their colours.
fn wait_for(terminal: &Terminal, words: &str) {
    wait_until(words, || console::strip_ansi_codes(&terminal.shown()).contains(words).then_some(()));
}

/// A window that is closed while a command runs in it.
fn closed(command: &Command, words: &str) -> i32 {
    let mut terminal = Terminal::start(command, 24, 80);
    wait_for(&terminal, words);
    terminal.close();
    terminal.ends()
}

#[test]
fn a_closed_terminal_ends_each_command_cleanly() {
    let never = "\n[services.never]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\ninit = true\n\
                 ready = { exec = \"false\" }\nprofiles = [\"never\"]\n\
                 watch = [{ path = \"src\", action = \"restart\" }]\n";
    let stack = Stack::new("hup", &format!("{SLOW}{never}"));
    stack.file("src/a", "");
    stack.up();
    let up = stack.command(&["--profile", "never", "up"]);
    assert_eq!(closed(&up, "never    waiting"), 129);
    assert_eq!(stack.state("never"), "exited", "what the run started is stopped");
    assert_eq!(both(|service| stack.state(service)), ["running"; 2], "what ran before runs");

    for command in [&["stop"][..], &["restart"], &["down"]] {
        assert_eq!(closed(&stack.command(command), "listens  stopping"), 129, "{command:?}");
        assert!(
            !stack.dev(&["ps"]).ends(0).stdout.contains("stopping"),
            "{command:?} goes on to the end of what it began"
        );
        stack.up();
    }
    for command in [&["logs", "-f"][..], &["exec", "deaf", "sh", "-c", "echo begun; sleep 1000"]] {
        assert_eq!(closed(&stack.command(command), "begun"), 129, "{command:?}");
    }
    stack.dev(&["--profile", "never", "up", "--no-start"]).ends(0);
    let watch = stack.command(&["--profile", "never", "watch"]);
    assert_eq!(closed(&watch, "watching"), 129);
    // It does not listen to SIGHUP, and nothing else could end it then.
    let run = stack.command(&["run", "deaf", "sh", "-c", "trap '' HUP; echo here; sleep 1000"]);
    assert_eq!(closed(&run, "here"), 129);
    assert_eq!(docker::names(&[&stack.label()]).len(), 3, "the container of `run` is gone");
    let test =
        stack.command(&["test", "--services", "listens", "--", "sh", "-c", "echo $TASKAVA_PROJECT.; sleep 1000"]);
    assert_eq!(closed(&test, "taskava-t-"), 129);
}

#[test]
fn sighup_alone_ends_a_command_and_what_it_runs() {
    let stack = Stack::new("hup-alone", SLOW);
    stack.up();
    let test = [
        "test",
        "--services",
        "listens",
        "--",
        "sh",
        "-c",
        "trap 'echo hung up; exit 3' HUP; echo begun; while :; do sleep 0.1; done",
    ];
    let mut run = stack.start(&test);
    wait_until("it runs", || run.printed().contains("begun").then_some(()));
    run.signal("HUP");
    let ended = run.finish().ends(3);
    assert!(ended.stdout.contains("hung up"), "{}", ended.stdout);

    run = stack.start(&["stop"]);
    wait_until("it was asked", || (asked(&stack, "deaf") == 1).then_some(()));
    // The shell's and the system's: still no hurry.
    run.signal("HUP");
    run.signal("HUP");
    run.finish().ends(129).says(&["stopping what this run started"]);
    assert_eq!(both(|service| stack.state(service)), ["exited"; 2]);
}

#[test]
fn nohup_is_respected() {
    let stack = Stack::new("nohup", SLOW);
    stack.up();
    let stop = stack.command(&["stop"]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(stop.get_program()).args(stop.get_args());
    command.current_dir(stack.path());
    let run = Running::start(&mut command);
    wait_until("it was asked", || (asked(&stack, "deaf") == 1).then_some(()));
    run.signal("HUP");
    run.finish().ends(0);
}

#[test]
fn ctrl_c_leaves_a_picture_of_what_is_there_and_says_what_goes_on() {
    let never = "\n[services.never]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\ninit = true\n\
                 ready = { exec = \"false\" }\ndepends_on = [\"listens\"]\n";
    let stack = Stack::new("picture", &format!("{SLOW}{never}"));
    let mut terminal = Terminal::start(&stack.command(&["up"]), 24, 80);
    wait_for(&terminal, "never    waiting");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 130);
    let shown = console::strip_ansi_codes(&terminal.shown()).into_owned();
    let last = shown.rfind("- listens").map(|at| &shown[at..]).expect("a record");
    assert!(last.contains("- listens  stopped") && last.contains("- deaf     stopped"), "{shown}");
    assert!(last.contains("- never    stopped"), "{shown}");

    stack.dev(&["up", "deaf"]).ends(0);
    let mut logs = Terminal::start(&stack.command(&["logs", "-f"]), 24, 80);
    logs.wait_for("begun");
    logs.types("\u{3}");
    assert_eq!(logs.ends(), 130);
    wait_until("the last words", || logs.shown().ends_with("\r\nthe stack keeps running\r\n").then_some(()));
}

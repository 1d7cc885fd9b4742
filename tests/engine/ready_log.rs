//! `ready.log`: the line is one of the run that is waited for, whole, as it is seen; and ready stays true.

use std::time::Duration;

use crate::docker;
use crate::stack::Stack;

/// A service that runs a script and is ready by a line.
fn service(name: &str, script: &str, more: &str) -> String {
    format!(
        "[services.{name}]\nimage = \"image:busybox\"\ninit = true\ncommand = [\"sh\", \"-c\", '''{script}''']\n{more}\n"
    )
}

#[test]
fn lines_match_as_they_are_seen() {
    let cases = [
        ("ends", r"printf 'server started\n'; exec sleep 1000", "^server started$"),
        ("crlf", r"printf 'server started\r\n'; exec sleep 1000", "^server started$"),
        ("feed", r"echo 'server started'; exec sleep 1000", r"started\\n"),
        ("colours", r"printf '\033[1;32mserver\033[0m started\033[K\n'; exec sleep 1000", "^server started$"),
        ("title", r"printf '\033]0;x\007server \033[3mstarted\n' >&2; exec sleep 1000", "server started$"),
        ("long", r"head -c 20000 /dev/zero | tr '\0' x; echo 'server started'; exec sleep 1000", "^x+server started$"),
        ("cut", r"head -c 16377 /dev/zero | tr '\0' x; echo 'server started'; exec sleep 1000", "server started"),
        ("both", r"printf 'server '; printf 'noise\n' >&2; printf 'started\n'; exec sleep 1000", "^server started$"),
    ];
    let services: String = cases
        .iter()
        .map(|(name, script, pattern)| {
            service(name, script, &format!("ready = {{ log = \"{pattern}\", timeout = \"20s\" }}"))
        })
        .collect();
    let stack = Stack::new("log-lines", &services);
    stack.up();
    stack.dev(&["up"]).ends(0).says(&["nothing to do"]);
    for (name, ..) in cases {
        assert_eq!(stack.ps(name)["ready"], true, "{name}");
    }
}

#[test]
fn what_was_ready_stays_ready_when_its_line_is_dropped() {
    let chatty = "echo 'server started'; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo request $i took some time; done; echo written; exec sleep 1000";
    let more =
        "logging = { max_size = \"10k\", max_files = 2 }\nready = { log = \"server started\", timeout = \"10s\" }";
    let stack = Stack::new("log-rotated", &service("app", chatty, more));
    stack.up();
    crate::stack::wait_until("the log was rotated", || {
        let log = stack.dev(&["logs", "app"]).stdout;
        (log.contains("written") && !log.contains("server started")).then_some(())
    });
    let again = stack.dev(&["up"]).ends(0).says(&["nothing to do"]);
    assert!(again.took < Duration::from_secs(5), "{:?}", again.took);
    let row = stack.ps("app");
    assert_eq!((&row["ready"], &row["reason"]), (&true.into(), &"its log no longer goes back to its start".into()));
    let explained = stack.dev(&["explain", "app"]).ends(0).stdout;
    assert!(explained.contains("yes: its log no longer goes back to its start"), "{explained}");
}

#[test]
fn a_single_file_that_is_begun_anew_takes_nothing_back() {
    let chatty = "echo 'server started'; while :; do for i in 1 2 3 4 5 6 7 8 9; do echo request $i took some time and was answered; done; sleep 0.3; done";
    let more =
        "logging = { max_size = \"4k\", max_files = 1 }\nready = { log = \"server started\", timeout = \"14s\" }";
    let stack = Stack::new("log-single", &service("app", chatty, more));
    stack.up();
    crate::stack::wait_until("the line was dropped", || {
        let log = stack.dev(&["logs", "app"]).stdout;
        (log.contains("request") && !log.contains("server started")).then_some(())
    });
    // Only with time it shows that it was: before this run's own time is over.
    stack.dev(&["up"]).ends(0);
    assert_eq!(stack.ps("app")["ready"], true);
    let again = stack.dev(&["up"]).ends(0).says(&["nothing to do"]);
    assert!(again.took < Duration::from_secs(5), "{:?}", again.took);
}

#[test]
fn what_was_not_ready_is_not_when_it_is_asked_again() {
    let never = "echo booting; exec sleep 1000";
    let stack =
        Stack::new("log-never", &service("app", never, "ready = { log = \"server started\", timeout = \"1s\" }"));
    for _ in 0..2 {
        stack.dev(&["up"]).ends(6).says(&["not ready after 1 s", "no line of its log matches /server started/"]);
        let row = stack.ps("app");
        assert_eq!(row["ready"], false, "{row}");
        assert!(row["reason"].as_str().is_some_and(|why| why.contains("no line of its log matches")), "{row}");
    }
}

#[test]
fn the_line_of_an_earlier_run_does_not_count() {
    let slow = "echo booting; sleep 2; echo 'server started'; exec sleep 1000";
    let more = "ready = { log = \"^server started$\" }\nstop_signal = \"SIGKILL\"";
    let stack = Stack::new("log-earlier", &service("app", slow, more));
    stack.up();
    for _ in 0..3 {
        let again = stack.dev(&["restart", "app"]).ends(0);
        assert!(again.took > Duration::from_secs(2), "{:?}\n{}", again.took, again.stderr);
    }
    docker::restart(&stack.container("app"));
    let row = stack.ps("app");
    assert_eq!(row["ready"], false, "{row}");
    stack.dev(&["up"]).ends(0);
    assert_eq!(stack.ps("app")["ready"], true);
}

#[test]
fn a_container_that_the_engine_restarts_is_listened_to_again() {
    let second = "if [ -e /once ]; then sleep 1; echo 'server started'; exec sleep 1000; fi; touch /once; echo no database yet; sleep 1; exit 1";
    // Its line is the last that it writes: it is not ready.
    let dies = "if [ -e /once ]; then echo 'server really started'; exec sleep 1000; fi; touch /once; echo 'server started'; exit 1";
    let services = [
        service("retry", second, "restart = \"on-failure\"\nready = { log = \"server started\", timeout = \"20s\" }"),
        service(
            "dies",
            dies,
            "restart = \"always\"\nready = { log = \"server (really )?started\", timeout = \"20s\" }",
        ),
    ];
    let stack = Stack::new("log-restart", &services.concat());
    let up = stack.up();
    assert!(up.took < Duration::from_secs(15), "{:?}", up.took);
    assert_eq!(stack.state("dies"), "running");
}

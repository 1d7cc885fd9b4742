//! `logs`: all lines once and in order, whatever happens to containers and to the connection meanwhile.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::docker;
use crate::stack::{Output, Running, Stack, wait_until};

/// Two services that write at the same time, and are done with it.
const TWO: &str = r#"
[services.one]
image = "image:busybox"
command = ["sh", "-c", "seq 1 2000; exec sleep 1000"]
stop_signal = "SIGKILL"

[services.two]
image = "image:busybox"
command = ["sh", "-c", "{ seq 1 2000; printf '\\033[31mred\\033[0m\\033[2J\\n'; } >&2; exec sleep 1000"]
stop_signal = "SIGKILL"
"#;

/// One that goes on writing, slowly enough to be cut off in the middle.
const TICKING: &str = r#"
[services.ticking]
image = "image:busybox"
command = ["sh", "-c", "seq 1 3000 | while read n; do echo $n; [ $((n % 10)) -ne 0 ] || sleep 0.01; done; exec sleep 1000"]
stop_signal = "SIGKILL"
"#;

/// Waits until a service's last line is in its log, so that what is asked next has an end.
#[track_caller]
fn wrote(stack: &Stack, service: &str, line: &str) {
    let id = stack.container(service);
    wait_until(line, || docker::log(&id).lines().any(|found| found == line).then_some(()));
}

/// The lines of a service, without what is before them.
fn of(stdout: &str, service: &str) -> Vec<String> {
    let text = |line: &str| {
        let (name, text) = line.split_once('│')?;
        (name.trim() == service).then(|| text[1..].to_owned())
    };
    stdout.lines().filter_map(text).collect()
}

/// How many lines are of services, and not about them.
fn of_any(stdout: &str) -> usize {
    stdout.lines().filter(|line| line.contains('│')).count()
}

fn numbers(to: usize) -> Vec<String> {
    (1..=to).map(|number| number.to_string()).collect()
}

#[test]
fn lines_of_all_services_come_in_the_order_of_time() {
    let stack = Stack::new("merged", TWO);
    stack.up();
    wrote(&stack, "one", "2000");
    wrote(&stack, "two", "\u{1b}[31mred\u{1b}[0m\u{1b}[2J");

    let json = stack.dev(&["logs", "--json"]).ends(0).json();
    let times: Vec<&str> = json.iter().map(|line| line["ts"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    let of_json = |service: &str| json.iter().filter(|line| line["service"] == service).collect::<Vec<_>>();
    assert_eq!(of_json("one").len(), 2000);
    assert!(of_json("one").iter().all(|line| line["stream"] == "stdout" && line["v"] == 1));
    assert!(of_json("two").iter().all(|line| line["stream"] == "stderr"));
    assert_eq!(of_json("two")[2000]["line"], "\u{1b}[31mred\u{1b}[0m\u{1b}[2J", "for programs: as it was written");

    let plain = stack.dev(&["logs"]).ends(0).stdout;
    assert_eq!(of(&plain, "one"), numbers(2000));
    assert_eq!(of(&plain, "two").last().map(String::as_str), Some("red"), "nothing for the terminal to act on");
    let colored = stack.dev(&["logs", "two", "--tail", "1", "--color", "always"]).ends(0).stdout;
    assert!(colored.ends_with("\u{1b}[31mred\u{1b}[0m\n"), "colours pass: {colored:?}");
}

#[test]
fn what_is_asked_for_is_shown() {
    let stack = Stack::new("asked", TWO);
    stack.up();
    wrote(&stack, "one", "2000");
    wrote(&stack, "two", "2000");
    let shown = |arguments: &[&str]| stack.dev(&[&["logs"], arguments].concat()).ends(0).stdout;

    assert_eq!(shown(&["one", "-n", "2"]), "one  │ 1999\none  │ 2000\n");
    assert_eq!(shown(&["one", "-n", "2", "--no-prefix"]), "1999\n2000\n");
    assert_eq!(shown(&["one", "--grep", "^(1999|7)$", "--no-prefix"]), "7\n1999\n");
    assert_eq!(shown(&["one", "--tail", "0"]), "");
    assert_eq!(shown(&["--until", "1h"]), "", "nothing was written by then");
    assert_eq!(shown(&["one", "--since", "1h", "--no-prefix"]).lines().count(), 2000);
    let stamped = shown(&["one", "-t", "--no-prefix", "-n", "1"]);
    let (time, line) = stamped.split_once(' ').expect("a time and a line");
    assert_eq!(line, "2000\n");
    assert_eq!(shown(&["one", "--since", time, "--no-prefix"]).lines().last(), Some("2000"), "that very time counts");

    stack.dev(&["logs", "twoo"]).ends(2).says(&["no service `twoo`", "did you mean `two`?"]);
    stack.dev(&["logs", "--since", "soon"]).ends(2).says(&["`soon` is not a time"]);
    stack.edit("[services.two]", "[services.other]");
    assert_eq!(of(&shown(&["two", "--grep", "red"]), "two"), ["red"], "what is an orphan now has a log");
}

#[test]
fn a_stack_without_containers_has_no_logs() {
    let stack = Stack::new("logs-nothing", TWO);
    let output = stack.dev(&["logs"]).ends(0).says(&["no containers of"]);
    assert_eq!(output.stdout, "");
}

#[test]
fn a_line_longer_than_the_engine_keeps_together_is_whole() {
    let stack = Stack::new(
        "long",
        r#"
[services.long]
image = "image:busybox"
command = ["sh", "-c", "head -c 50000 /dev/zero | tr '\\0' x; echo; exec sleep 1000"]
stop_signal = "SIGKILL"
"#,
    );
    stack.up();
    let line = "x".repeat(50_000);
    wait_until("the line", || {
        let shown = stack.dev(&["logs", "--no-prefix"]).ends(0).stdout;
        (shown.trim_end() == line).then_some(())
    });
    assert_eq!(stack.dev(&["logs", "--json"]).ends(0).json()[0]["line"], line);
}

#[test]
fn following_goes_on_through_restart_and_recreation_until_ctrl_c() {
    let stack = Stack::new(
        "follow",
        r#"
[services.app]
image = "image:busybox"
command = ["sh", "-c", "echo began $WHICH; exec sleep 1000"]
env = { WHICH = "first" }
stop_signal = "SIGKILL"
"#,
    );
    let following = stack.start(&["logs", "-f"]);
    wait_until("it waits", || following.said().contains("waiting for the first").then_some(()));
    stack.up();
    shows(&following, 1);
    stack.dev(&["restart"]).ends(0);
    shows(&following, 2);
    stack.edit("first", "second");
    stack.up();
    shows(&following, 3);
    following.signal("INT");
    let output = following.finish().ends(130);
    assert_eq!(of(&output.stdout, "app"), ["began first", "began first", "began second"]);
    // What happened in between is reported between the lines, each time after the last line of what ended.
    let told: Vec<&str> = output.stdout.lines().map(|line| line.trim_start_matches("app").trim_start()).collect();
    let expected = [
        "│ began first",
        "exited with code 137",
        "started again",
        "│ began first",
        "exited with code 137",
        "recreated",
        "│ began second",
    ];
    assert_eq!(told, expected);
    assert!(!output.stderr.contains("interrupted"), "{}", output.stderr);
}

#[test]
fn a_crash_is_told_to_programs_after_the_last_line() {
    let stack = Stack::new(
        "crash",
        r#"
[services.app]
image = "image:busybox"
command = ["sh", "-c", "echo up; while ! [ -e /over ]; do sleep 0.05; done; echo last; exit 3"]
stop_signal = "SIGKILL"
"#,
    );
    stack.up();
    let following = stack.start(&["logs", "-f", "--json"]);
    wait_until("a line", || following.printed().contains("up").then_some(()));
    docker::exec(&stack.container("app"), &["touch", "/over"]);
    wait_until("the end", || following.printed().contains("exited").then_some(()));
    following.signal("INT");
    let lines = following.finish().ends(130).json();
    let [.., last, end] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(last["line"], "last");
    assert_eq!((&end["event"], &end["exit_code"]), (&"exited".into(), &3.into()));
    assert_eq!((&end["service"], &end["v"]), (&"app".into(), &1.into()));
    assert!(end["ts"].as_str() >= last["ts"].as_str(), "{lines:?}");
}

#[track_caller]
fn shows(following: &Running, lines: usize) {
    wait_until("lines", || (of_any(&following.printed()) >= lines).then_some(()));
}

#[test]
fn a_lost_connection_costs_no_line_and_shows_none_twice() {
    let stack = Stack::new("lost-wire", TICKING);
    let wire = Wire::new();
    stack.up();
    let mut command = stack.command(&["--host", &wire.address(), "logs", "-f"]);
    let following = Running::start(&mut command);
    for lines in [100, 1000, 2000] {
        shows(&following, lines);
        wire.cut();
    }
    shows(&following, 3000);
    following.signal("INT");
    let output: Output = following.finish().ends(130).says(&["lost the engine", "the engine is back"]);
    assert_eq!(of(&output.stdout, "ticking"), numbers(3000));
}

#[test]
fn a_reader_that_has_seen_enough_ends_it() {
    let stack = Stack::new("head", TWO.replace("seq 1 2000", "seq 1 100000").as_str());
    stack.up();
    wrote(&stack, "one", "100000");
    let mut child = stack.command(&["logs"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("a line");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(first.contains('│'), "{first}");
}

/// A connection to the engine that can be cut.
pub(crate) struct Wire {
    folder: TempDir,
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self::tapped(|_| {})
    }

    /// Each piece of what is asked is shown to `tap` before it goes on.
    pub(crate) fn tapped(tap: impl Fn(&[u8]) + Clone + Send + 'static) -> Self {
        let folder = TempDir::with_prefix("taskava-wire-").expect("a folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        let wire = Self { folder, open: Arc::default() };
        let open = wire.open.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = UnixStream::connect(engine()).expect("the engine");
                let clone = |stream: &UnixStream| stream.try_clone().expect("a descriptor");
                open.lock().expect("no thread panicked with it").extend([clone(&near), clone(&far)]);
                pass(clone(&near), clone(&far), tap.clone());
                pass(far, near, |_| {});
            }
        });
        wire
    }

    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Cuts all connections that are open.
    pub(crate) fn cut(&self) {
        for stream in self.open.lock().expect("no thread panicked with it").drain(..) {
            // Those that had ended are no longer connections.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Where the engine of the tests listens.
fn engine() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()
}

fn pass(mut from: UnixStream, mut to: UnixStream, tap: impl Fn(&[u8]) + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            tap(&buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

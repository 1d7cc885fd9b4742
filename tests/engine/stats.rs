//! `stats`: numbers of what runs, once and as they change.

use crate::pty::Terminal;
use crate::stack::{Stack, wait_until};

const TWO: &str = r#"
[services.busy]
image = "image:busybox"
command = ["sh", "-c", "while :; do :; done"]
stop_signal = "SIGKILL"
resources = { memory = "64m", cpus = 0.2 }

[services.idle]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
"#;

#[test]
fn what_is_used_is_shown_once_or_until_ctrl_c() {
    let stack = Stack::new("stats", TWO);
    stack.dev(&["stats", "--no-stream"]).ends(0).says(&["no service of", "taskava dev up"]);
    stack.dev(&["up", "busy"]).ends(0);
    let once = stack.dev(&["stats", "--no-stream", "--json"]).ends(0).json();
    assert_eq!((once.len(), &once[0]["v"], &once[0]["service"]), (1, &1.into(), &"busy".into()));
    let number = |name: &str| once[0][name].as_f64().unwrap_or_else(|| panic!("no {name} in {}", once[0]));
    assert!(number("cpu_percent") > 0.5 && number("cpu_percent") < 60.0, "a fifth of a core: {}", once[0]);
    assert!(
        number("memory") > 0.0 && (number("memory_limit") - 67_108_864.0).abs() < 1.0 && number("pids") >= 1.0,
        "{}",
        once[0]
    );
    let table = stack.dev(&["stats", "--no-stream"]).ends(0).stdout;
    assert!(table.starts_with("SERVICE") && table.contains("64.0 MiB") && table.lines().count() == 2, "{table}");

    let live = stack.start(&["stats", "--json"]);
    let of = |service: &str| live.printed().matches(&format!("\"service\":\"{service}\"")).count();
    wait_until("two readings", || (of("busy") >= 2).then_some(()));
    stack.dev(&["up", "idle"]).ends(0);
    wait_until("who comes later, too", || (of("idle") >= 1).then_some(()));
    live.signal("INT");
    assert_eq!(live.finish().ends(130).stderr, "", "quietly");
    stack.dev(&["stats", "nobody"]).ends(2).says(&["no service `nobody`"]);

    let mut terminal = Terminal::start(&stack.command(&["stats", "idle"]), 24, 120);
    terminal.wait_for("\u{1b}[2F\u{1b}[J");
    assert!(!terminal.shown().contains("busy"));
    terminal.signal("INT");
    assert_eq!(terminal.ends(), 130);
}

//! What is cut off half-way is known as such: no service starts on it, and the command that is named finishes it.

use regex::Regex;

use crate::clients::{POSTGRES, REDIS, ask, postgres};
use crate::docker;
use crate::objects::S3;
use crate::stack::{Output, Stack, heavy, wait_until};

/// A volume that takes a second or two to copy, and two small ones.
const THREE: &str = r#"
[services.big]
image = "image:busybox"
command = ["sh", "-c", "test -e /v/mark || { dd if=/dev/zero of=/v/big bs=1M count=256; echo first > /v/mark; }; touch /tmp/on; exec sleep 1000"]
ready = { exec = ["test", "-e", "/tmp/on"] }
stop_signal = "SIGKILL"
volumes = ["big:/v"]

[services.small]
image = "image:busybox"
command = ["sh", "-c", "test -e /v/mark || echo first > /v/mark; touch /tmp/on; exec sleep 1000"]
ready = { exec = ["test", "-e", "/tmp/on"] }
stop_signal = "SIGKILL"
volumes = ["small:/v", "bare:/bare"]

[services.apart]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
"#;

fn mark(stack: &Stack, service: &str) -> String {
    docker::output(&stack.container(service), &["cat", "/v/mark"]).trim().to_owned()
}

fn set_mark(stack: &Stack, service: &str, text: &str) {
    docker::exec(&stack.container(service), &["sh", "-c", &format!("echo {text} > /v/mark")]);
}

fn names(stack: &Stack) -> Vec<String> {
    let list = stack.dev(&["snapshot", "list", "--json"]).ends(0).json().remove(0);
    let name = |snapshot: &serde_json::Value| snapshot["name"].as_str().expect("a name").to_owned();
    list["snapshots"].as_array().expect("a list").iter().map(name).collect()
}

/// The command that an error names, as it is typed.
#[track_caller]
fn named(output: &Output) -> Vec<String> {
    let pattern = Regex::new(r"finish it with: taskava dev ([^\n;]+)").expect("a pattern");
    let found = pattern.captures(&output.stderr).unwrap_or_else(|| panic!("names no command:\n{}", output.stderr));
    found[1].split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect()
}

#[track_caller]
fn run_named(stack: &Stack, output: &Output) -> Output {
    let command = named(output);
    stack.dev(&command.iter().map(String::as_str).collect::<Vec<_>>()).ends(0)
}

/// Helpers of copies that are there.
fn helpers(stack: &Stack) -> Vec<String> {
    docker::names(&[&stack.label()]).into_iter().filter(|name| name.ends_with(".copy")).collect()
}

/// A `snapshot restore` whose client is killed while the engine fills the large volume.
fn cut_off_restore(stack: &Stack) {
    stack.up();
    stack.dev(&["snapshot", "save", "base"]).ends(0);
    // A busy machine may see the first volume when all are filled.
    for _ in 0..10 {
        set_mark(stack, "big", "second");
        set_mark(stack, "small", "second");
        if is_cut_off(stack, &["snapshot", "restore", "base"], &format!("created volume {}", stack.volume("big"))) {
            return;
        }
        stack.up();
        for auto in names(stack).iter().filter(|name| name.starts_with("auto-")) {
            stack.dev(&["snapshot", "remove", auto]).ends(0);
        }
    }
    panic!("always cut off too late")
}

/// Kills a command when it has printed a text. Whether it was in the middle: something is written down as begun and not ended.
fn is_cut_off(stack: &Stack, command: &[&str], at: &str) -> bool {
    let mut running = stack.start(command);
    running.wait_for(at);
    running.signal_if_running("KILL");
    running.finish();
    let all = stack.dev(&["ps", "--json"]).ends(0).json().remove(0);
    all["unfinished"].as_array().is_some_and(|unfinished| !unfinished.is_empty())
}

#[test]
fn a_restore_whose_client_is_killed_is_finished_by_the_command_that_is_named() {
    let _turn = heavy();
    let stack = Stack::new("cut-fill", THREE);
    cut_off_restore(&stack);

    // At once, while the engine may still be filling: nothing starts on it, and it is said everywhere.
    let words = ["restoring snapshot base was cut off", "taskava dev snapshot restore base"];
    for command in [
        &["up"][..],
        &["up", "big"],
        &["restart", "big"],
        &["plan"],
        &["snapshot", "save", "x"],
        &["run", "big", "true"],
    ] {
        stack.dev(command).ends(1).says(&words);
    }
    stack.dev(&["ps"]).ends(0).says(&words);
    assert!(stack.dev(&["doctor"]).stdout.contains("restoring snapshot base was cut off"));
    for command in [&["ps", "--json"][..], &["--format", "json", "explain", "big"]] {
        let all = stack.dev(command).ends(0).json().remove(0)["unfinished"].clone();
        assert_eq!((&all[0]["what"], &all[0]["of"]), (&"restore-snapshot".into(), &"base".into()), "{all}");
        assert!(all[0]["finish"].as_str().is_some_and(|finish| finish.contains("snapshot restore base")), "{all}");
        assert!(all[0]["services"].as_array().is_some_and(|names| names.contains(&"big".into())), "{all}");
    }
    assert!(stack.dev(&["explain", "big"]).ends(0).stdout.contains("restoring snapshot base was cut off"));
    stack.dev(&["snapshot", "remove", "base"]).ends(1).says(&words);
    stack.dev(&["up", "apart"]).ends(0);

    let refused = stack.dev(&["up"]).ends(1);
    let auto = names(&stack).into_iter().find(|name| name.starts_with("auto-")).expect("taken before");
    run_named(&stack, &refused);
    assert_eq!(names(&stack), [auto.clone(), "base".into()], "what is half-done is not saved once more");
    assert_eq!(helpers(&stack), Vec::<String>::new());
    stack.up();
    assert_eq!((mark(&stack, "big"), mark(&stack, "small")), ("first".into(), "first".into()));
    stack.dev(&["plan", "--exit-code"]).ends(0);

    // And back to what was there before.
    stack.dev(&["snapshot", "restore", &auto]).ends(0);
    assert_eq!((mark(&stack, "big"), mark(&stack, "small")), ("second".into(), "second".into()));
}

#[test]
fn a_restore_that_was_cut_off_can_be_gone_back_on_or_given_up() {
    let _turn = heavy();
    let stack = Stack::new("cut-back", THREE);
    cut_off_restore(&stack);
    let refused = stack.dev(&["start", "small"]);
    assert_ne!(refused.code, 0, "{}", refused.stderr);
    let refused = stack.dev(&["up"]).ends(1);
    let back = Regex::new("snapshot restore (auto-[0-9-]+)").expect("a pattern");
    let auto = back.captures(&refused.stderr).expect("the snapshot of before")[1].to_owned();
    stack.dev(&["snapshot", "restore", &auto]).ends(0);
    stack.up();
    assert_eq!((mark(&stack, "big"), mark(&stack, "small")), ("second".into(), "second".into()));

    // Given up: the data goes, and what was half-done with it.
    let created = format!("created volume {}", stack.volume("big"));
    let begun = (0..10).any(|_| is_cut_off(&stack, &["snapshot", "restore", "base", "--no-snapshot"], &created));
    assert!(begun, "always cut off too late");
    stack.dev(&["down"]).ends(0);
    stack.dev(&["up"]).ends(1);
    let before = names(&stack);
    stack.dev(&["down", "-v"]).ends(0);
    assert_eq!(docker::left(&stack.label()), Vec::<String>::new());
    // When nothing was in the volume yet there was nothing to save.
    for half in names(&stack).iter().filter(|name| !before.contains(name)) {
        stack.dev(&["snapshot", "restore", half]).ends(1).says(&["holds only a part of volume", "restore base"]);
    }
    stack.dev(&["snapshot", "restore", "base"]).ends(0);
    stack.up();
    assert_eq!((mark(&stack, "big"), mark(&stack, "small")), ("first".into(), "first".into()));
}

#[test]
fn a_save_that_is_interrupted_leaves_no_snapshot_and_everything_runs_again() {
    let _turn = heavy();
    let stack = Stack::new("cut-save", THREE);
    stack.up();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut save = stack.start(&["snapshot", "save", "part"]);
        save.wait_for("is empty: nothing to save");
        save.signal(signal);
        save.finish().ends(code);
        assert_eq!(names(&stack), Vec::<String>::new());
        assert_eq!((stack.state("big"), stack.state("small")), ("running".into(), "running".into()), "{signal}");
    }

    // Killed, nothing can be tidied up; the rest of it is no snapshot, and in the way of none.
    for next in ["gc", "save", "remove", "up"] {
        let mut save = stack.start(&["snapshot", "save", "part"]);
        save.wait_for(&format!("saved volume {}", stack.volume("small")));
        save.signal("KILL");
        save.finish();
        assert_eq!(names(&stack), Vec::<String>::new(), "{next}");
        stack.dev(&["snapshot", "restore", "part"]).ends(2).says(&["not a complete snapshot", "snapshot remove part"]);
        stack.dev(&["snapshot", "list"]).ends(0).says(&["saving `part` was cut off", "snapshot remove part"]);
        assert!(helpers(&stack).contains(&format!("{}.copy", stack.volume("big"))), "{next}");
        match next {
            "gc" => {
                let gc = stack.dev(&["gc", "--dry-run"]).ends(0).stdout;
                assert!(gc.contains("would remove a part of snapshot part"), "{gc}");
                stack.dev(&["gc"]).ends(0);
            }
            "save" => {
                stack.dev(&["snapshot", "save", "part"]).ends(0);
                assert_eq!(names(&stack), ["part"]);
                stack.dev(&["snapshot", "remove", "part"]).ends(0);
            }
            "remove" => drop(stack.dev(&["snapshot", "remove", "part"]).ends(0)),
            _ => {
                let plan = stack.dev(&["plan", "--exit-code"]).ends(10).stdout;
                assert!(plan.contains(&format!("remove leftover {}.copy", stack.volume("big"))), "{plan}");
                stack.up();
                stack.dev(&["plan", "--exit-code"]).ends(0);
                stack.dev(&["snapshot", "remove", "part"]).ends(0);
            }
        }
        if next != "remove" {
            assert_eq!(helpers(&stack), Vec::<String>::new(), "{next}");
        }
        stack.up();
        assert_eq!(docker::images(&stack.label()), Vec::<String>::new(), "{next}");
    }
    assert_eq!((mark(&stack, "big"), mark(&stack, "small")), ("first".into(), "first".into()));
}

#[test]
fn an_empty_volume_of_a_snapshot_is_empty_again() {
    let stack = Stack::new("cut-empty", &THREE.replace("count=256", "count=1"));
    stack.up();
    stack.dev(&["snapshot", "save", "base"]).ends(0).says(&["-bare is empty"]);
    docker::exec(&stack.container("small"), &["touch", "/bare/later"]);
    stack.dev(&["snapshot", "restore", "base"]).ends(0);
    assert_eq!(docker::output(&stack.container("small"), &["ls", "/bare"]).trim(), "");
}

const MINISTACK: &str = r#"
[services.ministack]
kind = "ministack"
image = "image:ministack"
ports = ["4566"]
env = { STATE_DIR = "/state" }
volumes = ["data:/state"]
watch = [{ path = "src", action = "restart" }]
"#;

/// Ends an `up` by a signal while it puts objects back. False where that stopped the emulator, as a signal that is handled does.
fn cut_off_putting_back(stack: &Stack, signal: &str) -> bool {
    // A busy machine may see the first object when the last one is there.
    for _ in 0..10 {
        let up = stack.start(&["up"]);
        wait_until("the emulator", || (stack.state("ministack") == "running").then_some(()));
        let s3 = S3::of(stack, "ministack");
        wait_until("the first objects", || (s3.count("made") > 0).then_some(()));
        up.signal_if_running(signal);
        up.finish();
        if stack.state("ministack") != "running" {
            return false;
        }
        if s3.count("made") < 900 {
            return true;
        }
        stack.dev(&["down"]).ends(0);
    }
    panic!("always cut off too late")
}

#[test]
fn objects_that_are_not_all_put_back_are_finished_by_whatever_comes_next() {
    let _turn = heavy();
    let stack = Stack::new("cut-objects", MINISTACK);
    stack.file("src/main", "");
    stack.up();
    let s3 = S3::of(&stack, "ministack");
    s3.make_bucket("made");
    s3.fill("made", 900);
    stack.dev(&["down"]).ends(0);
    for (signal, next) in
        [("KILL", "up"), ("HUP", "backup"), ("KILL", "save"), ("KILL", "start"), ("", "watch"), ("", "restarted")]
    {
        if signal.is_empty() {
            docker::restart(&stack.container("ministack"));
        } else if !cut_off_putting_back(&stack, signal) {
            continue;
        }
        let plan = stack.dev(&["plan", "--exit-code"]).ends(10);
        assert!(plan.stdout.contains("put back objects of ministack"), "{}", plan.stdout);
        assert_eq!(stack.ps("ministack")["ready"], false);
        let all = stack.dev(&["ps", "--json"]).ends(0).json().remove(0)["unfinished"].clone();
        let [what, service, finish] = [&all[0]["what"], &all[0]["services"][0], &all[0]["finish"]];
        assert_eq!([what, service], ["put-back-objects", "ministack"]);
        assert!(finish.as_str().is_some_and(|finish| finish.ends_with("up ministack")), "{all}");
        match next {
            "backup" => {
                let file = stack.path().join("a.tar").display().to_string();
                let saved = stack.dev(&["backup", &file, "--force", "--json"]).ends(0).json().remove(0);
                assert_eq!(saved["services"][0]["versions"], 900, "{saved}");
            }
            "save" => drop(stack.dev(&["snapshot", "save", "all"]).ends(0)),
            "start" => drop(stack.dev(&["start"]).ends(0)),
            "watch" => {
                let mut watch = stack.start(&["watch"]);
                watch.wait_for("put back");
                watch.wait_for("watching");
                watch.signal("INT");
                watch.finish().ends(130);
            }
            _ => drop(stack.up()),
        }
        assert_eq!(S3::of(&stack, "ministack").count("made"), 900, "after {next}");
        stack.dev(&["plan", "--exit-code"]).ends(0);
        stack.dev(&["stop"]).ends(0);
        if matches!(next, "start" | "watch") {
            stack.up();
        } else {
            stack.dev(&["down"]).ends(0);
        }
    }
}

#[test]
fn a_backup_that_was_half_restored_is_restored_before_anything_else() {
    let _turn = heavy();
    let stack = Stack::new("cut-file", &format!("{POSTGRES}{REDIS}"));
    stack.up();
    let sql = |text: &str| postgres(stack.port("postgres", 5432)).batch_execute(text).expect("run");
    sql("create table kept as select generate_series(1, 300000) as id");
    assert_eq!(ask(&stack.address("redis", 6379), "SET key saved"), "+OK");
    stack.dev(&["backup", "a.tar"]).ends(0);
    // A busy machine may see the beginning when all is restored.
    let begun = (0..10).position(|_| {
        sql("delete from kept where id > 5");
        assert_eq!(ask(&stack.address("redis", 6379), "SET key later"), "+OK");
        is_cut_off(&stack, &["restore", "a.tar", "--replace"], "restoring")
    });
    let earlier = begun.expect("always cut off too late");
    let words = ["a.tar was cut off", "taskava dev restore"];
    let refused = stack.dev(&["up"]).ends(1).says(&words);
    for command in
        [&["backup", "b.tar"][..], &["snapshot", "save", "x"], &["db", "fork", "copy"], &["restart", "redis"]]
    {
        stack.dev(command).ends(1).says(&words);
    }
    assert!(!stack.path().join("b.tar").exists());
    run_named(&stack, &refused).says(&["compared with what was saved"]);
    stack.up();
    let rows: i64 =
        postgres(stack.port("postgres", 5432)).query_one("select count(*) from kept", &[]).expect("rows").get(0);
    assert_eq!((rows, ask(&stack.address("redis", 6379), "STRLEN key")), (300_000, ":5".into()));
    stack.dev(&["db", "fork", "copy"]).ends(0);
    assert_eq!(names(&stack).len(), (1 + earlier).min(3), "the data of before, and not what was half-restored");
}

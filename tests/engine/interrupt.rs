//! Runs that are cut off, and runs at the same time: what stays behind, and what the next `up` makes of it.

use std::time::{Duration, Instant};

use crate::clients::{POSTGRES, postgres};
use crate::docker;
use crate::never_early::slow_postgres;
use crate::stack::{Running, Stack, heavy, image, wait_until};

/// `first` is ready at once, `never` never is.
const NEVER_READY: &str = r#"
[services.first]
image = "image:busybox"
command = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]

[services.never]
image = "image:busybox"
command = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
ready = { exec = "false" }
depends_on = ["first"]
"#;

/// Newer engines list a container as running for a moment after they have answered that it is stopped.
#[track_caller]
fn come_to<const N: usize>(stack: &Stack, services: [&str; N], states: [&str; N]) {
    let all = || services.map(|service| stack.state(service));
    wait_until(&format!("{services:?} in {states:?}"), || (all() == states).then_some(()));
}

fn waiting_for_never(stack: &Stack) -> Running {
    let mut up = stack.start(&["up"]);
    up.wait_for("never  started");
    up
}

#[test]
fn ctrl_c_stops_what_this_run_started() {
    let stack = Stack::new("int", NEVER_READY);
    stack.dev(&["up", "first"]).ends(0);
    let up = waiting_for_never(&stack);
    up.signal("INT");
    up.finish().ends(130).says(&["stopping what this run started", "stopped never"]);
    come_to(&stack, ["first", "never"], ["running", "exited"]);
    stack.dev(&["down"]).ends(0);

    let up = waiting_for_never(&stack);
    up.signal("INT");
    up.finish().ends(130).says(&["stopped never", "stopped first"]);
    come_to(&stack, ["first", "never"], ["exited", "exited"]);
}

#[test]
fn sigterm_does_the_same_and_ends_with_143() {
    let stack = Stack::new("term", NEVER_READY);
    let up = waiting_for_never(&stack);
    up.signal("TERM");
    up.finish().ends(143);
    come_to(&stack, ["first", "never"], ["exited", "exited"]);
}

#[test]
fn a_second_ctrl_c_kills() {
    let deaf = NEVER_READY.replace("trap 'exit 0' TERM", "trap '' TERM");
    let deaf = deaf.replace("ready = {", "stop_timeout = \"1000s\"\nready = {");
    let stack = Stack::new("int-twice", &deaf);
    let mut up = waiting_for_never(&stack);
    let began = Instant::now();
    up.signal("INT");
    up.wait_for("interrupt again to kill");
    up.signal("INT");
    up.finish().ends(130);
    assert!(began.elapsed() < Duration::from_secs(120), "{:?} of 1000 s", began.elapsed());
    come_to(&stack, ["first", "never"], ["exited", "exited"]);
}

#[test]
fn ctrl_c_as_json_is_a_summary_too() {
    let stack = Stack::new("int-json", NEVER_READY);
    let up = stack.start(&["--format", "json", "up"]);
    wait_until("never runs", || (stack.state("never") == "running").then_some(()));
    up.signal("INT");
    let events = up.finish().ends(130).json();
    assert!(events.iter().any(|event| event["event"] == "interrupted"));
    let last = events.last().expect("lines");
    assert_eq!((&last["event"], &last["ok"]), (&"summary".into(), &false.into()), "{last}");
}

/// Takes a second to get ready.
const SLOW: &str = r#"
[services.slow]
image = "image:busybox"
command = ["sh", "-c", "sleep 2; touch /tmp/ready; exec sleep 1000"]
stop_signal = "SIGKILL"
ready = { exec = ["test", "-e", "/tmp/ready"] }
"#;

#[test]
fn two_ups_at_once_serialise_and_both_succeed() {
    let stack = Stack::new("both", SLOW);
    let mut first = stack.start(&["up"]);
    first.wait_for("created network");
    let second = stack.dev(&["up"]).ends(0);
    let first = first.finish().ends(0);
    second.says(&["taskava dev up", "(pid ", "nothing to do"]);
    assert!(first.stderr.contains("done"), "{}", first.stderr);
    stack.container("slow");
}

#[test]
fn waiting_for_the_lock_has_an_end() {
    let stack = Stack::new("lock", NEVER_READY);
    let up = waiting_for_never(&stack);
    let began = Instant::now();
    stack.dev(&["up", "--lock-timeout", "0"]).ends(8).says(&["is being changed by `taskava dev up` (pid "]);
    stack.dev(&["down", "--lock-timeout", "1"]).ends(8);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    stack.dev(&["ps"]).ends(0);
    stack.dev(&["plan"]).ends(0);
    up.signal("INT");
    up.finish().ends(130);
}

#[test]
fn up_after_sigkill_at_any_moment_gives_a_right_stack() {
    let services = r#"
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
volumes = ["cache:/data"]

[services.job]
kind = "job"
image = "image:busybox"
command = ["true"]
depends_on = ["redis"]

[services.api]
image = "image:busybox"
command = ["httpd", "-f", "-p", "80"]
stop_signal = "SIGKILL"
ports = ["80"]
depends_on = ["job"]
"#;
    let stack = Stack::new("kill", services);
    for moment in ["created volume", "created network", "redis  created", "redis  started", "job    started"] {
        let mut up = stack.start(&["up"]);
        up.wait_for(moment);
        up.signal("KILL");
        let cut = up.finish();
        assert_eq!(cut.code, -1, "it was over before it was killed:\n{}", cut.stderr);
        stack.up();
        for service in ["redis", "job", "api"] {
            assert_eq!(stack.ps(service)["ready"], true, "{service} after a kill at {moment:?}");
        }
        stack.dev(&["plan", "--exit-code"]).ends(0);
        stack.dev(&["down", "-v"]).ends(0);
    }
}

#[test]
fn two_networks_of_one_name_are_settled() {
    let stack = Stack::new("networks", NEVER_READY);
    stack.dev(&["up", "first"]).ends(0);
    let twice = || {
        docker::double_network(&format!("{}-default", stack.project));
    };
    twice();
    stack.dev(&["up", "--recreate", "first"]).ends(0);
    assert_eq!(stack.state("first"), "running");
    twice();
    stack.dev(&["down"]).ends(0);
    assert!(docker::left(&stack.label()).is_empty());
}

#[test]
fn down_after_sigkill_leaves_nothing() {
    let stack = Stack::new("kill-down", NEVER_READY);
    let up = waiting_for_never(&stack);
    up.signal("KILL");
    up.finish();
    stack.dev(&["down", "-v"]).ends(0);
    assert!(docker::left(&stack.label()).is_empty());
}

#[test]
fn a_first_boot_of_postgres_that_was_cut_off_is_done_again() {
    let stack = slow_postgres("half");
    let up = stack.start(&["up"]);
    // The init script runs: the database looks finished from outside, but is not.
    let id = wait_until("a container", || stack.find("postgres"));
    wait_until("the init script", || docker::log(&id).contains("running /docker-entrypoint-initdb.d/").then_some(()));
    docker::kill(&id);
    up.finish().ends(7).says(&["✘ postgres"]);

    stack.up().says(&["cut off half-way", &stack.volume("data")]);
    let mut client = postgres(stack.port("postgres", 5432));
    let count: i64 = client.query_one("select count(*) from seeded", &[]).expect("the whole database").get(0);
    assert_eq!(count, 3);
    client.batch_execute("create table kept ()").expect("written");
    drop(client);

    // A database that was finished once is never initialised again, however it ends.
    docker::kill(&stack.container("postgres"));
    let up = stack.up();
    assert!(!up.stderr.contains("cut off"), "{}", up.stderr);
    postgres(stack.port("postgres", 5432)).batch_execute("select from kept").expect("the table");
}

#[test]
fn ctrl_c_during_the_first_boot_of_postgres_leaves_no_half_database() {
    let stack = slow_postgres("half-int");
    let up = stack.start(&["up"]);
    let id = wait_until("a container", || stack.find("postgres"));
    wait_until("the init script", || docker::log(&id).contains("running /docker-entrypoint-initdb.d/").then_some(()));
    up.signal("INT");
    up.finish().ends(130);
    stack.up();
    let mut client = postgres(stack.port("postgres", 5432));
    let count: i64 = client.query_one("select count(*) from seeded", &[]).expect("the whole database").get(0);
    assert_eq!(count, 3);
}

#[test]
fn a_data_directory_that_was_copied_in_half_is_neither_started_on_nor_removed() {
    let _turn = heavy();
    let copier = "[services.copier]\nimage = \"image:busybox\"\ninit = true\ncommand = [\"sleep\", \"1000\"]\nvolumes = [\"data:/data\"]\n";
    // Where it is may be what only the image says.
    let own =
        POSTGRES.replace("image = \"image:postgres\"", "build = \"db\"").replace("/var/lib/postgresql/data", "/srv/pg");
    for (name, services) in [("copied", POSTGRES.to_owned()), ("copied-own", own)] {
        let stack = Stack::new(name, &format!("{services}{copier}"));
        let from = format!("FROM {}\nLABEL test={}\nENV PGDATA=/srv/pg\n", image("image:postgres"), stack.project);
        stack.file("db/Dockerfile", &from);
        stack.up();
        postgres(stack.port("postgres", 5432)).batch_execute("create table kept as select 1").expect("written");
        stack.dev(&["stop", "postgres"]).ends(0);
        let copier = stack.container("copier");
        let content = || docker::output(&copier, &["sh", "-c", "cd /data && find . -type f | sort | xargs md5sum"]);
        // In the order of names, cut off earlier and earlier.
        for cut in ["rm -f postmaster.*", "rm -rf pg_* postgresql*", "rm -rf global", "rm -rf base/[4-9]*"] {
            docker::exec(&copier, &["sh", "-c", &format!("cd /data && {cut}")]);
            let before = content();
            let words = ["the data of postgres in volume", &stack.volume("data"), "is incomplete", "left as it is"];
            stack.dev(&["up"]).ends(1).says(&words);
            assert_ne!(stack.state("postgres"), "running", "{cut}");
            assert!(before.contains("PG_VERSION") && before == content(), "{cut}");
        }
        assert!(!stack.dev(&["snapshot", "list"]).ends(0).stdout.contains("auto-"), "nothing was removed");
    }
}

//! `ps` says what is true now, also of what happened behind its back.

use crate::docker;
use crate::pty::Terminal;
use crate::stack::{Stack, image, wait_until};

const SERVICES: &str = r#"
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]

[services.web]
image = "image:busybox"
command = ["httpd", "-f", "-p", "80", "-h", "/etc"]
stop_signal = "SIGKILL"
ports = ["80"]
ready = { http = "http://:80/passwd" }

[services.job]
kind = "job"
image = "image:busybox"
command = ["true"]

[services.tool]
image = "image:busybox"
profiles = ["tools"]
"#;

#[test]
fn states_and_readiness_are_live() {
    let stack = Stack::new("live", SERVICES);
    let nothing = stack.dev(&["ps"]).ends(0);
    assert_eq!(nothing.stdout, "");
    nothing.says(&["taskava dev up"]);
    assert_eq!(stack.ps("redis")["state"], "missing");

    stack.up();
    let [redis, web] = stack.containers(["redis", "web"]);
    let said = |service: &str| {
        let row = stack.ps(service);
        (row["state"].as_str().expect("a state").to_owned(), row["ready"].clone())
    };
    assert_eq!(said("redis"), ("running".into(), true.into()));
    assert_eq!(said("job"), ("exited".into(), true.into()));
    assert_eq!(said("tool").0, "missing");

    docker::pause(&redis);
    assert_eq!(said("redis"), ("paused".into(), false.into()));
    docker::unpause(&redis);
    assert_eq!(said("redis"), ("running".into(), true.into()));

    docker::stop(&web);
    // Some engines answer a moment before their list says so.
    wait_until("it is listed as exited", || (said("web") == ("exited".into(), false.into())).then_some(()));
    assert_eq!(stack.ps("web")["exit_code"], 137);
    let table = stack.dev(&["ps"]).ends(0).stdout;
    assert!(table.lines().any(|line| line.starts_with("web ") && line.contains("exited (137)")), "{table}");

    // What was removed behind its back is named.
    docker::remove(&stack.container("job"));
    stack.dev(&["ps"]).ends(0).says(&["without a container: job; create with: taskava dev up job"]);

    // What stopped behind its back, up starts again; the container stays.
    stack.up();
    assert_eq!(said("web"), ("running".into(), true.into()));
    assert_eq!(stack.container("web"), web);
}

#[test]
fn a_service_that_runs_but_does_not_answer_is_not_ready_and_says_why() {
    let hangs = r#"
[services.web]
image = "image:busybox"
command = ["sh", "-c", "mkdir /www; touch /www/health; exec httpd -f -p 80 -h /www"]
stop_signal = "SIGKILL"
ports = ["80"]
ready = { http = "http://:80/health" }
"#;
    let stack = Stack::new("sick", hangs);
    stack.up();
    assert_eq!(stack.ps("web")["ready"], true);
    docker::exec(&stack.container("web"), &["rm", "/www/health"]);
    let row = stack.ps("web");
    assert_eq!((&row["state"], &row["ready"]), (&"running".into(), &false.into()));
    assert!(row["reason"].as_str().is_some_and(|why| why.contains("404")), "{row}");
    assert!(stack.dev(&["ps"]).ends(0).stdout.contains("404"));
}

#[test]
fn each_form_of_output_has_what_it_promises() {
    let stack = Stack::new("forms", SERVICES);
    stack.up();
    let ids = stack.containers(["redis", "web", "job"]);
    let lines = |arguments: &[&str]| -> Vec<String> {
        stack.dev(arguments).ends(0).stdout.lines().map(str::to_owned).collect()
    };
    let quiet = lines(&["ps", "-q"]);
    assert_eq!(quiet.len(), 3);
    for id in &ids {
        assert!(quiet.iter().any(|short| !short.is_empty() && id.starts_with(short)), "{id} in {quiet:?}");
    }
    assert_eq!(lines(&["ps", "--services"]), ["redis", "web", "job"]);
    assert_eq!(lines(&["ps", "-a", "--services"]), ["redis", "web", "job", "tool"]);
    assert_eq!(lines(&["ps", "--services", "web"]), ["web"]);
    stack.dev(&["ps", "nobody"]).ends(2);

    docker::kill(&ids[1]);
    let shown = stack.dev(&["ps", "--color", "always"]).ends(0).stdout;
    assert!(shown.contains("\u{1b}[33m\u{1b}[1mexited (137)\u{1b}[0m"), "{shown:?}");
    assert!(shown.contains("  exited (0)"), "a job that did its work: {shown:?}");
    stack.up();

    assert_eq!(lines(&["ps", "--quiet"]), quiet, "as docker compose has it");
    assert_eq!(lines(&["config", "--quiet"]), [""; 0]);

    // What one wants to copy is whole, however narrow the window is.
    for columns in [50, 80] {
        let mut narrow = Terminal::start(&stack.command(&["ps"]), 30, columns);
        assert_eq!(narrow.ends(), 0);
        let shown = narrow.everything();
        for whole in
            [format!("{}→80", stack.port("web", 80)), image("image:busybox").into(), image("image:redis").into()]
        {
            assert!(shown.contains(&whole) && !shown.contains('…'), "{columns}: {whole} in {shown}");
        }
    }

    let json = stack.dev(&["ps", "--json"]).ends(0).json().remove(0);
    assert_eq!((&json["v"], json["stack"].as_str()), (&1.into(), Some(stack.project.as_str())));
    let web = &json["services"][1];
    assert_eq!((&web["service"], &web["kind"], &web["orphan"]), (&"web".into(), &"generic".into(), &false.into()));
    assert_eq!(web["ports"][0]["host"], stack.port("web", 80));
    assert_eq!((&web["ports"][0]["container"], &web["ports"][0]["address"]), (&80.into(), &"127.0.0.1".into()));
    assert!(ids[1].starts_with(web["container"].as_str().expect("an id")), "{web}");
    assert_eq!(stack.dev(&["--format", "json", "ps"]).ends(0).json().len(), 1);
}

#[test]
fn ps_does_not_wait_for_what_is_not_ready_yet() {
    let stack = crate::never_early::slow_postgres("starting");
    let up = stack.start(&["up"]);
    wait_until("PostgreSQL boots", || (stack.state("postgres") == "running").then_some(()));
    let row = stack.ps("postgres");
    assert_eq!((&row["state"], &row["ready"]), (&"running".into(), &false.into()), "{row}");
    up.finish().ends(0);
    assert_eq!(stack.ps("postgres")["ready"], true);
}

#[test]
fn what_up_called_not_ready_is_not_ready_for_ps_and_explain_either() {
    let services = r#"
[services.a]
image = "image:busybox"
command = "sleep 1000"
stop_signal = "SIGKILL"
ready = { exec = ["false"], timeout = "3s" }
[services.b]
image = "image:busybox"
command = "sleep 1000"
stop_signal = "SIGKILL"
ready = { log = "never written", timeout = "3s" }
[services.c]
image = "image:busybox"
command = "sleep 1000"
stop_signal = "SIGKILL"
healthcheck = { test = ["CMD", "false"], interval = "1s", retries = 1 }
ready = { timeout = "3s" }
"#;
    let stack = Stack::new("never-ready", services);
    stack.dev(&["up", "--keep-going"]).ends(6);
    for service in ["a", "b", "c"] {
        let row = stack.ps(service);
        assert_eq!((&row["state"], &row["ready"]), (&"running".into(), &false.into()), "{row}");
        assert!(row["reason"].as_str().is_some_and(|why| !why.is_empty()), "{row}");
        let explained = stack.dev(&["explain", service]).ends(0).stdout;
        assert!(explained.contains("not yet"), "{explained}");
    }
}

#[test]
fn a_service_that_ends_with_0_is_done_where_nothing_says_that_it_runs() {
    let stack = Stack::new(
        "one-shot",
        r#"
[services.migrate]
image = "image:busybox"
command = ["sh", "-c", "sleep 0.2; echo migrated"]
restart = "on-failure"
[services.after]
image = "image:busybox"
command = ["sleep", "1000"]
stop_timeout = "0s"
depends_on = { migrate = "started" }
[services.waits]
image = "image:busybox"
command = ["sleep", "1000"]
stop_timeout = "0s"
depends_on = ["ends"]
profiles = ["waits"]
[services.ends]
image = "image:busybox"
command = ["true"]
profiles = ["waits"]
[services.port]
image = "image:busybox"
command = ["true"]
ports = ["8000"]
profiles = ["port"]
"#,
    );
    stack.dev(&["up"]).ends(0);
    wait_until("it has ended", || (stack.state("migrate") == "exited").then_some(()));
    let rows = stack.dev(&["ps"]).ends(0).stdout;
    let row = rows.lines().find(|line| line.starts_with("migrate")).unwrap_or_else(|| panic!("{rows}"));
    assert!(row.contains("exited (0)") && row.contains("done"), "{rows}");
    assert!(stack.dev(&["explain", "migrate"]).ends(0).stdout.contains("done"));
    // As docker compose does, `up` runs it again.
    stack.dev(&["up"]).ends(0);
    // What others wait for, or what publishes a port, has to keep running.
    stack.dev(&["--profile", "waits", "up"]).ends(7).says(&["ends: exited with code 0", "kind = \"job\""]);
    stack.dev(&["--profile", "port", "up", "port"]).ends(7).says(&["port: exited with code 0"]);
}

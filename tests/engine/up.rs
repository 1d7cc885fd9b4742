//! `up` ends with a stack that clients can use, and does nothing when there is nothing to do.

use crate::clients::{POSTGRES, ask, get, postgres};
use crate::docker;
use crate::stack::{Stack, heavy, wait_until};

/// Any signature will do for an emulator.
const AWS: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, \
                   Signature=0\r\nx-amz-date: 20260101T000000Z\r\n";

/// The four services of the product, a job, and what depends on all of them.
fn four_services() -> String {
    let rest = r#"
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]

[services.localstack]
kind = "localstack"
image = "image:localstack"
ready = { timeout = "4m" }
ports = ["4566"]

[services.mailhog]
kind = "mailhog"
image = "image:mailhog"
ports = ["1025", "8025"]

[services.migrate]
kind = "job"
image = "image:postgres"
command = ["sh", "-c", "exec psql -v ON_ERROR_STOP=1 -c 'create table migrated ()' postgresql://app:secret@postgres/app"]
depends_on = ["postgres"]

[services.api]
image = "image:busybox"
command = ["httpd", "-f", "-p", "8080", "-h", "/etc"]
stop_signal = "SIGKILL"
ports = ["8080"]
ready = { http = "http://:8080/passwd" }
depends_on = ["postgres", "redis", "localstack", "mailhog", "migrate"]
"#;
    format!("{POSTGRES}{rest}")
}

#[test]
fn four_real_services_a_job_and_a_dependant_are_usable_when_up_returns() {
    let _turn = heavy();
    let stack = Stack::new("four", &four_services());
    let up = stack.up();

    let sql = "select count(*) from migrated";
    let rows: i64 = postgres(stack.port("postgres", 5432)).query_one(sql, &[]).expect("the job's table").get(0);
    assert_eq!(rows, 0);
    assert_eq!(ask(&stack.address("redis", 6379), "PING"), "+PONG");
    assert!(ask(&stack.address("mailhog", 1025), "").starts_with("220 "));
    assert_eq!(get(&stack.address("mailhog", 8025), "/api/v2/messages", "").0, 200);
    let (status, buckets) = get(&stack.address("localstack", 4566), "/", AWS);
    assert!(status == 200 && buckets.contains("ListAllMyBucketsResult"), "{status}: {buckets}");
    assert_eq!(get(&stack.address("api", 8080), "/passwd", "").0, 200);

    for (service, port) in [("postgres", 5432), ("redis", 6379), ("localstack", 4566), ("mailhog", 8025)] {
        let address = stack.address(service, port).replace("127.0.0.1", "");
        assert!(up.stdout.contains(&address), "no {address} of {service} in\n{}", up.stdout);
    }
    assert!(!up.stdout.contains("secret") && !up.stderr.contains("secret"), "{up:?}");

    // The job's work is done, so the order was kept: it is first among those that came after PostgreSQL.
    let position = |line: &str| up.stderr.find(line).unwrap_or_else(|| panic!("no {line:?} in\n{}", up.stderr));
    let order = ["postgres    ready", "migrate     started", "migrate     ready", "api         started"].map(position);
    assert!(order.is_sorted(), "{}", up.stderr);
}

const TWO: &str = r#"
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
"#;

#[test]
fn a_second_up_changes_nothing() {
    let stack = Stack::new("again", TWO);
    let plan = stack.dev(&["plan", "--exit-code"]).ends(10);
    assert!(plan.stdout.contains("wait redis"), "{}", plan.stdout);
    assert_eq!(stack.find("redis"), None, "plan only looks");

    stack.up();
    let (ids, started) = (stack.containers(["redis", "job"]), docker::inspect(&stack.container("redis")).started_at);
    let plan = stack.dev(&["plan", "--exit-code"]).ends(0);
    assert!(plan.stdout.starts_with("nothing to do"), "{}", plan.stdout);
    stack.up().says(&["nothing to do"]);
    assert_eq!(stack.containers(["redis", "job"]), ids);
    assert_eq!(docker::inspect(&ids[0]).started_at, started);
}

#[test]
fn plan_as_json_carries_every_step_with_its_cause() {
    let stack = Stack::new("plan-json", TWO);
    let plan = stack.dev(&["--format", "json", "plan"]).ends(0).json().remove(0);
    let steps = plan["steps"].as_array().expect("steps");
    let of = |op: &str, service: &str| {
        steps.iter().find(|step| step["op"] == op && step["service"] == service).expect("a step").clone()
    };
    assert_eq!(of("create", "redis")["cause"]["why"], "missing");
    let (ready, start) = (of("wait-ready", "redis"), of("start", "job"));
    assert!(start["after"].as_array().expect("ids").contains(&ready["id"]), "{start}");
}

#[test]
fn services_without_a_published_port_are_ready_too() {
    let inside = POSTGRES.replace("ports = [\"5432\"]\n", "");
    let stack =
        Stack::new("inside", &format!("{inside}\n[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\n"));
    stack.up();
    for service in ["postgres", "redis"] {
        assert_eq!(stack.ps(service)["ready"], true, "{service}");
    }
}

#[test]
fn each_test_of_ready_is_waited_for() {
    const SERVICES: [&str; 4] = ["log", "exec", "tcp", "http"];
    let stack = Stack::new(
        "ready",
        r#"
[services.log]
image = "image:busybox"
command = ["sh", "-c", "echo starting; until test -e /go; do sleep 0.1; done; echo listening on 80; exec sleep 1000"]
stop_signal = "SIGKILL"
ready = { log = "listening on \\d+" }

[services.exec]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
ready = { exec = ["test", "-e", "/go"] }

[services.tcp]
image = "image:busybox"
command = ["sh", "-c", "until test -e /go; do sleep 0.1; done; exec httpd -f -p 80"]
stop_signal = "SIGKILL"
ports = ["80"]
ready = { tcp = 80 }

[services.http]
image = "image:busybox"
command = ["sh", "-c", "mkdir /www; httpd -p 80 -h /www; until test -e /go; do sleep 0.1; done; touch /www/health; exec sleep 1000"]
stop_signal = "SIGKILL"
ports = ["80"]
ready = { http = "http://:80/health" }
"#,
    );
    let up = stack.start(&["--format", "json", "up"]);
    let is_ready = |service: &str| {
        let is_meant = |event: &serde_json::Value| {
            event["event"] == "step-done" && event["text"] == format!("wait {service}").as_str()
        };
        up.printed().lines().filter_map(|line| serde_json::from_str(line).ok()).any(|event| is_meant(&event))
    };
    for service in SERVICES {
        wait_until(service, || (stack.find(service).is_some() && stack.state(service) == "running").then_some(()));
        // This asks what `up` asks.
        assert_eq!(stack.ps(service)["ready"], false, "{service}");
    }
    for (at, service) in SERVICES.into_iter().enumerate() {
        for later in &SERVICES[at..] {
            assert!(!is_ready(later), "{later} before its time: {}", up.printed());
        }
        docker::exec(&stack.container(service), &["touch", "/go"]);
        wait_until(&format!("{service} to be ready"), || is_ready(service).then_some(()));
    }
    up.finish().ends(0);
}

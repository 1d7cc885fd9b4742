//! `up` when pulling, creating, starting or running a container goes wrong: exit code and message of each.

use crate::fake::{Fake, Reply};
use crate::taskava::dev;

const APP: &str = r#"services.app = { image = "app:1" }"#;
const JOB: &str = r#"services.job = { kind = "job", image = "app:1" }"#;

#[tokio::test]
async fn a_healthy_engine_gets_a_stack_up_and_down() {
    let fake = Fake::new().without_image("app:1");
    let both = format!("{APP}\n{JOB}");
    let fake = fake.exits("job", 0, false);
    dev(&fake, &both, &["up"]).await.ends(0, &["app", "job"]);
    let pulls = fake.requests().iter().filter(|request| *request == "POST /images/create").count();
    assert_eq!(pulls, 1, "one image is pulled once");
    dev(&fake, &both, &["up"]).await.ends(0, &["nothing to do"]);
    dev(&fake, &both, &["down", "-v", "-y"]).await.ends(0, &[]);
    assert_eq!(fake.left(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pull_that_fails_after_it_began_is_an_image_error() {
    let stream = "{\"status\":\"Pulling from app\"}\r\n\
                  {\"errorDetail\":{\"message\":\"manifest unknown\"},\"error\":\"manifest unknown\"}\r\n";
    let fake = Fake::new().without_image("app:1").on("POST", "/images/create", Reply::Text(stream));
    dev(&fake, APP, &["up"]).await.ends(4, &["app:1", "manifest unknown", "the registry has no image app:1"]);
}

#[tokio::test]
async fn a_pull_that_is_cut_off_is_an_image_error() {
    let half = "{\"status\":\"Pulling from app\"}\r\n{\"status\":\"Downl";
    let fake = Fake::new().without_image("app:1").on("POST", "/images/create", Reply::Text(half));
    dev(&fake, APP, &["up"]).await.ends(4, &["can't pull app:1", "cut off"]);
    // When the connection breaks, it is the engine that went away.
    let fake = Fake::new().without_image("app:1").on("POST", "/images/create", Reply::Cut(half));
    dev(&fake, APP, &["up"]).await.ends(3, &["can't pull app:1"]);
}

#[tokio::test]
async fn a_foreign_container_of_the_same_name_is_left_alone() {
    let conflict = "Conflict. The container name \"/faults-app\" is already in use by container \"123\".";
    let fake = Fake::new().on("POST", "/containers/create", Reply::error(409, conflict));
    dev(&fake, APP, &["up"]).await.ends(1, &["already in use", "-p NAME"]);
    assert!(!fake.requests().iter().any(|request| request.starts_with("DELETE /containers")));
}

#[tokio::test]
async fn a_port_that_is_taken_has_its_own_exit_code() {
    for message in [
        "driver failed programming external connectivity on endpoint faults-app: Bind for 127.0.0.1:5432 failed: port is already allocated",
        "failed to bind port 127.0.0.1:5432/tcp: Error starting userland proxy: listen tcp4 127.0.0.1:5432: bind: address already in use",
    ] {
        let fake = Fake::new().on("POST", "/containers/*/start", Reply::error(500, message));
        dev(&fake, APP, &["up"]).await.ends(5, &["app", "5432"]);
    }
}

#[tokio::test]
async fn a_container_that_exits_at_once_is_told_with_code_and_log() {
    // A log line as the engine frames it: stream 2, length 46 (2e).
    let fake =
        Fake::new().exits("app", 1, false).log("\x02\0\0\0\0\0\0\x2e2026-05-04T10:00:00.000000000Z no such config\n");
    dev(&fake, APP, &["up"]).await.ends(7, &["app", "exited with code 1", "no such config"]);
}

#[tokio::test]
async fn a_kill_for_want_of_memory_is_told_from_any_other_kill() {
    let fake = Fake::new().exits("job", 137, true);
    let run = dev(&fake, JOB, &["up"]).await;
    run.ends(7, &["job", "137", "memory"]);
    assert!(!run.stderr.contains("from outside"), "{run}");
    let fake = Fake::new().exits("job", 137, false);
    dev(&fake, JOB, &["up"]).await.ends(7, &["job", "137", "from outside"]);
}

#[tokio::test]
async fn the_engine_going_away_under_a_job_is_no_failure_of_the_job() {
    for reply in [Reply::Cut(""), Reply::Text("")] {
        let fake = Fake::new().on("POST", "/containers/*/wait", reply);
        dev(&fake, JOB, &["up"]).await.ends(3, &["job"]);
    }
}

#[tokio::test]
async fn no_network_address_left_is_told_with_the_remedy() {
    let message = "could not find an available, non-overlapping IPv4 address pool among the defaults";
    let fake = Fake::new().on("POST", "/networks/create", Reply::error(400, message));
    dev(&fake, APP, &["up"]).await.ends(1, &["address pool", "docker network ls"]);
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_found_again() {
    let fake = Fake::new();
    dev(&fake, APP, &["up"]).await.ends(0, &[]);
    // Seen by the list only after the create was refused: as when the first answer never arrived.
    let fake = fake.first(1, "GET", "/containers/json", Reply::Json(200, serde_json::json!([])));
    dev(&fake, APP, &["up"]).await.ends(0, &[]);
    assert_eq!(fake.left().len(), 2, "one container, one network: {:?}", fake.left());
}

#[tokio::test]
async fn a_run_that_lost_an_answer_is_repaired_by_the_next() {
    for path in ["/networks/create", "/containers/create", "/containers/*/start"] {
        let fake = Fake::new().first(1, "POST", path, Reply::Lost);
        dev(&fake, APP, &["up"]).await.ends(3, &["connection"]);
        dev(&fake, APP, &["up"]).await.ends(0, &[]);
        assert_eq!(fake.left().len(), 2, "one container, one network: {:?}", fake.left());
    }
}

#[tokio::test]
async fn a_container_removed_under_the_run_is_a_failure_of_its_service() {
    let gone = || Reply::error(404, "No such container: 123");
    let fake = Fake::new().on("POST", "/containers/*/start", gone());
    let run = dev(&fake, APP, &["up"]).await;
    run.ends(1, &["can't start app: No such container"]);
    assert!(!run.stderr.contains("exit code"), "it never ran: {run}");
    let fake = Fake::new().on("GET", "/containers/*/json", gone()).on("POST", "/containers/*/wait", gone());
    dev(&fake, JOB, &["up"]).await.ends(7, &["job", "removed"]);
}

#[tokio::test]
async fn what_does_not_depend_on_a_failure_comes_up() {
    let fake = Fake::new().exits("bad", 3, false);
    let services = r#"
        services.bad = { image = "app:1" }
        services.after = { image = "app:1", depends_on = ["bad"] }
        services.good = { image = "app:1" }
    "#;
    dev(&fake, services, &["up"]).await.ends(7, &["bad", "exited with code 3", "after"]);
    let run = dev(&fake, services, &["ps"]).await;
    let good = run.stdout.lines().find(|line| line.starts_with("good")).expect("a line");
    assert!(good.contains("running"), "{run}");
}

#[tokio::test]
async fn json_lines_stay_json_when_the_engine_misbehaves() {
    let fake = Fake::new().on("POST", "/networks/create", Reply::error(500, "the disk is\non fire \u{1b}[31m"));
    let run = dev(&fake, APP, &["up", "--format", "json"]).await;
    assert_eq!(run.code, Some(1), "{run}");
    let events: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{run}"))).collect();
    assert_eq!(events.last().expect("events")["event"], "summary", "{run}");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_does_not_hold_up_the_report() {
    for reply in [Reply::Hang, Reply::Cut(""), Reply::error(501, "the log driver does not support reading")] {
        let fake = Fake::new().exits("app", 1, false).on("GET", "/containers/*/logs", reply);
        dev(&fake, APP, &["up", "--timeout", "10"]).await.ends(7, &["app", "exited with code 1"]);
    }
}
#[tokio::test]
async fn refusals_are_told_in_the_engines_words_with_their_exit_code() {
    for (path, status, message, code, said) in [
        (
            "/images/create",
            500,
            "dial tcp: lookup registry.example: no such host",
            4,
            "the engine can't reach the registry",
        ),
        ("/images/create", 404, "pull access denied for app, repository does not exist", 4, "docker login"),
        ("/images/create", 429, "toomanyrequests: You have reached your pull rate limit", 4, "docker login"),
        ("/containers/create", 404, "No such image: app:1", 4, "run the command again"),
        ("/containers/create", 500, "no space left on device", 1, "docker system df"),
        ("/containers/*/start", 500, "exec: \"nope\": executable file not found in $PATH", 7, "edit `command`"),
    ] {
        let fake = Fake::new().on("POST", path, Reply::error(status, message));
        let fake = if path.starts_with("/images") { fake.without_image("app:1") } else { fake };
        dev(&fake, APP, &["up"]).await.ends(code, &[message, said]);
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_during_a_build_is_no_fault_of_the_build() {
    let fake = Fake::new()
        .without_image("faults-app:latest")
        .first(1, "GET", "/_ping", Reply::Text("OK"))
        .on("GET", "/_ping", Reply::Lost)
        .on("POST", "/build", Reply::Cut("{\"stream\":\"Step 1/2 : FROM scratch\"}\n"));
    std::fs::create_dir(fake.directory().join("app")).expect("a folder");
    std::fs::write(fake.directory().join("app/Dockerfile"), "FROM scratch\nCOPY . /\n").expect("a file");
    let run = dev(&fake, "services.app = { build = \"app\" }", &["up"]).await;
    run.ends(3, &["the engine went away while it built faults-app"]);
}

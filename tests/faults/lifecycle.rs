//! `ps` and `down` when the engine is slow, strange or ahead of us, and every command when there is none.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake::{Fake, Reply};
use crate::healthy::version;
use crate::taskava::dev;

const APP: &str = r#"services.app = { image = "app:1" }"#;

#[tokio::test]
async fn no_engine_is_exit_code_3_with_what_was_tried() {
    let fake = Fake::says(Reply::Json(200, version("1.40")));
    dev(&fake, APP, &["ps"]).await.ends(3, &["API 1.40", "1.41 is needed"]);
    let address = "unix:///no/such.sock";
    for command in ["up", "ps", "down"] {
        dev(&fake, APP, &[command, "--host", address]).await.ends(3, &[address, "--host", "no such file"]);
    }
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up() {
    let begun = Instant::now();
    let hangs = async |path| {
        let fake = Fake::new().on("GET", path, Reply::Hang);
        dev(&fake, APP, &["ps"]).await.ends(3, &["answer"]);
    };
    tokio::join!(hangs("/_ping"), hangs("/containers/json"));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn states_that_nobody_knows_do_not_hide_the_others() {
    let container = |service: &str, state: &str| {
        let labels =
            json!({ "dev.taskava.managed": "1", "dev.taskava.project": "faults", "dev.taskava.service": service });
        json!({ "Id": service, "Names": [format!("/faults-{service}")], "Labels": labels, "State": state, "Status": "" })
    };
    let list = json!([container("app", "running"), container("web", "stopping"), container("odd", "dead")]);
    let fake = Fake::new().on("GET", "/containers/json", Reply::Json(200, list));
    let services = ["app", "web", "odd"].map(|name| format!("services.{name} = {{ image = \"app:1\" }}")).join("\n");
    let run = dev(&fake, &services, &["ps", "-a"]).await;
    run.ends(0, &[]);
    for service in ["app", "web", "odd"] {
        assert!(run.stdout.contains(service), "{run}");
    }
}

#[tokio::test]
async fn garbage_is_not_an_empty_stack() {
    let fake = Fake::new().on("GET", "/containers/json", Reply::Text("[{]"));
    let run = dev(&fake, APP, &["ps"]).await;
    assert_ne!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("can't list containers"), "{run}");
}

#[tokio::test]
async fn a_container_removed_by_somebody_else_is_down() {
    let fake = Fake::new();
    dev(&fake, APP, &["up"]).await.ends(0, &[]);
    let gone = Reply::error(404, "No such container");
    let fake = fake.on("POST", "/containers/*/stop", gone.clone()).on("DELETE", "/containers/*", gone);
    dev(&fake, APP, &["down"]).await.ends(0, &[]);
}

#[tokio::test]
async fn a_network_whose_endpoints_are_just_going_is_removed() {
    let busy = Reply::error(403, "error while removing network: network faults-default id 1 has active endpoints");
    let fake = Fake::new();
    dev(&fake, APP, &["up"]).await.ends(0, &[]);
    let fake = fake.first(2, "DELETE", "/networks/*", busy.clone());
    dev(&fake, APP, &["down"]).await.ends(0, &[]);
    assert_eq!(fake.left(), Vec::<String>::new());

    dev(&fake, APP, &["up"]).await.ends(0, &[]);
    let fake = fake.on("DELETE", "/networks/*", busy);
    dev(&fake, APP, &["down"]).await.ends(1, &["active endpoints", "docker network inspect"]);
}

#[tokio::test]
async fn ps_costs_three_calls() {
    let fake = Fake::new();
    dev(&fake, APP, &["ps"]).await.ends(0, &[]);
    let mut asked = fake.requests();
    asked.sort();
    assert_eq!(asked, ["GET /_ping", "GET /containers/json", "GET /volumes"]);
}

#[tokio::test]
async fn nothing_to_do_costs_no_call_for_each_service() {
    let fake = Fake::new();
    let services = "services.one = { image = \"app:1\" }\nservices.two = { image = \"app:1\", depends_on = [\"one\"] }";
    dev(&fake, services, &["up"]).await.ends(0, &[]);
    let before = fake.requests().len();
    dev(&fake, services, &["up"]).await.ends(0, &["nothing to do"]);
    let mut asked = fake.requests().split_off(before);
    asked.sort();
    let lists = ["GET /_ping", "GET /containers/json", "GET /images/app:1/json", "GET /networks", "GET /volumes"];
    assert_eq!(asked, lists);
}

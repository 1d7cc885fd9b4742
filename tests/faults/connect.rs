//! Finding an engine that hangs, is broken, is too old, or isn't there.

use std::time::{Duration, Instant};

use ::taskava::diag::Error;
use ::taskava::engine::Engine;
use ::taskava::engine::connect::ConnectOptions;

use crate::fake::{Fake, Reply};
use crate::healthy::version;

fn at(fake: &Fake) -> ConnectOptions {
    ConnectOptions { env_host: Some(format!("unix://{}", fake.socket().display())), ..ConnectOptions::default() }
}

async fn refused(options: &ConnectOptions) -> Error {
    let error = Engine::connect(options).await.expect_err("no engine to connect to");
    assert_eq!(error.kind.exit_code(), 3, "{error}");
    assert!(!error.hints.is_empty(), "{error} names no remedy");
    error
}

#[tokio::test]
async fn a_healthy_engine_costs_one_call() {
    let fake = Fake::new();
    let engine = Engine::connect(&at(&fake)).await.expect("an engine");
    assert_eq!((engine.about.version.as_str(), engine.about.api), ("20.10.24", (1, 41)));
    assert_eq!(engine.about.host, "127.0.0.1");
    assert_eq!(fake.requests(), ["GET /_ping"]);
}

#[tokio::test]
async fn an_engine_that_hangs_is_given_up() {
    let begun = Instant::now();
    let hangs = async |reply| {
        let fake = Fake::new().on("GET", "/_ping", reply);
        let error = refused(&at(&fake)).await;
        assert!(error.to_string().ends_with("(from DOCKER_HOST): no answer within 10 s"), "{error}");
    };
    tokio::join!(hangs(Reply::Hang), hangs(Reply::Stall(r#"{"Version":"#)));
    assert!(begun.elapsed() < Duration::from_secs(20), "one limit is for the whole answer");
}

#[tokio::test]
async fn an_engine_that_is_broken_is_told_in_its_own_words() {
    for (reply, said) in [
        (Reply::error(500, "the database is on fire"), "the engine answers with status 500: the database is on fire"),
        (Reply::Text("<html>"), "not an engine's answer"),
        (Reply::Text(r#"{"Version":"20"#), "not an engine's answer"),
        (Reply::Text("{}"), "not as a Docker engine does"),
        (Reply::Cut(r#"{"Version":"20"#), "not an engine's answer"),
    ] {
        let fake = Fake::says(reply.clone());
        let error = refused(&at(&fake)).await;
        assert!(error.to_string().contains(said), "{reply:?}: {error}");
    }
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_told_with_its_version() {
    let fake = Fake::says(Reply::Json(200, version("1.40")));
    let error = refused(&at(&fake)).await;
    assert!(error.to_string().contains("speaks API 1.40, 1.41 is needed"), "{error}");
}

#[tokio::test]
async fn a_socket_without_an_engine_is_told_from_no_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("docker.sock");
    let options = ConnectOptions { host: Some(format!("unix://{}", socket.display())), ..ConnectOptions::default() };
    assert!(refused(&options).await.to_string().ends_with("no such file"));
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    let error = refused(&options).await;
    assert!(error.to_string().ends_with("connection refused"), "{error}");
}

#[tokio::test]
async fn the_engine_of_a_context_is_found() {
    let fake = Fake::new();
    let config_dir = fake.directory().join("config");
    let options =
        ConnectOptions { context: Some("fake".into()), config_dir: config_dir.clone(), ..ConnectOptions::default() };
    let missing = Engine::connect(&options).await.expect_err("no such context");
    assert_eq!(missing.kind.exit_code(), 2);
    // printf fake | sha256sum
    let id = "b5d54c39e66671c9731b9f471e585d8262cd4f54963f0c93082d8dcf334d4c78";
    let meta = config_dir.join("contexts/meta").join(id);
    std::fs::create_dir_all(&meta).expect("a directory");
    let address = format!("unix://{}", fake.socket().display());
    let json = serde_json::json!({ "Name": "fake", "Endpoints": { "docker": { "Host": address } } });
    std::fs::write(meta.join("meta.json"), json.to_string()).expect("a file");
    assert_eq!(Engine::connect(&options).await.expect("an engine").about.address, address);
}

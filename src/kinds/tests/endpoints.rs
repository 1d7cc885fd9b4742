//! Where services can be reached.

use super::*;
use crate::kinds::endpoints;
use crate::model::Protocol;

fn published(address: &str, host: u16, container: u16) -> PublishedPort {
    PublishedPort { address: address.parse().unwrap(), host, container, protocol: Protocol::Tcp }
}

fn urls(service: &Service, host: &str, published: &[PublishedPort]) -> Vec<String> {
    endpoints(service, host, published).into_iter().map(|found| format!("{} {}", found.label, found.url)).collect()
}

fn urls_of(kind: Kind, variables: IndexMap<String, EnvValue>, ports: &[PublishedPort]) -> Vec<String> {
    urls(&service(kind, variables), "127.0.0.1", ports)
}

#[test]
fn endpoints_are_urls_without_secrets() {
    let variables = env(&[("POSTGRES_USER", "a@b"), ("POSTGRES_PASSWORD", "secret"), ("POSTGRES_DB", "taskava_dev")]);
    let ports = [published("127.0.0.1", 15432, 5432)];
    let url = "postgres postgres://a%40b:***@127.0.0.1:15432/taskava_dev";
    assert_eq!(urls_of(Kind::Postgres, variables, &ports), [url]);
    let url = "postgres postgres://postgres@127.0.0.1:15432/postgres";
    assert_eq!(urls_of(Kind::Postgres, env(&[]), &ports), [url]);
    let ports = [published("127.0.0.1", 6379, 6379)];
    assert_eq!(urls_of(Kind::Redis, env(&[]), &ports), ["redis redis://127.0.0.1:6379"]);
    let ports = [published("127.0.0.1", 4566, 4566), published("127.0.0.1", 4510, 4510)];
    assert_eq!(urls_of(Kind::Localstack, env(&[]), &ports), ["http http://127.0.0.1:4566", "4510 127.0.0.1:4510"]);
    let ports = [published("127.0.0.1", 1025, 1025), published("127.0.0.1", 8025, 8025)];
    assert_eq!(urls_of(Kind::Mailhog, env(&[]), &ports), ["smtp smtp://127.0.0.1:1025", "http http://127.0.0.1:8025"]);
}

#[test]
fn a_configured_password_is_masked_in_redis_urls() {
    let redis = started_with(Kind::Redis, env(&[]), &["redis-server", "--requirepass", "secret"]);
    assert_eq!(urls(&redis, "127.0.0.1", &[published("127.0.0.1", 1, 6379)]), ["redis redis://:***@127.0.0.1:1"]);
}

#[test]
fn generic_ports_are_web_pages_where_that_is_likely_or_said() {
    let mut app = service(Kind::Generic, env(&[]));
    app.ready.probe = Probe::Http { port: 7777, path: "/health".into() };
    let mut ports = [8080, 8443, 7777, 7778].map(|port| published("127.0.0.1", port, port)).to_vec();
    ports.push(PublishedPort { protocol: Protocol::Udp, ..published("127.0.0.1", 53, 53) });
    let expected = [
        "http http://127.0.0.1:8080",
        "https https://127.0.0.1:8443",
        "http http://127.0.0.1:7777",
        "7778 127.0.0.1:7778",
        "53/udp 127.0.0.1:53",
    ];
    assert_eq!(urls(&app, "127.0.0.1", &ports), expected);
}

#[test]
fn every_address_means_the_engines_host() {
    let redis = service(Kind::Redis, env(&[]));
    let both = [published("0.0.0.0", 1, 6379), published("::", 1, 6379)];
    assert_eq!(urls(&redis, "docker", &both), ["redis redis://docker:1"]);
    assert_eq!(urls(&redis, "::1", &both), ["redis redis://[::1]:1"]);
    assert_eq!(urls(&redis, "docker", &[published("::1", 1, 6379)]), ["redis redis://[::1]:1"]);
}

#[test]
fn a_mail_page_is_under_its_path() {
    let ports = [published("127.0.0.1", 1, 8025), published("127.0.0.1", 2, 1025)];
    for path in ["mail", "/mail", "/mail/"] {
        let urls = urls_of(Kind::Mailhog, env(&[("MH_UI_WEB_PATH", path)]), &ports);
        assert_eq!(urls, ["http http://127.0.0.1:1/mail/", "smtp smtp://127.0.0.1:2"]);
    }
    let urls = urls_of(Kind::Mailpit, env(&[("MP_WEBROOT", "/a/b/")]), &ports);
    assert_eq!(urls[0], "http http://127.0.0.1:1/a/b/");
}

#[test]
fn what_is_not_known_is_left_out_of_a_url() {
    let ports = [published("127.0.0.1", 1, 5432)];
    let urls = urls_of(Kind::Postgres, env(&[("POSTGRES_USER_FILE", "/u"), ("POSTGRES_PASSWORD", "p")]), &ports);
    assert_eq!(urls, ["postgres postgres://127.0.0.1:1"]);
    let command = ["--port", "0", "--tls-port", "6390", "--user", "app", "on", ">pw", "+@all"];
    let redis = started_with(Kind::Redis, env(&[]), &command);
    let urls = super::super::urls(&redis, "127.0.0.1", &[published("127.0.0.1", 1, 6390)], true);
    assert_eq!(urls[0].url, "rediss://app:pw@127.0.0.1:1");
}

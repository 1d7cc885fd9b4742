//! Probes from environment and command.

use super::*;

fn probe_of(kind: Kind, variables: &[(&str, &str)], command: &[&str]) -> Probe {
    let command: Vec<String> = command.iter().map(ToString::to_string).collect();
    probe(kind, &env(variables), Some(&command))
}

#[test]
fn every_product_has_a_pinned_image() {
    for kind in Kind::ALL {
        match defaults(kind).image {
            Some(image) => assert!(image.contains(':') && !image.ends_with(":latest"), "{image}"),
            None => assert!(matches!(kind, Kind::Generic | Kind::Job), "{kind:?}"),
        }
    }
}

#[test]
fn postgres_follows_the_official_image() {
    let expect = |variables: &[(&str, &str)], command: &[&str], expected: (u16, &str, Option<&str>, &str)| {
        let Probe::Postgres { port, user, password, database } = probe_of(Kind::Postgres, variables, command) else {
            panic!("not a postgres probe")
        };
        assert_eq!(
            (port, user.as_str(), password.as_deref(), database.as_str()),
            expected,
            "{variables:?} {command:?}"
        );
    };
    expect(&[], &[], (5432, "postgres", None, "postgres"));
    expect(&[("POSTGRES_USER", "a")], &[], (5432, "a", None, "a"));
    expect(&[("POSTGRES_USER", ""), ("POSTGRES_PASSWORD", "")], &[], (5432, "postgres", None, "postgres"));
    expect(&[("POSTGRES_DB", "d"), ("POSTGRES_PASSWORD", "p")], &[], (5432, "postgres", Some("p"), "d"));
    expect(&[("POSTGRES_PASSWORD_FILE", "/run/secrets/p")], &[], (5432, "postgres", None, "postgres"));
    expect(&[("PGPORT", "5433")], &[], (5433, "postgres", None, "postgres"));
    expect(&[("PGPORT", "5433")], &["postgres", "-p", "5434"], (5434, "postgres", None, "postgres"));
    expect(&[], &["postgres", "-p5434"], (5434, "postgres", None, "postgres"));
    expect(&[], &["--port=5435"], (5435, "postgres", None, "postgres"));
    expect(&[], &["-c", "port=5436", "-c", "fsync=off"], (5436, "postgres", None, "postgres"));
    expect(&[], &["-c", "fsync=off"], (5432, "postgres", None, "postgres"));
}

#[test]
fn redis_reads_its_command() {
    let redis = |port, password: Option<&str>| Probe::Redis { port, password: password.map(Into::into) };
    assert_eq!(probe(Kind::Redis, &env(&[]), None), redis(6379, None));
    let command = ["redis-server", "--port", "6380", "--requirepass", "x"];
    assert_eq!(probe_of(Kind::Redis, &[], &command), redis(6380, Some("x")));
    assert_eq!(probe_of(Kind::Redis, &[], &["redis-server", "--requirepass", ""]), redis(6379, None));
    let script = "exec redis-server --port 6381 --requirepass \"$REDIS_PASSWORD\"";
    assert_eq!(probe_of(Kind::Redis, &[], &["sh", "-c", script]), redis(6381, None));
}

#[test]
fn aws_emulators_read_their_gateway() {
    for (listen, port) in [("", 4566), ("0.0.0.0:4510", 4510), (":4511,0.0.0.0:443", 4511), ("0.0.0.0", 4566)] {
        let probe = probe_of(Kind::Localstack, &[("GATEWAY_LISTEN", listen)], &[]);
        assert_eq!(probe, Probe::Localstack { port }, "{listen:?}");
    }
    let probe = probe_of(Kind::Ministack, &[("GATEWAY_PORT", "4567")], &[]);
    assert_eq!(probe, Probe::Ministack { port: 4567 });
}

#[test]
fn mail_catchers_read_their_listeners() {
    let mail = |http, smtp, path: &str| Probe::Mail { http, smtp, path: path.into() };
    assert_eq!(probe_of(Kind::Mailhog, &[], &[]), mail(8025, 1025, "/api/v2/messages?limit=1"));
    let variables = [("MH_SMTP_BIND_ADDR", "0.0.0.0:2025"), ("MH_UI_WEB_PATH", "mail")];
    let command = ["-api-bind-addr=0.0.0.0:9025"];
    assert_eq!(probe_of(Kind::Mailhog, &variables, &command), mail(9025, 2025, "/mail/api/v2/messages?limit=1"));
    assert_eq!(probe_of(Kind::Mailpit, &[], &[]), mail(8025, 1025, "/readyz"));
    let variables = [("MP_UI_BIND_ADDR", "[::]:80"), ("MP_WEBROOT", "/mail/")];
    assert_eq!(probe_of(Kind::Mailpit, &variables, &["--smtp", ":25"]), mail(80, 25, "/mail/readyz"));
}

#[test]
fn others_are_not_asked_in_a_protocol() {
    assert_eq!(probe_of(Kind::Generic, &[], &[]), Probe::Auto);
    assert_eq!(probe_of(Kind::Job, &[], &[]), Probe::Exit);
}

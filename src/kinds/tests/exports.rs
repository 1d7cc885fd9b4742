//! The variables an application finds the stack by.

use super::*;
use crate::model::{Port, Protocol};

fn named(name: &str, kind: Kind, variables: &[(&str, &str)], ports: &[u16]) -> Service {
    let mut service = service(kind, env(variables));
    service.name = ServiceName::parse(name).unwrap();
    let port = |container: &u16| Port {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        through: None,
        chosen: None,
        host: None,
        container: *container,
        protocol: Protocol::Tcp,
        place: None,
    };
    service.ports = ports.iter().map(port).collect();
    service
}

/// As seen from the host: each port 10,000 above its own.
fn outside(_: &Service, port: u16) -> Option<(String, u16)> {
    Some(("127.0.0.1".into(), port + 10_000))
}

fn lines(stack: &Stack) -> Vec<String> {
    variables(stack, outside).into_iter().map(|found| format!("{}={}", found.name, found.value)).collect()
}

#[test]
fn every_kind_has_the_names_its_clients_read() {
    let login = [("POSTGRES_USER", "a@b"), ("POSTGRES_PASSWORD", "p:w"), ("POSTGRES_DB", "shop")];
    let all = stack(vec![
        named("postgres", Kind::Postgres, &login, &[5432]),
        named("redis", Kind::Redis, &[], &[6379]),
        named("localstack", Kind::Localstack, &[("AWS_DEFAULT_REGION", "eu-central-1")], &[4566]),
        named("mail", Kind::Mailhog, &[], &[1025, 8025]),
        named("web-app", Kind::Generic, &[], &[8080, 9229]),
        named("migrate", Kind::Job, &[], &[]),
    ]);
    let expected = [
        "POSTGRES_URL=postgres://a%40b:p%3Aw@127.0.0.1:15432/shop",
        "POSTGRES_HOST=127.0.0.1",
        "POSTGRES_PORT=15432",
        "DATABASE_URL=postgres://a%40b:p%3Aw@127.0.0.1:15432/shop",
        "PGHOST=127.0.0.1",
        "PGPORT=15432",
        "PGUSER=a@b",
        "PGDATABASE=shop",
        "PGPASSWORD=p:w",
        "REDIS_URL=redis://127.0.0.1:16379",
        "REDIS_HOST=127.0.0.1",
        "REDIS_PORT=16379",
        "LOCALSTACK_URL=http://127.0.0.1:14566",
        "LOCALSTACK_HOST=127.0.0.1",
        "LOCALSTACK_PORT=14566",
        "AWS_ENDPOINT_URL=http://127.0.0.1:14566",
        "AWS_ACCESS_KEY_ID=test",
        "AWS_SECRET_ACCESS_KEY=test",
        "AWS_REGION=eu-central-1",
        "AWS_DEFAULT_REGION=eu-central-1",
        "MAIL_URL=http://127.0.0.1:18025",
        "MAIL_HOST=127.0.0.1",
        "MAIL_PORT=18025",
        "MAIL_PORT_1025=11025",
        "SMTP_URL=smtp://127.0.0.1:11025",
        "SMTP_HOST=127.0.0.1",
        "SMTP_PORT=11025",
        "WEB_APP_URL=http://127.0.0.1:18080",
        "WEB_APP_HOST=127.0.0.1",
        "WEB_APP_PORT=18080",
        "WEB_APP_PORT_9229=19229",
    ];
    assert_eq!(lines(&all), expected);
}

#[test]
fn passwords_are_marked_also_in_urls() {
    let found = variables(&stack(vec![named("db", Kind::Postgres, &[("POSTGRES_PASSWORD", "p")], &[5432])]), outside);
    let secret: Vec<&str> = found.iter().filter(|found| found.secret).map(|found| found.name.as_str()).collect();
    assert_eq!(secret, ["DB_URL", "DATABASE_URL", "PGPASSWORD"]);
}

#[test]
fn the_first_of_a_kind_has_the_usual_names_and_exports_replace_all_of_their_service() {
    let mut search = named("search", Kind::Generic, &[], &[9200, 9300]);
    search.exports.insert("SEARCH_URL".into(), "http://${host}:${port}/?node=${port.9300}".into());
    search.exports.insert("NOWHERE".into(), "${port.80}".into());
    let both = stack(vec![named("one", Kind::Redis, &[], &[6379]), named("two", Kind::Redis, &[], &[6379]), search]);
    let reach = |service: &Service, port| {
        (port != 80).then(|| if service.name.as_str() == "two" { ("two".into(), port) } else { ("h".into(), port) })
    };
    let found = variables(&both, reach);
    let of = |name: &str| {
        found.iter().filter(|found| found.name == name).map(|found| found.value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("REDIS_URL"), ["redis://h:6379"]);
    assert_eq!(of("TWO_URL"), ["redis://two:6379"]);
    assert_eq!(of("SEARCH_URL"), ["http://h:9200/?node=9300"]);
    assert_eq!((of("SEARCH_HOST"), of("NOWHERE")), (vec![], vec![]));
}

#[test]
fn what_cannot_be_reached_is_left_out() {
    let all = stack(vec![named("db", Kind::Postgres, &[], &[]), named("mail", Kind::Mailpit, &[], &[8025])]);
    let only_web = |_: &Service, port| (port == 8025).then(|| ("h".to_owned(), 1));
    let names: Vec<String> = variables(&all, only_web).into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["MAIL_URL", "MAIL_HOST", "MAIL_PORT"]);
}

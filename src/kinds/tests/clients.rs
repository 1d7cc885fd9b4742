//! The clients inside.

use super::*;
use crate::kinds::client;

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

#[test]
fn passwords_are_in_the_environment_and_a_query_is_one_text() {
    let variables = env(&[("POSTGRES_USER", "me"), ("POSTGRES_PASSWORD", "secret"), ("POSTGRES_DB", "app")]);
    let psql = client(&service(Kind::Postgres, variables)).unwrap();
    assert_eq!(psql.env, ["PGPORT=5432", "PGUSER=me", "PGDATABASE=app", "PGPASSWORD=secret"]);
    let program = &psql.programs[0];
    assert_eq!(psql.command(program, &words("select 1")), ["psql", "-c", "select 1"]);
    assert_eq!(psql.command(program, &words("-At -f x")), ["psql", "-At", "-f", "x"]);
    assert_eq!(psql.command(program, &[]), ["psql"]);
}

#[test]
fn redis_takes_words_and_a_line() {
    let redis = started_with(Kind::Redis, env(&[]), &["redis-server", "--port", "6380", "--requirepass", "pw"]);
    let cli = client(&redis).unwrap();
    assert_eq!(cli.env, ["REDISCLI_AUTH=pw"]);
    assert_eq!(cli.command(&cli.programs[0], &["SET a 'b c'".into()]), ["redis-cli", "-p", "6380", "SET", "a", "b c"]);
    assert_eq!(cli.command(&cli.programs[0], &["SET".into(), "a".into(), "b c".into()])[3..], ["SET", "a", "b c"]);
}

#[test]
fn a_service_of_no_kind_has_the_client_of_what_it_is_asked() {
    let mut generic = service(Kind::Generic, env(&[]));
    assert_eq!(client(&generic), None);
    generic.ready.probe = Probe::Redis { port: 1, user: None, password: None, tls: false, socket: None };
    assert_eq!(client(&generic).unwrap().programs[0], ["redis-cli", "-p", "1"]);
    let aws = client(&service(Kind::Localstack, env(&[("AWS_DEFAULT_REGION", "eu-west-1")]))).unwrap();
    assert!(aws.env.contains(&"AWS_DEFAULT_REGION=eu-west-1".to_owned()) && !aws.prompt);
    assert_eq!(aws.command(&aws.programs[0], &words("s3 ls")), ["awslocal", "s3", "ls"]);
}

//! The client of a service inside its container: which program, for whom, and how it is given a query. Passwords go in the
//! environment: arguments can be read by everybody inside.

use super::arguments::Arguments;
use crate::config::scalars::words;
use crate::model::{Probe, Service};

/// The client of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Programs that will do, best first, each with the arguments it needs.
    pub programs: Vec<Vec<String>>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// It reads queries from a prompt, or from stdin; otherwise it carries out one that it is given.
    pub prompt: bool,
    query: Query,
}

/// How a query is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Query {
    /// As one text after `-c`.
    Text,
    /// As words.
    Words,
}

impl Client {
    /// The command line for a query; an empty one opens the prompt. What begins with `-` is for the program itself.
    pub fn command(&self, program: &[String], query: &[String]) -> Vec<String> {
        let mut command = program.to_vec();
        match (self.query, query) {
            (_, []) => {}
            (Query::Text, [first, ..]) if !first.starts_with('-') => command.extend(["-c".into(), query.join(" ")]),
            // `"GET key"`: a query in one piece is taken apart as a shell does.
            (Query::Words, [line]) => command.extend(words(line).unwrap_or_else(|_| query.to_vec())),
            _ => command.extend(query.iter().cloned()),
        }
        command
    }
}

/// The client of a service, if its kind, or what it is asked to find out whether it is ready, has one.
pub fn client(service: &Service) -> Option<Client> {
    let own = super::probe(service.kind, &service.env, service.command.as_deref());
    [own, service.ready.probe.clone()].iter().find_map(|probe| of(probe, service))
}

fn of(probe: &Probe, service: &Service) -> Option<Client> {
    let program = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    match probe {
        Probe::Postgres { port, user, password, database } => {
            let mut env = vec![format!("PGUSER={user}"), format!("PGDATABASE={database}"), format!("PGPORT={port}")];
            env.extend(password.iter().map(|password| format!("PGPASSWORD={password}")));
            Some(Client { programs: vec![program(&["psql"])], env, prompt: true, query: Query::Text })
        }
        Probe::Redis { port, password } => {
            let programs = ["redis-cli", "valkey-cli"].map(|name| program(&[name, "-p", &port.to_string()]));
            let env = password.iter().map(|password| format!("REDISCLI_AUTH={password}")).collect();
            Some(Client { programs: programs.into(), env, prompt: true, query: Query::Words })
        }
        Probe::Localstack { port } | Probe::Ministack { port } => {
            let endpoint = format!("http://localhost:{port}");
            let arguments = Arguments::new(&service.env, service.command.as_deref());
            let or = |name: &str, other: &str| format!("{name}={}", arguments.env(name).unwrap_or(other));
            let env = vec![
                or("AWS_ACCESS_KEY_ID", "test"),
                or("AWS_SECRET_ACCESS_KEY", "test"),
                or("AWS_DEFAULT_REGION", "us-east-1"),
                format!("AWS_ENDPOINT_URL={endpoint}"),
            ];
            let programs = vec![program(&["awslocal"]), program(&["aws", "--endpoint-url", &endpoint])];
            Some(Client { programs, env, prompt: false, query: Query::Words })
        }
        _ => None,
    }
}

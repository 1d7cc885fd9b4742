//! The client of a service inside its container: the program, its user, and how it gets a query. Passwords are passed
//! in the environment, because every process in the container can read arguments.

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

/// Names of the client in images of Redis and of what speaks like it.
pub(super) const REDIS_CLIENTS: [&str; 3] = ["redis-cli", "valkey-cli", "keydb-cli"];

/// The client of a service, if its kind, or what it is asked to find out whether it is ready, has one.
pub fn client(service: &Service) -> Option<Client> {
    [&service.own, &service.ready.probe].into_iter().find_map(|probe| of(probe, service))
}

fn of(probe: &Probe, service: &Service) -> Option<Client> {
    let program = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    match probe {
        Probe::Postgres { port, user, password, database, .. } => {
            let mut env = vec![format!("PGPORT={port}")];
            env.extend(user.iter().map(|user| format!("PGUSER={user}")));
            env.extend(database.iter().map(|database| format!("PGDATABASE={database}")));
            env.extend(password.iter().map(|password| format!("PGPASSWORD={password}")));
            Some(Client { programs: vec![program(&["psql"])], env, prompt: true, query: Query::Text })
        }
        Probe::Redis { port, user, password, tls, socket } => {
            let at = match socket {
                Some(socket) if *port == 0 => vec!["-s".to_owned(), socket.clone()],
                _ => vec!["-p".to_owned(), port.to_string()],
            };
            let user = user.iter().flat_map(|user| ["--user".to_owned(), user.clone()]);
            // A certificate of one's own making is what developers have.
            let tls = ["--tls", "--insecure"].into_iter().filter(|_| *tls).map(String::from);
            let arguments: Vec<String> = at.into_iter().chain(user).chain(tls).collect();
            let programs = REDIS_CLIENTS.map(|name| [vec![name.to_owned()], arguments.clone()].concat());
            let env = password.iter().map(|password| format!("REDISCLI_AUTH={password}")).collect();
            Some(Client { programs: programs.into(), env, prompt: true, query: Query::Words })
        }
        Probe::Localstack { port } | Probe::Ministack { port } => {
            let endpoint = format!("http://localhost:{port}");
            let set =
                |name: &str| service.env.get(name).map(|set| set.value.as_str()).filter(|value| !value.is_empty());
            let or = |name: &str, other: &str| format!("{name}={}", set(name).unwrap_or(other));
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

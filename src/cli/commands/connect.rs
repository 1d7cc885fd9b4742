//! `connect`: the client that fits a service, inside its container: psql, redis-cli, the AWS CLI, else a shell.

use std::process::ExitCode;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::inside::{self, Streams};
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::engine::attach::ExecOptions;
use crate::kinds::{self, Client};
use crate::model::Service;
use crate::plan::observed::Container;
use crate::run::actual::{self, Actual};

/// Open a service's client inside its container: psql, redis-cli, AWS CLI or a shell
///
/// Connects with the service's user, password and database. With QUERY, the client runs only that; input from a pipe is
/// read. The exit code is the client's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev connect postgres                     open psql
  taskava dev connect postgres -- 'select 1'       run one query
  echo 'select 1' | taskava dev connect postgres
  taskava dev connect redis -- GET key
  taskava dev connect localstack -- s3 ls")]
pub struct Args {
    /// How the client is connected.
    #[command(flatten)]
    pub streams: Streams,
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
    /// Query to run; passed as arguments to the client if it begins with `-`
    #[arg(value_name = "QUERY", last = true, allow_hyphen_values = true)]
    pub query: Vec<String>,
}

/// What is opened.
struct Opened {
    command: Vec<String>,
    env: Vec<String>,
    /// What to say about it.
    remark: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let name = found.stack.named(&args.service)?;
        let container = found.container(&engine, &name).await?;
        let Actual { service, unknown } = actual::service(&engine, &found.stack.services[&name], &container).await;
        if let Some(unknown) = unknown {
            context.screen.note(&unknown);
        }
        let opened = open(&engine, &service, &container, &args.query).await?;
        if let Some(remark) = &opened.remark {
            context.screen.note(remark);
        }
        let options = ExecOptions {
            command: opened.command,
            env: opened.env,
            stdin: !args.streams.no_stdin,
            output: true,
            tty: args.streams.tty(),
            ..ExecOptions::default()
        };
        inside::exec(context, &engine, &container, &options).await
    })
}

async fn open(engine: &Engine, service: &Service, container: &Container, query: &[String]) -> Result<Opened> {
    let name = &service.name;
    let Some(client) = kinds::client(service) else {
        let remark = format!("{name} has no client of its own; this is a shell in its container");
        let shell = shell(engine, container).await.ok_or_else(|| {
            Error::new(ErrorKind::Other, format_args!("{name} has no client, and its image has no shell"))
                .hint(format!("run a program that it has: taskava dev exec {name} PROGRAM"))
        })?;
        return Ok(in_shell(shell, query, Vec::new(), remark));
    };
    let Some(program) = installed(engine, container, &client).await? else {
        return Err(missing(service, &client));
    };
    if !client.prompt && query.is_empty() {
        // It has no prompt; a shell in which it works as it is will do.
        let remark = format!("{} works here as it is: {} s3 ls", program[0], program[0]);
        if let Some(shell) = shell(engine, container).await {
            return Ok(in_shell(shell, query, client.env, remark));
        }
    }
    Ok(Opened { command: client.command(program, query), env: client.env, remark: None })
}

fn in_shell(shell: &str, query: &[String], env: Vec<String>, remark: String) -> Opened {
    match query {
        [] => Opened { command: vec![shell.into()], env, remark: Some(remark) },
        [line] => Opened { command: vec![shell.into(), "-c".into(), line.clone()], env, remark: None },
        words => Opened { command: words.to_vec(), env, remark: None },
    }
}

/// The first of a client's programs that exists. Where there is no shell to look for them, the first is tried.
async fn installed<'a>(engine: &Engine, container: &Container, client: &'a Client) -> Result<Option<&'a [String]>> {
    for program in &client.programs {
        let look = ["sh", "-c", "command -v \"$0\"", &program[0]].map(String::from);
        match engine.exec(&container.id, &look).await?.code {
            0 => return Ok(Some(program)),
            126 if client.programs.len() == 1 => return Ok(Some(program)),
            _ => {}
        }
    }
    Ok(None)
}

fn missing(service: &Service, client: &Client) -> Error {
    let programs: Vec<&str> = client.programs.iter().map(|program| program[0].as_str()).collect();
    let (name, programs) = (&service.name, programs.join(" nor "));
    let error = Error::new(ErrorKind::Other, format_args!("neither {programs} is in the image of {name}"));
    let error = if client.programs.len() == 1 {
        Error::new(ErrorKind::Other, format_args!("{programs} is not in the image of {name}"))
    } else {
        error
    };
    error.hint(format!("use one on this machine, at: taskava dev url {name}"))
}

async fn shell(engine: &Engine, container: &Container) -> Option<&'static str> {
    for shell in ["bash", "sh"] {
        let tried = engine.exec(&container.id, &[shell, "-c", ":"].map(String::from)).await;
        if tried.is_ok_and(|tried| tried.code == 0) {
            return Some(shell);
        }
    }
    None
}

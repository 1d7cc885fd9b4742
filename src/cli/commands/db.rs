//! `db`: private copies of a database, for one test each.

use std::process::{Command, ExitCode, Stdio};

use crate::cli::by_labels::stack_or_labels;
use crate::cli::{Context, block_on};
use crate::database::{Copy, ForkOptions, InUse, Role, Server};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::size;
use crate::model::secret::mask_urls;
use crate::model::{CopyName, Kind, Service, Stack};
use crate::plan::Intent;
use crate::ui::Format;
use crate::ui::table::{Table, stdout_width};

/// Create private copies (forks) of a database in milliseconds, for example one per test
///
/// The first fork copies the database to a template, from which the server then creates the forks. With `--pool`, forks
/// are created in advance, so that one is ready at once. Only databases created this way are listed and dropped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
#[expect(missing_docs, reason = "see the arguments of each")]
pub enum What {
    Fork(ForkArgs),
    Drop(DropArgs),
    List(ListArgs),
    #[command(hide = true)]
    Fill(FillArgs),
}

/// Create a fork and print its URL
#[derive(Debug, clap::Args)]
pub struct ForkArgs {
    /// Name of the fork
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where the databases are.
    #[command(flatten)]
    pub at: AtArgs,
    /// Database to copy [default: the service's main database, `POSTGRES_DB`]
    #[arg(long, value_name = "DATABASE")]
    pub from: Option<String>,
    /// Number of forks to keep ready [default: unchanged]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub pool: Option<u8>,
    /// Recreate the template first, if the database has changed since
    #[arg(long)]
    pub refresh: bool,
    /// Close connections to the database that prevent copying it
    #[arg(long)]
    pub disconnect: bool,
    /// Show the password even on a terminal
    #[arg(long)]
    pub show_secrets: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Drop forks, even if clients are connected to them
#[derive(Debug, clap::Args)]
pub struct DropArgs {
    /// Names of the forks
    #[arg(value_name = "NAME", required_unless_present = "all", add = super::completions::forks())]
    pub names: Vec<String>,
    /// Drop all forks, including those kept ready, and the templates
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
    /// Where the databases are.
    #[command(flatten)]
    pub at: AtArgs,
}

/// List forks
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Where the databases are.
    #[command(flatten)]
    pub at: AtArgs,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Fill the pool; what a fork leaves to be done after it
#[derive(Debug, clap::Args)]
pub struct FillArgs {
    /// Where the databases are.
    #[command(flatten)]
    pub at: AtArgs,
    /// Database whose copies are made.
    #[arg(long, value_name = "DATABASE")]
    pub from: Option<String>,
}

/// Which server.
#[derive(Debug, clap::Args)]
pub struct AtArgs {
    /// PostgreSQL service to use, if there are several
    #[arg(long, value_name = "SERVICE", add = super::completions::services())]
    pub service: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        match &args.what {
            What::Fork(args) => fork(args, context).await?,
            What::Drop(args) => drop_copies(args, context).await?,
            What::List(args) => list(args, context).await?,
            What::Fill(args) => {
                connect(&args.at, context).await?.0.fill(args.from.as_deref()).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn fork(args: &ForkArgs, context: &Context) -> Result<()> {
    let name = CopyName::parse(&args.name).map_err(|why| Error::new(ErrorKind::Usage, why))?;
    let (mut server, service, intent) = connect_whole(&args.at, context).await?;
    if let Some(intent) = intent {
        // A copy of what is only half there would look whole.
        return Err(intent.error());
    }
    let options = ForkOptions {
        from: args.from.clone(),
        pool: args.pool.map(Into::into),
        refresh: args.refresh,
        in_use: if args.disconnect { InUse::Disconnect } else { InUse::Refuse },
    };
    let mut fork = server.fork(&name, &options).await?;
    if !context.screen.shows_secrets(args.show_secrets) {
        fork.url = mask_urls(&fork.url).into_owned();
    }
    if fork.stale {
        context
            .screen
            .note(&format!("{} changed since its template was created; copy it again with --refresh", fork.from));
    }
    if args.json || context.format() == Format::Json {
        let mut value = serde_json::to_value(&fork).map_err(std::io::Error::other)?;
        value["v"] = crate::event::VERSION.into();
        value["service"] = service.name.as_str().into();
        context.screen.json(&value)?;
    } else {
        context.screen.data(&format!("{}\n", fork.url))?;
    }
    let (ready, wanted) = fork.ready;
    if ready < wanted {
        fill_later(context, &service, &fork.from);
    }
    Ok(())
}

/// Fills the pool in a separate process, so that the fork does not wait for it. If it can't be started, the next fork
/// makes its own copy.
fn fill_later(context: &Context, service: &Service, from: &str) {
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = Command::new(program);
    command.arg("dev").args(context.arguments());
    command.args(["db", "fill", "--service", service.name.as_str(), "--from", from]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C in the terminal is not meant for it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    drop(command.spawn());
}

async fn drop_copies(args: &DropArgs, context: &Context) -> Result<()> {
    let (mut server, _) = connect(&args.at, context).await?;
    let names = if args.all {
        server.list().await?.into_iter().map(|copy| copy.database).collect()
    } else {
        args.names.clone()
    };
    server.drop(&names).await?;
    context.screen.note(&format!("dropped {}", if names.is_empty() { "nothing".into() } else { names.join(", ") }));
    Ok(())
}

async fn list(args: &ListArgs, context: &Context) -> Result<()> {
    let (mut server, service) = connect(&args.at, context).await?;
    let copies = server.list().await?;
    if args.json || context.format() == Format::Json {
        let value = serde_json::json!({ "v": crate::event::VERSION, "service": service.name, "databases": copies });
        return Ok(context.screen.json(&value)?);
    }
    if copies.is_empty() {
        context.screen.note("no forks; create one with: taskava dev db fork NAME");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "FROM", "FOR", "SIZE", "CONNECTIONS"]);
    for Copy { database, role, from, size: bytes, connections, .. } in copies {
        let role = match role {
            Role::Fork => "fork",
            Role::Pool => "kept ready",
            Role::Template => "template",
        };
        table.row([database, from, role.into(), size(bytes), connections.to_string()]);
    }
    Ok(context.screen.out(&table.render(stdout_width(), context.screen.color()))?)
}

/// Logs in to the server of the service that is meant.
async fn connect(at: &AtArgs, context: &Context) -> Result<(Server, Service)> {
    let (server, service, _) = connect_whole(at, context).await?;
    Ok((server, service))
}

/// The same, and what was cut off while it was at work on the service's data.
async fn connect_whole(at: &AtArgs, context: &Context) -> Result<(Server, Service, Option<Intent>)> {
    let mut found = stack_or_labels(context).await?;
    let service = the_service(&found.stack, at.service.as_deref())?.clone();
    let engine = found.engine(context).await?;
    let stack = found.stack;
    let containers = engine.containers(stack.name.as_str()).await?;
    let Some(container) = containers.iter().find(|seen| seen.service == service.name && seen.is_up()) else {
        return Err(Error::new(ErrorKind::Other, format_args!("{} does not run", service.name))
            .hint(format!("start it with: taskava dev up {}", service.name)));
    };
    let intents = engine.intents(stack.name.as_str()).await?;
    let intent = intents.into_iter().find(|intent| intent.concerns(&stack, &service));
    Ok((Server::connect(&engine, &service, container).await?, service, intent))
}

fn the_service<'a>(stack: &'a Stack, name: Option<&str>) -> Result<&'a Service> {
    if let Some(name) = name {
        return stack.named(name).map(|name| &stack.services[&name]);
    }
    let of_kind = stack.services.values().filter(|service| service.kind == Kind::Postgres);
    let all: Vec<&Service> = of_kind.collect();
    match all[..] {
        [only] => Ok(only),
        [] => Err(Error::new(ErrorKind::Usage, format_args!("no service of {} is of kind postgres", stack.name))),
        _ => {
            let names: Vec<&str> = all.iter().map(|service| service.name.as_str()).collect();
            Err(Error::new(ErrorKind::Usage, "several services are of kind postgres")
                .hint(format!("name one: --service {}", names.join(" or "))))
        }
    }
}

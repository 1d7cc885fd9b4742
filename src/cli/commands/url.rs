//! `url`: where a service can be reached.

use std::process::ExitCode;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::kinds;
use crate::run::actual;

/// Print the URL of a service
///
/// The URL of its web page if it has one, otherwise of its first published port. Passwords are masked only on a
/// terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  psql \"$(taskava dev url postgres)\"
  curl \"$(taskava dev url api)/health\"")]
pub struct Args {
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
    /// Print the URL of this container port
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Print the URL of every published port, one per line
    #[arg(long, conflicts_with = "port")]
    pub all: bool,
    /// Show passwords even on a terminal
    #[arg(long)]
    pub show_secrets: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let name = found.stack.named(&args.service)?;
        let container = found.container(&engine, &name).await?;
        let stack = found.stack;
        let service = &actual::service(&engine, &stack.services[&name], &container).await.service;
        let mut urls =
            kinds::urls(service, &engine.about.host, &container.ports, context.screen.shows_secrets(args.show_secrets));
        if urls.is_empty() {
            return Err(Error::new(ErrorKind::Other, format_args!("{name} publishes no port"))
                .hint(format!("give it one: `ports = [\"8080\"]` in [services.{name}], then: taskava dev up {name}")));
        }
        if let Some(port) = args.port {
            let published: Vec<String> = urls.iter().map(|url| url.port.to_string()).collect();
            urls.retain(|url| url.port == port);
            if urls.is_empty() {
                let message = format!("{name} does not publish port {port}");
                let hint = format!("it publishes: {}", published.join(", "));
                return Err(Error::new(ErrorKind::Usage, message).hint(hint));
            }
        }
        let shown = if args.all { urls.len() } else { 1 };
        let lines: String = urls.iter().take(shown).map(|url| format!("{}\n", url.url)).collect();
        context.screen.data(&lines)?;
        Ok(ExitCode::SUCCESS)
    })
}

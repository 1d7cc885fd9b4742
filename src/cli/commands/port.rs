//! `port`: where a port of a service is published.

use std::net::SocketAddr;
use std::process::ExitCode;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::compose_options::Index;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::model::Protocol;

/// Print the address at which a port of a service is published
///
/// `url` prints a whole URL, password included.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service
    #[arg(value_name = "SERVICE", add = crate::cli::commands::completions::services())]
    pub service: String,
    /// Port inside the container; every published one if none is named
    #[arg(value_name = "PORT")]
    pub port: Option<String>,
    /// Which container.
    #[command(flatten)]
    pub index: Index,
    /// Protocol of the port: tcp or udp
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    pub protocol: String,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let (port, protocol) = wanted(args)?;
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let name = args.index.of(&found.stack, &args.service)?;
        let container = found.container(&engine, &name).await?;
        let is_meant = |seen: &&crate::model::PublishedPort| {
            port.is_none_or(|port| seen.container == port && seen.protocol == protocol)
        };
        let mut lines = String::new();
        for seen in container.ports.iter().filter(is_meant) {
            let address = SocketAddr::new(seen.address, seen.host);
            match port {
                Some(_) => lines += &format!("{address}\n"),
                None => lines += &format!("{}/{} -> {address}\n", seen.container, seen.protocol.as_str()),
            }
        }
        if lines.is_empty() {
            let what = port.map_or_else(|| "any port".into(), |port| format!("port {port}/{}", protocol.as_str()));
            let publish = port.unwrap_or(8080);
            return Err(Error::new(ErrorKind::Other, format_args!("{name} does not publish {what}")).hint(format!(
                "publish it: `ports = [\"{publish}\"]` in [services.{name}], then: taskava dev up {name}"
            )));
        }
        context.screen.out(&lines)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `5432`, `53/udp`, or `--protocol`.
fn wanted(args: &Args) -> Result<(Option<u16>, Protocol)> {
    let (port, protocol) = match args.port.as_deref() {
        None => (None, args.protocol.as_str()),
        Some(text) => match text.split_once('/') {
            Some((port, protocol)) => (Some(port), protocol),
            None => (Some(text), args.protocol.as_str()),
        },
    };
    let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.as_str() == protocol);
    let wrong =
        |what: &str| Error::new(ErrorKind::Usage, what).hint("write a port inside the container: 5432 or 53/udp");
    let protocol = protocol.ok_or_else(|| wrong("the protocol is tcp or udp"))?;
    let port = port.map(|port| port.parse().map_err(|_| wrong("that is no port"))).transpose()?;
    Ok((port, protocol))
}

//! The containers of services that a command names, or of all of them, for commands that act on containers as they are.

use super::Context;
use super::by_labels::stack_or_labels;
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::model::Stack;
use crate::plan::observed::Container;

/// The services of a command that acts on containers.
#[derive(Debug, clap::Args)]
pub struct Services {
    /// Services; all of the stack if none is named
    #[arg(value_name = "SERVICE", add = crate::cli::commands::completions::services())]
    pub services: Vec<String>,
}

/// A stack's engine and those containers.
#[derive(Debug)]
pub struct Found {
    /// The stack.
    pub stack: Stack,
    /// Its engine.
    pub engine: Engine,
    /// The containers, in the order of the engine's list.
    pub containers: Vec<Container>,
}

impl Services {
    /// Finds them, without services.toml too.
    ///
    /// # Errors
    /// When there is no such service, or a named one has no container.
    pub async fn find(&self, context: &Context) -> Result<Found> {
        let mut found = stack_or_labels(context).await?;
        let names = self.services.iter().map(|name| found.stack.named(name)).collect::<Result<Vec<_>>>()?;
        let engine = found.engine(context).await?;
        let mut containers = engine.containers(found.stack.name.as_str()).await?;
        containers.retain(|seen| names.is_empty() || names.contains(&seen.service));
        if let Some(missing) = names.iter().find(|name| containers.iter().all(|seen| seen.service != **name)) {
            let error = Error::new(ErrorKind::Other, format_args!("{missing} has no container"));
            return Err(error.hint(format!("create it with: taskava dev up {missing}")));
        }
        containers.sort_by(|a, b| a.service.cmp(&b.service));
        Ok(Found { stack: found.stack, engine, containers })
    }
}

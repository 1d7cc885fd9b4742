//! The containers of services that a command names, or of all of them, for commands that act on containers as they are.

use std::process::ExitCode;

use super::Context;
use super::by_labels::stack_or_labels;
use super::compose_options::Index;
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::model::ServiceName;
use crate::plan::observed::Container;

/// The engine, and the container of a service, in any state. Works without services.toml, too.
///
/// # Errors
/// When there is no such service, or it has no container.
pub(super) async fn find_one(context: &Context, service: &str, index: Index) -> Result<(Engine, Container)> {
    let mut found = stack_or_labels(context).await?;
    let (engine, containers) = found.engine_with_containers(context).await?;
    let name = index.of(&found.stack, service)?;
    let container = containers.into_iter().find(|seen| seen.service == name).ok_or_else(|| none_of(&name))?;
    Ok((engine, container))
}

fn none_of(service: &ServiceName) -> Error {
    let error = Error::new(ErrorKind::Other, format_args!("{service} has no container"));
    error.hint(format!("create it with: taskava dev up {service}"))
}

/// The services of a command that acts on containers.
#[derive(Debug, clap::Args)]
pub struct Services {
    /// Services; all of the stack if none is named
    #[arg(value_name = "SERVICE", add = crate::cli::commands::completions::services())]
    pub services: Vec<String>,
}

impl Services {
    /// The stack's engine and their containers, by name of the service. Works without services.toml, too.
    ///
    /// # Errors
    /// When there is no such service, or a named one has no container.
    pub async fn find(&self, context: &Context) -> Result<(Engine, Vec<Container>)> {
        let mut found = stack_or_labels(context).await?;
        let (engine, mut containers) = found.engine_with_containers(context).await?;
        let names = found.stack.all_named(&self.services)?;
        containers.retain(|seen| names.is_empty() || names.contains(&seen.service));
        if let Some(missing) = names.iter().find(|name| containers.iter().all(|seen| seen.service != **name)) {
            return Err(none_of(missing));
        }
        containers.sort_by(|a, b| a.service.cmp(&b.service));
        Ok((engine, containers))
    }

    /// Does something to each of their containers that it is meant for, and says `done` of it.
    ///
    /// # Errors
    /// As [`Self::find`], and what the engine refuses.
    pub async fn each(
        &self,
        context: &Context,
        is_meant: impl Fn(&Container) -> bool,
        act: impl AsyncFn(&Engine, &str, &str) -> Result<()>,
        done: &str,
    ) -> Result<ExitCode> {
        let (engine, containers) = self.find(context).await?;
        for container in containers.iter().filter(|container| is_meant(container)) {
            act(&engine, &container.id, container.service.as_str()).await?;
            context.screen.note(&format!("{}: {done}", container.service));
        }
        Ok(ExitCode::SUCCESS)
    }
}

//! `up` that stays: whose logs it follows, and when it ends by itself, as with docker compose's `--abort-on-container-exit`.

use std::process::ExitCode;

use crate::cli::commands::{logs, stop};
use crate::cli::session::{ChangeArgs, Stopping};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::Engine;
use crate::event::Turn;
use crate::model::{Kind, ServiceName, Stack};
use crate::plan::observed::Container;

/// Options that make `up` follow the logs until a container exits.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Ends {
    /// Follow the logs until one container exits, then stop all; the exit code is that container's
    #[arg(long, conflicts_with_all = ["detach", "watch", "no_start"])]
    pub abort_on_container_exit: bool,
    /// The same, but only a container that exits with another code than 0 counts
    #[arg(long, conflicts_with_all = ["detach", "watch", "no_start", "abort_on_container_exit"])]
    pub abort_on_container_failure: bool,
    /// Follow the logs until one container exits, then stop all; the exit code is this service's
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "watch", "no_start"])]
    #[arg(add = crate::cli::commands::completions::services())]
    pub exit_code_from: Option<String>,
}

/// Options about the logs that are followed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Shown {
    /// Follow only the logs of this service; repeatable
    #[arg(long, value_name = "SERVICE", conflicts_with = "detach")]
    #[arg(add = crate::cli::commands::completions::services())]
    pub attach: Vec<String>,
    /// Don't show the logs of this service when following; repeatable
    #[arg(long, value_name = "SERVICE", add = crate::cli::commands::completions::services())]
    pub no_attach: Vec<String>,
    /// Follow the logs of all services, dependencies included
    #[arg(long, hide = true, conflicts_with_all = ["detach", "attach"])]
    pub attach_dependencies: bool,
    /// Don't prefix followed lines with the service name
    #[arg(long, alias = "no-log-prefix", hide = true)]
    pub no_prefix: bool,
    /// Show timestamps of followed lines
    #[arg(long, hide = true)]
    pub timestamps: bool,
}

impl Shown {
    /// Whether logs are followed although `--follow` was not written.
    pub(super) fn follows(&self) -> bool {
        !self.attach.is_empty() || self.attach_dependencies
    }

    /// Whether no service was chosen or excluded.
    pub(super) fn is_all(&self) -> bool {
        self.attach.is_empty() && self.no_attach.is_empty() && !self.attach_dependencies
    }

    /// The services whose logs are shown.
    ///
    /// # Errors
    /// When a name is not one of the stack's.
    pub(super) fn of(&self, stack: &Stack) -> Result<Vec<String>> {
        let (chosen, excluded) = (stack.all_named(&self.attach)?, stack.all_named(&self.no_attach)?);
        let all = stack.services.keys().filter(|name| chosen.is_empty() || chosen.contains(name));
        Ok(all.filter(|name| !excluded.contains(name)).map(ToString::to_string).collect())
    }

    /// What is asked of `logs`.
    pub(super) fn logs(&self, services: Vec<String>) -> logs::Args {
        logs::Args { no_prefix: self.no_prefix, timestamps: self.timestamps, ..logs::Args::following(services) }
    }
}

/// When `up` ends by itself.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// A container that exits with 0 does not count.
    failures_only: bool,
    /// Whose exit code is ours; otherwise that of the one that exited.
    code_of: Option<ServiceName>,
    /// Jobs that others wait for: their end is the beginning.
    awaited: Vec<ServiceName>,
}

impl Ends {
    /// None: it does not end by itself.
    ///
    /// # Errors
    /// When the service is not one of the stack's.
    pub(super) fn of(&self, stack: &Stack) -> Result<Option<End>> {
        let code_of = self.exit_code_from.as_ref().map(|name| stack.named(name)).transpose()?;
        if code_of.is_none() && !self.abort_on_container_exit && !self.abort_on_container_failure {
            return Ok(None);
        }
        let is_awaited = |name: &&ServiceName| {
            let is_job = stack.services[*name].kind == Kind::Job && code_of.as_ref() != Some(*name);
            is_job && stack.services.values().any(|service| service.depends_on.contains_key(*name))
        };
        let awaited = stack.services.keys().filter(is_awaited).cloned().collect();
        Ok(Some(End { failures_only: self.abort_on_container_failure, code_of, awaited }))
    }
}

impl End {
    /// Whether the end of a service's container is the end of all.
    fn is(&self, service: &ServiceName, code: Option<i64>) -> bool {
        let fails = code != Some(0);
        fails || !(self.failures_only || self.awaited.contains(service))
    }
}

/// Follows the logs until a container exits, stops all of the stack, and returns the exit code. `brought_up`: how bringing
/// it up ended; nothing is followed of a stack that did not come up.
pub(super) fn until_the_end(
    context: &Context,
    shown: &Shown,
    services: &[String],
    end: &End,
    brought_up: ExitCode,
    stop_timeout: Option<u64>,
) -> Result<ExitCode> {
    let (ended, code) = match brought_up == ExitCode::SUCCESS {
        true => block_on_end(context, shown, services, end)?,
        false => (None, brought_up),
    };
    let stopping = Stopping { seconds: stop_timeout };
    let stopped = stop::run(&stop::Args { stopping, on: ChangeArgs::default() }, context)?;
    context.screen.finish();
    let asked = end.code_of.as_ref().or(ended.as_ref());
    let own = match asked {
        // What the user interrupted has no exit code of its own.
        Some(service) if ended.is_some() || brought_up != ExitCode::SUCCESS => exit_code(context, service)?,
        _ => None,
    };
    Ok(match own {
        Some(code) => code,
        None if code == ExitCode::SUCCESS => stopped,
        None => code,
    })
}

/// The service that ended, and the exit code if it was Ctrl-C.
fn block_on_end(
    context: &Context,
    shown: &Shown,
    services: &[String],
    end: &End,
) -> Result<(Option<ServiceName>, ExitCode)> {
    let mut ended: Option<ServiceName> = None;
    let mut code = ExitCode::SUCCESS;
    let shows = |name: &ServiceName| services.iter().any(|shown| shown == name.as_str());
    let logs = logs::Args { tail: logs::Tail::ALL, ..shown.logs(Vec::new()) };
    block_on(async {
        // One that ended while the others came up is not heard of.
        let containers = containers(context).await?;
        ended = containers
            .iter()
            .find(|seen| !seen.is_up() && seen.exit_code.is_some() && end.is(&seen.service, seen.exit_code))
            .map(|seen| seen.service.clone());
        let is_over = ended.is_some();
        let mut ends = |note: &crate::event::Note| match note.turn {
            Turn::Exited(code) if ended.is_none() && end.is(&note.service, code) => {
                ended = Some(note.service.clone());
                true
            }
            _ => false,
        };
        let passing = logs::Passing { grep: None, shows: &shows, ends: &mut ends };
        let logs = logs::Args { follow: !is_over, ..logs };
        (code, _) = logs::follow(&logs, context, passing).await?;
        Ok(ExitCode::SUCCESS)
    })?;
    Ok((ended, code))
}

async fn containers(context: &Context) -> Result<Vec<Container>> {
    let mut found = crate::cli::by_labels::stack_or_labels(context).await?;
    let engine: Engine = found.engine(context).await?;
    engine.containers(found.stack.name.as_str()).await
}

/// The exit code of a service's container, if it has ended.
fn exit_code(context: &Context, service: &ServiceName) -> Result<Option<ExitCode>> {
    let mut code = None;
    block_on(async {
        let containers = containers(context).await?;
        code = containers.iter().find(|seen| seen.service == *service).and_then(|seen| seen.exit_code);
        Ok(ExitCode::SUCCESS)
    })?;
    Ok(code.map(crate::cli::inside::exit_code))
}

//! `volumes`: the volumes of a stack.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::{Context, block_on, template};
use crate::diag::Result;
use crate::model::{MountSource, ServiceName};
use crate::ui::Format;
use crate::ui::table::{Table, stdout_width};

/// List the volumes of the stack
///
/// With SERVICE: only volumes that are mounted into these services.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only volumes of these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let chosen = found.stack.all_named(&args.services)?;
        let stack = &found.stack;
        let seen = engine.observe(stack).await?;
        let services = |volume: &str| -> Vec<ServiceName> {
            let is_of = |mount: &crate::model::Mount| match &mount.source {
                MountSource::Volume(short) => stack.volumes[short].name == volume,
                MountSource::Bind(_) | MountSource::View { .. } | MountSource::Anonymous | MountSource::Image(_) => {
                    false
                }
            };
            let declared = stack.services.values().filter(|one| one.mounts.iter().any(is_of)).map(|one| &one.name);
            let mounted = seen.containers.iter().filter(|one| one.volumes.contains_key(volume));
            let mut all: Vec<_> = declared.chain(mounted.map(|one| &one.service)).cloned().collect();
            all.sort();
            all.dedup();
            all
        };
        let mut rows: Vec<_> = seen.volumes.iter().map(|volume| (volume, services(&volume.name))).collect();
        rows.retain(|(_, services)| chosen.is_empty() || services.iter().any(|name| chosen.contains(name)));
        rows.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let text = |services: &[ServiceName]| services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ");
        let fields = |(volume, services): &(&crate::plan::observed::Volume, Vec<ServiceName>)| {
            let all = [("Name", volume.name.clone()), ("Driver", volume.driver.clone()), ("Services", text(services))];
            all.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
        };
        if template::show(context, &rows.iter().map(fields).collect::<Vec<_>>())? {
            return Ok(ExitCode::SUCCESS);
        }
        if context.global.quiet {
            context.screen.out(&rows.iter().map(|(volume, _)| format!("{}\n", volume.name)).collect::<String>())?;
        } else if context.format() == Format::Json {
            let rows = rows.iter().map(|(volume, services)| {
                json!({ "name": volume.name, "driver": volume.driver, "services": services,
                        "own": volume.stack.as_deref() == Some(stack.name.as_str()) })
            });
            context.screen.json(&rows.collect::<Vec<_>>())?;
        } else if rows.is_empty() {
            context.screen.note(&format!("{} has no volume", stack.name));
        } else {
            let mut table = Table::new(&["VOLUME", "SERVICES", "DRIVER"]);
            for (volume, services) in &rows {
                table.row([volume.name.clone(), text(services), volume.driver.clone()]);
            }
            context.screen.out(&table.render(stdout_width(), context.screen.color()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

//! `top`: the processes of services.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Map as Table, json};

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::ui::table::{self as ui, stdout_width};
use crate::ui::{Format, sanitise};

/// Show the processes of running services
///
/// As `ps -ef` on the engine's machine shows them; `stats` shows what they use.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which services.
    #[command(flatten)]
    pub on: Services,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let (engine, containers) = args.on.find(context).await?;
        let mut services = Table::new();
        for container in containers.iter().filter(|container| container.is_up()) {
            let (titles, rows) = engine.top(&container.id, container.service.as_str()).await?;
            if context.format() == Format::Json {
                let rows = rows.iter().map(|row| titles.iter().zip(row).collect());
                services.insert(container.service.to_string(), json!(rows.collect::<Vec<BTreeMap<_, _>>>()));
                continue;
            }
            let mut table = ui::Table::new(&titles.iter().map(String::as_str).collect::<Vec<_>>());
            rows.iter().for_each(|row| table.row(row.iter().map(|cell| sanitise::text(cell))));
            let text = table.render(stdout_width(), context.screen.color());
            context.screen.out(&format!("{}\n{text}\n", container.service))?;
        }
        if context.format() == Format::Json {
            context.screen.json(&services)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

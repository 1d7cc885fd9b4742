//! `images`: the images of a stack's containers.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::services::Services;
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::ui::Format;
use crate::ui::table::{Table, stdout_width};

/// List the images that containers were created from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which services.
    #[command(flatten)]
    pub on: Services,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let (_, containers) = args.on.find(context).await?;
        let short = |id: &str| id.trim_start_matches("sha256:").get(..12).unwrap_or(id).to_owned();
        if context.global.quiet {
            let ids: String = containers.iter().map(|seen| format!("{}\n", short(&seen.image_id))).collect();
            context.screen.out(&ids)?;
        } else if context.format() == Format::Json {
            let rows = containers.iter();
            let rows = rows.map(|seen| json!({ "service": seen.service, "image": seen.image, "id": seen.image_id }));
            context.screen.json(&rows.collect::<Vec<_>>())?;
        } else {
            let mut table = Table::new(&["SERVICE", "IMAGE", "ID"]);
            for seen in &containers {
                table.row([seen.service.to_string(), seen.image.clone(), short(&seen.image_id)]);
            }
            context.screen.out(&table.render(stdout_width(), context.screen.color()))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

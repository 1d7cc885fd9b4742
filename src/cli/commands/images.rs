//! `images`: the images of a stack's containers.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::services::Services;
use crate::cli::{Context, block_on, template};
use crate::diag::Result;
use crate::model::reference::Reference;
use crate::plan::observed::Container;
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
        let fields = |seen: &Container| {
            let reference = Reference::of(&seen.image);
            let (repository, tag) = (reference.repository.to_owned(), reference.tag.unwrap_or_default().to_owned());
            let id = short(&seen.image_id);
            let all = [("ContainerName", seen.name.clone()), ("Repository", repository), ("Tag", tag), ("ID", id)];
            let all = all.into_iter().chain([("Service", seen.service.to_string()), ("Image", seen.image.clone())]);
            all.map(|(name, value)| (name.to_owned(), value.into())).collect()
        };
        if template::show(context, &containers.iter().map(fields).collect::<Vec<_>>())? {
            return Ok(ExitCode::SUCCESS);
        }
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

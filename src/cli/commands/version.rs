//! `version`: of this program, and of the engine if one answers.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::context::{FormatArg, FormatParser};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::Engine;
use crate::ui::Format;

/// Print the version of taskava, and of the engine
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print only the version of taskava
    #[arg(long)]
    pub short: bool,
    /// Same as `--format`: `pretty` or `json`
    #[arg(short = 'f', hide = true, value_name = "FORMAT", id = "short_format", value_parser = FormatParser)]
    pub format: Option<FormatArg>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    if args.short {
        context.screen.out(&format!("{version}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let json = context.format() == Format::Json || args.format == Some(FormatArg::Json);
    block_on(async {
        // The version of this program is there without an engine, too.
        let engine = Engine::connect(&context.connect_options()).await.ok();
        let of_engine = engine.as_ref().map(|engine| engine.about.version.clone());
        if json {
            context.screen.json(&json!({ "v": crate::event::VERSION, "version": version, "engine": of_engine }))?;
        } else {
            let of_engine = of_engine.unwrap_or_else(|| "none answers (why: taskava dev doctor)".into());
            context.screen.out(&format!("taskava {version}\nengine  {of_engine}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

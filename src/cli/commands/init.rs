//! `init`: writes a services.toml for the current folder. `crate::init` generates its text.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use super::import::write_new;
use crate::bounded;
use crate::cli::Context;
use crate::config;
use crate::diag::{Error, ErrorKind, Result};
use crate::init::{self, App, Extra};
use crate::load;
use crate::resolve::name_of_folder;
use crate::ui::Format;

/// Create a commented services.toml in this folder
///
/// It contains PostgreSQL and Redis; LocalStack, a mail catcher and the application are commented out. The JSON Schema
/// for editors is written next to it, and services.local.toml and .env are added to .gitignore. Existing files are not
/// overwritten.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Add these services
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    pub with: Vec<Extra>,
    /// Create a new file even if there is a Compose file to import
    #[arg(long)]
    pub fresh: bool,
}

/// What git must not take: settings and secrets of one machine.
const PRIVATE: [&str; 2] = [load::OVERRIDE, ".env"];

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let here = std::env::current_dir()?;
    let target = here.join(config::FILE);
    if let Some(compose) = load::compose_file(&here).filter(|_| !args.fresh && !target.exists()) {
        let name = compose.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(Error::new(ErrorKind::Usage, format_args!("{name} already exists here"))
            .hint("convert it to services.toml: taskava dev import")
            .hint("or create a new file next to it: taskava dev init --fresh"));
    }
    let app = App::SIGNS.iter().find(|(file, _)| here.join(file).is_file());
    let project = init::project(&context.project().map_or_else(|| name_of_folder(&here), Into::into));
    let text = init::services_toml(&project, app.map(|(_, app)| *app), &args.with);
    write_new(&target, &text, false).map_err(|error| match target.exists() {
        true => Error::new(ErrorKind::Usage, format_args!("{} already exists, and is left unchanged", config::FILE))
            .hint("start it: taskava dev up"),
        false => error,
    })?;
    let schema = !here.join(init::SCHEMA).exists();
    if schema {
        write_new(&here.join(init::SCHEMA), &super::schema::text()?, false)?;
    }
    let ignored = ignore(&here)?;
    if context.format() == Format::Json {
        let app = app.map(|(file, app)| serde_json::json!({ "kind": app.as_str(), "sign": file }));
        let value = serde_json::json!({
            "v": crate::event::VERSION, "output": target, "project": project, "application": app, "ignored": ignored,
        });
        context.screen.json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some((file, app)) = app {
        context.screen.note(&format!("{file}: a {} application; its service is included, commented out", app.as_str()));
    }
    if schema {
        context.screen.note(&format!("{}: JSON Schema of services.toml, for editors", init::SCHEMA));
    }
    if !ignored.is_empty() {
        context.screen.note(&format!(".gitignore: added {}", ignored.join(" and ")));
    }
    context.screen.out(&format!("{} written; next: taskava dev up\n", config::FILE))?;
    Ok(ExitCode::SUCCESS)
}

/// Adds what is private to .gitignore; returns what was added.
fn ignore(here: &Path) -> Result<Vec<&'static str>> {
    let path = here.join(".gitignore");
    let text = match bounded::text(&path, bounded::WRITTEN) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let there = |name: &str| text.lines().any(|line| line.trim().trim_start_matches('/') == name);
    let missing: Vec<&str> = PRIVATE.into_iter().filter(|name| !there(name)).collect();
    if !missing.is_empty() {
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let lines: String = missing.iter().map(|name| format!("/{name}\n")).collect();
        std::fs::write(&path, format!("{text}{gap}{lines}"))?;
    }
    Ok(missing)
}

//! `import`: converts a Docker Compose file to services.toml, and reports what could not be converted.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;

use crate::cli::Context;
use crate::compose::Note;
use crate::compose::import::{Imported, Options, import};
use crate::compose::read::{self, Document};
use crate::config;
use crate::diag::{Diagnostic, Error, ErrorKind, Result, Severity};
use crate::load;
use crate::ui::Format;

/// Convert a Compose file to services.toml
///
/// Reads the same files as docker compose: compose.yaml or docker-compose.yml with its override, and every file it
/// includes or extends. Comments and variables are kept. Every setting without an equivalent is reported with its line
/// and what to do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev import                          compose.yaml or docker-compose.yml in this folder
  taskava dev import a.yml b.yml -o -         several files, printed to stdout
  taskava dev import --loopback               publish ports on 127.0.0.1 only; compose opens them to the network")]
pub struct Args {
    /// Compose files; later ones override earlier ones [default: those docker compose would use]
    #[arg(value_name = "COMPOSE_FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Output file; `-` = stdout [default: services.toml next to the Compose file]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long)]
    pub force: bool,
    /// Publish ports on 127.0.0.1 if the Compose file names no address
    #[arg(long)]
    pub loopback: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let here = std::env::current_dir()?;
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    let target = args.output.as_deref().filter(|_| !to_stdout).and_then(Path::parent);
    let document = read::read(&args.files, &here, target.map(|target| here.join(target)).as_deref(), &[])?;
    let imported = import(&document, Options { loopback: args.loopback, exists: Path::exists, create_folders: true });
    if imported.services.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format_args!("{} has no services", named(&document, &here)))
            .hint("name the file that has them: taskava dev import FILE"));
    }
    let output = match &args.output {
        _ if to_stdout => None,
        Some(path) => Some(here.join(path)),
        None => Some(document.folder.join(config::FILE)),
    };
    if let Some(output) = &output {
        write_new(output, &imported.text, args.force)?;
        make_folders(&imported.folders)?;
    }
    report(args, context, &document, &imported, output.as_deref(), &here)?;
    match output {
        Some(output) => checked(context, &output, &here),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Writes a file that is not there yet, or any with `force`.
pub(in crate::cli) fn write_new(path: &Path, text: &str, force: bool) -> Result<()> {
    let written = if force {
        std::fs::write(path, text)
    } else {
        let file = std::fs::File::options().write(true).create_new(true).open(path);
        file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::new(ErrorKind::Usage, format_args!("{} exists already", path.display()))
            .hint("replace it with --force, or write elsewhere with --output FILE"),
        _ => Error::new(ErrorKind::Other, format_args!("{} can't be written: {error}", path.display())),
    })
}

/// Folders that docker compose would make at its first `up`.
fn make_folders(folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::new(ErrorKind::Other, format_args!("the folder {} can't be created: {error}", folder.display()))
        })?;
    }
    Ok(())
}

fn report(
    args: &Args,
    context: &Context,
    document: &Document,
    imported: &Imported,
    output: Option<&Path>,
    here: &Path,
) -> Result<()> {
    let screen = &context.screen;
    if args.json || context.format() == Format::Json {
        let value = serde_json::json!({
            "v": crate::event::VERSION,
            "output": output,
            "text": if output.is_none() { Some(&imported.text) } else { None },
            "files": document.files,
            "services": imported.services,
            "folders": imported.folders,
            "notes": imported.notes.iter().map(note).collect::<Vec<_>>(),
        });
        return Ok(screen.json(&value)?);
    }
    for note in &imported.notes {
        if note.lost { screen.remark(&note.to_string()) } else { screen.note(&note.to_string()) }
    }
    let folders: Vec<String> =
        imported.folders.iter().map(|path| path.strip_prefix(here).unwrap_or(path).display().to_string()).collect();
    let shown = match &folders[..] {
        [] => None,
        [one] => Some(format!("the folder {one}")),
        [first, .., last] if folders.len() > 5 => Some(format!("{} folders, from {first} to {last}", folders.len())),
        some => Some(format!("the folders {}", some.join(", "))),
    };
    if let Some(shown) = shown {
        match output {
            Some(_) => screen.note(&format!("created {shown}, as docker compose does when it starts")),
            None => screen.note(&format!("create {shown}: docker compose would")),
        }
    }
    let lost = imported.notes.iter().filter(|note| note.lost).count();
    let from = named(document, here);
    let summary = match lost {
        0 => format!("from {from}: everything was carried over"),
        1 => format!("from {from}: 1 thing has no counterpart"),
        lost => format!("from {from}: {lost} things have no counterpart"),
    };
    let count = imported.services.len();
    let services = format!("{count} service{}", if count == 1 { "" } else { "s" });
    match output {
        Some(output) => {
            let shown = output.strip_prefix(here).unwrap_or(output).display();
            if !context.global.quiet {
                screen.out(&format!("{shown}: {services} {summary}\n"))?;
            }
        }
        None => {
            screen.note(&format!("{services} {summary}"));
            screen.data(&imported.text)?;
        }
    }
    Ok(())
}

fn note(note: &Note) -> serde_json::Value {
    let (file, line) = note.line().unzip();
    serde_json::json!({
        "file": file, "line": line, "message": note.message, "remedy": note.remedy, "lost": note.lost,
    })
}

fn named(document: &Document, here: &Path) -> String {
    let shown = |path: &PathBuf| path.strip_prefix(here).unwrap_or(path).display().to_string();
    document.files.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// What `check` says of the result: the last word on whether it can be used.
fn checked(context: &Context, output: &Path, here: &Path) -> Result<ExitCode> {
    let options = load::LoadOptions {
        files: vec![output.to_path_buf()],
        profiles: context.profiles(),
        ..load::LoadOptions::default()
    };
    match load::stack(&options) {
        Ok(mut loaded) => {
            // What only concerns those who ask for a service is no error of the file.
            let unusable = loaded.stack.unusable.iter().map(|one| one.problem.clone());
            loaded.warnings.extend(unusable.map(|problem| Diagnostic { severity: Severity::Warning, ..problem }));
            if !loaded.warnings.is_empty() && context.format() != Format::Json {
                context.screen.diagnostics(&loaded.warnings);
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let shown = output.strip_prefix(here).unwrap_or(output).display().to_string();
            Err(error.hint(format!("{shown} was written: correct it there, then: taskava dev check")))
        }
    }
}

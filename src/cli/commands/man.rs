//! `man`: writes man pages, for packagers. Hidden from the help.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Context;
use crate::diag::Result;

/// Write man pages to a folder
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to; created if missing
    folder: PathBuf,
}

/// Writes the pages: `taskava.1`, `taskava-dev.1`, `taskava-dev-up.1`, …
pub fn run(args: &Args, _: &Context) -> Result<ExitCode> {
    std::fs::create_dir_all(&args.folder)?;
    clap_mangen::generate_to(crate::cli::command(), &args.folder)?;
    Ok(ExitCode::SUCCESS)
}

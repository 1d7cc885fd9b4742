//! Options that every command takes because docker compose has them: each means one of ours, or what is done anyway. They are
//! not in the help; docs/compose.md lists them.

use std::path::PathBuf;

use clap::{ValueEnum, ValueHint};

use super::context::{ColorArg, FormatArg, Global};
use crate::diag::{Error, ErrorKind, Result};
use crate::event::counted;
use crate::model::{ServiceName, Stack};

/// Global options of docker compose.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ComposeGlobals {
    /// Folder whose services.toml is used
    #[arg(long, global = true, hide = true, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub project_directory: Option<PathBuf>,
    /// File to read variables from instead of .env; repeatable, later ones override
    #[arg(long, global = true, hide = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub env_file: Vec<PathBuf>,
    /// Same as `--color`
    #[arg(long, global = true, hide = true, value_name = "WHEN")]
    pub ansi: Option<ColorArg>,
    /// Same as `--color never`
    #[arg(long, alias = "no-ansi", global = true, hide = true)]
    pub no_color: bool,
    /// Same as `--format`, and as `--quiet`
    #[arg(long, global = true, hide = true, value_name = "FORMAT")]
    pub progress: Option<ProgressArg>,
    /// What does not depend on each other is done at once
    #[arg(long, global = true, hide = true, value_name = "N", allow_negative_numbers = true)]
    pub parallel: Option<i32>,
    /// Volumes and networks that no service uses are in services.toml like the others
    #[arg(long, global = true, hide = true)]
    pub all_resources: bool,
}

/// `--progress`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    Auto,
    Tty,
    Plain,
    Json,
    Quiet,
    #[value(name = "rawjson", hide = true)]
    RawJson,
}

impl Global {
    /// What docker compose's options say is said with our own.
    #[must_use]
    pub fn translated(mut self) -> Self {
        let compose = &mut self.compose;
        if self.color == ColorArg::Auto {
            let never = compose.no_color.then_some(ColorArg::Never);
            self.color = never.or(compose.ansi).unwrap_or_default();
        }
        if self.format == FormatArg::Auto {
            self.format = match compose.progress {
                Some(ProgressArg::Tty) => FormatArg::Tty,
                Some(ProgressArg::Plain) => FormatArg::Plain,
                Some(ProgressArg::Json | ProgressArg::RawJson) => FormatArg::Json,
                Some(ProgressArg::Auto | ProgressArg::Quiet) | None => FormatArg::Auto,
            };
        }
        self.quiet |= compose.progress == Some(ProgressArg::Quiet) && !self.verbose;
        if self.file.iter().all(|file| file.as_os_str().is_empty()) {
            self.file.extend(compose.project_directory.take());
        }
        self
    }

    /// Refuses a combination that has no meaning here.
    ///
    /// # Errors
    /// When the folder and the file are both named.
    pub fn check(&self) -> Result<()> {
        if self.compose.project_directory.is_none() {
            return Ok(());
        }
        let message =
            "--project-directory with --file: the folder of services.toml is the stack's; leave one of them out";
        Err(Error::new(ErrorKind::Usage, message))
    }
}

/// `--index`: which of a service's containers.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Index {
    /// Number of the container, where the service has several [default: 1]
    #[arg(long, value_name = "N")]
    pub index: Option<u32>,
}

impl Index {
    /// The container that is meant by the name of a service: the service's own, or a further one.
    ///
    /// # Errors
    /// When there is no such service, or no container of this number.
    pub fn of(self, stack: &Stack, service: &str) -> Result<ServiceName> {
        let name = stack.named(service)?;
        let number = match self.index {
            None | Some(0 | 1) => return Ok(name),
            Some(number) => number,
        };
        let is_it = |one: &&ServiceName| stack.services[*one].replica.as_ref().is_some_and(|one| one.number == number);
        stack.replicas(&name).find(is_it).cloned().ok_or_else(|| {
            let has = counted(stack.replicas(&name).count() as u64, "container");
            Error::new(ErrorKind::Usage, format_args!("{name} has {has}: there is no number {number}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        global: Global,
    }

    fn global(line: &str) -> Global {
        Line::parse_from(["taskava"].into_iter().chain(line.split_whitespace())).global.translated()
    }

    #[test]
    fn each_means_one_of_ours() {
        assert_eq!(global("--ansi never").color, ColorArg::Never);
        assert_eq!(global("--ansi always --no-color").color, ColorArg::Never);
        assert_eq!(global("--color always --ansi never").color, ColorArg::Always, "what is ours comes first");
        assert_eq!(global("--progress plain").format, FormatArg::Plain);
        assert_eq!(global("--progress plain --format json").format, FormatArg::Json);
        assert!(global("--progress quiet").quiet && !global("--progress tty").quiet);
        assert_eq!(global("--project-directory a/b").file, [PathBuf::from("a/b")]);
        assert!(global("--project-directory a/b").check().is_ok());
        assert!(global("-f x.toml --project-directory a/b").check().is_err());
    }
}

//! One file per command: `Args`, whose doc comment is the help, and `run`. The list below is the only place that names
//! them all.
//!
//! The macro also declares the modules, which `cargo fmt` does not follow: `scripts/check` formats them by name.

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use super::context::FormatArg;
use crate::diag::{Error, ErrorKind, Result};

/// Declares for each line a module, a variant of [`Command`] and the call that runs it, and for each heading what is listed
/// under it in the help.
macro_rules! commands {
    ($($heading:literal { $($(#[$attribute:meta])* $module:ident $variant:ident)* })*) => {
        $($(pub mod $module;)*)*

        /// The commands.
        #[derive(Debug, Subcommand)]
        pub(super) enum Command {
            $($($(#[$attribute])* $variant($module::Args),)*)*
        }

        impl Command {
            fn call(&self, context: &Context) -> Result<ExitCode> {
                match self {
                    $($(Self::$variant(args) => $module::run(args, context),)*)*
                }
            }
        }

        /// Headings and what is listed under each, in the order of the help.
        pub(super) const HEADINGS: &[(&str, &[&str])] = &[$(($heading, &[$(stringify!($module)),*])),*];
    };
}

commands! {
    "Every day" {
        up Up
        ps Ps
        logs Logs
        restart Restart
        stop Stop
        start Start
        down Down
        create Create
        scale Scale
        rm Rm
        watch Watch
        ls Ls
    }
    "See what and why" {
        plan Plan
        explain Explain
        check Check
        #[command(alias = "convert")]
        config Config
        stats Stats
        top Top
        events Events
    }
    "Work with services" {
        exec Exec
        run Run
        connect Connect
        attach Attach
        cp Cp
        wait Wait
        kill Kill
        pause Pause
        unpause Unpause
        env Env
        open Open
        url Url
        port Port
        aws Aws
        terraform Terraform
    }
    "Data and tests" {
        snapshot Snapshot
        backup Backup
        restore Restore
        test Test
        db Db
        gc Gc
        volumes Volumes
    }
    "Images" {
        pull Pull
        build Build
        lock Lock
        images Images
        push Push
        commit Commit
    }
    "Set up" {
        init Init
        doctor Doctor
        import Import
        export Export
        schema Schema
        completions Completions
        version Version
    }
    "Internal" {
        #[command(hide = true)]
        janitor Janitor
        #[command(hide = true)]
        man Man
    }
}

impl Command {
    /// Carries out a command. Those that talk to an engine go through [`super::block_on`].
    pub(super) fn run(&self, context: &Context) -> Result<ExitCode> {
        context.global.check()?;
        if let Some(message) = self.refuses(&context.global.format) {
            return Err(Error::new(ErrorKind::Usage, message));
        }
        self.call(context)
    }

    /// Why a command can't be shown in a format that is one of others.
    fn refuses(&self, format: &FormatArg) -> Option<&'static str> {
        match format {
            FormatArg::Dotenv | FormatArg::Shell | FormatArg::Docker | FormatArg::Github => {
                let message = "this format is one of `taskava dev env`; others have auto, tty, plain and json";
                (!matches!(self, Self::Env(_))).then_some(message)
            }
            FormatArg::Yaml if matches!(self, Self::Config(_)) => {
                Some("config prints TOML, or JSON with --format json; YAML: taskava dev export compose")
            }
            FormatArg::Yaml => Some("no command has the format yaml; there are auto, tty, plain and json"),
            FormatArg::Table if matches!(self, Self::Stats(_)) => None,
            FormatArg::Table | FormatArg::Template(_) => {
                let has = matches!(self, Self::Ps(_) | Self::Images(_) | Self::Ls(_) | Self::Volumes(_));
                (!has).then_some("only lists have this format: ps, images, ls and volumes")
            }
            FormatArg::Pretty => {
                (!matches!(self, Self::Version(_))).then_some("only `taskava dev version` has the format pretty")
            }
            FormatArg::Auto | FormatArg::Tty | FormatArg::Plain | FormatArg::Json => None,
        }
    }
}

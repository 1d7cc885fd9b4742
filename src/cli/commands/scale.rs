//! `scale`: `up` for the number of containers of some services.

use std::process::ExitCode;

use super::up::{self, UpArgs};
use crate::cli::Context;
use crate::cli::session::{ChangeArgs, Waiting};
use crate::diag::Result;

/// How many containers a service gets: `web=3`.
#[derive(Debug, Clone)]
pub struct Scale {
    /// The service.
    pub service: String,
    /// How many.
    pub replicas: u32,
}

impl std::str::FromStr for Scale {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (service, replicas) = text.split_once('=').ok_or("write SERVICE=NUMBER, for example web=3")?;
        let replicas = replicas.parse().map_err(|_| "the number of containers is a whole number from 0")?;
        Ok(Self { service: service.into(), replicas })
    }
}

/// Set the number of containers of services
///
/// Starts what is missing and removes what is too many, until the next `up`. To keep the number, write `replicas` in
/// services.toml. Same as `up --scale`, for these services only.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Don't start dependencies
    #[arg(long)]
    pub no_deps: bool,
    /// Waiting for other runs.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Each service with its number of containers
    #[arg(value_name = "SERVICE=N", required = true)]
    pub scale: Vec<Scale>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let services = args.scale.iter().map(|one| one.service.clone()).collect();
    let change = UpArgs { scale: args.scale.clone(), no_deps: args.no_deps, ..UpArgs::default() };
    let on = ChangeArgs { services, waiting: args.waiting.clone() };
    up::run(&up::Args { change, on, ..up::Args::default() }, context)
}

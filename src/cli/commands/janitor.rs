//! `janitor`: the process that a test run starts to clean up after it; see `isolated::janitor`. Not for users.

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::{Context, block_on, process};
use crate::diag::Result;
use crate::engine::Engine;
use crate::isolated::janitor;

/// Remove an isolated stack when standard input ends unexpectedly
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the stack
    #[arg(value_name = "PROJECT")]
    pub stack: String,
    /// Process that is watched, shown in process lists
    #[arg(long, value_name = "PID")]
    pub owner: Option<u32>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    // A signal to the terminal's session, or closing the terminal, must not end this process.
    #[cfg(unix)]
    let _ = rustix::process::setsid();
    block_on(async {
        let engine = Engine::connect(&context.connect_options()).await?;
        let say_ready = || {
            let mut stdout = std::io::stdout();
            stdout.write_all(b"ready\n")?;
            stdout.flush()
        };
        janitor::watch(&engine, &args.stack, say_ready, process::end).await?;
        Ok(ExitCode::SUCCESS)
    })
}

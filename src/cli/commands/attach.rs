//! `attach`: connects this terminal to the main process of a service.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::compose_options::Index;
use crate::cli::inside::{self, Flow, Outside, What, pump};
use crate::cli::{Context, block_on};
use crate::diag::Result;
use crate::engine::attach::AttachOptions;
use crate::ui::terminal::{self, Raw};

/// Connect to the main process of a running service: its stdin, stdout and stderr
///
/// Ends when the process ends, with its exit code. Ctrl-P Ctrl-Q leaves a service with `tty = true` running; with
/// --sig-proxy=false, so does Ctrl-C. `logs -f` shows what was written before, too; `exec` runs another command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keys that detach from a terminal [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Don't pass stdin on
    #[arg(long)]
    pub no_stdin: bool,
    /// Pass signals on to the process (the default); with `--sig-proxy=false`, Ctrl-C only detaches
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    #[arg(value_name = "BOOL", action = clap::ArgAction::Set, hide_default_value = true)]
    pub sig_proxy: bool,
    /// Which container.
    #[command(flatten)]
    pub index: Index,
    /// The service
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub service: String,
}

/// How long a process may take to end after its output did, before it counts as left alone.
const DETACHED: Duration = Duration::from_secs(3);

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let name = args.index.of(&found.stack, &args.service)?;
        let container = found.container(&engine, &name).await?;
        let mut outside = Outside::listen();
        let keys = args.detach_keys.clone();
        let options = AttachOptions { stdin: !args.no_stdin, detach_keys: keys };
        let (attached, kind) = engine.attach_running(&container.id, name.as_str(), &options).await?;
        if !kind.stdin && !args.no_stdin {
            context.screen.note(&format!("{name} reads no input (`stdin_open` in services.toml); its output follows"));
        }
        let size = terminal::size().filter(|_| kind.tty && terminal::is_interactive());
        let raw = size.filter(|_| kind.stdin && !args.no_stdin).map(|_| Raw::enter()).transpose()?;
        if let Some(size) = size {
            engine.resize(&container.id, size).await;
        }
        let on = async |what| match what {
            What::Resized(size) if kind.tty => {
                engine.resize(&container.id, size).await;
                Ok(Flow::GoOn)
            }
            What::Resized(_) => Ok(Flow::GoOn),
            What::Signal(signal) if args.sig_proxy => {
                engine.signal(&container.id, signal.name()).await?;
                Ok(Flow::GoOn)
            }
            What::Signal(_) => Ok(Flow::Leave(0)),
        };
        let ended = pump(attached, kind.stdin && !args.no_stdin, &mut outside, on).await;
        drop(raw);
        let ended = ended?;
        let left = ended.left;
        inside::show_held(ended).await?;
        let code = match left {
            Some(_) => None,
            None => tokio::time::timeout(DETACHED, engine.exited(&container.id)).await.ok().transpose()?.flatten(),
        };
        let Some(code) = code else {
            context.screen.note(&format!("detached; {name} keeps running"));
            return Ok(ExitCode::SUCCESS);
        };
        Ok(inside::exit_code(code))
    })
}

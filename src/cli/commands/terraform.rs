//! `terraform`: Terraform against the emulators of the stack. What it needs stands in a file of its own beside the user's,
//! for as long as the command runs.

mod overrides;
mod providers;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::aws::{REAL_ACCOUNT, emulators, on_path, terminal_info, urls};
use super::test::command;
use crate::cli::session::load_stack;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::model::{Service, Stack};
use crate::run::lock::Lock;
use crate::run::shutdown::Shutdown;

/// Run Terraform against the stack's AWS emulators
///
/// Runs in the current folder, with its modules and variables. Endpoints and credentials come from taskava_override.tf,
/// which exists only while the command runs. Providers and state are kept separate from those of the real account, in
/// .terraform/taskava. Uses OpenTofu if Terraform is not installed. The exit code is Terraform's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev terraform -- init
  taskava dev terraform -- apply -auto-approve -var-file=environments/dev.tfvars
  taskava dev terraform -- -chdir=infrastructure plan")]
pub struct Args {
    /// Arguments for Terraform
    #[arg(value_name = "ARGS", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let stack = load_stack(context)?;
        let program = program()?;
        let engine = Engine::connect(&context.connect_options()).await?;
        let folder = folder(&args.arguments);
        let data = data();
        let events = context.screen.events();
        // From here on signals are reported and passed on, so that what is written below is removed again.
        let shutdown = Shutdown::on_signals(&events);
        let mut held = None;
        if reads_configuration(&args.arguments) {
            // Two at once would take each other's files away.
            let place = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            let place = place.to_string_lossy();
            let lock = Lock::take(&place, stack.name.as_str(), "terraform", Duration::ZERO, &events, &shutdown).await?;
            let target = target(&stack, &engine, &data, &program).await?;
            held = Some((overrides::Written::new(&folder, &target)?, lock));
        }
        let mut variables = terminal_info(&stack, &engine).await?;
        variables.push(("TF_DATA_DIR".into(), data.into()));
        let mut words = vec![program.into_os_string()];
        words.extend(args.arguments.iter().cloned());
        let code = command::run(&words, variables, &REAL_ACCOUNT, context.format(), &shutdown, |_| ()).await;
        // The files before the lock.
        drop(held);
        Ok(ExitCode::from(code?))
    })
}

/// Terraform, or OpenTofu where only that is.
fn program() -> Result<PathBuf> {
    on_path("terraform").or_else(|| on_path("tofu")).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "neither terraform nor tofu is on this machine").hint(
            "install one: https://developer.hashicorp.com/terraform/install, https://opentofu.org/docs/intro/install",
        )
    })
}

/// Where it is led to.
async fn target(stack: &Stack, engine: &Engine, data: &Path, program: &Path) -> Result<overrides::Target> {
    let emulators = emulators(stack)?;
    let urls = urls(stack, engine).await?;
    let url = |service: &Service| urls.get(service.name.as_str()).cloned().unwrap_or_default();
    Ok(overrides::Target {
        region: stack.region(),
        main: url(emulators.main),
        beside: emulators.beside.map(url),
        // In Terraform's own notation, which has no backslashes.
        state: data.join(stack.name.as_str()).to_string_lossy().replace('\\', "/"),
        tofu: program.file_stem().is_some_and(|name| name == "tofu"),
    })
}

/// Where Terraform keeps providers and state of the mirror, from the folder of the configuration. Inside of where it keeps
/// those of the real account, but apart: else it would offer to move that state.
fn data() -> PathBuf {
    let chosen = std::env::var_os("TF_DATA_DIR").filter(|chosen| !chosen.is_empty());
    Path::new(&chosen.unwrap_or_else(|| ".terraform".into())).join("taskava")
}

/// The folder of the configuration: the last `-chdir`, else the current one.
fn folder(arguments: &[OsString]) -> PathBuf {
    let chosen = arguments.iter().filter_map(|word| word.to_str()?.strip_prefix("-chdir=")).next_back();
    chosen.map_or_else(|| Path::new(".").into(), PathBuf::from)
}

/// Whether the command has to do with a provider or a state. `fmt` would complain of how our file looks.
fn reads_configuration(arguments: &[OsString]) -> bool {
    let command = arguments.iter().find(|word| !word.to_string_lossy().starts_with('-'));
    command.is_some_and(|word| word != "fmt" && word != "version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_where_and_whether_it_matters() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(folder(&words("-chdir=a -chdir=b plan")), Path::new("b"));
        assert_eq!(folder(&words("plan")), Path::new("."));
        for text in ["plan -no-color", "-chdir=b apply", "state list"] {
            assert!(reads_configuration(&words(text)), "{text}");
        }
        for text in ["-version", "-chdir=b fmt -check", "version"] {
            assert!(!reads_configuration(&words(text)), "{text}");
        }
    }
}

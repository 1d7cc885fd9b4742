//! `terraform`: Terraform against the emulators of the stack. What it needs stands in a file of its own beside the user's,
//! for as long as the command runs.

mod overrides;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::aws::{emulators, on_path, surroundings, urls};
use super::session::load_stack;
use super::test::command;
use super::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::model::Kind;
use crate::run::cancel::Cancel;

/// Run Terraform against the stack's emulators of AWS
///
/// In the current folder, with its own modules and variables. Endpoints and credentials come from taskava_override.tf,
/// which is there only while the command runs. Providers and state are kept apart from those of the real account, in
/// .terraform/taskava. The exit code is Terraform's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev terraform -- init
  taskava dev terraform -- apply -auto-approve -var-file=environments/dev.tfvars
  taskava dev terraform -- -chdir=infrastructure plan")]
pub struct Args {
    /// Arguments of Terraform
    #[arg(value_name = "ARGS", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let stack = load_stack(context)?;
        let program = on_path("terraform").or_else(|| on_path("tofu")).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "terraform is not on this machine")
                .hint("install Terraform, or OpenTofu: https://developer.hashicorp.com/terraform/install")
        })?;
        let engine = Engine::connect(&context.engine_ask()).await?;
        let emulators = emulators(&stack)?;
        let urls = urls(&stack, &engine).await?;
        let url = |service: &crate::model::Service| urls.get(service.name.as_str()).cloned().unwrap_or_default();
        let beside = emulators.beside.map(url);
        let full = beside.clone().or_else(|| (emulators.main.kind == Kind::Ministack).then(|| url(emulators.main)));
        let target = overrides::Target {
            region: stack.region(),
            main: url(emulators.main),
            beside: full,
            state: format!("{DATA}/{}.tfstate", stack.name),
        };
        let folder = folder(&args.arguments);
        // From here on signals are told of and passed on, so that what is written below is removed again.
        let cancel = Cancel::on_signals(&context.screen.events());
        let written = overrides::Written::new(&folder, &target)?;
        let mut variables = surroundings(&stack, &engine).await?;
        if std::env::var_os("TF_DATA_DIR").is_none() {
            variables.push(("TF_DATA_DIR".into(), DATA.into()));
        }
        let mut words = vec![program.into_os_string()];
        words.extend(args.arguments.iter().cloned());
        let code = command::run(&words, variables, context.format(), &cancel, |_| ()).await;
        drop(written);
        Ok(ExitCode::from(code?))
    })
}

/// Where Terraform keeps providers and state of the mirror, in the folder of the configuration.
const DATA: &str = ".terraform/taskava";

/// The folder of the configuration: the last `-chdir`, else the current one.
fn folder(arguments: &[OsString]) -> PathBuf {
    let chosen = arguments.iter().filter_map(|word| word.to_str()?.strip_prefix("-chdir=")).next_back();
    chosen.map_or_else(|| Path::new(".").into(), PathBuf::from)
}

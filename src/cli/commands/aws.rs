//! `aws`: the AWS CLI against the emulators of the stack; and what of AWS they mirror (`map`).

pub mod map;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use indexmap::IndexMap;

use super::test::command;
use crate::cli::by_labels::stack_or_labels;
use crate::cli::inside::{self, Streams};
use crate::cli::{Context, block_on, direct};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::engine::attach::ExecOptions;
use crate::model::aws::{self, Emulators};
use crate::model::{Service, Stack};
use crate::run::shutdown::Shutdown;
use crate::run::{actual, address};

/// Run the AWS CLI against the stack's AWS emulators, or show what they mirror
///
/// Uses the AWS CLI of this machine, or the one in the emulator's image if none is installed. Endpoints, region and
/// credentials are set, so that the real account can't be reached. The exit code is the command's.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  taskava dev aws map
  taskava dev aws -- s3 ls s3://uploads
  taskava dev aws -- cognito-idp list-user-pools --max-results 10
  taskava dev aws -- sqs receive-message --queue-url \"$SQS_JOBS_QUEUE_URL\""
)]
pub struct Args {
    /// Arguments for the AWS CLI
    #[arg(value_name = "ARGS", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
    /// Or what else.
    #[command(subcommand)]
    pub what: Option<What>,
}

/// What is not the AWS CLI's.
#[derive(Debug, clap::Subcommand)]
#[expect(missing_docs, reason = "see the arguments of each")]
pub enum What {
    Map(map::Args),
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if let Some(What::Map(args)) = &args.what {
        return map::run(args, context);
    }
    block_on(async {
        let mut found = stack_or_labels(context).await?;
        let engine = found.engine(context).await?;
        let stack = found.stack;
        if found.by_labels {
            let region = stack.region();
            context.screen.note(&format!("without services.toml, the region is {region}; set another with --region"));
        }
        let Some(program) = on_path("aws") else { return in_container(args, context, &stack, &engine).await };
        let variables = terminal_info(&stack, &engine).await?;
        let urls = urls(&stack, &engine).await?;
        let mut words = vec![program.into_os_string()];
        let url = |service: &Service| urls.get(service.name.as_str()).cloned();
        words.extend(endpoint(&args.arguments, &emulators(&stack)?, url).into_iter().map(OsString::from));
        words.extend(args.arguments.iter().cloned());
        let shutdown = Shutdown::on_signals(&context.screen.events());
        Ok(ExitCode::from(command::run(&words, variables, &REAL_ACCOUNT, context.format(), &shutdown, |_| ()).await?))
    })
}

/// The AWS CLI in the emulator's own image.
async fn in_container(args: &Args, context: &Context, stack: &Stack, engine: &Engine) -> Result<ExitCode> {
    let containers = engine.containers(stack.name.as_str()).await?;
    let stack = &actual::read_stack(engine, stack, &containers).await;
    let emulators = emulators(stack)?;
    let container = inside::container(engine, stack, &emulators.main.name).await?;
    // Each finds the other by its name; itself too, but not where it is on no network but the engine's own.
    let url = |service: &Service| {
        let host = if service.name == emulators.main.name { "localhost" } else { service.name.as_str() };
        Some(format!("http://{host}:{}", aws::port(service)?))
    };
    let variables = emulators.variables(&stack.region(), url);
    let names: Vec<&str> = emulators.all().map(|service| service.name.as_str()).collect();
    let inside_only = ["NO_PROXY", "no_proxy"].map(|name| format!("{name}=localhost,127.0.0.1,{}", names.join(",")));
    let mut command = vec!["aws".to_owned()];
    command.extend(endpoint(&args.arguments, &emulators, url));
    command.extend(args.arguments.iter().map(|word| word.to_string_lossy().into_owned()));
    let options = ExecOptions {
        command,
        // The container may have been given a proxy, too.
        env: variables.iter().map(|(name, value)| format!("{name}={value}")).chain(inside_only).collect(),
        user: None,
        working_dir: None,
        privileged: false,
        stdin: true,
        output: true,
        tty: Streams::default().tty(),
    };
    inside::exec(context, engine, &container, &options).await
}

/// `--endpoint-url`, unless it was written: version 1 of the AWS CLI does not look at the variable for SQS.
fn endpoint(
    arguments: &[OsString],
    emulators: &Emulators<'_>,
    url: impl Fn(&Service) -> Option<String>,
) -> Option<String> {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    if words.iter().any(|word| word.starts_with("--endpoint-url")) {
        return None;
    }
    let beside =
        emulators.beside.filter(|_| words.iter().any(|word| aws::BESIDE.iter().any(|api| api.command == word)));
    Some(format!("--endpoint-url={}", url(beside.unwrap_or(emulators.main))?))
}

/// The emulators of a stack.
///
/// # Errors
/// When it has none.
pub(in crate::cli) fn emulators(stack: &Stack) -> Result<Emulators<'_>> {
    Emulators::of(stack).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format_args!("no service of {} emulates AWS", stack.name))
            .hint("add one: [services.localstack] with kind = \"localstack\"")
    })
}

/// Variables of this machine that hold for the real account only. A profile whose file is hidden, for one, is an error.
pub(in crate::cli) const REAL_ACCOUNT: [&str; 9] = [
    "AWS_CA_BUNDLE",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SESSION_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// Variables that lead a program on this machine to the emulators, and to nothing else.
///
/// # Errors
/// When one of them can't be reached from here.
pub(in crate::cli) async fn terminal_info(stack: &Stack, engine: &Engine) -> Result<Vec<(String, OsString)>> {
    let urls = urls(stack, engine).await?;
    let emulators = emulators(stack)?;
    let variables = emulators.variables(&stack.region(), |service| urls.get(service.name.as_str()).cloned());
    // A profile of this machine could say otherwise: what it says of endpoints and roles doesn't count.
    let neutral = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_PAGER", ""), ("AWS_CONFIG_FILE", "/dev/null")];
    let neutral = neutral.map(|(name, value)| (name.to_owned(), OsString::from(value)));
    let credentials = ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), OsString::from("/dev/null"));
    let all = variables.into_iter().map(|(name, value)| (name, OsString::from(value)));
    let host = |url: &String| Some(url.strip_prefix("http://")?.rsplit_once(':')?.0.to_owned());
    let direct = direct::variables(&urls.values().filter_map(host).collect());
    Ok(all.chain(neutral).chain([credentials]).chain(direct).collect())
}

/// The URL of each emulator, by service.
///
/// # Errors
/// When one does not run or publishes no port.
pub(in crate::cli) async fn urls(stack: &Stack, engine: &Engine) -> Result<IndexMap<String, String>> {
    let emulators = emulators(stack)?;
    let mut urls = IndexMap::new();
    for service in emulators.all() {
        let container = inside::container(engine, stack, &service.name).await?;
        let service = &actual::read(engine, service, &container.id).await;
        let port = aws::port(service).unwrap_or(4566);
        let containers = [container];
        let (host, port) = address::published(&engine.about, &containers)(service, port)
            .ok_or_else(|| address::unreachable(service, port))?;
        urls.insert(service.name.to_string(), format!("http://{host}:{port}"));
    }
    Ok(urls)
}

/// A program that can be run by its name.
pub(in crate::cli) fn on_path(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

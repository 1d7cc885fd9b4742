//! `test`: runs one command against an isolated, ready copy of the stack, and removes the copy afterwards.

mod bundle;
pub(in crate::cli) mod command;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::bundle::Timeline;
use crate::cli::session::Session;
use crate::cli::{Context, block_on, direct};
use crate::diag::{ErrorKind, Result};
use crate::event::{Event, Events, millis};
use crate::gc;
use crate::isolated::{self, Isolated, janitor};
use crate::kinds;
use crate::model::ServiceName;
use crate::run::{actual, address, provision};

/// How many of the last lines of each service a failure shows; the bundle has all.
const SHOWN_LINES: usize = 100;

/// Run a command against a fresh, isolated copy of the stack, then remove it
///
/// The isolated stack shares nothing with your running stack: it has its own name, network, volumes and ports. Writable
/// host paths are mounted as copy-on-write views: what services write there is discarded with the stack, unless the
/// mount sets `shared = true`. A view is an overlay if the engine can mount one, otherwise a copy of up to 256 MiB. A
/// path for which neither is possible is shared, with a warning; if a database may keep its files there, the command
/// fails instead.
///
/// CMD gets the variables that `taskava dev env` prints, and `taskava dev …` inside CMD works on the isolated stack.
/// The exit code is CMD's: 128 + n for signal n, 127 if the command does not exist, 126 if it can't be run.
///
/// When CMD fails, the services' logs are shown, and kept in a folder together with everything else needed to find the
/// cause. The stack's passwords, tokens and keys are masked in both; CMD's own output is not changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev test -- cargo test                            with all services
  taskava dev test --services postgres,redis -- pytest      with only the services that the tests need
  taskava dev test --keep-on-failure -- npm test            keep the stack of a failed test")]
pub struct Args {
    /// Start only these services and their dependencies
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', add = super::completions::services())]
    pub services: Vec<String>,
    /// Keep the stack running afterwards
    #[arg(long)]
    pub keep: bool,
    /// Keep the stack running if it or CMD fails
    #[arg(long)]
    pub keep_on_failure: bool,
    /// Initialise all data in this run instead of starting from prepared images
    #[arg(long)]
    pub no_prepared: bool,
    /// Fail if not all services are ready within this many seconds [default: each service's `ready.timeout`]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Folder for logs, configuration and timeline of a failure [default: .taskava/test-… next to services.toml]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub bundle: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if let Some(program) = args.command.first() {
        command::look_up(program)?;
    }
    block_on(async {
        let mut session = Session::open(context).await?;
        let timeline = Timeline::default();
        session.events = timeline.and(context.screen.events()).masked(session.masks.clone());
        // What CMD prints is not ours to mask.
        context.screen.hide(session.masks.values());
        let services = session.services(&args.services)?;
        // Beside the work: who crashed before is not what this run waits for.
        let sweep = tokio::spawn({
            let engine = session.engine.clone();
            async move { gc::sweep(&engine).await }
        });
        let timeout = args.timeout.map(Duration::from_secs);
        let options = isolated::IsolatedOptions { services, timeout, from_scratch: args.no_prepared };
        let trial = Trial { args, session: &session, timeline: &timeline };
        let ended = trial.run(&options).await;
        sweep.abort();
        ended
    })
}

/// One run of a command against a stack of its own.
struct Trial<'a> {
    args: &'a Args,
    session: &'a Session<'a>,
    timeline: &'a Timeline,
}

impl Trial<'_> {
    async fn run(&self, options: &isolated::IsolatedOptions) -> Result<ExitCode> {
        let Session { engine, stack, events, shutdown, context, .. } = self.session;
        let janitors = |project: &str| {
            let program = std::env::current_exe().into_iter();
            program.map(|program| janitor::by_program(program, &context.engine_options(), project)).collect()
        };
        let isolated = isolated::start(engine, stack.clone(), options, janitors, events, shutdown).await?;
        if !isolated.is_watched() {
            tell(
                events,
                "no cleanup process watches this run: if it is killed, `taskava dev gc` removes what it leaves",
            );
        }
        let Some(mut summary) = isolated.summary.clone() else {
            isolated.remove(engine).await?;
            return Err(shutdown.error());
        };
        // Standard output is the command's.
        summary.endpoints = Vec::new();
        let failed = summary.failures.first().map(|failure| failure.kind);
        let ready = summary.ok;
        events.emit(&Event::Summary(summary));
        if !ready {
            self.report(&isolated, None).await;
            self.leave(isolated, true).await?;
            return Ok(ExitCode::from(failed.unwrap_or(ErrorKind::Other).exit_code()));
        }
        let code = self.command(&isolated).await;
        let failed = !matches!(code, Ok(0));
        if let Ok(code) = code
            && failed
        {
            self.report(&isolated, Some(code)).await;
        }
        let left = self.leave(isolated, failed).await;
        let code = code?;
        // What the command said counts more than that something could not be removed; the janitor goes on with that.
        if let Err(error) = left {
            tell(events, &format!("not everything could be removed: {error}"));
        }
        Ok(ExitCode::from(code))
    }

    /// Runs the command; its exit code.
    async fn command(&self, isolated: &Isolated) -> Result<u8> {
        let Session { engine, context, shutdown, masks, .. } = self.session;
        context.screen.finish();
        let (stack, unknown) = actual::stack(engine, &isolated.stack, &isolated.containers).await;
        unknown.iter().for_each(|note| context.screen.note(note));
        let ids = provision::ids(&engine.about, &stack, &isolated.containers).await;
        let mut variables: Vec<(String, OsString)> =
            kinds::variables_with(&stack, address::published(&engine.about, &isolated.containers), &ids)
                .into_iter()
                .map(|variable| (variable.name, variable.value.into()))
                .collect();
        variables.extend(direct::variables(&direct::hosts(&engine.about, &isolated.containers)));
        variables.push(("TASKAVA_PROJECT".into(), isolated.stack.name.as_str().into()));
        variables.push(("TASKAVA_FILE".into(), self.file()));
        let words: Vec<String> = self.args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let words = masks.words(&words).join(" ");
        self.timeline.note(&Event::Notice { message: format!("started: {words}") });
        let began = Instant::now();
        let ends_too = |pid| isolated.ends_too(pid);
        let code = command::run(&self.args.command, variables, &[], context.format(), shutdown, ends_too).await?;
        let took = millis(began.elapsed());
        self.timeline.note(&Event::Notice { message: format!("ended with code {code} after {took} ms: {words}") });
        if code != 0 {
            context.screen.failed(&format!("`{words}`"), &format!("exited with code {code}"));
        }
        Ok(code)
    }

    /// The files that describe the stack, so that commands inside find them from wherever they are.
    fn file(&self) -> OsString {
        let (root, toml) = (&self.session.stack.root, self.session.stack.root.join(crate::config::FILE));
        let usual = || if toml.is_file() { toml.clone().into() } else { root.into() };
        let files = self.session.context.files().into_iter().map(|file| std::path::absolute(&file).unwrap_or(file));
        match files.collect::<Vec<_>>().as_slice() {
            [] => usual(),
            [one] => one.into(),
            several => std::env::join_paths(several).unwrap_or_else(|_| usual()),
        }
    }

    /// Shows and keeps what is needed to find out why something failed. That this fails must not hide the failure.
    async fn report(&self, isolated: &Isolated, code: Option<u8>) {
        let Session { engine, context, events, masks, .. } = self.session;
        if code.is_some() {
            for container in isolated.containers.iter().rev() {
                let mut lines = engine.tail(&container.id, 2 * SHOWN_LINES).await;
                let kind = isolated.stack.services.get(&container.service).map(|service| service.kind);
                lines.retain(|line| kind.is_none_or(|kind| !kinds::is_probe_noise(kind, line)));
                let lines = lines.split_off(lines.len().saturating_sub(SHOWN_LINES));
                context.screen.service_log(&container.service, &masks.log(&lines));
            }
        }
        let folder = self.args.bundle.clone().unwrap_or_else(|| {
            let name = isolated.stack.name.as_str().trim_start_matches("taskava-t-").to_owned();
            isolated.stack.root.join(".taskava").join(format!("test-{name}"))
        });
        match bundle::write(&folder, engine, isolated, self.timeline, masks).await {
            Ok(()) => context.screen.note(&format!("logs, configuration and timeline: {}", folder.display())),
            Err(error) => tell(events, &format!("can't write {}: {error}", folder.display())),
        }
    }

    /// Removes the stack, unless it is to stay.
    async fn leave(&self, isolated: Isolated, failed: bool) -> Result<()> {
        let Session { engine, context, .. } = self.session;
        let keep = self.args.keep || failed && self.args.keep_on_failure;
        if !keep {
            return isolated.remove(engine).await;
        }
        let name = isolated.stack.name.clone();
        let up = isolated.containers.iter().filter(|seen| seen.is_up()).map(|seen| &seen.service);
        let up: Vec<&str> = up.map(ServiceName::as_str).collect();
        let what = if up.is_empty() { "nothing runs".into() } else { format!("running: {}", up.join(", ")) };
        let kept = format!(
            "{name} is kept for a day ({what})\n  look: taskava dev -p {name} ps\n  reach: taskava dev -p {name} env\n  remove: \
             taskava dev -p {name} down -v -y"
        );
        isolated.keep(engine).await?;
        context.screen.note(&kept);
        Ok(())
    }
}

fn tell(events: &Events, message: &str) {
    events.emit(&Event::Warning { message: message.into(), hint: None });
}

//! `logs`: the logs of a stack's containers as one, ordered by time.

use std::process::ExitCode;

use jiff::Zoned;
use regex::bytes::Regex;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::compose_options::Index;
use crate::cli::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::logs::decode::{Line, Origin};
use crate::event::{Events, Note};
use crate::logs::{LogOptions, Logs, More, time};
use crate::model::{ServiceName, Stack};
use crate::plan::observed::Container;
use crate::run::shutdown::{Shutdown, ShutdownLevel};
use crate::ui::Format;
use crate::ui::logs::{self as ui, Record, Sink};
use crate::ui::sanitise;

/// Show the logs of services, ordered by time
///
/// With -f, follows each service through restarts and recreation until Ctrl-C, and reports when a container exited
/// (with its exit code), was restarted or was recreated; with --json these reports are lines with the key `event`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev logs -f --tail 20             the last 20 lines of each service, then new ones
  taskava dev logs api --since 10m          one service, the last ten minutes
  taskava dev logs --grep '(?i)error'       only matching lines, in upper or lower case
  taskava dev logs --json | jq -r .line     as JSON, for scripts")]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent flag of the command line")]
pub struct Args {
    /// Only these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Follow the log output
    #[arg(short, long)]
    pub follow: bool,
    /// Number of lines to show from the end of each service's log, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "all", hide_default_value = true, value_parser = tail)]
    pub tail: Tail,
    /// Show only lines since this time: 10m (ago), 2026-05-04T10:00:00Z, or a Unix timestamp
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show only lines until this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Show timestamps
    #[arg(short, long)]
    pub timestamps: bool,
    /// Show only lines that match a regular expression; start it with (?i) to ignore case
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<Regex>,
    /// Print each line as a JSON object: v, ts, service, stream, line
    #[arg(long, conflicts_with = "timestamps")]
    pub json: bool,
    /// Don't prefix lines with the service name
    #[arg(long, alias = "no-log-prefix")]
    pub no_prefix: bool,
    /// Which container.
    #[command(flatten)]
    pub index: Index,
}

impl Args {
    /// The last lines of these services, then what comes.
    pub fn following(services: Vec<String>) -> Self {
        Self {
            services,
            follow: true,
            tail: Tail(Some(10)),
            since: None,
            until: None,
            timestamps: false,
            grep: None,
            json: false,
            no_prefix: false,
            index: Index::default(),
        }
    }
}

/// `--tail`
#[derive(Debug, Clone, Copy)]
pub struct Tail(Option<u64>);

impl Tail {
    /// Every line.
    pub const ALL: Self = Self(None);
}

fn tail(text: &str) -> Result<Tail, String> {
    if text == "all" {
        return Ok(Tail(None));
    }
    text.parse().map(|lines| Tail(Some(lines))).map_err(|_| "a number of lines, or `all`".into())
}

/// Which lines are shown, and for how long.
pub(in crate::cli) struct Passing<'a> {
    /// Only lines that match.
    pub grep: Option<&'a Regex>,
    /// Only lines of these services; what happens to the others is heard all the same.
    pub shows: &'a dyn Fn(&ServiceName) -> bool,
    /// Whether that is the last thing to be heard.
    pub ends: &'a mut dyn FnMut(&Note) -> bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let passing = Passing { grep: args.grep.as_ref(), shows: &|_| true, ends: &mut |_| false };
    block_on(async {
        let (code, interrupted) = follow(args, context, passing).await?;
        if interrupted {
            context.screen.left("the stack keeps running");
        }
        Ok(code)
    })
}

/// Shows logs until there are no more, or Ctrl-C. Returns the exit code, and whether it was Ctrl-C.
pub(in crate::cli) async fn follow(args: &Args, context: &Context, passing: Passing<'_>) -> Result<(ExitCode, bool)> {
    // Ctrl-C is how following ends: nothing to say about it.
    let shutdown = Shutdown::on_signals(&Events::default());
    let mut sink = Sink::default();
    let shown = tokio::select! {
        shown = show(args, context, &mut sink, passing) => shown.map(|()| ExitCode::SUCCESS),
        () = shutdown.reached(ShutdownLevel::Stop) => Ok(ExitCode::from(shutdown.error().kind.exit_code())),
    };
    tokio::select! {
        written = sink.finish() => if shutdown.hurry() == ShutdownLevel::None { written? },
        // The reader of our output has ended.
        () = shutdown.reached(ShutdownLevel::Kill) => {}
    }
    Ok((shown?, shutdown.hurry() != ShutdownLevel::None))
}

async fn show(args: &Args, context: &Context, sink: &mut Sink, passing: Passing<'_>) -> Result<()> {
    let mut found = stack_or_labels(context).await?;
    let (since, until) = (check_time(args.since.as_deref())?, check_time(args.until.as_deref())?);
    let (engine, containers) = found.engine_with_containers(context).await?;
    let stack = found.stack;
    let services = services(args, &stack, &containers)?;
    let wanted = |name: &ServiceName| services.is_empty() || services.contains(name);
    if !containers.iter().any(|container| wanted(&container.service)) {
        let then = if args.follow { "; waiting for the first" } else { "" };
        context.screen.note(&format!("no containers of {} yet{then}", stack.name));
    }
    let now = if since.is_some_and(time::is_relative) || until.is_some_and(time::is_relative) {
        engine.now().await.to_zoned(jiff::tz::TimeZone::system())
    } else {
        Zoned::now()
    };
    let at = |text: Option<&str>| text.map(|text| time::parse(text, &now)).transpose().map_err(usage);
    let width = stack.services.values().filter(|service| service.active).map(|service| &service.name);
    let width = width.chain(containers.iter().map(|container| &container.service)).filter(|name| wanted(name));
    let json = args.json || context.format() == Format::Json;
    let mut format = ui::Format::new(ui::Options {
        json,
        event: false,
        prefix: !args.no_prefix,
        timestamps: args.timestamps,
        color: context.screen.color(),
        width: width.map(|name| name.as_str().len()).max().unwrap_or(0),
    });
    let (since, until) = (at(since)?, at(until)?);
    let project = stack.name.to_string();
    let stamped = args.timestamps || json;
    let options = LogOptions { project, services, follow: args.follow, tail: args.tail.0, since, until, stamped };
    let events = context.screen.events();
    let mut logs = Logs::open(&engine, &events, options, &containers).await?;
    pass_on(&mut logs, &mut format, passing, sink).await
}

/// Shows lines until there are no more.
pub(in crate::cli) async fn pass_on(
    logs: &mut Logs<'_>,
    format: &mut ui::Format,
    passing: Passing<'_>,
    sink: &mut Sink,
) -> Result<()> {
    let Passing { grep, shows, ends } = passing;
    loop {
        while let Some(note) = logs.note() {
            if grep.is_none() && shows(&note.service) {
                format.note(&note, &mut sink.buffer);
            }
            if ends(&note) {
                return Ok(());
            }
        }
        while let Some(entry) = logs.next() {
            if !shows(entry.service) {
                continue;
            }
            if grep.is_none_or(|pattern| matches(pattern, &entry.line)) {
                let stream = if entry.line.origin == Origin::Stdout { "stdout" } else { "stderr" };
                let Line { stamp, text, .. } = entry.line;
                let record = Record { service: entry.service, number: entry.number, stamp, stream, text };
                format.line(&record, &mut sink.buffer);
                if sink.is_full() {
                    sink.flush().await?;
                }
            }
        }
        match logs.more().await? {
            More::Lines => {}
            More::Idle => {
                sink.flush().await?;
                logs.wait().await?;
            }
            More::End => return Ok(()),
        }
    }
}

/// Colours inside a line are not what one looks for.
fn matches(pattern: &Regex, line: &Line<'_>) -> bool {
    if !line.text.contains(&0x1b) {
        return pattern.is_match(line.text);
    }
    let mut text = Vec::with_capacity(line.text.len());
    sanitise::line(line.text, false, &mut text);
    pattern.is_match(&text)
}

/// A time that can't be understood is reported before the engine is queried.
fn check_time(text: Option<&str>) -> Result<Option<&str>> {
    text.map(|text| time::parse(text, &Zoned::now()).map(|_| text)).transpose().map_err(usage)
}

fn usage(message: String) -> Error {
    Error::new(ErrorKind::Usage, message)
}

/// The requested services; one that exists only on the engine has logs too.
fn services(args: &Args, stack: &Stack, containers: &[Container]) -> Result<Vec<ServiceName>> {
    if args.index.index.is_some() {
        return args.services.iter().map(|name| args.index.of(stack, name)).collect();
    }
    let known = |name: &String| match containers.iter().find(|container| container.service.as_str() == name) {
        Some(orphan) if !stack.services.contains_key(&orphan.service) => Ok(vec![orphan.service.clone()]),
        _ => stack.all_named(std::slice::from_ref(name)),
    };
    Ok(args.services.iter().map(known).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

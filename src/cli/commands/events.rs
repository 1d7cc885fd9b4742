//! `events`: streams the engine's events of the stack; continues after the engine was restarted.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::{Context, block_until_interrupted};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::engine::events::Happened;
use crate::event::VERSION;
use crate::logs::time;
use crate::model::{ServiceName, Stack};
use crate::ui::style::Paint;
use crate::ui::{Format, sanitise};

/// Stream engine events of the stack's containers, networks and volumes as JSON lines
///
/// On a terminal, events are printed as readable text unless --json is given. Runs until Ctrl-C or --until, and
/// continues after the engine was restarted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taskava dev events | jq 'select(.event == \"container.die\")'
  taskava dev events --since 10m --until 0s     the last ten minutes")]
pub struct Args {
    /// Only events of these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Show only events since this time: 10m (ago), 2026-05-04T10:00:00 [default: now]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show only events until this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Include commands that are run inside containers, readiness probes among them
    #[arg(short, long)]
    pub all: bool,
    /// Print JSON lines even on a terminal
    #[arg(long)]
    pub json: bool,
}

/// Longest pause between two attempts to reach an engine that went away.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_until_interrupted(show(args, context))
}

async fn show(args: &Args, context: &Context) -> Result<()> {
    let mut found = stack_or_labels(context).await?;
    let services = found.stack.all_named(&args.services)?;
    let usage = |message| Error::new(ErrorKind::Usage, message);
    // One that can't be understood is reported before the engine is queried.
    for text in [&args.since, &args.until].into_iter().flatten() {
        time::parse(text, &Zoned::now()).map_err(usage)?;
    }
    let engine = found.engine(context).await?;
    let stack = found.stack;
    let now = engine.now().await.to_zoned(TimeZone::system());
    let at = |text: &Option<String>| text.as_deref().map(|text| time::parse(text, &now)).transpose().map_err(usage);
    let since = at(&args.since)?.unwrap_or_else(|| nanoseconds(&now));
    let follow = Follow {
        context,
        stack: &stack,
        engine: &engine,
        services,
        inside: args.all,
        until: at(&args.until)?,
        json: args.json || context.format() == Format::Json || !std::io::stdout().is_terminal(),
    };
    follow.all(since).await
}

fn nanoseconds(at: &Zoned) -> u64 {
    u64::try_from(at.timestamp().as_nanosecond()).unwrap_or(0)
}

struct Follow<'a> {
    context: &'a Context,
    stack: &'a Stack,
    engine: &'a Engine,
    services: Vec<ServiceName>,
    inside: bool,
    until: Option<u64>,
    json: bool,
}

impl Follow<'_> {
    async fn all(&self, since: u64) -> Result<()> {
        let mut shown = Shown { at: since, those: BTreeSet::new() };
        loop {
            let mut events = self.engine.events(self.stack, shown.at, self.until, self.inside);
            while let Some(Ok(happened)) = events.next().await {
                if shown.is_new(&happened) && self.wants(&happened) {
                    self.tell(&happened)?;
                }
            }
            // The stream ends at the time that was asked for, or with the engine.
            let now = nanoseconds(&self.engine.now().await.to_zoned(TimeZone::UTC));
            if self.until.is_some_and(|until| until <= now) {
                return Ok(());
            }
            self.come_back().await?;
        }
    }

    async fn come_back(&self) -> Result<()> {
        self.context.screen.note("lost the engine; waiting until it is back");
        let mut pause = Duration::from_millis(100);
        while let Err(error) = self.engine.containers(self.stack.name.as_str()).await {
            if error.is_out_of_files() {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.context.screen.note("the engine is back");
        Ok(())
    }

    fn wants(&self, happened: &Happened) -> bool {
        self.services.is_empty() || happened.service.as_ref().is_some_and(|service| self.services.contains(service))
    }

    fn tell(&self, happened: &Happened) -> Result<()> {
        let at = Timestamp::from_nanosecond(happened.at.into()).unwrap_or_default();
        if self.json {
            return Ok(self.context.screen.json(&Line::new(happened, at))?);
        }
        let text = for_people(happened, &at.to_zoned(TimeZone::system()), self.context.screen.color());
        Ok(self.context.screen.out(&text)?)
    }
}

/// What was shown last, so that it is not shown again after coming back.
struct Shown {
    at: u64,
    /// Those of that very time.
    those: BTreeSet<(String, Option<String>, String)>,
}

impl Shown {
    fn is_new(&mut self, happened: &Happened) -> bool {
        if happened.at < self.at {
            return false;
        }
        if happened.at > self.at {
            self.at = happened.at;
            self.those.clear();
        }
        self.those.insert((happened.event.clone(), happened.container.clone(), happened.name.clone()))
    }
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    ts: String,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a ServiceName>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    one_off: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn new(happened: &'a Happened, at: Timestamp) -> Self {
        Self {
            v: VERSION,
            ts: format!("{at:.3}"),
            event: &happened.event,
            service: happened.service.as_ref(),
            one_off: happened.one_off,
            container: happened.container.as_deref().map(|id| id.get(..12).unwrap_or(id)),
            name: &happened.name,
            exit_code: happened.exit_code,
            signal: happened.signal.as_deref(),
            health: happened.health.as_deref(),
            command: happened.command.as_deref(),
        }
    }
}

/// `12:03:04.123  postgres  container.die  exit code 1`.
fn for_people(happened: &Happened, at: &Zoned, color: bool) -> String {
    let paint = Paint(color);
    let whose = match &happened.service {
        Some(_) if happened.one_off => sanitise::text(&happened.name),
        Some(service) => paint.service(service.as_str(), 0),
        None => sanitise::text(&happened.name),
    };
    let details = [
        happened.exit_code.map(|code| format!("exit code {code}")),
        happened.signal.as_ref().map(|signal| format!("signal {signal}")),
        happened.health.clone(),
        happened.command.clone(),
    ];
    let details: Vec<String> = details.into_iter().flatten().map(|detail| sanitise::text(&detail)).collect();
    let time = paint.dim(&at.strftime("%H:%M:%S%.3f").to_string());
    let line = format!("{time}  {whose}  {}  {}", sanitise::text(&happened.event), details.join(", "));
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(at: u64, event: &str) -> Happened {
        Happened {
            at,
            event: event.into(),
            service: Some(ServiceName::parse("db").unwrap()),
            one_off: false,
            container: Some("0123456789abcdef".into()),
            name: "p-db".into(),
            exit_code: None,
            signal: None,
            health: None,
            command: None,
        }
    }

    #[test]
    fn after_coming_back_nothing_is_shown_twice() {
        let mut shown = Shown { at: 10, those: BTreeSet::new() };
        assert!(!shown.is_new(&happened(9, "container.start")));
        assert!(shown.is_new(&happened(10, "container.start")));
        assert!(shown.is_new(&happened(10, "container.die")), "two things at the same time");
        assert!(!shown.is_new(&happened(10, "container.start")));
        assert!(shown.is_new(&happened(11, "container.start")));
        assert!(!shown.is_new(&happened(10, "container.die")));
    }

    #[test]
    fn a_line_has_what_is_known_and_is_harmless_for_people() {
        let mut die = happened(1_795_486_200_123_456_789, "container.die");
        die.exit_code = Some(1);
        let at = Timestamp::from_nanosecond(die.at.into()).unwrap();
        assert_eq!(
            serde_json::to_string(&Line::new(&die, at)).unwrap(),
            r#"{"v":1,"ts":"2026-11-24T02:10:00.123Z","event":"container.die","service":"db","container":"0123456789ab","name":"p-db","exit_code":1}"#
        );
        die.command = Some("\x1b]0;title\x07x".into());
        let text = for_people(&die, &at.to_zoned(TimeZone::UTC), false);
        assert_eq!(text, "02:10:00.123  db  container.die  exit code 1, x\n");
    }
}

//! One line per change, with the time since the run began: for pipes, logs and CI. Never redraws.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::style::Paint;
use super::{errors, github, sanitise, seconds, watch};
use crate::event::{Event, Summary, counted};
use crate::model::{Failure, ServiceName};
use crate::plan::{Cause, Op, Plan, StepId};

/// How lines look and which are shown.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Colours.
    pub color: bool,
    /// Only warnings and failures.
    pub quiet: bool,
    /// Every step.
    pub verbose: bool,
    /// Speak GitHub's workflow commands; the token fences off untrusted text.
    pub github: Option<String>,
}

/// Turns events into lines.
#[derive(Debug)]
pub struct Plain {
    options: Options,
    plan: Arc<Plan>,
    /// Width of the longest service name.
    width: usize,
}

impl Plain {
    /// Starts.
    pub fn new(options: Options) -> Self {
        Self { options, plan: Arc::default(), width: 0 }
    }

    /// The lines an event is worth, `at` a time since the run began.
    pub fn on(&mut self, event: &Event, at: Duration) -> String {
        let paint = Paint(self.options.color);
        let mut out = String::new();
        match event {
            Event::PlanStarted { plan, .. } => {
                let services = plan.steps.iter().filter_map(|step| step.op.service());
                self.width = services.map(|service| service.as_str().len()).max().unwrap_or(0);
                self.plan = plan.clone();
            }
            Event::StepStarted { step, text, service } => {
                if self.options.verbose || self.op(*step).is_some_and(takes_long) {
                    self.line(&mut out, at, service.as_ref(), &format!("{} …", doing(self.op(*step), text)));
                }
            }
            Event::StepProgress { step, text, layer, total: None, .. }
                if self.options.verbose && (layer.is_none() || matches!(self.op(*step), Some(Op::Build { .. }))) =>
            {
                let service = self.op(*step).and_then(Op::service);
                let layer = layer.as_ref().map_or_else(String::new, |layer| format!("{layer}: "));
                self.line(&mut out, at, service, &sanitise::text(&format!("{layer}{text}")));
            }
            Event::StepProgress { .. } => {}
            Event::StepDone { step, text, service, ms } => {
                let op = self.op(*step);
                // What became ready has its own event.
                if !matches!(op, Some(Op::WaitReady { .. } | Op::Provision { .. })) {
                    let took = if op.is_some_and(takes_long) { format!(" ({})", ms_text(*ms)) } else { String::new() };
                    self.line(&mut out, at, service.as_ref(), &format!("{}{took}", done(op, text)));
                }
            }
            Event::StepFailed { step, text, service, message, .. } => {
                let text = failed(self.op(*step), text, message);
                self.important(&mut out, at, service.as_ref(), &paint.bad(&text));
            }
            Event::StepSkipped { step, text, service, because } => {
                let of_other = self.op(*because).and_then(Op::service) != service.as_ref();
                let starts = self.op(*step).is_some_and(|op| matches!(op, Op::Start { .. }));
                if self.options.verbose || (starts && of_other) {
                    let what = service.as_ref().map_or_else(|| format!("{text} "), |_| String::new());
                    let text = format!("{what}{}", left_out(self.op(*because)));
                    self.line(&mut out, at, service.as_ref(), &text);
                }
            }
            Event::ServiceReady { service, ms } => {
                if self.options.verbose || self.is_changed(service) {
                    self.line(&mut out, at, Some(service), &format!("{} ({})", paint.good("ready"), ms_text(*ms)));
                }
            }
            Event::ResourceChanged { step, service, text, .. } => {
                if self.options.verbose || self.is_one_of_few(*step) {
                    self.line(&mut out, at, Some(service), &sanitise::text(text));
                }
            }
            Event::LockWaiting { holder } => {
                self.important(&mut out, at, None, &sanitise::text(&format!("waiting for {holder}")));
            }
            Event::ServiceStopping { service, ms: 0, .. } => {
                if self.options.verbose {
                    self.line(&mut out, at, Some(service), "stopping …");
                }
            }
            Event::ServiceStopping { service, saves, ms } => {
                self.line(&mut out, at, Some(service), &format!("{} ({} s)", still(*saves), ms / 1000));
            }
            Event::ServiceStopped { service, .. } => self.line(&mut out, at, None, &format!("stopped {service}")),
            Event::Heartbeat { waiting, answers, .. } => {
                let words = waiting.iter().map(|name| match answers.get(name) {
                    Some(answer) => format!("{name} ({})", sanitise::text(answer)),
                    None => name.clone(),
                });
                let text = format!("still waiting for: {}", words.collect::<Vec<_>>().join(", "));
                self.line(&mut out, at, None, &text);
            }
            Event::WatchStarted { .. }
            | Event::WatchAction { .. }
            | Event::WatchDone(_)
            | Event::WatchSuspended { .. }
            | Event::WatchReloaded { .. } => self.watch(&mut out, at, event),
            Event::Notice { message } => self.line(&mut out, at, None, &sanitise::block(message)),
            Event::Interrupted { message } => self.important(&mut out, at, None, &sanitise::block(message)),
            Event::Warning { message, hint } => {
                let _ = writeln!(out, "{} {}", paint.warn("warning:"), sanitise::block(message));
                if let Some(hint) = hint {
                    let _ = writeln!(out, "{} {}", paint.hint("hint:"), sanitise::block(hint));
                }
            }
            Event::Summary(summary) => self.summary(&mut out, at, summary),
        }
        out
    }

    /// Whether anything was done about a service; unchanged services are not mentioned.
    fn is_changed(&self, service: &ServiceName) -> bool {
        self.plan.changes().any(|step| step.op.service() == Some(service))
    }

    /// Whether a change of a resource is news: in an emulator that was started just now all of them are made.
    pub(super) fn is_one_of_few(&self, step: StepId) -> bool {
        self.plan.steps.get(step.wrapping_sub(1)).is_some_and(|step| step.cause == Cause::Unchanged)
    }

    fn op(&self, step: StepId) -> Option<&Op> {
        self.plan.steps.get(step.wrapping_sub(1)).map(|step| &step.op)
    }

    fn line(&self, out: &mut String, at: Duration, service: Option<&ServiceName>, text: &str) {
        if !self.options.quiet {
            self.important(out, at, service, text);
        }
    }

    fn important(&self, out: &mut String, at: Duration, service: Option<&ServiceName>, text: &str) {
        let paint = Paint(self.options.color);
        let time = paint.dim(&format!("{:>6}", seconds(at)));
        let name = service.map_or_else(String::new, |name| format!("{}  ", paint.service(name.as_str(), self.width)));
        let _ = writeln!(out, "{time}  {name}{text}");
    }

    fn watch(&self, out: &mut String, at: Duration, event: &Event) {
        match watch::words(event, self.options.color) {
            watch::Words::Line(service, text) => self.line(out, at, service, &text),
            watch::Words::Trouble(service, text, failures) => {
                self.important(out, at, service, &text);
                for failure in failures {
                    out.push_str(&errors::failure(failure, self.options.color));
                }
            }
        }
    }

    fn summary(&self, out: &mut String, at: Duration, summary: &Summary) {
        for failure in &summary.failures {
            match &self.options.github {
                Some(token) => on_github(out, failure, self.options.color, token),
                None => {
                    out.push('\n');
                    out.push_str(&errors::failure(failure, self.options.color));
                }
            }
        }
        if !summary.skipped.is_empty() {
            let names: Vec<_> = summary.skipped.iter().map(ServiceName::as_str).collect();
            let why = if summary.failures.is_empty() { "interrupted; not ready" } else { "left out because of that" };
            let _ = writeln!(out, "\n{why}: {}", names.join(", "));
        }
        if summary.ok {
            self.line(out, at, None, &end(summary));
        }
    }
}

/// The last line of a run that went well; how long it took is before it.
pub(super) fn end(summary: &Summary) -> String {
    match summary.changes {
        0 => "nothing to do".into(),
        n => format!("done: {}", counted(n as u64, "change")),
    }
}

/// A failure as GitHub shows it: an annotation, and the report in a group. The container's words are fenced off, so
/// that they can't be commands.
fn on_github(out: &mut String, failure: &Failure, color: bool, token: &str) {
    let name = failure.service.as_ref().map_or("stack", |service| service.as_str());
    out.push_str(&github::error(name, &errors::what_happened(failure)));
    let _ = writeln!(out, "::group::why {name} failed\n::stop-commands::{token}");
    out.push_str(&errors::failure(failure, color));
    let _ = writeln!(out, "::{token}::\n::endgroup::");
}

/// A word that a container can't guess.
pub fn token() -> String {
    let half = || RandomState::new().hash_one("fence");
    format!("{:016x}{:016x}", half(), half())
}

/// Steps whose start is worth a line: they may take minutes.
fn takes_long(op: &Op) -> bool {
    matches!(op, Op::Pull { .. } | Op::Build { .. })
}

/// What a step is doing, for a line that names the service already.
pub(super) fn doing(op: Option<&Op>, text: &str) -> String {
    match op {
        Some(Op::Pull { image, .. }) => format!("pulling {image}"),
        Some(Op::Build { image, .. }) => format!("building {image}"),
        Some(Op::CreateNetwork { network }) => format!("creating network {network}"),
        Some(Op::CreateVolume { volume, .. }) => format!("creating volume {volume}"),
        Some(Op::FillVolume { volume, snapshot, .. }) => format!("filling volume {volume} from snapshot {snapshot}"),
        Some(Op::SaveVolume { volume, snapshot, .. }) => format!("saving volume {volume} in snapshot {snapshot}"),
        Some(Op::Create { .. }) => "creating".into(),
        Some(Op::CheckData { .. }) => "checking data".into(),
        Some(Op::Start { .. }) => "starting".into(),
        Some(Op::WaitReady { .. }) => "waiting".into(),
        Some(Op::Provision { .. }) => "creating AWS resources".into(),
        Some(Op::PutBack { .. }) => "putting objects back".into(),
        Some(Op::Begin { .. } | Op::Finish { .. }) => text.to_owned(),
        Some(Op::RemoveHelper { helper, .. }) => format!("removing leftover {helper}"),
        Some(Op::Stop { .. }) => "stopping".into(),
        Some(Op::Remove { .. }) => "removing".into(),
        Some(Op::RemoveNetwork { network }) => format!("removing network {network}"),
        Some(Op::RemoveVolume { volume, .. }) => format!("removing volume {volume}"),
        None => text.to_owned(),
    }
}

/// What a service does that takes its time to stop.
pub(super) fn still(saves: bool) -> &'static str {
    if saves { "is still saving its data" } else { "is still stopping" }
}

/// What a step has done.
pub(super) fn done(op: Option<&Op>, text: &str) -> String {
    match op {
        Some(Op::Pull { image, .. }) => format!("pulled {image}"),
        Some(Op::Build { image, .. }) => format!("built {image}"),
        Some(Op::CreateNetwork { network }) => format!("created network {network}"),
        Some(Op::CreateVolume { volume, .. }) => format!("created volume {volume}"),
        Some(Op::FillVolume { volume, snapshot, .. }) => format!("filled volume {volume} from snapshot {snapshot}"),
        Some(Op::SaveVolume { volume, snapshot, .. }) => format!("saved volume {volume} in snapshot {snapshot}"),
        Some(Op::Create { .. }) => "created".into(),
        Some(Op::CheckData { .. }) => "data checked".into(),
        Some(Op::Start { .. }) => "started".into(),
        Some(Op::WaitReady { .. } | Op::Provision { .. }) => "ready".into(),
        Some(Op::PutBack { .. }) => "objects put back".into(),
        Some(Op::Begin { .. } | Op::Finish { .. }) => text.to_owned(),
        Some(Op::RemoveHelper { helper, .. }) => format!("removed leftover {helper}"),
        Some(Op::Stop { .. }) => "stopped".into(),
        Some(Op::Remove { .. }) => "removed".into(),
        Some(Op::RemoveNetwork { network }) => format!("removed network {network}"),
        Some(Op::RemoveVolume { volume, .. }) => format!("removed volume {volume}"),
        None => text.to_owned(),
    }
}

/// How a step failed, for a line that names the service already.
pub(super) fn failed(op: Option<&Op>, text: &str, message: &str) -> String {
    let message = sanitise::text(message);
    match op {
        // That it was waited for is not the point.
        Some(Op::WaitReady { .. } | Op::Provision { .. }) => message,
        // It says itself what could not be done.
        _ if message.starts_with("can't ") => message,
        _ => format!("{text} failed: {message}"),
    }
}

/// That a step was left out, and why.
pub(super) fn left_out(because: Option<&Op>) -> String {
    match because {
        Some(op) => match op.service() {
            Some(service) => format!("left out: {service} failed"),
            None => format!("left out: {op} failed"),
        },
        None => "left out".into(),
    }
}

fn ms_text(ms: u64) -> String {
    seconds(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::script;

    fn play(options: Options) -> String {
        let mut plain = Plain::new(options);
        script::run().iter().map(|(at, event)| plain.on(event, *at)).collect()
    }

    #[test]
    fn a_line_for_each_change() {
        assert_eq!(
            format!("\n{}", play(Options::default())),
            "
  0.0s  postgres  pulling postgres:15-alpine …
  0.1s  created network default
  1.0s  postgres  pulled postgres:15-alpine (1.0s)
  1.2s  postgres  started
  2.0s  still waiting for: postgres (the database system is starting up)
  2.1s  postgres  ready (0.9s)
  2.5s  api       start api failed: exited with code 139
  2.5s  web       left out: api failed

✘ api: exited with code 139 (SIGSEGV)
  last log lines:
  │ ::error::not a command
  │ boom
  next: taskava dev logs api

left out because of that: web
"
        );
    }

    #[test]
    fn quiet_leaves_only_what_went_wrong() {
        let text = play(Options { quiet: true, ..Options::default() });
        assert!(text.starts_with("  2.5s  api       start api failed: exited with code 139\n\n✘ api"), "{text}");
        let well = Event::Summary(Summary { ok: true, changes: 3, ms: 1_000, ..Summary::default() });
        let options = Options { quiet: true, ..Options::default() };
        assert_eq!(Plain::new(options).on(&well, Duration::ZERO), "");
        let said = Plain::new(Options::default()).on(&well, Duration::from_secs(1));
        assert_eq!(said, "  1.0s  done: 3 changes\n");
    }

    #[test]
    fn github_gets_one_annotation_a_cause_and_no_commands_of_the_container() {
        let text = play(Options { github: Some("f3nce".into()), ..Options::default() });
        let report = &text[text.find("::error").unwrap()..];
        assert_eq!(
            report,
            "\
::error title=api::exited with code 139 (SIGSEGV)
::group::why api failed
::stop-commands::f3nce
✘ api: exited with code 139 (SIGSEGV)
  last log lines:
  │ ::error::not a command
  │ boom
  next: taskava dev logs api
::f3nce::
::endgroup::

left out because of that: web
"
        );
    }

    #[test]
    fn fences_differ_from_run_to_run() {
        assert_ne!(token(), token());
    }
}

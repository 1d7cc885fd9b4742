//! The content of the live tree: one line per service with its current action. Pure: events in, lines out. Drawing is
//! up to `tty`.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::DecimalBytes;

use super::plain::{doing, done, failed, left_out, still};
use super::style::Paint;
use super::{sanitise, seconds};
use crate::event::{Event, Summary};
use crate::model::ServiceName;
use crate::plan::{Op, Plan, StepId};

/// Lines for layers below one service, at most.
const LAYERS: usize = 4;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// The state of a run as its services.
#[derive(Debug, Default)]
pub struct Tree {
    stack: String,
    plan: Arc<Plan>,
    services: IndexMap<ServiceName, Row>,
}

/// One service.
#[derive(Debug, Default)]
struct Row {
    state: State,
    /// What it does or did.
    text: String,
    /// Something about it that may change often: the last probe answer, a line of a build.
    detail: String,
    /// Image layers being fetched, or steps of a build.
    layers: IndexMap<String, Layer>,
    /// What they are called.
    parts: &'static str,
    /// Its steps that are not over.
    left: usize,
    began: Option<Duration>,
    took: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Waiting,
    Doing,
    Done,
    Failed,
    Skipped,
}

/// One of the parallel parts of a step.
#[derive(Debug, Default)]
struct Layer {
    text: String,
    current: u64,
    total: u64,
    done: bool,
}

impl Tree {
    /// Takes in an event that came `at` a time since the run began.
    pub fn on(&mut self, event: &Event, at: Duration) {
        match event {
            Event::PlanStarted { stack, plan } => {
                *self = Self { stack: stack.clone(), plan: plan.clone(), services: IndexMap::new() };
                for service in plan.steps.iter().filter_map(|step| step.op.service()) {
                    self.services.entry(service.clone()).or_default().left += 1;
                }
            }
            Event::StepStarted { step, text, service: Some(service) } => {
                let text = doing(self.op(*step), text);
                self.row(service).start(text, at);
            }
            Event::StepProgress { step, layer, text, current, total } => {
                let is_build = matches!(self.op(*step), Some(Op::Build { .. }));
                if let Some(service) = self.op(*step).and_then(Op::service).cloned() {
                    let row = self.row(&service);
                    row.parts = if is_build { "steps" } else { "layers" };
                    row.progress(layer.as_deref(), text, *current, *total);
                }
            }
            Event::StepDone { step, text, service: Some(service), .. } => {
                let text = done(self.op(*step), text);
                self.row(service).end(State::Done, text, at);
            }
            Event::StepFailed { step, text, service: Some(service), message, .. } => {
                let text = failed(self.op(*step), text, message);
                self.row(service).end(State::Failed, text, at);
            }
            Event::StepSkipped { service: Some(service), because, .. } => {
                let text = left_out(self.op(*because));
                self.row(service).end(State::Skipped, text, at);
            }
            Event::ResourceChanged { service, text, .. } => self.row(service).progress(None, text, None, None),
            Event::ServiceReady { service, .. } => self.row(service).ready(),
            Event::ServiceStopping { service, ms: 0, .. } => {
                let row = self.row(service);
                *row = Row { state: State::Doing, text: "stopping".into(), began: Some(at), ..Row::default() };
            }
            Event::ServiceStopping { service, saves, .. } => {
                self.row(service).progress(None, still(*saves), None, None);
            }
            Event::ServiceStopped { service, .. } => self.row(service).end(State::Skipped, "stopped".into(), at),
            Event::Summary(Summary { ok: false, .. }) => self.services.values_mut().for_each(Row::cut_off),
            _ => {}
        }
    }

    fn op(&self, step: StepId) -> Option<&Op> {
        self.plan.steps.get(step.wrapping_sub(1)).map(|step| &step.op)
    }

    fn row(&mut self, service: &ServiceName) -> &mut Row {
        self.services.entry(service.clone()).or_default()
    }

    /// The tree as it is `now`, within so many columns and rows.
    pub fn lines(&self, now: Duration, (columns, rows): (usize, usize), color: bool) -> Vec<String> {
        if self.services.is_empty() {
            return Vec::new();
        }
        let paint = Paint(color);
        let mut lines = vec![self.header(now, paint)];
        let shown = self.choose(rows.saturating_sub(2).max(1));
        // What room is left goes to layers; one line stays free for the cursor, one for what is left out.
        let mut room = rows.saturating_sub(3 + shown.len());
        for (name, row) in &shown {
            lines.push(row.line(name, self.name_width(columns), now, paint));
            for line in row.layer_lines(paint).take(LAYERS.min(room)) {
                lines.push(line);
                room -= 1;
            }
        }
        if shown.len() < self.services.len() {
            lines.push(paint.dim(&format!("  … {} more", self.services.len() - shown.len())));
        }
        lines.iter().map(|line| console::truncate_str(line, columns, "…").into_owned()).collect()
    }

    /// Every service, for the record that stays on the screen.
    pub fn record(&self, now: Duration, columns: usize, color: bool) -> Vec<String> {
        let line = |(name, row): (_, &Row)| row.line(name, self.name_width(columns), now, Paint(color));
        self.services.iter().map(line).map(|line| console::truncate_str(&line, columns, "…").into_owned()).collect()
    }

    fn header(&self, now: Duration, paint: Paint) -> String {
        let over = self.services.values().filter(|row| row.is_over()).count();
        let counts = format!("{over}/{} services", self.services.len());
        format!("{}  {counts}  {}", paint.bold(&self.stack), paint.dim(&seconds(now)))
    }

    /// The services most worth a line, in their usual order: failed, at work, waiting, done.
    fn choose(&self, rows: usize) -> Vec<(&ServiceName, &Row)> {
        let mut order: Vec<_> = (0..self.services.len()).collect();
        order.sort_by_key(|&at| match self.services[at].state {
            State::Failed => 0,
            State::Doing => 1,
            State::Waiting => 2,
            State::Done | State::Skipped => 3,
        });
        if order.len() > rows {
            order.truncate(rows.saturating_sub(1).max(1));
        }
        order.sort_unstable();
        order.into_iter().filter_map(|at| self.services.get_index(at)).collect()
    }

    fn name_width(&self, columns: usize) -> usize {
        self.services.keys().map(|name| name.as_str().len()).max().unwrap_or(0).min(columns / 3)
    }
}

impl Row {
    fn start(&mut self, text: String, at: Duration) {
        if self.state != State::Failed {
            self.state = State::Doing;
            self.text = text;
        }
        self.detail.clear();
        self.began.get_or_insert(at);
    }

    fn ready(&mut self) {
        self.text = "ready".into();
        // Nothing had to be done for it.
        if self.state == State::Waiting {
            self.state = State::Done;
        }
    }

    /// The run is over, and this is not.
    fn cut_off(&mut self) {
        let text = match self.state {
            State::Waiting => "left as it is",
            State::Doing => "interrupted",
            State::Done | State::Failed | State::Skipped => return,
        };
        (self.state, self.text) = (State::Skipped, text.into());
        self.detail.clear();
    }

    fn progress(&mut self, layer: Option<&str>, text: &str, current: Option<u64>, total: Option<u64>) {
        let Some(layer) = layer else {
            self.detail = sanitise::text(text);
            return;
        };
        let layer = self.layers.entry(sanitise::text(layer)).or_default();
        layer.text = sanitise::text(text);
        layer.done = matches!(text, "Pull complete" | "Already exists" | "done" | "cached");
        layer.total = total.unwrap_or(0).max(layer.total);
        layer.current = if layer.done { layer.total } else { current.unwrap_or(layer.current) };
    }

    /// A step is over; the row is too when none is left, or when one failed.
    fn end(&mut self, state: State, text: String, at: Duration) {
        self.left = self.left.saturating_sub(1);
        self.detail.clear();
        self.layers.clear();
        if self.state == State::Failed || (self.state == State::Skipped && state != State::Failed) {
            return;
        }
        self.text = text;
        if self.left == 0 || state != State::Done {
            self.state = state;
            self.took = self.began.map(|began| at.saturating_sub(began));
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Failed | State::Skipped)
    }

    fn line(&self, name: &ServiceName, width: usize, now: Duration, paint: Paint) -> String {
        let frame = usize::try_from(now.as_millis() / 100).unwrap_or(0) % SPINNER.len();
        let mark = match self.state {
            State::Waiting => paint.dim("·"),
            State::Doing => paint.hint(SPINNER[frame]),
            State::Done => paint.good("✔"),
            State::Failed => paint.bad("✘"),
            State::Skipped => paint.dim("-"),
        };
        let name = console::truncate_str(name.as_str(), width, "…");
        let name = if self.state == State::Waiting { format!("{name:width$}") } else { paint.service(&name, width) };
        let text = match self.state {
            State::Failed => paint.bad(&self.text),
            State::Waiting | State::Skipped => paint.dim(&self.text),
            State::Doing | State::Done => self.text.clone(),
        };
        let time = self.took.or_else(|| self.began.map(|began| now.saturating_sub(began)));
        let time = time.map_or_else(String::new, |time| format!("  {}", paint.dim(&seconds(time))));
        let detail = self.detail();
        let detail = if detail.is_empty() { detail } else { format!("  {}", paint.dim(&detail)) };
        format!("{mark} {name}  {text}{time}{detail}").trim_end().to_owned()
    }

    fn detail(&self) -> String {
        if self.layers.is_empty() {
            return self.detail.clone();
        }
        let done = self.layers.values().filter(|layer| layer.done).count();
        let sum = |of: fn(&Layer) -> u64| self.layers.values().map(of).sum::<u64>();
        let (current, total) = (sum(|layer| layer.current), sum(|layer| layer.total));
        let bytes =
            if total > 0 { format!("  {}/{}", DecimalBytes(current), DecimalBytes(total)) } else { String::new() };
        format!("{done}/{} {}{bytes}", self.layers.len(), self.parts)
    }

    fn layer_lines(&self, paint: Paint) -> impl Iterator<Item = String> {
        let is_build = self.parts == "steps";
        let busy = self.layers.iter().filter(move |(_, layer)| !layer.done && (layer.total > 0 || is_build));
        busy.map(move |(id, layer)| {
            if layer.total == 0 {
                return paint.dim(&format!("    {id}  {}", layer.text));
            }
            let bytes = format!("{}/{}", DecimalBytes(layer.current), DecimalBytes(layer.total));
            paint.dim(&format!("    {id}  {}  {bytes}", layer.text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::script;

    /// The tree of the script after `ms`.
    fn tree(ms: u64) -> Tree {
        let mut tree = Tree::default();
        for (at, event) in script::run().iter().filter(|(at, _)| *at <= Duration::from_millis(ms)) {
            tree.on(event, *at);
        }
        tree
    }

    fn shown(ms: u64, size: (usize, usize)) -> String {
        tree(ms).lines(Duration::from_millis(ms), size, false).join("\n")
    }

    #[test]
    fn a_pull_shows_its_layers() {
        assert_eq!(
            shown(300, (80, 24)),
            "\
taskava  1/4 services  0.3s
⠸ postgres  pulling postgres:15-alpine  0.3s  1/2 layers  13.00 MB/83.00 MB
    a1b2c3  Downloading  10.00 MB/80.00 MB
✔ redis     ready  0.0s
· api
· web"
        );
    }

    #[test]
    fn waiting_shows_the_last_answer() {
        let text = shown(1_700, (80, 24));
        assert_eq!(text.lines().nth(1), Some("⠧ postgres  waiting  1.7s  starting up"));
    }

    #[test]
    fn the_end_shows_what_became_of_each() {
        assert_eq!(
            tree(2_600).record(Duration::from_millis(2_600), 80, false).join("\n"),
            "\
✔ postgres  ready  2.1s
✔ redis     ready  0.0s
✘ api       start api failed: exited with code 139  0.4s
- web       left out: api failed"
        );
    }

    #[test]
    fn what_was_ready_already_is_done() {
        let mut tree = Tree::default();
        tree.on(&Event::PlanStarted { stack: "s".into(), plan: script::plan(&["redis"]) }, Duration::ZERO);
        tree.on(&Event::ServiceReady { service: script::name("redis"), ms: 1 }, Duration::ZERO);
        assert_eq!(tree.record(Duration::ZERO, 80, false), ["✔ redis  ready"]);
    }

    #[test]
    fn narrow_terminals_cut_lines() {
        for columns in [10, 20, 40] {
            let lines = tree(300).lines(Duration::from_millis(300), (columns, 24), true);
            assert!(lines.iter().all(|line| console::measure_text_width(line) <= columns), "{lines:#?}");
        }
    }

    #[test]
    fn many_services_stay_within_the_terminal() {
        let names: Vec<_> = (0..40).map(|n| format!("s{n}")).collect();
        let plan = script::plan(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut tree = Tree::default();
        tree.on(&Event::PlanStarted { stack: "big".into(), plan: plan.clone() }, Duration::ZERO);
        tree.on(&script::started(&plan, 40 * 3), Duration::ZERO);
        for rows in [4, 10, 24] {
            let lines = tree.lines(Duration::from_secs(1), (80, rows), false);
            assert!(lines.len() < rows, "{rows}: {lines:#?}");
            assert!(lines.iter().any(|line| line.contains("s39  waiting")), "who is at work is shown: {lines:#?}");
        }
        let lines = tree.lines(Duration::from_secs(1), (80, 10), false);
        assert_eq!(lines.last().map(String::as_str), Some("  … 33 more"));
        assert_eq!(tree.record(Duration::ZERO, 80, false).len(), 40, "the record is complete");
    }
}

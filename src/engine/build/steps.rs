//! A builder's output as steps: BuildKit's trace and the classic builder's lines. Pure.

use indexmap::IndexMap;

use super::super::Progress;
use super::proto;

/// How many lines of a step are kept for the case that it fails.
const LINES: usize = 20;

/// The steps of a build so far.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// By BuildKit's digest; of the classic builder by name.
    steps: IndexMap<String, Step>,
    /// The classic builder's line that is not over.
    partial: String,
}

#[derive(Debug, Default)]
struct Step {
    name: String,
    /// The last lines of its output, without the one that is not over.
    lines: Vec<String>,
    partial: String,
    is_told: bool,
    failed: Option<String>,
}

/// The step that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Culprit {
    /// `[2/3] RUN make`
    pub(super) name: String,
    /// Why, in the builder's words.
    pub(super) why: Option<String>,
    /// The last lines of its output.
    pub(super) lines: Vec<String>,
}

impl Steps {
    /// Takes in a message of BuildKit's trace (`moby.buildkit.v1.StatusResponse`).
    pub(super) fn trace(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Progress)) {
        for (kind, message) in proto::fields(bytes) {
            match kind {
                1 => self.vertex(message.bytes(), tell),
                2 => self.status(message.bytes(), tell),
                3 => self.log(message.bytes(), tell),
                _ => {}
            }
        }
    }

    fn vertex(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Progress)) {
        let (mut digest, mut name, mut error) = (String::new(), String::new(), String::new());
        let (mut cached, mut started, mut completed) = (false, false, false);
        for (field, value) in proto::fields(bytes) {
            match field {
                1 => digest = value.text(),
                3 => name = value.text(),
                4 => cached = value.number() != 0,
                5 => started = true,
                6 => completed = true,
                7 => error = value.text(),
                _ => {}
            }
        }
        let step = self.steps.entry(digest).or_default();
        if !name.is_empty() {
            step.name = plain_name(&name);
        }
        if !error.is_empty() {
            step.failed = Some(error);
        } else if started && !step.is_told {
            step.is_told = true;
            step.tell("running", tell);
        }
        if completed && step.failed.is_none() {
            step.tell(if cached { "cached" } else { "done" }, tell);
        }
    }

    /// How far a part of a step is, most often a layer that is fetched.
    fn status(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Progress)) {
        let (mut digest, mut text, mut current, mut total) = (String::new(), String::new(), 0, 0);
        for (field, value) in proto::fields(bytes) {
            match field {
                1 => text = value.text(),
                2 => digest = value.text(),
                4 => current = value.number(),
                5 => total = value.number(),
                _ => {}
            }
        }
        if let Some(step) = self.steps.get(&digest).filter(|step| step.is_shown() && total > 0) {
            tell(Progress { layer: Some(step.name.clone()), text, current: Some(current), total: Some(total) });
        }
    }

    fn log(&mut self, bytes: &[u8], tell: &mut dyn FnMut(Progress)) {
        let (mut digest, mut text) = (String::new(), String::new());
        for (field, value) in proto::fields(bytes) {
            match field {
                1 => digest = value.text(),
                4 => text = value.text(),
                _ => {}
            }
        }
        if let Some(step) = self.steps.get_mut(&digest) {
            step.output(&text, tell);
        }
    }

    /// Takes in a piece of the classic builder's output.
    pub(super) fn output(&mut self, text: &str, tell: &mut dyn FnMut(Progress)) {
        self.partial.push_str(text);
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            // It paints what went to stderr.
            self.line(line.trim_end().replace("\u{1b}[91m", "").replace("\u{1b}[0m", "").trim_end(), tell);
        }
    }

    fn line(&mut self, line: &str, tell: &mut dyn FnMut(Progress)) {
        // `Step 2/3 : RUN make`
        if let Some((number, what)) = line.strip_prefix("Step ").and_then(|step| step.split_once(" : ")) {
            if let Some((_, step)) = self.steps.last().filter(|(_, step)| step.failed.is_none()) {
                step.tell("done", tell);
            }
            let name = format!("[{number}] {what}");
            let step = Step { name: name.clone(), is_told: true, ..Step::default() };
            step.tell("running", tell);
            self.steps.insert(name, step);
            return;
        }
        let Some((_, step)) = self.steps.last_mut() else { return };
        if line == " ---> Using cache" {
            step.tell("cached", tell);
        } else if !line.starts_with(" ---> ") && !line.starts_with("Removing intermediate container ") {
            step.output(&format!("{line}\n"), tell);
        }
    }

    /// What the classic builder was at when it gave up, or the step that BuildKit says has failed.
    pub(super) fn culprit(&self, error: &str, classic: bool) -> Option<Culprit> {
        let step = if classic {
            self.steps.values().next_back()
        } else {
            // Others were cancelled because of it, and some failures don't end the build: an unavailable cache.
            let of_error = |step: &&Step| step.failed.as_ref().is_some_and(|why| error.contains(why.as_str()));
            let failed = |step: &&Step| step.failed.as_ref().is_some_and(|why| !why.contains("context canceled"));
            self.steps.values().find(of_error).or_else(|| self.steps.values().find(failed))
        };
        step.filter(|step| step.is_shown()).map(|step| {
            let mut lines = step.lines.clone();
            lines.extend((!step.partial.is_empty()).then(|| step.partial.clone()));
            Culprit { name: step.name.clone(), why: step.failed.clone(), lines }
        })
    }
}

impl Step {
    /// Whether it is one of the Dockerfile's, or another that takes its time.
    fn is_shown(&self) -> bool {
        !self.name.is_empty() && !self.name.starts_with("[internal]")
    }

    fn tell(&self, text: &str, tell: &mut dyn FnMut(Progress)) {
        if self.is_shown() {
            tell(Progress { layer: Some(self.name.clone()), text: text.into(), current: None, total: None });
        }
    }

    fn output(&mut self, text: &str, tell: &mut dyn FnMut(Progress)) {
        self.partial.push_str(text);
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            // What a carriage return overwrites was progress of its own.
            let line = line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
            if line.is_empty() {
                continue;
            }
            self.tell(&line, tell);
            self.lines.push(line);
            self.lines.drain(..self.lines.len().saturating_sub(LINES));
        }
    }
}

/// The context comes to BuildKit under a URL that means nothing to users, and is copied from there.
fn plain_name(name: &str) -> String {
    let is_context = name.starts_with("http://buildkit-session/") || name == "copy /context /";
    if is_context { "[internal] build context".into() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(feed: impl FnOnce(&mut Steps, &mut dyn FnMut(Progress))) -> (Steps, Vec<String>) {
        let (mut steps, mut said) = (Steps::default(), Vec::new());
        feed(&mut steps, &mut |progress: Progress| {
            said.push(format!("{}: {}", progress.layer.unwrap_or_default(), progress.text));
        });
        (steps, said)
    }

    fn vertex(digest: &str, name: &str, fields: &[u8], error: &str) -> Vec<u8> {
        let mut message =
            [proto::write(1, digest.as_bytes()), proto::write(3, name.as_bytes()), fields.to_vec()].concat();
        if !error.is_empty() {
            message.extend(proto::write(7, error.as_bytes()));
        }
        proto::write(1, &message)
    }

    fn log(digest: &str, text: &str) -> Vec<u8> {
        proto::write(3, &[proto::write(1, digest.as_bytes()), proto::write(4, text.as_bytes())].concat())
    }

    const STARTED: &[u8] = &[5 << 3 | 2, 0];
    const COMPLETED: &[u8] = &[5 << 3 | 2, 0, 6 << 3 | 2, 0];
    const CACHED: &[u8] = &[4 << 3, 1, 5 << 3 | 2, 0, 6 << 3 | 2, 0];

    #[test]
    fn a_trace_is_told_step_by_step() {
        let (_, said) = told(|steps, tell| {
            steps.trace(&vertex("a", "[internal] load build definition", COMPLETED, ""), tell);
            steps.trace(&vertex("b", "[1/2] FROM x", CACHED, ""), tell);
            steps.trace(&vertex("c", "[2/2] RUN make", STARTED, ""), tell);
            steps.trace(&log("c", "one\ntw"), tell);
            steps.trace(&log("c", "o\n10%\r20%\r\n"), tell);
            steps.trace(&vertex("c", "[2/2] RUN make", COMPLETED, ""), tell);
        });
        let expected = ["[1/2] FROM x: running", "[1/2] FROM x: cached", "[2/2] RUN make: running"];
        assert_eq!(said[..3], expected);
        assert_eq!(said[3..], ["one", "two", "20%", "done"].map(|text| format!("[2/2] RUN make: {text}")));
    }

    #[test]
    fn the_step_that_failed_is_found_among_others() {
        let (steps, _) = told(|steps, tell| {
            steps.trace(&vertex("a", "importing cache manifest from x", STARTED, "not found"), tell);
            steps.trace(&vertex("b", "[a 2/2] RUN sleep", STARTED, "context canceled"), tell);
            steps.trace(&vertex("c", "[b 2/2] RUN make", STARTED, "exit code: 3"), tell);
            let lines: String = (0..30).map(|number| format!("line {number}\n")).collect();
            steps.trace(&log("c", &(lines + "no line feed")), tell);
        });
        let culprit = steps.culprit("failed to solve: exit code: 3", false).unwrap();
        assert_eq!(culprit.name, "[b 2/2] RUN make");
        assert_eq!(culprit.why.as_deref(), Some("exit code: 3"));
        assert_eq!((culprit.lines.len(), culprit.lines[20].as_str()), (LINES + 1, "no line feed"));
    }

    #[test]
    fn the_classic_builder_has_steps_too() {
        let (steps, said) = told(|steps, tell| {
            for piece in [
                "Step 1/2 : FROM x\n",
                " ---> 0123\n",
                "Step 2/2 : RUN ma",
                "ke\n ---> Using cache\n",
                "Step 3/3 : RUN x\n ---> Running in 12\nout",
                "put\n",
            ] {
                steps.output(piece, tell);
            }
        });
        assert_eq!(
            said,
            [
                "[1/2] FROM x: running",
                "[1/2] FROM x: done",
                "[2/2] RUN make: running",
                "[2/2] RUN make: cached",
                "[2/2] RUN make: done",
                "[3/3] RUN x: running",
                "[3/3] RUN x: output",
            ]
        );
        let culprit = steps.culprit("returned a non-zero code: 1", true).unwrap();
        assert_eq!((culprit.name.as_str(), culprit.lines), ("[3/3] RUN x", vec!["output".to_owned()]));
    }
}

//! Draws the live tree on a terminal, at most ten times a second. Its content is up to `tree`.

use std::fmt;
use std::io;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::plain::Plain;
use super::sanitise;
use super::tree::Tree;
use crate::event::Event;

/// Pause between two pictures, and before the first: what is over sooner needs none.
pub const REDRAW: Duration = Duration::from_millis(100);

/// Opens the terminal that is drawn on.
type Open = Box<dyn Fn() -> Box<dyn TermLike> + Send>;

/// A live tree, with the words that have no place in it above.
pub struct Tty {
    open: Open,
    /// One bar whose message is the whole picture: it changes at once, or not at all.
    bar: ProgressBar,
    tree: Tree,
    plain: Plain,
    color: bool,
    /// Lines and columns of the picture on the terminal; no lines = none is there.
    drawn: (usize, usize),
    /// A run is going on.
    live: bool,
}

impl fmt::Debug for Tty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tty").field("tree", &self.tree).finish_non_exhaustive()
    }
}

impl Tty {
    /// A tree on a terminal; `plain` words what is not the state of a service.
    pub fn new(open: Open, plain: Plain, color: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, target(&open));
        bar.set_style(ProgressStyle::with_template("{msg}").expect("a template without keys that could be wrong"));
        Self { open, bar, tree: Tree::default(), plain, color, drawn: (0, 0), live: false }
    }

    /// A tree on stderr.
    pub fn stderr(plain: Plain, color: bool) -> Self {
        Self::new(Box::new(|| Box::new(console::Term::buffered_stderr())), plain, color)
    }

    /// Takes in an event, `at` a time since the run began. Says whether pictures must be drawn from now on.
    pub fn on(&mut self, event: &Event, at: Duration) -> bool {
        let begins = matches!(event, Event::PlanStarted { .. }) && !self.live;
        self.live |= begins;
        self.tree.on(event, at);
        let words = self.plain.on(event, at);
        match event {
            Event::LockWaiting { .. }
            | Event::Notice { .. }
            | Event::Warning { .. }
            | Event::Interrupted { .. }
            | Event::ResourceChanged { .. } => {
                self.above(&words);
            }
            // Where there is a tree, it says so.
            Event::ServiceStopping { .. } | Event::ServiceStopped { .. } if !self.live => self.above(&words),
            // The tree is of a run that is over.
            Event::WatchStarted { .. }
            | Event::WatchAction { .. }
            | Event::WatchDone(_)
            | Event::WatchSuspended { .. }
            | Event::WatchReloaded { .. } => self.above(&words),
            Event::Summary(_) => {
                self.end(at);
                self.above(&words);
            }
            // Without a run there is no tree; a step that failed without a service has no line in it.
            Event::StepFailed { service: None, .. } => self.above(&words),
            _ => {}
        }
        begins
    }

    /// Draws the picture of a moment. False when the run is over.
    pub fn draw(&mut self, now: Duration) -> bool {
        if !self.live {
            return false;
        }
        let term = (self.open)();
        let (columns, rows) = (term.width().into(), term.height().into());
        if self.drawn.0 > 0 && self.drawn.1 != columns {
            self.forget(&*term, columns);
        }
        let lines = self.tree.lines(now, (columns, rows), self.color);
        if !lines.is_empty() {
            self.drawn = (lines.len(), columns);
            self.bar.set_message(sanitise::printed(&lines.join("\n"), self.color));
            // The `^C` that a terminal echoes must not begin a line of its own.
            let _ = term.write_str("\r").and_then(|()| term.flush());
        }
        true
    }

    /// The terminal was resized: lines were filled to the old width, and have been wrapped again by now, the cursor still
    /// at the start of the last. Clears what they have become, and begins again there.
    fn forget(&mut self, term: &dyn TermLike, columns: usize) {
        let (lines, old) = self.drawn;
        let above = lines.saturating_sub(1) * old / columns.max(1);
        let cleared = term.move_cursor_up(above).and_then(|()| term.write_str("\r\x1b[J"));
        // A terminal that is gone needs no clearing.
        let _ = cleared.and_then(|()| term.flush());
        self.bar.set_draw_target(target(&self.open));
        self.drawn = (0, 0);
    }

    /// Takes the picture away, does something that prints, and puts it back.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.drawn.0 > 0 { self.bar.suspend(print) } else { print() }
    }

    fn above(&self, words: &str) {
        self.aside(|| write(&*(self.open)(), words, self.color));
    }

    /// Ends the picture and leaves a record of it. Harmless when called twice.
    pub fn end(&mut self, now: Duration) {
        if !std::mem::take(&mut self.live) {
            return;
        }
        let term = (self.open)();
        let columns = term.width().into();
        if self.drawn.0 > 0 && self.drawn.1 != columns {
            self.forget(&*term, columns);
        }
        self.bar.finish_and_clear();
        self.drawn = (0, 0);
        for line in self.tree.record(now, columns, self.color) {
            write(&*term, &line, self.color);
        }
    }
}

fn target(open: &Open) -> ProgressDrawTarget {
    // Pictures come at their own pace; the limit only has to be out of their way.
    ProgressDrawTarget::term_like_with_hz(open(), 100)
}

/// A terminal that is gone is no reason to fail.
fn write(term: &dyn TermLike, text: &str, color: bool) {
    let written: io::Result<()> = sanitise::printed(text, color).lines().try_for_each(|line| term.write_line(line));
    let _ = written.and_then(|()| term.flush());
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;
    use crate::ui::{plain, script};

    fn tty(term: &InMemoryTerm) -> Tty {
        let term = term.clone();
        Tty::new(Box::new(move || Box::new(term.clone())), Plain::new(plain::Options::default()), false)
    }

    #[test]
    fn the_picture_changes_in_place_and_leaves_a_record() {
        let term = InMemoryTerm::new(24, 80);
        let mut tty = tty(&term);
        for (at, event) in script::run() {
            tty.draw(at);
            if matches!(event, Event::Summary(_)) {
                assert!(term.contents().starts_with("taskava  4/4 services  3.0s\n✔ postgres"), "{}", term.contents());
            }
            tty.on(&event, at);
        }
        assert!(!tty.draw(Duration::from_secs(9)), "nothing is drawn after the end");
        let left = term.contents();
        assert!(left.starts_with("✔ postgres  ready  2.1s\n✔ redis     ready  0.0s\n✘ api       start"), "{left}");
        assert!(left.contains("\n\n✘ api: exited with code 139 (SIGSEGV)\n"), "{left}");
        assert!(!left.contains("services"), "the header is gone: {left}");
    }

    #[test]
    fn words_go_above_the_picture() {
        let term = InMemoryTerm::new(24, 80);
        let mut tty = tty(&term);
        for (at, event) in &script::run()[..3] {
            tty.on(event, *at);
        }
        tty.draw(Duration::from_millis(100));
        tty.on(&Event::Warning { message: "disk is nearly full".into(), hint: None }, Duration::from_millis(150));
        tty.draw(Duration::from_millis(200));
        let text = term.contents();
        assert!(text.starts_with("warning: disk is nearly full\ntaskava  0/4 services  0.2s\n"), "{text}");
        assert_eq!(text.matches("postgres ").count(), 1, "one picture: {text}");
    }

    #[test]
    fn what_is_over_at_once_draws_nothing() {
        let term = InMemoryTerm::new(24, 80);
        let mut tty = tty(&term);
        assert!(!tty.draw(Duration::ZERO));
        tty.end(Duration::ZERO);
        assert_eq!(term.contents(), "");
    }
}

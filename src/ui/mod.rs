//! The only module that prints. Takes events and texts and shows them: as a live tree, plain lines, or JSON lines.
//!
//! stdout is data, stderr is progress. What is reported is decided by `run` and `cli`; this module only decides how it
//! looks. All output is safe for a terminal: the last step of every output path is [`sanitise`].

pub mod errors;
pub mod github;
pub mod json;
pub mod live;
pub mod logs;
pub mod plain;
mod report;
pub mod sanitise;
#[cfg(test)]
mod script;
pub mod style;
pub mod table;
pub mod terminal;
pub mod terminal_info;
pub mod tree;
pub mod tty;
mod watch;

use std::borrow::Cow;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::diag::{Diagnostic, Error};
use crate::event::{Event, Events, Summary};
use crate::model::ServiceName;
use crate::remedy;

pub use terminal_info::{ColorChoice, Format, FormatChoice, TerminalInfo};

/// What the user asked of the screen.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--format`.
    pub format: FormatChoice,
    /// `--color`.
    pub color: ColorChoice,
    /// `-q`: only data, warnings and failures.
    pub quiet: bool,
    /// `-v`: every step.
    pub verbose: bool,
    /// The options that commands to type next need, to lead to the same stack.
    pub same_stack: String,
}

/// Where everything is shown. Cheap to clone; all clones are one screen.
#[derive(Debug, Clone)]
pub struct Screen(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    format: Format,
    /// Colours on stdout.
    color: bool,
    /// Colours on stderr.
    color_err: bool,
    quiet: bool,
    same_stack: String,
    /// On GitHub: the word that fences off what containers wrote.
    github: Option<String>,
    started: Instant,
    view: Mutex<View>,
}

/// What shows events, by format.
#[derive(Debug)]
enum View {
    Tty(tty::Tty),
    Plain(plain::Plain),
    Json,
}

impl Inner {
    fn err(&self, text: &str) {
        write_err(&sanitise::printed(text, self.color_err));
    }
}

impl Screen {
    /// A screen on this process's stdout and stderr.
    pub fn new(options: &Options, terminal_info: &TerminalInfo) -> Self {
        let format = terminal_info.format(options.format);
        let color_err = terminal_info.color(options.color, terminal_info.stderr_terminal);
        let github = terminal_info.github.then(plain::token);
        let plain = plain::Plain::new(plain::Options {
            color: color_err,
            quiet: options.quiet,
            verbose: options.verbose,
            github: github.clone(),
        });
        let view = match format {
            Format::Json => View::Json,
            Format::Tty if !options.quiet => View::Tty(tty::Tty::stderr(plain, color_err)),
            Format::Tty | Format::Plain => View::Plain(plain),
        };
        Self(Arc::new(Inner {
            format,
            color: terminal_info.color(options.color, terminal_info.stdout_terminal),
            color_err,
            quiet: options.quiet,
            same_stack: options.same_stack.clone(),
            github,
            started: Instant::now(),
            view: Mutex::new(view),
        }))
    }

    /// The format that `auto` came to.
    pub fn format(&self) -> Format {
        self.0.format
    }

    /// Whether stdout may contain colours.
    pub fn color(&self) -> bool {
        self.0.color
    }

    /// A sink for events that shows them here.
    pub fn events(&self) -> Events {
        let screen = self.clone();
        Events::to(move |event| screen.on(event))
    }

    /// A text with commands to type next, as they are to be typed.
    fn typed(&self, text: &str) -> String {
        remedy::with_options(text, &self.0.same_stack)
    }

    /// The same for the remedies of an event.
    fn typed_event<'a>(&self, event: &'a Event) -> Cow<'a, Event> {
        if self.0.same_stack.is_empty() {
            return Cow::Borrowed(event);
        }
        let mut event = event.clone();
        match &mut event {
            Event::Warning { hint: Some(text), .. } | Event::Notice { message: text } => *text = self.typed(text),
            Event::Summary(summary) => {
                let nexts = summary.failures.iter_mut().filter_map(|failure| failure.next.as_mut());
                nexts.for_each(|next| *next = self.typed(next));
            }
            _ => {}
        }
        Cow::Owned(event)
    }

    fn on(&self, event: &Event) {
        let event = &*self.typed_event(event);
        let at = self.0.started.elapsed();
        match &mut *self.view() {
            View::Tty(tty) => {
                if tty.on(event, at) {
                    self.keep_drawing();
                }
            }
            View::Plain(plain) => self.0.err(&plain.on(event, at)),
            // A reader that went away must not stop the work: the stack is brought up all the same.
            View::Json => drop(write_out(&json::event(event, jiff::Timestamp::now()))),
        }
        if let Event::Summary(summary) = event {
            self.endpoints(summary);
        }
    }

    /// Draws until the run is over: times go on when nothing else happens. A thread of its own, because the one that
    /// does the work may be busy.
    fn keep_drawing(&self) {
        let screen = Arc::downgrade(&self.0);
        let draw = move || {
            loop {
                thread::sleep(tty::REDRAW);
                let Some(screen) = screen.upgrade().map(Screen) else { return };
                let now = screen.0.started.elapsed();
                let live = match &mut *screen.view() {
                    View::Tty(tty) => tty.draw(now),
                    View::Plain(_) | View::Json => false,
                };
                if !live {
                    return;
                }
            }
        };
        // Without a thread to spare there is no picture, but the work goes on.
        let _ = thread::Builder::new().name("screen".into()).spawn(draw);
    }

    fn endpoints(&self, summary: &Summary) {
        if self.0.format != Format::Json && !self.0.quiet && !summary.endpoints.is_empty() {
            let width = table::stdout_width();
            let text = table::endpoints(&summary.endpoints).render(width, self.0.color);
            // Apart from what was printed before, where both go to one terminal.
            let gap = if width.is_some() { "\n" } else { "" };
            let _ = self.out(&format!("{gap}{text}"));
        }
    }

    /// Text for stdout. An error is a reader that went away, or a full disk.
    pub fn out(&self, text: &str) -> io::Result<()> {
        self.aside(|| write_out(&sanitise::printed(text, self.0.color)))
    }

    /// Data for stdout that a program or a file takes as it is; on a terminal it is shown as [`Screen::out`] does.
    pub fn data(&self, text: &str) -> io::Result<()> {
        if io::stdout().is_terminal() { self.out(text) } else { self.aside(|| write_out(text)) }
    }

    /// Whether passwords are shown in what goes to stdout: on a terminal only when they were asked for. A program that
    /// reads it wants them.
    pub fn shows_secrets(&self, asked: bool) -> bool {
        asked || !io::stdout().is_terminal()
    }

    /// A text in the place of the one before, on a terminal.
    pub fn redraw(&self, live: &mut live::Live, text: &str) -> io::Result<()> {
        let frame = live.frame(&sanitise::printed(text, self.0.color), live::stdout_height());
        self.aside(|| write_out(&frame))
    }

    /// What clap has to say, with the colours that it gave it.
    pub fn of_clap(&self, text: &str, error: bool) {
        // No reader left is no reason to fail.
        if error { self.0.err(text) } else { drop(self.out(text)) }
    }

    /// Prints without getting in the way of the live tree.
    fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &*self.view() {
            View::Tty(tty) => tty.aside(print),
            View::Plain(_) | View::Json => print(),
        }
    }

    /// One JSON value as a line on stdout.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let mut line = sanitise::json(serde_json::to_string(value).map_err(io::Error::other)?);
        line.push('\n');
        self.aside(|| write_out(&line))
    }

    /// A note in addition to the data: a line on stderr, omitted with `-q`. In JSON: a `notice` event.
    pub fn note(&self, text: &str) {
        if self.0.format == Format::Json {
            self.on(&Event::Notice { message: text.to_owned() });
        } else if !self.0.quiet {
            let text = self.typed(text);
            self.aside(|| self.0.err(&format!("{}\n", sanitise::block(&text))));
        }
    }

    /// Whether a person at the terminal says yes to what would be lost. Nothing is asked where no answer can be typed: there the
    /// command's options were the answer.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn may_go_on(&self, what: &str) -> io::Result<bool> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stderr().is_terminal() {
            return Ok(true);
        }
        self.aside(|| self.0.err(&format!("{}\ncontinue? [y/N] ", sanitise::block(what))));
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Lines for the runner of a GitHub job, which reads them from stderr too. It compares values with them byte by byte.
    pub fn commands(&self, lines: &str) {
        if io::stderr().is_terminal() { self.aside(|| self.0.err(lines)) } else { self.aside(|| write_err(lines)) }
    }

    /// In a GitHub job: keeps these values out of its log from now on, whichever program prints them. Before a fence is up: within
    /// one nothing is a command.
    pub fn hide<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        if self.0.github.is_some() {
            self.commands(&github::masks(values));
        }
    }

    /// That something failed which is no service of ours; what it had to say, it said itself.
    pub fn failed(&self, what: &str, how: &str) {
        if self.0.format == Format::Json {
            self.on(&Event::Warning { message: format!("{what} {how}"), hint: None });
        } else {
            let github = self.0.github.is_some();
            self.aside(|| self.0.err(&report::failed(what, how, github, self.0.color_err)));
        }
    }

    /// The last lines of a service, for a report. Left out in JSON, and with `-q`.
    pub fn service_log(&self, service: &ServiceName, lines: &[String]) {
        if self.0.format != Format::Json && !self.0.quiet {
            let fence = self.0.github.as_deref();
            self.aside(|| self.0.err(&report::service_log(service, lines, fence, self.0.color_err)));
        }
    }

    /// What is left behind by a command that Ctrl-C ends. The terminal shows `^C` where the cursor is: that line is ended.
    pub fn left(&self, text: &str) {
        if self.0.format == Format::Tty {
            let text = if self.0.quiet { "\n".to_owned() } else { format!("\n{text}\n") };
            self.aside(|| write_err(&text));
        }
    }

    /// A remark that matters even with `-q`: a line on stderr. In JSON: a `notice` event.
    pub fn remark(&self, text: &str) {
        if self.0.format == Format::Json {
            self.on(&Event::Notice { message: text.to_owned() });
        } else {
            self.aside(|| self.0.err(&format!("{}\n", sanitise::block(text))));
        }
    }

    /// Diagnostics that are no failure (warnings).
    pub fn diagnostics(&self, diagnostics: &[Diagnostic]) {
        self.aside(|| match self.0.format {
            Format::Json => drop(write_out(&json::diagnostics(diagnostics, jiff::Timestamp::now()))),
            Format::Tty | Format::Plain => self.0.err(&errors::diagnostics(diagnostics, self.0.color_err)),
        });
    }

    /// The error a command ends with.
    pub fn error(&self, error: &Error) {
        self.aside(|| match self.0.format {
            Format::Json => drop(write_out(&json::error(error, jiff::Timestamp::now()))),
            Format::Tty | Format::Plain => {
                let text = errors::error(error, self.0.color_err);
                self.0.err(&match &self.0.github {
                    None => text,
                    // What others said is no command.
                    Some(fence) => github::error("taskava dev", &error.to_string()) + &github::fenced(&text, fence),
                });
            }
        });
    }

    /// Leaves the terminal as it was found. Harmless when called twice.
    pub fn finish(&self) {
        let now = self.0.started.elapsed();
        if let View::Tty(tty) = &mut *self.view() {
            tty.end(now);
        }
        let _ = io::stdout().flush();
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.0.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Progress that can no longer be read is no reason to fail.
fn write_err(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A time for people: `0.3s`, `12.0s`, `2m05s`, `1h02m`.
pub fn seconds(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    match tenths {
        0..600 => format!("{}.{}s", tenths / 10, tenths % 10),
        600..36_000 => format!("{}m{:02}s", tenths / 600, tenths / 10 % 60),
        _ => format!("{}h{:02}m", tenths / 36_000, tenths / 600 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_for_people() {
        let shown = |ms| seconds(Duration::from_millis(ms));
        assert_eq!(shown(0), "0.0s");
        assert_eq!(shown(949), "0.9s");
        assert_eq!(shown(59_949), "59.9s");
        assert_eq!(shown(59_960), "1m00s");
        assert_eq!(shown(125_000), "2m05s");
        assert_eq!(shown(3_720_000), "1h02m");
    }
}

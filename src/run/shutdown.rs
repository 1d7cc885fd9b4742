//! Ctrl-C, SIGTERM and SIGHUP: once = stop cleanly, twice = kill, three times = leave at once.

use tokio::sync::watch;

use super::signals::{Signal, Signals};
use crate::diag::{Error, ErrorKind};
use crate::event::{Event, Events};

/// How urgently the run should end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownLevel {
    /// Not at all: continue.
    None,
    /// Finish the current steps, stop what was started.
    Stop,
    /// Kill what was started.
    Kill,
}

#[derive(Debug, Clone, Copy)]
struct State {
    hurry: ShutdownLevel,
    cause: ErrorKind,
}

/// Reports whether the user has interrupted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<State>);

impl Shutdown {
    /// Handles signals from now on, until all its clones are dropped. Create it before the first engine call.
    pub fn on_signals(events: &Events) -> Self {
        let (sender, receiver) = watch::channel(State { hurry: ShutdownLevel::None, cause: ErrorKind::Interrupted });
        tokio::spawn(listen(sender, events.clone()));
        Self(receiver)
    }

    /// The current level.
    pub fn hurry(&self) -> ShutdownLevel {
        self.0.borrow().hurry
    }

    /// Waits until at least this level is reached.
    pub async fn reached(&self, hurry: ShutdownLevel) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|state| state.hurry >= hurry).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The error an interrupted command ends with.
    pub fn error(&self) -> Error {
        let cause = self.0.borrow().cause;
        let what = match cause {
            ErrorKind::HungUp => "the terminal was closed",
            ErrorKind::Terminated => "terminated",
            _ => "interrupted",
        };
        Error::new(cause, what)
    }
}

/// Never cancelled: for a library that leaves signals to its caller.
impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::channel(State { hurry: ShutdownLevel::None, cause: ErrorKind::Interrupted }).1)
    }
}

async fn listen(sender: watch::Sender<State>, events: Events) {
    let mut signals = Signals::listen(&Signal::ENDS);
    for (hurry, message) in [
        (ShutdownLevel::Stop, "stopping what this run started; interrupt again to kill it"),
        (ShutdownLevel::Kill, "killing what this run started; interrupt again to leave everything as it is"),
    ] {
        let cause = tokio::select! {
            cause = next(&mut signals, hurry) => cause,
            // There are no listeners left: signals are for those that come after.
            () = sender.closed() => return,
        };
        events.emit(&Event::Interrupted { message: message.into() });
        sender.send_modify(|state| *state = State { hurry, cause });
    }
    let cause = tokio::select! {
        cause = next(&mut signals, ShutdownLevel::Kill) => cause,
        () = sender.closed() => return,
    };
    events.emit(&Event::Interrupted { message: "left as it is; see what runs with: taskava dev ps".into() });
    std::process::exit(i32::from(cause.exit_code()));
}

/// The next signal of this level. A closed terminal sends SIGHUP more than once (the shell, then the system), which
/// does not raise the level: steps in progress may end cleanly.
async fn next(signals: &mut Signals, hurry: ShutdownLevel) -> ErrorKind {
    loop {
        let signal = signals.next().await;
        if signal != Signal::HangUp || hurry == ShutdownLevel::Stop {
            return signal.kind();
        }
    }
}

//! Ctrl-C and SIGTERM: once = stop cleanly, twice = kill, three times = leave at once.

use tokio::sync::watch;

use crate::diag::{Error, ErrorKind};
use crate::event::{Event, Events};

/// How much hurry there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hurry {
    /// None: go on.
    None,
    /// Finish what is being done, stop what was started.
    Stop,
    /// Kill what was started.
    Kill,
}

#[derive(Debug, Clone, Copy)]
struct State {
    hurry: Hurry,
    cause: ErrorKind,
}

/// Tells whether the user wants to leave. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Receiver<State>);

impl Cancel {
    /// Listens for signals from now on, until all its clones are gone. Arm it before the first engine call.
    pub fn on_signals(events: &Events) -> Self {
        let (sender, receiver) = watch::channel(State { hurry: Hurry::None, cause: ErrorKind::Interrupted });
        tokio::spawn(listen(sender, events.clone()));
        Self(receiver)
    }

    /// How much hurry there is now.
    pub fn hurry(&self) -> Hurry {
        self.0.borrow().hurry
    }

    /// Waits until there is at least so much hurry.
    pub async fn reached(&self, hurry: Hurry) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|state| state.hurry >= hurry).await.is_err() {
            std::future::pending().await
        }
    }

    /// The error an interrupted command ends with.
    pub fn error(&self) -> Error {
        let cause = self.0.borrow().cause;
        Error::new(cause, if cause == ErrorKind::Terminated { "terminated" } else { "interrupted" })
    }
}

/// Never cancelled: for a library that leaves signals to its caller.
impl Default for Cancel {
    fn default() -> Self {
        Self(watch::channel(State { hurry: Hurry::None, cause: ErrorKind::Interrupted }).1)
    }
}

async fn listen(sender: watch::Sender<State>, events: Events) {
    let mut signals = Signals::new();
    for (hurry, message) in [
        (Hurry::Stop, "stopping what this run started; once more to kill it"),
        (Hurry::Kill, "killing what this run started; once more to leave everything as it is"),
    ] {
        let cause = tokio::select! {
            cause = signals.next() => cause,
            // Nobody wants to know any more: signals are for those who come after.
            () = sender.closed() => return,
        };
        events.emit(&Event::Interrupted { message: message.into() });
        sender.send_modify(|state| *state = State { hurry, cause });
    }
    let cause = tokio::select! {
        cause = signals.next() => cause,
        () = sender.closed() => return,
    };
    events.emit(&Event::Interrupted { message: "left as it is; see what runs with: taskava dev ps".into() });
    std::process::exit(i32::from(cause.exit_code()));
}

#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self { interrupt: signal(SignalKind::interrupt()).ok(), terminate: signal(SignalKind::terminate()).ok() }
    }

    async fn next(&mut self) -> ErrorKind {
        async fn recv(signal: &mut Option<tokio::signal::unix::Signal>) {
            let seen = match signal {
                Some(signal) => signal.recv().await,
                None => None,
            };
            if seen.is_none() {
                std::future::pending::<()>().await;
            }
        }
        tokio::select! {
            () = recv(&mut self.interrupt) => ErrorKind::Interrupted,
            () = recv(&mut self.terminate) => ErrorKind::Terminated,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) -> ErrorKind {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        ErrorKind::Interrupted
    }
}

//! Signals that this process receives: the only place that handles them. Their meaning is up to the listeners:
//! `shutdown` for runs, `cli::inside` for commands in containers, and `janitor`, which must survive them.

use crate::diag::ErrorKind;

/// A signal that ends a process that does nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the signal of that name")]
pub enum Signal {
    Interrupt,
    Terminate,
    HangUp,
    Quit,
    User1,
    User2,
}

impl Signal {
    /// Those that want a run to end: Ctrl-C, a polite kill, a terminal that was closed or an ssh that was lost.
    pub const ENDS: [Self; 3] = [Self::Interrupt, Self::Terminate, Self::HangUp];

    /// All of them.
    pub const ALL: [Self; 6] = [Self::Interrupt, Self::Terminate, Self::HangUp, Self::Quit, Self::User1, Self::User2];

    /// `SIGINT`, as engines take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
            Self::Quit => "SIGQUIT",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
        }
    }

    /// The exit code of a process that it ended, as a shell has it. The numbers of the last two differ between systems;
    /// nothing is ended by them here.
    pub fn exit_code(self) -> u8 {
        let number = match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Quit => 3,
            Self::User1 => 10,
            Self::User2 => 12,
            Self::Terminate => 15,
        };
        128 + number
    }

    /// What a run says that it ends.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::HangUp => ErrorKind::HungUp,
            Self::Terminate => ErrorKind::Terminated,
            _ => ErrorKind::Interrupted,
        }
    }
}

#[cfg(unix)]
pub use unix::{Signals, ignore};

#[cfg(unix)]
mod unix {
    use std::future::poll_fn;
    use std::task::{Context, Poll};

    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::Signal;

    /// Listens from when it is made on. From then on none of these signals ends this process by itself.
    #[derive(Debug)]
    pub struct Signals(Vec<(Signal, Stream)>);

    impl Signals {
        /// Listens to these; not to SIGHUP where it was ignored when this process was started: `nohup` means it.
        pub fn listen(signals: &[Signal]) -> Self {
            let heard = signals.iter().filter(|signal| **signal != Signal::HangUp || !hang_up_is_ignored());
            Self(heard.filter_map(|which| Some((*which, signal(kind(*which)).ok()?))).collect())
        }

        /// The next one.
        pub async fn next(&mut self) -> Signal {
            poll_fn(|cx| self.poll_next(cx)).await
        }

        /// The next one, as a future has it.
        pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
            for (which, stream) in &mut self.0 {
                if let Poll::Ready(Some(())) = stream.poll_recv(cx) {
                    return Poll::Ready(*which);
                }
            }
            Poll::Pending
        }
    }

    fn kind(signal: Signal) -> SignalKind {
        match signal {
            Signal::Interrupt => SignalKind::interrupt(),
            Signal::Terminate => SignalKind::terminate(),
            Signal::HangUp => SignalKind::hangup(),
            Signal::Quit => SignalKind::quit(),
            Signal::User1 => SignalKind::user_defined1(),
            Signal::User2 => SignalKind::user_defined2(),
        }
    }

    /// From now on, this process ignores signals that end a run, and a pipe without a reader.
    pub fn ignore() {
        let ends = Signal::ENDS.map(kind);
        for mut signals in ends.into_iter().chain([SignalKind::pipe()]).filter_map(|kind| signal(kind).ok()) {
            tokio::spawn(async move { while signals.recv().await.is_some() {} });
        }
    }

    /// Whether SIGHUP is ignored here; one that is listened to is not.
    #[cfg(target_os = "linux")]
    fn hang_up_is_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        // The lowest bit is signal 1.
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
    }

    /// The system does not say it; but a process that is started inherits it, and survives a SIGHUP then.
    #[cfg(not(target_os = "linux"))]
    fn hang_up_is_ignored() -> bool {
        let shell = std::process::Command::new("sh").args(["-c", "kill -HUP $$"]).status();
        shell.is_ok_and(|status| status.success())
    }
}

/// Listens from when it is made on.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Listens to Ctrl-C.
    pub fn listen(_: &[Signal]) -> Self {
        Self
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}

/// Nothing to ignore here.
#[cfg(not(unix))]
pub fn ignore() {}

//! What happens to this process while a command inside runs: signals, and a window that changes its size.

use crate::engine::attach::Size;

/// Something happened here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The window has another size.
    Resized(Size),
    /// A signal that would end this process.
    Signal(Signal),
}

/// A signal that would end a process that does nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// `SIGINT`.
    pub name: &'static str,
    number: u8,
}

impl Signal {
    /// The exit code of a process that it ended, as a shell has it.
    pub fn exit_code(self) -> u8 {
        128 + self.number
    }

    /// Whether somebody wants the end of it: Ctrl-C, or a polite kill.
    pub fn is_end(self) -> bool {
        matches!(self.name, "SIGINT" | "SIGTERM")
    }
}

/// Those that are passed on. The numbers of the two that differ between systems do not matter: nobody is told that they
/// ended something.
#[cfg(unix)]
const SIGNALS: [(&str, u8); 6] =
    [("SIGHUP", 1), ("SIGINT", 2), ("SIGQUIT", 3), ("SIGTERM", 15), ("SIGUSR1", 10), ("SIGUSR2", 12)];

#[cfg(unix)]
pub use unix::Outside;

#[cfg(unix)]
mod unix {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::{SIGNALS, Signal, What};
    use crate::ui::terminal;

    /// Listens from when it is made on.
    #[derive(Debug)]
    pub struct Outside {
        signals: Vec<(Signal, Stream)>,
        window: Option<Stream>,
    }

    impl Outside {
        /// Listens to signals. From now on none of them ends this process by itself.
        pub fn listen() -> Self {
            let kind = |name| match name {
                "SIGHUP" => SignalKind::hangup(),
                "SIGINT" => SignalKind::interrupt(),
                "SIGQUIT" => SignalKind::quit(),
                "SIGTERM" => SignalKind::terminate(),
                "SIGUSR1" => SignalKind::user_defined1(),
                _ => SignalKind::user_defined2(),
            };
            let listen = |(name, number)| Some((Signal { name, number }, signal(kind(name)).ok()?));
            let signals = SIGNALS.into_iter().filter_map(listen).collect();
            Self { signals, window: signal(SignalKind::window_change()).ok() }
        }

        /// The next thing that happens.
        pub async fn next(&mut self) -> What {
            poll_fn(|cx| {
                for (which, stream) in &mut self.signals {
                    if let Poll::Ready(Some(())) = stream.poll_recv(cx) {
                        return Poll::Ready(What::Signal(*which));
                    }
                }
                while let Some(Poll::Ready(Some(()))) = self.window.as_mut().map(|window| window.poll_recv(cx)) {
                    if let Some(size) = terminal::size() {
                        return Poll::Ready(What::Resized(size));
                    }
                }
                Poll::Pending
            })
            .await
        }
    }
}

/// Listens from when it is made on.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Outside;

#[cfg(not(unix))]
impl Outside {
    /// Listens to Ctrl-C.
    pub fn listen() -> Self {
        Self
    }

    /// The next thing that happens.
    pub async fn next(&mut self) -> What {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        What::Signal(Signal { name: "SIGINT", number: 2 })
    }
}

impl Outside {
    /// Waits for a signal that ends; returns the exit code.
    pub async fn left(&mut self) -> u8 {
        loop {
            if let What::Signal(signal) = self.next().await {
                return signal.exit_code();
            }
        }
    }
}

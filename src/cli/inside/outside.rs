//! Events of this process while a command in a container runs: signals, and changes of the window size.

use crate::engine::Size;
use crate::run::signals::{Signal, Signals};

/// Something happened here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The window has another size.
    Resized(Size),
    /// A signal that would end this process.
    Signal(Signal),
}

/// Listens from when it is made on.
#[derive(Debug)]
pub struct Outside {
    signals: Signals,
    #[cfg(unix)]
    window: Option<tokio::signal::unix::Signal>,
}

impl Outside {
    /// Listens to signals. From now on none of them ends this process by itself.
    pub fn listen() -> Self {
        Self {
            signals: Signals::listen(&Signal::ALL),
            #[cfg(unix)]
            window: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change()).ok(),
        }
    }

    /// The next thing that happens.
    #[cfg(unix)]
    pub async fn next(&mut self) -> What {
        use std::task::Poll;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(signal) = self.signals.poll_next(cx) {
                return Poll::Ready(What::Signal(signal));
            }
            while let Some(Poll::Ready(Some(()))) = self.window.as_mut().map(|window| window.poll_recv(cx)) {
                if let Some(size) = crate::ui::terminal::size() {
                    return Poll::Ready(What::Resized(size));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next thing that happens.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> What {
        What::Signal(self.signals.next().await)
    }

    /// Waits for a signal that ends; returns the exit code.
    pub async fn left(&mut self) -> u8 {
        loop {
            if let What::Signal(signal) = self.next().await {
                return signal.exit_code();
            }
        }
    }
}

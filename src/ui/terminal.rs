//! The terminal while it belongs to a command in a container: its size, and raw mode, in which each key is sent to that
//! command. It is restored in every case, also after a panic; only SIGKILL leaves no time for that.

use std::io::{self, IsTerminal as _};

/// Whether input and output are both terminals.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

pub use imp::{Raw, size};

#[cfg(unix)]
mod imp {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use rustix::stdio::{stdin, stdout};
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

    /// Rows and columns; none when it is no terminal, or one that does not know.
    pub fn size() -> Option<(u16, u16)> {
        let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
    }

    /// The mode to restore; taken by the first caller that restores it.
    type Before = Arc<Mutex<Option<Termios>>>;

    /// Raw mode for as long as it lives.
    #[derive(Debug)]
    pub struct Raw(Before);

    impl Raw {
        /// Takes the terminal on stdin.
        ///
        /// # Errors
        /// When it is none.
        pub fn enter() -> io::Result<Self> {
            let before = tcgetattr(stdin())?;
            let mut raw = before.clone();
            raw.make_raw();
            let kept: Before = Arc::new(Mutex::new(Some(before)));
            // The release build ends at once when something panics: nothing is dropped then.
            let (of_hook, previous) = (kept.clone(), std::panic::take_hook());
            std::panic::set_hook(Box::new(move |panic| {
                restore(&of_hook);
                previous(panic);
            }));
            tcsetattr(stdin(), OptionalActions::Now, &raw)?;
            Ok(Self(kept))
        }
    }

    impl Drop for Raw {
        fn drop(&mut self) {
            restore(&self.0);
        }
    }

    fn restore(before: &Before) {
        if let Some(before) = before.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A terminal that is gone needs no mode.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;

    /// Not known here.
    pub fn size() -> Option<(u16, u16)> {
        None
    }

    /// Raw mode: not available here.
    #[derive(Debug)]
    pub struct Raw;

    impl Raw {
        /// Refuses.
        ///
        /// # Errors
        /// Always.
        pub fn enter() -> io::Result<Self> {
            Err(io::Error::other("a terminal inside needs Linux or macOS; leave it out with -T"))
        }
    }
}

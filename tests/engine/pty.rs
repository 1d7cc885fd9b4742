//! A command in a terminal of its own: what a user at the keyboard does and sees.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::stack::wait_until;

/// A command in a terminal.
pub(crate) struct Terminal {
    /// None when the window was closed.
    keyboard: Option<File>,
    screen: Arc<Mutex<Vec<u8>>>,
    reader: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    /// Kept open, so that the mode can be read when the command has ended.
    line: File,
    child: Child,
}

impl Terminal {
    /// Starts it in a window of so many rows and columns.
    pub(crate) fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let near: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&near).and_then(|()| unlockpt(&near)).expect("a terminal that can be used");
        let name = ptsname(&near, Vec::new()).expect("a name").into_string().expect("of ASCII");
        let line = OpenOptions::new().read(true).write(true).open(name).expect("the other end");
        let keyboard = File::from(near);
        let screen = Arc::default();
        let reader = Some(collect(keyboard.try_clone().expect("a descriptor"), Arc::clone(&screen)));
        let mut terminal = Self { screen, reader, child: spawn(command, &line), keyboard: Some(keyboard), line };
        terminal.resize(rows, columns);
        terminal
    }

    /// Types.
    pub(crate) fn types(&mut self, text: &str) {
        self.keyboard.as_mut().expect("a window").write_all(text.as_bytes()).expect("the line is open");
    }

    /// Closes the window: the command gets SIGHUP, and what it writes from now on fails.
    pub(crate) fn close(&mut self) {
        let (over, reader) = self.reader.take().expect("closed once");
        over.store(true, Ordering::Relaxed);
        // The reader may be waiting for something to be shown.
        self.line.write_all(b"\n").expect("the line is open");
        reader.join().expect("the reader does not panic");
        drop(self.keyboard.take());
    }

    /// Gives the window another size: the command gets SIGWINCH.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(self.keyboard.as_ref().expect("a window"), size).expect("a terminal");
    }

    /// Everything that was shown so far.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("the reader does not panic")).into_owned()
    }

    /// Everything that was shown by a command that has ended.
    pub(crate) fn everything(&mut self) -> String {
        // What the command wrote comes before this.
        const END: &str = "\u{1c}over\u{1c}";
        self.line.write_all(END.as_bytes()).expect("the line is open");
        self.wait_for(END);
        self.shown().split_once(END).map(|(shown, _)| shown.to_owned()).unwrap_or_default()
    }

    /// Waits until something is shown.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) {
        wait_until(&format!("{words:?} in {:?}", self.shown()), || self.shown().contains(words).then_some(()));
    }

    /// Whether keys go to the command one by one, as they are.
    pub(crate) fn is_raw(&self) -> bool {
        let modes = tcgetattr(self.keyboard.as_ref().expect("a window")).expect("a terminal").local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Sends a signal: `TERM`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let command = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().expect("a shell").success(), "{command}");
    }

    /// Waits for its end; the exit code, -1 when a signal ended it.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> i32 {
        let status = wait_until("the end", || self.child.try_wait().expect("a child"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a session of its own, whose terminal this is: only then does it hear of a new size.
fn spawn(command: &Command, line: &File) -> Child {
    let stdio = || Stdio::from(line.try_clone().expect("a descriptor"));
    let mut session = Command::new("setsid");
    session.arg("--ctty").arg(command.get_program()).args(command.get_args());
    session.current_dir(command.get_current_dir().expect("a folder")).env("TERM", "xterm");
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => session.env(name, value),
            None => session.env_remove(name),
        };
    }
    session.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("setsid of util-linux")
}

fn collect(mut from: File, to: Arc<Mutex<Vec<u8>>>) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let over = Arc::new(AtomicBool::new(false));
    let ends = over.clone();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            to.lock().expect("no thread panicked with it").extend_from_slice(&buffer[..length]);
            if ends.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    (over, reader)
}

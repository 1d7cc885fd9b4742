//! Signals by number and name. The numbers are Linux's: containers are Linux on every host.

const SIGNALS: [(u8, &str); 19] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (18, "SIGCONT"),
    (19, "SIGSTOP"),
    (24, "SIGXCPU"),
    (28, "SIGWINCH"),
];

/// The signal behind an exit code of 128 + n.
pub fn of_exit_code(code: i64) -> Option<&'static str> {
    SIGNALS.iter().find(|(number, _)| i64::from(*number) == code - 128).map(|(_, name)| *name)
}

/// Whether a text names a signal as the engine takes it: `SIGINT`, `INT`, `2`, `SIGRTMIN+3`.
pub fn is_signal(text: &str) -> bool {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    SIGNALS.iter().any(|(_, known)| known.strip_prefix("SIG") == Some(name))
        || name.starts_with("RTMIN+")
        || text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number))
}

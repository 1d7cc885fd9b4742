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

/// Whether a process handles a signal, by the text of its `/proc/PID/status` (proc(5)): it has a handler (`SigCgt`), or takes it in
/// another way (`SigBlk`: sigwait, signalfd). None where the text or the signal is not known.
pub fn is_handled(status: &str, signal: &str) -> Option<bool> {
    let name = signal.strip_prefix("SIG").unwrap_or(signal);
    let named = SIGNALS.iter().find(|(_, known)| known.strip_prefix("SIG") == Some(name)).map(|(number, _)| *number);
    let number = named.or_else(|| name.parse().ok()).filter(|number| (1..=64).contains(number))?;
    let mask = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    Some((mask("SigCgt")? | mask("SigBlk")?) & (1 << (number - 1)) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_does_about_a_signal() {
        let status = "Name:\tsh\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000000006\nSigCgt:\t0000000000004002\n";
        for (signal, handled) in [
            ("SIGTERM", Some(true)),
            ("TERM", Some(true)),
            ("15", Some(true)),
            ("SIGINT", Some(true)),
            ("SIGHUP", Some(true)),
        ] {
            assert_eq!(is_handled(status, signal), handled, "{signal}");
        }
        assert_eq!(is_handled(status, "SIGQUIT"), Some(false));
        assert_eq!(is_handled(status, "SIGRTMIN+3"), None);
        assert_eq!(is_handled("Name:\tsh\n", "SIGTERM"), None);
    }
}

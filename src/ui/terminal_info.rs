//! What the process finds in its environment, and what follows for format and colour. Reading is one function; deciding
//! is pure.

use std::env;
use std::io::{self, IsTerminal as _};

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "see Format")]
pub enum FormatChoice {
    /// A live tree on a terminal, else plain lines.
    #[default]
    Auto,
    Tty,
    Plain,
    Json,
}

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A live tree.
    Tty,
    /// A line for each change.
    Plain,
    /// A JSON object for each event.
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "self-evident")]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// What the process finds around it.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact")]
pub struct TerminalInfo {
    /// stdout is a terminal.
    pub stdout_terminal: bool,
    /// stderr is a terminal.
    pub stderr_terminal: bool,
    /// `TERM=dumb`: no cursor movement, no colours.
    pub dumb: bool,
    /// `CI` is set: the terminal is not watched while it runs.
    pub ci: bool,
    /// `GITHUB_ACTIONS=true`: workflow commands are understood.
    pub github: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` or `FORCE_COLOR` is set and neither empty nor 0.
    pub force_color: bool,
}

impl TerminalInfo {
    /// Looks at this process's environment and streams.
    pub fn read() -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let on =
            |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0" && value != "false");
        Self {
            stdout_terminal: io::stdout().is_terminal(),
            stderr_terminal: io::stderr().is_terminal(),
            dumb: env::var_os("TERM").is_some_and(|value| value == "dumb"),
            ci: on("CI"),
            github: env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            no_color: set("NO_COLOR"),
            force_color: on("CLICOLOR_FORCE") || on("FORCE_COLOR"),
        }
    }

    /// What a format choice comes to here.
    pub fn format(&self, choice: FormatChoice) -> Format {
        match choice {
            FormatChoice::Auto if self.stderr_terminal && !self.dumb && !self.ci => Format::Tty,
            FormatChoice::Auto | FormatChoice::Plain => Format::Plain,
            FormatChoice::Tty => Format::Tty,
            FormatChoice::Json => Format::Json,
        }
    }

    /// Whether a stream gets colours: the flag, then `NO_COLOR`, then the forcing variables, then the terminal.
    pub fn color(&self, choice: ColorChoice, terminal: bool) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color => false,
            ColorChoice::Auto => self.force_color || (terminal && !self.dumb && !self.ci),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_a_tree_only_where_somebody_looks() {
        let terminal = TerminalInfo { stderr_terminal: true, ..TerminalInfo::default() };
        assert_eq!(terminal.format(FormatChoice::Auto), Format::Tty);
        assert_eq!(TerminalInfo::default().format(FormatChoice::Auto), Format::Plain);
        assert_eq!(TerminalInfo { dumb: true, ..terminal.clone() }.format(FormatChoice::Auto), Format::Plain);
        assert_eq!(TerminalInfo { ci: true, ..terminal.clone() }.format(FormatChoice::Auto), Format::Plain);
        assert_eq!(TerminalInfo { ci: true, ..terminal }.format(FormatChoice::Tty), Format::Tty);
    }

    #[test]
    fn colour_follows_the_order_of_precedence() {
        let all = TerminalInfo { no_color: true, force_color: true, ci: true, ..TerminalInfo::default() };
        assert!(all.color(ColorChoice::Always, false), "the flag wins over NO_COLOR");
        assert!(!all.color(ColorChoice::Auto, true), "NO_COLOR wins over FORCE_COLOR");
        let forced = TerminalInfo { force_color: true, ci: true, ..TerminalInfo::default() };
        assert!(forced.color(ColorChoice::Auto, false), "FORCE_COLOR wins over CI");
        assert!(!forced.color(ColorChoice::Never, true));
        assert!(TerminalInfo::default().color(ColorChoice::Auto, true));
        assert!(!TerminalInfo::default().color(ColorChoice::Auto, false));
        assert!(!TerminalInfo { dumb: true, ..TerminalInfo::default() }.color(ColorChoice::Auto, true));
    }
}

//! What clap does not do by itself: commands under headings in the order of use, and global options that give way
//! where a command needs the same letter.

use clap::Command;

/// Headings and what is listed under each.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Every day", &["up", "ps", "logs", "restart", "stop", "start", "down", "watch"]),
    ("See what and why", &["plan", "explain", "check", "config", "stats", "events"]),
    ("Work with services", &["exec", "run", "connect", "env", "open", "url", "aws", "terraform"]),
    ("Data and tests", &["snapshot", "backup", "restore", "test", "db", "gc"]),
    ("Images", &["pull", "build", "lock"]),
    ("Set up", &["init", "doctor", "import", "export", "schema", "completions"]),
];

/// Finishes the derived command line.
pub(super) fn dress(command: Command) -> Command {
    command.mut_subcommand("dev", |dev| yield_letters(dev))
}

/// A command's own `-f` or `-v` wins over the global one, which keeps its long form there.
fn yield_letters(mut dev: Command) -> Command {
    let globals: Vec<_> = dev.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let names: Vec<_> = dev.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        dev = dev.mut_subcommand(name, |command| {
            let own: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_short).collect();
            let yielding = globals.iter().filter(|arg| arg.get_short().is_some_and(|letter| own.contains(&letter)));
            yielding.fold(command.clone(), |command, arg| command.arg(arg.clone().short(None)))
        });
    }
    dev
}

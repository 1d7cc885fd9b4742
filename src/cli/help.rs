//! Additions to clap's help: commands under headings in the order of use, and global options that give way if a command
//! needs the same letter.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::commands::HEADINGS;

/// What follows the options in `--help`.
pub(super) const REFERENCE: &str = "\
Examples:
  taskava dev up                     start all services; they are ready when the command returns
  taskava dev up api                 start api and its dependencies
  taskava dev logs -f api postgres   follow the logs of two services
  taskava dev down                   stop and remove the containers; data is kept

Exit codes:
  0 success   1 other failure   2 usage or configuration   3 no engine   4 image   5 port in use
  6 not ready in time   7 crashed   8 another run holds the lock   129, 130, 143 interrupted

Environment:
  TASKAVA_FILE (a:b), TASKAVA_PROJECT, TASKAVA_PROFILES (a,b)   same as --file, --project, --profile
  DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG                    the engine to use, as for docker
  NO_COLOR, FORCE_COLOR, CI, GITHUB_ACTIONS                     colours and output format";

/// Finishes the derived command line.
pub(super) fn dress(command: Command) -> Command {
    command.mut_subcommand("dev", |dev| with_groups(yield_letters(dev)))
}

/// The headings, each with those of its commands that are listed.
pub(super) fn groups(dev: &Command) -> Vec<(&'static str, Vec<&Command>)> {
    let listed =
        |name: &&str| dev.get_subcommands().find(|command| command.get_name() == *name && !command.is_hide_set());
    let groups = HEADINGS.iter().map(|(title, names)| (*title, names.iter().filter_map(listed).collect::<Vec<_>>()));
    groups.filter(|(_, commands)| !commands.is_empty()).collect()
}

/// The options of every command.
pub(super) fn globals(dev: &Command) -> impl Iterator<Item = &Arg> {
    dev.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set())
}

/// `-f, --file <FILE>`. (clap's own spelling needs a finished command line.)
pub(super) fn spelling(arg: &Arg) -> String {
    let names = [arg.get_short().map(|letter| format!("-{letter}")), arg.get_long().map(|name| format!("--{name}"))];
    let mut text = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if arg.get_action().takes_values() {
        for name in arg.get_value_names().unwrap_or_default() {
            let _ = write!(text, " <{name}>");
        }
    }
    text
}

/// The one-line help of an option, with the values it knows.
pub(super) fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    if values.is_empty() || !arg.get_action().takes_values() {
        return help;
    }
    let names: Vec<_> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
    format!("{help} [{}]", names.join(", "))
}

/// Replaces clap's one long list of commands by groups.
fn with_groups(dev: Command) -> Command {
    let styles = dev.get_styles().clone();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = String::new();
    for (title, commands) in groups(&dev) {
        let _ = writeln!(text, "{header}{title}:{header:#}");
        for command in commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {literal}{:12}{literal:#} {about}", command.get_name());
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{header}Global options, before or after the command:{header:#}");
    for arg in globals(&dev) {
        // Long names line up whether they have a letter or not.
        let indent = if arg.get_short().is_some() { 2 } else { 6 };
        let _ = writeln!(text, "{:indent$}{:width$} {}", "", spelling(arg), meaning(arg), width = 26 - indent);
    }
    text.push_str("\n`taskava dev <COMMAND> -h` prints a summary, `--help` the full help.");
    // What follows begins with the blank lines it needs.
    dev.help_template(format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{text}{{after-help}}"))
        .after_long_help(REFERENCE)
}

/// A command's own `-f` or `-v` wins over the global one, which keeps its long form there.
fn yield_letters(dev: Command) -> Command {
    fn visit(command: Command, globals: &[Arg]) -> Command {
        let own: Vec<_> = command.get_arguments().filter_map(Arg::get_short).collect();
        let yielding = globals.iter().filter(|arg| arg.get_short().is_some_and(|letter| own.contains(&letter)));
        let command = yielding.fold(command, |command, arg| command.arg(arg.clone().short(None)));
        command.mut_subcommands(|command| visit(command, globals))
    }
    let globals: Vec<_> = globals(&dev).cloned().collect();
    dev.mut_subcommands(|command| visit(command, &globals))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> Command {
        let mut command = crate::cli::command();
        command.build();
        command.find_subcommand("dev").cloned().expect("taskava has dev")
    }

    #[test]
    fn the_command_line_is_sound() {
        crate::cli::command().debug_assert();
    }

    #[test]
    fn the_help_fits_on_a_page_and_in_a_terminal() {
        let short = dev().render_help().to_string();
        assert!(short.lines().count() <= 82, "{} lines", short.lines().count());
        let text = dev().render_long_help().to_string();
        assert!(text.lines().count() <= 97, "{} lines", text.lines().count());
        let wide: Vec<_> = text.lines().filter(|line| console::measure_text_width(line) > 110).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }

    #[test]
    fn global_options_are_taken_before_and_after_the_command() {
        for line in
            ["taskava dev --file a.toml down -v", "taskava dev down --file a.toml -v", "taskava dev -f a.toml down -v"]
        {
            let matches = crate::cli::command().try_get_matches_from(line.split(' ')).expect(line);
            let (_, dev) = matches.subcommand().expect("dev");
            let (_, down) = dev.subcommand().expect("down");
            for matches in [dev, down] {
                let file = matches.get_one::<std::path::PathBuf>("file").map(|path| path.display().to_string());
                assert_eq!(file.as_deref(), Some("a.toml"), "{line}");
                assert!(!matches.get_flag("verbose"), "-v of down is its own: {line}");
            }
            assert!(down.get_flag("volumes"), "{line}");
        }
    }
}

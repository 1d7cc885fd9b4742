//! Generates docs/cli.md from the definition of the command line; a test checks that it is up to date.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::help;

const HEAD: &str = "\
# `taskava dev`

<!-- Generated from the definition of the command line. To update: UPDATE_DOCS=1 cargo test --lib cli:: -->

From a fresh clone to a ready stack with one command. `taskava dev <COMMAND> --help` prints the same text as this page.

";

/// The whole page.
fn page(dev: &Command) -> String {
    let mut out = HEAD.to_owned();
    for (title, commands) in help::groups(dev) {
        let _ = writeln!(out, "## {title}\n");
        for command in commands {
            section(&mut out, command, "taskava dev");
        }
    }
    out.push_str("## Global options\n\nAccepted before and after the command's name. Where a command uses the same letter for an option of its own, only the long form works.\n\n");
    options(&mut out, help::globals(dev));
    let _ = writeln!(out, "## Reference\n\n```text\n{}\n```", help::REFERENCE);
    out
}

fn section(out: &mut String, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace("\n       ", "\n");
    let _ = writeln!(out, "### `{name}`\n");
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = writeln!(out, "{about}\n");
    }
    let _ = writeln!(out, "```text\n{usage}\n```\n");
    let own = |arg: &&Arg| {
        !arg.is_global_set() && !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
    };
    options(out, command.get_arguments().filter(own));
    if let Some(more) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        let _ = writeln!(out, "```text\n{more}\n```\n");
    }
    for command in command.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
        section(out, command, &name);
    }
}

fn options<'a>(out: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let mut rows = String::new();
    for arg in args {
        let spelling = if arg.is_positional() { arg.to_string() } else { help::spelling(arg) };
        let cells =
            [format!("`{spelling}`"), help::meaning(arg)].map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        let _ = writeln!(rows, "| {} |", cells.join(" | "));
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "| | |\n|---|---|\n{rows}");
    }
}

#[test]
fn docs_say_what_the_command_line_does() {
    let mut command = super::command();
    // The widest terminal: lines are wrapped by who shows the page.
    command = command.term_width(0);
    command.build();
    let page = page(command.find_subcommand("dev").expect("taskava has dev"));
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().expect("docs")).unwrap();
        std::fs::write(&file, &page).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == page, "docs/cli.md is out of date; update it with: UPDATE_DOCS=1 cargo test --lib cli::");
}

#[test]
fn each_example_is_one_command_on_a_line_of_its_own() {
    fn examples(command: &Command) -> Vec<String> {
        let more = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string);
        let more = more.unwrap_or_default();
        let own = more.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
        let mut lines: Vec<String> = own.map(ToOwned::to_owned).collect();
        lines.extend(command.get_subcommands().flat_map(examples));
        lines
    }
    let lines = examples(&super::command());
    assert!(lines.len() > 20, "{lines:?}");
    for line in lines {
        assert!(line.starts_with("  ") && line.matches("taskava dev ").count() == 1, "{line:?}");
    }
}

/// The code spans of a Markdown text, of several lines, too.
fn spans(text: &str) -> impl Iterator<Item = String> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// That no part of a command line is unknown; values that stand for others may be wrong.
fn understood(words: &str) -> Result<(), clap::Error> {
    use clap::error::ErrorKind;
    let words = words.replace(['\'', '"'], "").replace('…', "x");
    match super::command().try_get_matches_from(words.split(' ')) {
        Err(error) if matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) => Err(error),
        _ => Ok(()),
    }
}

#[test]
fn the_readme_names_no_command_that_is_not_there() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(file).expect("README.md");
    let named: Vec<String> = spans(&text).filter(|span| span.starts_with("taskava dev ")).collect();
    assert!(named.len() > 20, "{named:?}");
    for words in named {
        understood(&words).unwrap_or_else(|error| panic!("`{words}`: {error}"));
    }
    // What compose has and is the same here is accepted as it is typed there.
    let same = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let compose = cells.next()?;
        cells.next().filter(|here| *here == "the same" || spans(here).eq(spans(compose)))?;
        Some(compose)
    });
    let commands = [
        "up", "ps", "logs", "restart", "stop", "start", "down", "config", "exec", "run", "watch", "stats", "events",
        "pull", "build",
    ];
    let mut checked = 0;
    for span in same.flat_map(spans) {
        let words = match span.split(' ').next() {
            Some(first) if commands.contains(&first) => format!("taskava dev {span}"),
            Some(first) if first.starts_with('-') => format!("taskava dev up {span}"),
            _ => continue,
        };
        understood(&words).unwrap_or_else(|error| panic!("`{words}`: {error}"));
        checked += 1;
    }
    assert!(checked > 10, "{checked}");
    for typed in [
        "up -d --wait",
        "exec -it api sh",
        "run --rm -it api sh",
        "--project-name x ps",
        "ps --quiet",
        "config --quiet",
    ] {
        understood(&format!("taskava dev {typed}")).unwrap_or_else(|error| panic!("{error}"));
    }
}

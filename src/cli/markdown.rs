//! Writes docs/cli.md from the command line's definition; the test keeps the two the same.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::help;

const HEAD: &str = "\
# `taskava dev`

<!-- Made from the command line's definition. To refresh: UPDATE_DOCS=1 cargo test --lib cli:: -->

One command from clone to a ready stack. `taskava dev <COMMAND> --help` says the same as this page.

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
    out.push_str("## Options of every command\n\nAccepted before and after the command's name. Where a command has a letter of its own, the long form is left.\n\n");
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
    assert!(there == page, "docs/cli.md is out of date: UPDATE_DOCS=1 cargo test --lib cli:: writes it anew");
}

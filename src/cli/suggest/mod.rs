//! Answers to a command line that clap rejects: for what only docker compose has, one line with what to type here; for the
//! rest clap's own error, without suggestions that merely look similar.

mod habits;
#[cfg(test)]
mod tests;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::diag::{self, Error};

/// How alike a suggestion has to be to what was typed, from 0 to 1.
const ALIKE: f64 = 0.8;

/// What is said of a command line that can't be carried out, or asks for help or the version.
#[derive(Debug)]
pub(super) enum Answer {
    /// What clap has to say.
    Clap(clap::Error),
    /// One line with what to type here.
    Instead(Error),
}

/// The answer to a command line (without the program's name) that clap rejected.
pub(super) fn answer(error: clap::Error, args: &[OsString]) -> Answer {
    match instead(&error, args) {
        Some(instead) => Answer::Instead(instead),
        None => Answer::Clap(improve(error)),
    }
}

/// What to type for a word that only docker compose has.
fn instead(error: &clap::Error, args: &[OsString]) -> Option<Error> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let usage = |message: String| Some(Error::new(diag::ErrorKind::Usage, message));
    // An option before the command is one of all commands.
    let option = text(ContextKind::InvalidArg).and_then(|option| option.split(['=', ' ', '[']).next());
    let at =
        option.and_then(|option| args.iter().position(|arg| arg.to_str().is_some_and(|arg| arg.starts_with(option))));
    let path = typed_command(&args[..at.unwrap_or(args.len())]);
    let dev = ["taskava", "dev"].into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            let command = if path.is_empty() { word.to_owned() } else { format!("{} {word}", path.join(" ")) };
            let remedy = habits::refused(&command, "")?;
            usage(format!("{dev} has no command `{word}`; instead: {remedy}"))
        }
        // A value for an option that has none: `--detach=false`.
        ErrorKind::TooManyValues => {
            let option = option?;
            match (text(ContextKind::InvalidValue)?, habits::refused(&path.join(" "), &format!("{option}=false"))) {
                ("false" | "0", Some(remedy)) => usage(format!("{dev} has no {option}=false; instead: {remedy}")),
                ("false" | "0", None) => usage(format!("{dev} has no {option}=false; instead: leave out {option}")),
                ("true" | "1", _) => usage(format!("{dev} has no {option}=true; instead: {option}")),
                _ => None,
            }
        }
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::NoEquals => {
            let option = option?;
            let remedy = habits::refused(&path.join(" "), option)?;
            usage(format!("{dev} has no {option}; instead: {remedy}"))
        }
        _ => None,
    }
}

/// The names of the command that was typed, below `dev`.
fn typed_command(args: &[OsString]) -> Vec<String> {
    let mut whole = super::command();
    whole.build();
    let mut words = args.iter().map_while(|arg| arg.to_str()).skip_while(|word| *word != "dev").skip(1);
    let Some(mut command) = whole.find_subcommand("dev") else { return Vec::new() };
    let mut path = Vec::new();
    while let Some(word) = words.next().filter(|word| *word != "--") {
        let takes_next = if let Some(long) = word.strip_prefix("--") {
            let own = command.get_arguments().find(|arg| arg.get_long() == Some(long));
            own.is_some_and(|arg| arg.get_action().takes_values())
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let takes = |letter: char| {
                let own = command.get_arguments().find(|arg| arg.get_short() == Some(letter));
                own.is_some_and(|arg| arg.get_action().takes_values())
            };
            // What follows the letter in one word is its value.
            letters.chars().position(takes).is_some_and(|at| at + 1 == letters.chars().count())
        } else {
            let Some(next) = command.find_subcommand(word) else { break };
            path.push(next.get_name().to_owned());
            command = next;
            false
        };
        if takes_next {
            words.next();
        }
    }
    path
}

/// Clap's error without suggestions that are wrong.
fn improve(mut error: clap::Error) -> clap::Error {
    let (typed, guessed) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(typed).cloned() else { return error };
    // Clap's advice to put a dash-word behind `--` is wrong nearly always.
    error.remove(ContextKind::Suggested);
    let hidden = |word: &str| {
        let command = super::command();
        let dev = command.find_subcommand("dev");
        dev.and_then(|dev| dev.find_subcommand(word)).is_some_and(clap::Command::is_hide_set)
    };
    let fits = |word: &String| strsim::jaro_winkler(word, &typed) >= ALIKE && !hidden(word);
    let fitting = match error.get(guessed) {
        Some(ContextValue::Strings(words)) => words.iter().filter(|word| fits(word)).cloned().collect(),
        Some(ContextValue::String(word)) if fits(word) => vec![word.clone()],
        _ => Vec::new(),
    };
    match (error.get(guessed).cloned(), fitting.is_empty()) {
        (Some(ContextValue::Strings(_)), false) => drop(error.insert(guessed, ContextValue::Strings(fitting))),
        (Some(_), true) => drop(error.remove(guessed)),
        _ => {}
    }
    error
}

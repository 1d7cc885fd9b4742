//! Suggestions for a command line that clap rejects: equivalents for words that only docker compose knows, and no
//! suggestion that merely looks similar.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands of docker and docker compose without one of ours of that name, and what does it here.
const COMMANDS: [(&str, &str); 15] = [
    ("attach", "taskava dev logs -f shows what it writes, taskava dev exec runs a command inside"),
    ("commit", "taskava dev snapshot save keeps data"),
    ("cp", "docker cp copies once; taskava dev watch keeps a folder in sync"),
    ("create", "taskava dev up --no-start"),
    ("inspect", "taskava dev explain SERVICE"),
    ("list", "taskava dev ls, or taskava dev ps"),
    ("prune", "taskava dev gc"),
    ("publish", "taskava dev export"),
    ("push", "docker push"),
    ("recreate", "taskava dev up --recreate"),
    ("rm", "taskava dev down"),
    ("scale", "a service has one container; write a second service"),
    ("shell", "taskava dev exec SERVICE sh"),
    ("version", "taskava --version"),
    ("volumes", "taskava dev explain SERVICE shows those of a service"),
];

/// The same for options.
const OPTIONS: [(&str, &str); 28] = [
    ("--abort-on-container-exit", "taskava dev test -- COMMAND"),
    ("--always-recreate-deps", "taskava dev up --recreate"),
    ("--ansi", "NO_COLOR=1, or --format plain"),
    ("--compatibility", "leave it out: services have one container, and its name has dashes"),
    ("--detach", "leave it out: the command returns when everything is ready"),
    ("--dry-run", "taskava dev plan"),
    ("--env-file", "`env_file` of a service in services.toml; .env next to that file is read"),
    ("--exit-code-from", "taskava dev test -- COMMAND"),
    ("--force-recreate", "taskava dev up --recreate"),
    ("--hash", "taskava dev config --format json shows everything that is compared"),
    ("--ignore-pull-failures", "leave it out: the other images are pulled even if one fails"),
    ("--images", "taskava dev images, or taskava dev config"),
    ("--label", "`labels` of the service in services.toml"),
    ("--no-color", "NO_COLOR=1"),
    ("--no-log-prefix", "taskava dev logs SERVICE, for one service"),
    ("--no-recreate", "taskava dev start; taskava dev plan shows what `up` would recreate"),
    ("--parallel", "leave it out: work runs in parallel by default"),
    ("--profiles", "taskava dev config shows the profiles of each service"),
    ("--progress", "--format plain, or --format json"),
    ("--project-directory", "--file FOLDER"),
    ("--project-name", "-p NAME"),
    ("--quiet-pull", "--quiet"),
    ("--rmi", "images that are no longer used are removed by: taskava dev gc"),
    ("--scale", "a service has one container; write a second service"),
    ("--variables", "taskava dev explain SERVICE shows where each value comes from"),
    ("--volumes", "taskava dev config shows the volumes"),
    ("--wait-timeout", "--timeout"),
    ("-t", "`stop_timeout` of the service in services.toml"),
];

/// How alike a suggestion has to be to what was typed, from 0 to 1.
const ALIKE: f64 = 0.8;

/// Puts what is known in the place of what clap guesses.
pub(super) fn improve(mut error: clap::Error) -> clap::Error {
    let (typed, guessed, known) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand, &COMMANDS[..])
        }
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg, &OPTIONS[..]),
        _ => return error,
    };
    let Some(ContextValue::String(typed)) = error.get(typed).cloned() else { return error };
    // Clap's advice to put a dash-word behind `--` is wrong nearly always.
    error.remove(ContextKind::Suggested);
    if let Some((_, remedy)) = known.iter().find(|(word, _)| *word == typed) {
        error.remove(guessed);
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![format!("instead: {remedy}").into()]));
        return error;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let words = ["taskava", "dev"].into_iter().chain(line.split(' '));
        improve(crate::cli::command().try_get_matches_from(words).expect_err("it is refused")).render().to_string()
    }

    #[test]
    fn what_compose_has_is_translated_and_nothing_is_guessed() {
        for (line, words) in [
            ("rm redis", "taskava dev down"),
            ("cp a b", "docker cp"),
            ("up --dry-run", "taskava dev plan"),
            ("pss", "'ps'"),
            ("up --recreat", "'--recreate'"),
        ] {
            assert!(said(line).contains(words), "{}", said(line));
        }
        for line in ["rm redis", "janito", "manx", "push", "scale", "up --parallel 3"] {
            for wrong in ["janitor'", "'man'", "'watch'", "'import'", "'--all'", "as a value"] {
                assert!(!said(line).contains(wrong), "{line}: {}", said(line));
            }
        }
    }

    #[test]
    fn what_is_translated_is_not_there() {
        for (word, _) in COMMANDS {
            assert!(said(word).contains("instead: "), "{word} is a command by now: {}", said(word));
        }
    }
}

//! Every command and option of docker compose 5 works, or is answered in one line. Generates docs/compose.md.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;

use clap::FromArgMatches as _;

use super::habits::{HABITS, Here};
use super::{Answer, answer, habits, typed_command};

/// Commands and options of docker compose, from its own reference: see its first line.
const REFERENCE: &str = include_str!("compose_reference.tsv");

/// A command (with an empty option), or one of its options.
#[derive(Debug, Clone, Copy)]
struct Row {
    command: &'static str,
    option: &'static str,
    letter: &'static str,
    kind: &'static str,
}

fn reference() -> Vec<Row> {
    let rows = REFERENCE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [command, option, letter, kind] = cells[..] else { panic!("four cells: {line:?}") };
        Row { command, option, letter, kind }
    });
    rows.collect()
}

/// A value that an option takes.
fn value(row: Row) -> &'static str {
    match (row.option, row.kind) {
        ("--ansi", _) => "never",
        ("--progress", _) => "plain",
        ("--format", _) => "json",
        ("--pull" | "--policy", _) => "missing",
        ("--rmi", _) => "local",
        ("--status", _) => "running",
        ("--filter", _) if row.command == "ps" => "status=running",
        ("--filter", _) => "name=x",
        ("--publish", _) => "8080",
        ("--volume", _) => "/a:/b",
        ("--scale", _) => "web=3",
        ("--since" | "--until", _) => "10m",
        ("--tail", _) => "5",
        (_, "int") => "1",
        _ => "A=b",
    }
}

/// Arguments without which a command is not complete.
fn arguments(command: &str) -> &'static [&'static str] {
    match command {
        "exec" => &["db", "true"],
        "run" | "export" | "attach" | "commit" | "wait" | "publish" => &["db"],
        "cp" => &["db:/a", "b"],
        "port" => &["db", "80"],
        "scale" => &["db=2"],
        _ => &[],
    }
}

/// None: the command line is accepted. Otherwise the one line that answers it.
fn refused(words: &[&str]) -> Result<Option<String>, String> {
    let args: Vec<OsString> = ["dev"].iter().chain(words).map(Into::into).collect();
    let line = ["taskava".into()].into_iter().chain(args.clone());
    let parsed = crate::cli::command().try_get_matches_from(line);
    let Err(error) = parsed.and_then(|found| crate::cli::Taskava::from_arg_matches(&found)) else { return Ok(None) };
    match answer(error, &args) {
        Answer::Clap(error) if !error.use_stderr() => Ok(None),
        Answer::Clap(error) => Err(error.to_string()),
        Answer::Instead(error) => {
            assert_eq!(error.kind.exit_code(), 2);
            let text = error.to_string();
            assert!(!text.contains('\n') && error.hints.is_empty() && text.contains("instead: "), "{text}");
            Ok(Some(text))
        }
    }
}

/// The command lines with a row's word.
fn lines(row: Row) -> Vec<Vec<&'static str>> {
    let command: Vec<&str> = row.command.split(' ').filter(|word| !word.is_empty()).collect();
    let whole = |option: &[&'static str]| [&command[..], option, arguments(row.command)].concat();
    let takes_value = !matches!(row.kind, "" | "bool");
    let mut all = Vec::new();
    for spelling in [row.option, row.letter].into_iter().filter(|word| !word.is_empty()) {
        let option = if takes_value { vec![spelling, value(row)] } else { vec![spelling] };
        if row.command.is_empty() {
            all.push([&option[..], &["ps"]].concat());
            // Docker compose has it only before the command, too.
            if spelling != "--version" {
                all.push([&["ps"], &option[..]].concat());
            }
        } else {
            all.push(whole(&option));
        }
    }
    if row.option.is_empty() {
        all.push(whole(&[]));
    }
    all
}

#[test]
fn every_word_of_docker_compose_works_or_is_answered_in_one_line() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for row in reference() {
        for words in lines(row) {
            seen += 1;
            let parent = row.command.split(' ').next().unwrap_or_default();
            let command = if row.command == "convert" { "config" } else { row.command };
            let command = if row.option.is_empty() { row.command } else { command };
            let here = habits::here(command, row.option).filter(|_| habits::refused(parent, "").is_none());
            let here = here.or_else(|| habits::here(parent, "").filter(|_| habits::refused(parent, "").is_some()));
            let line = words.join(" ");
            match (refused(&words), here) {
                (Ok(None), None | Some(Here::Note(_))) => {}
                (Ok(Some(text)), Some(Here::Instead(remedy))) if text.ends_with(remedy) => {}
                (Ok(Some(text)), other) => {
                    wrong.push(format!("{line}: answered with {text}, but the table has {other:?}"));
                }
                (Ok(None), Some(Here::Instead(_))) => {
                    wrong.push(format!("{line}: accepted, but in the table as refused"));
                }
                (Err(text), _) => wrong.push(format!("{line}: {}", text.lines().next().unwrap_or_default())),
            }
        }
    }
    assert!(seen > 300, "only {seen} were tried");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_table_has_only_words_of_docker_compose() {
    let extra = ["inspect", "list", "prune", "recreate", "shell"];
    let known: BTreeSet<(&str, &str)> = reference().iter().map(|row| (row.command, row.option)).collect();
    let letters: BTreeSet<(&str, &str)> = reference().iter().map(|row| (row.command, row.letter)).collect();
    for (command, option, _) in HABITS {
        let anywhere = known.iter().any(|(_, other)| option.split('=').next() == Some(*other));
        let is_known = known.contains(&(command, option)) || letters.contains(&(command, option));
        assert!(is_known || (*command == "*" && anywhere) || extra.contains(command), "{command} {option}");
    }
}

#[test]
fn what_is_typed_is_answered_for_its_command() {
    for (line, said) in [
        ("build --ssh default", "taskava dev build has no --ssh; instead: `secrets`"),
        ("-p x --file a.toml build --force-rm", "taskava dev build has no --force-rm; instead: leave it out"),
        ("--dry-run up", "taskava dev has no --dry-run; instead: taskava dev plan"),
        ("exec --interactive=false db sh", "taskava dev exec has no --interactive=false; instead: --no-stdin"),
        ("up --detach=false", "taskava dev up has no --detach=false; instead: leave out --detach"),
        ("up --detach=true", "taskava dev up has no --detach=true; instead: --detach"),
        ("bridge convert --output x", "taskava dev has no command `bridge`; instead: taskava dev export compose"),
        ("pull --parallel", "instead: leave it out"),
        ("shell db", "instead: taskava dev exec SERVICE sh"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = refused(&words).expect("it is answered").expect("it is refused");
        assert!(answer.contains(said), "{line}: {answer}");
    }
    for line in ["pss", "up --recreat", "janito", "manx", "ps --al"] {
        let text = refused(&line.split(' ').collect::<Vec<_>>()).expect_err("it is no word of docker compose");
        for wrong in ["janitor'", "'man'", "'watch'", "'import'", "as a value"] {
            assert!(!text.contains(wrong), "{line}: {text}");
        }
    }
    assert!(refused(&["pss"]).unwrap_err().contains("'ps'"));
    assert!(refused(&["up", "--recreat"]).unwrap_err().contains("'--recreate'"));
}

#[test]
fn options_before_the_command_do_not_hide_it() {
    let typed = |line: &str| {
        let args: Vec<OsString> = line.split(' ').map(Into::into).collect();
        typed_command(&args).join(" ")
    };
    assert_eq!(typed("dev -f up --profile y -p name up --scale web=3"), "up");
    assert_eq!(typed("dev -fup --ansi never --parallel 3 down -x"), "down");
    assert_eq!(typed("dev snapshot save down"), "snapshot save");
    assert_eq!(typed("dev exec db -- up"), "exec");
    let line = "-f a.toml --profile y -p name --env-file b --ansi never --progress plain --parallel -1 up -d --wait";
    assert_eq!(refused(&line.split(' ').collect::<Vec<_>>()), Ok(None));
    assert_eq!(refused(&["--project-directory", "d", "--project-name", "x", "ps", "-q"]), Ok(None));
}

/// From Makefiles, scripts and READMEs of public projects, with `docker-compose` as an alias of `taskava dev`.
const LINES: [&str; 30] = [
    "-f docker-compose.yaml -f docker-compose-elk.yml -f extensions/apm-server/apm-server-compose.yml build",
    "--env-file /etc/chatwoot/chatwoot.env -f docker-compose.production.yaml ps",
    "--env-file frontend/webform/.env -f docker-compose.dev.yml up -d --build",
    "--env-file .env --profile dev up --build",
    "run --rm --no-deps model python model_script.py",
    "run --rm -p 80:80 -e PYTHONPATH=. -v /src:/app backend uvicorn main:app --host 0.0.0.0 --port 80 --reload",
    "run --rm --no-deps -T worker tar -C /var/lib/media -czf - .",
    "run --rm --service-ports web",
    "run --rm ef_cli dotnet ef database update --project ExpenseTrackerApi/ExpenseTrackerApi.csproj",
    "run -u root --entrypoint sh --rm app -c env",
    "exec -T postgres pg_isready -U user",
    "exec -T postgres sh -c 'pg_dump --format=custom --no-owner'",
    "exec -it web bash",
    "exec -u www-data -w /var/www app php artisan migrate --force",
    "ps --services --status running",
    "ps --services --filter status=running",
    "ps -q db",
    "up --abort-on-container-exit --exit-code-from tests",
    "up --abort-on-container-exit ingest-smoke",
    "up --build --force-recreate --remove-orphans -d",
    "up -d --no-deps --no-build api",
    "up dev --build",
    "down --rmi all --volumes --remove-orphans",
    "down --rmi local -v -t 1",
    "logs -f --tail=100 web",
    "kill -s SIGINT worker",
    "pull --ignore-pull-failures --quiet",
    "build --no-cache --pull --build-arg VERSION=1 web",
    "rm -fsv web",
    "config --services",
];

#[test]
fn lines_of_public_projects_are_taken() {
    for line in LINES {
        assert_eq!(refused(&line.split(' ').collect::<Vec<_>>()), Ok(None), "{line}");
    }
}

const HEAD: &str = "\
# From docker compose to `taskava dev`

<!-- Generated from src/cli/suggest. To update: UPDATE_DOCS=1 cargo test --lib cli:: -->

Every command and option of docker compose 5, and what it is here. Replace `docker compose` by `taskava dev`: most are the
same. What is not there is answered in one line that says what to type, with exit code 2. What becomes of Compose files:
[below](#compose-files).

| docker compose | `taskava dev` |
|---|---|
";

/// The line at which the second part of the page begins.
const FILES: &str = "## Compose files\n";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for row in reference() {
        let parent = row.command.split(' ').next().unwrap_or_default();
        let gone = habits::refused(parent, "").is_some();
        let is_alias = row.command == "convert" && !row.option.is_empty();
        let command = if is_alias { "config" } else { row.command };
        let text = match if gone { habits::here(parent, "") } else { habits::here(command, row.option) } {
            Some(Here::Instead(remedy)) => format!("instead: {remedy}"),
            Some(Here::Note(note)) => note.to_owned(),
            None => "the same".into(),
        };
        // One line for a command that is not there at all.
        if gone && !row.option.is_empty() {
            continue;
        }
        let letter = if row.letter.is_empty() { String::new() } else { format!("{}, ", row.letter) };
        let word = [row.command, &format!("{letter}{}", row.option)].join(" ");
        let _ = writeln!(page, "| `{}` | {} |", word.trim(), text.replace('|', "\\|"));
    }
    page
}

#[test]
fn the_page_is_up_to_date() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compose.md");
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    // What follows is written by scripts/compose-corpus.
    let files = |text: &str| text.find(FILES).map(|at| text[at..].to_owned()).unwrap_or_default();
    let whole = page() + "\n" + &files(&read());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &whole).expect("docs/compose.md");
    }
    assert!(
        read() == whole && whole.contains(FILES),
        "docs/compose.md is out of date; update it with: UPDATE_DOCS=1 cargo test --lib cli::"
    );
}

//! README.md is true to the letter: each of its console blocks is typed into a terminal, in a folder as a fresh clone has it,
//! and what is shown is compared with what the block says. Redacted are ports, times and sizes, and what a server writes of
//! itself into its log.
//!
//! A block that can't be run here has a comment above it, `<!-- not run: REASON -->`.

use std::fmt::Write as _;
use std::path::Path;

use indicatif::{InMemoryTerm, TermLike as _};
use regex::Regex;

use crate::pty::Terminal;
use crate::stack::{Stack, heavy, image};

/// Rows and columns of the terminal: the blocks are what one sees in a usual, wide window.
const WINDOW: (u16, u16) = (60, 120);

/// A command of a block, and what it is said to show.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    shows: Vec<String>,
    /// Line in the file.
    line: usize,
}

/// What the console blocks of a text are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Blocks {
    steps: Vec<Step>,
    /// Line and reason of each that is not run.
    not_run: Vec<(usize, String)>,
}

/// Reads the console blocks of a Markdown text.
fn blocks(text: &str) -> Blocks {
    let mut found = Blocks::default();
    let mut inside = false;
    let (mut reason, mut skipped) = (None, false);
    for (at, line) in text.lines().enumerate() {
        let is_fence = line.starts_with("```");
        if inside && is_fence {
            inside = false;
        } else if line == "```console" {
            inside = true;
            let why: Option<String> = reason.take();
            skipped = why.is_some();
            found.not_run.extend(why.map(|why| (at + 1, why)));
        } else if !inside {
            let comment = line.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
            reason = comment.map(str::to_owned);
        } else if skipped {
        } else if let Some(command) = line.strip_prefix("$ ") {
            found.steps.push(Step { command: command.to_owned(), shows: Vec::new(), line: at + 1 });
        } else {
            found.steps.last_mut().expect("a block begins with a command").shows.push(line.to_owned());
        }
    }
    assert!(!inside, "a block without an end");
    found
}

/// What is the same on every machine and in every run.
fn redacted(lines: &[String], project: &str) -> Vec<String> {
    let patterns = [
        // Ports that the engine chose: in addresses, and before the arrow.
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\b\d+→", "PORT→"),
        // What PostgreSQL and Redis put before a line of their log.
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( UTC)?", "WHEN"),
        (r"\b\d+:[MC] \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d+", "WHEN"),
        (r"WHEN \[\d+\]", "WHEN [PID]"),
        // Measured times; a limit of the configuration is none.
        (r"\bwithin (\d+)s\b", "within $1 seconds"),
        (r"\b(\d+\.\d+s|\d+m\d\ds|\d+[smh])\b", "TIME"),
        (r"\b\d+(\.\d+)? [kM]?B\b", "SIZE"),
        // Columns are as wide as what is in them.
        (r"^ +TIME", "  TIME"),
        (r" {2,}", "  "),
    ];
    let patterns = patterns.map(|(pattern, to)| (Regex::new(pattern).expect("a pattern"), to));
    let redact = |line: &String| {
        let line = line.replace(project, "taskava").trim_end().to_owned();
        patterns.iter().fold(line, |line, (pattern, to)| pattern.replace_all(&line, *to).into_owned())
    };
    lines.iter().map(redact).collect()
}

/// What is on the screen when a command has ended: lines that were drawn over are gone.
fn screen(shown: &str) -> Vec<String> {
    let terminal = InMemoryTerm::new(WINDOW.0, WINDOW.1);
    terminal.write_str(shown).expect("a terminal in memory");
    terminal.contents().lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Types a command: `taskava` is the binary that was built.
fn typed(stack: &Stack, line: &str) -> (i32, Vec<String>) {
    let binary = Path::new(env!("CARGO_BIN_EXE_taskava")).parent().expect("in a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(binary.to_owned()).chain(std::env::split_paths(&path)));
    let surroundings = stack.command(&[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", line]).current_dir(stack.path()).env("PATH", path.expect("a list of folders"));
    command.env("NO_COLOR", "1");
    for (name, value) in surroundings.get_envs().filter(|(name, _)| *name != "NO_COLOR") {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut terminal = Terminal::start(&command, WINDOW.0, WINDOW.1);
    let code = terminal.ends();
    (code, screen(&terminal.everything()))
}

#[test]
fn each_console_block_of_the_readme_shows_what_is_printed() {
    if image("image:redis") != "taskava/redis:7" {
        println!("NOT RUN: the blocks are of a machine with the stand-ins");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let blocks = blocks(&readme);
    for (line, reason) in &blocks.not_run {
        println!("README.md:{line}: NOT RUN: {reason}");
        assert!(!reason.trim().is_empty(), "README.md:{line}: why is it not run?");
    }
    assert!(blocks.steps.len() >= 5, "the blocks that are there: {blocks:?}");

    let _turn = heavy();
    let stack = Stack::of_the_project("readme");
    let mut differs = String::new();
    for step in &blocks.steps {
        let (code, shown) = typed(&stack, &step.command);
        let place = format!("README.md:{}: $ {}", step.line, step.command);
        assert_eq!(code, 0, "{place}\n{}", shown.join("\n"));
        let (mut said, mut seen) = (redacted(&step.shows, &stack.project), redacted(&shown, &stack.project));
        if step.command.contains(" logs ") {
            // Which of the servers started first is not the same in every run.
            said.sort();
            seen.sort();
        }
        if said != seen {
            let _ = writeln!(differs, "\n{place}\n--- README.md\n{}\n--- shown\n{}", said.join("\n"), seen.join("\n"));
            let _ = writeln!(differs, "--- as it is\n{}", shown.join("\n").replace(&stack.project, "taskava"));
        }
    }
    assert!(differs.is_empty(), "{differs}");
}

#[test]
fn blocks_are_found_and_marked() {
    let text = "\
$ outside
```sh
$ other
```
```console
$ one
a

b
$ two
```
<!-- not run: asks -->
```console
$ three
```
```console
$ four
```
";
    let found = blocks(text);
    let commands: Vec<&str> = found.steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands, ["one", "two", "four"]);
    assert_eq!(
        (found.steps[0].line, found.steps[0].shows.as_slice()),
        (6, &["a".into(), String::new(), "b".into()][..])
    );
    assert_eq!(found.not_run, [(13, "asks".into())]);
}

#[test]
fn only_what_differs_from_run_to_run_is_redacted() {
    let redacted = |line: &str| redacted(&[line.to_owned()], "t-1-readme").remove(0);
    assert_eq!(redacted("✔ postgres    ready  3.8s"), "✔ postgres  ready  TIME");
    assert_eq!(
        redacted("redis  running  yes  1m05s  127.0.0.1:6379→6379"),
        "redis  running  yes  TIME  127.0.0.1:PORT→6379"
    );
    assert_eq!(redacted("smtp  32768→1025, 40000→8025"), "smtp  PORT→1025, PORT→8025");
    assert_eq!(
        redacted("5  wait redis    after 4  redis PING on 6379 within 60s"),
        "5  wait redis  after 4  redis PING on 6379 within 60 seconds"
    );
    assert_eq!(redacted("  7.0s  done: 22 changes"), "  TIME  done: 22 changes");
    assert_eq!(redacted(" 35.3s  done: 22 changes"), "  TIME  done: 22 changes");
    assert_eq!(redacted("removed network t-1-readme-default"), "removed network taskava-default");
    assert_eq!(redacted("image redis:7-alpine with s3 and 5s3"), "image redis:7-alpine with s3 and 5s3");
}

//! Checks every command that this program suggests: they are read from its own sources and parsed as if typed, and the
//! command line must accept each.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a command ends within a text.
const ENDS: [&str; 21] = [
    "`", "\"", "\\", ";", ")", ", ", " && ", " > ", " >>", ">\"", " | ", " (", "  ", ": ", "</", "]", "' >>", " and ",
    " shows", " lists", ":",
];

/// Words of a text that stand for something, and one that it can be.
const EXAMPLES: [(&str, &str); 7] = [
    (":/", "/"),
    ("{shell}", "bash"),
    ("{command}", "up"),
    ("{remedy}", "s3 ls"),
    ("…", "true"),
    ("$(", ""),
    ("{}", "db"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entry.is_dir() {
            sources(&entry, found);
        } else if name.ends_with(".rs")
            && !name.starts_with("tests")
            && !["remedies.rs", "remedy.rs", "script.rs", "markdown.rs"].contains(&&*name)
        {
            found.push(entry);
        }
    }
}

/// The commands of a source's texts: not those of its comments, which are never printed, nor of its tests.
fn commands(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.map(str::trim_start).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for rest in text.split("taskava dev ").skip(1) {
        let rest = EXAMPLES.iter().fold(rest.to_owned(), |rest, (word, example)| rest.replace(word, example));
        let end = ENDS.iter().filter_map(|end| rest.find(end)).chain(rest.find('\n')).min().unwrap_or(rest.len());
        let words = rest[..end].trim();
        // Usage lines, a regular expression that ends at its bracket, and the bare name of a command in a sentence.
        let is_name = super::command().find_subcommand("dev").is_some_and(|dev| dev.find_subcommand(words).is_some());
        if !words.is_empty() && !words.contains(['<', '*', '?']) && (!is_name || words == "up" || words == "ps") {
            found.push(words.replace(['\'', '$'], ""));
        }
    }
    for call in text.split("remedy::dev").skip(1) {
        let Some((call, _)) = call.split_once(']').filter(|(call, _)| call.len() < 200) else { continue };
        let Some((_, words)) = call.rsplit_once('[') else { continue };
        let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
        let word =
            |word: &str| word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or("db").to_owned();
        let words: Vec<String> = words.map(word).collect();
        found.extend((!words.is_empty()).then(|| words.join(" ")));
    }
    found
}

/// `{name}` and the like are a service's name, which has no meaning for the command line.
fn filled_in(words: &str) -> Vec<String> {
    let word = |word: &str| match word.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        Some((before, (_, after))) => format!("{before}db{after}"),
        None => word.to_owned(),
    };
    words.split_whitespace().map(word).collect()
}

#[test]
fn no_printed_command_is_refused_by_the_command_line() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        for words in commands(&text) {
            let line = ["taskava".to_owned(), "dev".to_owned()].into_iter().chain(filled_in(&words));
            seen += 1;
            if let Err(error) = super::command().try_get_matches_from(line)
                && error.use_stderr()
            {
                let why = error.to_string().lines().next().unwrap_or_default().to_owned();
                wrong.push(format!("{}: taskava dev {words}\n    {why}", file.display()));
            }
        }
    }
    assert!(seen > 120, "only {seen} were found");
    assert!(wrong.is_empty(), "{} of {seen}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_command_that_is_refused_would_be_found() {
    let text = "x\n/// taskava dev comment\nhint(\"try: taskava dev upp {name}; or `taskava dev ps`\")\nremedy::dev(&[\"down\", \"-v\"])";
    assert_eq!(commands(text), ["upp {name}", "ps", "down -v"]);
    let parsed =
        |words: &str| super::command().try_get_matches_from(["taskava", "dev"].into_iter().chain(words.split(' ')));
    assert!(parsed("upp db").is_err() && parsed("up --nonsense").is_err() && parsed("up db").is_ok());
}

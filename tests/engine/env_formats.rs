//! `env`: what each format says is what its readers read: shells, docker compose, Node.js, python-dotenv, `docker run`, GitHub.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::compose::peer;
use crate::stack::Stack;

type Variables = BTreeMap<String, String>;

/// Values in which something means something to one reader or another.
const FIXED: [&str; 30] = [
    "",
    " ",
    "a b",
    " lead",
    "trail ",
    "it's",
    "say \"hi\"",
    "it's \"x\"",
    "$HOME",
    "it's $5",
    "`id`",
    "it's `id`",
    "$(id)",
    "a&id",
    "a;id",
    "a|id",
    "a#b",
    "a #b",
    "#b",
    "C:\\dev\\new",
    "\\\\server\\share",
    "end\\",
    "^\\d{3}\\.\\w+$",
    "two\nlines",
    "it's\ntwo",
    "cr\rlf\r\n",
    "~/x",
    "a:~/x",
    "*?[a]",
    "!x",
];

const ALPHABET: [char; 32] = [
    'a', 'b', 'n', ' ', '\'', '"', '$', '`', '\\', '#', '&', ';', '(', ')', '{', '}', '<', '>', '|', '!', '~', '*',
    '?', '=', '%', '\n', '\t', '\r', 'é', '🙂', ':', '^',
];

/// Words of that alphabet, by a seed.
fn drawn(mut seed: u64, count: usize) -> Vec<String> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits")
    };
    let word = |_| (0..next() % 10).map(|_| ALPHABET[next() % ALPHABET.len()]).collect::<String>();
    // What is filled in has a notation of its own in services.toml.
    (0..count).map(word).map(|word: String| word.replace("${", "$ {")).collect()
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What a shell has after reading a file.
fn shell(shell: &str, file: &Path) -> Variables {
    let script = "set -a; . \"$0\"; exec env -0";
    let said = output(Command::new(shell).args(["-c", script]).arg(file).current_dir(file.parent().expect("a folder")));
    let said = String::from_utf8(said).expect("UTF-8");
    said.split('\0').filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

fn json(bytes: &[u8]) -> Variables {
    // A name without a value is none.
    let all: BTreeMap<String, Option<String>> = serde_json::from_slice(bytes).expect("a JSON object of texts");
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn node(file: &Path) -> Option<Variables> {
    let option = format!("--env-file={}", file.display());
    let node = |arguments: &[&str]| Command::new("node").args(arguments).output().ok().filter(|it| it.status.success());
    node(&[&option, "-e", "process.stdout.write(JSON.stringify(process.env))"]).map(|output| json(&output.stdout))
}

fn python(file: &Path) -> Option<Variables> {
    let script = "import sys, json, dotenv; json.dump(dotenv.dotenv_values(sys.argv[1]), sys.stdout)";
    let by = |python: &str| {
        Command::new(python).args(["-c", script]).arg(file).output().ok().filter(|it| it.status.success())
    };
    by("python3").or_else(|| by("/usr/bin/python3")).map(|output| json(&output.stdout))
}

fn compose(peer: &Path, file: &Path) -> Variables {
    let folder = file.parent().expect("a folder");
    let text =
        format!("services: {{ s: {{ image: x, env_file: [{}] }} }}\n", Value::from(file.to_str().expect("UTF-8")));
    std::fs::write(folder.join("compose.yaml"), text).expect("a file");
    let mut compose = Command::new(peer);
    compose.args(["compose"].iter().filter(|_| peer.ends_with("docker"))).args(["config", "--format", "json"]);
    let said = output(compose.current_dir(folder).env_clear().env("HOME", "/nonexistent"));
    let said: Value = serde_json::from_slice(&said).expect("JSON");
    let read: Variables = serde_json::from_value(said["services"]["s"]["environment"].clone()).expect("texts");
    // In its own output a dollar sign is doubled.
    read.into_iter().map(|(name, value)| (name, value.replace("$$", "$"))).collect()
}

/// The runner's own rules: a line `NAME=value`, or `NAME<<END`, lines, `END`.
fn github(text: &str) -> Variables {
    let (mut read, mut lines) = (Variables::new(), text.split('\n'));
    while let Some(line) = lines.next() {
        let heredoc = line.find("<<").filter(|at| line.find('=').is_none_or(|equals| *at < equals));
        if let Some(at) = heredoc {
            let value: Vec<&str> = lines.by_ref().take_while(|other| *other != &line[at + 2..]).collect();
            read.insert(line[..at].into(), value.join("\n"));
        } else if let Some((name, value)) = line.split_once('=') {
            read.insert(name.into(), value.into());
        }
    }
    read
}

#[test]
fn every_value_arrives_in_every_reader() {
    let seed =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").subsec_nanos().into();
    let values: Vec<String> = FIXED.iter().map(|value| (*value).to_owned()).chain(drawn(seed, 200)).collect();
    let named: Variables =
        values.into_iter().enumerate().map(|(number, value)| (format!("V{number:03}"), value)).collect();
    let exports: Vec<String> =
        named.iter().map(|(name, value)| format!("{name} = {}", Value::from(value.replace('$', "$$")))).collect();
    let stack = Stack::new(
        "env-formats",
        &format!(
            "[services.web]\nimage = \"image:busybox\"\ncommand = \"sleep 1000\"\ninit = true\n[services.web.exports]\n{}\n",
            exports.join("\n")
        ),
    );
    stack.dev(&["up"]).ends(0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("env");
    let write = |format: &str| {
        let output = stack.dev(&["env", "--format", format]).ends(0);
        std::fs::write(&file, &output.stdout).expect("a file");
        output
    };
    let same = |reader: &str, read: &Variables, but: &str| {
        for (name, value) in named.iter().filter(|(name, _)| !but.contains(name.as_str())) {
            let written = std::fs::read_to_string(&file).expect("a file");
            assert_eq!(read.get(name), Some(value), "{reader} reads another {name}, seed {seed}, of\n{written}");
        }
    };

    let disputed = write("dotenv").stderr;
    same("sh", &shell("sh", &file), "");
    same("bash", &shell("bash", &file), "");
    assert!(disputed.contains("python-dotenv for V"), "{disputed}");
    assert!(!disputed.contains("V002") && !disputed.contains("V005"), "{disputed}");
    let mut missing = Vec::new();
    match python(&file) {
        Some(read) => same("python-dotenv", &read, &disputed),
        None => missing.push("python-dotenv"),
    }
    match node(&file) {
        Some(read) => same("Node.js", &read, &disputed),
        None => missing.push("Node.js 20"),
    }
    match peer() {
        Some(peer) => same("docker compose", &compose(&peer, &file), &disputed),
        None => missing.push("docker compose"),
    }
    if !missing.is_empty() {
        let line = format!("NOT RUN: `env` read by {}: not on this machine\n", missing.join(", "));
        let _ = std::io::stderr().write_all(line.as_bytes());
        if let Some(path) = std::env::var_os("TASKAVA_TEST_NOT_RUN") {
            let file = std::fs::OpenOptions::new().append(true).open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a line");
        }
    }

    write("shell");
    same("sh", &shell("sh", &file), "");
    same("bash", &shell("bash", &file), "");
    let text = write("json").stdout;
    same("JSON", &json(text.as_bytes()), "");
    let text = write("github").stdout;
    same("GitHub", &github(&text), "");
    // Its files have no notation for several lines, and that is said instead of losing one.
    stack.dev(&["env", "--format", "docker"]).ends(1).says(&["has several lines"]);
}

#[test]
fn a_file_for_docker_run_is_read_by_it() {
    let password = "it's $5 `id` \"q\" #x \\n ${Y} é ";
    let stack = Stack::new(
        "env-docker",
        &format!(
            "[services.db]\nkind = \"postgres\"\nimage = \"image:postgres\"\nports = [\"5432\"]\nenv = {{ POSTGRES_PASSWORD = {} }}\n",
            Value::from(password.replace('$', "$$"))
        ),
    );
    stack.dev(&["up"]).ends(0);
    let written = stack.dev(&["env", "--format", "docker"]).ends(0).stdout;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("env");
    std::fs::write(&file, &written).expect("a file");
    let image = crate::stack::image("image:busybox");
    let Ok(ran) = Command::new("docker")
        .args(["run", "--rm", "--env-file"])
        .arg(&file)
        .args([image, "sh", "-c", "echo \"$PGPASSWORD\""])
        .output()
    else {
        // The file itself is simple enough to be looked at.
        assert!(written.contains(&format!("PGPASSWORD={password}\n")), "{written}");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&ran.stdout),
        format!("{password}\n"),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

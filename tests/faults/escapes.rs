//! What others wrote can't act on the terminal: sequences in every field of every answer of the engine, and in every file
//! that is read, shown in a pipe, as JSON and on a terminal.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ::taskava::backup::archive::Writer;
use ::taskava::backup::{Data, FORMAT, Manifest, Saved, redis};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};

/// Title, clipboard, clear, DCS, the 8-bit CSI, bidi controls, line separators, tags, DEL, CR.
const POISON: &str = "P\u{1b}]0;PWNED\u{7}\u{1b}]52;c;UFdO\u{7}\u{1b}[2J\u{1b}[3;1H\u{1b}Pq#0\u{1b}\\\u{9b}2J\u{202e}\u{2066}\
                      \u{200f}\u{61c}\u{2028}\u{200b}\u{e0041}\u{7f}\rQ";

const SERVICES: &str = r#"
project = "faults"
services.app = { image = "app:1", volumes = ["data:/data"] }
services.web = { image = "app:1", depends_on = ["app"] }
volumes.data = {}
"#;

/// How a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Pipe,
    Json,
    Terminal,
}

fn command(folder: &Path, socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
    command.arg("dev").args(args).current_dir(folder).env_clear().env("HOME", folder);
    command.env("XDG_RUNTIME_DIR", folder).env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display())).env("TERM", "xterm");
    command.stdin(Stdio::null());
    command
}

/// Everything that a command writes to both streams.
fn shown(mut command: Command, at: Where) -> Vec<u8> {
    if at == Where::Json {
        command.args(["--format", "json"]);
    }
    if at != Where::Terminal {
        let output = command.output().expect("it runs");
        return [output.stdout, output.stderr].concat();
    }
    let near: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&near).and_then(|()| unlockpt(&near)).expect("a terminal that can be used");
    let name = ptsname(&near, Vec::new()).expect("a name").into_string().expect("of ASCII");
    let line = || File::options().read(true).write(true).open(&name).expect("the other end");
    let mut child = command.arg("--format=plain").stdout(line()).stderr(line()).spawn().expect("it runs");
    drop(command);
    let (mut from, mut all, mut buffer) = (File::from(near), Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        all.extend_from_slice(&buffer[..length]);
    }
    child.wait().expect("it ends");
    all
}

/// Panics when there is anything but text and colours.
#[track_caller]
fn harmless(bytes: &[u8], at: Where, what: &str) {
    let text = String::from_utf8(bytes.to_vec()).unwrap_or_else(|error| panic!("{what} {at:?}: {error}"));
    let mut rest = match at {
        Where::Terminal => text.replace("\r\n", "\n"),
        _ => text.clone(),
    };
    while let Some(escape) = rest.find("\u{1b}[") {
        let sequence: String = rest[escape + 2..].chars().take_while(|c| c.is_ascii_digit() || *c == ';').collect();
        assert!(rest[escape + 2 + sequence.len()..].starts_with('m'), "{what} {at:?}: {text:?}");
        rest.replace_range(escape..=escape + 2 + sequence.len(), "");
    }
    let acts = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
                | '\u{61c}' | '\u{2028}' | '\u{2029}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!rest.contains(acts), "{what} {at:?}: {text:?}");
}

#[track_caller]
fn everywhere(folder: &Path, socket: &Path, args: &[&str], what: &str) -> String {
    let mut all = String::new();
    for at in [Where::Pipe, Where::Json, Where::Terminal] {
        let bytes = shown(command(folder, socket, args), at);
        harmless(&bytes, at, &format!("{what} {args:?}"));
        all.push_str(&String::from_utf8_lossy(&bytes));
    }
    all
}

const ASKING: [&[&str]; 14] = [
    &["up"],
    &["ps"],
    &["ps", "-a"],
    &["plan"],
    &["explain", "app"],
    &["logs"],
    &["doctor"],
    &["gc", "--dry-run"],
    &["snapshot", "list"],
    &["env"],
    &["url", "app"],
    &["exec", "app", "--", "true"],
    &["watch"],
    &["down", "-v", "-y"],
];

#[test]
fn no_refusal_of_the_engine_acts_on_the_terminal() {
    for path in ["/_ping", "/containers/json", "/networks", "/volumes", "/images/json", "/images/*/json", "/info"] {
        let fake = Fake::new().on("GET", path, Reply::error(500, POISON));
        std::fs::write(fake.directory().join("services.toml"), SERVICES).expect("a file");
        // Each command in one of the three ways, each time in another one.
        let asking = ASKING.iter().filter(|args| args[0] != "watch" || path != "/images/json" && path != "/info");
        let mut said = String::new();
        for (number, args) in asking.enumerate() {
            let at = [Where::Pipe, Where::Json, Where::Terminal][(number + path.len()) % 3];
            let bytes = shown(command(fake.directory(), &fake.socket(), args), at);
            harmless(&bytes, at, &format!("{path} {args:?}"));
            said.push_str(&String::from_utf8_lossy(&bytes));
        }
        let lists = ["/containers/json", "/networks", "/volumes"].contains(&path);
        assert!(!lists || said.contains("PWNED") || said.contains("P2JQ"), "{path} is named by none: {said}");
    }
}

#[test]
fn no_field_of_an_answer_acts_on_the_terminal() {
    let fake = Fake::new()
        .log("\x02\0\0\0\0\0\0\x362026-05-04T10:00:00.000000000Z \x1b]0;PWNED\x07\x1b[2J\u{9b}2J\u{202e}x\n");
    let (folder, socket) = (fake.directory().to_owned(), fake.socket());
    std::fs::write(folder.join("services.toml"), SERVICES).expect("a file");
    assert!(command(&folder, &socket, &["up"]).output().expect("it runs").status.success());
    // Those that say what is whose stay in half of the runs, so that the rest is reached.
    let kept = ["dev.taskava.project", "dev.taskava.instance", "dev.taskava.service", "Id", "State", "Status"];
    for keep in [&kept[..], &kept[..3], &[]] {
        fake.poison(POISON, keep);
        for args in ASKING.iter().filter(|args| !matches!(args[0], "watch" | "up" | "down")) {
            everywhere(&folder, &socket, args, "fields");
        }
    }
    for args in [&["up"][..], &["down", "-v", "-y"]] {
        everywhere(&folder, &socket, args, "fields");
    }
}

#[test]
fn no_pull_and_no_helper_acts_on_the_terminal() {
    let stream = json!({ "errorDetail": { "message": POISON }, "error": POISON }).to_string();
    let stream: &'static str = Box::leak(stream.into_boxed_str());
    let fake = Fake::new().without_image("app:1").on("POST", "/images/create", Reply::Text(stream));
    let (folder, socket) = (fake.directory(), fake.socket());
    std::fs::write(folder.join("services.toml"), SERVICES).expect("a file");
    for args in [&["pull"][..], &["up"]] {
        assert!(everywhere(folder, &socket, args, "a pull").contains("can't pull"));
    }
    std::fs::create_dir_all(folder.join(".docker")).expect("a folder");
    std::fs::create_dir_all(folder.join("bin")).expect("a folder");
    let helper = folder.join("bin/docker-credential-bad");
    std::fs::write(&helper, format!("#!/bin/sh\nprintf '%s' '{POISON}' >&2\nexit 1\n")).expect("a file");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("executable");
    std::fs::write(folder.join(".docker/config.json"), r#"{"credsStore": "bad"}"#).expect("a file");
    assert!(everywhere(folder, &socket, &["pull"], "a helper").contains("the credential helper docker-credential-bad"));
    for config in [
        json!({ "credsStore": format!("no/{POISON}") }),
        json!({ "auths": { POISON: { "auth": "?" }, "https://index.docker.io/v1/": { "auth": POISON } } }),
        json!({ "currentContext": POISON }),
    ] {
        std::fs::write(folder.join(".docker/config.json"), config.to_string()).expect("a file");
        everywhere(folder, &socket, &["pull"], "config.json");
        everywhere(folder, &socket, &["ps", "--context", &format!("x{POISON}")], "a context");
        everywhere(folder, &socket, &["ps", "--host", &format!("unix:///x{POISON}")], "an address");
    }
}

#[test]
fn no_file_acts_on_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, socket) = (folder.path(), Path::new("/no/such.sock"));
    // ESC and the like are no TOML; others are.
    let soft: String = POISON.chars().filter(|c| !c.is_ascii_control()).collect();
    let written = |text: &str| text.replace("POISON", POISON).replace("SOFT", &soft);
    let checks: [&[&str]; 5] = [&["check"], &["config"], &["ps"], &["doctor"], &["export", "compose", "--output", "-"]];
    for file in [
        "project = \"x\"\n[services.app]\nimage = \"SOFT\"\nimge = \"SOFT\"\n",
        "project = \"x\"\n[services.\"SOFT\"]\nimage = \"a\"\n",
        "project = \"x\"\n[services.app]\nimage = \"a\"\nvolumes = [\"./SOFT:/x\"]\n",
        "project = \"x\"\n[services.app]\nimage = \"a\"\nenv = { A = \"${SOFT}\" }\n# SOFT\n[SOFT\n",
        "project = \"x\"\n[services.app]\nimage = \"a\" # POISON\n",
        "project = \"x\"\n[services.app]\nimage = \"\\u001b]0;PWNED\\u0007\\u009b2J\"\nnetworks = [\"\\u202e\"]\n",
        "POISON",
    ] {
        std::fs::write(folder.join("services.toml"), written(file)).expect("a file");
        for args in checks {
            // In a pipe these are data.
            if matches!(args[0], "config" | "export") {
                harmless(&shown(command(folder, socket, args), Where::Terminal), Where::Terminal, file);
            } else {
                everywhere(folder, socket, args, file);
            }
        }
    }
    std::fs::write(folder.join("services.toml"), "project = \"x\"\n[services.app]\nimage = \"${A}\"\n")
        .expect("a file");
    for file in ["A=a\nB=\"POISON\n", "POISON=1\n", "A='${POISON}'\nA B\n", "A=\"POISON\"\n"] {
        std::fs::write(folder.join(".env"), written(file)).expect("a file");
        everywhere(folder, socket, &["check"], file);
        everywhere(folder, socket, &["ps"], file);
    }
    for file in ["SOFT", "version = 1\n[images]\n\"SOFT\" = \"SOFT\"\n", "version = \"SOFT\"\n", "POISON"] {
        std::fs::write(folder.join("services.lock"), written(file)).expect("a file");
        everywhere(folder, socket, &["check"], file);
    }
    let json = json!(POISON).to_string();
    for file in [
        "services: { app: { image: a, container_name: QUOTED, QUOTED: 1, labels: [QUOTED], volumes: [QUOTED] } }\n",
        "services: { QUOTED: { image: QUOTED, command: QUOTED, devices: [QUOTED], depends_on: [QUOTED] } }\n",
        "QUOTED: 1\nname: QUOTED\nservices: { app: { extends: QUOTED } }\n",
        "include: [QUOTED]\nservices: {}\n",
        "SOFT: [\n",
        "POISON",
    ] {
        let file = file.replace("QUOTED", &json);
        std::fs::write(folder.join("compose.yaml"), written(&file)).expect("a file");
        everywhere(folder, socket, &["import", "--force", "--output", "out.toml"], &file);
    }
    for args in [&[POISON][..], &["ps", POISON], &["up", &format!("--x{POISON}")], &["restore", POISON]] {
        everywhere(folder, socket, args, "an argument");
    }
}

fn manifest() -> Manifest {
    let data = Data::Redis(redis::Saved { keys: 1, parts: 0 });
    Manifest {
        format: FORMAT,
        taskava: "1".into(),
        stack: "shop".into(),
        created: "now".into(),
        secrets: false,
        services: vec![Saved { service: "redis".into(), data }],
        members: Vec::new(),
    }
}

#[test]
fn no_backup_acts_on_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, socket) = (folder.path(), Path::new("/no/such.sock"));
    let file = |manifest: Manifest, configuration: &str, more: Option<&str>| {
        let mut writer = Writer::new(Vec::new()).expect("begun");
        writer.member("services.toml", configuration.as_bytes()).expect("written");
        if let Some(name) = more {
            writer.member(name, b"x").expect("written");
        }
        std::fs::write(folder.join("a.tar"), writer.finish(manifest).expect("whole").0).expect("a file");
    };
    let bad = || POISON.to_owned();
    let saved = |service: String| vec![Saved { service, data: Data::Redis(redis::Saved { keys: 1, parts: 0 }) }];
    for manifest in [
        Manifest { created: bad(), taskava: bad(), ..manifest() },
        Manifest { stack: bad(), ..manifest() },
        Manifest { services: saved(bad()), ..manifest() },
    ] {
        file(manifest, "x = 1", None);
        for look in ["--list", "--check"] {
            everywhere(folder, socket, &["restore", "a.tar", look], "a manifest");
        }
    }
    file(manifest(), "x = 1", Some("redis/P\u{1b}[2J\u{9b}2J\u{202e}Q"));
    everywhere(folder, socket, &["restore", "a.tar", "--list"], "a member");
    // A variant that is none: serde quotes it.
    file(manifest(), "x = 1", None);
    let text = std::fs::read(folder.join("a.tar")).expect("a file");
    let at = text.windows(9).position(|window| window == b"\"redis\",\n").expect("the kind");
    let mut altered = text.clone();
    altered[at + 1..at + 6].copy_from_slice(b"\xc2\x9b2JZ");
    std::fs::write(folder.join("b.tar"), altered).expect("a file");
    everywhere(folder, socket, &["restore", "b.tar", "--list"], "a kind");
    std::fs::write(folder.join("services.toml"), SERVICES).expect("a file");
    // The configuration is data in a pipe, and shown on a terminal.
    file(manifest(), POISON, None);
    let piped = shown(command(folder, socket, &["restore", "a.tar", "--config", "-q"]), Where::Pipe);
    assert!(String::from_utf8_lossy(&piped).contains(POISON));
    let seen = shown(command(folder, socket, &["restore", "a.tar", "--config"]), Where::Terminal);
    harmless(&seen, Where::Terminal, "the configuration");
}

/// Puts a text behind every string of an answer, but for what is under some keys.
pub(crate) fn poisoned(value: &Value, text: &str, keep: &[&str]) -> Value {
    match value {
        Value::String(old) => json!(format!("{old}{text}")),
        Value::Array(items) => items.iter().map(|item| poisoned(item, text, keep)).collect(),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                let kept = keep.contains(&key.as_str());
                (key.clone(), if kept { value.clone() } else { poisoned(value, text, keep) })
            };
            fields.iter().map(field).collect()
        }
        other => other.clone(),
    }
}

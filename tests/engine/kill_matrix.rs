//! Every command that changes something is cut off at drawn moments, by a signal or by the end of its engine. After one `up`
//! everything declared is ready and every marker is there; or `up` names what was cut off and the command that finishes it,
//! that command works, and then everything is there.
//!
//! `TASKAVA_TEST_KILLS`: so many draws for each command and signal; where it is not set each command is cut off once, by a
//! signal that is drawn as well. `TASKAVA_TEST_SEED`: the draws of an earlier run.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::engine_restart::Private;
use crate::never_left::Draws;
use crate::stack::{Output, Running, Stack, heavy};

const SERVICES: &str = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_PASSWORD = "pw" }
volumes = ["pg:/var/lib/postgresql/data"]
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
volumes = ["redis:/data"]
[services.s3]
kind = "ministack"
image = "image:ministack"
ports = ["4566"]
env = { STATE_DIR = "/state" }
volumes = ["s3:/state"]
[services.app]
image = "image:busybox"
init = true
command = ["sleep", "1000000"]
env = { EDIT = "0" }
volumes = ["./bind:/bind", "/var/cache/app"]
depends_on = ["postgres", "redis"]
"#;

/// Objects in the bucket.
const OBJECTS: usize = 60;

const ALL: [&str; 4] = ["postgres", "redis", "s3", "app"];

/// Where a command begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Up,
    Edited,
    Stopped,
    Down,
}

/// A command, and where it begins.
struct Case {
    from: From,
    words: &'static [&'static str],
}

const fn case(from: From, words: &'static [&'static str]) -> Case {
    Case { from, words }
}

const CASES: [Case; 16] = [
    case(From::Down, &["up"]),
    case(From::Stopped, &["up"]),
    case(From::Edited, &["up"]),
    case(From::Up, &["up", "--recreate"]),
    case(From::Stopped, &["start"]),
    case(From::Up, &["restart"]),
    case(From::Up, &["stop"]),
    case(From::Up, &["down"]),
    case(From::Up, &["down", "-v", "-y"]),
    case(From::Up, &["snapshot", "save", "NEW"]),
    case(From::Up, &["snapshot", "restore", "base"]),
    case(From::Up, &["backup", "NEW.backup"]),
    case(From::Up, &["restore", "base.backup", "--replace", "-y"]),
    case(From::Up, &["test", "--", "true"]),
    case(From::Up, &["run", "--rm", "app", "--", "sh", "-c", "echo x > /bind/other"]),
    case(From::Up, &["db", "fork", "NEW"]),
];

const SIGNALS: [&str; 3] = ["KILL", "HUP", "INT"];

/// A stack with markers, on the engine of all tests or on one of its own.
struct Marked<'a> {
    stack: Stack,
    engine: Option<&'a Mutex<Private>>,
    edits: usize,
    names: usize,
}

impl<'a> Marked<'a> {
    fn new(name: &str, engine: Option<&'a Mutex<Private>>) -> Self {
        let stack = Stack::new(name, SERVICES);
        stack.file("bind/marker", "kept");
        let marked = Self { stack, engine, edits: 0, names: 0 };
        marked.dev(&["up"]).ends(0);
        let sql = "create table marker as select generate_series(1, 20000) n";
        marked.dev(&["exec", "-T", "postgres", "--", "psql", "-U", "postgres", "-qc", sql]).ends(0);
        marked.dev(&["exec", "-T", "redis", "--", "redis-cli", "set", "marker", "kept"]).ends(0);
        marked.dev(&["exec", "-T", "redis", "--", "redis-cli", "save"]).ends(0);
        marked.dev(&["exec", "-T", "app", "--", "sh", "-c", "echo kept > /var/cache/app/marker"]).ends(0);
        marked.s3(&format!("ask('PUT', '/marker')\nfor n in range({OBJECTS}): ask('PUT', '/marker/%d' % n, b'kept')"));
        // What is in an emulator's memory alone is lost with its engine, and nothing promises otherwise.
        marked.dev(&["restart"]).ends(0);
        marked.dev(&["snapshot", "save", "base"]).ends(0);
        marked.dev(&["backup", "base.backup"]).ends(0);
        marked.check("at the beginning");
        marked
    }

    fn dev(&self, words: &[&str]) -> Output {
        match self.engine {
            Some(engine) => engine.lock().expect("no panic").dev(&self.stack, words),
            None => self.stack.dev(words),
        }
    }

    /// What a command inside a service prints.
    #[track_caller]
    fn inside(&self, service: &str, words: &[&str]) -> String {
        let output = self.dev(&[&["exec", "-T", service, "--"], words].concat()).ends(0);
        output.stdout.trim().to_owned()
    }

    /// Asks the emulator from inside, where it is reached on every engine.
    #[track_caller]
    fn s3(&self, script: &str) -> String {
        let script = format!(
            "import urllib.request as u, re\n\
             def ask(method, path, body=None):\n\
             \x20   key = 'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0'\n\
             \x20   asked = u.Request('http://127.0.0.1:4566' + path, data=body, method=method, headers={{'Authorization': key}})\n\
             \x20   return u.urlopen(asked, timeout=20).read().decode()\n\
             {script}"
        );
        self.inside("s3", &["python3", "-c", &script])
    }

    /// Every marker that is missing.
    #[track_caller]
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut compare = |what: &str, found: String, expected: &str| {
            if found != expected {
                missing.push(format!("{what}: {found}"));
            }
        };
        let rows = self.dev(&[
            "exec",
            "-T",
            "postgres",
            "--",
            "psql",
            "-U",
            "postgres",
            "-Atc",
            "select count(*) from marker",
        ]);
        compare("postgres", rows.stdout.trim().to_owned(), "20000");
        compare("redis", self.inside("redis", &["redis-cli", "get", "marker"]), "kept");
        compare(
            "s3",
            self.s3("try: print(len(re.findall('<Key>', ask('GET', '/marker'))))\nexcept Exception as why: print(why)"),
            &OBJECTS.to_string(),
        );
        compare("bind mount", self.inside("app", &["sh", "-c", "cat /bind/marker"]), "kept");
        compare(
            "anonymous volume",
            self.inside("app", &["sh", "-c", "cat /var/cache/app/marker || echo gone"]),
            "kept",
        );
        missing
    }

    /// The services that are not ready.
    fn not_ready(&self) -> Vec<&'static str> {
        let rows = self.dev(&["ps", "-a", "--json"]).ends(0).json().remove(0);
        let is_ready = |name: &&&str| {
            let mut rows = rows["services"].as_array().expect("rows").iter();
            !rows.any(|row| row["service"] == **name && row["state"] == "running" && row["ready"] == true)
        };
        ALL.iter().filter(is_ready).copied().collect()
    }

    /// The command with names of its own.
    fn words(&mut self, case: &Case) -> Vec<String> {
        self.names += 1;
        let name = format!("new{}", self.names);
        case.words.iter().map(|word| word.replace("NEW", &name)).collect()
    }

    /// Goes where a command begins.
    fn begin(&mut self, from: From) {
        match from {
            From::Up => {}
            From::Edited => {
                let edit = |number: usize| format!("EDIT = \"{number}\"");
                self.stack.edit(&edit(self.edits), &edit(self.edits + 1));
                self.edits += 1;
            }
            From::Stopped => drop(self.dev(&["stop"]).ends(0)),
            From::Down => drop(self.dev(&["down"]).ends(0)),
        }
    }

    fn start(&self, words: &[&str]) -> Running {
        match self.engine {
            Some(engine) => Running::start(&mut engine.lock().expect("no panic").command(&self.stack, words)),
            None => self.stack.start(words),
        }
    }

    /// One `up`, or what it names and then another: everything is ready, and every marker there.
    fn comes_back(&self, what: &str, discarded: bool) {
        let up = self.dev(&["up"]);
        let mut told = format!("--- up ({})\n{}", up.code, up.stderr);
        if up.code != 0 {
            let words = named(&up.stderr).unwrap_or_else(|| panic!("{what}: no command is named\n{told}"));
            let finished = self.dev(&words.iter().map(String::as_str).collect::<Vec<_>>());
            told += &format!("--- {} ({})\n{}", words.join(" "), finished.code, finished.stderr);
            assert_eq!(finished.code, 0, "{what}: the command that is named\n{told}");
            let again = self.dev(&["up"]);
            told += &format!("--- up ({})\n{}", again.code, again.stderr);
            assert_eq!(again.code, 0, "{what}: up after that\n{told}");
        }
        assert_eq!(self.not_ready(), [""; 0], "{what}: not ready after up\n{told}");
        let mut missing = self.missing();
        if discarded && !missing.is_empty() {
            // It was asked for, and saved before.
            let saved = self.dev(&["snapshot", "list", "--json"]).ends(0).stdout;
            let automatic = regex::Regex::new(r#""name":"(auto-[^"]+)""#).expect("a pattern");
            let newest =
                automatic.captures(&saved).unwrap_or_else(|| panic!("{what}: {missing:?}, not saved: {saved}\n{told}"));
            self.dev(&["snapshot", "restore", &newest[1], "--no-snapshot"]).ends(0);
            self.dev(&["up"]).ends(0);
            missing = self.missing();
        }
        assert_eq!(missing, [""; 0], "{what}: lost\n{told}");
        assert_eq!(self.not_ready(), [""; 0], "{what}: ready no longer\n{told}");
    }

    /// Everything is ready and there.
    #[track_caller]
    fn check(&self, when: &str) {
        assert_eq!((self.not_ready(), self.missing()), (Vec::new(), Vec::new()), "{when}");
    }
}

/// The command that a report names: `taskava dev …`, without what is in brackets or follows a comma.
fn named(report: &str) -> Option<Vec<String>> {
    let command = regex::Regex::new(r"taskava dev (?:--host \S+ )?([a-z][^`;,()\n]*)").expect("a pattern");
    let words =
        command.captures_iter(report).map(|found| found[1].trim().to_owned()).find(|words| !words.starts_with("up"))?;
    let mut words: Vec<String> = words.split(' ').map(ToOwned::to_owned).collect();
    if matches!(words[0].as_str(), "restore" | "down") && !words.iter().any(|word| word == "-y") {
        words.push("-y".into());
    }
    Some(words)
}

/// Draws for each command and signal; none where one for each command is enough.
fn draws() -> Option<usize> {
    std::env::var("TASKAVA_TEST_KILLS").ok().map(|text| text.parse().expect("TASKAVA_TEST_KILLS is a number"))
}

/// How long each command takes when it is left alone.
fn durations(marked: &mut Marked<'_>) -> Vec<Duration> {
    CASES
        .iter()
        .map(|case| {
            marked.begin(case.from);
            let words = marked.words(case);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let began = Instant::now();
            marked.dev(&words).ends(0);
            let took = began.elapsed();
            marked.comes_back(&format!("{words:?}, left alone"), words.contains(&"-v"));
            took
        })
        .collect()
}

#[test]
fn commands_that_are_cut_off_by_a_signal_lose_nothing() {
    let _turn = heavy();
    let drawn = Mutex::new(Draws::new());
    let mut first = Marked::new("cut", None);
    let lengths = durations(&mut first);
    let signal = || SIGNALS[(drawn.lock().expect("no panic").next() * 2.99) as usize];
    let all: Vec<(&str, usize)> = match draws() {
        None => (0..CASES.len()).map(|number| (signal(), number)).collect(),
        Some(draws) => {
            let of = |signal: &'static str| (0..CASES.len() * draws).map(move |number| (signal, number % CASES.len()));
            SIGNALS.into_iter().flat_map(of).collect()
        }
    };
    let queue = Mutex::new(all.into_iter());
    let work = &|mut marked: Marked<'_>| {
        loop {
            let Some((signal, number)) = queue.lock().expect("no panic").next() else { return };
            let moment = lengths[number].mul_f64(drawn.lock().expect("no panic").next());
            let case = &CASES[number];
            marked.begin(case.from);
            let words = marked.words(case);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let running = marked.start(&words);
            std::thread::sleep(moment);
            // It may have ended.
            let what = format!("{words:?} from {:?}, {signal} after {moment:?}", case.from);
            let _ = writeln!(std::io::stderr(), "{what}");
            running.signal_if_running(signal);
            let ended = running.finish();
            marked.comes_back(&format!("{what} ({})\n{}", ended.code, ended.stderr), words.contains(&"-v"));
        }
    };
    // A run that asks for many draws has the machine to itself.
    let beside = if draws().is_some() { 4 } else { 1 };
    std::thread::scope(|scope| {
        for number in 0..beside {
            scope.spawn(move || work(Marked::new(&format!("cut-beside{number}"), None)));
        }
        work(first);
    });
}

#[test]
fn commands_that_are_cut_off_by_the_end_of_their_engine_lose_nothing() {
    let _turn = heavy();
    let mut drawn = Draws::new();
    let images = ["image:busybox", "image:postgres", "image:redis", "image:ministack"];
    let engine = Mutex::new(Private::with(&images));
    let mut marked = Marked::new("cut-engine", Some(&engine));
    for case in (0..draws().unwrap_or(1)).flat_map(|_| &CASES) {
        marked.begin(case.from);
        let words = marked.words(case);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let moment = Duration::from_secs(3).mul_f64(drawn.next());
        let what = format!("{words:?} from {:?}, its engine killed after {moment:?}", case.from);
        let _ = writeln!(std::io::stderr(), "{what}");
        let running = marked.start(&words);
        std::thread::sleep(moment);
        engine.lock().expect("no panic").end("KILL");
        let ended = running.finish();
        engine.lock().expect("no panic").start_again();
        marked.comes_back(&format!("{what} ({})\n{}", ended.code, ended.stderr), words.contains(&"-v"));
    }
    drop(marked);
}

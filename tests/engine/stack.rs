//! A stack of its own for each test: a services.toml in a temporary folder, and the binary run on it. When it goes out of
//! scope the stack is taken down, and nothing of it may be left on the engine.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::docker;
use crate::turns::Name;
pub(crate) use crate::turns::heavy;

/// A command that runs longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Images by the name they have in the tests: the stand-ins, or the official ones where a registry can be reached.
const IMAGES: [(&str, &str, &str); 8] = [
    ("image:postgres", "taskava/postgres:15", "postgres:15-alpine"),
    ("image:redis", "taskava/redis:7", "redis:7-alpine"),
    ("image:localstack", "taskava/localstack:4.14.0", "localstack/localstack:4.14.0"),
    ("image:ministack", "taskava/ministack:1.5.33", "ministackorg/ministack:1.5.33"),
    ("image:mailhog", "taskava/mailhog:1.0.1", "mailhog/mailhog:v1.0.1"),
    ("image:nginx", "taskava/nginx:1.22", "nginx:1.29-alpine"),
    ("image:python", "taskava/python:3.13", "python:3.13-slim"),
    ("image:busybox", "taskava/busybox:test", "busybox:1.37"),
];

/// The reference behind `image:postgres` and the like.
pub(crate) fn image(name: &str) -> &'static str {
    let official = std::env::var("TASKAVA_TEST_IMAGES").is_ok_and(|images| images == "official");
    let (_, stand_in, reference) = IMAGES.iter().find(|(short, ..)| *short == name).expect("an image of the tests");
    if official { reference } else { stand_in }
}

/// The official images of a text replaced by those of the tests.
fn of_the_tests(text: &str) -> String {
    IMAGES.iter().fold(text.to_owned(), |text, (name, _, official)| text.replace(official, image(name)))
}

/// The images of a text filled in.
fn with_images(text: &str) -> String {
    IMAGES.iter().fold(text.to_owned(), |text, (name, ..)| text.replace(name, image(name)))
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// Looks again and again until a condition holds; panics when it does not in time.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A host port that is free now. Only for tests that are about fixed ports: another process may take it in between.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Output {
    /// Panics with everything that was said, unless the command ended with this code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless stderr has all of these.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in\n{}\n--- stdout\n{}", self.stderr, self.stdout);
        }
        self
    }

    /// Its stdout as JSON, one value a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    began: Instant,
    stdout: (Arc<Mutex<String>>, Option<JoinHandle<()>>),
    stderr: (Arc<Mutex<String>>, Option<JoinHandle<()>>),
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_with_stdin(command.stdin(Stdio::null()))
    }

    /// With the stdin that the command was given.
    pub(crate) fn start_with_stdin(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let stdout = collect(child.stdout.take().expect("piped"));
        let stderr = collect(child.stderr.take().expect("piped"));
        Self { child, began: Instant::now(), stdout, stderr }
    }

    /// What it reads, where that was piped.
    pub(crate) fn stdin(&mut self) -> &mut std::process::ChildStdin {
        self.child.stdin.as_mut().expect("piped")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes what it reads.
    pub(crate) fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// What it said on stderr so far.
    pub(crate) fn said(&self) -> String {
        self.stderr.0.lock().expect("the reader does not panic").clone()
    }

    /// What it printed on stdout so far.
    pub(crate) fn printed(&self) -> String {
        self.stdout.0.lock().expect("the reader does not panic").clone()
    }

    /// Waits until it has said something on stderr.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, words: &str) {
        wait_until(words, || {
            let said = self.said();
            let ended = self.child.try_wait().expect("a child").is_some();
            assert!(!ended || said.contains(words), "ended without saying {words:?}:\n{said}");
            said.contains(words).then_some(())
        });
    }

    /// Sends a signal: `INT`, `TERM`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let command = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().expect("a shell").success(), "{command}");
    }

    /// Sends a signal, unless it has ended by now.
    pub(crate) fn signal_if_running(&self, signal: &str) {
        let command = format!("kill -{signal} {} 2>/dev/null", self.child.id());
        let _ = Command::new("sh").args(["-c", &command]).status().expect("a shell");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Output {
        let deadline = self.began + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("still runs after {LIMIT:?}:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let took = self.began.elapsed();
        let text = |(text, reader): &mut (Arc<Mutex<String>>, Option<JoinHandle<()>>)| {
            reader.take().expect("joined once").join().expect("the reader does not panic");
            text.lock().expect("the reader does not panic").clone()
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        Output { code: status.code().unwrap_or(-1), stdout, stderr, took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static) -> (Arc<Mutex<String>>, Option<JoinHandle<()>>) {
    let text = Arc::new(Mutex::new(String::new()));
    let to = text.clone();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let mut text = to.lock().expect("no thread panicked with it");
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
        }
    });
    (text, Some(reader))
}

/// A stack of this test alone.
pub(crate) struct Stack {
    _name: Name,
    directory: TempDir,
    /// That folder as it is called on the engine; a test may remove it.
    pub(crate) root: String,
    /// Its name: everything it makes on the engine carries it.
    pub(crate) project: String,
}

impl Stack {
    /// A stack with this services.toml; `project` is added, `image:redis` and the like are replaced.
    #[track_caller]
    pub(crate) fn new(name: &str, services: &str) -> Self {
        let own = Name::take(name);
        let project = format!("t-{}-{name}", std::process::id());
        let directory = TempDir::with_prefix("taskava-").expect("a folder");
        let root = directory.path().canonicalize().expect("a folder").display().to_string();
        let stack = Self { _name: own, directory, root, project };
        stack.services(services);
        stack
    }

    /// The project's own services.toml and what it uses, on ports that the engine chooses.
    pub(crate) fn of_the_project(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let stack = Self::of_the_file(name, &root.join("services.toml"));
        for folder in ["docker", "examples/app"] {
            copy(&root.join(folder), &stack.path().join(folder));
        }
        stack
    }

    /// An example that is a project of its own: a folder with a services.toml.
    pub(crate) fn of_the_example(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let stack = Self::of_the_file(name, &folder.join("services.toml"));
        let own = std::fs::read(stack.path().join("services.toml")).expect("a file");
        copy(&folder, stack.path());
        std::fs::write(stack.path().join("services.toml"), own).expect("a file");
        stack
    }

    fn of_the_file(name: &str, file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("services.toml");
        let ports = regex::Regex::new(r#""\d+:(\d+)""#).expect("a pattern");
        let project = regex::Regex::new(r#"(?m)^project = .*\n"#).expect("a pattern");
        let text = project.replace(&ports.replace_all(&text, "\"$1\""), "").into_owned();
        Self::new(name, &of_the_tests(&text))
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes services.toml again.
    pub(crate) fn services(&self, services: &str) {
        let text = format!("project = {:?}\n{}", self.project, with_images(services));
        std::fs::write(self.path().join("services.toml"), text).expect("a file");
    }

    /// Edits services.toml.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let file = self.path().join("services.toml");
        let text = std::fs::read_to_string(&file).expect("a file");
        assert!(text.contains(from), "no {from:?} in\n{text}");
        std::fs::write(file, with_images(&text.replace(from, to))).expect("a file");
    }

    /// Writes another file of its folder, and the folders above it.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().expect("in a folder")).expect("a folder");
        std::fs::write(&file, text).expect("a file");
        file
    }

    /// The binary in its folder, in surroundings that decide nothing.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
        command.arg("dev").args(arguments).current_dir(self.path());
        for name in ["CI", "GITHUB_ACTIONS", "NO_COLOR", "TASKAVA_FILE", "TASKAVA_PROJECT", "TASKAVA_PROFILES"] {
            command.env_remove(name);
        }
        command
    }

    /// Starts `taskava dev …`.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// Runs `taskava dev …`.
    #[track_caller]
    pub(crate) fn dev(&self, arguments: &[&str]) -> Output {
        self.start(arguments).finish()
    }

    /// `up`, which has to succeed.
    #[track_caller]
    pub(crate) fn up(&self) -> Output {
        self.dev(&["up"]).ends(0)
    }

    /// What `ps -a --json` says of a service.
    #[track_caller]
    pub(crate) fn ps(&self, service: &str) -> serde_json::Value {
        let all = self.dev(&["ps", "-a", "--json"]).ends(0).json().remove(0);
        let rows = all["services"].as_array().expect("rows");
        rows.iter().find(|row| row["service"] == service).cloned().unwrap_or_default()
    }

    /// The host port behind a port of a service, as the engine says.
    #[track_caller]
    pub(crate) fn port(&self, service: &str, port: u16) -> u16 {
        docker::port(&self.container(service), port)
    }

    /// `127.0.0.1:port`.
    #[track_caller]
    pub(crate) fn address(&self, service: &str, port: u16) -> String {
        format!("127.0.0.1:{}", self.port(service, port))
    }

    /// Id of the container of a service.
    #[track_caller]
    pub(crate) fn container(&self, service: &str) -> String {
        self.find(service).unwrap_or_else(|| panic!("{service} has no container"))
    }

    /// Id of the container of a service, if there is one.
    pub(crate) fn find(&self, service: &str) -> Option<String> {
        self.listed(service).map(|container| container.id)
    }

    fn listed(&self, service: &str) -> Option<docker::Container> {
        let mut found = docker::containers(&[&self.label(), &format!("dev.taskava.service={service}")]);
        assert!(found.len() < 2, "{service} has {} containers", found.len());
        found.pop()
    }

    /// Ids of several services.
    #[track_caller]
    pub(crate) fn containers<const N: usize>(&self, services: [&str; N]) -> [String; N] {
        services.map(|service| self.container(service))
    }

    /// What the engine says of a service's container: `running`, `exited`, …; `none` without one.
    pub(crate) fn state(&self, service: &str) -> String {
        self.listed(service).map_or_else(|| "none".into(), |container| container.state)
    }

    /// Name of one of its volumes on the engine.
    pub(crate) fn volume(&self, short: &str) -> String {
        format!("{}-{short}", self.project)
    }

    /// What images are called that its services are built as.
    fn built(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join("services.toml")).unwrap_or_default();
        let services = regex::Regex::new(r"(?m)^\[services\.([a-z0-9-]+)[.\]]").expect("a pattern");
        let names = services.captures_iter(&text).filter(|_| text.contains("build ="));
        names.map(|name| format!("{}-{}:latest", self.project, &name[1])).collect()
    }

    /// What everything it makes on the engine carries.
    pub(crate) fn label(&self) -> String {
        format!("dev.taskava.project={}", self.project)
    }

    /// Volumes that images declare: they carry no label, so they are noted before their containers go.
    fn nameless_volumes(&self) -> BTreeSet<String> {
        let containers = docker::containers(&[&self.label()]);
        containers.iter().flat_map(|container| docker::nameless_volumes(&container.id)).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let label = self.label();
        // Snapshots, what test runs prepared, which belongs to the folder, and builds that lost their name to a later one.
        let labels = [label.clone(), format!("dev.taskava.root={}", self.root), format!("test={}", self.project)];
        let images = || {
            self.built().iter().for_each(|image| docker::remove_image(image));
            labels.iter().for_each(|label| docker::remove_images(label));
        };
        if docker::left(&label).is_empty() {
            images();
            return;
        }
        let nameless = self.nameless_volumes();
        if std::thread::panicking() {
            docker::remove_all(&label);
            images();
            return;
        }
        let down = self.dev(&["down", "-v", "-y", "--no-snapshot", "--remove-orphans"]);
        images();
        let mut left = docker::left(&label);
        left.extend(docker::volumes().into_iter().filter(|volume| nameless.contains(volume)));
        docker::remove_all(&label);
        assert_eq!(down.code, 0, "down failed:\n{}", down.stderr);
        assert!(left.is_empty(), "down left {left:?}:\n{}", down.stderr);
    }
}

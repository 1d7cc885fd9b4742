//! The containers that come of an imported Compose file are those that docker compose makes of the file itself.
//!
//! Every fixture of `tests/fixtures/compose/` is run through both tools, up to the point where containers exist but have not
//! been started: that is all that is compared, and needs no free port. What differs is in the fixture's `.diff.txt`; without
//! one, nothing may.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use bollard::query_parameters::InspectContainerOptions;
use serde_json::{Value, json};

use crate::described::{describe, our_name};
use crate::docker;
use crate::stack::{Stack, image};

/// What there is of docker compose; none where it can't be had, which is printed so that it is noticed.
pub(crate) fn peer() -> Option<PathBuf> {
    let output = Command::new("scripts/peer-compose").stderr(Stdio::piped()).output().expect("a shell");
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Some(path.into());
    }
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(std::env::var_os("CI").is_none(), "CI compares with docker compose: {why}");
    // Not through `eprintln!`, which the test runner keeps to itself.
    let _ = writeln!(std::io::stderr(), "\nNOT TESTED: import against docker compose. {why}");
    None
}

/// A fixture in a folder of its own, its images replaced by those of the tests.
struct Case {
    name: String,
    folder: tempfile::TempDir,
    project: String,
}

impl Case {
    fn new(fixture: &Path) -> Self {
        let name = fixture.file_name().expect("it has a name").to_string_lossy().into_owned();
        let project = format!("t-{}-c{}", std::process::id(), &name[..2]);
        let folder = tempfile::TempDir::with_prefix("taskava-").expect("a folder");
        let case = Self { name, folder, project };
        case.copy(fixture, &case.path());
        case
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn copy(&self, from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let path = entry.expect("it can be listed").path();
            let target = to.join(path.file_name().expect("it has a name"));
            if path.is_dir() {
                self.copy(&path, &target);
            } else {
                let text = std::fs::read_to_string(&path).expect("a text");
                std::fs::write(target, self.with_images(&text)).expect("a file");
            }
        }
    }

    /// What is built gets a name of this test's; what is pulled becomes the image of that kind that is there.
    fn with_images(&self, text: &str) -> String {
        let pattern =
            r#"(?m)(\bimage:\s*(?:>-\s*)?["']?|^\s*(?:dockerfile_inline: )?FROM )((?:\$\{[^}]*\}|[^\s"',}>])+)"#;
        let pattern = regex::Regex::new(pattern).expect("a pattern");
        let replace = |found: &regex::Captures<'_>| {
            let (before, name) = (&found[1], &found[2]);
            let kind = ["postgres", "postgis", "timescale", "pgvector"].iter().any(|word| name.contains(word));
            let new = match name {
                name if name.starts_with("app_local_") || name.starts_with("build-example") => {
                    format!("{}/{}", self.project, name.replace('/', "-"))
                }
                "busybox:${TAG:-1.37}" => {
                    let (repository, tag) = image("image:busybox").rsplit_once(':').expect("a tag");
                    format!("{repository}:${{TAG:-{tag}}}")
                }
                "base" => name.to_owned(),
                _ if kind => image("image:postgres").into(),
                name if name.contains("redis") || name.contains("valkey") => image("image:redis").into(),
                name if name.contains("localstack") => image("image:localstack").into(),
                name if name.contains("mailhog") => image("image:mailhog").into(),
                _ => image("image:busybox").into(),
            };
            format!("{before}{new}")
        };
        pattern.replace_all(text, replace).into_owned()
    }

    /// Runs a command that has to succeed.
    fn run(&self, command: &mut Command) {
        for name in ["CI", "GITHUB_ACTIONS", "TASKAVA_FILE", "TASKAVA_PROJECT", "TASKAVA_PROFILES", "COMPOSE_FILE"] {
            command.env_remove(name);
        }
        command.current_dir(self.path()).env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path());
        let output = command.output().expect("it runs");
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {command:?}\n{stdout}\n{stderr}", self.name);
    }

    fn files(&self) -> &'static [&'static str] {
        if self.path().join("local.yml").is_file() { &["local.yml"] } else { &[] }
    }

    fn by_compose(&self, peer: &Path) -> BTreeMap<String, Value> {
        let project = format!("{}p", self.project);
        let mut command = Command::new(peer);
        command.args(["compose"].iter().filter(|_| peer.ends_with("docker")));
        command.args(self.files().iter().flat_map(|file| ["-f", file])).args([
            "-p",
            &project,
            "--profile",
            "*",
            "create",
        ]);
        self.run(&mut command);
        self.described(&format!("com.docker.compose.project={project}"), "com.docker.compose.service", &project, '_')
    }

    fn by_us(&self) -> BTreeMap<String, Value> {
        let taskava = || Command::new(env!("CARGO_BIN_EXE_taskava"));
        self.run(taskava().args(["dev", "import"]).args(self.files()));
        let text = std::fs::read_to_string(self.path().join("services.toml")).expect("it was written");
        let mut up = taskava();
        up.args(["dev", "-p", &self.project, "up", "--no-start"]);
        let read: toml::Table = text.parse().expect("it is TOML");
        let services = read["services"].as_table().into_iter().flatten();
        let profiles = services.filter_map(|(_, service)| service.get("profiles")?.as_array()).flatten();
        // Of what is scaled to zero docker compose makes nothing, whatever is active.
        let profiles = profiles.filter_map(toml::Value::as_str).filter(|profile| *profile != "scaled-to-zero");
        for profile in profiles.collect::<std::collections::BTreeSet<_>>() {
            up.args(["--profile", profile]);
        }
        self.run(&mut up);
        let label = format!("dev.taskava.project={}", self.project);
        let mut all = self.described(&label, "dev.taskava.service", &self.project, '-');
        for (name, service) in &mut all {
            let first = || read["services"].get(name.rsplit_once('-')?.0);
            let written = read["services"].get(name.as_str()).or_else(first).expect("it is a service");
            service["depends_on"] = dependencies(written, &read["services"]);
        }
        all
    }

    /// What matters of each container of a project, by service.
    fn described(&self, label: &str, service: &str, project: &str, separator: char) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for container in docker::containers(&[label]) {
            let seen = docker::engine(async |docker| {
                docker.inspect_container(&container.id, None::<InspectContainerOptions>).await
            });
            let labels = seen.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
            let name = our_name(&labels[service]);
            // Each further container of a service is one of its own.
            let name = match labels.get("com.docker.compose.container-number").map(String::as_str) {
                None | Some("1") => name,
                Some(number) => format!("{name}-{number}"),
            };
            let mut described = describe(&seen, &labels, project, separator);
            if let Some(env) = described["env"].as_array_mut() {
                // A name alone only takes a variable of the image away.
                env.retain(|variable| variable.as_str().is_some_and(|variable| variable.contains('=')));
            }
            all.insert(name, described);
        }
        docker::remove_all(label);
        all
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        // Whatever stopped the test: nothing stays.
        docker::remove_all(&format!("com.docker.compose.project={}p", self.project));
        docker::remove_all(&format!("dev.taskava.project={}", self.project));
        docker::untag_all(&self.project);
        if self.name.starts_with("59-") {
            // Its `tags` give the image this name, too.
            docker::remove_image("web:dev");
        }
    }
}

/// What a service of services.toml waits for, in Compose's words.
fn dependencies(service: &toml::Value, services: &toml::Value) -> Value {
    let word = |name: &str, condition: &str| match condition {
        "started" => "service_started",
        _ if services[name].get("kind").and_then(toml::Value::as_str) == Some("job") => {
            "service_completed_successfully"
        }
        _ => "service_healthy",
    };
    let all: BTreeMap<String, &str> = match service.get("depends_on") {
        Some(toml::Value::Array(names)) => {
            names.iter().filter_map(|name| name.as_str().map(|name| (name.to_owned(), word(name, "ready")))).collect()
        }
        Some(toml::Value::Table(table)) => table
            .iter()
            .map(|(name, on)| {
                (name.clone(), word(name, on.get("condition").unwrap_or(on).as_str().unwrap_or_default()))
            })
            .collect(),
        _ => BTreeMap::new(),
    };
    json!(all)
}

/// `service.field: theirs | ours`, for every field that differs.
fn differences(theirs: &BTreeMap<String, Value>, ours: &BTreeMap<String, Value>) -> String {
    let mut out = String::new();
    let names: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    for name in names {
        let (Some(Value::Object(theirs)), Some(Value::Object(ours))) = (theirs.get(name), ours.get(name)) else {
            let _ = writeln!(out, "{name}: only one of the two has it");
            continue;
        };
        for (field, value) in theirs.iter().filter(|(field, value)| ours[*field] != **value) {
            let _ = writeln!(out, "{name}.{field}: compose {value} | taskava {}", ours[field]);
        }
    }
    out
}

#[test]
fn containers_are_those_of_docker_compose() {
    let Some(peer) = peer() else { return };
    let listed = std::fs::read_dir("tests/fixtures/compose").expect("the fixtures are there");
    let mut fixtures: Vec<PathBuf> =
        listed.map(|entry| entry.expect("it can be listed").path()).filter(|path| path.is_dir()).collect();
    // What one of the two refuses has no containers to compare.
    fixtures.retain(|fixture| !["-refused", "-elsewhere"].iter().any(|end| fixture.to_string_lossy().ends_with(end)));
    fixtures.sort();
    assert!(fixtures.len() >= 30, "{} fixtures", fixtures.len());
    let _network = docker::ForeignNetwork::create("compose-fixture-shared");
    let _volume = docker::ForeignVolume::create("volume-forms-external");
    let queue = Mutex::new(fixtures.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(fixture) = queue.lock().expect("no thread panicked with it").next() else { return };
                    let case = Case::new(&fixture);
                    // Ours first: import makes folders that the engine would make as root.
                    let ours = case.by_us();
                    let theirs = case.by_compose(&peer);
                    assert!(!theirs.is_empty(), "{}: compose made nothing", case.name);
                    let root = case.path().canonicalize().expect("a folder");
                    let found = differences(&theirs, &ours).replace(root.to_str().expect("UTF-8"), "[ROOT]");
                    let found = found.replace(&format!("{}p", case.project), "[PROJECT]");
                    let found = found.replace(case.folder.path().to_str().expect("UTF-8"), "[HOME]");
                    let expected = fixture.with_extension("diff.txt");
                    if std::env::var("SNAPSHOTS").is_ok_and(|what| what == "overwrite") && !found.is_empty() {
                        std::fs::write(&expected, &found).expect("a file");
                    }
                    let expected = std::fs::read_to_string(expected).unwrap_or_default();
                    assert_eq!(found, expected, "{}", case.name);
                }
            });
        }
    });
}

/// The Compose file of a stack, and docker compose on it.
fn exported(peer: &Path, stack: &Stack, arguments: &[&str]) -> std::process::Output {
    let mut compose = Command::new(peer);
    compose.args(["-p", &stack.project, "-f", "compose.yaml"]).args(arguments).current_dir(stack.path());
    compose.env_remove("CI").stdin(Stdio::null()).output().expect("it can be started")
}

#[test]
fn docker_compose_accepts_what_is_exported_and_its_health_checks_become_healthy() {
    let Some(peer) = peer() else { return };
    let succeeds = |stack: &Stack, arguments: &[&str]| {
        let output = exported(&peer, stack, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let own = Stack::of_the_project("export-own");
    own.dev(&["export", "compose", "--output", "compose.yaml"]).ends(0);
    succeeds(&own, &["config", "--quiet"]);

    let services = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_PASSWORD = "p" }
volumes = ["data:/var/lib/postgresql/data"]
[services.redis]
kind = "redis"
image = "image:redis"
[services.migrate]
kind = "job"
image = "image:busybox"
command = "true"
depends_on = ["postgres"]
[services.app]
image = "image:busybox"
command = "sleep 60"
depends_on = ["redis", "migrate"]
init = true
"#;
    let stack = Stack::new("export", services);
    stack.dev(&["export", "compose", "--output", "compose.yaml"]).ends(0);
    succeeds(&stack, &["config", "--quiet"]);
    // Dependants start when those before are healthy, or have ended well: that they started shows that it came to that.
    let up = exported(&peer, &stack, &["up", "--detach"]);
    let running = exported(&peer, &stack, &["ps", "--services", "--status", "running"]);
    succeeds(&stack, &["down", "--volumes", "--timeout", "1"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let running = String::from_utf8_lossy(&running.stdout);
    assert!(running.lines().any(|line| line == "app"), "{running}");
}

/// Data that docker compose wrote is what our container sees, and nothing of ours removes it.
#[test]
fn the_data_of_docker_compose_is_used_and_never_removed() {
    let Some(peer) = peer() else { return };
    let stack = Stack::new("moved", "");
    let script = "test -f /data/seen || echo empty >/data/seen; exec sleep 1000";
    let file = format!(
        "name: {}\nservices:\n  db:\n    image: {}\n    command: [sh, -c, '{script}']\n    stop_signal: SIGKILL\n    \
         volumes: ['data:/data']\nvolumes:\n  data:\n",
        stack.project,
        image("image:busybox")
    );
    stack.file("compose.yaml", &file);
    let succeeds = |arguments: &[&str]| {
        let output = exported(&peer, &stack, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    succeeds(&["up", "--detach"]);
    let theirs = docker::containers(&[&format!("com.docker.compose.project={}", stack.project)]);
    docker::exec(&theirs[0].id, &["sh", "-c", "echo theirs >/data/seen"]);
    stack.dev(&["import", "--force"]).ends(0);
    // Two on the same data would destroy it.
    let refused = stack.dev(&["up"]).ends(1);
    refused.says(&["is in use by", &format!("docker compose -p {} stop", stack.project)]);
    succeeds(&["stop"]);
    stack.up();
    assert_eq!(docker::output(&stack.container("db"), &["cat", "/data/seen"]).trim(), "theirs");
    stack.dev(&["down", "-v", "-y"]).ends(0);
    let volume = format!("{}_data", stack.project);
    let stays = docker::volumes().contains(&volume);
    succeeds(&["down", "--volumes", "--timeout", "1"]);
    assert!(stays, "{volume} was removed");
}

/// The table that our own reader of `.env` is tested with is what docker compose says today.
#[test]
fn the_table_of_env_files_is_what_docker_compose_reads() {
    let Some(peer) = peer() else { return };
    let table = std::fs::read_to_string("tests/fixtures/dotenv.json").expect("the table is there");
    let table: Vec<(String, Value)> = serde_json::from_str(&table).expect("JSON");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let environment = ["A", "B", "C"].map(|name| format!("{name}: \"${{{name}-unset}}\"")).join(", ");
    let file = format!("services: {{ s: {{ image: x, environment: {{ {environment} }} }} }}\n");
    std::fs::write(folder.path().join("compose.yaml"), file).expect("a file");
    for (lines, expected) in table {
        std::fs::write(folder.path().join(".env"), format!("B=base\n{lines}\n")).expect("a file");
        let mut compose = Command::new(&peer);
        compose.args(["compose"].iter().filter(|_| peer.ends_with("docker"))).args(["config", "--format", "json"]);
        let output =
            compose.current_dir(folder.path()).env_clear().env("HOME", "/nonexistent").output().expect("it runs");
        assert_eq!(output.status.success(), expected.is_object(), "{lines:?}");
        if expected.is_object() {
            let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let seen = &seen["services"]["s"]["environment"];
            for name in ["A", "B", "C"] {
                // In its own output a dollar sign is doubled.
                let value = seen[name].as_str().expect("a text").replace("$$", "$");
                assert_eq!(
                    Some(value.as_str()).filter(|value| *value != "unset"),
                    expected[name].as_str(),
                    "{name} of {lines:?}"
                );
            }
        }
    }
}

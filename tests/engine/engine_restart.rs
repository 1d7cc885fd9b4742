//! The engine is stopped and started under a stack: one of our own, in namespaces of its own. The others' network is not
//! touched, and when its first process ends, nothing of it is left.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::ImportImageOptions;
use futures_util::TryStreamExt;
use tempfile::TempDir;

use crate::docker;
use crate::stack::{Output, Running, Stack, heavy, image, wait_until};

/// An engine that only one test uses. It needs root, as any engine that is not rootless.
pub(crate) struct Private {
    folder: TempDir,
    process: Child,
}

impl Private {
    fn new() -> Self {
        Self::with(&["image:busybox"])
    }

    /// One that has these images.
    pub(crate) fn with(images: &[&str]) -> Self {
        let folder = TempDir::with_prefix("taskava-engine-").expect("a folder");
        let engine = Self { process: start(&folder), folder };
        engine.wait();
        for name in images {
            let archive = docker::engine(async |docker| docker.export_image(image(name)).try_collect::<Vec<_>>().await);
            let archive = bollard::body_full(archive.concat().into());
            engine.ask(async |docker| {
                docker.import_image(ImportImageOptions::default(), archive, None).try_collect::<Vec<_>>().await
            });
        }
        engine
    }

    fn address(&self) -> String {
        address(&self.folder)
    }

    fn ask<T>(&self, work: impl AsyncFnOnce(Docker) -> Result<T, bollard::errors::Error>) -> T {
        docker::at(&self.address(), work).unwrap_or_else(|error| panic!("the engine: {error}"))
    }

    fn wait(&self) {
        wait_until("the engine answers", || docker::at(&self.address(), async |docker| docker.ping().await).ok());
    }

    /// Ends it with a signal and waits until it has ended.
    pub(crate) fn end(&mut self, signal: &str) {
        let unshare = self.process.id();
        let child = format!("/proc/{unshare}/task/{unshare}/children");
        let daemon = wait_until("the daemon", || {
            let children = std::fs::read_to_string(&child).unwrap_or_default();
            Some(children.trim().to_owned()).filter(|children| !children.is_empty())
        });
        let command = format!("kill -{signal} {daemon}");
        assert!(Command::new("sh").args(["-c", &command]).status().expect("a shell").success());
        self.process.wait().expect("a child");
    }

    /// A daemon that was killed in the middle of its work once in a while does not answer: it is started a second time.
    pub(crate) fn start_again(&mut self) {
        self.process = start(&self.folder);
        let began = Instant::now();
        while docker::at(&self.address(), async |docker| docker.ping().await).is_err() {
            if began.elapsed() > Duration::from_secs(60) {
                self.process.kill().expect("a child");
                self.process.wait().expect("a child");
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(40).collect();
                let _ = writeln!(std::io::stderr(), "the engine does not answer:\n{}", last.join("\n"));
                self.process = start(&self.folder);
                return self.wait();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `taskava dev …` on this engine, in its network: where its published ports are.
    pub(crate) fn command(&self, stack: &Stack, arguments: &[&str]) -> Command {
        let inner = stack.command(&[&["--host", &self.address()], arguments].concat());
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.process.id().to_string(), "--net"]).arg(inner.get_program());
        command.args(inner.get_args()).current_dir(stack.path());
        command
    }

    #[track_caller]
    pub(crate) fn dev(&self, stack: &Stack, arguments: &[&str]) -> Output {
        Running::start(&mut self.command(stack, arguments)).finish()
    }

    #[track_caller]
    fn ps(&self, stack: &Stack, service: &str) -> serde_json::Value {
        let all = self.dev(stack, &["ps", "--json"]).ends(0).json().remove(0);
        let rows = all["services"].as_array().expect("rows");
        rows.iter().find(|row| row["service"] == service).expect("a row").clone()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // With its namespaces everything in it ends.
            let _ = self.process.kill();
        } else {
            self.end("TERM");
        }
    }
}

fn address(folder: &TempDir) -> String {
    format!("unix://{}/docker.sock", folder.path().display())
}

/// What is fast where the file system of a folder can do it; what works everywhere.
fn storage_driver(folder: &TempDir) -> &'static str {
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder.path()).output().expect("stat");
    if kind.stdout.starts_with(b"ext2/ext3") || kind.stdout.starts_with(b"xfs") { "overlay2" } else { "vfs" }
}

fn start(folder: &TempDir) -> Child {
    let flags = format!(
        "--data-root {0}/data --exec-root {0}/exec --pidfile {0}/pid --storage-driver {2} --shutdown-timeout 2 \
         --containerd-namespace taskava-tests --containerd-plugins-namespace taskava-tests-plugins --host {1}",
        folder.path().display(),
        address(folder),
        storage_driver(folder)
    );
    // What it keeps in `/run` does not outlive a machine, and all its processes have ended.
    let script = format!("rm -rf {0}/pid {0}/exec; ip link set lo up && exec dockerd {flags}", folder.path().display());
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let log = std::fs::File::options().create(true).append(true).open(folder.path().join("log"));
    command.stderr(log.expect("a file"));
    command.spawn().expect("unshare of util-linux")
}

const SERVICES: &str = r#"
[services.web]
image = "image:busybox"
command = ["sh", "-c", "echo web began; exec httpd -f -p 80 -h /etc"]
stop_signal = "SIGKILL"
ports = ["80"]
ready = { http = "http://:80/passwd" }
volumes = ["data:/data"]

[services.job]
kind = "job"
image = "image:busybox"
command = ["sh", "-c", "date >> /data/runs"]
volumes = ["data:/data"]
depends_on = ["web"]

[services.never]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
ready = { exec = "false" }
profiles = ["never"]
"#;

#[test]
fn a_stack_is_seen_as_it_is_and_comes_back_after_the_engine_was_restarted() {
    let _turn = heavy();
    let (mut engine, stack) = (Private::new(), Stack::new("engine", SERVICES));
    engine.dev(&stack, &["up"]).ends(0);
    let ids = |engine: &Private| engine.dev(&stack, &["ps", "-q"]).ends(0).stdout;
    let before = ids(&engine);

    for (starts, signal) in [(2, "TERM"), (3, "KILL")] {
        engine.end(signal);
        // Its network went with it, so this one is run outside.
        stack.dev(&["--host", &engine.address(), "ps"]).ends(3).says(&["docker.sock"]);

        engine.start_again();
        let web = engine.ps(&stack, "web");
        assert_eq!((&web["state"], &web["ready"]), (&"exited".into(), &false.into()), "after {signal}: {web}");
        let plan = engine.dev(&stack, &["plan", "--exit-code"]).ends(10);
        assert!(plan.stdout.contains("start web") && !plan.stdout.contains("create"), "{}", plan.stdout);

        engine.dev(&stack, &["up"]).ends(0);
        let web = engine.ps(&stack, "web");
        assert_eq!((&web["state"], &web["ready"]), (&"running".into(), &true.into()), "after {signal}: {web}");
        assert_eq!(ids(&engine), before, "nothing was recreated, the job neither");
        let logs = engine.dev(&stack, &["logs", "web"]).ends(0);
        assert_eq!(logs.stdout.matches("web began").count(), starts, "{}", logs.stdout);
        engine.dev(&stack, &["plan", "--exit-code"]).ends(0);
    }

    // And an engine that goes away during `up` ends it at once.
    let mut up = Running::start(&mut engine.command(&stack, &["--profile", "never", "up"]));
    up.wait_for("never  started");
    engine.end("KILL");
    up.finish().ends(3).says(&["✘ never"]);

    engine.start_again();
    engine.dev(&stack, &["down", "-v"]).ends(0);
    assert_eq!(engine.dev(&stack, &["ps", "-q"]).ends(0).stdout, "");
}

/// Long enough to be killed in: the engine copies them into their volumes.
const FILLED: &str = r#"
[services.data]
image = "image:busybox"
command = ["sh", "-c", "test -e /v/mark || { dd if=/dev/zero of=/v/big bs=1M count=200; echo whole > /v/mark; }; touch /tmp/on; exec sleep 1000"]
ready = { exec = ["test", "-e", "/tmp/on"] }
stop_signal = "SIGKILL"
volumes = ["big:/v", "small:/s"]
"#;

#[test]
fn an_engine_that_is_killed_while_it_fills_a_volume_leaves_no_half_data_that_looks_whole() {
    let _turn = heavy();
    let (mut engine, stack) = (Private::new(), Stack::new("engine-fill", FILLED));
    engine.dev(&stack, &["up"]).ends(0);
    engine.dev(&stack, &["snapshot", "save", "base"]).ends(0);
    let mut restore = Running::start(&mut engine.command(&stack, &["snapshot", "restore", "base"]));
    restore.wait_for("created volume");
    engine.end("KILL");
    restore.finish().ends(3);

    engine.start_again();
    let words = ["restoring snapshot base was cut off", "taskava dev", "snapshot restore base"];
    for command in [&["up"][..], &["restart"], &["snapshot", "save", "other"], &["plan"]] {
        engine.dev(&stack, command).ends(1).says(&words);
    }
    engine.dev(&stack, &["ps"]).ends(0).says(&words);
    engine.dev(&stack, &["snapshot", "restore", "base"]).ends(0);
    engine.dev(&stack, &["up"]).ends(0);
    let mark = engine.dev(&stack, &["exec", "data", "cat", "/v/mark"]).ends(0).stdout;
    assert_eq!(mark.trim(), "whole");
    engine.dev(&stack, &["plan", "--exit-code"]).ends(0);
    engine.dev(&stack, &["down", "-v", "--no-snapshot"]).ends(0);
}

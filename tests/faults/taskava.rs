//! Runs the real binary against a fake engine.

use std::process::Stdio;
use std::time::Duration;

use crate::fake::Fake;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Checks the exit code, and that stderr says all of these.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        for text in said {
            assert!(self.stderr.contains(text), "{text:?} isn't said in:\n{self}");
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Longer than any limit of the binary that these tests wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// `taskava dev …` on a stack, with nothing of this machine's environment.
pub(crate) async fn dev(fake: &Fake, services: &str, arguments: &[&str]) -> Run {
    let home = fake.directory();
    std::fs::write(home.join("services.toml"), format!("project = \"faults\"\n{services}")).expect("a file");
    let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_taskava"))
        .arg("dev")
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("DOCKER_HOST", format!("unix://{}", fake.socket().display()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LIMIT, child).await.expect("it ends by itself").expect("it can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

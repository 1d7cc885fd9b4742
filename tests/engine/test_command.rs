//! `test`: a stack of its own for one command, and nothing of it afterwards.

use std::path::Path;
use std::process::Command;

use crate::clients::ask;
use crate::docker;
use crate::stack::{Output, Running, Stack, heavy, wait_until};

const REDIS: &str = r#"
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
volumes = ["data:/data"]
env = { APP_PASSWORD = "s3cret-of-redis" }
"#;

/// `taskava dev test ARGUMENTS -- sh -c SCRIPT`, with the binary as `$TASKAVA`.
fn command(stack: &Stack, arguments: &[&str], script: &str) -> Command {
    let words = [&["test"], arguments, &["--", "sh", "-c", script]].concat();
    let mut command = stack.command(&words);
    command.env("TASKAVA", env!("CARGO_BIN_EXE_taskava"));
    command
}

#[track_caller]
fn test(stack: &Stack, arguments: &[&str], script: &str) -> Output {
    Running::start(&mut command(stack, arguments, script)).finish()
}

/// Everything on the engine that was made from a stack's folder under another name.
pub(crate) fn isolated(stack: &Stack) -> Vec<String> {
    let mut all = docker::left(&format!("dev.taskava.root={}", root(stack)));
    all.retain(|object| object.contains("taskava-t-"));
    all
}

fn root(stack: &Stack) -> String {
    stack.path().canonicalize().expect("a folder").display().to_string()
}

/// The bundle that a failed run left.
fn bundle(stack: &Stack) -> std::path::PathBuf {
    let mut found = std::fs::read_dir(stack.path().join(".taskava")).expect("a folder").flatten();
    found.find(|entry| entry.file_name().to_string_lossy().starts_with("test-")).expect("a bundle").path()
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_command_gets_a_stack_of_its_own_and_nothing_of_it_stays() {
    let stack = Stack::new("test", REDIS);
    stack.up();
    let own = stack.port("redis", 6379);
    ask(&stack.address("redis", 6379), "SET who developer");
    let script = "echo $REDIS_PORT; cd /; $TASKAVA dev ps --json; cat";
    let mut run = command(&stack, &[], script);
    let mut run = Running::start_with_stdin(run.stdin(std::process::Stdio::piped()));
    let seen = wait_until("ps", || run.printed().lines().nth(1).map(String::from));
    let port = run.printed().lines().next().expect("a port").to_owned();
    assert_ne!(port, own.to_string());
    assert_eq!(ask(&format!("127.0.0.1:{port}"), "GET who"), "$-1", "its data is not the developer's");
    let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(seen["services"][0]["ready"], true, "{seen}");
    assert_eq!(isolated(&stack).len(), 3, "a container, a network and a volume: {:?}", isolated(&stack));
    run.close_stdin();
    run.finish().ends(0);
    assert_eq!(isolated(&stack), [""; 0]);
    assert!(ask(&stack.address("redis", 6379), "GET who").starts_with("$9"), "the developer's stack is as it was");
}

#[test]
fn a_failure_keeps_the_exit_code_the_logs_and_a_bundle_without_secrets() {
    let stack = Stack::new("test-fails", REDIS);
    let failed = test(&stack, &[], "exit 3").ends(3);
    let failed = failed.says(&["exited with code 3", "log of redis", "Ready to accept connections", ".taskava/test-"]);
    assert_eq!(failed.stdout, "");
    assert_eq!(isolated(&stack), [""; 0]);
    let folder = bundle(&stack);
    assert!(read(&folder, "redis.log").contains("Ready to accept connections"));
    assert!(read(&folder, "services.toml").contains("taskava-t-"));
    assert!(read(&folder, "engine.json").contains("ServerVersion"));
    let events: Vec<serde_json::Value> =
        read(&folder, "timeline.jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.iter().any(|event| event["event"] == "service-ready"));
    assert!(read(&folder, "redis.inspect.json").contains("APP_PASSWORD=****"));
    for file in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let text = String::from_utf8_lossy(&std::fs::read(file.path()).expect("a file")).into_owned();
        assert!(!text.contains("s3cret-of-redis"), "{:?}", file.path());
    }
    assert_eq!(read(&stack.path().join(".taskava"), ".gitignore"), "*\n");

    let mut unknown = stack.command(&["test", "--", "no-such-command"]);
    let unknown = Running::start(unknown.env("GITHUB_ACTIONS", "true")).finish().ends(127);
    assert_eq!(unknown.stderr.matches("::error title=taskava dev::can't run `no-such-command`").count(), 1);
    for (program, code) in
        [("/", 126), ("./services.toml", 126), ("./no-such", 127), ("services.toml/x", 127), ("", 127)]
    {
        let ended = stack.dev(&["test", "--", program]).ends(code).says(&[&format!("can't run `{program}`")]);
        assert!(!ended.stderr.contains("redis"), "nothing is started for it: {}", ended.stderr);
    }
    stack.dev(&["test", "--", "/"]).ends(126).says(&["may it be executed?"]);
    assert!(!unknown.stderr.contains("redis"), "nothing is started for it: {}", unknown.stderr);
    test(&stack, &[], "kill -9 $$").ends(137);
    assert_eq!(isolated(&stack), [""; 0]);
}

/// Writes its own secrets into its log, in every form in which one meets them.
const CHATTY: &str = r#"
[services.chatty]
image = "image:busybox"
env = { APP_PASSWORD = "it's /@ s3cret-of-chatty", DB_USER = "chatty", DB_PASSWORD = "chatty", UPSTREAM = "http://app:pw-in-url%40x@h/", SHORT_TOKEN = "t0k" }
command = ["sh", "-c", """
echo hello from chatty
echo "plain $APP_PASSWORD and $UPSTREAM"
echo '{"dsn": "postgres://chatty:it%27s%20%2F%40%20s3cret-of-chatty@db/x?also=it%27s+%2f%40+s3cret-of-chatty"}'
echo '"{\\"message\\": \\"is it\\u0027s /@ s3cret-of-chatty or pw-in-url@x\\"}"'
printf '%s' "$APP_PASSWORD" | base64
printf '%s' "app:$APP_PASSWORD" | base64 -w 0 | sed 's/^/sent Basic /'
echo
echo "SHORT_TOKEN=$SHORT_TOKEN" >&2
echo "X=$(printf %065530d 0)$APP_PASSWORD"
echo '-----BEGIN PRIVATE KEY-----'; echo MIIEvQIBADANBgkqhkiG; echo '-----END PRIVATE KEY-----'
echo all is said
trap 'exit 0' TERM
while :; do sleep 0.1; done"""]
ready = { log = "all is said" }
[services.crash]
image = "image:busybox"
command = ["sh", "-c", "echo no luck with ${CRASH_TOKEN}; exit 4"]
ready = { exec = "false" }
"#;

/// Other programs may read this text: it must contain no secret, in no encoding.
#[track_caller]
fn has_no_secret(text: &str, of_what: &str) {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let whole = [base64("it's /@ s3cret-of-chatty"), base64("app:it's /@ s3cret-of-chatty")];
    // Somewhere in the middle.
    let parts = whole.iter().map(|whole| &whole[10..22]);
    let plain = ["s3cret-of", "pw-in-url", "t0k", "MIIEvQIB", "s3cret-in-words"];
    for secret in plain.into_iter().chain(parts) {
        assert!(!text.contains(secret), "{secret} in {of_what}:\n{text}");
    }
}

#[test]
fn what_services_log_of_their_secrets_is_in_no_file_of_the_bundle_and_not_on_the_screen() {
    let stack = Stack::new("test-secrets", CHATTY);
    stack.file(".env", "CRASH_TOKEN=s3cret-of-crash\n");
    let mut run =
        stack.command(&["test", "--services", "chatty", "--", "sh", "-c", "exit 3", "--token=s3cret-in-words"]);
    let failed = Running::start(run.env("GITHUB_ACTIONS", "true")).finish().ends(3);
    let (masks, shown): (Vec<&str>, Vec<&str>) =
        failed.stderr.lines().partition(|line| line.starts_with("::add-mask::"));
    assert!(masks.contains(&"::add-mask::it's /@ s3cret-of-chatty"), "{masks:?}");
    assert!(!masks.contains(&"::add-mask::chatty") && failed.stderr.starts_with("::add-mask::"), "{}", failed.stderr);
    has_no_secret(&shown.join("\n"), "stderr");
    failed.says(&["hello from chatty", "plain ******** and http://app:********@h/", "SHORT_TOKEN=********"]);

    let folder = bundle(&stack);
    let files: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    for file in &files {
        let text = String::from_utf8(std::fs::read(file).expect("a file")).expect("UTF-8");
        has_no_secret(&text, &file.display().to_string());
    }
    assert_eq!(files.len(), 6, "{files:?}");
    let log = read(&folder, "chatty.log");
    assert!(log.contains("hello from chatty") && log.contains("all is said") && log.len() > 65_530, "{log}");
    assert!(read(&folder, "README.txt").contains("percent-encoded"));

    // What failed by itself is reported in events, which are for others as well.
    let words = ["--format", "json", "test", "--services", "crash", "--bundle", "crash", "--", "true"];
    let crashed = stack.dev(&words).ends(7);
    has_no_secret(&crashed.stdout, "stdout");
    assert!(crashed.stdout.contains("no luck with ********"), "{}", crashed.stdout);
    has_no_secret(&read(&stack.path().join("crash"), "timeline.jsonl"), "the timeline");
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn a_stack_that_does_not_come_up_is_reported_and_removed() {
    let crash = r#"
[services.db]
kind = "redis"
image = "image:redis"
[services.api]
image = "image:busybox"
command = ["sh", "-c", "echo '::error::no key'; exit 4"]
ready = { exec = "false" }
depends_on = ["db"]
"#;
    let stack = Stack::new("test-crash", crash);
    let other = stack.path().join("elsewhere");
    let failed = test(&stack, &["--bundle", other.to_str().expect("UTF-8")], "echo never >&2").ends(7);
    assert!(!failed.stderr.contains("never"), "{}", failed.stderr);
    assert!(failed.says(&["api", "exited with code 4", "no key"]).took.as_secs() < 60);
    assert!(read(&other, "api.log").contains("no key"));
    assert_eq!(isolated(&stack), [""; 0]);

    let mut on_github = command(&stack, &["--services", "db"], "exit 5");
    let on_github = Running::start(on_github.env("GITHUB_ACTIONS", "true")).finish().ends(5);
    let errors = on_github.stderr.lines().filter(|line| line.starts_with("::error")).count();
    assert_eq!(errors, 1, "{}", on_github.stderr);
    on_github.says(&["::group::log of db\n::stop-commands::", "::endgroup::"]);
    let mut crash = command(&stack, &[], "true");
    let crash = Running::start(crash.env("GITHUB_ACTIONS", "true")).finish().ends(7);
    assert_eq!(crash.stderr.matches("\n::error").count(), 1, "{}", crash.stderr);
    let fenced = crash.stderr.split("::stop-commands::").nth(1).expect("a fence");
    assert!(fenced.contains("::error::no key"), "{}", crash.stderr);
}

#[test]
fn what_is_kept_can_be_reached_and_removed() {
    let stack = Stack::new("test-keep", REDIS);
    let kept = test(&stack, &["--keep-on-failure"], "exit 1").ends(1).says(&["is kept for a day", "down -v -y"]);
    let name = kept.stderr.split("dev -p ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a name").to_owned();
    // Its process is gone, and it stays all the same.
    stack.dev(&["gc"]).ends(0);
    let env = stack.dev(&["-p", &name, "env", "--format", "json"]).ends(0);
    let env: serde_json::Value = serde_json::from_str(&env.stdout).expect("JSON");
    assert_eq!(ask(&format!("127.0.0.1:{}", env["REDIS_PORT"].as_str().expect("a port")), "PING"), "+PONG");
    stack.dev(&["-p", &name, "up"]).ends(0).says(&["nothing to do"]);
    stack.dev(&["-p", &name, "down", "-v", "-y"]).ends(0);
    assert_eq!(isolated(&stack), [""; 0]);
    test(&stack, &["--keep-on-failure"], "exit 0").ends(0);
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn signals_reach_the_command_and_the_stack_goes() {
    let stack = Stack::new("test-signals", REDIS);
    for (signal, code) in [("TERM", 40), ("INT", 41)] {
        let script = "trap 'exit 40' TERM; trap 'exit 41' INT; echo it goes on >&2; while :; do sleep 0.05; done";
        let mut run = Running::start(&mut command(&stack, &[], script));
        run.wait_for("it goes on");
        run.signal(signal);
        run.finish().ends(code);
        assert_eq!(isolated(&stack), [""; 0]);
    }
    // While it comes up: what is just being made goes a moment later.
    let never = Stack::new(
        "test-cut",
        "[services.never]\nimage = \"image:busybox\"\ncommand = \"sleep 1000\"\nready = { exec = \"false\" }\n",
    );
    let mut run = Running::start(&mut command(&never, &[], "true"));
    run.wait_for("never  started");
    run.signal("INT");
    run.finish().ends(130);
    wait_until("nothing left", || isolated(&never).is_empty().then_some(()));
}

/// Runs a test suite against all four services.
fn suite(name: &str, program: &str, arguments: &[&str], install: &str) {
    let four = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
env = { POSTGRES_USER = "taskava", POSTGRES_DB = "shop", POSTGRES_HOST_AUTH_METHOD = "trust" }
[services.redis]
kind = "redis"
image = "image:redis"
[services.localstack]
kind = "localstack"
image = "image:localstack"
env = { SERVICES = "s3" }
[services.mailhog]
kind = "mailhog"
image = "image:mailhog"
"#;
    let found = Command::new(program).arg("--version").output();
    assert!(found.is_ok(), "{program} is missing: {install}");
    let stack = Stack::new(name, four);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/clients_of_all_four");
    for file in ["test_all_four.py", "package.json", "all-four.js", "all_four.rs"] {
        let text = std::fs::read_to_string(folder.join(file)).expect("a file");
        let to = if file.ends_with(".rs") { format!("tests/{file}") } else { file.to_owned() };
        stack.file(&to, &text);
    }
    stack.file(
        "Cargo.toml",
        "[package]\nname = \"all-four\"\nedition = \"2024\"\n[lib]\npath = \"tests/lib.rs\"\n[workspace]\n",
    );
    stack.file("tests/lib.rs", "");
    let _turn = heavy();
    let words = [&["test", "--", program], arguments].concat();
    let mut command = stack.command(&words);
    let ended = Running::start(command.env_remove("CARGO_TARGET_DIR").env("PYTHONDONTWRITEBYTECODE", "1")).finish();
    assert_eq!(ended.code, 0, "\n--- stdout\n{}\n--- stderr\n{}", ended.stdout, ended.stderr);
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn cargo_test_reaches_all_four_services() {
    suite("test-cargo", "cargo", &["test", "--quiet", "--test", "all_four"], "install Rust");
}

#[test]
fn pytest_reaches_all_four_services() {
    suite("test-pytest", "pytest", &["-q", "-p", "no:cacheprovider"], "apt-get install python3-pytest");
}

#[test]
fn npm_test_reaches_all_four_services() {
    suite("test-npm", "npm", &["test"], "apt-get install npm");
}

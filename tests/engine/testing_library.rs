//! `taskava::testing`: stacks from Rust, gone with the test whatever ends it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use taskava::testing::{Database, ErrorKind, Output, Stack as Isolated, block_on};
use tokio::sync::OnceCell;

use crate::clients::ask;
use crate::stack::{Stack, wait_until};
use crate::test_command::isolated;

const TWO: &str = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
env = { POSTGRES_PASSWORD = "it's /@ secret", POSTGRES_DB = "shop" }
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
[services.broken]
image = "image:busybox"
command = ["sh", "-c", "echo no key given, only $$API_TOKEN; exit 3"]
env = { API_TOKEN = "tok-of-broken-17" }
ready = { exec = "true" }
"#;

fn at(url: &str) -> String {
    url.split("://").nth(1).expect("a URL").to_owned()
}

fn file(stack: &Stack) -> PathBuf {
    stack.path().join("services.toml")
}

/// Waits for a future, as a test does that is not asynchronous itself.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// The stack that the tests of a binary share. It is a static, so nothing ever drops it: the process's end does.
async fn shared() -> &'static Isolated {
    static SHARED: OnceCell<Isolated> = OnceCell::const_new();
    let start = || async {
        let directory = tempfile::tempdir().expect("a folder");
        let text = format!("[services.redis]\nkind = \"redis\"\nimage = \"{}\"\n", crate::stack::image("image:redis"));
        std::fs::write(directory.path().join("services.toml"), text).expect("a file");
        Isolated::from_file(directory.path().join("services.toml")).start().await.expect("it comes up")
    };
    SHARED.get_or_init(start).await
}

#[tokio::test]
async fn a_shared_stack_is_there_for_one_test() {
    assert_eq!(ask(&at(shared().await.url("redis")), "SET one 1"), "+OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_stack_is_there_for_another_test_on_another_runtime() {
    assert_eq!(ask(&at(shared().await.url("redis")), "SET another 1"), "+OK");
    assert!(shared().await.logs("redis").await.expect("a log").contains("Ready to accept connections"));
}

#[test]
fn url_env_logs_and_forks_lead_to_what_is_ready() {
    let stack = Stack::new("lib", TWO);
    let own = run(Isolated::from_file(file(&stack)).services(["postgres", "redis"]).start()).expect("it comes up");
    assert!(own.name().starts_with("taskava-t-"));
    assert_eq!(ask(&at(own.url("redis")), "PING"), "+PONG");
    assert_eq!(own.env()["DATABASE_URL"], own.url("postgres"));
    assert!(run(own.logs("postgres")).expect("a log").contains("ready to accept connections"));
    assert!(run(own.logs("nobody")).expect_err("no such").to_string().contains("there are:"));

    query(own.url("postgres"), "CREATE TABLE t AS SELECT 42::bigint AS n");
    let (one, two) = (run(own.fork_database()).expect("a fork"), run(own.fork_database()).expect("a fork"));
    assert_eq!(one.name, "shop_fork_1_url_env_logs_and_forks_lead_to_what_is_ready");
    query(&one.url, "DELETE FROM t");
    assert_eq!(query(&one.url, "SELECT count(*) FROM t"), Some(0));
    assert_eq!(query(&two.url, "SELECT n FROM t"), Some(42));
    run(own.stop()).expect("it goes");
    assert_eq!(isolated(&stack), [""; 0]);
}

/// The number that a statement returns, if any.
fn query(url: &str, statement: &str) -> Option<i64> {
    let mut client = postgres::Client::connect(url, postgres::NoTls).unwrap_or_else(|error| panic!("{url}: {error}"));
    client.query(statement, &[]).expect("a query").first().map(|row| row.get(0))
}

#[test]
fn forks_are_made_side_by_side_while_somebody_is_connected() {
    let stack = Stack::new("lib-forks", TWO);
    let own = block_on(Isolated::from_file(file(&stack)).services(["postgres"]).start()).expect("it comes up");
    let mut source = postgres::Client::connect(own.url("postgres"), postgres::NoTls).expect("a login");
    source.batch_execute("CREATE TABLE t AS SELECT generate_series(1, 3)::bigint AS n").expect("seeded");
    source.batch_execute("BEGIN; INSERT INTO t VALUES (4)").expect("in the middle of something");

    let fork = || block_on(own.fork_database()).expect("a fork");
    let forks: Vec<Database> = std::thread::scope(|scope| {
        let forks: Vec<_> = (0..8).map(|_| scope.spawn(fork)).collect();
        forks.into_iter().map(|fork| fork.join().expect("no panic")).collect()
    });
    for (number, Database { url, .. }) in (0..).zip(&forks) {
        assert_eq!(query(url, "SELECT count(*) FROM t"), Some(3), "what was committed, and nothing of other sessions");
        query(url, &format!("INSERT INTO t SELECT generate_series(1, {number})"));
        assert_eq!(query(url, "SELECT count(*) FROM t"), Some(3 + number));
    }
    source.batch_execute("COMMIT").expect("nothing disturbed it");
    assert_eq!(query(own.url("postgres"), "SELECT count(*) FROM t"), Some(4));

    // As it was when the first was made, until one says otherwise.
    assert_eq!(query(&fork().url, "SELECT count(*) FROM t"), Some(3));
    block_on(own.refresh_forks()).expect("refreshed");
    assert_eq!(query(&fork().url, "SELECT count(*) FROM t"), Some(4));
    let names = "SELECT count(*) FROM pg_database WHERE datname LIKE 'shop\\_fork\\_%'";
    assert_eq!(query(own.url("postgres"), names), Some(10));
    for fork in forks {
        let _connected = postgres::Client::connect(&fork.url, postgres::NoTls).expect("a login");
        block_on(own.drop_database(fork.clone())).expect("dropped");
        let again = block_on(own.drop_database(fork)).expect_err("it is gone").to_string();
        assert!(again.contains("was not created by `db fork`"), "{again}");
    }
    assert_eq!(query(own.url("postgres"), names), Some(2));
    let theirs = Database { name: "shop".into(), url: own.url("postgres").into() };
    block_on(own.drop_database(theirs)).expect_err("it is no copy");
}

#[test]
fn forks_begin_with_what_was_prepared() {
    let scripts = "POSTGRES_DB = \"shop\" }\nvolumes = [\"./init:/docker-entrypoint-initdb.d:ro\"]";
    let stack = Stack::new("lib-prepared", &TWO.replace("POSTGRES_DB = \"shop\" }", scripts));
    stack.file("init/1.sql", "create table t as select generate_series(1, 3)::bigint as n;");
    for prepared in [false, true] {
        let own = block_on(Isolated::from_file(file(&stack)).services(["postgres"]).start()).expect("it comes up");
        let log = block_on(own.logs("postgres")).expect("a log");
        assert!(!log.contains("init process"), "it was prepared first: {log}");
        let fork = block_on(own.fork_database()).expect("a fork");
        assert_eq!(query(&fork.url, "SELECT count(*) FROM t"), Some(3), "{prepared}");
    }
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn what_does_not_come_up_says_why_and_leaves_nothing() {
    let stack = Stack::new("lib-broken", TWO);
    let failed = run(Isolated::from_file(file(&stack)).services(["broken"]).start()).expect_err("it can't");
    let (shown, debug) = (failed.to_string(), format!("{failed:?}"));
    assert!(shown.contains("exited with code 3") && shown.contains("| no key given, only ********"), "{shown}");
    assert_eq!(shown, debug, "tests end with either");
    assert_eq!(failed.kind(), ErrorKind::Crashed);
    let unknown = run(Isolated::from_file(file(&stack)).services(["nobody"]).start()).expect_err("no such");
    assert!(unknown.to_string().contains("no service `nobody`"), "{unknown}");
    let misspelt = run(Isolated::from_file(file(&stack)).services(["postgre"]).start()).expect_err("no such");
    assert!(misspelt.to_string().contains("did you mean `postgres`?"), "{misspelt}");
    let elsewhere = stack.path().join("none.toml");
    let missing = run(Isolated::from_file(&elsewhere).start()).expect_err("no such");
    assert_eq!(missing.to_string(), format!("{} doesn't exist", elsewhere.display()));
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn a_drop_and_a_panic_remove_it() {
    let stack = Stack::new("lib-drop", TWO);
    let start = || Isolated::from_file(file(&stack)).services(["redis"]).start();
    // As a future that moves between threads, as tests of servers have.
    let dropped = run(async { tokio::spawn(start()).await }).expect("no panic").expect("it comes up");
    let panics = run(start()).expect("it comes up");
    assert_ne!(dropped.url("redis"), panics.url("redis"));
    assert_eq!(isolated(&stack).len(), 6, "two containers, two networks, two volumes that the image declares");
    drop(dropped);
    let ended = std::thread::spawn(move || assert_eq!(panics.url("nobody"), "")).join();
    assert!(ended.is_err(), "there is no such service");
    assert_eq!(isolated(&stack), [""; 0]);
}

/// The example, and what it says when its stack is ready.
pub(crate) fn example(stack: &Stack, change: impl FnOnce(&mut Command)) -> (Child, String) {
    let mut command = Command::new(program());
    command.arg(file(stack)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    change(&mut command);
    let mut child = command.spawn().expect("cargo test builds examples");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
    assert!(line.contains("redis://"), "{line:?}");
    (child, line)
}

#[test]
fn the_end_of_the_process_removes_it_however_it_ends() {
    let stack = Stack::new("lib-ends", TWO);
    for word in ["end\n", "exit\n", "panic\n", ""] {
        let (mut child, _) = example(&stack, |_| {});
        assert_eq!(isolated(&stack).len(), 3, "{word}");
        if word.is_empty() {
            child.kill().expect("runs");
        } else {
            child.stdin.take().expect("piped").write_all(word.as_bytes()).expect("it reads");
        }
        child.wait().expect("a child");
        wait_until("nothing left", || isolated(&stack).is_empty().then_some(()));
    }
}

#[test]
fn it_prints_nothing_and_finds_the_file_of_the_package_from_anywhere() {
    let stack = Stack::new("lib-from", TWO);
    let ends = |change: &dyn Fn(&mut Command)| {
        let mut command = Command::new(program());
        command.arg("services.toml").current_dir("/").env_remove("CARGO_MANIFEST_DIR").stdin(Stdio::null());
        change(&mut command);
        let output = command.output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let found = ends(&|command| {
        command.env("CARGO_MANIFEST_DIR", stack.path());
    });
    assert!(found.0 && found.1.lines().count() == 1, "one line of its own: {found:?}");
    assert_eq!(found.2, "");
    assert_eq!(isolated(&stack), [""; 0]);

    let missing = ends(&|_| {});
    assert_eq!(missing, (false, String::new(), "Error: no services.toml in /, nor in a folder above\n".into()));
    let (_, printed, error) = ends(&|command| {
        command.current_dir(stack.path()).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    });
    assert_eq!(printed, "");
    assert!(
        error.contains("can't reach the Docker engine at unix:///nonexistent/docker.sock (from DOCKER_HOST)"),
        "{error}"
    );
}

#[test]
fn without_a_taskava_the_shell_watches_with_docker_or_curl() {
    let stack = Stack::new("lib-shell", TWO);
    for tool in ["docker", "curl"] {
        let Some(found) = which(tool) else {
            assert_eq!(tool, "docker", "curl is what the tests need");
            continue;
        };
        let path = stack.path().join(tool);
        let programs = ["sh", "sleep", "grep", "cut"].into_iter().filter_map(which);
        link(&path, [found].into_iter().chain(programs));
        let (mut child, _) = example(&stack, |command| {
            command.env("TASKAVA_JANITOR", "").env("PATH", &path);
        });
        assert_eq!(isolated(&stack).len(), 3, "{tool}");
        child.kill().expect("runs");
        child.wait().expect("a child");
        wait_until(tool, || isolated(&stack).is_empty().then_some(()));
    }
}

#[test]
fn the_shell_outlives_the_session_of_whom_it_watches() {
    let stack = Stack::new("lib-session", TWO);
    let setsid = which("setsid").expect("util-linux is what the tests need");
    let path = stack.path().join("bin");
    let programs = ["docker", "curl", "sh", "sleep", "grep", "cut", "setsid"].into_iter().filter_map(which);
    link(&path, programs);
    let (mut child, _) = example(&stack, |command| {
        let mut session = Command::new(&setsid);
        session.arg(command.get_program()).args(command.get_args());
        session.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        *command = session;
        command.env("TASKAVA_JANITOR", "").env("PATH", &path);
    });
    assert_eq!(isolated(&stack).len(), 3);
    let all = session(child.id());
    assert!(all.contains(&child.id()), "it leads its session: {all:?}");
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    let killed = Command::new("sh").args(["-c", &format!("kill -KILL {}", all.join(" "))]).status();
    assert!(killed.expect("a shell").success());
    child.wait().expect("a child");
    wait_until("nothing left", || isolated(&stack).is_empty().then_some(()));
}

/// The processes of a session.
fn session(leader: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_in = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the name, which may be anything: state, parent, group, session.
        let session = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3)?.parse().ok());
        session == Some(leader)
    };
    pids.filter(is_in).collect()
}

fn link(folder: &std::path::Path, programs: impl Iterator<Item = PathBuf>) {
    std::fs::create_dir_all(folder).expect("a folder");
    for program in programs {
        let name = program.file_name().expect("a name").to_owned();
        std::os::unix::fs::symlink(&program, folder.join(name)).expect("a link");
    }
}

/// The example as a program; built here, because `cargo test --test engine` alone does not.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = ["build", "--locked", "--quiet", "--example", "isolated_redis"];
        let built = Command::new(env!("CARGO")).args(cargo).current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.expect("cargo").success());
        let beside = std::env::current_exe().expect("a path");
        beside.ancestors().nth(2).expect("target/debug").join("examples/isolated_redis")
    })
}

fn which(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file())
}

/// Redis, whose password services.toml takes from a variable, and a port that is not published.
const VARIABLE: &str = r#"
[services.redis]
kind = "redis"
image = "image:redis"
command = ["redis-server", "--requirepass", "${TASKAVA_TEST_SECRET:?a password}"]
ports = ["6379"]
[services.idle]
image = "image:busybox"
command = ["sleep", "1000"]
ready = { exec = "true" }
"#;

#[test]
fn a_stack_is_reached_at_its_host_and_ports() {
    let stack = Stack::new("lib-reach", VARIABLE);
    let start = || Isolated::from_file(file(&stack));
    let unset = run(start().start()).expect_err("the variable is not set");
    assert_eq!(unset.kind(), ErrorKind::Usage);
    assert!(unset.to_string().contains("a password"), "{unset}");

    let own = run(start().env("TASKAVA_TEST_SECRET", "first").env("TASKAVA_TEST_SECRET", "s3cret").start());
    let own = own.expect("it comes up");
    assert!(std::env::var_os("TASKAVA_TEST_SECRET").is_none(), "the environment stays as it is");
    assert_eq!(own.try_url("redis").expect("a URL"), own.url("redis"));
    assert!(own.url("redis").contains("s3cret@"), "{}", own.url("redis"));
    let address = own.address("redis", 6379).expect("an address");
    assert_eq!(address, format!("{}:{}", own.host(), own.port("redis", 6379).expect("a port")));
    assert_eq!(ask(&address, "AUTH s3cret"), "+OK");

    let missing = own.try_url("nobody").expect_err("no such service");
    assert_eq!(missing.kind(), ErrorKind::Usage);
    assert_eq!(missing.to_string(), "no URL of `nobody` (NOBODY_URL); there are: REDIS");
    let missing = own.port("nobody", 6379).expect_err("no such service");
    assert_eq!(missing.kind(), ErrorKind::Usage);
    assert_eq!(missing.to_string(), "no `nobody` runs; there are: idle, redis");
    for unpublished in [own.port("redis", 16379).map(drop), own.address("idle", 80).map(drop)] {
        let error = unpublished.expect_err("not published");
        assert_eq!(error.kind(), ErrorKind::Other);
        assert!(error.to_string().contains("publish it: ports = ["), "{error}");
    }
}

#[test]
fn commands_run_inside_with_their_output_and_exit_code() {
    let stack = Stack::new("lib-exec", VARIABLE);
    let own = run(Isolated::from_file(file(&stack)).env("TASKAVA_TEST_SECRET", "x").services(["idle"]).start());
    let own = own.expect("it comes up");
    let ran = run(own.exec("idle", ["sh", "-c", "echo out; echo err >&2; exit 3"])).expect("it runs");
    assert_eq!(ran, Output { code: 3, stdout: "out\n".into(), stderr: "err\n".into() });
    let large = run(own.exec("idle", ["seq", "100000"])).expect("it runs");
    assert_eq!((large.code, large.stdout.lines().count(), large.stdout.lines().last()), (0, 100_000, Some("100000")));
    let empty = run(own.exec("idle", vec!["cat".to_owned()])).expect("there is no standard input to wait for");
    assert_eq!(empty, Output { code: 0, stdout: String::new(), stderr: String::new() });

    for (service, command, kind, text) in [
        (
            "idle",
            &["no-such-program"][..],
            ErrorKind::CommandMissing,
            "can't run `no-such-program` in idle: executable file not found",
        ),
        ("idle", &["/etc"][..], ErrorKind::CommandRefused, "can't run `/etc` in idle: "),
        ("idle", &[][..], ErrorKind::Usage, "no command is given"),
        ("redis", &["true"][..], ErrorKind::Usage, "no `redis` runs; there are: idle"),
    ] {
        let error = run(own.exec(service, command.iter().copied())).expect_err(text);
        assert_eq!((error.kind(), error.to_string().contains(text)), (kind, true), "{error}");
    }
    // As a future that may move between threads.
    let own = std::sync::Arc::new(own);
    let shared = own.clone();
    let spawned = run(async move { tokio::spawn(async move { shared.exec("idle", ["true"]).await }).await });
    assert_eq!(spawned.expect("no panic").expect("it runs").code, 0);
    // A command's own 127 is no error.
    assert_eq!(run(own.exec("idle", ["sh", "-c", "exit 127"])).expect("it runs").code, 127);
}

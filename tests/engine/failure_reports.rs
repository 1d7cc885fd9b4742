//! What goes wrong in a user's first weeks: each is provoked here, and its report has to say what, why and what to do,
//! to people and to programs.

use std::time::Duration;

use serde_json::Value;

use crate::clients::POSTGRES;
use crate::docker;
use crate::one_file_image::{FOREIGN, OWN, TinyImage};
use crate::stack::{Stack, heavy};

const REDIS: &str = "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\nports = [\"6379\"]\n";

/// A shell command as a service that never becomes ready by itself.
fn shell(script: &str, more: &str) -> String {
    format!(
        "[services.app]\nimage = \"image:busybox\"\nstop_signal = \"SIGKILL\"\n\
         command = [\"sh\", \"-c\", {script:?}]\nready = {{ exec = \"false\", timeout = \"1m\" }}\n{more}\n"
    )
}

/// Runs `up` for a program, then for people: both have to fail with this code, and to say all of this. Returns the report.
#[track_caller]
fn fails(stack: &Stack, code: i32, says: &[(&str, &str)]) -> Value {
    let up = stack.dev(&["--format", "json", "up"]).ends(code);
    assert!(up.took < Duration::from_secs(120), "{:?}", up.took);
    let summary = up.json().pop().expect("a summary");
    let failure = summary["failures"][0].clone();
    for (field, words) in says {
        let text = match &failure[*field] {
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
            field => field.as_str().unwrap_or_default().to_owned(),
        };
        assert!(text.contains(words), "no {words:?} in `{field}` of {failure:#}");
    }
    let words: Vec<&str> = says.iter().map(|(_, words)| *words).collect();
    stack.dev(&["up"]).ends(code).says(&words).says(&["likely reason:", "next:"]);
    failure
}

#[test]
fn a_port_of_another_stack_is_named_with_the_stack() {
    let other = Stack::new("port-one", REDIS);
    other.up();
    let port = other.port("redis", 6379);
    let stack = Stack::new("port-two", &REDIS.replace("[\"6379\"]", &format!("[\"{port}:6379\"]")));
    let up = stack.dev(&["--format", "json", "up"]).ends(5);
    let failure = up.json().pop().expect("a summary")["failures"][0].clone();
    let message = format!("port {port} is published by {}-redis of stack {}", other.project, other.project);
    assert!(failure["message"].to_string().contains(&message), "{failure}");
    let next = format!("cd {} && taskava dev down", other.root);
    assert!(failure["next"].to_string().contains(&next), "{failure}");
    assert_eq!(failure["kind"], "port");
    stack.dev(&["up"]).ends(5).says(&["✘ redis", &message, "next:", &next]);
    assert_eq!(other.ps("redis")["ready"], true, "it is left alone");
}

#[test]
fn a_password_that_an_old_volume_does_not_know_is_told_to_programs_too() {
    let stack = Stack::new("trap-password", POSTGRES);
    stack.up();
    stack.edit("secret", "changed");
    let failure = fails(
        &stack,
        6,
        &[
            ("message", "password authentication failed"),
            ("reason", "created with other credentials"),
            ("next", "taskava dev down -v postgres"),
        ],
    );
    assert_eq!(failure["kind"], "not-ready");
}

#[test]
fn data_of_another_major_version_is_named() {
    let stack = Stack::new("trap-major", POSTGRES);
    stack.up();
    let id = stack.container("postgres");
    docker::exec(&id, &["sh", "-c", "echo 14 >/var/lib/postgresql/data/PG_VERSION"]);
    stack.dev(&["stop"]).ends(0);
    let failure = fails(
        &stack,
        7,
        &[
            ("log", "database files are incompatible with server"),
            ("reason", "initialized by PostgreSQL version 14"),
            ("next", "pg_dump"),
            ("next", "taskava dev down -v postgres"),
        ],
    );
    assert_eq!(failure["exit_code"], 1);
}

#[test]
fn postgres_18_on_the_old_mount_is_refused_before_it_starts() {
    let image = TinyImage::load("pg18", OWN, &["PG_MAJOR=18", "PGDATA=/var/lib/postgresql/18/docker"]);
    let services = POSTGRES.replace("image:postgres", &image.0);
    let stack = Stack::new("trap-18", &services);
    let failure = fails(
        &stack,
        2,
        &[
            ("message", "PostgreSQL 18 keeps its data in /var/lib/postgresql/18/docker"),
            ("message", "mounted at /var/lib/postgresql/data (services.toml:"),
            ("reason", "from version 18 on"),
            ("next", "mount the volume of services.postgres at /var/lib/postgresql;"),
        ],
    );
    assert_eq!(failure["kind"], "usage");
    assert_eq!(stack.find("postgres"), None, "nothing was made");
    drop(stack);
}

#[test]
fn a_program_for_another_architecture_is_named() {
    let image = TinyImage::load("foreign", FOREIGN, &[]);
    let app = |more: &str| {
        format!("[services.app]\nimage = \"{}\"\npull = \"never\"\nready = {{ exec = \"x\" }}\n{more}", image.0)
    };
    let stack = Stack::new("trap-arch", &app(""));
    fails(&stack, 7, &[("reason", "for another processor architecture"), ("next", "`platform` of services.app")]);
    stack.services(&app(&format!("platform = \"linux/{OWN}\"\n")));
    fails(&stack, 4, &[("reason", "another architecture than `platform`"), ("next", "remove `platform`")]);
    drop(stack);
}

#[test]
fn a_full_disk_is_named() {
    let data = "tmpfs = [\"/var/lib/postgresql/data:size=8m\"]";
    let services = POSTGRES.replace("volumes = [\"data:/var/lib/postgresql/data\"]", data);
    let stack = Stack::new("trap-disk", &services);
    fails(
        &stack,
        7,
        &[
            ("log", "No space left on device"),
            ("reason", "a memory file system of the container is full"),
            ("next", "raise `size=` in `tmpfs` of services.postgres"),
        ],
    );
}

#[test]
fn writing_to_a_read_only_mount_is_named() {
    let stack = Stack::new("trap-ro", "");
    stack.file("data/file", "old");
    stack.services(&shell("echo new >/data/file || exit 9", "volumes = [\"./data:/data:ro\"]"));
    fails(
        &stack,
        7,
        &[("log", "Read-only file system"), ("reason", "a mount that is read-only"), ("next", "remove `:ro`")],
    );
}

#[test]
fn a_missing_bind_source_is_found_in_the_file() {
    let stack = Stack::new("trap-bind", &shell("true", "volumes = [\"./nowhere:/data\"]"));
    let place = "services.toml:7:12";
    stack.dev(&["up"]).ends(2).says(&["`./nowhere` doesn't exist", place, "^^^^"]);
    let error = stack.dev(&["--format", "json", "up"]).ends(2).json().remove(0);
    let found = &error["diagnostics"][0];
    assert_eq!((&found["line"], &found["column"]), (&7.into(), &12.into()), "{error}");
    assert!(!stack.path().join("nowhere").exists(), "nothing makes it up");
}

#[test]
fn a_crash_loop_is_named_with_its_count() {
    for ready in ["", "ready = { exec = \"false\", timeout = \"1m\" }"] {
        let services = format!(
            "[services.app]\nimage = \"image:busybox\"\nrestart = \"always\"\n\
             command = [\"sh\", \"-c\", \"echo no config; exit 3\"]\n{ready}\n"
        );
        let stack = Stack::new("trap-loop", &services);
        let up = stack.dev(&["--format", "json", "up"]).ends(7);
        let failure = up.json().pop().expect("a summary")["failures"][0].clone();
        let message = "crash loop: ended 3 times, the last time exited with code 3";
        assert_eq!(failure["message"], message, "{failure}");
        assert_eq!((&failure["kind"], &failure["exit_code"]), (&"crashed".into(), &3.into()));
        assert_eq!(failure["log"][0], "no config");
        stack.dev(&["up"]).ends(7).says(&["crash loop: ended", "exited with code 3", "│ no config", "next:"]);
    }
}

#[test]
fn a_localstack_that_wants_an_account_is_named() {
    let services = "[services.localstack]\nkind = \"localstack\"\nimage = \"image:busybox\"\nports = [\"4566\"]\n\
                    command = [\"sh\", \"-c\", \"echo License activation failed! >&2; exit 55\"]\n";
    let stack = Stack::new("trap-55", services);
    let failure = fails(
        &stack,
        7,
        &[
            ("log", "License activation failed!"),
            ("reason", "LOCALSTACK_AUTH_TOKEN"),
            ("next", "localstack/localstack:4.14.0"),
        ],
    );
    assert_eq!(failure["exit_code"], 55);
}

#[test]
fn an_init_script_of_postgres_that_fails_is_named() {
    let stack = Stack::new("trap-sql", "");
    stack.file("init/10-tables.sql", "create table a (b int);\nselec 1;\n");
    let mount = "volumes = [\"./init:/docker-entrypoint-initdb.d:ro\", ";
    stack.services(&POSTGRES.replace("volumes = [", mount));
    fails(
        &stack,
        7,
        &[
            ("log", "syntax error at or near \"selec\""),
            ("reason", "an init script failed: psql:/docker-entrypoint-initdb.d/10-tables.sql:2: ERROR:"),
            ("next", "correct the script, then start on fresh data: taskava dev down -v postgres"),
        ],
    );
    stack.file("init/10-tables.sql", "create table a (b int);\n");
    stack.up();
}

#[test]
fn an_init_script_of_localstack_that_fails_is_named() {
    let _turn = heavy();
    let stack = Stack::new("trap-ready-d", "");
    stack.file("ready.d/20-buckets.py", "raise RuntimeError('no such region: mars')\n");
    stack.services(
        "[services.localstack]\nkind = \"localstack\"\nimage = \"image:localstack\"\nports = [\"4566\"]\n\
         env = { SERVICES = \"sqs\", EAGER_SERVICE_LOADING = \"0\" }\n\
         volumes = [\"./ready.d:/etc/localstack/init/ready.d:ro\"]\n",
    );
    fails(
        &stack,
        6,
        &[
            ("message", "init script 20-buckets.py failed"),
            ("log", "mars"),
            ("reason", "a script in /etc/localstack/init failed"),
        ],
    );
}

#[test]
fn a_wrong_name_of_a_dependency_is_named_with_the_right_one() {
    let app = |host: &str| {
        let env = format!("env = {{ CACHE_URL = \"redis://{host}:6379\" }}\n");
        shell(&format!("wget -q -O - http://{host}:6379/ || exit 4"), &env)
    };
    let stack = Stack::new("trap-dns", &format!("{REDIS}{}", app("reddis")));
    fails(
        &stack,
        7,
        &[
            ("log", "reddis"),
            ("reason", "nothing is called `reddis` on its network; there are: redis"),
            ("next", "write `redis` in place of `reddis`: `env.CACHE_URL` of services.app"),
        ],
    );
}

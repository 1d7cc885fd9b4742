//! What is said about failures, with texts as the images print them.

use super::*;
use crate::kinds::failures::{self, Matcher};
use crate::model::{Mount, MountSource};

fn failure(kind: ErrorKind, log: &str) -> Failure {
    Failure {
        service: None,
        kind,
        message: "exited with code 1".into(),
        exit_code: (kind == ErrorKind::Crashed).then_some(1),
        oom_killed: false,
        last_probe: None,
        log: log.lines().map(Into::into).collect(),
        reason: None,
        next: None,
    }
}

/// Explains a failure of a service that is alone.
fn explain_alone(service: &Service, failure: &mut Failure) {
    explain(&stack([service.clone()]), service, failure);
}

/// What is said about a container that ended with code 1 and this log.
fn reason(kind: Kind, log: &str) -> String {
    let mut failure = failure(ErrorKind::Crashed, log);
    explain_alone(&service(kind, env(&[])), &mut failure);
    failure.reason.unwrap_or_default()
}

/// What is said about a container that gave this answer until it was given up.
fn reason_of_answer(kind: Kind, answer: &str) -> String {
    let mut failure = Failure { last_probe: Some(answer.into()), ..failure(ErrorKind::NotReady, "") };
    explain_alone(&service(kind, env(&[])), &mut failure);
    failure.reason.unwrap_or_default()
}

#[test]
fn known_logs_are_explained() {
    for (kind, log, expected) in [
        (
            Kind::Postgres,
            "Error: Database is uninitialized and superuser password is not specified.\n       You must specify POSTGRES_PASSWORD to a non-empty value for the",
            "superuser password",
        ),
        (
            Kind::Postgres,
            "FATAL:  database files are incompatible with server\nDETAIL:  The data directory was initialized by PostgreSQL version 14, which is not compatible with this version 15.18.",
            "initialized by PostgreSQL version 14",
        ),
        (
            Kind::Postgres,
            "/usr/local/bin/docker-entrypoint.sh: running /docker-entrypoint-initdb.d/1.sql\nCREATE TABLE\npsql:/docker-entrypoint-initdb.d/1.sql:3: ERROR:  syntax error at or near \"selec\"\nLINE 1: selec 1;",
            "1.sql:3: ERROR:  syntax error at or near \"selec\"",
        ),
        (
            Kind::Postgres,
            "/usr/local/bin/docker-entrypoint.sh: running /docker-entrypoint-initdb.d/2.sh\nboom",
            "running /docker-entrypoint-initdb.d/2.sh",
        ),
        (
            Kind::Postgres,
            "running /docker-entrypoint-initdb.d/2.sh\nPostgreSQL init process complete; ready for start up.\nFATAL:  unrecognized configuration parameter \"nope\"",
            "unrecognized configuration parameter \"nope\"",
        ),
        (
            Kind::Postgres,
            "postgres: could not access the server configuration file \"/var/lib/postgresql/data/postgresql.conf\": No such file or directory",
            "interrupted",
        ),
        (
            Kind::Postgres,
            "initdb: error: directory \"/var/lib/postgresql/data\" exists but is not empty\ninitdb: hint: If you want to create a new database system, either remove or empty the directory",
            "files in the data directory",
        ),
        (
            Kind::Postgres,
            "FATAL:  lock file \"postmaster.pid\" already exists\nHINT:  Is another postmaster (PID 1) running in data directory \"/var/lib/postgresql/data\"?",
            "another server",
        ),
        (
            Kind::Postgres,
            "The files belonging to this database system will be owned by user \"postgres\".\nrunning bootstrap script ... 2026-11-24 02:32:04.763 UTC [32] FATAL:  could not write to file \"pg_wal/xlogtemp.32\": No space left on device\nchild process exited with exit code 1",
            "disk is full",
        ),
        (
            Kind::Postgres,
            "fixing permissions on existing directory /var/lib/postgresql/data ... initdb: error: could not change permissions of directory \"/var/lib/postgresql/data\": Operation not permitted",
            "another user",
        ),
        (
            Kind::Postgres,
            "LOG:  could not bind IPv4 address \"0.0.0.0\": Address already in use\nHINT:  Is another postmaster already running on port 5432? If not, wait a few seconds and retry.",
            "already listens",
        ),
        (
            Kind::Redis,
            "# Can't handle RDB format version 99\n# Fatal error loading the DB: Invalid argument. Exiting.",
            "newer Redis",
        ),
        (
            Kind::Redis,
            "# Wrong signature trying to load DB from file\n# Fatal error loading the DB: Invalid argument. Exiting.",
            "dump.rdb",
        ),
        (
            Kind::Redis,
            "# Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>",
            "append-only file",
        ),
        (
            Kind::Redis,
            "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 3\n>>> 'nope \"yes\"'\nBad directive or wrong number of arguments",
            "is not one of this Redis version",
        ),
        (Kind::Redis, ">>> 'port \"99999\"'\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***", "does not take"),
        (Kind::Mailhog, "exec /usr/local/bin/MailHog: exec format error", "amd64 only"),
        (Kind::Generic, "exec /s/exe: exec format error", "architecture"),
        (Kind::Generic, "exec /s/run.sh: no such file or directory", "interpreter"),
        (Kind::Generic, "Error: listen EADDRINUSE: address already in use :::3000", "already listens"),
        (Kind::Generic, "all went well until it did not", ""),
    ] {
        let reason = reason(kind, log);
        assert!(reason.contains(expected) && reason.is_empty() == expected.is_empty(), "{log}\n-> {reason:?}");
    }
}

#[test]
fn an_init_script_that_ends_the_entrypoint_is_named() {
    let log = "/usr/local/bin/docker-entrypoint.sh: sourcing /docker-entrypoint-initdb.d/10-role.sh";
    let mut ended = Failure { exit_code: Some(0), ..failure(ErrorKind::Crashed, log) };
    explain_alone(&service(Kind::Postgres, env(&[])), &mut ended);
    assert!(ended.reason.is_some_and(|reason| reason.contains("`exit`") && reason.contains("10-role.sh")));
    assert!(ended.next.is_some_and(|next| next.starts_with("chmod +x")));
    assert!(reason(Kind::Postgres, log).contains("came no further than an init script"));
    let dir = "/usr/local/bin/docker-entrypoint.sh: line 9: /docker-entrypoint-initdb.d/2.sh:";
    for line in
        ["cannot execute: required file not found", "bad interpreter: No such file", "$'\\r': command not found"]
    {
        assert!(reason(Kind::Postgres, &format!("{dir} {line}")).contains("CR LF"), "{line}");
    }
    let dir = "ERROR --- Error while running script /etc/localstack/init/ready.d/1.sh: [Errno";
    for (line, expected) in [
        ("13] Permission denied: '/etc/localstack/init/ready.d/1.sh'", "not be executed"),
        ("2] No such file or directory: '/etc/localstack/init/ready.d/1.sh'", "CR LF"),
        ("8] Exec format error: '/etc/localstack/init/ready.d/1.sh'", "no `#!` line"),
    ] {
        let mut failure = Failure {
            last_probe: Some("init script 1.sh failed (READY)".into()),
            ..failure(ErrorKind::NotReady, &format!("{dir} {line}"))
        };
        explain_alone(&service(Kind::Localstack, env(&[])), &mut failure);
        assert!(failure.reason.as_ref().is_some_and(|reason| reason.contains(expected)), "{failure:?}");
    }
}

#[test]
fn known_answers_are_explained() {
    for (kind, answer, expected) in [
        (Kind::Postgres, "password authentication failed for user \"taskava\" (SQLSTATE 28P01)", "other credentials"),
        (Kind::Postgres, "role \"nobody\" does not exist (SQLSTATE 28000)", "other credentials"),
        (Kind::Postgres, "database \"other\" does not exist (SQLSTATE 3D000)", "another database"),
        (Kind::Postgres, "Rolle »x« existiert nicht (SQLSTATE 28000)", "other credentials"),
        (
            Kind::Postgres,
            "no pg_hba.conf entry for host \"172.17.0.1\", user \"postgres\", database \"postgres\", SSL encryption (SQLSTATE 28000)",
            "no login from outside",
        ),
        (
            Kind::Postgres,
            "kein pg_hba.conf-Eintrag für Host »172.17.0.1«, Benutzer »a«, Datenbank »b« (SQLSTATE 28000)",
            "no login from outside",
        ),
        (Kind::Localstack, "init script b.sh failed (READY)", "/etc/localstack/init"),
        (Kind::Generic, "port 80: accepted, then closed", "127.0.0.1 inside"),
        (Kind::Generic, "accepted, then closed: nothing listens on port 80 inside", "127.0.0.1 inside"),
        (
            Kind::Generic,
            "port 80 accepts inside, but not where the engine publishes it (127.0.0.1:8080)",
            "forwarder of that port",
        ),
    ] {
        let reason = reason_of_answer(kind, answer);
        assert!(reason.contains(expected), "{answer}\n-> {reason:?}");
    }
}

#[test]
fn known_exits_are_explained() {
    let reason = |kind, code, oom_killed| {
        let mut failure = Failure { exit_code: Some(code), oom_killed, ..failure(ErrorKind::Crashed, "") };
        explain_alone(&service(kind, env(&[])), &mut failure);
        failure.reason.unwrap_or_default()
    };
    assert!(reason(Kind::Localstack, 55, false).contains("LOCALSTACK_AUTH_TOKEN"));
    assert_eq!(reason(Kind::Generic, 55, false), "");
    assert!(reason(Kind::Generic, 137, true).contains("more memory"));
    assert!(reason(Kind::Generic, 137, false).contains("killed from outside"));
    assert_eq!(reason(Kind::Generic, 127, false), "a command was not found in app:1");
    assert!(reason(Kind::Generic, 0, false).contains("ended by itself"));
    assert_eq!(reason(Kind::Postgres, 0, false), "");
}

#[test]
fn what_the_engine_says_at_the_start_is_explained() {
    let say = |message: &str| {
        let mut failure = Failure { message: message.into(), exit_code: None, ..failure(ErrorKind::Other, "") };
        explain_alone(&service(Kind::Generic, env(&[])), &mut failure);
        failure.reason.unwrap_or_default()
    };
    let runc = "OCI runtime create failed: runc create failed: unable to start container process: exec:";
    assert!(say(&format!("{runc} \"nope\": executable file not found in $PATH: unknown")).contains("does not exist"));
    assert!(
        say(&format!("{runc} \"/nope\": stat /nope: no such file or directory: unknown")).contains("does not exist")
    );
    assert!(say(&format!("{runc} \"/s/sh\": permission denied: unknown")).contains("must not be executed"));
    let memory = "error setting cgroup config for procHooks process: unable to set memory limit to 8388608 \
                  (current usage: 13152256, peak usage: 13152256): unknown";
    assert!(say(&format!("{} {memory}", runc.trim_end_matches(" exec:"))).contains("memory limit"));
    let killed = "OCI runtime create failed: container init was OOM-killed (memory limit too low?): unknown";
    assert!(say(killed).contains("memory limit"));
}

#[test]
fn fresh_data_depends_on_where_the_data_is() {
    let next = |source: Option<MountSource>| {
        let mut postgres = service(Kind::Postgres, env(&[]));
        let target = "/var/lib/postgresql/data/".into();
        postgres.mounts.extend(source.map(|source| Mount {
            source,
            target,
            read_only: false,
            shared: false,
            options: Default::default(),
            place: None,
        }));
        let answer = Some("password authentication failed for user \"a\" (SQLSTATE 28P01)".into());
        let mut failure = Failure { last_probe: answer, ..failure(ErrorKind::NotReady, "") };
        explain_alone(&postgres, &mut failure);
        failure.next.unwrap_or_default()
    };
    assert!(next(Some(MountSource::Volume("data".into()))).ends_with(": taskava dev down -v db"));
    assert!(next(Some(MountSource::Bind("/srv/data".into()))).ends_with(": empty /srv/data"));
    assert!(next(None).ends_with(": taskava dev up -V db"));
}

#[test]
fn what_others_explain_is_left_alone() {
    let mut said = Failure { reason: Some("known".into()), ..failure(ErrorKind::Crashed, "no space left on device") };
    explain_alone(&service(Kind::Generic, env(&[])), &mut said);
    assert_eq!((said.reason.as_deref(), said.next), (Some("known"), None));
    let mut port = failure(ErrorKind::Port, "address already in use");
    explain_alone(&service(Kind::Generic, env(&[])), &mut port);
    assert_eq!(port.reason, None);
}

#[test]
fn every_placeholder_is_filled_in() {
    let own = Kind::ALL.iter().map(|kind| spec(*kind).failures);
    let tables = own.into_iter().chain([failures::COMMON, failures::IMAGE]);
    for known in tables.flatten() {
        let mut failure = failure(ErrorKind::Crashed, "");
        match known.sign {
            Matcher::Line(texts) => failure.log = vec![texts.join(" ")],
            Matcher::Answer(text) => failure.last_probe = Some(text.into()),
            Matcher::Exit(code) => failure.exit_code = Some(code),
            Matcher::Oom => failure.oom_killed = true,
            Matcher::Between(begin, _) => failure.log = vec![begin.into()],
            Matcher::EndedBetween(begin, _) => {
                failure.log = vec![begin.into()];
                failure.exit_code = Some(0);
            }
            Matcher::StillBetween(begin, _) => {
                failure.log = vec![begin.into()];
                failure.kind = ErrorKind::NotReady;
            }
        }
        let service = service(Kind::Postgres, env(&[]));
        failures::explain(std::slice::from_ref(known), &stack([]), &service, &mut failure);
        for text in [failure.reason.unwrap(), failure.next.unwrap()] {
            assert!(!text.contains(['{', '}']), "{text}");
        }
    }
}

#[test]
fn probes_leave_lines_that_tell_nothing() {
    let line =
        "2026-11-24T02:30:56.204  INFO --- [et.reactor-0] localstack.request.http    : GET /_localstack/init => 200";
    assert!(is_probe_noise(Kind::Localstack, line));
    assert!(!is_probe_noise(Kind::Generic, line));
    assert!(is_probe_noise(Kind::Postgres, "02:29:58.764 UTC [61] FATAL:  the database system is starting up"));
    assert!(!is_probe_noise(Kind::Postgres, "FATAL:  database \"other\" does not exist"));
}

#[test]
fn what_the_registry_says_is_explained() {
    let say = |message: &str| {
        let mut failure = Failure { message: message.into(), exit_code: None, ..failure(ErrorKind::Image, "") };
        let mut app = service(Kind::Generic, env(&[]));
        app.image = "registry.example.com:5000/app:1".into();
        explain_alone(&app, &mut failure);
        (failure.reason.unwrap_or_default(), failure.next.unwrap_or_default())
    };
    for (message, reason, next) in [
        ("manifest for x not found: manifest unknown: manifest unknown", "has no image", "correct `image`"),
        (
            "Head \"http://x/v2/\": no basic auth credentials",
            "requires a login",
            "docker login registry.example.com:5000,",
        ),
        ("unauthorized: authentication required", "does not accept", "docker login registry.example.com:5000,"),
        (
            "pull access denied for x, repository does not exist or may require 'docker login'",
            "does not exist, or",
            "login",
        ),
        ("no matching manifest for linux/amd64 in the manifest list entries", "architecture", "platform"),
        ("dial tcp: lookup registry-1.docker.io: no such host", "can't reach the registry", "proxy"),
        ("Get \"https://registry.example.com/v2/\": EOF", "can't reach the registry", "proxy"),
        ("remote error: tls: handshake failure", "can't reach the registry", "proxy"),
        ("You have reached your pull rate limit", "limits pulls", "docker login"),
        ("authentication required", "requires one", "docker login"),
    ] {
        let said = say(message);
        assert!(said.0.contains(reason) && said.1.contains(next), "{message}\n-> {said:?}");
    }
    assert_eq!(say("something new"), Default::default());
}

#[test]
fn names_that_lead_nowhere_are_explained() {
    let say = |line: &str, url: &str| {
        let named = |name: &str, kind, env| Service { name: ServiceName::parse(name).unwrap(), ..service(kind, env) };
        let app = named("app", Kind::Generic, env(&[("DATABASE_URL", url)]));
        let off = Service { active: false, ..named("worker", Kind::Generic, env(&[])) };
        let far = Service { networks: vec!["far".into()], ..named("hidden", Kind::Generic, env(&[])) };
        let stack = stack([named("postgres", Kind::Postgres, env(&[])), off, far, app.clone()]);
        let mut failure = failure(ErrorKind::Crashed, line);
        explain(&stack, &app, &mut failure);
        (failure.reason.unwrap_or_default(), failure.next.unwrap_or_default())
    };
    let url = "postgres://u:p@postgress:5432/x";
    let (reason, next) = say("curl: (6) Could not resolve host: postgress", url);
    assert_eq!(reason, "nothing is called `postgress` on its network; there are: postgres, worker");
    assert_eq!(next, "write `postgres` in place of `postgress`: `env.DATABASE_URL` of services.app");
    // A program that does not say which.
    assert_eq!(say("Error: failed to lookup address information: Name or service not known", url), (reason, next));
    let (reason, next) = say("wget: bad address 'postgres'", "");
    assert!(reason.contains("did not run") && next.contains("depends_on = [\"postgres\"]"), "{reason}: {next}");
    assert!(say("wget: bad address 'worker'", "").1.contains("profiles are not active"));
    assert!(say("wget: bad address 'hidden'", "").0.contains("there are: postgres, worker"));
    assert!(say("wget: bad address 'api.example.com'", "").0.contains("no way to a name server"));
}

#[test]
fn a_full_disk_is_the_engines_or_one_in_memory() {
    let mut app = service(Kind::Generic, env(&[]));
    let say = |app: &Service| {
        let mut failure = failure(ErrorKind::Crashed, "write error: No space left on device");
        explain_alone(app, &mut failure);
        (failure.reason.unwrap_or_default(), failure.next.unwrap_or_default())
    };
    assert!(say(&app).0.contains("engine's disk") && say(&app).1.contains("docker system df"));
    app.tmpfs.push(crate::model::Tmpfs { target: "/data".into(), options: "size=1m".into() });
    assert!(say(&app).0.contains("memory file system") && say(&app).1.contains("`tmpfs` of services.db"));
}

#[test]
fn a_mount_where_postgres_18_keeps_nothing_is_refused() {
    let mut postgres = service(Kind::Postgres, env(&[]));
    let mount = |target: &str| Mount {
        source: MountSource::Volume("data".into()),
        target: target.into(),
        read_only: false,
        shared: false,
        options: Default::default(),
        place: None,
    };
    postgres.mounts = vec![mount("/var/lib/postgresql/data/")];
    let image = |major: &str| vec!["PATH=/bin".to_owned(), format!("PG_MAJOR={major}"), "PGDATA=/d".to_owned()];
    let why = refuse(&postgres, &image("18")).expect("refused");
    assert!(why.starts_with("PostgreSQL 18 keeps its data in /d, but the volume is mounted at /var"), "{why}");
    assert_eq!(refuse(&postgres, &image("17")), None);
    assert_eq!(refuse(&postgres, &[]), None, "an image that does not say its version");
    let mut failure = Failure { message: why, ..failure(ErrorKind::Usage, "") };
    explain_alone(&postgres, &mut failure);
    assert!(failure.reason.is_some_and(|reason| reason.contains("18")));
    postgres.mounts = vec![mount("/var/lib/postgresql")];
    assert_eq!(refuse(&postgres, &image("18")), None);
    postgres.mounts = vec![mount("/var/lib/postgresql/data")];
    postgres.env = env(&[("PGDATA", "/var/lib/postgresql/data/x")]);
    assert_eq!(refuse(&postgres, &image("18")), None, "it was moved on purpose");
}

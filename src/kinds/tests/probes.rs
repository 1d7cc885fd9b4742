//! Probes from environment and command.

use super::*;

fn probe_of(kind: Kind, variables: &[(&str, &str)], command: &[&str]) -> Probe {
    started_with(kind, env(variables), command).own
}

/// The probe of a container with these files, once all that it needs was read; `!` = it can't be read.
fn probe_with(kind: Kind, variables: &[(&str, &str)], command: &[&str], inside: &[(&str, &str)]) -> Probe {
    let (env, command): (_, Vec<String>) = (env(variables), command.iter().map(ToString::to_string).collect());
    let mut files = Files::new();
    loop {
        let given = Given { env: &env, entrypoint: None, command: Some(&command), files: &files, whole: true };
        let wanted = super::super::files(kind, given);
        if wanted.is_empty() {
            return probe(kind, given);
        }
        for path in wanted {
            let text = inside.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
            files.insert(path, text);
        }
    }
}

#[test]
fn every_product_has_a_pinned_image() {
    for &kind in Kind::ALL {
        match defaults(kind).image {
            Some(image) => assert!(image.contains(':') && !image.ends_with(":latest"), "{image}"),
            None => assert!(matches!(kind, Kind::Generic | Kind::Job), "{kind:?}"),
        }
    }
}

#[test]
fn postgres_follows_the_official_image() {
    let expect = |variables: &[(&str, &str)], command: &[&str], expected: (u16, &str, Option<&str>, &str)| {
        let Probe::Postgres { port, user, password, database, .. } = probe_of(Kind::Postgres, variables, command)
        else {
            panic!("not a postgres probe")
        };
        assert_eq!(
            (port, user.as_deref().unwrap_or("?"), password.as_deref(), database.as_deref().unwrap_or("?")),
            expected,
            "{variables:?} {command:?}"
        );
    };
    expect(&[], &[], (5432, "postgres", None, "postgres"));
    expect(&[("POSTGRES_USER", "a")], &[], (5432, "a", None, "a"));
    expect(&[("POSTGRES_USER", ""), ("POSTGRES_PASSWORD", "")], &[], (5432, "postgres", None, "postgres"));
    expect(&[("POSTGRES_DB", "d"), ("POSTGRES_PASSWORD", "p")], &[], (5432, "postgres", Some("p"), "d"));
    expect(&[("POSTGRES_PASSWORD_FILE", "/run/secrets/p")], &[], (5432, "postgres", None, "postgres"));
    expect(&[("PGPORT", "5433")], &[], (5433, "postgres", None, "postgres"));
    expect(&[("PGPORT", "5433")], &["postgres", "-p", "5434"], (5434, "postgres", None, "postgres"));
    expect(&[], &["postgres", "-p5434"], (5434, "postgres", None, "postgres"));
    expect(&[], &["--port=5435"], (5435, "postgres", None, "postgres"));
    expect(&[], &["-c", "port=5436", "-c", "fsync=off"], (5436, "postgres", None, "postgres"));
    expect(&[], &["-c", "fsync=off"], (5432, "postgres", None, "postgres"));
    expect(&[("POSTGRES_USER_FILE", "/u")], &[], (5432, "?", None, "?"));
    expect(&[("POSTGRES_USER_FILE", "/u"), ("POSTGRES_DB", "d")], &[], (5432, "?", None, "d"));
    expect(&[("POSTGRES_DB_FILE", "/u")], &[], (5432, "postgres", None, "?"));
    let script = "export POSTGRES_USER=$(cat /x) POSTGRES_PASSWORD=pw; exec docker-entrypoint.sh postgres -p 5439";
    expect(&[], &["sh", "-c", script], (5439, "?", Some("pw"), "?"));
}

#[test]
fn redis_reads_its_command() {
    let redis = |port, password: Option<&str>| redis(port, None, password);
    assert_eq!(probe_of(Kind::Redis, &[], &[]), redis(6379, None));
    let command = ["redis-server", "--port", "6380", "--requirepass", "x"];
    assert_eq!(probe_of(Kind::Redis, &[], &command), redis(6380, Some("x")));
    assert_eq!(probe_of(Kind::Redis, &[], &["redis-server", "--requirepass", ""]), redis(6379, None));
    let script = "exec redis-server --port 6381 --requirepass \"$REDIS_PASSWORD\"";
    assert_eq!(probe_of(Kind::Redis, &[], &["sh", "-c", script]), redis(6381, None));
}

#[test]
fn aws_emulators_read_their_gateway() {
    for (listen, port) in [("", 4566), ("0.0.0.0:4510", 4510), (":4511,0.0.0.0:443", 4511), ("0.0.0.0", 4566)] {
        let probe = probe_of(Kind::Localstack, &[("GATEWAY_LISTEN", listen)], &[]);
        assert_eq!(probe, Probe::Localstack { port }, "{listen:?}");
    }
    let probe = probe_of(Kind::Ministack, &[("GATEWAY_PORT", "4567")], &[]);
    assert_eq!(probe, Probe::Ministack { port: 4567 });
}

#[test]
fn mail_catchers_read_their_listeners() {
    let mail = |http, smtp, path: &str| {
        let root = if path.starts_with("/mail/") { "/mail".to_owned() } else { String::new() };
        Probe::Mail { http, smtp, root, path: path.into() }
    };
    assert_eq!(probe_of(Kind::Mailhog, &[], &[]), mail(8025, 1025, "/api/v2/messages?limit=1"));
    let variables = [("MH_SMTP_BIND_ADDR", "0.0.0.0:2025"), ("MH_UI_WEB_PATH", "mail")];
    let command = ["-api-bind-addr=0.0.0.0:9025"];
    assert_eq!(probe_of(Kind::Mailhog, &variables, &command), mail(9025, 2025, "/mail/api/v2/messages?limit=1"));
    assert_eq!(probe_of(Kind::Mailpit, &[], &[]), mail(8025, 1025, "/readyz"));
    let variables = [("MP_UI_BIND_ADDR", "[::]:80"), ("MP_WEBROOT", "/mail/")];
    assert_eq!(probe_of(Kind::Mailpit, &variables, &["--smtp", ":25"]), mail(80, 25, "/mail/readyz"));
}

#[test]
fn others_are_not_asked_in_a_protocol() {
    assert_eq!(probe_of(Kind::Generic, &[], &[]), Probe::Auto);
    assert_eq!(probe_of(Kind::Job, &[], &[]), Probe::Exit);
}

fn redis(port: u16, user: Option<&str>, password: Option<&str>) -> Probe {
    Probe::Redis { port, user: user.map(Into::into), password: password.map(Into::into), tls: false, socket: None }
}

#[test]
fn postgres_reads_the_files_that_it_is_told() {
    let variables = [("POSTGRES_USER_FILE", "/u"), ("POSTGRES_PASSWORD_FILE", "/p"), ("POSTGRES_DB_FILE", "/d")];
    let text = |text: &str| Some(text.to_owned());
    let postgres = |port, user, password, database| Probe::Postgres { port, user, password, database, tls: false };
    let files = [("/u", "shop\n"), ("/p", "p w\n\n")];
    let found = probe_with(Kind::Postgres, &variables, &[], &files);
    assert_eq!(found, postgres(5432, text("shop"), text("p w"), None));
    let found = probe_with(Kind::Postgres, &variables[..2], &[], &files);
    assert_eq!(found, postgres(5432, text("shop"), text("p w"), text("shop")));
    let config = "# port = 1\nport = 5544 # here\nportal = 3\n";
    let command = ["postgres", "-c", "config_file=/etc/pg.conf"];
    let found = probe_with(Kind::Postgres, &[("PGPORT", "7")], &command, &[("/etc/pg.conf", config)]);
    assert_eq!(found, postgres(5544, text("postgres"), None, text("postgres")));
}

#[test]
fn redis_is_found_behind_scripts_files_and_lists() {
    for (command, expected) in [
        (&["sh", "-c", "exec redis-server --requirepass 'open sesame'"][..], redis(6379, None, Some("open sesame"))),
        (&["/bin/bash", "-euc", "redis-server --port 7000; x"], redis(7000, None, None)),
        (&["docker-entrypoint.sh", "sh", "-c", "redis-server --port \"$RP\""], redis(7001, None, None)),
        (&["sh", "-c", "exec redis-server --requirepass \"$(cat /run/pw)\""], redis(6379, None, Some("from file"))),
        (&["sh", "-c", "P=$(cat /run/pw) && exec redis-server --requirepass $P"], redis(6379, None, Some("from file"))),
        (&["sh", "-c", "exec redis-server --requirepass \"$(date)\""], redis(6379, None, None)),
        (&["redis-server", "/etc/r.conf"], redis(7002, None, Some("in conf"))),
        (&["redis-server", "r.conf", "--port", "7003"], redis(7003, None, Some("in conf"))),
        (&["redis-server", "--user", "app", "on", ">x y", "~*", "+@all"], redis(6379, Some("app"), Some("x y"))),
        (&["redis-server", "--user", "app", "off", ">x", "+@all"], redis(6379, None, None)),
        (&["redis-server", "--aclfile", "/acl"], redis(6379, Some("all"), Some("b"))),
        (&["redis-server", "--aclfile", "/acl", "--requirepass", "c"], redis(6379, None, Some("c"))),
    ] {
        let files = [
            ("/run/pw", "from file\n"),
            ("/etc/r.conf", "port 7002\ninclude /etc/more.conf\n"),
            ("/data/r.conf", "include /etc/more.conf"),
            ("/etc/more.conf", "# requirepass no\nrequirepass \"in conf\"\n"),
            ("/acl", "user few on >a +get ~*\nuser default off\nuser all on >b ~* +@all\n"),
        ];
        assert_eq!(probe_with(Kind::Redis, &[("RP", "7001")], command, &files), expected, "{command:?}");
    }
    let of = |text: &str| probe_of(Kind::Redis, &[], &text.split(' ').collect::<Vec<_>>());
    let tls = Probe::Redis { port: 6390, user: None, password: None, tls: true, socket: None };
    assert_eq!(of("redis-server --port 0 --tls-port 6390 --tls-cert-file /c"), tls);
    assert_eq!(of("redis-server --tls-port 6390"), redis(6379, None, None));
    let socket = Probe::Redis { port: 0, user: None, password: None, tls: false, socket: Some("/data/r.sock".into()) };
    assert_eq!(of("redis-server --port 0 --unixsocket /data/r.sock"), socket);
}

#[test]
fn redis_is_tried_with_what_its_variables_hold() {
    let env = env(&[("REDIS_PASSWORD_FILE", "/p"), ("REDISCLI_AUTH", "b")]);
    let files = Files::from([("/p".into(), Some("a\n".into()))]);
    let given = Given { env: &env, entrypoint: None, command: None, files: &files, whole: true };
    let passwords: Vec<_> = logins(Kind::Redis, given).into_iter().filter_map(|login| login.password).collect();
    assert_eq!(passwords, ["a", "b"]);
}

#[test]
fn an_old_variable_of_localstack_counts_where_its_image_sets_no_new_one() {
    let variables = [("EDGE_PORT", "4599")];
    assert_eq!(probe_of(Kind::Localstack, &variables, &[]), Probe::Localstack { port: 4566 });
    assert_eq!(probe_with(Kind::Localstack, &variables, &[], &[]), Probe::Localstack { port: 4599 });
    let both = [("EDGE_PORT", "4599"), ("GATEWAY_LISTEN", ":4600")];
    assert_eq!(probe_with(Kind::Localstack, &both, &[], &[]), Probe::Localstack { port: 4600 });
}

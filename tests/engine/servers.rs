//! Servers that are configured in other ways than by a value in services.toml: by their image, by files inside, by scripts
//! in front of them, over TLS, on a unix socket. Each gets ready, and what logs in, logs in.

use crate::stack::{Stack, heavy};

fn databases(stack: &Stack, services: &[(&str, &str, &str)]) {
    for (service, user, database) in services {
        let query = ["connect", service, "--", "-At", "-c", "select current_user || '@' || current_database()"];
        assert_eq!(stack.dev(&query).ends(0).stdout, format!("{user}@{database}\n"), "{service}");
    }
}

fn variable(stack: &Stack, name: &str) -> Option<String> {
    let all = stack.dev(&["env", "--format", "json"]).ends(0);
    let all: serde_json::Value = serde_json::from_str(&all.stdout).expect("json");
    all[name].as_str().map(String::from)
}

#[test]
fn postgres_of_an_image_of_files_and_of_a_script() {
    let _turn = heavy();
    let stack = Stack::new(
        "servers-postgres",
        r#"
[services.img]
kind = "postgres"
build = "img"
ports = ["5433"]
env = { POSTGRES_PASSWORD = "pw-of-img" }

[services.files]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_PASSWORD_FILE = "/run/secrets/pw", POSTGRES_USER_FILE = "/run/secrets/user", POSTGRES_DB_FILE = "/run/secrets/db" }
volumes = ["./sec:/run/secrets:ro"]

[services.trust]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_HOST_AUTH_METHOD = "trust", POSTGRES_USER_FILE = "/run/secrets/user" }
volumes = ["./sec:/run/secrets:ro"]

[services.script]
kind = "postgres"
image = "image:postgres"
ports = ["5555"]
command = ["sh", "-c", "export POSTGRES_USER=$(tr a-z b-za < /run/secrets/user) POSTGRES_PASSWORD=$(printf 'p%s' w); echo 'port = 5555' > /tmp/x; exec docker-entrypoint.sh postgres -c port=$(sed 's/.*= //' /tmp/x)"]
volumes = ["./sec:/run/secrets:ro"]
"#
        .trim_start(),
    );
    let from = crate::stack::image("image:postgres");
    stack.file("img/Dockerfile", &format!("FROM {from}\nENV POSTGRES_USER=shop POSTGRES_DB=shopdb PGPORT=5433\n"));
    stack.file("sec/user", "keeper\n");
    stack.file("sec/pw", "pw of file\n");
    stack.file("sec/db", "store");
    stack.up();
    let all = [
        ("img", "shop", "shopdb"),
        ("files", "keeper", "store"),
        ("trust", "keeper", "keeper"),
        ("script", "lffqfs", "lffqfs"),
    ];
    databases(&stack, &all);
    let at = stack.address("files", 5432);
    assert_eq!(variable(&stack, "FILES_URL"), Some(format!("postgres://keeper:pw%20of%20file@{at}/store")));
    let at = stack.address("img", 5433);
    assert_eq!(variable(&stack, "DATABASE_URL"), Some(format!("postgres://shop:pw-of-img@{at}/shopdb")));
    let at = stack.address("script", 5555);
    assert_eq!(variable(&stack, "SCRIPT_URL"), Some(format!("postgres://lffqfs:pw@{at}/lffqfs")));
    assert_eq!(stack.dev(&["url", "files"]).ends(0).stdout.matches(":pw%20of%20file@").count(), 1);
    for (service, ..) in all {
        assert_eq!(stack.ps(service)["ready"], true, "{service}");
        let forked = stack.dev(&["db", "fork", "copy", "--service", service]).ends(0);
        assert!(forked.stdout.contains("/copy"), "{forked:?}");
        stack.dev(&["db", "drop", "copy", "--service", service]).ends(0);
    }
    let saved = stack.path().join("saved.tkv");
    let saved = saved.to_str().expect("a path");
    stack.dev(&["connect", "files", "--", "create table kept as select 7 as n"]).ends(0);
    stack.dev(&["backup", saved]).ends(0);
    stack.dev(&["connect", "files", "--", "drop table kept"]).ends(0);
    stack.dev(&["restore", saved, "--replace", "--yes"]).ends(0);
    assert_eq!(stack.dev(&["connect", "files", "--", "-At", "-c", "select n from kept"]).ends(0).stdout, "7\n");
    // Nothing to do: still what it was.
    stack.dev(&["up"]).ends(0).says(&["nothing to do"]);
}

#[test]
fn postgres_over_tls_alone_is_ready_and_a_missing_rule_is_named() {
    let _turn = heavy();
    let stack = Stack::new(
        "servers-tls",
        r#"
[services.secure]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_PASSWORD = "pw" }
volumes = ["./init:/docker-entrypoint-initdb.d:ro"]
"#,
    );
    let rule = |rule: &str| {
        let script = r#"openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=db -keyout "$PGDATA/server.key" -out "$PGDATA/server.crt" 2>/dev/null
chmod 600 "$PGDATA/server.key"
printf 'local all all trust\nRULE\n' > "$PGDATA/pg_hba.conf"
echo "ssl = on" >> "$PGDATA/postgresql.conf"
"#;
        stack.file("init/10-tls.sh", &script.replace("RULE", rule));
    };
    rule("hostssl all all all scram-sha-256");
    stack.up();
    databases(&stack, &[("secure", "postgres", "postgres")]);
    assert!(stack.dev(&["db", "fork", "copy"]).ends(0).stdout.contains("?sslmode=require"));
    // Most clients try a plain connection only, where the address does not say more.
    let url = stack.dev(&["url", "secure"]).ends(0).stdout;
    assert!(url.trim_end().ends_with("/postgres?sslmode=require"), "{url}");
    let env = stack.dev(&["env", "--format", "dotenv"]).ends(0).stdout;
    assert!(env.contains("PGSSLMODE=require") && env.contains("/postgres?sslmode=require"), "{env}");
    let saved = stack.path().join("saved.tkv");
    stack.dev(&["backup", saved.to_str().expect("a path")]).ends(0);
    stack.dev(&["down", "-v"]).ends(0);
    rule("hostssl all all 10.255.255.254/32 scram-sha-256");
    let refused = stack.dev(&["up", "--timeout", "30"]).ends(6);
    refused.says(&["no pg_hba.conf entry", "pg_hba.conf in the data allows no login from outside"]);
}

const REDIS: &str = r#"
[services.shpw]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = ["sh", "-c", "exec redis-server --requirepass 'open sesame'"]

[services.entry]
kind = "redis"
image = "image:redis"
ports = ["6380"]
entrypoint = ["sh", "-c"]
command = ["exec redis-server --protected-mode no --port 6380"]

[services.hidden]
kind = "redis"
image = "image:redis"
ports = ["6381"]
command = ["sh", "-c", "exec redis-server --protected-mode no --port $(expr 6380 + 1)"]

[services.tls]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = "redis-server --port 0 --tls-port 6379 --tls-cert-file /tls/c.pem --tls-key-file /tls/k.pem --tls-ca-cert-file /tls/c.pem --tls-auth-clients no"
volumes = ["./tls:/tls:ro"]

[services.mutual]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = "redis-server /tls/mutual.conf"
volumes = ["./tls:/tls:ro"]

[services.sock]
kind = "redis"
image = "image:redis"
command = "redis-server --port 0 --unixsocket /data/r.sock"

[services.list]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = ["redis-server", "--aclfile", "/tls/users.acl"]
volumes = ["./tls:/tls:ro"]

[services.secret]
kind = "redis"
image = "image:redis"
ports = ["6379"]
env = { REDIS_PASSWORD_FILE = "/tls/pw" }
command = ["sh", "-c", "PW=$(head -n 1 \"$REDIS_PASSWORD_FILE\"); exec redis-server --requirepass \"$PW\""]
volumes = ["./tls:/tls:ro"]

[services.unknown]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = ["sh", "-c", "exec redis-server --requirepass \"$(head -c 9 /dev/urandom | base64)\""]
"#;

#[test]
fn redis_behind_scripts_tls_sockets_and_lists() {
    let _turn = heavy();
    let stack = Stack::new("servers-redis", REDIS);
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["cache".to_owned()]).expect("a certificate");
    stack.file("tls/c.pem", &cert.pem());
    stack.file("tls/k.pem", &signing_key.serialize_pem());
    let mutual =
        "port 0\ntls-port 6379\ntls-cert-file /tls/c.pem\ntls-key-file /tls/k.pem\ntls-ca-cert-file /tls/c.pem\n";
    stack.file("tls/mutual.conf", mutual);
    stack.file("tls/users.acl", "user default off\nuser app on >from-list ~* +@all\n");
    stack.file("tls/pw", "from-file\n");
    stack.up();
    for service in ["shpw", "entry", "hidden", "tls", "mutual", "sock", "list", "secret", "unknown"] {
        assert_eq!(stack.ps(service)["ready"], true, "{service}");
    }
    for service in ["shpw", "entry", "hidden", "tls", "sock", "list", "secret"] {
        assert_eq!(stack.dev(&["connect", service, "--", "PING"]).ends(0).stdout, "PONG\n", "{service}");
    }
    let url = |service: &str, port: u16| {
        let at = stack.address(service, port);
        let found = variable(&stack, &format!("{}_URL", service.to_uppercase())).expect("a URL");
        found.replace(&at, "AT")
    };
    assert_eq!(url("shpw", 6379), "redis://:open%20sesame@AT");
    assert_eq!(url("hidden", 6381), "redis://AT");
    assert_eq!(url("tls", 6379), "rediss://AT");
    assert_eq!(url("list", 6379), "redis://app:from-list@AT");
    assert_eq!(url("secret", 6379), "redis://:from-file@AT");
    assert_eq!(url("unknown", 6379), "redis://AT");
    stack.dev(&["env", "unknown"]).ends(0).says(&["unknown: its password is unknown"]);
    stack.dev(&["connect", "unknown", "--", "PING"]).says(&["unknown: its password is unknown"]);
    stack.dev(&["up"]).ends(0).says(&["nothing to do"]);
}

#[test]
fn redis_with_users_or_tls_is_saved() {
    let stack = Stack::new(
        "servers-saved",
        r#"
[services.list]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = ["redis-server", "--aclfile", "/tls/users.acl"]
volumes = ["./tls:/tls:ro"]

[services.tls]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = "redis-server --port 0 --tls-port 6379 --tls-cert-file /tls/c.pem --tls-key-file /tls/k.pem --tls-ca-cert-file /tls/c.pem --tls-auth-clients no"
volumes = ["./tls:/tls:ro"]
"#,
    );
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["cache".to_owned()]).expect("a certificate");
    stack.file("tls/c.pem", &cert.pem());
    stack.file("tls/k.pem", &signing_key.serialize_pem());
    stack.file("tls/users.acl", "user default off\nuser app on >from-list ~* +@all\n");
    stack.up();
    let say = |service: &str, words: &[&str]| stack.dev(&[&["connect", service, "--"], words].concat()).ends(0).stdout;
    let saved = stack.path().join("saved.tkv");
    let saved = saved.to_str().expect("a path");
    for service in ["list", "tls"] {
        say(service, &["SET", "key", service]);
    }
    stack.dev(&["backup", saved]).ends(0);
    for service in ["list", "tls"] {
        say(service, &["FLUSHALL"]);
    }
    stack.dev(&["restore", saved, "--replace", "--yes"]).ends(0);
    for service in ["list", "tls"] {
        assert_eq!(say(service, &["GET", "key"]), format!("{service}\n"));
    }
}

#[test]
fn the_page_of_a_mail_catcher_is_under_its_path() {
    let stack = Stack::new(
        "servers-mail",
        r#"
[services.mail]
kind = "mailhog"
image = "image:mailhog"
ports = ["8025", "1025"]
env = { MH_UI_WEB_PATH = "in/box" }
"#,
    );
    stack.up();
    let url = format!("http://{}/in/box/\n", stack.address("mail", 8025));
    assert_eq!(stack.dev(&["url", "mail"]).ends(0).stdout, url);
    assert_eq!(variable(&stack, "MAIL_URL").map(|found| found + "\n"), Some(url));
}

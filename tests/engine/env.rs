//! `env`: what it prints leads to the services.

use std::process::Command;

use crate::stack::Stack;

const ALL: &str = r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_PASSWORD = "it's $ecret", POSTGRES_DB = "shop" }
[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
[services.web]
image = "image:busybox"
command = "httpd -f -p 80"
ports = ["80"]
profiles = ["app"]
exports = { WEB = "http://${host}:${port}/" }
"#;

#[test]
fn every_format_leads_to_the_services() {
    let stack = Stack::new("env", ALL);
    stack.dev(&["env"]).ends(1).says(&["nothing runs of", "taskava dev up"]);
    stack.dev(&["--profile", "app", "up"]).ends(0);

    let json = stack.dev(&["--profile", "app", "env", "--format", "json"]).ends(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("one object");
    assert_eq!(json["PGPORT"], stack.port("postgres", 5432).to_string());
    assert_eq!(json["WEB"], format!("http://{}/", stack.address("web", 80)));

    // What a shell makes of it is what is meant.
    let shell = stack.dev(&["env", "--format", "shell"]).ends(0).stdout;
    let script = format!("{shell}\nprintf '%s|%s' \"$PGPASSWORD\" \"$REDIS_URL\"");
    let said = Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let expected = format!("it's $ecret|redis://{}", stack.address("redis", 6379));
    assert_eq!(String::from_utf8_lossy(&said.stdout), expected);

    // And the login works.
    let url = json["DATABASE_URL"].as_str().expect("a URL");
    let mut client = postgres::Client::connect(url, postgres::NoTls).expect("a login");
    let row = client.query_one("select current_database()", &[]).expect("an answer");
    assert_eq!(row.get::<_, String>(0), "shop");

    let github = stack.dev(&["env", "redis", "postgres", "--format", "github"]).ends(0);
    assert!(github.stdout.contains("PGPASSWORD=it's $ecret\n"), "{}", github.stdout);
    let github = github.says(&["::add-mask::it's $ecret\n"]);
    assert!(!github.stdout.contains("WEB="), "{}", github.stdout);

    stack.dev(&["--profile", "app", "stop", "web"]).ends(0);
    let left = stack.dev(&["--profile", "app", "env"]).ends(0).says(&["not running, so left out: web"]);
    assert!(left.stdout.contains("REDIS_URL=redis://") && !left.stdout.contains("WEB="), "{}", left.stdout);
    stack.dev(&["ps", "--format", "shell"]).ends(2).says(&["`taskava dev env`"]);
}

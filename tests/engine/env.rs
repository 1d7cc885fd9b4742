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
init = true
command = "httpd -f -p 80"
ports = ["80"]
profiles = ["app"]
exports = { WEB = "http://${host}:${port}/" }
"#;

#[test]
fn every_format_leads_to_the_services() {
    let stack = Stack::new("env", ALL);
    stack.dev(&["env"]).ends(1).says(&["no service of", "taskava dev up"]);
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

#[test]
fn programs_reach_the_stack_without_the_proxy() {
    use std::os::unix::fs::PermissionsExt as _;

    let services = "[services.localstack]\nkind = \"ministack\"\nimage = \"image:ministack\"\nports = [\"4566\"]\n";
    let stack = Stack::new("proxy", services);
    stack.up();
    for name in ["aws", "terraform"] {
        let program = stack.file(&format!("bin/{name}"), "#!/bin/sh\nenv | grep -i '^no_proxy=' | sort\n");
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).expect("a file of ours");
    }
    let path = format!("{}:{}", stack.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let run = |arguments: &[&str], proxy: &[(&str, &str)]| {
        let mut command = stack.command(arguments);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(name);
        }
        command.env_remove("NO_PROXY").env_remove("no_proxy").env("PATH", &path).envs(proxy.iter().copied());
        command.output().expect("runs")
    };
    let (proxy, own) = (("http_proxy", "http://127.0.0.1:9"), ("NO_PROXY", ".corp"));
    let print = ["test", "--", "sh", "-c", "env | grep -i '^no_proxy=' | sort"];
    for arguments in [&["aws", "--", "s3", "ls"][..], &["terraform", "--", "version"], &print] {
        let said = run(arguments, &[proxy, own]);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        let [upper, lower] = lines[..] else { panic!("{arguments:?}: {said}") };
        assert!(upper.starts_with("NO_PROXY=.corp,127.0.0.1,localhost,"), "{arguments:?}: {said}");
        assert_eq!(upper.split_once('=').map(|(_, all)| all), lower.split_once('=').map(|(_, all)| all));
        assert_eq!(String::from_utf8_lossy(&run(arguments, &[]).stdout), "", "no proxy, nothing to say");
    }
    let told = run(&["env"], &[proxy]);
    assert!(String::from_utf8_lossy(&told.stderr).contains("need 127.0.0.1 in NO_PROXY"), "{told:?}");
    assert!(!String::from_utf8_lossy(&run(&["env"], &[proxy, ("no_proxy", "127.0.0.1")]).stderr).contains("NO_PROXY"));
}

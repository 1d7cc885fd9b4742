//! `connect`, `url` and `open`: the way to a service that is up.

use std::os::unix::fs::PermissionsExt as _;

use crate::exec::piped;
use crate::pty::Terminal;
use crate::stack::Stack;

#[test]
fn the_client_of_each_kind_is_logged_in_and_takes_a_query() {
    let stack = Stack::new(
        "connect",
        r#"
[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_USER = "me", POSTGRES_PASSWORD = "s3/cret", POSTGRES_DB = "app" }

[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]
command = ["redis-server", "--requirepass", "pw"]

[services.box]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
"#,
    );
    stack.dev(&["connect", "postgres"]).ends(1).says(&["postgres does not run", "taskava dev up postgres"]);
    stack.up();
    let shown = |arguments: &[&str]| stack.dev(&[&["connect"], arguments].concat()).ends(0).stdout;
    let user = "select current_user || '@' || current_database()";
    assert!(shown(&["postgres", "--", user]).contains("me@app"));
    assert_eq!(shown(&["postgres", "--", "-At", "-c", "select 40 + 2"]), "42\n");
    let piped_in = piped(&mut stack.command(&["connect", "postgres"]), b"select 40 + 2;\n".to_vec());
    assert!(String::from_utf8_lossy(&piped_in.stdout).contains("42"), "{piped_in:?}");
    stack.dev(&["connect", "postgres", "--", "selec"]).ends(1).says(&["syntax error"]);
    assert_eq!(shown(&["redis", "--", "PING"]), "PONG\n");
    assert_eq!(shown(&["redis", "--", "SET key 'two words'"]), "OK\n");
    assert_eq!(shown(&["redis", "--", "GET", "key"]), "two words\n");
    assert_eq!(shown(&["box", "--", "echo $((1 + 2))"]), "3\n");
    let shell = piped(&mut stack.command(&["connect", "box"]), b"echo in $0\n".to_vec());
    assert_eq!(&shell.stdout[..], b"in sh\n");
    assert!(String::from_utf8_lossy(&shell.stderr).contains("box has no client of its own"), "{shell:?}");

    let at = stack.address("postgres", 5432);
    let url = |arguments: &[&str]| stack.dev(&[&["url"], arguments].concat()).ends(0).stdout;
    // For a program the password is there; on a terminal, when it is asked for.
    let clear = format!("postgres://me:s3%2Fcret@{at}/app");
    assert_eq!(url(&["postgres"]), format!("{clear}\n"));
    assert_eq!(url(&["postgres", "--show-secrets"]), format!("{clear}\n"));
    let fork = stack.dev(&["db", "fork", "piped"]).ends(0).stdout;
    assert!(fork.contains("me:s3%2Fcret@"), "{fork}");
    for arguments in [&["url", "postgres"][..], &["env"], &["env", "--format", "json"], &["db", "fork", "one"]] {
        let shown = |more: &[&str], expected: &str| {
            let mut terminal = Terminal::start(&stack.command(&[arguments, more].concat()), 24, 200);
            terminal.wait_for(expected);
            assert_eq!(terminal.ends(), 0);
            terminal.shown()
        };
        let masked = shown(&[], "me:***");
        assert!(!masked.contains("cret"), "{masked}");
        // A copy of that name is there already: another one.
        let arguments = if arguments[0] == "db" { &["db", "fork", "two"] } else { arguments };
        let mut terminal = Terminal::start(&stack.command(&[arguments, &["--show-secrets"]].concat()), 24, 200);
        terminal.wait_for("me:s3%2Fcret@");
        assert_eq!(terminal.ends(), 0);
    }
    stack.dev(&["url", "postgres", "--port", "1"]).ends(2).says(&["does not publish port 1", "5432"]);
    stack.dev(&["url", "box"]).ends(1).says(&["box publishes no port"]);
    stack.dev(&["open", "postgres"]).ends(1).says(&["postgres has no web page"]);
}

#[test]
fn a_page_is_opened_or_its_url_printed() {
    let stack = Stack::new(
        "open",
        r#"
[services.web]
image = "image:busybox"
command = ["httpd", "-f", "-p", "80", "-h", "/etc"]
stop_signal = "SIGKILL"
ports = ["80"]

[services.other]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
"#,
    );
    stack.up();
    let url = format!("http://{}", stack.address("web", 80));
    let opener = stack.file("bin/xdg-open", "#!/bin/sh\necho \"$1\" > opened\n");
    std::fs::set_permissions(opener, std::fs::Permissions::from_mode(0o755)).expect("a file of ours");
    let path = format!("{}:{}", stack.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
    let open = |desktop: bool| {
        let mut command = stack.command(&["open", "web"]);
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"] {
            command.env_remove(name);
        }
        if desktop {
            command.env("DISPLAY", ":9").env("PATH", &path);
        }
        String::from_utf8(command.output().expect("runs").stdout).expect("text")
    };
    assert_eq!(open(false), format!("{url}\n"), "there is no browser");
    assert_eq!(open(true), "");
    assert_eq!(std::fs::read_to_string(stack.path().join("opened")).expect("opened"), format!("{url}\n"));
    stack.dev(&["open", "other"]).ends(1).says(&["other has no web page", &format!("web ({url})")]);
}

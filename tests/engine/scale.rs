//! Services with several containers: `replicas`, `up --scale`, `scale`, `--index`.

use crate::docker;
use crate::stack::{Stack, free_port};

/// `web` says in its log which container it is; `client` depends on all of them.
fn stack(name: &str) -> (Stack, u16) {
    // Three host ports in a row that are free, or as good as: they are asked for one after the other.
    let first = (0..50).map(|_| free_port()).find(|port| *port < 65_000 && (1..3).all(|more| is_free(port + more)));
    let first = first.expect("three free ports in a row");
    let text = format!(
        r#"
[services.web]
image = "image:busybox"
replicas = 3
command = ["sh", "-c", "hostname > /index.html; echo here is $(hostname); exec httpd -f -p 80"]
ports = ["{first}-{}:80", 9000]
ready = {{ tcp = 80 }}
stop_signal = "SIGKILL"
volumes = ["/scratch"]
[services.client]
image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
depends_on = ["web"]
"#,
        first + 2
    );
    (Stack::new(name, &text), first)
}

fn is_free(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn names(stack: &Stack) -> Vec<String> {
    let all = stack.dev(&["ps", "--services"]).ends(0).stdout;
    let mut names: Vec<String> = all.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_service_has_as_many_containers_as_it_says() {
    let (stack, first) = stack("replicas");
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(["start web", "start web-2", "start web-3"].iter().all(|step| plan.contains(step)), "{plan}");
    stack.up().says(&["web-2", "web-3", "ready"]);
    assert_eq!(names(&stack), ["client", "web", "web-2", "web-3"]);
    assert_eq!(["web", "web-2", "web-3"].map(|name| stack.ps(name)["ready"].clone()), [true, true, true]);
    assert_eq!(["web", "web-2", "web-3"].map(|name| stack.port(name, 80)), [first, first + 1, first + 2]);

    // The service's name leads to all of them, and `web-2` to one.
    let client = stack.container("client");
    let found = docker::output(&client, &["nslookup", "web"]);
    let addresses = found.lines().filter(|line| line.starts_with("Address") && !line.contains(":53")).count();
    assert_eq!(addresses, 3, "{found}");
    docker::output(&client, &["wget", "-qO-", "http://web-2/"]);

    let host = |arguments: &[&str]| stack.dev(arguments).ends(0).stdout.trim().to_owned();
    let [one, two, three] = ["1", "2", "3"].map(|number| host(&["exec", "--index", number, "web", "hostname"]));
    assert!(one != two && two != three && one == host(&["exec", "web", "hostname"]));
    assert_eq!(three, host(&["exec", "web-3", "hostname"]));
    stack.dev(&["exec", "--index", "4", "web", "true"]).ends(2).says(&["web has 3 containers: there is no number 4"]);
    assert_eq!(host(&["port", "--index", "3", "web", "80"]), format!("127.0.0.1:{}", first + 2));
    let logs = stack.dev(&["logs", "web"]).ends(0).stdout;
    assert!([&one, &two, &three].iter().all(|name| logs.contains(*name)), "{logs}");
    let logs = stack.dev(&["logs", "--index", "2", "web"]).ends(0).stdout;
    assert!(logs.contains(&two) && !logs.contains(&one), "{logs}");
    // What leads an application to it leads to one of them.
    let env = stack.dev(&["env"]).ends(0).stdout;
    assert!(env.contains("WEB_PORT=") && !env.contains("WEB_2"), "{env}");

    stack.up().says(&["nothing to do"]);
    docker::kill(&stack.container("web-2"));
    stack.up().says(&["web-2", "done: 2 changes"]);
    stack.dev(&["stop", "web"]).ends(0);
    assert_eq!(
        ["web", "web-2", "web-3", "client"].map(|name| stack.state(name)),
        ["exited", "exited", "exited", "running"]
    );
    stack.dev(&["start", "web"]).ends(0);
    stack.edit("replicas = 3", "replicas = 2");
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains("remove web-3") && plan.contains("web is scaled to 2"), "{plan}");
    stack.up().says(&["web-3 ", "removed"]);
    assert_eq!(names(&stack), ["client", "web", "web-2"]);
    stack.dev(&["down", "web"]).ends(0);
    assert_eq!(names(&stack), ["client"]);
}

#[test]
fn the_number_of_containers_is_changed_from_the_command_line() {
    let (stack, _) = stack("scale");
    stack.edit("replicas = 3", "restart = \"no\"");
    stack.up();
    let first = stack.container("web");
    stack.dev(&["up", "--scale", "nothing=2"]).ends(2).says(&["no service `nothing`"]);
    stack.dev(&["scale", "web"]).ends(2).says(&["write SERVICE=NUMBER"]);
    assert!(stack.dev(&["plan", "--scale", "web=2"]).ends(0).stdout.contains("create web-2"));
    stack.dev(&["up", "--scale", "web=3"]).ends(0);
    assert_eq!((names(&stack).len(), stack.container("web")), (4, first.clone()));

    // Commands that follow know them, though services.toml does not.
    assert_eq!(stack.ps("web-3")["ready"], true);
    stack.dev(&["exec", "--index", "3", "web", "true"]).ends(0);
    stack.dev(&["restart", "web"]).ends(0).says(&["web-3"]);
    stack.dev(&["kill", "web"]).ends(0).says(&["web-2: "]);
    stack.dev(&["scale", "web=2"]).ends(0).says(&["web-3 ", "removed"]);
    assert_eq!(names(&stack), ["client", "web", "web-2"]);
    // Without a file, they are still one service's.
    let toml = std::fs::read_to_string(stack.path().join("services.toml")).expect("services.toml");
    std::fs::remove_file(stack.path().join("services.toml")).expect("it is there");
    stack.dev(&["stop", "web"]).ends(0);
    assert_eq!((stack.state("web"), stack.state("web-2")), ("exited".into(), "exited".into()));
    stack.file("services.toml", &toml);

    stack.dev(&["up", "--scale", "web=0"]).ends(0);
    assert_eq!(names(&stack), ["client"]);
    // What services.toml says counts again.
    stack.up();
    assert_eq!(names(&stack), ["client", "web"]);
    stack.dev(&["scale", "web=2"]).ends(0);
    stack.up().says(&["web-2 ", "removed"]);
    stack.dev(&["scale", "web=3"]).ends(0);
    stack.dev(&["down"]).ends(0);
    assert_eq!(names(&stack), Vec::<String>::new());
}

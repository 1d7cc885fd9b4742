//! Host ports that services.toml leaves open stay the same.

use std::net::TcpListener;

use crate::docker;
use crate::stack::Stack;

const TWO: &str = r#"
[services.web]
image = "image:busybox"
command = ["httpd", "-f", "-p", "80"]
ports = [80, "90/udp"]
ready = { tcp = 80 }
stop_signal = "SIGKILL"
volumes = ["/scratch"]
[services.other]
image = "image:busybox"
command = ["httpd", "-f", "-p", "80"]
ports = [80]
ready = { tcp = 80 }
stop_signal = "SIGKILL"
"#;

#[test]
fn a_port_that_is_left_open_stays_the_same_as_long_as_it_is_free() {
    let stack = Stack::new("same-ports", TWO);
    stack.up();
    let ports = || [stack.port("web", 80), stack.port("other", 80), udp(&stack)];
    let first = ports();
    assert!(first.iter().all(|port| (20_000..30_000).contains(port)) && first[0] != first[1], "{first:?}");

    stack.dev(&["restart"]).ends(0);
    assert_eq!(ports(), first, "restarted");
    docker::restart(&stack.container("web"));
    assert_eq!(ports(), first, "restarted by something else");
    let container = stack.container("web");
    stack.edit(
        "ready = { tcp = 80 }\nstop_signal = \"SIGKILL\"\nvolumes",
        "env = { A = \"1\" }\nstop_signal = \"SIGKILL\"\nvolumes",
    );
    stack.up();
    assert!(stack.container("web") != container && ports() == first, "recreated: {:?}", ports());
    stack.dev(&["down"]).ends(0);
    stack.up();
    assert_eq!(ports(), first, "removed and created again");

    // One that is taken meanwhile is no failure, and neither is data lost for it.
    docker::output(&stack.container("web"), &["sh", "-c", "echo kept > /scratch/file"]);
    stack.dev(&["stop", "web"]).ends(0);
    let taken = TcpListener::bind(("127.0.0.1", first[0])).expect("it is free while the service is stopped");
    stack.up();
    let second = ports();
    assert!(second[0] != first[0] && second[1] == first[1], "{first:?} {second:?}");
    assert_eq!(docker::output(&stack.container("web"), &["cat", "/scratch/file"]).trim(), "kept");
    stack.up().says(&["nothing to do"]);
    drop(taken);
    // It stays where it is now.
    stack.dev(&["up", "--recreate", "web"]).ends(0);
    assert_eq!(ports(), second);
}

fn udp(stack: &Stack) -> u16 {
    let text = stack.dev(&["port", "web", "90/udp"]).ends(0).stdout;
    text.trim().rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port")
}

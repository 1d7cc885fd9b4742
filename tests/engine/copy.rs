//! What is taken out of containers and put into them as it is: `cp`, `export SERVICE`, `commit`, `volumes`.

use std::io::Write as _;
use std::process::Stdio;

use crate::docker;
use crate::stack::{Running, Stack};

const ONE: &str = r#"
[services.box]
image = "image:busybox"
command = ["sh", "-c", "mkdir -p /d/sub /only; echo one > /d/a; echo two > /d/sub/b; ln -s a /d/link; echo on; sleep 1000"]
ready = { log = "on" }
stop_signal = "SIGKILL"
volumes = ["kept:/kept", "/nameless"]
"#;

fn text(stack: &Stack, path: &str) -> String {
    std::fs::read_to_string(stack.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn files_are_copied_both_ways_as_docker_cp_does() {
    let stack = Stack::new("cp", ONE);
    stack.dev(&["cp", "box:/d", "out"]).ends(1).says(&["box has no container", "taskava dev up box"]);
    stack.up();
    let inside = |command: &str| stack.dev(&["exec", "-T", "box", "sh", "-c", command]).ends(0).stdout;

    // Out: under a new name, into a folder that exists, what is in it, one file, one file onto another.
    stack.dev(&["cp", "box:/d", "out"]).ends(0).says(&["box:/d copied to"]);
    assert_eq!((text(&stack, "out/a"), text(&stack, "out/sub/b")), ("one\n".into(), "two\n".into()));
    assert_eq!(std::fs::read_link(stack.path().join("out/link")).expect("a link").to_str(), Some("a"));
    stack.dev(&["cp", "box:/d", "out"]).ends(0);
    assert_eq!(text(&stack, "out/d/a"), "one\n");
    std::fs::create_dir(stack.path().join("flat")).expect("a folder");
    stack.dev(&["cp", "box:/d/.", "flat"]).ends(0);
    assert_eq!(text(&stack, "flat/sub/b"), "two\n");
    stack.dev(&["cp", "box:d/a", "flat/sub/b"]).ends(0);
    assert_eq!(text(&stack, "flat/sub/b"), "one\n");
    stack.dev(&["cp", "-L", "box:/d/link", "followed"]).ends(0);
    assert!(!stack.path().join("followed").is_symlink());
    assert_eq!(text(&stack, "followed"), "one\n");

    // In.
    stack.file("in/x", "ex");
    stack.file("in/deep/y", "why");
    stack.dev(&["cp", "in", "box:/new"]).ends(0);
    stack.dev(&["cp", "in", "box:/only/"]).ends(0);
    stack.dev(&["cp", "in/.", "box:/only"]).ends(0);
    stack.dev(&["cp", "in/x", "box:/d/a"]).ends(0);
    assert_eq!(inside("cat /new/x /only/in/deep/y /only/x /d/a; stat -c %u /new/x"), "exwhyexex0\n");
    // Through a link inside, and into a volume.
    inside("ln -s /only /l");
    stack.dev(&["cp", "in/x", "box:/l/z"]).ends(0);
    stack.dev(&["cp", "in/x", "box:/kept/"]).ends(0);
    assert_eq!(inside("cat /only/z /kept/x"), "exex\n");

    // A tar on stdout, and one on stdin.
    let mut tar = stack.command(&["cp", "box:/new", "-"]);
    let tar = tar.output().expect("runs");
    assert!(tar.status.success());
    let mut command = stack.command(&["cp", "-", "box:/kept"]);
    let mut unpacking = Running::start_with_stdin(command.stdin(Stdio::piped()));
    unpacking.stdin().write_all(&tar.stdout).expect("it reads");
    unpacking.close_stdin();
    unpacking.finish().ends(0);
    assert_eq!(inside("cat /kept/new/deep/y"), "why\n");

    for (arguments, code, said) in [
        (["box:/none", "x"], 1, "box has no file or folder /none"),
        (["none:/a", "x"], 2, "no service `none`"),
        (["in", "box:/d/a"], 2, "is a file: a folder can't be copied onto it"),
        (["in/x", "box:/gone/x"], 2, "there is no folder box:/gone"),
        (["gone", "box:/d"], 2, "gone can't be read"),
        (["box:/d", "gone/x"], 2, "there is no folder"),
        (["box:/d", "flat/a"], 2, "is a file"),
        (["in", "out"], 2, "SERVICE:PATH"),
        (["box:/d", "box:/e"], 2, "both are in containers"),
        (["-", "box:/d/a"], 1, "box has no folder /d/a"),
    ] {
        stack.dev(&[&["cp"], &arguments[..]].concat()).ends(code).says(&[said]);
    }

    // A folder in a container is not replaced by a file of its name, and one that does not run will do.
    stack.file("clash/sub", "a file");
    stack.dev(&["cp", "clash/.", "box:/d"]).ends(1).says(&["can't copy into"]);
    assert_eq!(inside("cat /d/sub/b"), "two\n");
    stack.dev(&["stop"]).ends(0);
    std::fs::remove_file(stack.path().join("services.toml")).expect("a file");
    stack.dev(&["cp", "box:/d/sub/b", "stopped"]).ends(0);
    assert_eq!(text(&stack, "stopped"), "two\n");
}

#[test]
fn a_container_is_exported_and_committed_and_its_volumes_are_listed() {
    let stack = Stack::new("export", ONE);
    stack.dev(&["export", "box", "-o", "x.tar"]).ends(1).says(&["box has no container"]);
    stack.dev(&["commit", "box"]).ends(1).says(&["box has no container"]);
    stack.dev(&["export", "none", "-o", "x.tar"]).ends(2).says(&["no service `none`"]);
    stack.up();

    stack.file("x.tar", "an old one");
    stack.dev(&["export", "box", "-o", "x.tar"]).ends(0).says(&["x.tar written"]);
    let mut archive = tar::Archive::new(std::fs::File::open(stack.path().join("x.tar")).expect("a file"));
    let names = archive.entries().expect("a tar").map(|entry| entry.expect("one").path().expect("a name").into_owned());
    assert!(names.into_iter().any(|name| name.ends_with("d/sub/b")));
    assert!(stack.command(&["export", "box"]).output().expect("runs").stdout.len() > 1024, "to a pipe");
    assert!(stack.dev(&["export", "compose"]).ends(0).stdout.contains("services:"), "as before");

    let image = format!("{}-committed", stack.project);
    let id = stack.dev(&["commit", "-m", "of a test", "-c", "CMD [\"true\"]", "box", &format!("{image}:1")]).ends(0);
    assert!(id.stdout.starts_with("sha256:"), "{}", id.stdout);
    let (_, labels) = docker::inspect_image(&format!("{image}:1"));
    let own = labels.iter().filter(|(name, value)| name.starts_with("dev.taskava.") && !value.is_empty());
    assert_eq!(own.count(), 0, "a container of it is none of the stack: {labels:?}");
    docker::remove_image(&format!("{image}:1"));
    stack.dev(&["commit", "box", "a@sha256:b"]).ends(2).says(&["REPOSITORY:TAG"]);
    stack.dev(&["commit", "-c", "NONSENSE", "box"]).ends(1).says(&["can't create an image of box"]);

    let volumes = stack.dev(&["volumes"]).ends(0).stdout;
    assert!(volumes.contains(&stack.volume("kept")) && volumes.contains("box"), "{volumes}");
    assert_eq!(stack.dev(&["volumes", "-q"]).ends(0).stdout.lines().count(), 2);
    let row = stack.dev(&["volumes", "--format", "{{.Name}}|{{.Services}}"]).ends(0).stdout;
    assert!(row.contains(&format!("{}|box", stack.volume("kept"))), "{row}");
    stack.dev(&["volumes", "none"]).ends(2).says(&["no service `none`"]);
}

//! The stack of a test run writes nowhere where the developer's stack does: views of host paths.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Stdio;

use crate::docker;
use crate::stack::{Running, Stack, wait_until};
use crate::test_command::isolated;

/// Writes down that it ran, where `MOUNTS` put it.
fn journal(mounts: &str) -> String {
    format!(
        r#"
[services.store]
image = "image:busybox"
init = true
stop_signal = "SIGKILL"
command = ["sh", "-c", "echo run >> /store/journal && echo written; exec sleep 1000"]
ready = {{ log = "written" }}
volumes = [{mounts}]
"#
    )
}

fn read(stack: &Stack, file: &str) -> String {
    fs::read_to_string(stack.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A folder whose path is longer than the kernel takes for an overlay, as services.toml names it.
fn too_deep(stack: &Stack) -> String {
    let room = 3900 - stack.root.len();
    let parts: Vec<String> = vec!["d".repeat(199); room / 200];
    let path = format!("./{}", parts.join("/"));
    fs::create_dir_all(stack.path().join(&path)).expect("a folder");
    path
}

#[test]
fn what_a_test_writes_into_a_folder_stays_in_its_own_stack() {
    let stack = Stack::new("view", &journal(r#""./data:/store", { source = "./a:b,c", target = "/odd" }"#));
    for folder in ["data", "a:b,c"] {
        fs::create_dir(stack.path().join(folder)).expect("a folder");
    }
    stack.file("data/seed", "of the developer\n");
    stack.up();
    assert_eq!(read(&stack, "data/journal"), "run\n");
    let script = "$TASKAVA dev exec store sh -c 'cat /store/seed /store/journal; rm /store/seed; mkdir /store/sub; mv /store/sub /store/moved; echo x > /odd/x; ls /store'";
    let mut run = stack.command(&["test", "--", "sh", "-c", script]);
    let run = Running::start(run.env("TASKAVA", env!("CARGO_BIN_EXE_taskava"))).finish().ends(0);
    assert_eq!(run.stdout, "of the developer\nrun\nrun\njournal\nmoved\n", "it sees what is there, and what it wrote");
    assert_eq!(
        (read(&stack, "data/journal").as_str(), read(&stack, "data/seed").as_str()),
        ("run\n", "of the developer\n")
    );
    let left: Vec<_> = fs::read_dir(stack.path().join("a:b,c")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn two_runs_at_once_and_services_of_one_run_keep_what_they_write_apart_and_together() {
    let reader = r#"
[services.reader]
image = "image:busybox"
init = true
stop_signal = "SIGKILL"
depends_on = ["store"]
command = ["sh", "-c", "test \"$(cat /in/journal)\" = run && echo together; exec sleep 1000"]
ready = { log = "together" }
volumes = ["./data:/in"]
"#;
    let stack = Stack::new("views", &(journal(r#""./data:/store""#) + reader));
    fs::create_dir(stack.path().join("data")).expect("a folder");
    let start = || {
        let mut run = stack.command(&["test", "--", "sh", "-c", "echo it goes on >&2; exec cat"]);
        Running::start_with_stdin(run.stdin(Stdio::piped()))
    };
    let mut runs = [start(), start()];
    for run in &mut runs {
        run.wait_for("it goes on");
    }
    for mut run in runs {
        run.close_stdin();
        run.finish().ends(0);
    }
    assert!(!stack.path().join("data/journal").exists());
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn another_user_writes_into_a_view_as_into_the_folder() {
    let text = journal(r#""./data:/store""#) + "user = \"4711:4712\"\n";
    let stack = Stack::new("view-user", &text);
    let data = stack.path().join("data");
    fs::create_dir(&data).expect("a folder");
    chown(&data, Some(4711), Some(4712)).expect("as root");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("its mode");
    let script = "$TASKAVA dev exec store stat -c '%u %g %a' /store";
    let mut run = stack.command(&["test", "--", "sh", "-c", script]);
    let run = Running::start(run.env("TASKAVA", env!("CARGO_BIN_EXE_taskava"))).finish().ends(0);
    assert_eq!(run.stdout, "4711 4712 700\n");
    assert_eq!(fs::read_dir(&data).expect("a folder").count(), 0);
}

#[test]
fn source_code_a_nested_volume_and_a_file_work_as_in_the_developers_stack() {
    let text = r#"
[services.app]
image = "image:busybox"
init = true
stop_signal = "SIGKILL"
command = ["sh", "-c", "echo built > /app/out; echo x > /app/node_modules/x; echo more >> /etc/app.conf; cat /etc/app.conf; echo 1 >> /common/meant; echo done; exec sleep 1000"]
ready = { log = "done" }
volumes = [".:/app", "/app/node_modules", "./app.conf:/etc/app.conf", { source = "./common", target = "/common", shared = true }, "/var/run/docker.sock:/var/run/docker.sock"]
"#;
    let stack = Stack::new("view-code", text);
    for folder in ["node_modules", "common"] {
        fs::create_dir(stack.path().join(folder)).expect("a folder");
    }
    stack.file("app.conf", "a = 1\n");
    let script =
        "$TASKAVA dev logs app; $TASKAVA dev run app cat /app/out; $TASKAVA dev exec app test -S /var/run/docker.sock";
    let mut run = stack.command(&["test", "--", "sh", "-c", script]);
    let run = Running::start(run.env("TASKAVA", env!("CARGO_BIN_EXE_taskava"))).finish().ends(0);
    assert!(run.stdout.contains("a = 1") && run.stdout.contains("more"), "{}", run.stdout);
    assert!(run.stdout.ends_with("built\n"), "a one-off container has the same view:\n{}", run.stdout);
    assert_eq!(read(&stack, "app.conf"), "a = 1\n");
    assert!(!stack.path().join("out").exists() && !stack.path().join("node_modules/x").exists());
    assert_eq!(read(&stack, "common/meant"), "1\n", "`shared = true` says that it is meant");
    assert_eq!(isolated(&stack), [""; 0]);
}

#[test]
fn where_no_overlay_can_be_mounted_little_is_copied_and_much_is_shared_or_refused() {
    let stack = Stack::new("view-deep", "");
    let folder = too_deep(&stack);
    let path = stack.path().join(&folder);
    stack.services(&journal(&format!("\"{folder}:/store\"")));
    fs::write(path.join("seed"), "of the developer\n").expect("a file");
    std::os::unix::fs::symlink("/etc/passwd", path.join("link")).expect("a link");
    chown(&path, Some(4711), None).expect("as root");
    let script =
        "$TASKAVA dev exec store sh -c 'cat /store/seed /store/journal; readlink /store/link; stat -c %u /store'";
    let test = |stack: &Stack| {
        let mut run = stack.command(&["test", "--", "sh", "-c", script]);
        Running::start(run.env("TASKAVA", env!("CARGO_BIN_EXE_taskava"))).finish()
    };
    let run = test(&stack).ends(0);
    assert_eq!(run.stdout, "of the developer\nrun\n/etc/passwd\n4711\n", "a copy");
    assert!(!path.join("journal").exists());

    // Nothing of it is on the disk.
    fs::File::create(path.join("large")).and_then(|file| file.set_len(257 << 20)).expect("a file");
    let refused = stack.path().join("services.toml");
    let text = fs::read_to_string(&refused).expect("a file");
    let shared = test(&stack).ends(0).says(&["store: ./ddd", "larger than the 256 MiB", "shared = true"]);
    assert_eq!(shared.stderr.matches("larger than the 256 MiB").count(), 1, "{}", shared.stderr);
    assert_eq!(fs::read_to_string(path.join("journal")).expect("a file"), "run\n", "said, and shared");

    let image = crate::stack::image("image:busybox");
    let named = format!("{}/mysql-server:8", stack.project);
    docker::engine(async |docker| {
        let (repo, tag) = named.split_once(':').expect("a tag");
        let options = bollard::query_parameters::TagImageOptions { repo: Some(repo.into()), tag: Some(tag.into()) };
        docker.tag_image(image, Some(options)).await
    });
    let _named = Named(named.clone());
    fs::write(&refused, text.replace(image, &named)).expect("a file");
    test(&stack).ends(2).says(&["named volume", "shared = true", "would destroy them"]);
    assert_eq!(fs::read_to_string(path.join("journal")).expect("a file"), "run\n", "not touched");
    assert_eq!(isolated(&stack), [""; 0]);
}

/// A name of an image, taken away at the end.
struct Named(String);

impl Drop for Named {
    fn drop(&mut self) {
        docker::engine(async |docker| {
            docker.remove_image(&self.0, None::<bollard::query_parameters::RemoveImageOptions>, None).await
        });
    }
}

#[test]
fn views_of_a_killed_run_are_removed_too() {
    let stack = Stack::new("view-killed", &journal(r#""./data:/store""#));
    let data: PathBuf = stack.path().join("data");
    fs::create_dir(&data).expect("a folder");
    let mut run = stack.start(&["test", "--", "sh", "-c", "echo it goes on >&2; exec sleep 1000"]);
    run.wait_for("it goes on");
    assert!(isolated(&stack).iter().any(|object| object.contains("-view-")), "{:?}", isolated(&stack));
    run.signal("KILL");
    run.finish().ends(-1);
    wait_until("nothing left", || isolated(&stack).is_empty().then_some(()));
    assert_eq!(fs::read_dir(&data).expect("a folder").count(), 0);
}

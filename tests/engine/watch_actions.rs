//! What a changed file does: commands, builds, and where nothing is to be done.

use crate::docker;
use crate::stack::{Running, Stack, image, wait_until};
use std::fs;
use std::process::Command;

use crate::watch::*;

#[test]
fn a_file_is_taken_out_of_an_image_without_rm() {
    let stack = Stack::new("watch-no-rm", "");
    stack.file("image/Dockerfile", &format!("FROM {}\nRUN rm /bin/rm\n", image("image:busybox")));
    stack.file("web/a.txt", "0");
    stack.file("web/b.txt", "0");
    let build = "build = \"image\"\n";
    stack.services(
        &app(r#"{ path = "web", action = "sync", target = "/srv" }"#).replace("image = \"image:busybox\"\n", build),
    );
    stack.up();
    let first = stack.container("app");
    let watching = Watching::start(&stack, &[]);
    stack.file("web/a.txt", "1");
    watching.done(1);
    fs::remove_file(stack.path().join("web/a.txt")).expect("removed");
    watching.done(2);
    let second = stack.container("app");
    assert_ne!(first, second, "recreated");
    assert_eq!(docker::output(&second, &["ls", "/srv"]), "b.txt\n", "with all that is there outside");
}

#[test]
fn a_command_gets_the_files_and_its_failure_is_shown() {
    let rule = r#"{ path = "sql", action = "exec", command = ["sh", "-c", "echo \"$TASKAVA_CHANGED\"; ! grep -q bad /sql/*"] }"#;
    let stack = Stack::new("watch-exec", &(app(rule) + "volumes = [\"./sql:/sql\"]\n"));
    stack.file("sql/1.sql", "0");
    stack.file("sql/2.sql", "0");
    stack.up();
    let watching = Watching::start(&stack, &[]);
    stack.file("sql/1.sql", "1");
    let done = watching.done(1);
    assert_eq!((&done["action"], &done["output"]), (&"exec".into(), &"1.sql\n".into()), "{done}");
    stack.file("sql/2.sql", "bad");
    let failed = watching.wait("watch-done", 2);
    assert!(failed["failures"][0]["message"].as_str().expect("words").contains("ended with code 1"), "{failed:#}");
    assert_eq!(failed["output"], "2.sql\n");
}

#[test]
fn an_image_is_built_and_its_container_made_anew() {
    let stack = Stack::new("watch-build", "");
    // By the label, what loses its name is found at the end.
    let from = format!("FROM {}\nLABEL test={}\n", image("image:busybox"), stack.project);
    stack.file("image/Dockerfile", &format!("{from}COPY version /version\n"));
    stack.file("image/.dockerignore", "*.md\n");
    stack.file("image/version", "1");
    let text = app(r#"{ path = "image", action = "rebuild" }"#);
    stack.services(&text.replace("image = \"image:busybox\"\n", "build = \"image\"\n"));
    stack.up();
    let first = stack.container("app");
    let watching = Watching::start(&stack, &[]);
    // What the build does not get to see can't change its image.
    stack.file("image/README.md", "1");
    stack.file("image/version", "2");
    let done = watching.done(1);
    assert_eq!(
        (&done["action"], &done["path"], &done["files"]),
        (&"rebuild".into(), &"image/version".into(), &1.into())
    );
    let second = stack.container("app");
    assert_ne!(first, second);
    assert_eq!(docker::output(&second, &["cat", "/version"]), "2");
}

#[test]
fn an_action_that_rewrites_what_it_watches_is_stopped() {
    let rule = r#"{ path = "gen", action = "exec", command = ["sh", "-c", "cat /proc/uptime /proc/sys/kernel/random/uuid > /gen/out.txt"] }"#;
    let stack = Stack::new("watch-loop", &(app(rule) + "volumes = [\"./gen:/gen\"]\n"));
    stack.file("gen/in.txt", "0");
    stack.file("gen/out.txt", "");
    stack.up();
    let watching = Watching::start(&stack, &[]);
    stack.file("gen/in.txt", "1");
    let suspended = watching.wait("watch-suspended", 1);
    assert_eq!(suspended["paths"], serde_json::json!(["gen/out.txt"]), "{suspended:#}");
    let actions = watching.all("watch-done").len();
    // A user's save is acted upon; what that stirs up is known at once.
    stack.file("gen/in.txt", "2");
    wait_until("one more action", || (watching.all("watch-done").len() == actions + 1).then_some(()));
    assert_eq!(watching.all("watch-done").last().expect("one")["path"], "gen/in.txt");
}

#[test]
fn changes_during_an_action_are_one_action_afterwards() {
    let slow =
        r#"{ path = "src", action = "exec", command = ["sh", "-c", "until [ -e /gate/open ]; do sleep 0.05; done"] }"#;
    let stack = Stack::new("watch-coalesce", &(app(slow) + "volumes = [\"./gate:/gate\"]\n"));
    stack.file("src/a.txt", "0");
    fs::create_dir_all(stack.path().join("gate")).expect("a folder");
    stack.up();
    let watching = Watching::start(&stack, &[]);
    stack.file("src/a.txt", "1");
    watching.wait("watch-action", 1);
    for number in 0..20 {
        stack.file(&format!("src/{number}.txt"), "1");
        stack.file("src/a.txt", &format!("again {number}"));
    }
    stack.file("gate/open", "");
    let second = watching.done(2);
    assert_eq!((&second["path"], &second["files"]), (&"src/0.txt".into(), &21.into()), "{second}");
}

#[test]
fn where_the_system_does_not_tell_changes_are_looked_for() {
    let stack = Stack::new("watch-poll", &app(r#"{ path = "src" }"#));
    let file = stack.file("src/main.txt", "0");
    stack.up();
    let watching = Watching::start(&stack, &["--poll"]);
    assert_eq!(watching.all("watch-started")[0]["polling"], true);
    for (round, (editor, save)) in EDITORS.into_iter().enumerate() {
        save(&file, editor);
        watching.done(round + 1);
    }
}

#[test]
fn a_limit_of_the_system_is_named_and_got_over() {
    let stack = Stack::new("watch-limit", &app(r#"{ path = "src" }"#));
    for number in 0..8 {
        stack.file(&format!("src/{number}/x.txt"), "0");
    }
    stack.up();
    // A user namespace has a limit of its own, so that of no other user is touched.
    let own = stack.command(&["watch", "--format", "json"]);
    let mut command = Command::new("unshare");
    command.args([
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 5 > /proc/sys/user/max_inotify_watches; exec \"$@\"",
        "sh",
    ]);
    command.arg(own.get_program()).args(own.get_args()).current_dir(stack.path());
    let watching = Watching(Running::start(&mut command));
    let warning = watching.wait("warning", 1);
    assert!(warning["message"].as_str().expect("words").contains("fs.inotify.max_user_watches"), "{warning}");
    assert!(warning["hint"].as_str().expect("words").contains("sysctl fs.inotify.max_user_watches="), "{warning}");
    assert_eq!(watching.wait("watch-started", 1)["polling"], true);
    stack.file("src/7/x.txt", "1");
    assert_eq!(watching.done(1)["path"], "src/7/x.txt");
}

#[test]
fn what_is_mounted_already_is_not_copied() {
    let rule = r#"{ path = "web", action = "sync", target = "/web" }"#;
    let stack = Stack::new("watch-mounted", &(app(rule) + "volumes = [\"./web:/web\"]\n"));
    stack.file("web/index.html", "0");
    stack.up();
    let watching = Watching::start(&stack, &[]);
    let warning = watching.wait("warning", 1);
    assert!(warning["message"].as_str().expect("words").contains("web is mounted at /web already"), "{warning}");
}

#[test]
fn nothing_is_watched_where_nothing_runs() {
    let stack = Stack::new("watch-down", &app(r#"{ path = "src" }"#));
    stack.file("src/main.txt", "0");
    stack.dev(&["watch"]).ends(1).says(&["no watched service has a container: app", "taskava dev up --watch"]);
}

#[test]
fn the_default_stack_runs_its_scripts_again_when_they_are_edited() {
    let stack = Stack::of_the_project("watch-default");
    stack.dev(&["up", "postgres", "localstack"]).ends(0);
    let (postgres, localstack) = (stack.container("postgres"), stack.container("localstack"));
    let began = docker::inspect(&localstack).started_at;
    let watching = Watching::start(&stack, &[]);
    let script = "CREATE TABLE IF NOT EXISTS of_the_new_script ();\n";
    stack.file("docker/postgres/init/20-more.sql", script);
    assert_eq!(watching.done(1)["action"], "exec");
    let query = "psql -U taskava -d taskava_dev -Atc \"SELECT to_regclass('of_the_new_script')\"";
    assert_eq!(docker::output(&postgres, &["sh", "-c", query]), "of_the_new_script\n");

    stack.file("docker/postgres/init/20-more.sql", "SELECT wrong;\n");
    let failed = watching.wait("watch-done", 2);
    assert!(failed["output"].as_str().expect("words").contains("column \"wrong\" does not exist"), "{failed:#}");
    assert_eq!(docker::inspect(&localstack).started_at, began);

    let more =
        "s3.create_bucket(Bucket=\"of-the-new-script\", CreateBucketConfiguration={\"LocationConstraint\": region})\n";
    let old = fs::read_to_string(stack.path().join("docker/localstack/ready.d/10-resources.py")).expect("a file");
    stack.file("docker/localstack/ready.d/10-resources.py", &(old + more));
    let done = wait_until("the restart", || watching.all("watch-done").get(2).cloned());
    assert_eq!((&done["action"], &done["failures"]), (&"restart".into(), &serde_json::json!([])), "{done:#}");
    assert_eq!(stack.container("localstack"), localstack);
    assert_ne!(docker::inspect(&localstack).started_at, began);
}

//! `watch`: each save of each editor is seen once, nothing else is, and what the rules say is done.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::docker;
use crate::stack::{Running, Stack, image, wait_until};

/// Ends at once, and says that it began.
pub(crate) const APP: &str = r#"
[services.app]
image = "image:busybox"
command = ["sh", "-c", "echo began; exec sleep 1000"]
stop_signal = "SIGKILL"
"#;

pub(crate) fn app(watch: &str) -> String {
    format!("{APP}watch = [{watch}]\n")
}

/// `taskava dev watch --format json`, and what it told so far.
pub(crate) struct Watching(pub(crate) Running);

impl Watching {
    #[track_caller]
    pub(crate) fn start(stack: &Stack, arguments: &[&str]) -> Self {
        let mut all = vec!["watch", "--format", "json"];
        all.extend(arguments);
        let watching = Self(stack.start(&all));
        watching.wait("watch-started", 1);
        watching
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.0
            .printed()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    pub(crate) fn all(&self, event: &str) -> Vec<Value> {
        self.events().into_iter().filter(|told| told["event"] == event).collect()
    }

    /// Waits until an event was reported that many times; returns the last of them.
    #[track_caller]
    pub(crate) fn wait(&self, event: &str, times: usize) -> Value {
        wait_until(&format!("{times} × {event}"), || {
            let found = self.all(event);
            assert!(found.len() <= times, "more than {times} × {event}: {found:#?}");
            (found.len() == times).then(|| found.last().expect("some").clone())
        })
    }

    /// Waits until so many actions are over; returns the last.
    #[track_caller]
    pub(crate) fn done(&self, times: usize) -> Value {
        let done = self.wait("watch-done", times);
        assert_eq!(done["failures"], serde_json::json!([]), "{done:#}");
        done
    }
}

/// How an editor saves a text.
pub(crate) type Save = fn(&Path, &str);

/// Each with the system calls that the editor makes.
pub(crate) const EDITORS: [(&str, Save); 5] = [
    ("in place", |file, text| fs::write(file, text).expect("a file")),
    ("vim", |file, text| {
        // backupcopy=no: looks whether it may write here, moves the old one away, writes a new one.
        let at = |name: &str| file.with_file_name(name);
        fs::write(at("4913"), "").expect("a file");
        fs::remove_file(at("4913")).expect("removed");
        fs::write(at(".main.txt.swp"), "b0VIM").expect("a file");
        fs::rename(file, at("main.txt~")).expect("renamed");
        fs::write(file, text).expect("a file");
        fs::remove_file(at("main.txt~")).expect("removed");
        fs::remove_file(at(".main.txt.swp")).expect("removed");
    }),
    ("JetBrains", |file, text| {
        let (new, old) = (file.with_file_name("main.txt___jb_tmp___"), file.with_file_name("main.txt___jb_old___"));
        fs::write(&new, text).expect("a file");
        fs::rename(file, &old).expect("renamed");
        fs::rename(&new, file).expect("renamed");
        fs::remove_file(&old).expect("removed");
    }),
    ("VS Code, atomic", |file, text| {
        let new = file.with_file_name("main.txt.vsctmp");
        fs::write(&new, text).expect("a file");
        fs::rename(&new, file).expect("renamed");
    }),
    ("unlink and create", |file, text| {
        fs::remove_file(file).expect("removed");
        fs::write(file, text).expect("a file");
    }),
];

#[test]
fn every_save_of_every_editor_is_one_restart_and_nothing_else_is() {
    let stack = Stack::new("watch-editors", &app(r#"{ path = "src", ignore = ["*.vsctmp", "*.md"] }"#));
    let file = stack.file("src/main.txt", "0");
    stack.file(".gitignore", "*.log\n");
    stack.up();
    let watching = Watching::start(&stack, &[]);
    let mut times = 0;
    for (editor, save) in EDITORS {
        // The second save is the one that a watcher of the file itself misses.
        for round in ["a", "b"] {
            save(&file, &format!("{editor} {round}"));
            times += 1;
            let done = watching.done(times);
            assert_eq!((&done["path"], &done["action"]), (&"src/main.txt".into(), &"restart".into()), "{editor}");
            // Nothing changed, and the others need no reaction.
            save(&file, &format!("{editor} {round}"));
            fs::write(stack.path().join("src/notes.md"), format!("{times}")).expect("a file");
            fs::write(stack.path().join("src/x.log"), format!("{times}")).expect("a file");
            fs::create_dir_all(stack.path().join("src/node_modules/x")).expect("a folder");
            fs::write(stack.path().join("src/node_modules/x/y.js"), format!("{times}")).expect("a file");
        }
    }
    let started: Vec<_> = docker::log(&stack.container("app")).lines().map(ToOwned::to_owned).collect();
    assert_eq!(started, vec!["began"; 1 + times], "restarted, not recreated");
    // A folder that comes later is watched as well, with what is in it already.
    stack.file("src/new/deep/x.txt", "1");
    assert_eq!(watching.done(times + 1)["path"], "src/new/deep/x.txt");
    stack.file("src/new/deep/x.txt", "2");
    assert_eq!(watching.done(times + 2)["path"], "src/new/deep/x.txt");
    fs::remove_dir_all(stack.path().join("src/new")).expect("removed");
    watching.done(times + 3);

    watching.0.signal("INT");
    watching.0.finish().ends(130);
    assert_eq!(stack.state("app"), "running", "Ctrl-C leaves the stack running");
}

#[test]
fn up_watch_stays_shows_logs_and_says_what_it_does() {
    let stack = Stack::new("watch-up", &app(r#"{ path = "src" }"#));
    let file = stack.file("src/main.txt", "0");
    let mut watching = stack.start(&["up", "--watch"]);
    watching.wait_for("watching for app: ");
    fs::write(&file, "1").expect("a file");
    watching.wait_for("restart: src/main.txt changed");
    watching.wait_for("restart done in ");
    wait_until("both lines of the log", || (watching.printed().matches("began").count() == 2).then_some(()));
    watching.signal("INT");
    watching.finish().ends(130);
    assert_eq!(stack.state("app"), "running");
    // Without a rule there is nothing to stay for, and nothing is started for it.
    stack.services(APP);
    stack.dev(&["up", "--watch"]).ends(2).says(&["no service has `watch`"]);
    stack.dev(&["watch", "app"]).ends(2).says(&["app has no `watch`", "hint:"]);
}

#[test]
fn an_edit_while_up_watch_starts_the_stack_is_applied() {
    let text = app(r#"{ path = "src" }"#) + "env = { A = \"1\" }\nready = { exec = [\"test\", \"-e\", \"/go\"] }\n";
    let stack = Stack::new("watch-up-edit", &text);
    stack.file("src/main.txt", "0");
    let mut watching = stack.start(&["up", "--watch"]);
    wait_until("a container", || (stack.state("app") == "running").then_some(()));
    let first = stack.container("app");
    // `up` waits for readiness and has read the file.
    stack.edit("env = { A = \"1\" }\nready = { exec = [\"test\", \"-e\", \"/go\"] }", "env = { A = \"2\" }");
    docker::exec(&first, &["touch", "/go"]);
    watching.wait_for("watching for app: ");
    watching.wait_for("config changed: env.A");
    wait_until("another container", || stack.find("app").is_some_and(|id| id != first).then_some(()));
    watching.signal("INT");
    watching.finish().ends(130);
}

#[test]
fn a_checkout_of_thousands_of_files_is_one_action() {
    let stack = Stack::new("watch-git", &app(r#"{ path = "src" }"#));
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=x", "-c", "user.email=x@x", "-c", "gc.auto=0"]).args(arguments);
        let done = command.current_dir(stack.path()).output().expect("git");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let write = |text: &str| {
        for number in 0..5000 {
            let file = stack.path().join(format!("src/{}/{number}.txt", number % 50));
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, format!("{text} {number}")).expect("a file");
        }
    };
    git(&["init", "-q", "-b", "one"]);
    write("one");
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    git(&["checkout", "-qb", "two"]);
    write("two");
    git(&["commit", "-qam", "two"]);
    stack.up();
    let watching = Watching::start(&stack, &[]);
    git(&["checkout", "-q", "one"]);
    let done = watching.done(1);
    assert_eq!(done["files"], 5000, "{done}");
    git(&["checkout", "-q", "two"]);
    assert_eq!(watching.done(2)["files"], 5000);
}

#[test]
fn an_edit_of_services_toml_is_applied_and_a_broken_one_is_shown() {
    let text = app(r#"{ path = "src" }"#) + "env = { A = \"1\" }\nenv_file = \"app.env\"\n";
    let stack = Stack::new("watch-reload", &text);
    let file = stack.file("src/main.txt", "0");
    stack.file("app.env", "B=1\n");
    stack.up();
    let first = stack.container("app");
    let watching = Watching::start(&stack, &[]);

    stack.edit("A = \"1\"", "A = 1.5.1");
    let error = watching.wait("error", 1);
    assert_eq!(error["kind"], "usage");
    assert_eq!(error["diagnostics"][0]["file"], "services.toml", "{error:#}");
    assert_eq!((stack.find("app"), stack.state("app")), (Some(first.clone()), "running".into()));

    stack.edit("A = 1.5.1", "A = \"2\"");
    let reloaded = watching.wait("watch-reloaded", 1);
    assert_eq!(reloaded["path"], "services.toml");
    assert!(reloaded["changes"][0].as_str().expect("words").contains("app recreated (config changed: env.A)"));
    let second = stack.container("app");
    assert!(docker::inspect(&second).env.contains(&"A=2".into()));

    // A file that is read because of it, and one that was not there.
    stack.file("app.env", "B=2\n");
    watching.wait("watch-reloaded", 2);
    assert!(docker::inspect(&stack.container("app")).env.contains(&"B=2".into()));
    let local = "[services.app]\nenv = { A = \"3\" }\n[services.more]\nimage = \"image:busybox\"\ncommand = [\"sleep\", \"1000\"]\nstop_signal = \"SIGKILL\"\n";
    stack.file("services.local.toml", &local.replace("image:busybox", image("image:busybox")));
    watching.wait("watch-reloaded", 3);
    assert_eq!(stack.state("more"), "running", "a new service is started");

    // New rules count from then on, the old ones do not.
    stack.edit("path = \"src\"", "path = \"web\"");
    stack.file("web/index.html", "0");
    watching.wait("error", 1);
    let reloads = watching.all("watch-reloaded").len();
    stack.edit("path = \"web\"", "path = \"./web\"");
    watching.wait("watch-reloaded", reloads.max(3) + 1);
    fs::write(&file, "1").expect("a file");
    stack.file("web/index.html", "1");
    assert_eq!(watching.done(1)["path"], "web/index.html");
}

#[test]
fn a_secret_that_is_added_while_watching_is_not_told() {
    let command = "echo began $API_TOKEN; test -z \\\"$API_TOKEN\\\" || exit 3; exec sleep 1000";
    let text = app(r#"{ path = "src" }"#).replace("echo began; exec sleep 1000", command);
    let stack = Stack::new("watch-secret", &(text + "env = { A = \"1\" }\n"));
    stack.file("src/main.txt", "0");
    stack.up();
    let watching = Watching::start(&stack, &[]);
    stack.edit("A = \"1\"", "API_TOKEN = \"plum-4711-orchid\"");
    let reloaded = watching.wait("watch-reloaded", 1);
    assert_eq!(reloaded["failures"][0]["log"][0], "began ********", "{reloaded:#}");
}

#[test]
fn files_are_copied_into_the_container_and_taken_out_again() {
    let rules = r#"{ path = "web", action = "sync", target = "/srv/web" }, { path = "app.conf", action = "sync+restart", target = "/etc/app/" }"#;
    let stack = Stack::new("watch-sync", &app(rules));
    stack.file("web/index.html", "0");
    stack.file("web/old/x.txt", "0");
    stack.file("app.conf", "0");
    stack.up();
    let id = stack.container("app");
    let watching = Watching::start(&stack, &[]);
    let inside = |command: &str| docker::output(&id, &["sh", "-c", command]);

    let script = stack.file("web/a b/run.sh", "echo 1");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a file");
    let done = watching.done(1);
    assert_eq!((&done["action"], &done["path"]), (&"sync".into(), &"web/a b/run.sh".into()));
    assert_eq!(inside("'/srv/web/a b/run.sh'"), "1\n");
    let began = docker::inspect(&id).started_at;

    // Only what changes is copied, so what is taken out was put in before.
    stack.file("web/old/x.txt", "1");
    watching.done(2);
    assert_eq!(inside("cat /srv/web/old/x.txt"), "1");
    fs::remove_dir_all(stack.path().join("web/old")).expect("removed");
    watching.done(3);
    assert_eq!(inside("ls -d /srv/web/old/x.txt 2>&1 || true"), "ls: /srv/web/old/x.txt: No such file or directory\n");
    assert_eq!(docker::inspect(&id).started_at, began, "`sync` does not restart");

    stack.file("app.conf", "1");
    assert_eq!(watching.done(4)["action"], "sync+restart");
    assert_eq!(inside("cat /etc/app/app.conf"), "1");
    assert_ne!(docker::inspect(&id).started_at, began);
    assert_eq!(stack.container("app"), id);
}

#[test]
fn links_are_copied_as_links_and_what_takes_a_files_place_is_seen() {
    let stack = Stack::new("watch-links", &app(r#"{ path = "web", action = "sync", target = "/srv" }"#));
    stack.file("web/a", "0");
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), "not for the container").expect("a file");
    let at = |path: &str| stack.path().join("web").join(path);
    std::os::unix::fs::symlink(outside.path(), at("before")).expect("a link");
    stack.up();
    let id = stack.container("app");
    let watching = Watching::start(&stack, &[]);
    let warnings = watching.all("warning");
    assert!(warnings.iter().any(|told| told["message"].as_str().expect("words").starts_with("web/before is a link")));
    let inside = |command: &str| docker::output(&id, &["sh", "-c", command]);

    std::os::unix::fs::symlink(outside.path().join("secret"), at("one")).expect("a link");
    watching.done(1);
    std::os::unix::fs::symlink("one", at("chain")).expect("a link");
    watching.done(2);
    std::os::unix::fs::symlink(outside.path(), at("folder")).expect("a link");
    watching.done(3);
    let expected = format!("{0}/secret\none\n{0}\n", outside.path().display());
    assert_eq!(inside("cd /srv; readlink one; readlink chain; readlink folder"), expected);
    assert_eq!(inside("cat /srv/one /srv/chain /srv/folder/secret 2>/dev/null || true"), "");

    // A link that becomes a folder, one that becomes a file, a file that becomes a folder and back.
    let replace = |done: usize, path: &str, inner: Option<&str>| {
        let path = at(path);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        match inner {
            Some(inner) => {
                fs::create_dir(&path).expect("a folder");
                fs::write(path.join(inner), "inner").expect("a file");
            }
            None => fs::write(&path, "a file").expect("a file"),
        }
        watching.done(done);
    };
    replace(4, "folder", Some("x"));
    assert_eq!(inside("cat /srv/folder/x; test ! -L /srv/folder && echo real"), "innerreal\n");
    assert!(!outside.path().join("x").exists());
    replace(5, "one", None);
    assert_eq!(inside("cat /srv/one; test ! -L /srv/one && echo real"), "a filereal\n");
    replace(6, "a", Some("b"));
    assert_eq!(inside("cat /srv/a/b"), "inner");
    replace(7, "a", None);
    assert_eq!(inside("cat /srv/a"), "a file");
    fs::remove_file(at("a")).expect("removed");
    std::os::unix::fs::symlink("one", at("a")).expect("a link");
    watching.done(8);
    assert_eq!(inside("readlink /srv/a"), "one\n");
}

#[test]
fn thousands_of_names_reach_a_command_that_takes_them_or_not() {
    let command = r#"["sh", "-c", "echo $TASKAVA_CHANGED_COUNT:$(wc -l):$${#TASKAVA_CHANGED}"]"#;
    let other = r#"["sh", "-c", "echo $TASKAVA_CHANGED_COUNT"]"#;
    let rule = |command: &str, path: &str| format!("{{ path = \"{path}\", action = \"exec\", command = {command} }}");
    let stack = Stack::new("watch-exec-many", &app(&format!("{}, {}", rule(command, "src"), rule(other, "."))));
    stack.file("src/one", "");
    stack.up();
    // An editor's settings, or a checkout: git holds its lock until all of it is there.
    let lock = stack.file(".git/index.lock", "");
    let watching = Watching::start(&stack, &[]);
    let name = "a-generated-module-with-a-rather-long-name-in-a-deeply-nested-folder-of-the-front-end";
    for number in 0..3000 {
        stack.file(&format!("src/{name}-{number:05}.rs"), "x");
    }
    fs::remove_file(&lock).expect("removed");
    let done = watching.done(1);
    assert_eq!(done["output"], "3000:3000:0\n3000\n", "{done}");
    stack.file("src/one", "1");
    assert_eq!(watching.done(2)["output"], "1:1:3\n1\n");
}

#[test]
fn what_git_ignores_anywhere_is_left_alone_in_linked_work_trees_too() {
    let stack = Stack::new("watch-excludes", "");
    let git = |folder: &Path, arguments: &[&str]| {
        let mut git = Command::new("git");
        git.current_dir(folder).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(arguments);
        let done = git.env("GIT_CONFIG_NOSYSTEM", "1").output().expect("git");
        assert!(done.status.success(), "{done:?}");
    };
    let home = stack.path().join("home");
    let tree = stack.path().join("tree");
    stack.file("home/.config/git/ignore", "*.usual\n");
    stack.file("repository/.keep", "");
    let repository = stack.path().join("repository");
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-qm", "first"]);
    git(&repository, &["worktree", "add", "-q", tree.to_str().expect("UTF-8")]);
    stack.file("repository/.git/info/exclude", "*.scratch\n");
    let rule = r#"{ path = "src", action = "exec", command = ["sh", "-c", "echo $TASKAVA_CHANGED"] }"#;
    stack.services(&app(rule));
    fs::copy(stack.path().join("services.toml"), tree.join("services.toml")).expect("a copy");
    fs::create_dir(tree.join("src")).expect("a folder");
    let dev = |arguments: &[&str]| {
        let mut command = stack.command(arguments);
        command.current_dir(&tree).env("HOME", &home).env_remove("XDG_CONFIG_HOME");
        Running::start(&mut command)
    };
    dev(&["up"]).finish().ends(0);
    let watching = Watching(dev(&["watch", "--format", "json"]));
    watching.wait("watch-started", 1);
    let touch = |name: &str| fs::write(tree.join("src").join(name), name).expect("a file");
    for name in ["a.scratch", "b.usual", "seen"] {
        touch(name);
    }
    assert_eq!(watching.done(1)["output"], "seen\n");
    // Configured while it watches, by another name.
    stack.file("home/mine", "*.mine\n");
    git(&repository, &["config", "core.excludesFile", home.join("mine").to_str().expect("UTF-8")]);
    drop(watching);
    let watching = Watching(dev(&["watch", "--format", "json"]));
    watching.wait("watch-started", 1);
    for name in ["c.mine", "d.scratch", "e.usual"] {
        touch(name);
    }
    assert_eq!(watching.done(1)["output"], "e.usual\n", "the usual place is not asked then");
    dev(&["down"]).finish().ends(0);
}

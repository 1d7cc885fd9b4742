//! A stack that is run from Compose files, without a services.toml.

use std::path::Path;
use std::process::Command;

use crate::docker;
use crate::stack::{Output, Running, image};

fn dev(folder: &Path, project: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskava"));
    command.arg("dev").args(arguments).current_dir(folder).env("COMPOSE_PROJECT_NAME", project);
    for name in ["CI", "GITHUB_ACTIONS", "TASKAVA_FILE", "TASKAVA_PROJECT", "TASKAVA_PROFILES", "COMPOSE_FILE"] {
        command.env_remove(name);
    }
    Running::start(&mut command).finish()
}

fn names(folder: &Path) -> Vec<String> {
    let listed = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = listed.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_stack_runs_from_a_compose_file_and_nothing_is_written() {
    let folder = tempfile::TempDir::with_prefix("taskava-").expect("a folder");
    let project = format!("t-{}-direct", std::process::id());
    let write = |greeting: &str| {
        let text = format!(
            "services:\n  \
               web:\n    \
                 image: {}\n    \
                 init: true\n    \
                 command: [sh, -c, 'echo $$GREETING; exec sleep 100000']\n    \
                 environment: {{ GREETING: '{greeting}' }}\n    \
                 credential_spec: {{ file: x.json }}\n    \
                 depends_on: [store]\n  \
               store:\n    \
                 image: {}\n    \
                 volumes: ['data:/data']\n\
             volumes: {{ data: {{}} }}\n",
            image("image:busybox"),
            image("image:redis"),
        );
        std::fs::write(folder.path().join("compose.yaml"), text).expect("a file");
    };
    write("first");
    std::fs::create_dir(folder.path().join("deep")).expect("a folder");
    let before = names(folder.path());
    let up = dev(folder.path(), &project, &["up"]).ends(0);
    assert_eq!(up.stderr.matches("credential_spec").count(), 1, "{}", up.stderr);

    let deep = folder.path().join("deep");
    let ps = dev(&deep, &project, &["ps"]).ends(0);
    assert!(ps.stdout.contains("web") && ps.stdout.contains("store"), "{ps:?}");
    assert!(!ps.stderr.contains("credential_spec"), "said by what starts something: {}", ps.stderr);
    assert!(dev(&deep, &project, &["logs", "web"]).ends(0).stdout.contains("first"));
    dev(&deep, &project, &["connect", "store", "--", "SET", "kept", "yes"]).ends(0);

    dev(&deep, &project, &["up"]).ends(0).says(&["nothing to do"]);
    write("second");
    let plan = dev(&deep, &project, &["plan"]).ends(0);
    assert!(plan.stdout.contains("env"), "{plan:?}");
    dev(&deep, &project, &["up"]).ends(0);
    assert!(dev(&deep, &project, &["logs", "web"]).ends(0).stdout.contains("second"));
    dev(folder.path(), &project, &["test", "--", "true"]).ends(0);

    // A file that can't be used is no reason to keep the stack up.
    std::fs::write(folder.path().join("compose.yaml"), "services: [").expect("a file");
    dev(folder.path(), &project, &["up"]).ends(2).says(&["compose.yaml"]);
    dev(folder.path(), &project, &["-p", &project, "stop", "web"]).ends(0);
    write("second");
    dev(folder.path(), &project, &["up"]).ends(0);
    assert_eq!(dev(&deep, &project, &["connect", "store", "--", "GET", "kept"]).ends(0).stdout.trim(), "yes");
    dev(folder.path(), &project, &["down", "-v", "-y", "--no-snapshot"]).ends(0);
    assert_eq!(names(folder.path()), before, "nothing is written");
    assert_eq!(docker::left(&format!("dev.taskava.project={project}")), [""; 0]);
}

#[test]
fn a_dockerfile_inside_a_compose_file_is_built_and_nothing_is_written() {
    let folder = tempfile::TempDir::with_prefix("taskava-").expect("a folder");
    let project = format!("t-{}-direct-own", std::process::id());
    let text = format!(
        "services:\n  \
           web:\n    \
             build:\n      \
               dockerfile_inline: |\n        \
                 FROM {}\n        \
                 ARG WHO=you\n        \
                 RUN echo $${{WHO}} ${{GREETS:-greets}} > /made\n    \
             command: [cat, /made]\n",
        image("image:busybox"),
    );
    std::fs::write(folder.path().join("compose.yaml"), text).expect("a file");
    let before = names(folder.path());
    let up = dev(folder.path(), &project, &["up"]).ends(0);
    assert!(!up.stderr.contains("inline"), "{}", up.stderr);
    assert!(dev(folder.path(), &project, &["logs", "web"]).ends(0).stdout.contains("you greets"));
    dev(folder.path(), &project, &["down"]).ends(0);
    docker::remove_image(&format!("{project}-web:latest"));
    assert_eq!(names(folder.path()), before, "nothing is written");
}

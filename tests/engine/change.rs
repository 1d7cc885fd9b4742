//! What an edit, a flag or a selection makes `up` and `restart` do, and what they leave alone.

use crate::docker;
use crate::stack::{Stack, image};

/// A cheap service.
const SLEEPER: &str = r#"image = "image:busybox"
command = ["sleep", "1000"]
stop_signal = "SIGKILL"
"#;

/// `one` ← `two`, and `three` beside them.
fn three() -> String {
    format!(
        "[services.one]\n{SLEEPER}env = {{ LEVEL = \"info\" }}\n\
         [services.two]\n{SLEEPER}depends_on = [\"one\"]\n\
         [services.three]\n{SLEEPER}"
    )
}

#[test]
fn an_edited_variable_recreates_that_service_only() {
    let stack = Stack::new("edit", &three());
    stack.up();
    let [one, two, three] = stack.containers(["one", "two", "three"]);
    stack.edit("info", "debug");

    let plan = stack.dev(&["plan", "--exit-code"]).ends(10);
    assert!(plan.stdout.contains("config changed: env.LEVEL"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("two") && !plan.stdout.contains("three"), "{}", plan.stdout);
    assert!(!plan.stdout.contains("debug"), "values stay out of plans: {}", plan.stdout);

    stack.up();
    assert_ne!(stack.container("one"), one);
    assert!(docker::inspect(&stack.container("one")).env.contains(&"LEVEL=debug".to_owned()));
    assert_eq!(stack.containers(["two", "three"]), [two, three]);
}

#[test]
fn restart_applies_edits_and_only_restarts_what_was_not_edited() {
    let stack = Stack::new("restart", &three());
    stack.up();
    let [one, two, three] = stack.containers(["one", "two", "three"]);
    let started = |id: &str| docker::inspect(id).started_at;
    let before = [&two, &three].map(|id| started(id));
    stack.edit("info", "debug");

    stack.dev(&["restart", "one", "two"]).ends(0);
    let [new, same, untouched] = stack.containers(["one", "two", "three"]);
    assert_ne!(new, one);
    assert!(docker::inspect(&new).env.contains(&"LEVEL=debug".to_owned()));
    assert_eq!(same, two);
    assert_ne!(started(&same), before[0]);
    assert_eq!(untouched, three);
    assert_eq!(started(&untouched), before[1]);
    assert_eq!(stack.ps("two")["ready"], true);
}

#[test]
fn a_job_runs_again_when_what_it_works_on_was_made_anew_and_only_then() {
    let job =
        "[services.job]\nkind = \"job\"\nimage = \"image:busybox\"\ncommand = [\"true\"]\ndepends_on = [\"one\"]\n";
    let stack = Stack::new("job", &format!("{}{job}", three()));
    stack.up();
    let first = stack.container("job");
    stack.up();
    stack.dev(&["up", "--recreate", "three"]).ends(0);
    stack.dev(&["stop"]).ends(0);
    stack.up();
    assert_eq!(stack.container("job"), first, "nothing it needs was recreated");

    stack.edit("info", "debug");
    let plan = stack.dev(&["plan"]).ends(0);
    assert!(plan.stdout.contains("one was recreated"), "{}", plan.stdout);
    stack.up();
    let second = stack.container("job");
    assert_ne!(second, first);
    assert_eq!(stack.ps("job")["exit_code"], 0);

    stack.dev(&["restart", "job"]).ends(0);
    assert_ne!(stack.container("job"), second, "asked for");
}

#[test]
fn another_image_behind_the_same_reference_recreates_who_runs_it() {
    let name = format!("t-{}-moving", std::process::id());
    let tag = format!("{name}:1");
    docker::tag(image("image:busybox"), &name, "1");
    let stack = Stack::new("image", &three().replacen("image:busybox", &tag, 1));
    stack.up();
    let [one, two] = stack.containers(["one", "two"]);
    docker::tag(image("image:redis"), &name, "1");

    let plan = stack.dev(&["plan"]).ends(0);
    assert!(plan.stdout.contains("image changed"), "{}", plan.stdout);
    let up = stack.dev(&["up"]).ends(0);
    let [new, same] = stack.containers(["one", "two"]);
    assert!(new != one && same == two, "{}", up.stderr);
    assert_ne!(docker::inspect(&new).image, docker::inspect(&same).image);
    drop(stack);
    docker::untag(&tag);
}

#[test]
fn recreate_makes_the_named_services_anew() {
    let stack = Stack::new("recreate", &three());
    stack.up();
    let [one, two, three] = stack.containers(["one", "two", "three"]);
    stack.dev(&["up", "--recreate", "two"]).ends(0);
    assert_eq!(stack.containers(["one", "three"]), [one, three]);
    assert_ne!(stack.container("two"), two);
}

#[test]
fn orphans_are_named_and_stay_until_asked() {
    let stack = Stack::new("orphans", &three());
    stack.up();
    stack.services(&format!("[services.one]\n{SLEEPER}env = {{ LEVEL = \"info\" }}\n"));
    stack.up().says(&["no longer in services.toml", "two", "three", "--remove-orphans"]);
    assert_eq!((stack.state("two"), stack.state("three")), ("running".into(), "running".into()));
    stack.dev(&["down", "one"]).ends(0);
    assert_eq!((stack.state("one"), stack.state("two")), ("none".into(), "running".into()));

    stack.dev(&["up", "--remove-orphans"]).ends(0);
    let states = ["one", "two", "three"].map(|service| stack.state(service));
    assert_eq!(states, ["running", "none", "none"]);
}

#[test]
fn a_selection_never_touches_other_services() {
    let stack = Stack::new("selection", &three());
    stack.dev(&["up", "two"]).ends(0);
    assert_eq!(["one", "two", "three"].map(|service| stack.state(service)), ["running", "running", "none"]);
    stack.up();
    let [one, _, three] = stack.containers(["one", "two", "three"]);

    // Edits of all three; only one of them is asked for.
    stack.services(&three_edited());
    stack.dev(&["up", "--no-deps", "two"]).ends(0);
    assert_eq!(stack.containers(["one", "three"]), [one.clone(), three.clone()]);
    stack.dev(&["restart", "two"]).ends(0);
    assert_eq!(stack.containers(["one", "three"]), [one, three.clone()]);
    stack.dev(&["up", "two"]).ends(0);
    assert_eq!(stack.container("three"), three, "not even with what it needs");
    for command in ["stop", "start", "down"] {
        stack.dev(&[command, "two"]).ends(0);
        assert_eq!(stack.container("three"), three, "{command}");
        assert_eq!(["one", "three"].map(|service| stack.state(service)), ["running", "running"], "{command}");
    }
}

fn three_edited() -> String {
    three().replace("stop_signal", "labels = { edited = \"1\" }\nstop_signal")
}

#[test]
fn a_service_of_a_profile_runs_when_the_profile_is_on_or_it_is_needed() {
    let services = format!(
        "[services.tool]\n{SLEEPER}profiles = [\"tools\"]\n\
         [services.needed]\n{SLEEPER}profiles = [\"other\"]\n\
         [services.app]\n{SLEEPER}depends_on = [\"needed\"]\n"
    );
    let stack = Stack::new("profiles", &services);
    stack.up();
    let states = || ["tool", "needed", "app"].map(|service| stack.state(service));
    assert_eq!(states(), ["none", "running", "running"]);
    stack.dev(&["--profile", "tools", "up"]).ends(0);
    assert_eq!(states(), ["running", "running", "running"]);
    let tool = stack.container("tool");
    stack.up();
    assert_eq!(stack.container("tool"), tool, "without the profile it is left alone, and it is no orphan");
    stack.dev(&["down"]).ends(0);
    assert_eq!(states(), ["none", "none", "none"], "down takes all of it");
}

#[test]
fn a_read_only_service_writes_only_where_it_is_given_room() {
    let stack = Stack::new(
        "read-only",
        "[services.app]\nimage = \"image:busybox\"\ninit = true\ncommand = [\"sleep\", \"1000\"]\nread_only = true\ntmpfs = [\"/tmp\"]\n",
    );
    stack.up();
    let write = |path: &str| stack.dev(&["exec", "-T", "app", "--", "touch", path]);
    write("/tmp/file").ends(0);
    assert_ne!(write("/file").code, 0);
    stack.edit("read_only = true", "read_only = false");
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains("config changed: read_only"), "{plan}");
    stack.up();
    write("/file").ends(0);
}

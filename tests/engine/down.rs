//! `down` keeps data unless asked, and takes nothing that is not this stack's.

use std::io::Write;
use std::process::Stdio;

use bollard::models::HostConfig;

use crate::clients::{POSTGRES, REDIS, ask, postgres};
use crate::docker::{self, Foreign, ForeignNetwork, ForeignVolume};
use crate::stack::{Output, Running, Stack, image};

#[test]
fn a_row_survives_down_and_up() {
    let stack = Stack::new("data", POSTGRES);
    stack.up();
    let insert = "create table kept (id int); insert into kept values (42)";
    postgres(stack.port("postgres", 5432)).batch_execute(insert).expect("written");
    stack.dev(&["down"]).ends(0);
    assert_eq!(docker::left(&stack.label()), [format!("volume {}", stack.volume("data"))]);

    stack.up();
    let row = postgres(stack.port("postgres", 5432)).query_one("select id from kept", &[]).expect("the row");
    assert_eq!(row.get::<_, i32>(0), 42);
    stack.dev(&["down", "-v"]).ends(0);
    stack.up();
    let error =
        postgres(stack.port("postgres", 5432)).query_one("select id from kept", &[]).expect_err("a new database");
    assert!(error.to_string().contains("db error"), "{error}");
}

#[test]
fn down_v_takes_only_the_stacks_own_volumes() {
    let name = format!("t-{}-volumes", std::process::id());
    let external = ForeignVolume::create(&format!("{name}-external"));
    let foreign = ForeignVolume::create(&format!("{name}-foreign"));
    let mounts = "volumes = [\"cache:/data\", \"shared:/shared\"]";
    let services = format!(
        "{}\n[volumes.shared]\nname = \"{}\"\nexternal = true\n",
        REDIS.replace("volumes = [\"cache:/data\"]", mounts),
        external.0
    );
    let stack = Stack::new("volumes", &services);
    stack.up();
    let own = stack.volume("cache");
    assert!(docker::volumes().contains(&own));
    stack.dev(&["down", "-v"]).ends(0);
    let volumes = docker::volumes();
    assert!(!volumes.contains(&own));
    assert!(volumes.contains(&external.0) && volumes.contains(&foreign.0));
}

#[test]
fn a_volume_of_somebody_else_with_the_name_of_ours_is_refused() {
    let stack = Stack::new("taken", REDIS);
    let foreign = ForeignVolume::create(&stack.volume("cache"));
    let refused = stack.dev(&["up"]).ends(1);
    refused.says(&[
        &foreign.0,
        "was not created by this stack",
        "external = true",
        &format!("docker volume rm {}", foreign.0),
    ]);
    assert_eq!(stack.find("redis"), None);
    stack.dev(&["down", "-v"]).ends(0);
    assert!(docker::volumes().contains(&foreign.0), "and down -v does not take it");
}

#[test]
fn what_carries_the_name_alone_and_what_another_checkout_made_is_left_alone_and_named() {
    let stack = Stack::new("forged", REDIS);
    let (project, label) = (stack.project.clone(), "dev.taskava.project");
    let there = tempfile::tempdir().expect("a folder");
    std::fs::write(there.path().join("services.toml"), "project = \"x\"\n").expect("a file");
    let root = there.path().to_str().expect("a path").to_owned();
    let of = |what: &str, instance: &str, root: &str| {
        let all = [(label, project.as_str()), ("dev.taskava.instance", instance), ("dev.taskava.root", root)];
        ForeignVolume::labelled(&format!("{project}-{what}"), &all)
    };
    let forged = ForeignVolume::labelled(&format!("{project}-forged"), &[(label, &project)]);
    let halves = [of("no-root", "0123456789ab", ""), of("no-instance", "", &root)];
    let other = of("other", "0123456789ab", &root);
    let network = ForeignNetwork::labelled(&format!("{project}-net"), &[(label, &project)]);
    stack.up();
    let down = stack.dev(&["down", "-v"]).ends(0);
    let said = format!("volume {} was created by another checkout, {root}", other.0);
    down.says(&["left alone: ", &format!("volume {} is not this stack's", forged.0), &said, "docker volume rm"]);
    let volumes = docker::volumes();
    for left in [&forged, &halves[0], &halves[1], &other] {
        assert!(volumes.contains(&left.0), "{}", left.0);
    }
    assert!(!volumes.contains(&stack.volume("cache")), "and its own is gone");

    // A checkout that was moved or deleted no longer counts: this is where it was moved to.
    drop((forged, halves, network));
    drop(there);
    stack.dev(&["down", "-v"]).ends(0);
    assert!(!docker::volumes().contains(&other.0));
    std::mem::forget(other);
}

#[test]
fn a_volume_that_another_container_uses_is_untouched() {
    let stack = Stack::new("in-use", REDIS);
    stack.up();
    let binds = Some(vec![format!("{}:/there", stack.volume("cache"))]);
    let user =
        docker::create_with("t-in-use-by-another", image("image:busybox"), HostConfig { binds, ..Default::default() });
    stack.dev(&["down", "-v"]).ends(1).says(&["volume is in use"]);
    drop(user);
    stack.up();
}

#[test]
fn an_external_volume_that_is_missing_is_an_error() {
    let stack = Stack::new("missing", &format!("{REDIS}\n[volumes.cache]\nname = \"t-nowhere\"\nexternal = true\n"));
    stack.dev(&["up"]).ends(1).says(&["external volume t-nowhere does not exist"]);
    assert!(!docker::volumes().contains(&"t-nowhere".to_owned()), "it is not made");
}

/// Runs a command on a terminal of its own and types an answer.
fn on_a_terminal(stack: &Stack, arguments: &[&str], answer: &str) -> Output {
    let command = stack.command(arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line.join(" "), "/dev/null"]).current_dir(stack.path()).stdin(Stdio::piped());
    let mut running = Running::start_with_stdin(&mut script);
    // What is typed early waits in the terminal's buffer.
    running.stdin().write_all(format!("{answer}\n").as_bytes()).expect("typed");
    running.finish()
}

#[test]
fn down_v_asks_on_a_terminal() {
    let stack = Stack::new("asks", REDIS);
    stack.up();
    let no = on_a_terminal(&stack, &["down", "-v"], "n").ends(1);
    assert!(no.stdout.contains("removes all data in") && no.stdout.contains(&stack.volume("cache")), "{}", no.stdout);
    assert!(no.stdout.contains("nothing was removed"), "{}", no.stdout);
    assert_eq!(stack.state("redis"), "running");

    let yes = on_a_terminal(&stack, &["down", "-v"], "y").ends(0);
    assert!(yes.stdout.contains("continue?"), "{}", yes.stdout);
    assert!(!docker::volumes().contains(&stack.volume("cache")));

    stack.up();
    let sure = on_a_terminal(&stack, &["down", "-v", "-y"], "n").ends(0);
    assert!(!sure.stdout.contains("continue?"), "{}", sure.stdout);
    assert!(!docker::volumes().contains(&stack.volume("cache")));
}

#[test]
fn down_of_one_service_leaves_the_others_and_their_volumes() {
    let two = REDIS.replace("services.redis", "services.other").replace("cache:", "rest:");
    let stack = Stack::new("one", &format!("{REDIS}{two}"));
    stack.up();
    let other = stack.container("other");
    stack.dev(&["down", "-v", "redis"]).ends(0);
    assert_eq!((stack.state("redis"), stack.container("other")), ("none".into(), other));
    assert_eq!(ask(&stack.address("other", 6379), "PING"), "+PONG", "and its network");
    let volumes = docker::volumes();
    assert!(!volumes.contains(&stack.volume("cache")) && volumes.contains(&stack.volume("rest")));
}

#[test]
fn other_stacks_and_foreign_containers_are_not_touched() {
    let (stack, other) = (Stack::new("mine", REDIS), Stack::new("mine-too", REDIS));
    let foreign = Foreign::run(&format!("{}-x", stack.project), image("image:busybox"), &["sleep", "1000"], None);
    stack.up();
    other.up();
    let id = other.container("redis");
    stack.dev(&["down", "-v", "--remove-orphans"]).ends(0);
    assert_eq!(other.container("redis"), id);
    assert_eq!(ask(&other.address("redis", 6379), "PING"), "+PONG");
    assert!(docker::volumes().contains(&other.volume("cache")));
    assert_eq!(docker::inspect(&foreign.0).state, "running");
}

#[test]
fn down_without_anything_there_is_nothing_to_do() {
    let stack = Stack::new("nothing", REDIS);
    stack.dev(&["down"]).ends(0).says(&["nothing to do"]);
}

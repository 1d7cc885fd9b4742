//! Volumes that services.toml gives no name: what is in them survives recreation and `down`, and is removed only when that
//! is asked for.

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, RemoveContainerOptions, StartContainerOptions,
};

use crate::clients::{POSTGRES, ask, postgres};
use crate::docker::{self, engine};
use crate::stack::{Stack, image};

const BARE_REDIS: &str = "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\nports = [\"6379\"]\n";

/// An image with a volume, and a mount without a name.
const STORE: &str = r#"
[services.app]
build = "app"
command = ["sleep", "1000"]
init = true
stop_timeout = "1s"
volumes = ["/var/cache/app"]
"#;

fn without_volumes(services: &str) -> String {
    services.lines().filter(|line| !line.starts_with("volumes")).map(|line| format!("{line}\n")).collect()
}

fn store(name: &str) -> Stack {
    let stack = Stack::new(name, STORE);
    dockerfile(&stack, "VOLUME /var/lib/store");
    stack
}

fn dockerfile(stack: &Stack, lines: &str) {
    let from = format!("FROM {}\nLABEL test={}\nRUN mkdir -p /var/lib/store\n", image("image:busybox"), stack.project);
    stack.file("app/Dockerfile", &format!("{from}{lines}\n"));
}

/// Writes into both folders of [`STORE`].
fn mark(stack: &Stack, text: &str) {
    let script = format!("echo {text} > /var/lib/store/mark; echo {text} > /var/cache/app/mark");
    docker::exec(&stack.container("app"), &["sh", "-c", &script]);
}

#[track_caller]
fn marks(stack: &Stack) -> String {
    let script = "cat /var/lib/store/mark /var/cache/app/mark 2>&1 | tr '\\n' ' '";
    docker::output(&stack.container("app"), &["sh", "-c", script]).trim().to_owned()
}

/// The stack's volumes on the engine.
fn own(stack: &Stack) -> Vec<String> {
    let left = docker::left(&stack.label()).into_iter();
    let mut own: Vec<String> = left.filter_map(|left| left.strip_prefix("volume ").map(Into::into)).collect();
    own.sort_unstable();
    own
}

/// Names of the volumes of a service's container.
fn mounted(stack: &Stack, service: &str) -> Vec<String> {
    let id = stack.container(service);
    let seen = engine(async |docker| docker.inspect_container(&id, None::<InspectContainerOptions>).await);
    seen.mounts.unwrap_or_default().into_iter().filter_map(|mount| mount.name).collect()
}

/// Creates a container as a service's is, under a name, with or without its volumes, and removes the service's where that has
/// the name.
fn copy(stack: &Stack, service: &str, name: &str, mounts: bool, start: bool) -> String {
    let id = stack.container(service);
    engine(async |docker| {
        let seen = docker.inspect_container(&id, None::<InspectContainerOptions>).await?;
        let mut body = serde_json::to_value(seen.config).expect("plain");
        body["HostConfig"] = serde_json::to_value(seen.host_config).expect("plain");
        if !mounts {
            body["HostConfig"]["Mounts"] = serde_json::json!([{ "Type": "volume", "Target": "/var/cache/app" }]);
        }
        let body: ContainerCreateBody = serde_json::from_value(body).expect("a container");
        if seen.name.as_deref() == Some(&format!("/{name}")) {
            let options = RemoveContainerOptions { force: true, v: false, link: false };
            docker.remove_container(&id, Some(options)).await?;
        }
        let options = CreateContainerOptions { name: Some(name.into()), platform: String::new() };
        let made = docker.create_container(Some(options), body).await?;
        if start {
            docker.start_container(&made.id, None::<StartContainerOptions>).await?;
        }
        Ok(made.id)
    })
}

/// Puts in the place of a service's container one as earlier versions made it, whose volumes the engine named.
fn as_before(stack: &Stack, service: &str) -> Vec<String> {
    copy(stack, service, &format!("{}-{service}", stack.project), false, true);
    for volume in own(stack) {
        docker::remove_volume(&volume);
    }
    docker::nameless_volumes(&stack.container(service))
}

#[test]
fn databases_without_volumes_keep_their_data() {
    let services = format!("{}{BARE_REDIS}", without_volumes(POSTGRES));
    let stack = Stack::new("bare", &services);
    stack.up();
    postgres(stack.port("postgres", 5432)).batch_execute("create table kept as select 42 as id").expect("written");
    assert_eq!(ask(&stack.address("redis", 6379), "SET key kept"), "+OK");
    let check = |when: &str| {
        let row = postgres(stack.port("postgres", 5432)).query_one("select id from kept", &[]).expect(when);
        assert_eq!(row.get::<_, i32>(0), 42, "{when}");
        assert_eq!(ask(&stack.address("redis", 6379), "GET key"), "$4", "{when}");
    };
    let before = stack.containers(["postgres", "redis"]);
    stack.edit("POSTGRES_DB = \"app\"", "POSTGRES_DB = \"app\", TZ = \"UTC\"");
    stack.edit("kind = \"redis\"", "kind = \"redis\"\nlabels = { a = \"b\" }");
    let plan = stack.dev(&["plan"]).ends(0).stdout;
    assert!(plan.contains("postgres: what is in /var/lib/postgresql/data is kept"), "{plan}");
    stack.up();
    assert_ne!(before, stack.containers(["postgres", "redis"]));
    check("after an edit");
    stack.dev(&["down"]).ends(0);
    assert_eq!(own(&stack).len(), 2);
    stack.up();
    check("after down");
    stack.dev(&["snapshot", "save", "first"]).ends(0);
    stack.dev(&["down", "-v"]).ends(0);
    assert_eq!(docker::left(&stack.label()), [""; 0], "down -v leaves nothing");
    stack.up();
    assert_eq!(ask(&stack.address("redis", 6379), "GET key"), "$-1", "a new one");
    stack.dev(&["snapshot", "restore", "first"]).ends(0);
    check("after a restore");
    stack.up();
    check("and another up");
}

#[test]
fn whatever_recreates_a_container_keeps_its_volumes() {
    let stack = store("store");
    stack.up();
    mark(&stack, "kept");
    let volumes = own(&stack);
    assert_eq!(volumes.len(), 2);
    stack.dev(&["up", "--recreate"]).ends(0);
    assert_eq!(marks(&stack), "kept kept", "after --recreate");
    dockerfile(&stack, "VOLUME /var/lib/store\nENV A=1");
    stack.up().says(&["/var/cache/app keeps its content"]).says(&["up -V app"]);
    assert_eq!(marks(&stack), "kept kept", "after a build");
    // A folder that is no longer a volume comes back when it is one again.
    dockerfile(&stack, "ENV A=2");
    stack.up();
    assert!(marks(&stack).contains("No such file"), "{}", marks(&stack));
    dockerfile(&stack, "VOLUME /var/lib/store\nENV A=3");
    stack.up();
    assert_eq!(marks(&stack), "kept kept", "after a Dockerfile without it");
    assert_eq!(own(&stack), volumes, "and no others");
    let explained = stack.dev(&["explain", "app"]).ends(0).stdout;
    assert!(volumes.iter().all(|volume| explained.contains(volume)), "{explained}");
}

#[test]
fn a_recreation_that_is_cut_off_keeps_them() {
    let stack = store("cut-off");
    stack.up();
    mark(&stack, "kept");
    for words in ["app  stopped", "app  removed", "app  created"] {
        let mut up = stack.start(&["up", "--recreate"]);
        up.wait_for(words);
        up.signal("KILL");
        up.finish();
        // What the engine was asked for last it still does.
        crate::stack::wait_until("up after a kill", || (stack.dev(&["up"]).code == 0).then_some(()));
        assert_eq!(marks(&stack), "kept kept", "killed at {words:?}");
    }
    // As when it was killed between the two calls.
    docker::remove(&stack.container("app"));
    stack.up();
    assert_eq!(marks(&stack), "kept kept");
}

#[test]
fn a_container_of_an_earlier_version_keeps_its_volumes() {
    let stack = store("earlier");
    stack.up();
    let before = as_before(&stack, "app");
    assert_eq!(before.len(), 2);
    mark(&stack, "old");
    assert!(own(&stack).is_empty());
    stack.dev(&["plan", "--exit-code"]).ends(0);
    stack.edit("init = true", "init = true\nenv = { A = \"1\" }");
    stack.up();
    assert_eq!(marks(&stack), "old old");
    let sorted = |mut volumes: Vec<String>| {
        volumes.sort();
        volumes
    };
    let after = docker::nameless_volumes(&stack.container("app"));
    assert_eq!(sorted(after), sorted(before.clone()), "they are taken over");
    stack.dev(&["down"]).ends(0);
    stack.up();
    assert_eq!(marks(&stack), "old old", "after down");
    stack.dev(&["snapshot", "save", "old"]).ends(0);
    stack.dev(&["down", "-v", "--no-snapshot"]).ends(0);
    assert!(docker::volumes().iter().all(|volume| !before.contains(volume)), "down -v removes them");
    stack.up();
    stack.dev(&["snapshot", "restore", "old"]).ends(0);
    assert_eq!(marks(&stack), "old old", "out of the snapshot");
}

#[test]
fn down_of_a_container_of_an_earlier_version_loses_nothing_and_down_v_everything() {
    let stack = store("earlier-down");
    stack.up();
    let before = as_before(&stack, "app");
    mark(&stack, "old");
    stack.dev(&["down"]).ends(0);
    stack.up();
    assert_eq!(marks(&stack), "old old");
    let again = as_before(&stack, "app");
    // Those that nothing refers to any longer, as the test took the volumes away that did.
    before.iter().for_each(|volume| docker::remove_volume(volume));
    stack.dev(&["down", "-v"]).ends(0).says(&["saved"]);
    assert!(docker::volumes().iter().all(|volume| !again.contains(volume)));
}

#[test]
fn renewed_ones_begin_afresh_and_can_be_had_back() {
    let stack = store("renew");
    stack.up();
    mark(&stack, "first");
    let plan = stack.dev(&["plan", "-V"]).ends(0).stdout;
    assert!(plan.contains("anonymous volumes are renewed") && plan.contains("save volume"), "{plan}");
    let said = stack.dev(&["up", "-V"]).ends(0).stderr;
    assert!(marks(&stack).contains("No such file"), "{}", marks(&stack));
    let snapshot = said.split("snapshot restore ").nth(1).expect(&said).split_whitespace().next().expect("a name");
    stack.dev(&["snapshot", "restore", snapshot]).ends(0);
    assert_eq!(marks(&stack), "first first");
    stack.dev(&["down"]).ends(0);
    stack.dev(&["up", "--renew-anon-volumes", "app"]).ends(0);
    assert!(marks(&stack).contains("No such file"), "also without a container");
}

#[test]
fn a_one_off_container_takes_its_volumes_along() {
    let stack = store("oneoff");
    stack.dev(&["build"]).ends(0);
    let before = docker::volumes();
    stack.dev(&["run", "--no-deps", "-T", "app", "touch", "/var/lib/store/mark"]).ends(0);
    assert_eq!(own(&stack), [""; 0]);
    let made: Vec<_> = docker::volumes().into_iter().filter(|volume| !before.contains(volume)).collect();
    assert!(made.iter().all(|volume| !volume.starts_with(&stack.project)), "{made:?}");
}

#[test]
fn a_volume_one_level_above_the_data_is_told() {
    let stack = Stack::new("above", &POSTGRES.replace("data:/var/lib/postgresql/data", "data:/var/lib/postgresql"));
    let line = "volumes = [\"data:/var/lib/postgresql/data\"] in [services.postgres]";
    stack.dev(&["check"]).ends(0).says(&["is not in volume", line]);
    stack.dev(&["plan"]).ends(0).says(&["is not in volume", line]);
    stack.up().says(&["is not in volume", line]);
    postgres(stack.port("postgres", 5432)).batch_execute("create table kept as select 1 as id").expect("written");
    stack.dev(&["down"]).ends(0);
    stack.up();
    postgres(stack.port("postgres", 5432)).query_one("select id from kept", &[]).expect("the row is still there");
    // The same for an image that nothing is known of.
    let generic = store("above-store");
    generic.edit("\"/var/cache/app\"", "\"lib:/var/lib\"");
    generic.up();
    let line = "volumes = [\"lib:/var/lib/store\"] in [services.app]";
    generic.dev(&["plan"]).ends(0).says(&["/var/lib/store is not in volume", line]);
}

#[test]
fn data_in_the_container_itself_is_told() {
    let env = "POSTGRES_DB = \"app\", PGDATA = \"/pgdata\"";
    let stack = Stack::new("data-inside", &without_volumes(POSTGRES).replace("POSTGRES_DB = \"app\"", env));
    let line = "volumes = [\"postgres-data:/pgdata\"]";
    stack.dev(&["check"]).ends(0).says(&["keeps its data in its container, at /pgdata", line]);
    stack.dev(&["plan"]).ends(0).says(&[line]);
    stack.edit("ready =", "volumes = [\"postgres-data:/pgdata\"]\nready =");
    assert!(!stack.dev(&["check"]).ends(0).stderr.contains("warning"));
}

#[test]
fn two_containers_of_a_service_end_as_the_right_one() {
    let stack = store("twice");
    stack.up();
    mark(&stack, "kept");
    let own = stack.container("app");
    for start in [false, true] {
        copy(&stack, "app", &format!("{}-twin", stack.project), true, start);
        stack.up();
        assert_eq!(stack.container("app"), own, "the service's own stays; the other ran: {start}");
    }
    // Now it has to go itself, and the other one has its name.
    docker::rename(&own, &format!("{}-old", stack.project));
    let twin = engine(async |docker| {
        let seen = docker.inspect_container(&own, None::<InspectContainerOptions>).await?;
        let mut body = serde_json::to_value(seen.config).expect("plain");
        body["HostConfig"] = serde_json::to_value(seen.host_config).expect("plain");
        let body: ContainerCreateBody = serde_json::from_value(body).expect("a container");
        let options = CreateContainerOptions { name: Some(format!("{}-app", stack.project)), platform: String::new() };
        docker.create_container(Some(options), body).await
    });
    stack.edit("init = true", "init = true\nenv = { A = \"1\" }");
    stack.up();
    let now = stack.container("app");
    assert!(now != own && now != twin.id);
    assert_eq!((stack.state("app"), marks(&stack)), ("running".into(), "kept kept".into()));
    assert_eq!(mounted(&stack, "app").len(), 2);
    stack.dev(&["plan", "--exit-code"]).ends(0);
}

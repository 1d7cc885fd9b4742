//! Plans of small stacks, as they read.

use super::*;

const SMALL: &str = r#"
[services.postgres]
kind = "postgres"
image = "postgres:15"
ports = ["5432:5432"]
env = { POSTGRES_PASSWORD = "x" }
volumes = ["data:/var/lib/postgresql/data"]

[services.migrate]
kind = "job"
image = "migrate:1"
depends_on = ["postgres"]

[services.api]
image = "api:1"
env = { LOG_LEVEL = "info" }
depends_on = ["postgres", "migrate"]
"#;

#[test]
fn a_first_up_reads_well() {
    let stack = stack(SMALL);
    let mut seen = Observed::default();
    for image in ["migrate:1", "api:1"] {
        seen.images.insert(image.into(), an_image(image));
    }
    let plan = up(&stack, &seen, &base_request()).unwrap();
    snapbox::assert_data_eq!(
        plan.to_string(),
        snapbox::str![[r#"
 1  pull postgres:15                        missing
 2  create network p-default                missing
 3  create volume p-data                    missing
 4  create postgres           after 1,2,3   missing
 5  start postgres            after 4
 6  wait postgres             after 5       postgres handshake and login on 5432 within 60s
 7  create migrate            after 2       missing
 8  start migrate             after 6,7
 9  wait migrate              after 8       exit with 0 within 600s
10  create api                after 2       missing
11  start api                 after 6,9,10
12  wait api                  after 11      health check of the image, or published ports accept within 60s

"#]]
    );
}

#[test]
fn one_edited_variable_makes_one_container_anew_and_says_which() {
    let before = stack(SMALL);
    let after = stack(&SMALL.replace("info", "debug"));
    let plan = up(&after, &all_up(&before), &base_request()).unwrap();
    let causes: Vec<_> = plan.changes().map(|step| (step.op.to_string(), step.cause.to_string())).collect();
    assert_eq!(causes[0], ("stop api".to_owned(), "config changed: env.LOG_LEVEL".to_owned()));
    assert!(plan.changes().all(|step| step.op.service().is_some_and(|name| name.as_str() == "api")), "{plan}");
}

#[test]
fn a_job_runs_again_when_its_database_was_made_anew() {
    let stack = stack(SMALL);
    let seen = all_up(&stack);
    let recreate =
        Request { recreate: true, services: vec![ServiceName::parse("postgres").unwrap()], ..base_request() };
    assert!(
        find(
            &up(&stack, &seen, &recreate).unwrap(),
            |op| matches!(op, Op::Start { service } if service.as_str() == "migrate")
        )
        .is_none()
    );
    let mut gone = seen.clone();
    gone.containers.retain(|container| container.service.as_str() != "postgres");
    let plan = up(&stack, &gone, &base_request()).unwrap();
    let again =
        plan.steps.iter().find(|step| matches!(&step.op, Op::Remove { service, .. } if service.as_str() == "migrate"));
    let dependency = ServiceName::parse("postgres").unwrap();
    assert_eq!(again.unwrap().cause, Cause::DependencyRecreated { dependency });
}

#[test]
fn what_this_stack_did_not_make_is_refused() {
    let stack = stack(SMALL);
    let data = stack.services["postgres"].mounts.iter().find_map(|mount| match &mount.source {
        MountSource::Volume(short) => Some(stack.volumes[short].name.clone()),
        _ => None,
    });
    let foreign = Volume { stack: Some("another".into()), ..Volume::named(data.unwrap()) };
    let seen = Observed { volumes: vec![foreign], ..Observed::default() };
    let refused = up(&stack, &seen, &base_request()).unwrap_err();
    assert!(refused.to_string().contains("was not created by this stack"), "{refused}");
    assert!(refused.hints[0].contains("external = true"));
}

#[test]
fn a_one_off_container_is_nobodys_and_goes_with_the_stack() {
    let stack = stack(
        "[services.db]\nimage = \"db:1\"\nvolumes = [\"data:/d\"]\n[services.api]\nimage = \"api:1\"\ndepends_on = [\"db\"]",
    );
    let mut seen = all_up(&stack);
    let one_off =
        Container { id: "one".into(), name: "p-api-run-1".into(), ..container(&stack, "api", ContainerState::Running) };
    seen.one_offs.push(one_off);
    assert!(up(&stack, &seen, &base_request()).unwrap().is_noop(), "up does not see it");
    let plan = down(&stack, &seen, &base_request()).to_string();
    assert!(plan.contains("stop api") && plan.contains("one-off container p-api-run-1"), "{plan}");
    let network = plan.lines().find(|line| line.contains("remove network")).unwrap().to_owned();
    assert!(network.contains("after 2,"), "the network waits for it: {network}");
    let only_db = Request { services: vec![ServiceName::parse("db").unwrap()], ..base_request() };
    assert!(!down(&stack, &seen, &only_db).to_string().contains("one-off"), "it is not db's");
}

#[test]
fn a_one_off_container_needs_what_its_service_depends_on_but_not_the_service() {
    let stack = stack(
        "[services.db]\nimage = \"db:1\"\n[services.api]\nimage = \"api:1\"\nvolumes = [\"cache:/c\"]\ndepends_on = [\"db\"]",
    );
    let api = &stack.services["api"];
    let request = Request { services: api.depends_on.keys().cloned().collect(), ..base_request() };
    let plan = needed(&stack, &Observed::default(), &request, api).unwrap().to_string();
    for step in ["pull db:1", "create db", "start db", "wait db", "pull api:1", "create volume p-cache"] {
        assert!(plan.contains(step), "{step} is not in\n{plan}");
    }
    assert!(!plan.contains("create api") && plan.matches("create network").count() == 1, "{plan}");
    let alone = needed(&stack, &Observed::default(), &base_request(), api).unwrap().to_string();
    assert!(!alone.contains("db") && alone.contains("create network"), "{alone}");
    let mut seen = all_up(&stack);
    seen.containers.retain(|seen| seen.service.as_str() != "api");
    assert!(needed(&stack, &seen, &request, api).unwrap().is_noop());
}

#[test]
fn who_uses_the_network_of_a_service_or_is_restarted_with_it_follows_it() {
    let text = r#"
[services.vpn]
image = "vpn:1"
env = { LEVEL = "1" }
[services.inside]
image = "inside:1"
network_mode = "service:vpn"
[services.beside]
image = "beside:1"
depends_on = { vpn = { restart = true } }
[services.other]
image = "other:1"
depends_on = ["vpn"]
"#;
    let (before, after) = (stack(text), stack(&text.replace("\"1\"", "\"2\"")));
    let plan = up(&after, &all_up(&before), &base_request()).unwrap();
    let steps: Vec<String> = plan.changes().map(|step| step.op.to_string()).collect();
    for step in ["remove vpn", "remove inside", "create inside", "stop beside", "start beside"] {
        assert!(steps.iter().any(|seen| seen == step), "no {step:?} in {steps:?}");
    }
    for step in ["remove beside", "stop other", "remove other"] {
        assert!(steps.iter().all(|seen| seen != step), "{step:?} in {steps:?}");
    }
    // A run that was cut off in between left the network of a container that is gone.
    let mut seen = all_up(&before);
    let inside = seen.containers.iter_mut().find(|seen| seen.service.as_str() == "inside").unwrap();
    inside.network_of = Some("id-vpn".into());
    assert!(up(&before, &seen, &base_request()).unwrap().is_noop());
    let inside = seen.containers.iter_mut().find(|seen| seen.service.as_str() == "inside").unwrap();
    (inside.network_of, inside.state) = (Some("gone".into()), ContainerState::Created);
    let plan = up(&before, &seen, &base_request()).unwrap();
    assert!(plan.changes().any(|step| step.op.to_string() == "create inside"), "{plan}");
}

#[test]
fn what_is_not_required_is_waited_for_where_it_runs_anyway() {
    let text = r#"
[services.api]
image = "api:1"
depends_on = { search = { required = false }, cache = { required = false }, gone = { required = false } }
[services.search]
image = "search:1"
profiles = ["search"]
[services.cache]
image = "cache:1"
"#;
    let stack = stack(text);
    let steps = |request: &Request| up(&stack, &Observed::default(), request).unwrap().to_string();
    let services = |names: &[&str]| names.iter().map(|name| ServiceName::parse(name).unwrap()).collect();
    let all = steps(&base_request());
    assert!(!all.contains("search") && all.find("wait cache") < all.find("start api"), "{all}");
    let one = steps(&Request { services: services(&["api"]), ..base_request() });
    assert!(!one.contains("search") && one.contains("start cache"), "{one}");
    let both = steps(&Request { services: services(&["api", "search"]), ..base_request() });
    assert!(both.find("wait search") < both.find("start api"), "{both}");
}

#[test]
fn what_gives_a_service_power_over_the_machine_is_said_once() {
    let text = r#"
[services.agent]
image = "agent:1"
privileged = true
network_mode = "host"
pid = "host"
volumes = ["/:/host:ro"]
cap_add = ["NET_ADMIN", "SYS_ADMIN"]
devices = ["/dev/kvm"]
[services.plain]
image = "plain:1"
cap_add = ["NET_ADMIN"]
"#;
    let stack = stack(text);
    let plan = up(&stack, &Observed::default(), &base_request()).unwrap();
    let line = "agent has power over this machine: privileged, network_mode = \"host\", pid = \"host\", all files of the machine, \
                cap_add SYS_ADMIN, devices /dev/kvm";
    assert_eq!(crate::plan::dangers(&stack, &plan), [line]);
    let again = up(&stack, &all_up(&stack), &base_request()).unwrap();
    assert_eq!(crate::plan::dangers(&stack, &again), Vec::<String>::new());
}

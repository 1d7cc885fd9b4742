//! Many isolated stacks at the same time: no port, name or subnet is used twice, and all of them go.

use std::collections::BTreeSet;

use bollard::query_parameters::ListNetworksOptions;
use futures_util::{StreamExt as _, stream};
use taskava::testing::Stack as Isolated;

use crate::clients::ask;
use crate::docker;
use crate::stack::{Stack, heavy};
use crate::test_command::isolated;
use crate::testing_library::run;

/// How many come up at the same moment: what two processors can carry. All are up at the same time.
const AT_ONCE: usize = 6;

const SMALL: &str = r#"
[services.redis]
kind = "redis"
image = "image:redis"
[services.app]
image = "image:busybox"
command = ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
ready = { exec = ["nslookup", "redis"] }
depends_on = ["redis"]
[services.postgres]
kind = "postgres"
image = "image:postgres"
env = { POSTGRES_PASSWORD = "pw" }
profiles = ["database"]
"#;

/// Brings up so many stacks, all of which are up at the end.
fn bring_up(stack: &Stack, count: usize, services: impl Fn(usize) -> Vec<&'static str>) -> Vec<Isolated> {
    let file = stack.path().join("services.toml");
    let start = |number| Isolated::from_file(&file).services(services(number)).start();
    let started: Vec<_> = run(stream::iter((0..count).map(start)).buffer_unordered(AT_ONCE).collect());
    started.into_iter().map(|started| started.expect("it comes up")).collect()
}

/// Each answers at an address that no other has.
fn all_different(stacks: &[Isolated]) {
    let names: BTreeSet<&str> = stacks.iter().map(Isolated::name).collect();
    let addresses: BTreeSet<&str> = stacks.iter().map(|stack| stack.url("redis")).collect();
    assert_eq!((names.len(), addresses.len()), (stacks.len(), stacks.len()));
    for (number, stack) in stacks.iter().enumerate() {
        let address = stack.url("redis").replace("redis://", "");
        assert_eq!(ask(&address, &format!("SETNX mine {number}")), ":1", "no other stack wrote into {address}");
    }
}

fn remove(stacks: Vec<Isolated>) {
    let stopped = stream::iter(stacks.into_iter().map(Isolated::stop)).buffer_unordered(AT_ONCE);
    run(stopped.for_each(async |stopped| stopped.expect("it goes")));
}

/// The subnets of the networks of isolated stacks of a folder.
fn subnets(stack: &Stack) -> Vec<String> {
    let root = stack.path().canonicalize().expect("a folder").display().to_string();
    let filters = Some([("label".to_owned(), vec![format!("dev.taskava.root={root}")])].into());
    let found = docker::engine(async |docker| docker.list_networks(Some(ListNetworksOptions { filters })).await);
    let configs = found.into_iter().filter_map(|seen| seen.ipam?.config).flatten();
    configs.filter_map(|config| config.subnet).collect()
}

#[track_caller]
fn small_and_different(subnets: &[String], count: usize) {
    let different: BTreeSet<&String> = subnets.iter().collect();
    assert_eq!((subnets.len(), different.len()), (count, count), "{subnets:?}");
    assert!(subnets.iter().all(|subnet| subnet.ends_with("/28")), "{subnets:?}");
}

#[test]
fn twenty_stacks_with_networks_of_their_own_are_up_at_the_same_time() {
    let _turn = heavy();
    let stack = Stack::new("many", SMALL);
    let with_database = |number: usize| if number.is_multiple_of(5) { vec!["app", "postgres"] } else { vec!["app"] };
    let stacks = bring_up(&stack, 20, with_database);
    all_different(&stacks);
    small_and_different(&subnets(&stack), 20);
    remove(stacks);
    assert_eq!(isolated(&stack), [""; 0]);
}

/// Out of the pools that an engine has without configuration come thirty-one networks.
const MORE: usize = 40;

#[test]
fn more_of_redis_alone_than_the_engine_has_subnets_for_are_up_at_the_same_time() {
    let _turn = heavy();
    let stack = Stack::new("hundred", SMALL);
    let stacks = bring_up(&stack, MORE, |_| vec!["redis"]);
    all_different(&stacks);
    small_and_different(&subnets(&stack), MORE);
    remove(stacks);
    assert_eq!(isolated(&stack), [""; 0]);
}

//! Images that will not be used again are removed, and exactly those.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bollard::query_parameters::RemoveImageOptions;
use taskava::engine::Engine;
use taskava::engine::connect::ConnectOptions;
use taskava::event::{Event, Events};
use taskava::isolated;
use taskava::run::Shutdown;

use crate::docker;
use crate::stack::{Running, Stack, heavy, image, wait_until};
use crate::test_command::isolated as left;

/// Two servers whose data a job makes, so that both are prepared.
const SEEDED: &str = r#"
[services.cache]
kind = "redis"
image = "image:redis"
[services.queue]
kind = "redis"
image = "image:redis"
[services.seed]
kind = "job"
image = "image:busybox"
command = ["true"]
env = { OF = "NAME", ROUND = "1" }
depends_on = ["cache", "queue"]
"#;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = HOUR.saturating_mul(24);

/// A stack with these, whose data belongs to no other stack.
fn seeded(name: &str) -> Stack {
    Stack::new(name, &SEEDED.replace("NAME", name))
}

/// The images that were prepared for a folder: name, or id of those without one.
fn prepared(stack: &Stack) -> Vec<String> {
    let mut found = docker::images(&format!("dev.taskava.root={}", stack.root));
    found.sort_unstable();
    found
}

fn run(stack: &Stack) {
    stack.dev(&["test", "--", "true"]).ends(0);
}

/// What is new since then.
fn new(stack: &Stack, before: &[String]) -> Vec<String> {
    prepared(stack).into_iter().filter(|image| !before.contains(image)).collect()
}

/// Labels of a snapshot's image.
fn saved(stack: &Stack, project: &str, snapshot: &str) -> BTreeMap<String, String> {
    let of = [
        ("project", project),
        ("root", stack.root.as_str()),
        ("snapshot", snapshot),
        ("volume", "v"),
        ("service", "s"),
    ];
    of.map(|(label, value)| (format!("dev.taskava.{label}"), value.to_owned())).into()
}

/// Images that belong to no folder: removed at the end.
struct Others(Vec<String>);

impl Drop for Others {
    fn drop(&mut self) {
        let options = RemoveImageOptions { force: true, ..Default::default() };
        docker::engine(async |docker| {
            for image in &self.0 {
                let _ = docker.remove_image(image, Some(options.clone()), None).await;
            }
            Ok(())
        });
    }
}

/// What went, by `gc --json`. Other tests' runs of it may have been quicker with some.
fn why(stack: &Stack) -> BTreeMap<String, String> {
    let rows = stack.dev(&["gc", "--dry-run", "--json"]).ends(0).json();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().map(ToOwned::to_owned);
    rows.iter().filter_map(|row| Some((text(row, "id")?, text(row, "why")?))).collect()
}

#[test]
fn prepared_images_go_when_nobody_can_begin_with_them() {
    let _turn = heavy();
    let stack = seeded("gc-images");
    // Killed as soon as there is an image: the next run gets along with what is there.
    let killed = stack.start(&["test", "--", "true"]);
    wait_until("an image", || (!prepared(&stack).is_empty()).then_some(()));
    killed.signal("KILL");
    killed.finish();
    wait_until("nothing of it is left", || left(&stack).is_empty().then_some(()));
    run(&stack);

    // One of the two is lost, both are built again, and the other's predecessor has lost its name to its successor.
    let first = prepared(&stack);
    let [cache, queue] =
        ["-cache", "-queue"].map(|end| first.iter().find(|name| name.ends_with(end)).expect("both").clone());
    docker::untag(&queue);
    let (nameless, labels) = docker::inspect_image(&cache);
    run(&stack);
    assert!(prepared(&stack).contains(&nameless), "{:?}", prepared(&stack));

    // Three more keys: the first is one too many.
    let mut keys = vec![vec![cache.clone(), queue]];
    for round in 2..=4 {
        let before = prepared(&stack);
        stack.edit(&format!("ROUND = \"{}\"", round - 1), &format!("ROUND = \"{round}\""));
        run(&stack);
        keys.push(new(&stack, &before));
        assert_eq!(keys[round - 1].len(), 2);
    }
    // Of a folder that is removed.
    let gone = seeded("gc-gone");
    run(&gone);
    std::fs::remove_dir_all(gone.path()).expect("removed");
    let of_gone = prepared(&gone);
    assert_eq!(of_gone.len(), 2);

    let young = (prepared(&stack), of_gone.clone());
    stack.dev(&["gc"]).ends(0);
    assert_eq!((prepared(&stack), prepared(&gone)), young, "a run may just be beginning with them");

    let mut dead = vec![(docker::make_older(&nameless, HOUR), "nameless")];
    dead.extend(keys[0].iter().map(|image| (docker::make_older(image, 4 * HOUR), "superseded")));
    dead.extend(of_gone.iter().map(|image| (docker::make_older(image, HOUR), "folder-gone")));
    let mut living: Vec<String> = keys[1..3].concat().iter().map(|image| docker::make_older(image, 3 * HOUR)).collect();
    living.extend(keys[3].iter().map(|image| docker::inspect_image(image).0));
    // A container was made from one; another was given a name by hand; one may be on another machine; one has no labels.
    let used = docker::make_image(None, &labels, 5 * HOUR);
    let _container = docker::create(&format!("{}-uses", stack.project), &used);
    let own_name = format!("{}-mine:1", stack.project);
    let named = docker::make_image(Some(&own_name), &labels, 6 * HOUR);
    let elsewhere = |days: u32| {
        let mut labels = labels.clone();
        labels.insert("dev.taskava.machine".into(), "another".into());
        labels.insert("dev.taskava.root".into(), format!("/elsewhere/{}", stack.project));
        docker::make_image(Some(&format!("taskava-prepared:{}-{days}", stack.project)), &labels, days * DAY)
    };
    let foreign = docker::make_image(None, &BTreeMap::from([("test".into(), stack.project.clone())]), 400 * DAY);
    let (recent, long_ago) = (elsewhere(13), elsewhere(15));
    let _others = Others(vec![foreign.clone(), recent.clone(), long_ago.clone()]);
    living.extend([used, named, recent, foreign]);
    dead.push((long_ago, "forgotten"));

    let said = why(&stack);
    let known: Vec<_> = dead.iter().filter(|(id, _)| said.contains_key(id)).collect();
    assert!(known.iter().all(|(id, why)| said[id] == *why), "{dead:?} {said:?}");
    assert!(living.iter().all(|id| !said.contains_key(id)), "{living:?} {said:?}");
    stack.dev(&["gc"]).ends(0);
    let there = |id: &&String| docker::has_image(id);
    assert_eq!(dead.iter().map(|(id, _)| id).filter(there).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(living.iter().filter(|id| !there(id)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_named_snapshot_stays_and_what_test_runs_saved_goes_with_them() {
    let stack =
        Stack::new("gc-snap", "[services.redis]\nkind = \"redis\"\nimage = \"image:redis\"\nvolumes = [\"d:/data\"]\n");
    let mut living = stack.command(&["test", "--", "sh", "-c", "echo $TASKAVA_PROJECT >&2; echo it goes on >&2; cat"]);
    let mut living = Running::start_with_stdin(living.stdin(std::process::Stdio::piped()));
    living.wait_for("it goes on");
    let parts = left(&stack);
    let of_living = parts[0].split_once("taskava-t-").expect("its name").1[..8].to_owned();

    let make = |project: &str, snapshot: &str, age| {
        let name = format!("taskava-snapshot:{project}.{snapshot}.{}", stack.project);
        docker::make_image(Some(&name), &saved(&stack, project, snapshot), age)
    };
    let own = |snapshot, age| make(&stack.project, snapshot, age);
    let stays = [
        own("mine", 1000 * DAY),
        own("auto-3", 300 * DAY),
        own("auto-2", 301 * DAY),
        own("auto-1", 302 * DAY),
        make("taskava-t-00000000", "auto-1", 23 * HOUR),
        make(&format!("taskava-t-{of_living}"), "auto-1", 2 * DAY),
    ];
    let goes = [
        own("auto-0", 303 * DAY),
        make("taskava-t-00000000", "auto-0", 25 * HOUR),
        docker::make_image(None, &saved(&stack, &stack.project, "auto-9"), HOUR),
    ];
    stack.dev(&["gc"]).ends(0);
    assert!(stays.iter().all(|id| docker::has_image(id)), "{stays:?}");
    assert!(!goes.iter().any(|id| docker::has_image(id)), "{goes:?}");
    assert_eq!(left(&stack), parts, "it is a user's");
    living.close_stdin();
    living.finish().ends(0);
}

#[test]
fn results_of_builds_go_when_they_have_lost_their_name() {
    let services = "[services.app]\nkind = \"job\"\nbuild = \"app\"\ncommand = [\"true\"]\n";
    let stack = Stack::new("gc-build", services);
    let dockerfile =
        |text: &str| stack.file("app/Dockerfile", &format!("FROM {}\nLABEL test={text}\n", image("image:busybox")));
    let name = format!("{}-app:latest", stack.project);
    dockerfile("one");
    stack.up();
    stack.dev(&["down"]).ends(0);
    let (first, labels) = docker::inspect_image(&name);
    dockerfile("two");
    stack.up();
    let (second, _) = docker::inspect_image(&name);
    assert_ne!(first, second);
    // A build that only sets labels gives an image as old as what it began with.
    let older = docker::make_image(None, &labels, HOUR);
    let named = docker::make_image(Some(&format!("{}-other:latest", stack.project)), &labels, 2 * HOUR);
    let _others = Others(vec![first.clone(), second.clone(), named.clone()]);
    stack.dev(&["gc"]).ends(0);
    assert_eq!([&older, &second, &named].map(|id| docker::has_image(id)), [false, true, true]);
}

#[test]
fn a_run_whose_image_is_removed_under_its_hands_prepares_it_again() {
    let _turn = heavy();
    let stack = seeded("gc-race");
    run(&stack);
    let before = prepared(&stack);
    let options = taskava::load::LoadOptions {
        files: vec![stack.path().join("services.toml")],
        ..taskava::load::LoadOptions::default()
    };
    let model = taskava::load::stack(&options).expect("a stack").stack;
    // When the plan is made, the image was there.
    let plans = std::sync::Arc::new(AtomicUsize::new(0));
    let (seen, lost) = (plans.clone(), before[0].clone());
    let events = Events::to(move |event| {
        if matches!(event, Event::PlanStarted { .. }) && seen.fetch_add(1, Ordering::SeqCst) == 0 {
            let lost = lost.clone();
            std::thread::spawn(move || docker::untag(&lost)).join().expect("removed");
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let engine = Engine::connect(&ConnectOptions::from_environment(None, None)).await.expect("an engine");
        let (options, shutdown) = (isolated::IsolatedOptions::default(), Shutdown::default());
        let isolated =
            isolated::start(&engine, model, &options, |_| Vec::new(), &events, &shutdown).await.expect("started");
        let summary = isolated.summary.clone();
        isolated.remove(&engine).await.expect("removed");
        assert!(summary.as_ref().is_some_and(|summary| summary.ok), "{summary:?}");
    });
    assert_eq!(plans.load(Ordering::SeqCst), 3, "it failed, was prepared again, and came up");
    let again = prepared(&stack);
    assert!(before.iter().all(|name| again.contains(name)), "{again:?}");
}

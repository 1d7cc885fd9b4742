//! The state machine as tables: what happens when, and what is to be done then.

use proptest::prelude::*;

use super::*;
use crate::watch::echo::{LIKELY, NEAR};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn api() -> Target {
    Target::Service(name("api"))
}

fn change(path: &str) -> Change {
    let hits = vec![Hit { service: name("api"), rule: 0, inert: false, writable: true }];
    Change { path: path.into(), gone: false, of_stack: false, hits }
}

fn of_stack(path: &str) -> Change {
    Change { path: path.into(), gone: false, of_stack: true, hits: Vec::new() }
}

fn found(since: u64, changes: Vec<Change>) -> Input {
    Input::Found { since: ms(since), changes }
}

/// The effects in short: `look a b`, `act api: a b`, `reload f`, `abandon api`, `assign a`, `suspend api: a`.
fn short(effects: &[Effect]) -> Vec<String> {
    let path = |path: &PathBuf| path.display().to_string();
    let who = |who: &Target| match who {
        Target::Stack => "stack".to_owned(),
        Target::Service(name) => name.to_string(),
    };
    let names = |changes: &[Change]| changes.iter().map(|change| path(&change.path)).collect::<Vec<_>>().join(" ");
    let line = |effect: &Effect| match effect {
        Effect::Look { paths: None, .. } => "look at all".into(),
        Effect::Look { paths: Some(paths), .. } => {
            format!("look {}", paths.iter().map(path).collect::<Vec<_>>().join(" "))
        }
        Effect::Assign { changes, .. } => format!("assign {}", names(changes)),
        Effect::Act(act) => format!("act {}: {}", act.service, names(&act.changes)),
        Effect::Reload(file) => format!("reload {}", path(file)),
        Effect::Abandon(of) => format!("abandon {}", who(of)),
        Effect::Suspend { service, paths, .. } => {
            format!("suspend {service}: {}", paths.iter().map(path).collect::<Vec<_>>().join(" "))
        }
    };
    effects.iter().map(line).collect()
}

/// Plays a table; each row is a time, an input and what comes of it.
fn play(rows: Vec<(u64, Input, &[&str])>) -> State {
    let mut state = State::default();
    for (number, (at, input, expected)) in rows.into_iter().enumerate() {
        let told = format!("row {number} at {at} ms: {input:?}");
        assert_eq!(short(&state.on(input, ms(at))), expected, "{told}");
    }
    state
}

const TICK: Input = Input::Tick { held: false };
const HELD: Input = Input::Tick { held: true };

fn touched(path: &str) -> Input {
    Input::Touched(path.into())
}

#[test]
fn a_burst_is_looked_at_when_it_is_over() {
    let state = play(vec![
        (0, touched("a"), &[]),
        (30, touched("b"), &[]),
        (40, TICK, &[]),
        (69, TICK, &[]),
        (70, TICK, &["look a b"]),
        (500, TICK, &[]),
    ]);
    assert_eq!(state.due(), None);
}

#[test]
fn a_burst_without_end_is_looked_at_after_a_while() {
    let mut state = State::default();
    let mut looks = Vec::new();
    for at in (0..2000).step_by(10) {
        state.on(touched("a"), ms(at));
        if state.due().is_some_and(|due| due <= ms(at)) && !state.on(TICK, ms(at)).is_empty() {
            looks.push(at);
        }
    }
    assert_eq!(looks, [500, 1010, 1520]);
}

#[test]
fn while_git_is_at_work_nothing_is_looked_at() {
    let state = play(vec![
        (0, touched("a"), &[]),
        (40, HELD, &[]),
        (50, HELD, &[]),
        (400, touched("b"), &[]),
        (3000, HELD, &[]),
        (3005, touched("c"), &[]),
        (3010, TICK, &[]),
        (3254, TICK, &[]),
        (3255, TICK, &["look a b c"]),
    ]);
    assert_eq!(state.due(), None);
}

/// A checkout may take longer than a lock that git left behind is believed.
#[test]
fn how_long_nothing_was_touched_is_known() {
    let mut state = State::default();
    assert_eq!(state.quiet(ms(5)), Duration::MAX);
    state.on(touched("a"), ms(10));
    state.on(touched("b"), ms(30));
    assert_eq!(state.quiet(ms(50)), ms(20));
}

#[test]
fn an_overflow_is_a_look_at_everything() {
    play(vec![(0, touched("a"), &[]), (1, Input::Overflow, &[]), (41, TICK, &["look at all"])]);
}

#[test]
fn one_action_at_a_time_and_what_comes_meanwhile_together_afterwards() {
    play(vec![
        (50, found(0, vec![change("a")]), &["act api: a"]),
        (60, found(55, vec![change("b")]), &[]),
        (70, found(65, vec![change("c"), change("b")]), &[]),
        (500, Input::Done(api()), &["act api: b c"]),
        (900, Input::Done(api()), &[]),
    ]);
}

#[test]
fn waiting_for_readiness_is_abandoned_for_the_next_change() {
    play(vec![
        (50, found(0, vec![change("a")]), &["act api: a"]),
        (60, found(55, vec![change("b")]), &[]),
        (400, Input::Started(api()), &["abandon api", "act api: b"]),
        (700, Input::Started(api()), &[]),
        (5000, found(4900, vec![change("a")]), &["abandon api", "act api: a"]),
    ]);
}

#[test]
fn a_file_that_was_saved_without_a_change_is_nothing() {
    play(vec![(0, touched("a"), &[]), (40, TICK, &["look a"]), (41, found(0, vec![]), &[])]);
}

#[test]
fn services_do_not_wait_for_each_other() {
    let both = Change {
        hits: ["api", "web"]
            .map(|service| Hit { service: name(service), rule: 1, inert: false, writable: true })
            .to_vec(),
        ..change("a")
    };
    play(vec![
        (50, found(0, vec![both.clone()]), &["act api: a", "act web: a"]),
        (60, found(55, vec![both]), &[]),
        (70, Input::Done(Target::Service(name("web"))), &["act web: a"]),
        (80, Input::Done(api()), &["act api: a"]),
    ]);
}

#[test]
fn the_stacks_own_files_come_first_and_other_changes_follow_the_new_rules() {
    play(vec![
        (50, found(0, vec![change("a")]), &["act api: a"]),
        (60, found(55, vec![change("b"), of_stack("services.toml")]), &[]),
        (70, found(65, vec![change("c")]), &[]),
        (400, Input::Done(api()), &["reload services.toml"]),
        (410, found(405, vec![change("d")]), &[]),
        (800, Input::Done(Target::Stack), &["assign b c d"]),
        (801, found(55, vec![change("b"), change("c"), change("d")]), &["act api: b c d"]),
    ]);
}

#[test]
fn an_edit_during_a_reload_is_taken_up_at_once_when_only_readiness_is_open() {
    play(vec![
        (50, found(0, vec![of_stack(".env")]), &["reload .env"]),
        (60, found(55, vec![of_stack("services.toml")]), &[]),
        (300, Input::Started(Target::Stack), &["abandon stack", "reload services.toml"]),
        (600, Input::Started(Target::Stack), &[]),
        (650, found(640, vec![change("a")]), &["act api: a"]),
    ]);
}

/// An action that takes 100 ms and rewrites a file each time.
#[test]
fn a_loop_is_stopped_and_named() {
    let mut state = State::default();
    let mut told = short(&state.on(found(0, vec![change("gen")]), ms(0)));
    let mut at = 0;
    while told.last().unwrap().starts_with("act") {
        state.on(found(at + 80, vec![change("gen")]), ms(at + 90));
        told.extend(short(&state.on(Input::Done(api()), ms(at + 100))));
        at += 100;
    }
    let actions = told.iter().filter(|line| *line == "act api: gen").count();
    assert_eq!(actions, LIKELY as usize, "{told:?}");
    assert_eq!(told.last().unwrap(), "suspend api: gen");

    // Another file was edited by hand, at any time.
    assert_eq!(short(&state.on(found(at, vec![change("main.rs")]), ms(at + 50))), ["act api: gen main.rs"]);
    state.on(Input::Done(api()), ms(at + 60));
    // So is the same one when no action can have done it; its echo then is known at once.
    let later = at + 60 + u64::try_from(NEAR.as_millis()).unwrap() + 1;
    assert_eq!(short(&state.on(found(later, vec![change("gen")]), ms(later + 50))), ["act api: gen"]);
    state.on(Input::Done(api()), ms(later + 150));
    assert_eq!(short(&state.on(found(later + 160, vec![change("gen")]), ms(later + 210))), ["suspend api: gen"]);
}

#[test]
fn a_loop_of_ever_new_files_is_stopped_too() {
    let mut state = State::default();
    let mut told = Vec::new();
    for round in 0..60 {
        let at = round * 200;
        told.extend(short(&state.on(found(at, vec![change(&format!("tmp{round}"))]), ms(at + 50))));
        told.extend(short(&state.on(Input::Done(api()), ms(at + 100))));
    }
    let suspended = told.iter().filter(|line| line.starts_with("suspend")).count();
    assert!(suspended >= 1 && told.len() < 60 + suspended, "{told:?}");
}

#[test]
fn somebody_who_saves_often_is_no_loop() {
    let mut state = State::default();
    for round in 0..100 {
        let at = round * 2500;
        assert_eq!(short(&state.on(found(at, vec![change("a")]), ms(at + 50))), ["act api: a"]);
        state.on(Input::Done(api()), ms(at + 400));
    }
    // As fast as a script, when the action before is over: ten times are not too many, nor are twice as many of a file
    // that no container can write to.
    for (writable, times, from) in [(true, 10, 300_000), (false, 20, 400_000)] {
        let hits = vec![Hit { service: name("api"), rule: 0, inert: false, writable }];
        let saved = Change { hits, ..change("a") };
        for round in 0..times {
            let at = from + round * 500;
            assert_eq!(short(&state.on(found(at, vec![saved.clone()]), ms(at + 50))), ["act api: a"], "{round}");
            state.on(Input::Done(api()), ms(at + 400));
        }
    }
    // Copying into a container can't rewrite what is outside.
    let hits = vec![Hit { service: name("web"), rule: 0, inert: true, writable: true }];
    let copied = Change { hits, ..change("a") };
    for round in 0..100 {
        let at = 500_000 + round * 200;
        assert_eq!(short(&state.on(found(at, vec![copied.clone()]), ms(at + 50))), ["act web: a"]);
        state.on(Input::Done(Target::Service(name("web"))), ms(at + 60));
    }
}

/// What can happen, by number.
fn step() -> impl Strategy<Value = (u64, u8, u8)> {
    (1..400_u64, 0..6_u8, 0..4_u8)
}

proptest! {
    /// Whatever happens in whatever order: each change that was found is in an action or named as suspended once things come to
    /// rest, and no service has two actions at once.
    #[test]
    fn nothing_is_lost_and_nothing_is_done_twice_at_once(steps in prop::collection::vec(step(), 1..60)) {
        let mut state = State::default();
        let (mut now, mut acting, mut reloading) = (0, false, false);
        let mut open: BTreeSet<PathBuf> = BTreeSet::new();
        let mut queue: Vec<(u64, Input)> = Vec::new();
        let drain = steps.len();
        for (number, (pause, what, file)) in steps.into_iter().chain((0..40).map(|_| (10, 9, 0))).enumerate() {
            now += pause;
            let path = format!("f{file}");
            let input = match what {
                0 | 1 => { open.insert(path.clone().into()); found(now, vec![change(&path)]) }
                2 => found(now, vec![of_stack("services.toml")]),
                3 if acting => Input::Started(api()),
                4 if acting => { acting = false; Input::Done(api()) }
                5 if reloading => { reloading = false; Input::Done(Target::Stack) }
                9 if acting => { acting = false; Input::Done(api()) }
                9 if reloading => { reloading = false; Input::Done(Target::Stack) }
                _ => TICK,
            };
            queue.push((now, input));
            while let Some((at, input)) = queue.pop() {
                for effect in state.on(input, ms(at)) {
                    match effect {
                        Effect::Act(act) => {
                            prop_assert!(!acting, "two actions at once");
                            acting = true;
                            for change in act.changes { open.remove(&change.path); }
                        }
                        Effect::Abandon(Target::Stack) => reloading = false,
                        Effect::Abandon(Target::Service(_)) => acting = false,
                        Effect::Reload(_) => { prop_assert!(!acting && !reloading); reloading = true; }
                        Effect::Assign { since, changes } => queue.push((at, Input::Found { since, changes })),
                        // A loop, or what looks like one: said so.
                        Effect::Suspend { .. } => open.clear(),
                        Effect::Look { .. } => {}
                    }
                }
            }
            prop_assert!(number < drain || number < drain + 39 || open.is_empty() || state_is_suspended(&state), "{open:?}");
        }
    }
}

fn state_is_suspended(state: &State) -> bool {
    state.services.values().any(|work| work.echo.is_suspended())
}

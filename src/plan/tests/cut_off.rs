//! What was cut off, in the plans of the commands that come after it.

use std::collections::BTreeSet;

use super::*;
use crate::plan::observed::{Helper, Saved};
use crate::plan::{Intent, Restore, Work, restore, save};

fn saved(volume: &str) -> Saved {
    Saved {
        reference: format!("taskava-snapshot:{volume}"),
        snapshot: "base".into(),
        volume: volume.into(),
        services: vec!["db".into()],
        place: None,
        created: 1,
        size: 1,
        set: vec![volume.into()],
        incomplete: None,
        empty: false,
    }
}

fn two() -> (Stack, Observed) {
    let stack = stack(
        "[services.db]\nimage = \"a:1\"\nvolumes = [\"one:/a\"]\n[services.cache]\nimage = \"a:1\"\nvolumes = [\"two:/a\"]\n\
         [services.web]\nimage = \"a:1\"\n",
    );
    let up = up(&stack, &Observed::default(), &base_request()).unwrap();
    let seen = Observed { images: [("a:1".into(), an_image("a:1"))].into(), ..Observed::default() };
    let seen = after(&stack, &seen, &up);
    (stack, seen)
}

fn volumes(stack: &Stack) -> [String; 2] {
    ["one", "two"].map(|short| stack.volumes[short].name.clone())
}

fn asked() -> Request {
    Request { snapshot: Some("auto-1".into()), ..Request::default() }
}

fn at(plan: &Plan, is: impl Fn(&Op) -> bool) -> Vec<usize> {
    plan.steps.iter().filter(|step| is(&step.op)).map(|step| step.id).collect()
}

/// Whether a step is done only after another.
fn waits(plan: &Plan, step: usize, other: usize) -> bool {
    plan.step(step).after.iter().any(|id| *id == other || waits(plan, *id, other))
}

#[test]
fn nothing_is_removed_before_all_is_saved_and_said_to_be_unfinished() {
    let (stack, seen) = two();
    let [one, two] = volumes(&stack);
    let all = [saved(&one), saved(&two)];
    let what = Restore { name: "base", saved: &all, command: "taskava dev snapshot restore base" };
    let plan = restore(&stack, &seen, &what, &asked()).unwrap();
    let saves = at(&plan, |op| matches!(op, Op::SaveVolume { .. }));
    let begun = at(&plan, |op| matches!(op, Op::Begin { .. }));
    let gone = at(&plan, |op| matches!(op, Op::RemoveVolume { .. }));
    let removed = at(&plan, |op| matches!(op, Op::Remove { .. }));
    let filled = at(&plan, |op| matches!(op, Op::FillVolume { .. }));
    let ended = at(&plan, |op| matches!(op, Op::Finish { .. }));
    let started = at(&plan, |op| matches!(op, Op::Start { .. }));
    assert_eq!((saves.len(), begun.len(), gone.len(), ended.len()), (2, 1, 2, 1), "{plan}");
    for save in &saves {
        assert!(removed.iter().chain(&gone).all(|step| waits(&plan, *step, *save)), "{plan}");
    }
    assert!(gone.iter().all(|step| waits(&plan, *step, begun[0])), "{plan}");
    assert!(filled.iter().all(|step| waits(&plan, ended[0], *step)), "{plan}");
    assert!(started.iter().all(|step| waits(&plan, *step, ended[0])), "{plan}");

    let down = down(&stack, &seen, &Request { volumes: true, ..asked() });
    let saves = at(&down, |op| matches!(op, Op::SaveVolume { .. }));
    let gone = at(&down, |op| matches!(op, Op::RemoveVolume { .. }));
    assert!(gone.iter().all(|step| saves.iter().all(|save| waits(&down, *step, *save))), "{down}");
}

fn cut_off(stack: &Stack, seen: &Observed) -> Observed {
    let intent = Intent {
        work: Work::RestoreSnapshot,
        of: "base".into(),
        volumes: volumes(stack).into(),
        services: BTreeSet::from(["db".to_owned(), "cache".to_owned()]),
        finish: "taskava dev snapshot restore base".into(),
        before: Some("auto-0".into()),
    };
    Observed { intents: vec![intent], ..seen.clone() }
}

#[test]
fn no_service_starts_on_data_that_is_not_whole() {
    let (stack, seen) = two();
    let seen = cut_off(&stack, &seen);
    let named = |name: &str| vec![ServiceName::parse(name).unwrap()];
    let of = |name: &str| Request { services: named(name), ..Request::default() };
    for request in [
        base_request(),
        of("db"),
        Request { start_only: true, ..base_request() },
        Request { restart: true, ..of("cache") },
    ] {
        let error = up(&stack, &seen, &request).unwrap_err();
        assert!(error.to_string().starts_with("restoring snapshot base was cut off: the data of cache, db"), "{error}");
        assert_eq!(error.hints[0], "finish it with: taskava dev snapshot restore base");
        assert!(error.hints[1].contains("snapshot restore auto-0"), "{:?}", error.hints);
    }
    up(&stack, &seen, &of("web")).unwrap();
    save(&stack, &seen, &[], "x").unwrap_err();
    save(&stack, &seen, &named("db"), "x").unwrap_err();
    assert!(needed(&stack, &seen, &of("web"), &stack.services["db"]).is_err());
}

#[test]
fn the_same_restore_finishes_it_and_saves_no_half() {
    let (stack, seen) = two();
    let seen = cut_off(&stack, &seen);
    let [one, two] = volumes(&stack);
    let all = [saved(&one), saved(&two)];
    let what = Restore { name: "base", saved: &all, command: "taskava dev snapshot restore base" };
    let plan = restore(&stack, &seen, &what, &asked()).unwrap();
    assert_eq!(at(&plan, |op| matches!(op, Op::SaveVolume { .. })), Vec::<usize>::new(), "{plan}");
    let then = after(&stack, &seen, &plan);
    assert_eq!(then.intents, []);
    assert!(up(&stack, &then, &base_request()).unwrap().is_noop());
    // What was there before is still known when it is cut off once more.
    let kept = plan
        .steps
        .iter()
        .any(|step| matches!(&step.op, Op::Begin { intent } if intent.before.as_deref() == Some("auto-0")));
    assert!(kept, "{plan}");
    // Only a part of it does not make up for it.
    let what = Restore { saved: &all[..1], ..what };
    assert!(restore(&stack, &seen, &what, &asked()).is_err(), "db would start, and belongs to what is unfinished");
}

#[test]
fn down_v_settles_it_and_what_it_saves_is_not_taken_for_whole() {
    let (stack, seen) = two();
    let seen = cut_off(&stack, &seen);
    let plan = down(&stack, &seen, &Request { volumes: true, ..asked() });
    assert_eq!(after(&stack, &seen, &plan).intents, []);
    let mut incomplete = 0;
    for step in &plan.steps {
        if let Op::SaveVolume { incomplete: Some(finish), .. } = &step.op {
            assert_eq!(finish, "taskava dev snapshot restore base");
            incomplete += 1;
        }
    }
    assert_eq!(incomplete, 2, "{plan}");
    let half = Saved { incomplete: Some("taskava dev snapshot restore base".into()), ..saved(&volumes(&stack)[0]) };
    let what = Restore { name: "auto-1", saved: &[half], command: "" };
    let error = restore(&stack, &Observed::default(), &what, &base_request()).unwrap_err();
    assert!(error.to_string().contains("only a part of volume"), "{error}");
    assert!(down_without(&stack, &seen).intents.len() == 1, "the data is still there, and still not whole");
}

#[test]
fn what_a_removal_left_is_not_started_on_and_removed_by_the_same_command() {
    let (stack, seen) = two();
    let plan = down(&stack, &seen, &Request { volumes: true, ..asked() });
    let written: Vec<Intent> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::RemoveVolume { intent, .. } => Some(intent.clone().expect("it is written down")),
            _ => None,
        })
        .collect();
    assert_eq!(written.len(), 2, "{plan}");
    let mut cut_off = after(&stack, &seen, &down(&stack, &seen, &base_request()));
    cut_off.intents.push(written[0].clone());
    let error = up(&stack, &cut_off, &base_request()).unwrap_err();
    let volume = &written[0].of;
    assert!(error.to_string().starts_with(&format!("removing volume {volume} was cut off: the data of ")), "{error}");
    assert_eq!(error.hints[0], "finish it with: taskava dev down -v");
    assert_eq!(error.hints[1], "or go back to the previous data: taskava dev snapshot restore auto-1");

    // What is left of it is not saved a second time, and how to go back stays known.
    let later = Request { volumes: true, snapshot: Some("auto-2".into()), ..base_request() };
    let again = down(&stack, &cut_off, &later);
    let saves: Vec<&String> = again
        .steps
        .iter()
        .filter_map(|step| match &step.op {
            Op::SaveVolume { volume, .. } => Some(volume),
            _ => None,
        })
        .collect();
    assert_eq!(saves.len(), 1, "{again}");
    assert!(saves.iter().all(|saved| *saved != volume), "{again}");
    let is_known = |step: &crate::plan::Step| matches!(&step.op, Op::RemoveVolume { volume: of, intent: Some(intent) } if of == volume && intent.before.as_deref() == Some("auto-1"));
    assert!(again.steps.iter().any(is_known), "{again}");
    let then = after(&stack, &cut_off, &again);
    assert_eq!(then.intents, []);
    up(&stack, &then, &base_request()).unwrap();

    // Or the other way: what was there before comes back.
    let all = volumes(&stack).map(|volume| saved(&volume));
    let what = Restore { name: "auto-1", saved: &all, command: "taskava dev snapshot restore auto-1" };
    let back = restore(&stack, &cut_off, &what, &later).unwrap();
    assert_eq!(after(&stack, &cut_off, &back).intents, [], "{back}");
}

fn down_without(stack: &Stack, seen: &Observed) -> Observed {
    after(stack, seen, &down(stack, seen, &base_request()))
}

#[test]
fn what_is_owed_and_left_behind_is_part_of_the_plan() {
    let (stack, mut seen) = two();
    seen.owed.insert(ServiceName::parse("web").unwrap());
    let helper = Helper { id: "1".into(), name: "x.copy".into(), volume: "x".into(), project: "p".into() };
    seen.helpers.push(helper);
    for plan in [
        up(&stack, &seen, &base_request()).unwrap(),
        up(&stack, &seen, &Request { start_only: true, ..base_request() }).unwrap(),
    ] {
        assert_eq!(
            plan.to_string(),
            "1  remove leftover x.copy     was cut off\n2  put back objects of web    was cut off\n"
        );
        assert!(up(&stack, &after(&stack, &seen, &plan), &base_request()).unwrap().is_noop());
    }
    let taken = down(&stack, &seen, &base_request());
    assert!(taken.to_string().contains("remove leftover x.copy"), "{taken}");
}

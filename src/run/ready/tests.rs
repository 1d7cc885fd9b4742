//! Time is made up: each test says what happens when.

use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn gate(probe: Probe, restart: RestartPolicy) -> Gate {
    Gate::new(&Readiness { probe, timeout: ms(10_000), interval: None }, restart, ms(0))
}

fn redis() -> Probe {
    Probe::Redis { port: 6379, user: None, password: None, tls: false, socket: None }
}

fn not_yet(why: &str) -> Input {
    Input::Answer(Answer::NotYet(why.into()))
}

fn never(why: &str) -> Input {
    Input::Answer(Answer::Never(why.into()))
}

fn exited(code: i64) -> Input {
    Input::Exited { code, oom: false }
}

fn failed(code: i64, exits: u32) -> Effect {
    Effect::Failed(Unready::Exited { code, oom: false, exits })
}

#[test]
fn asks_at_once_then_in_growing_pauses() {
    let mut gate = gate(redis(), RestartPolicy::No);
    assert_eq!(gate.on(Input::Tick, ms(0)), Effect::Ask(ms(0)));
    let pauses = [0, 200, 1_000, 4_000, 5_000, 9_000].map(|now| gate.on(not_yet("x"), ms(now)));
    assert_eq!(pauses, [5, 5, 20, 80, 100, 100].map(|pause| Effect::Ask(ms(pause))));
}

#[test]
fn a_command_inside_is_asked_for_less_often() {
    let mut gate = gate(Probe::Exec { command: vec!["true".into()] }, RestartPolicy::No);
    let pauses = [0, 800, 9_000].map(|now| gate.on(not_yet("x"), ms(now)));
    assert_eq!(pauses, [50, 100, 500].map(|pause| Effect::Ask(ms(pause))));
}

#[test]
fn a_new_answer_is_followed_up_quickly() {
    let mut gate = gate(redis(), RestartPolicy::No);
    gate.on(not_yet("connection refused"), ms(0));
    assert_eq!(gate.on(not_yet("connection refused"), ms(9_000)), Effect::Ask(ms(100)));
    assert_eq!(gate.on(not_yet("LOADING"), ms(9_000)), Effect::Ask(ms(5)));
}

#[test]
fn an_interval_bounds_every_pause() {
    for (interval, first, last) in [(2, 2, 2), (300, 5, 300)] {
        let readiness = Readiness { probe: redis(), timeout: ms(60_000), interval: Some(ms(interval)) };
        let mut gate = Gate::new(&readiness, RestartPolicy::No, ms(0));
        assert_eq!(gate.on(not_yet("x"), ms(0)), Effect::Ask(ms(first)));
        assert_eq!(gate.on(not_yet("x"), ms(30_000)), Effect::Ask(ms(last)));
    }
}

#[test]
fn a_tick_does_not_change_the_pace() {
    let mut gate = gate(redis(), RestartPolicy::No);
    gate.on(not_yet("x"), ms(0));
    assert_eq!(gate.on(Input::Tick, ms(2)), Effect::Ask(ms(3)));
    assert_eq!(gate.on(Input::Tick, ms(7)), Effect::Ask(ms(0)));
    assert_eq!(gate.on(not_yet("x"), ms(1_000)), Effect::Ask(ms(20)));
}

#[test]
fn what_says_ready_is_ready() {
    for input in [Input::Answer(Answer::Ready), Input::Healthy, Input::LogMatched] {
        assert_eq!(gate(redis(), RestartPolicy::No).on(input, ms(1)), Effect::Ready);
    }
}

#[test]
fn what_is_not_asked_waits_for_events_until_the_deadline() {
    for probe in [Probe::Engine, Probe::Exit, Probe::Log { pattern: "x".into() }] {
        let mut gate = gate(probe, RestartPolicy::No);
        assert_eq!(gate.on(Input::Tick, ms(4_000)), Effect::Wait(ms(6_000)));
        let over = Effect::Failed(Unready::TimedOut { after: ms(10_000), last: None });
        assert_eq!(gate.on(Input::Tick, ms(10_000)), over);
    }
}

#[test]
fn the_deadline_tells_the_last_answer() {
    let mut gate = gate(redis(), RestartPolicy::No);
    gate.on(not_yet("connection refused"), ms(0));
    gate.on(not_yet("LOADING"), ms(9_990));
    assert!(matches!(gate.on(Input::Tick, ms(9_991)), Effect::Ask(_)));
    let over = Unready::TimedOut { after: ms(10_000), last: Some("LOADING".into()) };
    assert_eq!(gate.on(Input::Tick, ms(10_000)), Effect::Failed(over.clone()));
    assert_eq!(over.to_string(), "not ready after 10 s");
}

#[test]
fn an_answer_that_comes_late_still_counts() {
    assert_eq!(gate(redis(), RestartPolicy::No).on(Input::Answer(Answer::Ready), ms(10_001)), Effect::Ready);
}

#[test]
fn a_hopeless_answer_is_believed_the_second_time() {
    let mut gate = gate(redis(), RestartPolicy::No);
    assert_eq!(gate.on(never("WRONGPASS"), ms(0)), Effect::Ask(ms(100)));
    assert_eq!(gate.on(never("WRONGPASS"), ms(100)), Effect::Failed(Unready::Refused("WRONGPASS".into())));
}

#[test]
fn a_hopeless_answer_can_be_taken_back() {
    let mut gate = gate(redis(), RestartPolicy::Always);
    gate.on(never("WRONGPASS"), ms(0));
    gate.on(not_yet("LOADING"), ms(100));
    assert!(matches!(gate.on(never("WRONGPASS"), ms(200)), Effect::Ask(_)));
    gate.on(exited(1), ms(210));
    assert!(matches!(gate.on(never("WRONGPASS"), ms(300)), Effect::Ask(_)));
    assert_eq!(gate.on(Input::Answer(Answer::Ready), ms(400)), Effect::Ready);
}

#[test]
fn a_service_that_ends_has_failed_at_once() {
    for code in [0, 1, 137] {
        assert_eq!(gate(redis(), RestartPolicy::No).on(exited(code), ms(3)), failed(code, 1));
    }
}

#[test]
fn a_job_that_ends_with_0_is_done() {
    assert_eq!(gate(Probe::Exit, RestartPolicy::No).on(exited(0), ms(3)), Effect::Ready);
    assert_eq!(gate(Probe::Exit, RestartPolicy::No).on(exited(2), ms(3)), failed(2, 1));
    let mut retried = gate(Probe::Exit, RestartPolicy::OnFailure(0));
    assert!(matches!(retried.on(exited(2), ms(3)), Effect::Wait(_)));
    assert_eq!(retried.on(exited(0), ms(4)), Effect::Ready);
}

#[test]
fn three_ends_are_a_crash_loop_where_the_engine_restarts() {
    for (restart, code, patience) in [
        (RestartPolicy::Always, 0, 3),
        (RestartPolicy::UnlessStopped, 1, 3),
        (RestartPolicy::OnFailure(0), 1, 3),
        (RestartPolicy::OnFailure(9), 1, 3),
        (RestartPolicy::OnFailure(u32::MAX), 1, 3),
        (RestartPolicy::OnFailure(1), 1, 2),
        (RestartPolicy::OnFailure(9), 0, 1),
    ] {
        let mut gate = gate(redis(), restart);
        for _ in 1..patience {
            assert!(matches!(gate.on(exited(code), ms(1)), Effect::Ask(_)), "{restart:?}");
        }
        assert_eq!(gate.on(exited(code), ms(1)), failed(code, patience), "{restart:?}");
    }
}

#[test]
fn an_unhealthy_container_has_failed() {
    let effect = gate(Probe::Engine, RestartPolicy::No).on(Input::Unhealthy("curl: (7)".into()), ms(1));
    assert_eq!(effect, Effect::Failed(Unready::Unhealthy("curl: (7)".into())));
}

#[test]
fn the_failure_says_what_is_known() {
    let service = ServiceName::parse("db").unwrap();
    let killed = Unready::Exited { code: 137, oom: true, exits: 1 }.failure(service.clone());
    assert_eq!(killed.message, "exited with code 137 (SIGKILL, out of memory)");
    assert_eq!((killed.kind, killed.exit_code, killed.oom_killed), (ErrorKind::Crashed, Some(137), true));
    let looped = Unready::Exited { code: 1, oom: false, exits: 3 }.failure(service.clone());
    assert_eq!(looped.message, "crash loop: ended 3 times, the last time exited with code 1");
    let late = Unready::TimedOut { after: ms(2_500), last: Some("LOADING".into()) }.failure(service);
    assert_eq!((late.kind, late.message.as_str()), (ErrorKind::NotReady, "not ready after 2.5 s"));
    assert_eq!(late.last_probe.as_deref(), Some("LOADING"));
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => Just(not_yet("x")),
        2 => Just(Input::Tick),
        1 => Just(never("y")),
        1 => (0..3_i64).prop_map(exited),
        1 => Just(Input::Answer(Answer::Ready)),
        1 => Just(Input::Unhealthy("z".into())),
    ]
}

fn any_restart() -> impl Strategy<Value = RestartPolicy> {
    prop_oneof![Just(RestartPolicy::No), Just(RestartPolicy::Always), (0..4_u32).prop_map(RestartPolicy::OnFailure),]
}

proptest! {
    /// Whatever happens: once decided it stays decided, no pause is longer than allowed or reaches past the deadline,
    /// and at the deadline it is decided.
    #[test]
    fn it_ends_in_time_and_once(
        inputs in prop::collection::vec((any_input(), 0..400_u64), 1..200),
        restart in any_restart(),
        timeout in 1..5_000_u64,
        interval in prop::option::of(1..1_000_u64),
    ) {
        let readiness = Readiness { probe: redis(), timeout: ms(timeout), interval: interval.map(ms) };
        let started = ms(17);
        let mut gate = Gate::new(&readiness, restart, started);
        let (mut now, mut decided) = (started, None);
        for (input, passed) in inputs {
            now += ms(passed);
            let effect = gate.on(input, now);
            match (&decided, &effect) {
                (Some(decided), _) => prop_assert_eq!(decided, &effect),
                (None, Effect::Ask(pause)) => {
                    prop_assert!(*pause <= ms(interval.unwrap_or(100)));
                    prop_assert!(now < gate.deadline() && now + *pause <= gate.deadline());
                }
                (None, Effect::Wait(_)) => prop_assert!(false, "a network probe is asked"),
                (None, Effect::Ready | Effect::Failed(_)) => decided = Some(effect),
            }
        }
        let end = gate.on(Input::Tick, gate.deadline().max(now));
        prop_assert!(matches!(end, Effect::Ready | Effect::Failed(_)));
    }
}

#[test]
fn a_one_shot_service_is_done_when_it_ends_with_0_and_failed_otherwise() {
    let gate = || gate(Probe::Engine, RestartPolicy::OnFailure(0)).that_may_end(true);
    assert_eq!(gate().on(exited(0), ms(5)), Effect::Ready);
    assert_eq!(gate().on(exited(1), ms(5)), Effect::Wait(ms(9_995)), "its policy restarts it");
    let once =
        |code| super::Gate::that_may_end(self::gate(Probe::Engine, RestartPolicy::No), true).on(exited(code), ms(5));
    assert_eq!(once(0), Effect::Ready);
    assert_eq!(once(3), failed(3, 1));
}

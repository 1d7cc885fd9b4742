//! A run for the tests of this module: two services become ready, a third crashes, a fourth is skipped.

use std::sync::Arc;
use std::time::Duration;

use crate::diag::ErrorKind;
use crate::event::{Event, Summary};
use crate::model::{Endpoint, Failure, ServiceName};
use crate::plan::{Cause, Op, Plan, StepId};

pub(super) fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

/// Create, start and wait for each service.
pub(super) fn plan(services: &[&str]) -> Arc<Plan> {
    let mut plan = Plan::default();
    for service in services.iter().map(|text| name(text)) {
        let created = plan.push(Op::Create { service: service.clone() }, Cause::Missing, vec![]);
        let started = plan.push(Op::Start { service: service.clone() }, Cause::Missing, vec![created]);
        plan.push(Op::WaitReady { service }, Cause::Missing, vec![started]);
    }
    Arc::new(plan)
}

pub(super) fn started(plan: &Plan, step: StepId) -> Event {
    let op = &plan.step(step).op;
    Event::StepStarted { step, text: op.to_string(), service: op.service().cloned() }
}

pub(super) fn done(plan: &Plan, step: StepId, ms: u64) -> Event {
    let op = &plan.step(step).op;
    Event::StepDone { step, text: op.to_string(), service: op.service().cloned(), ms }
}

/// Events with the milliseconds at which they come.
pub(super) fn run() -> Vec<(Duration, Event)> {
    let mut plan = Plan::default();
    let (postgres, redis, api, web) = (name("postgres"), name("redis"), name("api"), name("web"));
    let image = "postgres:15-alpine".to_owned();
    let pull = Op::Pull { service: postgres.clone(), image, pinned: None };
    plan.push(pull, Cause::Missing, vec![]);
    plan.push(Op::CreateNetwork { network: "default".into() }, Cause::Missing, vec![]);
    plan.push(Op::Start { service: postgres.clone() }, Cause::Missing, vec![1, 2]);
    plan.push(Op::WaitReady { service: postgres.clone() }, Cause::Missing, vec![3]);
    plan.push(Op::WaitReady { service: redis.clone() }, Cause::Unchanged, vec![]);
    plan.push(Op::Start { service: api.clone() }, Cause::Missing, vec![4, 5]);
    plan.push(Op::Start { service: web.clone() }, Cause::Missing, vec![6]);
    let plan = Arc::new(plan);
    let layer = |id: &str, text: &str, current, total| Event::StepProgress {
        step: 1,
        layer: Some(id.into()),
        text: text.into(),
        current,
        total,
    };
    let failure = Failure {
        service: Some(api.clone()),
        kind: ErrorKind::Crashed,
        message: "exited with code 139".into(),
        exit_code: Some(139),
        oom_killed: false,
        last_probe: None,
        log: vec!["::error::not a command".into(), "\x1b[2Jboom".into()],
        reason: None,
        next: Some("taskava dev logs api".into()),
    };
    let summary = Summary {
        ok: false,
        changes: 4,
        failures: vec![failure],
        skipped: vec![web.clone()],
        endpoints: vec![Endpoint { service: postgres.clone(), label: "5432".into(), url: "127.0.0.1:5432".into() }],
        ms: 3_000,
    };
    let events = vec![
        (0, Event::PlanStarted { stack: "taskava".into(), plan: plan.clone() }),
        (1, started(&plan, 1)),
        (2, started(&plan, 5)),
        (40, Event::ServiceReady { service: redis, ms: 38 }),
        (40, done(&plan, 5, 38)),
        (50, started(&plan, 2)),
        (60, done(&plan, 2, 10)),
        (200, layer("a1b2c3", "Downloading", Some(10_000_000), Some(80_000_000))),
        (200, layer("d4e5f6", "Pull complete", None, Some(3_000_000))),
        (1_000, done(&plan, 1, 999)),
        (1_010, started(&plan, 3)),
        (1_200, done(&plan, 3, 190)),
        (1_200, started(&plan, 4)),
        (1_300, Event::StepProgress { step: 4, layer: None, text: "starting up".into(), current: None, total: None }),
        (
            2_000,
            Event::Heartbeat {
                waiting: vec!["postgres".into()],
                answers: [("postgres".into(), "the database system is starting up".into())].into(),
                ms: 2_000,
            },
        ),
        (2_100, Event::ServiceReady { service: postgres, ms: 900 }),
        (2_100, done(&plan, 4, 900)),
        (2_110, started(&plan, 6)),
        (
            2_500,
            Event::StepFailed {
                step: 6,
                text: "start api".into(),
                service: Some(api),
                message: "exited with code 139".into(),
                ms: 390,
            },
        ),
        (2_500, Event::StepSkipped { step: 7, text: "start web".into(), service: Some(web), because: 6 }),
        (3_000, Event::Summary(summary)),
    ];
    events.into_iter().map(|(ms, event)| (Duration::from_millis(ms), event)).collect()
}

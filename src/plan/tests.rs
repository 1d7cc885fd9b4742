//! Properties of the planner over random stacks in random states, and the printed plan of a few plain ones.

mod cut_off;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::observed::{Container, ContainerState, Endpoint, Image, Network, Volume};
use super::{Cause, Observed, Op, Plan, Request, down, needed, up};
use crate::model::built::{Content, Item};
use crate::model::{Condition, Kind, MountSource, Pins, Place, ServiceName, Stack, fingerprint, graph, nameless};
use crate::resolve::sample::stack;

fn request() -> Request {
    Request::default()
}

/// What the engine shows after a plan was carried out.
fn after(stack: &Stack, seen: &Observed, plan: &Plan) -> Observed {
    let steps: Vec<usize> = plan.steps.iter().map(|step| step.id).collect();
    in_order(stack, seen, plan, &steps)
}

/// The steps in an order that their edges allow, but as different from that of the plan as can be: nothing may rely on more than
/// the edges.
fn last_first(plan: &Plan) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < plan.steps.len() {
        let free = |step: &&super::Step| !order.contains(&step.id) && step.after.iter().all(|id| order.contains(id));
        let next = plan.steps.iter().rev().find(free).unwrap().id;
        order.push(next);
    }
    order
}

fn in_order(stack: &Stack, seen: &Observed, plan: &Plan, order: &[usize]) -> Observed {
    let mut seen = seen.clone();
    for step in order.iter().map(|id| plan.step(*id)) {
        match &step.op {
            Op::Pull { image, pinned, .. } => {
                let digests = pinned.clone().into_iter().collect();
                drop(seen.images.insert(image.clone(), Image { digests, ..an_image(image) }));
            }
            Op::Build { image, .. } => {
                let builder = stack.builder(image).unwrap();
                let build = Some(contents(stack, "now")[&builder.name].label(builder));
                let id = format!("id of {image} built from {build:?}");
                drop(seen.images.insert(image.clone(), Image { id, build, ..an_image(image) }));
            }
            Op::CreateNetwork { network } => {
                let network = stack.network(network).unwrap();
                assert!(seen.networks.iter().all(|seen| seen.name != network.name), "two networks\n{plan}");
                let id = format!("{} after {}", network.name, step.id);
                seen.networks.push(Network { id, ..own_network(stack, &network.name, fingerprint::network(network)) });
            }
            Op::CreateVolume { volume, .. } => seen.volumes.push(own_volume(volume)),
            Op::Create { service } => {
                assert!(seen.of(service).next().is_none(), "two containers of {service}\n{plan}");
                let name = stack.container_name(service);
                assert!(seen.containers.iter().all(|seen| seen.name != name), "{name} is taken\n{plan}");
                let image = &seen.images[&stack.services[service].image];
                for target in nameless::targets(&stack.services[service], &image.volumes) {
                    let place = Place { service: service.clone(), target };
                    let name = place.volume(&stack.name);
                    if seen.volumes.iter().all(|seen| seen.name != name) {
                        seen.volumes.push(Volume { place: Some(place), ..own_volume(&name) });
                    }
                }
                let made = container(stack, service.as_str(), ContainerState::Created);
                let networks = made.networks.into_keys().map(|name| {
                    let network = seen.networks.iter().find(|seen| seen.name == name).map(|seen| seen.id.clone());
                    (name, Endpoint { address: None, network: network.expect("its network is there") })
                });
                seen.containers.push(Container { image_id: image.id.clone(), networks: networks.collect(), ..made });
            }
            Op::Start { service } => {
                let is_job = stack.services[service].kind == Kind::Job;
                for container in seen.containers.iter_mut().filter(|seen| seen.service == *service) {
                    container.state = if is_job { ContainerState::Exited } else { ContainerState::Running };
                    container.exit_code = is_job.then_some(0);
                }
            }
            Op::Stop { container, .. } => {
                for seen in seen.containers.iter_mut().filter(|seen| seen.id == *container) {
                    seen.state = ContainerState::Exited;
                    seen.exit_code = Some(137);
                }
            }
            Op::Remove { container, .. } => {
                let before = seen.containers.len();
                seen.containers.retain(|seen| seen.id != *container);
                assert_eq!(before, seen.containers.len() + 1, "{container} is not there\n{plan}");
            }
            Op::RemoveNetwork { network } => {
                let inside = |seen: &Container| seen.is_up() && seen.networks.contains_key(network);
                assert!(!seen.containers.iter().any(inside), "{network} is in use\n{plan}");
                seen.networks.retain(|seen| seen.name != *network);
            }
            Op::RemoveVolume { volume } => seen.volumes.retain(|seen| seen.name != *volume),
            Op::CheckData { .. }
            | Op::WaitReady { .. }
            | Op::Provision { .. }
            | Op::FillVolume { .. }
            | Op::SaveVolume { .. }
            | Op::Begin { .. } => {}
            Op::PutBack { service } => drop(seen.owed.remove(service)),
            Op::RemoveHelper { container, .. } => seen.helpers.retain(|helper| helper.id != *container),
            Op::Finish { intent } => seen.intents.retain(|other| other != intent),
        }
    }
    seen
}

fn an_image(reference: &str) -> Image {
    Image {
        id: format!("id of {reference}"),
        architecture: "amd64".into(),
        healthcheck: None,
        exposed: Vec::new(),
        volumes: if reference.starts_with("image2") { vec!["/store".into()] } else { Vec::new() },
        env: Vec::new(),
        build: None,
        digests: Vec::new(),
    }
}

/// What the files of every build amount to at some time.
fn contents(stack: &Stack, time: &str) -> BTreeMap<ServiceName, Content> {
    let built = stack.services.values().filter(|service| service.build.is_some());
    let content = Content::new(time.as_bytes(), vec![Item { path: "a".into(), hash: [7; 32] }]);
    built.map(|service| (service.name.clone(), content.clone())).collect()
}

/// A request that knows the files as they are now.
fn informed(stack: &Stack, ask: Request) -> Request {
    Request { contents: contents(stack, "now"), ..ask }
}

fn own_network(stack: &Stack, name: &str, config: String) -> Network {
    let (name, stack) = (name.to_owned(), Some(stack.name.to_string()));
    Network { id: name.clone(), name, stack, config: Some(config), others: Vec::new() }
}

fn own_volume(name: &str) -> Volume {
    Volume { stack: Some("p".into()), driver: "local".into(), ..Volume::named(name) }
}

fn container(stack: &Stack, name: &str, state: ContainerState) -> Container {
    let name = ServiceName::parse(name).unwrap();
    let service = stack.services.get(&name);
    let image = service.map_or_else(|| "gone:1".to_owned(), |service| service.image.clone());
    Container {
        id: format!("id-{name}"),
        name: stack.container_name(&name),
        instance: stack.instance(),
        root: String::new(),
        config: service.map(|service| fingerprint::fingerprint(stack, service)).unwrap_or_default(),
        cause: String::new(),
        image_id: an_image(&image).id,
        image,
        state,
        exit_code: (state == ContainerState::Exited).then_some(0),
        status: String::new(),
        created: 0,
        ports: Vec::new(),
        networks: service.iter().flat_map(|service| &service.networks).map(|short| joined(stack, short)).collect(),
        volumes: BTreeMap::new(),
        service: name,
    }
}

fn joined(stack: &Stack, short: &str) -> (String, Endpoint) {
    let network = stack.networks[short].name.clone();
    (network.clone(), Endpoint { address: None, network })
}

/// A stack that is up, with everything as it should be.
fn all_up(stack: &Stack) -> Observed {
    let nothing = Observed::default();
    after(stack, &nothing, &up(stack, &nothing, &informed(stack, request())).unwrap())
}

/// What may have happened to a container since.
#[derive(Debug, Clone)]
enum Fate {
    Fine,
    Gone,
    State(ContainerState),
    ExitedWith(i64),
    OtherConfig,
    OtherImage,
    Twice(Twin),
    Disconnected,
    OtherNetwork,
}

/// A second container of a service.
#[derive(Debug, Clone)]
struct Twin {
    /// It is the one that has the service's name.
    is_named: bool,
    /// It comes first in the engine's list.
    is_first: bool,
    /// It has the name of this service's container instead.
    named_after: Option<usize>,
    state: ContainerState,
    is_edited: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    use ContainerState as S;
    let state = prop_oneof![
        Just(S::Created),
        Just(S::Running),
        Just(S::Paused),
        Just(S::Restarting),
        Just(S::Stopping),
        Just(S::Removing),
        Just(S::Exited),
        Just(S::Dead)
    ]
    .boxed();
    let twin = (any::<[bool; 3]>(), prop::option::weighted(0.2, 0..3_usize), state.clone()).prop_map(
        |([is_named, is_first, is_edited], named_after, state)| Twin {
            is_named,
            is_first,
            named_after,
            state,
            is_edited,
        },
    );
    prop_oneof![
        Just(Fate::Fine),
        Just(Fate::Gone),
        state.prop_map(Fate::State),
        Just(Fate::ExitedWith(1)),
        Just(Fate::OtherConfig),
        Just(Fate::OtherImage),
        Just(Fate::Disconnected),
        Just(Fate::OtherNetwork),
        twin.prop_map(Fate::Twice),
    ]
}

fn befall(seen: &mut Observed, position: usize, fate: &Fate) {
    let container = &mut seen.containers[position];
    match fate {
        Fate::Fine | Fate::Gone | Fate::Twice(_) => {}
        Fate::Disconnected => container.networks.clear(),
        Fate::OtherNetwork => {
            container.networks.values_mut().for_each(|endpoint| endpoint.network = "gone".into());
        }
        Fate::State(state) => {
            container.state = *state;
            container.exit_code = (*state == ContainerState::Exited).then_some(0);
        }
        Fate::ExitedWith(code) => {
            container.state = ContainerState::Exited;
            container.exit_code = Some(*code);
        }
        Fate::OtherConfig => drop(container.config.insert("env.X".into(), "0".into())),
        Fate::OtherImage => container.image_id = "another".into(),
    }
    let Fate::Twice(Twin { is_named, is_first, named_after, state, is_edited }) = fate else { return };
    let other = named_after.map_or_else(|| format!("{}-twin", container.name), |number| format!("p-s{number}"));
    let mut twin = Container { id: format!("{}-twin", container.id), state: *state, ..container.clone() };
    if *is_edited {
        twin.config.clear();
    }
    let misnamed = if *is_named { container } else { &mut twin };
    // The engine has each name once.
    misnamed.name = other;
    if seen.containers.iter().any(|seen| seen.name == twin.name) {
        twin.name = format!("{}-free", twin.id);
    }
    seen.containers.insert(if *is_first { 0 } else { seen.containers.len() }, twin);
}

const KINDS: [&str; 5] = ["postgres", "redis", "generic", "job", "mailhog"];

/// Services `s0`, `s1`, … that depend on earlier ones only.
fn any_stack() -> impl Strategy<Value = Stack> {
    prop::collection::vec((0..KINDS.len(), any::<[Index; 2]>(), any::<[bool; 3]>(), 0..3_usize), 1..8).prop_map(
        |services| {
            let mut text = String::new();
            for (number, (kind, needs, [ready, volume, same_image], shape)) in services.iter().enumerate() {
                let image = if *same_image { "same:1".to_owned() } else { format!("image{number}:1") };
                writeln!(text, "[services.s{number}]\nkind = \"{}\"\nimage = \"{image}\"", KINDS[*kind]).unwrap();
                if number % 3 == *shape {
                    writeln!(text, "build = \"s{number}\"").unwrap();
                }
                let needs: BTreeSet<usize> = if number == 0 || *shape == 0 {
                    BTreeSet::new()
                } else {
                    needs.iter().map(|index| index.index(number)).collect()
                };
                let condition = if *ready { "ready" } else { "started" };
                let needs: Vec<String> = needs.iter().map(|need| format!("s{need} = \"{condition}\"")).collect();
                writeln!(text, "depends_on = {{ {} }}", needs.join(", ")).unwrap();
                if *volume {
                    let path = if KINDS[*kind] == "postgres" { "/var/lib/postgresql/data" } else { "/data" };
                    writeln!(text, "volumes = [\"v{}:{path}\"]", number % 3).unwrap();
                }
            }
            stack(&text)
        },
    )
}

/// What may have happened to the networks.
#[derive(Debug, Clone)]
enum Happened {
    Nothing,
    Removed,
    Replaced,
    Edited,
}

fn happened() -> impl Strategy<Value = Happened> {
    use Happened as H;
    prop_oneof![3 => Just(H::Nothing), 1 => Just(H::Removed), 1 => Just(H::Replaced), 1 => Just(H::Edited)]
}

/// A stack, and what is seen of it at some moment of its life.
fn any_situation() -> impl Strategy<Value = (Stack, Observed)> {
    any_stack().prop_flat_map(|stack| {
        let fates = prop::collection::vec(fate(), stack.services.len());
        let volumes: Vec<_> = stack.volumes.values().map(|volume| volume.name.clone()).collect();
        let kept = subsequence(volumes.clone(), 0..=volumes.len());
        (Just(stack), fates, kept, happened(), any::<bool>()).prop_map(|(stack, fates, kept, network, orphan)| {
            let mut seen = all_up(&stack);
            let ids: Vec<String> = seen.containers.iter().map(|container| container.id.clone()).collect();
            for (id, fate) in ids.iter().zip(&fates) {
                let position = seen.containers.iter().position(|seen| seen.id == *id).unwrap();
                befall(&mut seen, position, fate);
            }
            let gone = |id: &String| ids.iter().zip(&fates).any(|(of, fate)| of == id && matches!(fate, Fate::Gone));
            seen.containers.retain(|container| !gone(&container.id));
            match network {
                Happened::Nothing => {}
                Happened::Removed => seen.networks.clear(),
                Happened::Replaced => seen.networks.iter_mut().for_each(|network| network.id = "another".into()),
                Happened::Edited => {
                    seen.networks.iter_mut().for_each(|network| network.config = Some("another".into()));
                }
            }
            // As the engine's list comes from `engine::observe`.
            seen.containers.sort_by_key(|seen| (seen.name != format!("p-{}", seen.service), !seen.is_up()));
            if seen.containers.is_empty() {
                seen.volumes.retain(|volume| kept.contains(&volume.name));
            }
            if orphan {
                seen.containers.push(container(&stack, "orphan", ContainerState::Running));
            }
            seen.volumes.push(Volume::named("p-foreign"));
            (stack, seen)
        })
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    (any::<[bool; 6]>(), prop::option::of(any::<Index>())).prop_map(|(flags, pull)| {
        let [no_deps, recreate, restart, build, remove_orphans, _] = flags;
        let pull = pull.map(|index| *index.get(&[crate::model::PullPolicy::Always, crate::model::PullPolicy::Missing]));
        Request { no_deps, recreate, restart, pull, build, remove_orphans, ..request() }
    })
}

/// All steps a step waits for, directly or through others.
fn before(plan: &Plan, id: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut queue = plan.step(id).after.clone();
    while let Some(next) = queue.pop() {
        if found.insert(next) {
            queue.extend(&plan.step(next).after);
        }
    }
    found
}

fn find(plan: &Plan, wanted: impl Fn(&Op) -> bool) -> Option<usize> {
    plan.steps.iter().find(|step| wanted(&step.op)).map(|step| step.id)
}

proptest! {
    #[test]
    fn after_up_there_is_nothing_left_to_do((stack, seen) in any_situation()) {
        let ask = informed(&stack, request());
        let plan = up(&stack, &seen, &ask).unwrap();
        for order in [plan.steps.iter().map(|step| step.id).collect(), last_first(&plan)] {
            let then = in_order(&stack, &seen, &plan, &order);
            let again = up(&stack, &then, &ask).unwrap();
            prop_assert!(again.is_noop(), "first:\n{plan}\nthen:\n{again}");
            for service in stack.services.values().filter(|service| service.active) {
                let count = then.of(&service.name).count();
                prop_assert!(count == 1, "{count} containers of {}\n{plan}", service.name);
            }
        }
    }

    #[test]
    fn renewed_volumes_are_saved_first((stack, seen) in any_situation(), snapshot in any::<bool>()) {
        let snapshot = snapshot.then(|| "auto-1".to_owned());
        let ask = informed(&stack, Request { renew: true, snapshot: snapshot.clone(), ..request() });
        let plan = up(&stack, &seen, &ask).unwrap();
        for step in &plan.steps {
            let Op::RemoveVolume { volume } = &step.op else { continue };
            let place = seen.volumes.iter().find(|seen| seen.name == *volume).and_then(|seen| seen.place.clone());
            let place = place.expect("one without a name");
            let saved = find(&plan, |op| matches!(op, Op::SaveVolume { volume: of, .. } if of == volume));
            prop_assert_eq!(saved.is_some(), snapshot.is_some());
            prop_assert!(saved.is_none_or(|saved| before(&plan, step.id).contains(&saved)));
            let made = find(&plan, |op| matches!(op, Op::Create { service } if *service == place.service)).unwrap();
            prop_assert!(before(&plan, made).contains(&step.id), "{plan}");
        }
        let then = in_order(&stack, &seen, &plan, &last_first(&plan));
        prop_assert!(up(&stack, &then, &informed(&stack, request())).unwrap().is_noop());
    }

    #[test]
    fn an_edited_build_makes_its_containers_anew_and_no_others((stack, seen) in any_situation(), ask in any_request()) {
        let up_to_date = after(&stack, &seen, &up(&stack, &seen, &informed(&stack, request())).unwrap());
        let edited = Request { contents: contents(&stack, "later"), ..request() };
        let plan = up(&stack, &up_to_date, &edited).unwrap();
        for service in stack.services.values() {
            let made = find(&plan, |op| matches!(op, Op::Create { service: name } if *name == service.name));
            let is_built = stack.builder(&service.image).is_some();
            let over = service.kind == Kind::Job && made.is_some();
            prop_assert!(made.is_some() == is_built || over, "{}\n{plan}", service.name);
        }
        // What was not read is no reason to build.
        let plan = up(&stack, &up_to_date, &Request { build: false, ..ask }).unwrap();
        prop_assert!(find(&plan, |op| matches!(op, Op::Build { .. })).is_none(), "{plan}");
    }

    #[test]
    fn frozen_lets_only_pinned_images_run((stack, seen) in any_situation(), ask in any_request()) {
        let pulled = stack.services.values().filter(|service| stack.builder(&service.image).is_none());
        let pins: Pins = pulled.map(|service| (service.image.clone(), format!("{}@sha256:0", service.image))).collect();
        let ask = Request { frozen: Some(pins.clone()), ..informed(&stack, ask) };
        if let Ok(plan) = up(&stack, &seen, &ask) {
            let then = after(&stack, &seen, &plan);
            for (image, pinned) in &pins {
                let wrong = then.images.get(image).is_some_and(|image| !image.digests.contains(pinned));
                prop_assert!(!wrong, "{image}\n{plan}");
            }
        } else {
            let all = Request { pull: Some(crate::model::PullPolicy::Always), ..ask };
            prop_assert!(pins.is_empty() || up(&stack, &seen, &all).is_ok(), "fetching all helps");
        }
    }

    #[test]
    fn a_step_waits_only_for_earlier_ones((stack, seen) in any_situation(), ask in any_request()) {
        let plan = up(&stack, &seen, &ask).unwrap();
        for (position, step) in plan.steps.iter().enumerate() {
            prop_assert_eq!(step.id, position + 1);
            prop_assert!(step.after.iter().all(|other| *other < step.id));
        }
    }

    #[test]
    fn nothing_starts_before_what_it_depends_on((stack, seen) in any_situation(), ask in any_request()) {
        let plan = up(&stack, &seen, &ask).unwrap();
        for (name, service) in &stack.services {
            let Some(start) = find(&plan, |op| matches!(op, Op::Start { service } if service == name)) else { continue };
            let before = before(&plan, start);
            for (dependency, condition) in &service.depends_on {
                let gate = find(&plan, |op| match (op, condition) {
                    (Op::WaitReady { service }, Condition::Ready) => service == dependency,
                    (Op::Start { service }, Condition::Started) => service == dependency,
                    _ => false,
                });
                prop_assert!(gate.is_none_or(|gate| before.contains(&gate)), "{name} before {dependency}\n{plan}");
            }
        }
    }

    #[test]
    fn nothing_stops_before_what_depends_on_it((stack, seen) in any_situation(), ask in any_request()) {
        let ask = Request { services: Vec::new(), ..ask };
        for plan in [up(&stack, &seen, &ask).unwrap(), down(&stack, &seen, &ask)] {
            for name in stack.services.keys() {
                let stop = |wanted: &ServiceName| {
                    find(&plan, |op| matches!(op, Op::Stop { service, .. } if service == wanted))
                };
                let Some(own) = stop(name) else { continue };
                for dependent in graph::dependents(&stack, name) {
                    let earlier = stop(dependent).is_none_or(|other| before(&plan, own).contains(&other));
                    prop_assert!(earlier, "{name} before {dependent}\n{plan}");
                }
            }
        }
    }

    #[test]
    fn no_volume_is_removed_unasked((stack, seen) in any_situation(), ask in any_request()) {
        let removes = |plan: &Plan| find(plan, |op| matches!(op, Op::RemoveVolume { .. })).is_some();
        prop_assert!(up(&stack, &seen, &ask).is_err() || !removes(&up(&stack, &seen, &ask).unwrap()));
        prop_assert!(!removes(&down(&stack, &seen, &ask)));
        let plan = down(&stack, &seen, &Request { volumes: true, ..ask });
        let foreign = find(&plan, |op| matches!(op, Op::RemoveVolume { volume } if volume == "p-foreign"));
        prop_assert!(foreign.is_none());
    }

    #[test]
    fn a_selection_never_touches_other_services(
        (stack, seen) in any_situation(),
        ask in any_request(),
        chosen in any::<Index>(),
    ) {
        let name = stack.services.get_index(chosen.index(stack.services.len())).unwrap().0.clone();
        let ask = Request { services: vec![name.clone()], remove_orphans: false, ..ask };
        let mut allowed: BTreeSet<&ServiceName> = BTreeSet::from([&name]);
        if !ask.no_deps {
            allowed.extend(graph::closure(&stack, [&name]));
        }
        // An edited network is not taken from those that are in it.
        if let Ok(plan) = up(&stack, &seen, &ask) {
            for step in &plan.steps {
                prop_assert!(step.op.service().is_none_or(|service| allowed.contains(service)), "{plan}");
            }
        }
        for step in &down(&stack, &seen, &ask).steps {
            prop_assert!(step.op.service().is_none_or(|service| *service == name));
        }
    }

    #[test]
    fn down_leaves_only_data_and_what_is_not_in_the_file((stack, seen) in any_situation()) {
        let plan = down(&stack, &seen, &request());
        let then = after(&stack, &seen, &plan);
        prop_assert!(then.containers.iter().all(|container| container.service.as_str() == "orphan"));
        prop_assert_eq!(&then.volumes, &seen.volumes);
        prop_assert!(down(&stack, &then, &request()).is_noop());
        let everything = Request { volumes: true, remove_orphans: true, ..request() };
        let then = after(&stack, &seen, &down(&stack, &seen, &everything));
        prop_assert!(then.containers.is_empty() && then.networks.is_empty());
        prop_assert_eq!(then.volumes.len(), 1);
    }

    #[test]
    fn orphans_go_only_when_asked((stack, seen) in any_situation(), ask in any_request()) {
        let plan = up(&stack, &seen, &ask).unwrap();
        let touched = plan.steps.iter().any(|step| step.op.service().is_some_and(|name| name.as_str() == "orphan"));
        let there = seen.containers.iter().any(|container| container.service.as_str() == "orphan");
        prop_assert_eq!(touched, there && ask.remove_orphans);
    }
}

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
    let plan = up(&stack, &seen, &request()).unwrap();
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
    let plan = up(&after, &all_up(&before), &request()).unwrap();
    let causes: Vec<_> = plan.changes().map(|step| (step.op.to_string(), step.cause.to_string())).collect();
    assert_eq!(causes[0], ("stop api".to_owned(), "config changed: env.LOG_LEVEL".to_owned()));
    assert!(plan.changes().all(|step| step.op.service().is_some_and(|name| name.as_str() == "api")), "{plan}");
}

#[test]
fn a_job_runs_again_when_its_database_was_made_anew() {
    let stack = stack(SMALL);
    let seen = all_up(&stack);
    let recreate = Request { recreate: true, services: vec![ServiceName::parse("postgres").unwrap()], ..request() };
    assert!(
        find(
            &up(&stack, &seen, &recreate).unwrap(),
            |op| matches!(op, Op::Start { service } if service.as_str() == "migrate")
        )
        .is_none()
    );
    let mut gone = seen.clone();
    gone.containers.retain(|container| container.service.as_str() != "postgres");
    let plan = up(&stack, &gone, &request()).unwrap();
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
    let refused = up(&stack, &seen, &request()).unwrap_err();
    assert!(refused.to_string().contains("that this stack did not make"), "{refused}");
    assert!(refused.hints[0].contains("external = true"));
}

#[test]
fn a_volume_that_may_be_somebodys_is_looked_into_before_anything_is_removed() {
    let before = stack("[services.a]\nimage = \"a:1\"\n[services.b]\nimage = \"a:1\"\ndepends_on = [\"a\"]\n");
    let seen = all_up(&before);
    let edited =
        "[services.a]\nimage = \"a:1\"\nvolumes = [\"new:/v\"]\n[services.b]\nimage = \"a:1\"\ndepends_on = [\"a\"]\n";
    let edited = stack(edited);
    let blank = Volume { blank: true, ..Volume::named(&edited.volumes["new"].name) };
    let seen = Observed { volumes: vec![blank], ..seen };
    let plan = up(&edited, &seen, &request()).unwrap();
    let made = plan.steps.iter().find(|step| matches!(step.op, Op::CreateVolume { .. })).unwrap();
    assert_eq!(made.cause, Cause::CutOff);
    let stops = plan.steps.iter().filter(|step| matches!(step.op, Op::Stop { .. }));
    let stops: Vec<_> = stops.collect();
    assert!(!stops.is_empty() && stops.iter().all(|stop| stop.after.contains(&made.id)), "{plan}");
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
    assert!(up(&stack, &seen, &request()).unwrap().is_noop(), "up does not see it");
    let plan = down(&stack, &seen, &request()).to_string();
    assert!(plan.contains("stop api") && plan.contains("one-off container p-api-run-1"), "{plan}");
    let network = plan.lines().find(|line| line.contains("remove network")).unwrap().to_owned();
    assert!(network.contains("after 2,"), "the network waits for it: {network}");
    let only_db = Request { services: vec![ServiceName::parse("db").unwrap()], ..request() };
    assert!(!down(&stack, &seen, &only_db).to_string().contains("one-off"), "it is not db's");
}

#[test]
fn a_one_off_container_needs_what_its_service_depends_on_but_not_the_service() {
    let stack = stack(
        "[services.db]\nimage = \"db:1\"\n[services.api]\nimage = \"api:1\"\nvolumes = [\"cache:/c\"]\ndepends_on = [\"db\"]",
    );
    let api = &stack.services["api"];
    let ask = Request { services: api.depends_on.keys().cloned().collect(), ..request() };
    let plan = needed(&stack, &Observed::default(), &ask, api).unwrap().to_string();
    for step in ["pull db:1", "create db", "start db", "wait db", "pull api:1", "create volume p-cache"] {
        assert!(plan.contains(step), "{step} is not in\n{plan}");
    }
    assert!(!plan.contains("create api") && plan.matches("create network").count() == 1, "{plan}");
    let alone = needed(&stack, &Observed::default(), &request(), api).unwrap().to_string();
    assert!(!alone.contains("db") && alone.contains("create network"), "{alone}");
    let mut seen = all_up(&stack);
    seen.containers.retain(|seen| seen.service.as_str() != "api");
    assert!(needed(&stack, &seen, &ask, api).unwrap().is_noop());
}

//! Properties of the planner over random stacks in random states, and the printed plan of a few plain ones.

mod cut_off;
mod examples;
mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::observed::{Container, ContainerState, Endpoint, Image, Network, Volume};
use super::{Cause, Observed, Op, Plan, Request, down, needed, up};
use crate::model::built::{Content, Item};
use crate::model::{Condition, Kind, MountSource, Pins, Place, ServiceName, Stack, fingerprint, graph, nameless};
use crate::resolve::sample::stack;

fn base_request() -> Request {
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
            Op::RemoveVolume { volume, .. } => seen.volumes.retain(|seen| seen.name != *volume),
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
fn informed(stack: &Stack, request: Request) -> Request {
    Request { contents: contents(stack, "now"), ..request }
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
        replica_of: None,
        chosen_ports: BTreeMap::new(),
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
        network_of: None,
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
    after(stack, &nothing, &up(stack, &nothing, &informed(stack, base_request())).unwrap())
}

/// What may have happened to a container since.
#[derive(Debug, Clone)]
enum Decision {
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

fn fate() -> impl Strategy<Value = Decision> {
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
        Just(Decision::Fine),
        Just(Decision::Gone),
        state.prop_map(Decision::State),
        Just(Decision::ExitedWith(1)),
        Just(Decision::OtherConfig),
        Just(Decision::OtherImage),
        Just(Decision::Disconnected),
        Just(Decision::OtherNetwork),
        twin.prop_map(Decision::Twice),
    ]
}

fn befall(seen: &mut Observed, position: usize, fate: &Decision) {
    let container = &mut seen.containers[position];
    match fate {
        Decision::Fine | Decision::Gone | Decision::Twice(_) => {}
        Decision::Disconnected => container.networks.clear(),
        Decision::OtherNetwork => {
            container.networks.values_mut().for_each(|endpoint| endpoint.network = "gone".into());
        }
        Decision::State(state) => {
            container.state = *state;
            container.exit_code = (*state == ContainerState::Exited).then_some(0);
        }
        Decision::ExitedWith(code) => {
            container.state = ContainerState::Exited;
            container.exit_code = Some(*code);
        }
        Decision::OtherConfig => drop(container.config.insert("env.X".into(), "0".into())),
        Decision::OtherImage => container.image_id = "another".into(),
    }
    let Decision::Twice(Twin { is_named, is_first, named_after, state, is_edited }) = fate else { return };
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
            let gone =
                |id: &String| ids.iter().zip(&fates).any(|(of, fate)| of == id && matches!(fate, Decision::Gone));
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

fn any_base_request() -> impl Strategy<Value = Request> {
    (any::<[bool; 6]>(), prop::option::of(any::<Index>())).prop_map(|(flags, pull)| {
        let [no_deps, recreate, restart, build, remove_orphans, _] = flags;
        let pull = pull.map(|index| *index.get(&[crate::model::PullPolicy::Always, crate::model::PullPolicy::Missing]));
        Request { no_deps, recreate, restart, pull, build, remove_orphans, ..base_request() }
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

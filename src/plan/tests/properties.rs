//! What holds for every plan, whatever the stack and the engine look like.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn after_up_there_is_nothing_left_to_do((stack, seen) in any_situation()) {
        let request = informed(&stack, base_request());
        let plan = up(&stack, &seen, &request).unwrap();
        for order in [plan.steps.iter().map(|step| step.id).collect(), last_first(&plan)] {
            let then = in_order(&stack, &seen, &plan, &order);
            let again = up(&stack, &then, &request).unwrap();
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
        let request = informed(&stack, Request { renew: true, snapshot: snapshot.clone(), ..base_request() });
        let plan = up(&stack, &seen, &request).unwrap();
        for step in &plan.steps {
            let Op::RemoveVolume { volume, .. } = &step.op else { continue };
            let place = seen.volumes.iter().find(|seen| seen.name == *volume).and_then(|seen| seen.place.clone());
            let place = place.expect("one without a name");
            let saved = find(&plan, |op| matches!(op, Op::SaveVolume { volume: of, .. } if of == volume));
            prop_assert_eq!(saved.is_some(), snapshot.is_some());
            prop_assert!(saved.is_none_or(|saved| before(&plan, step.id).contains(&saved)));
            let made = find(&plan, |op| matches!(op, Op::Create { service } if *service == place.service)).unwrap();
            prop_assert!(before(&plan, made).contains(&step.id), "{plan}");
        }
        let then = in_order(&stack, &seen, &plan, &last_first(&plan));
        prop_assert!(up(&stack, &then, &informed(&stack, base_request())).unwrap().is_noop());
    }

    #[test]
    fn an_edited_build_makes_its_containers_anew_and_no_others((stack, seen) in any_situation(), request in any_base_request()) {
        let up_to_date = after(&stack, &seen, &up(&stack, &seen, &informed(&stack, base_request())).unwrap());
        let edited = Request { contents: contents(&stack, "later"), ..base_request() };
        let plan = up(&stack, &up_to_date, &edited).unwrap();
        for service in stack.services.values() {
            let made = find(&plan, |op| matches!(op, Op::Create { service: name } if *name == service.name));
            let is_built = stack.builder(&service.image).is_some();
            let over = service.kind == Kind::Job && made.is_some();
            prop_assert!(made.is_some() == is_built || over, "{}\n{plan}", service.name);
        }
        // What was not read is no reason to build.
        let plan = up(&stack, &up_to_date, &Request { build: false, ..request }).unwrap();
        prop_assert!(find(&plan, |op| matches!(op, Op::Build { .. })).is_none(), "{plan}");
    }

    #[test]
    fn frozen_lets_only_pinned_images_run((stack, seen) in any_situation(), request in any_base_request()) {
        let pulled = stack.services.values().filter(|service| stack.builder(&service.image).is_none());
        let pins: Pins = pulled.map(|service| (service.image.clone(), format!("{}@sha256:0", service.image))).collect();
        let request = Request { frozen: Some(pins.clone()), ..informed(&stack, request) };
        if let Ok(plan) = up(&stack, &seen, &request) {
            let then = after(&stack, &seen, &plan);
            for (image, pinned) in &pins {
                let wrong = then.images.get(image).is_some_and(|image| !image.digests.contains(pinned));
                prop_assert!(!wrong, "{image}\n{plan}");
            }
        } else {
            let all = Request { pull: Some(crate::model::PullPolicy::Always), ..request };
            prop_assert!(pins.is_empty() || up(&stack, &seen, &all).is_ok(), "fetching all helps");
        }
    }

    #[test]
    fn a_step_waits_only_for_earlier_ones((stack, seen) in any_situation(), request in any_base_request()) {
        let plan = up(&stack, &seen, &request).unwrap();
        for (position, step) in plan.steps.iter().enumerate() {
            prop_assert_eq!(step.id, position + 1);
            prop_assert!(step.after.iter().all(|other| *other < step.id));
        }
    }

    #[test]
    fn nothing_starts_before_what_it_depends_on((stack, seen) in any_situation(), request in any_base_request()) {
        let plan = up(&stack, &seen, &request).unwrap();
        for (name, service) in &stack.services {
            let Some(start) = find(&plan, |op| matches!(op, Op::Start { service } if service == name)) else { continue };
            let before = before(&plan, start);
            for (dependency, on) in &service.depends_on {
                let gate = find(&plan, |op| match (op, on.condition) {
                    (Op::WaitReady { service }, Condition::Ready) => service == dependency,
                    (Op::Start { service }, Condition::Started) => service == dependency,
                    _ => false,
                });
                prop_assert!(gate.is_none_or(|gate| before.contains(&gate)), "{name} before {dependency}\n{plan}");
            }
        }
    }

    #[test]
    fn nothing_stops_before_what_depends_on_it((stack, seen) in any_situation(), request in any_base_request()) {
        let request = Request { services: Vec::new(), ..request };
        for plan in [up(&stack, &seen, &request).unwrap(), down(&stack, &seen, &request)] {
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
    fn no_volume_is_removed_unasked((stack, seen) in any_situation(), request in any_base_request()) {
        let removes = |plan: &Plan| find(plan, |op| matches!(op, Op::RemoveVolume { .. })).is_some();
        prop_assert!(up(&stack, &seen, &request).is_err() || !removes(&up(&stack, &seen, &request).unwrap()));
        prop_assert!(!removes(&down(&stack, &seen, &request)));
        let plan = down(&stack, &seen, &Request { volumes: true, ..request });
        let foreign = find(&plan, |op| matches!(op, Op::RemoveVolume { volume, .. } if volume == "p-foreign"));
        prop_assert!(foreign.is_none());
    }

    #[test]
    fn a_selection_never_touches_other_services(
        (stack, seen) in any_situation(),
        request in any_base_request(),
        chosen in any::<Index>(),
    ) {
        let name = stack.services.get_index(chosen.index(stack.services.len())).unwrap().0.clone();
        let request = Request { services: vec![name.clone()], remove_orphans: false, ..request };
        let mut allowed: BTreeSet<&ServiceName> = BTreeSet::from([&name]);
        if !request.no_deps {
            allowed.extend(graph::closure(&stack, [&name]));
        }
        // An edited network is not taken from those that are in it.
        if let Ok(plan) = up(&stack, &seen, &request) {
            for step in &plan.steps {
                prop_assert!(step.op.service().is_none_or(|service| allowed.contains(service)), "{plan}");
            }
        }
        for step in &down(&stack, &seen, &request).steps {
            prop_assert!(step.op.service().is_none_or(|service| *service == name));
        }
    }

    #[test]
    fn down_leaves_only_data_and_what_is_not_in_the_file((stack, seen) in any_situation()) {
        let plan = down(&stack, &seen, &base_request());
        let then = after(&stack, &seen, &plan);
        prop_assert!(then.containers.iter().all(|container| container.service.as_str() == "orphan"));
        prop_assert_eq!(&then.volumes, &seen.volumes);
        prop_assert!(down(&stack, &then, &base_request()).is_noop());
        let everything = Request { volumes: true, remove_orphans: true, ..base_request() };
        let then = after(&stack, &seen, &down(&stack, &seen, &everything));
        prop_assert!(then.containers.is_empty() && then.networks.is_empty());
        prop_assert_eq!(then.volumes.len(), 1);
    }

    #[test]
    fn orphans_go_only_when_asked((stack, seen) in any_situation(), request in any_base_request()) {
        let plan = up(&stack, &seen, &request).unwrap();
        let touched = plan.steps.iter().any(|step| step.op.service().is_some_and(|name| name.as_str() == "orphan"));
        let there = seen.containers.iter().any(|container| container.service.as_str() == "orphan");
        prop_assert_eq!(touched, there && request.remove_orphans);
    }
}

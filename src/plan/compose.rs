//! What docker compose has of the same folder: containers that still run, and data in volumes that this stack does not use.

use super::{Note, Observed, Op, Plan};
use crate::model::Stack;

/// What there is to know of it before the stack's first containers are created.
pub(super) fn notes(stack: &Stack, seen: &Observed, plan: &Plan) -> Vec<Note> {
    let Some(project) = &seen.compose else { return Vec::new() };
    let mut found = Vec::new();
    if !project.running.is_empty() {
        let message =
            format!("docker compose still runs {} of this folder: {}", project.name, project.running.join(", "));
        let hint = format!("stop it, and keep its data: docker compose -p {} down", project.name);
        found.push(Note::new(message, hint, None));
    }
    let created = plan.changes().filter_map(|step| match &step.op {
        Op::CreateVolume { volume, .. } => Some(volume),
        _ => None,
    });
    for volume in created {
        let Some((key, declared)) = stack.volumes.iter().find(|(_, declared)| declared.name == *volume) else {
            continue;
        };
        let same = project.volumes.iter().find(|(short, name)| short == key && *name != declared.name);
        if let Some((_, name)) = same {
            let message = format!("docker compose has data in volume {name}; this stack begins with an empty {volume}");
            let hint =
                format!("to use that data, write in services.toml: [volumes.{key}] name = \"{name}\", adopt = true");
            found.push(Note::new(message, hint, None));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::observed::ComposeProject;
    use crate::plan::{Request, up};
    use crate::resolve::sample::stack;

    #[test]
    fn data_of_docker_compose_is_never_silently_left_behind() {
        let text = "[services.db]\nimage = \"db:1\"\nvolumes = [\"data:/data\"]\n";
        let project = ComposeProject {
            name: "proj".into(),
            running: vec!["db".into()],
            volumes: vec![("data".into(), "proj_data".into())],
        };
        let seen = Observed { compose: Some(project), ..Observed::default() };
        let notes = |stack: &Stack| {
            let plan = up(stack, &seen, &Request::default()).unwrap();
            notes(stack, &seen, &plan).into_iter().map(|note| note.hint).collect::<Vec<_>>()
        };
        let said = notes(&stack(text));
        assert_eq!(said[0], "stop it, and keep its data: docker compose -p proj down");
        assert!(said[1].ends_with("[volumes.data] name = \"proj_data\", adopt = true"), "{said:?}");
        let adopted = format!("{text}[volumes.data]\nname = \"proj_data\"\nadopt = true\n");
        assert_eq!(notes(&stack(&adopted)).len(), 1);
    }
}

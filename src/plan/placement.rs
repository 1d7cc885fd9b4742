//! Finds data of a service that is not where services.toml suggests: next to a volume, below it, or in memory.

use std::path::Path;

use super::notes::Note;
use super::{Observed, nameless};
use crate::diag::Place;
use crate::kinds;
use crate::model::nameless::clean;
use crate::model::{Mount, MountSource, Service, Stack, Tmpfs};

/// What services.toml puts at a folder inside.
#[derive(Debug)]
pub(super) enum Over<'a> {
    Mount(&'a Mount),
    Memory(&'a Tmpfs),
}

impl<'a> Over<'a> {
    fn all(service: &'a Service) -> impl Iterator<Item = Self> {
        service.mounts.iter().map(Self::Mount).chain(service.tmpfs.iter().map(Self::Memory))
    }

    /// The nearest at a folder or above it.
    fn nearest(service: &'a Service, folder: &str) -> Option<Self> {
        Self::all(service).filter(|over| is_in(folder, &over.at())).max_by_key(|over| over.at().len())
    }

    fn at(&self) -> String {
        clean(match self {
            Self::Mount(mount) => &mount.target,
            Self::Memory(tmpfs) => &tmpfs.target,
        })
    }

    /// It keeps what is written there when the container is removed.
    fn keeps(&self) -> bool {
        matches!(self, Self::Mount(mount) if !mount.read_only && mount.source != MountSource::Anonymous)
    }

    /// `volume p_data`, `./data`.
    fn words(&self, stack: &Stack) -> String {
        match self {
            Self::Memory(_) => "the memory file system".into(),
            Self::Mount(mount) => match &mount.source {
                MountSource::Volume(short) => format!("volume {}", stack.volumes[short].name),
                MountSource::Bind(path) | MountSource::View { of: path, .. } => path.display().to_string(),
                MountSource::Anonymous => "an anonymous volume".into(),
                MountSource::Image(image) => format!("image {image}"),
            },
        }
    }

    /// The same with another folder inside, as services.toml has it.
    fn moved(&self, stack: &Stack, target: &str) -> String {
        match self {
            Self::Memory(_) => format!("tmpfs = \"{target}\""),
            Self::Mount(mount) => {
                let source = match &mount.source {
                    MountSource::Volume(short) => format!("{short}:"),
                    MountSource::Bind(path) | MountSource::View { of: path, .. } => {
                        let inside = path.strip_prefix(&stack.root).map(|path| format!("./{}:", path.display()));
                        inside.unwrap_or_else(|_| format!("{}:", path.display()))
                    }
                    MountSource::Anonymous | MountSource::Image(_) => String::new(),
                };
                format!("volumes = [\"{source}{target}\"]")
            }
        }
    }

    fn place(&self, service: &'a Service) -> Option<&'a Place> {
        match self {
            Self::Mount(mount) => mount.place.as_ref(),
            Self::Memory(_) => service.place.as_ref(),
        }
    }
}

/// Whether a path is a folder or is inside it; both are normalised.
fn is_in(path: &str, folder: &str) -> bool {
    Path::new(path).starts_with(folder)
}

/// What is mounted above a folder that has a volume of its own, and seems to hold it: a named volume; what else there is,
/// where the folder has the service's data. A path of the host with a folder in it that has a volume is usual otherwise
/// (`/app` and `/app/node_modules`).
pub(super) fn above<'a>(service: &'a Service, target: &str, data: Option<&str>) -> Option<Over<'a>> {
    let over = Over::all(service).filter(|over| over.at() != target && is_in(target, &over.at()));
    let nearest = over.max_by_key(|over| over.at().len())?;
    let has_data = data.is_some_and(|data| {
        is_in(data, target) && Over::nearest(service, data).is_none_or(|holder| holder.at() == nearest.at())
    });
    match nearest {
        Over::Mount(mount) if matches!(mount.source, MountSource::Volume(_)) => !mount.read_only,
        Over::Mount(_) => nearest.keeps() && has_data,
        Over::Memory(_) => has_data,
    }
    .then_some(nearest)
}

/// The image keeps a folder out of what is mounted above it.
pub(super) fn beside(
    stack: &Stack,
    seen: &Observed,
    service: &Service,
    over: &Over<'_>,
    target: &str,
    data: Option<&str>,
) -> Note {
    let name = &service.name;
    let message = format!(
        "{name}: {target} is not in {}, which is mounted at {}: the image keeps it in an anonymous volume",
        over.words(stack),
        over.at()
    );
    let mut hint = format!("mount it there: {} in [services.{name}]", over.moved(stack, target));
    if nameless::of(seen, service).any(|volume| volume.place.as_ref().is_some_and(|place| place.target == target)) {
        hint.push_str("; it starts empty: save the existing data first");
        if data == Some(target) {
            hint.push_str(", with `taskava dev backup`");
        }
    }
    Note::new(message, hint, over.place(service))
}

/// The data of a service is not in what seems to be there for it. `nameless`: folders with a volume without a name.
pub(super) fn misplaced(stack: &Stack, service: &Service, nameless: &[String], data: &str) -> Option<Note> {
    let name = &service.name;
    let own = nameless.iter().filter(|target| is_in(data, target)).max_by_key(|target| target.len());
    let holder = Over::nearest(service, data).filter(|holder| own.is_none_or(|own| holder.at().len() >= own.len()));
    if let Some(memory @ Over::Memory(tmpfs)) = &holder {
        // Memory alone is what was asked for.
        let covered = Over::all(service).filter(|over| over.keeps() && is_in(data, &over.at()));
        let covered = covered.max_by_key(|over| over.at().len())?;
        let message = format!(
            "{name} keeps its data in memory, at {}, and not in {}, which is mounted at {}: stopping it loses that",
            memory.at(),
            covered.words(stack),
            covered.at()
        );
        let hint = format!("remove `{}` from `tmpfs` of [services.{name}]", tmpfs.target);
        return Some(Note::new(message, hint, covered.place(service)));
    }
    if holder.as_ref().is_some_and(Over::keeps) {
        return None;
    }
    let within = |over: &Over<'_>| matches!(over, Over::Mount(mount) if matches!(mount.source, MountSource::Volume(_)));
    let below = Over::all(service).find(|over| within(over) && over.keeps() && is_in(&over.at(), data));
    let below = below.filter(|_| kinds::is_one_database(service.kind));
    match (below, own) {
        (Some(below), own) => {
            let message = format!(
                "{name}: {} has only {}; the rest of its data, at {data}, is in {}",
                below.words(stack),
                below.at(),
                if own.is_some() { "a volume of its own" } else { "its container: recreating that loses it" }
            );
            let hint = format!("mount it there: {} in [services.{name}]", below.moved(stack, data));
            Some(Note::new(message, hint, below.place(service)))
        }
        (None, None) if holder.is_none() => {
            let message = format!("{name} keeps its data in its container, at {data}: recreating that loses it");
            let hint = format!("add to [services.{name}]: volumes = [\"{name}-data:{data}\"]");
            Some(Note::new(message, hint, service.place.as_ref()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::plan::observed::Image;
    use crate::plan::{Plan, Request, notes};
    use crate::resolve::sample::stack;

    /// What is said of a service `a`. `image`: its environment and volumes, where it is there.
    fn said(text: &str, image: Option<(&[&str], &[&str])>) -> Vec<String> {
        let stack = stack(&format!("[services.a]\n{text}\n"));
        let strings = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let image = image.map(|(env, volumes)| Image {
            id: "id".into(),
            architecture: "amd64".into(),
            healthcheck: None,
            exposed: Vec::new(),
            volumes: strings(volumes),
            env: strings(env),
            build: None,
            digests: Vec::new(),
        });
        let images: BTreeMap<_, _> =
            image.into_iter().map(|image| (stack.services["a"].image.clone(), image)).collect();
        let seen = Observed { images, ..Observed::default() };
        notes(&stack, &seen, &Request::default(), &Plan::default()).into_iter().map(|note| note.message).collect()
    }

    #[track_caller]
    fn says(text: &str, image: Option<(&[&str], &[&str])>, words: &str) {
        let said = said(text, image);
        assert!(said.len() == 1 && said[0].contains(words), "{text}\n{said:?}\n{words}");
    }

    const BESIDE: &str = "the image keeps it in an anonymous volume";

    #[test]
    fn check_knows_the_data_of_every_kind_that_has_some() {
        for (kind, path) in
            [("postgres", "/var/lib/postgresql/data"), ("redis", "/data"), ("localstack", "/var/lib/localstack")]
        {
            let at = |target: &str| format!("kind = \"{kind}\"\nvolumes = [\"v:{target}\"]");
            assert!(said(&at(path), None).is_empty(), "{kind}");
            assert!(said(&at(&format!("{path}/")), None).is_empty(), "{kind}");
            assert!(said(&format!("kind = \"{kind}\""), None).is_empty(), "{kind}: it has an anonymous volume");
            if let Some(above) = path.rsplit_once('/').map(|(above, _)| above).filter(|above| !above.is_empty()) {
                says(&at(above), None, BESIDE);
                says(&format!("kind = \"{kind}\"\nvolumes = [\"./v:{above}\"]"), None, BESIDE);
                says(&format!("kind = \"{kind}\"\ntmpfs = \"{above}\""), None, "is not in the memory file system");
            }
        }
        let ministack = "kind = \"ministack\"\nenv = { PERSIST_STATE = \"1\", STATE_DIR = \"/state/now\" }\n";
        says(ministack, None, "keeps its data in its container, at /state/now");
        assert!(said(&format!("{ministack}volumes = [\"v:/state\"]"), None).is_empty());
        assert!(said("kind = \"ministack\"", None).is_empty());
    }

    #[test]
    fn the_variables_of_an_image_say_where_data_is() {
        let postgres = |line: &str| format!("kind = \"postgres\"\nimage = \"own\"\n{line}");
        let own: Option<(&[&str], &[&str])> = Some((&["PGDATA=/srv/pg/data"], &[]));
        says(&postgres(""), own, "keeps its data in its container, at /srv/pg/data");
        says(&postgres("volumes = [\"v:/var/lib/postgresql/data\"]"), own, "in its container, at /srv/pg/data");
        assert!(said(&postgres("volumes = [\"v:/srv/pg\"]"), own).is_empty());
        let declared: Option<(&[&str], &[&str])> = Some((&["PGDATA=/srv/pg/data"], &["/srv/pg/data"]));
        says(&postgres("volumes = [\"v:/srv/pg\"]"), declared, BESIDE);
        says(&postgres("volumes = [\"./v:/srv\"]"), declared, BESIDE);
        assert!(said(&postgres("volumes = [\"v:/srv/pg/data\"]"), declared).is_empty());
        let env = "env = { PGDATA = \"/mine\" }\nvolumes = [\"v:/mine\"]";
        assert!(said(&postgres(env), own).is_empty(), "services.toml counts before the image");
        let ministack: Option<(&[&str], &[&str])> = Some((&["STATE_DIR=/state", "PERSIST_STATE=1"], &[]));
        says("kind = \"ministack\"\nimage = \"own\"", ministack, "in its container, at /state");
    }

    #[test]
    fn other_placements_than_a_volume_above() {
        let redis = |line: &str| format!("kind = \"redis\"\n{line}");
        says(
            &redis("volumes = [\"v:/data/db\"]"),
            None,
            "has only /data/db; the rest of its data, at /data, is in a volume",
        );
        let postgres = "kind = \"postgres\"\nimage = \"postgres:15\"\n";
        let memory = "volumes = [\"v:/var/lib/postgresql\"]\ntmpfs = \"/var/lib/postgresql/data:size=64m\"";
        says(&format!("{postgres}{memory}"), None, "in memory, at /var/lib/postgresql/data, and not in volume p-v");
        for right in [
            "tmpfs = \"/var/lib/postgresql/data\"",
            "volumes = [\"v:/var/lib/postgresql/data\", \"wal:/var/lib/postgresql/data/pg_wal\"]",
            "volumes = [\"./conf:/var/lib/postgresql/data/conf.d\"]",
            "volumes = [\"v:/var/lib/postgresql/data\", \"up:/var/lib/postgresql/backup\"]",
            "volumes = [\"./certs:/var/lib/postgresql/certs:ro\"]",
        ] {
            assert!(said(&format!("{postgres}{right}"), None).is_empty(), "{right}");
        }
        assert!(said("kind = \"localstack\"\nvolumes = [\"v:/var/lib/localstack/cache\"]", None).is_empty());
        let newer = "kind = \"postgres\"\nimage = \"postgres:18\"\n";
        assert!(said(&format!("{newer}volumes = [\"v:/var/lib/postgresql\"]"), None).is_empty());
        says(&format!("{newer}volumes = [\"v:/var/lib\"]"), None, BESIDE);
        let app = "image = \"own\"\nvolumes = [\"./src:/app\"]";
        assert!(said(app, Some((&[], &["/app/node_modules"]))).is_empty(), "usual for an application");
    }
}

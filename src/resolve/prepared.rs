//! A stack whose servers start with prepared data: schema and seed are created once, and each test run starts from
//! them. Decides for which services this is possible, and derives their settings. No I/O: creating and finding the
//! images is up to `isolated::prepared`.
//!
//! Data in a volume can't be part of an image. So it is moved to a folder outside of every volume, so that a stopped
//! container can be committed to an image that includes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::kinds;
use crate::model::{Kind, Mount, MountSource, PullPolicy, Service, ServiceName, Stack, graph};

/// Where the data of a prepared server is.
pub const INSIDE: &str = "/taskava-data";

/// What is prepared of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Servers whose data is in the image.
    pub servers: BTreeSet<ServiceName>,
    /// Jobs whose work is in that data.
    pub jobs: BTreeSet<ServiceName>,
}

impl Selection {
    /// Both.
    pub fn all(&self) -> impl Iterator<Item = &ServiceName> {
        self.servers.iter().chain(&self.jobs)
    }
}

/// What can be prepared, of the services asked for (none named: of all active ones) and what they need.
///
/// A job is in it when it works on nothing but prepared servers: what it does elsewhere, and for services that keep it in
/// memory, has to be done in each run.
pub fn select(stack: &Stack, services: &[ServiceName]) -> Selection {
    let active = stack.services.values().filter(|service| service.active).map(|service| &service.name);
    let wanted = if services.is_empty() { graph::closure(stack, active) } else { graph::closure(stack, services) };
    let mut chosen = Selection::default();
    for service in wanted.iter().map(|name| &stack.services[*name]) {
        let inside = service.depends_on.keys().all(|name| chosen.all().any(|other| other == name));
        if service.kind == Kind::Job && inside && !service.depends_on.is_empty() && keeps_to_itself(service) {
            chosen.jobs.insert(service.name.clone());
        } else if is_movable(stack, service) {
            chosen.servers.insert(service.name.clone());
        }
    }
    // A server that starts empty and at once gains nothing, unless a job puts something in.
    let used: BTreeSet<&ServiceName> = chosen.jobs.iter().flat_map(|name| graph::closure(stack, [name])).collect();
    let worth = |name: &ServiceName| stack.services[name].kind == Kind::Postgres || used.contains(name);
    chosen.servers.retain(worth);
    chosen
}

/// Whether nothing of what a job does stays outside of the servers it works on.
fn keeps_to_itself(job: &Service) -> bool {
    job.options.volumes_from.is_empty()
        && job.mounts.iter().all(|mount| mount.read_only || mount.source == MountSource::Anonymous)
}

/// Whether a server's data can be moved out of its volumes.
fn is_movable(stack: &Stack, service: &Service) -> bool {
    let own = service.entrypoint.is_none() && service.user.is_none() && service.depends_on.is_empty();
    let shared = |mount: &&Mount| match &mount.source {
        MountSource::Bind(_) | MountSource::View { .. } => !mount.read_only,
        MountSource::Volume(short) => {
            let of_it = |other: &Mount| other.source == MountSource::Volume(short.clone());
            stack.services.values().any(|other| other.name != service.name && other.mounts.iter().any(of_it))
        }
        MountSource::Anonymous | MountSource::Image(_) => false,
    };
    own && kinds::is_movable(service) && !data_mounts(service).any(|mount| shared(&mount))
}

/// The mounts that hold a server's data.
fn data_mounts(service: &Service) -> impl Iterator<Item = &Mount> {
    let path = kinds::data_path(service).unwrap_or_default();
    service.mounts.iter().filter(move |mount| std::path::Path::new(&path).starts_with(&mount.target))
}

/// The stack in which the data is made: servers whose data is where it can be saved.
pub fn fresh(stack: &Stack, chosen: &Selection) -> Stack {
    let mut stack = stack.clone();
    for name in &chosen.servers {
        move_data(&mut stack.services[name]);
    }
    stack
}

/// The stack that begins with the data: servers from their images, and without the jobs whose work is in there.
pub fn fork(stack: &Stack, chosen: &Selection, images: &BTreeMap<ServiceName, String>) -> Stack {
    let mut stack = fresh(stack, chosen);
    for (name, image) in images {
        let service = &mut stack.services[name];
        service.image.clone_from(image);
        (service.build, service.pull) = (None, PullPolicy::Never);
    }
    stack.services.retain(|name, _| !chosen.jobs.contains(name));
    for service in stack.services.values_mut() {
        let gone: Vec<ServiceName> =
            service.depends_on.keys().filter(|name| chosen.jobs.contains(*name)).cloned().collect();
        for name in gone {
            service.depends_on.shift_remove(&name);
        }
    }
    stack
}

fn move_data(service: &mut Service) {
    let held: Vec<Mount> = data_mounts(service).cloned().collect();
    service.mounts.retain(|mount| !held.contains(mount));
    kinds::move_data(service, INSIDE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::sample::stack;

    const SERVERS: &str = r#"
        [services.db]
        kind = "postgres"
        env = { POSTGRES_PASSWORD = "x" }
        volumes = ["data:/var/lib/postgresql/data"]
        [services.cache]
        kind = "redis"
        volumes = ["cache:/data"]
        [services.aws]
        kind = "localstack"
        image = "localstack:4"
        [services.migrate]
        kind = "job"
        image = "migrate:1"
        depends_on = ["db"]
    "#;

    fn selected(text: &str) -> (Vec<String>, Vec<String>) {
        let chosen = select(&stack(text), &[]);
        let names = |set: &BTreeSet<ServiceName>| set.iter().map(ToString::to_string).collect();
        (names(&chosen.servers), names(&chosen.jobs))
    }

    #[test]
    fn jobs_on_prepared_servers_alone_are_in_it() {
        let is = |text: &str, servers: &[&str], jobs: &[&str]| {
            let (found_servers, found_jobs) = selected(&format!("{SERVERS}{text}"));
            assert_eq!(
                (found_servers, found_jobs),
                (servers.iter().map(ToString::to_string).collect(), jobs.iter().map(ToString::to_string).collect()),
                "{text}"
            );
        };
        is("", &["db"], &["migrate"]);
        let job = |line: &str| format!("[services.seed]\nkind = \"job\"\nimage = \"seed:1\"\n{line}\n");
        is(&job("depends_on = [\"migrate\", \"cache\"]"), &["cache", "db"], &["migrate", "seed"]);
        is(&job("depends_on = [\"migrate\", \"aws\"]"), &["db"], &["migrate"]);
        is(&job("depends_on = [\"migrate\"]\nvolumes = [\"out:/out\"]"), &["db"], &["migrate"]);
        is(&job("depends_on = [\"migrate\"]\nvolumes = [\"out:/out:ro\"]"), &["db"], &["migrate", "seed"]);
        is(&job(""), &["db"], &["migrate"]);
    }

    #[test]
    fn data_that_cant_be_moved_stays_where_it_is() {
        for line in [
            "user = 1000",
            "entrypoint = [\"x\"]",
            "command = [\"postgres\", \"-D\", \"/x\"]",
            "command = [\"postgres\", \"-c\", \"data_directory=/x\"]",
            "env = { POSTGRES_PASSWORD = \"x\", POSTGRES_INITDB_WALDIR = \"/wal\" }",
        ] {
            let text = format!("[services.db]\nkind = \"postgres\"\n{line}\n");
            assert_eq!(selected(&text), (vec![], vec![]), "{line}");
        }
        let shared = format!("{SERVERS}[services.backup]\nimage = \"b:1\"\nvolumes = [\"data:/in:ro\"]\n");
        assert_eq!(selected(&shared), (vec![], vec![]));
    }

    #[test]
    fn a_fork_has_its_data_in_the_image_and_no_jobs() {
        let stack = stack(&format!("{SERVERS}[services.api]\nimage = \"a:1\"\ndepends_on = [\"migrate\", \"db\"]\n"));
        let chosen = select(&stack, &[]);
        let name = |text: &str| ServiceName::parse(text).unwrap();
        let fork = fork(&stack, &chosen, &BTreeMap::from([(name("db"), "prepared:1".into())]));
        let db = &fork.services["db"];
        assert_eq!((db.image.as_str(), db.env["PGDATA"].value.as_str()), ("prepared:1", "/taskava-data"));
        assert!(db.mounts.is_empty() && !fork.services.contains_key("migrate"));
        assert_eq!(fork.services["api"].depends_on.keys().collect::<Vec<_>>(), [&name("db")]);
        assert_eq!(fork.services["cache"], stack.services["cache"], "a cache without a job is as it was");
    }
}

//! A stack as described by its labels and containers, for commands without a usable services.toml: it was deleted, has
//! a mistake, or is in another folder. `engine::remains` reads them; a services.toml is generated from the result, and
//! `config` and `model` parse it like any other.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use toml::{Table, Value};

use crate::config::{self, Variables};
use crate::diag::Source;
use crate::model::{Protocol, Replica, ServiceName, Stack, StackName};
use crate::resolve::{ResolveContext, resolve};

/// What there is of a stack on an engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// Its services' containers, the newest first.
    pub containers: Vec<Made>,
    /// Volumes with its label, by name on the engine.
    pub volumes: BTreeSet<String>,
    /// Networks with its label, by name on the engine.
    pub networks: BTreeSet<String>,
    /// The folders that all of these were made from, from their labels; that of the newest container first.
    pub roots: Vec<PathBuf>,
}

/// A service's container, as far as it tells what services.toml said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// From its label.
    pub service: ServiceName,
    /// Of a further container of a service that has several: the service, from its label.
    pub replica_of: Option<ServiceName>,
    /// From its label: `postgres`.
    pub kind: String,
    /// Services that it depends on, from its label; empty on containers of older versions.
    pub depends_on: Vec<String>,
    /// Reference it was made from.
    pub image: String,
    /// Its command, the image's own where that is used.
    pub command: Vec<String>,
    /// The same of its entrypoint.
    pub entrypoint: Vec<String>,
    /// Its environment with that of the image, `NAME=value`.
    pub env: Vec<String>,
    /// What it publishes.
    pub ports: Vec<Published>,
    /// What is mounted: a volume's name or a path of the host, and where inside. Nameless volumes are left out.
    pub mounts: Vec<(String, String)>,
    /// Its networks, by name on the engine.
    pub networks: Vec<String>,
    /// Signal that asks it to stop; none = the image's.
    pub stop_signal: Option<String>,
    /// Seconds that it has to stop by itself; none on containers of older versions.
    pub stop_timeout: Option<i64>,
    /// Created at, as the engine says it (RFC 3339).
    pub created: String,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Host address it is bound to.
    pub address: IpAddr,
    /// Host port; none = the engine chose it.
    pub host: Option<u16>,
    /// Port inside.
    pub container: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A stack on an engine, in a list of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remnant {
    /// Its name.
    pub name: String,
    /// The folders that it was made from.
    pub roots: BTreeSet<PathBuf>,
}

impl Remains {
    /// Whether there is nothing of it.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.volumes.is_empty() && self.networks.is_empty()
    }

    /// The stack of this name and folder. What does not depend on services.toml is as it was there; readiness, for
    /// instance, is asked as the kind has it.
    pub fn stack(&self, name: &StackName, root: PathBuf) -> Stack {
        let mut services: IndexMap<&str, Table> = IndexMap::new();
        // The newest is the service's; each older one would be a second container of it.
        for made in &self.containers {
            services.entry(made.service.as_str()).or_insert_with(|| self.service(name, made));
        }
        // In an order that does not change from call to call.
        services.sort_unstable_keys();
        let volumes = self.containers.iter().flat_map(|made| &made.mounts).map(|(source, _)| source);
        let volumes = volumes.filter(|source| !source.starts_with('/')).chain(&self.volumes);
        let networks = self.containers.iter().flat_map(|made| &made.networks).chain(&self.networks);
        let services = services.into_iter().map(|(name, table)| (name.to_owned(), table.into()));
        let text = Table::from_iter([
            ("services".to_owned(), services.collect::<Table>().into()),
            ("volumes".to_owned(), declared(name, volumes, &self.volumes)),
            ("networks".to_owned(), declared(name, networks, &self.networks)),
        ]);
        let text = toml::to_string(&text).unwrap_or_default();
        let source = Arc::new(Source { name: "labels".into(), text });
        // What an engine has can't be refused; what is odd about it is left out.
        let (config, mut odd) = config::parse(&[source], &Variables::default());
        let around = ResolveContext { root, project: Some(name.to_string()), ..ResolveContext::default() };
        let mut stack = resolve(&config, &around, &mut odd).stack;
        for made in &self.containers {
            if let Some(service) = stack.services.get_mut(&made.service) {
                service.replica = made.replica_of.as_ref().and_then(|of| Replica::named(&made.service, of));
            }
        }
        stack
    }

    fn service(&self, stack: &StackName, made: &Made) -> Table {
        let mut table = Table::new();
        let mut put = |key: &str, value: Value| drop(table.insert(key.into(), value));
        let list = |words: &[String]| words.iter().map(|word| text(word)).collect::<Vec<_>>().into();
        put("kind", text(&made.kind));
        put("image", text(&made.image));
        if !made.command.is_empty() {
            put("command", list(&made.command));
        }
        if !made.entrypoint.is_empty() {
            put("entrypoint", list(&made.entrypoint));
        }
        let env = made.env.iter().filter_map(|line| line.split_once('='));
        put("env", env.map(|(name, value)| (name.to_owned(), text(value))).collect::<Table>().into());
        put("ports", made.ports.iter().map(port).collect::<Vec<_>>().into());
        let mounts = made.mounts.iter().map(|(source, target)| {
            let source = if source.starts_with('/') { source } else { short(stack, source) };
            Value::from(Table::from_iter([("source".into(), text(source)), ("target".into(), text(target))]))
        });
        put("volumes", mounts.collect::<Vec<_>>().into());
        put("networks", made.networks.iter().map(|name| text(short(stack, name))).collect::<Vec<_>>().into());
        let known = |name: &&String| self.containers.iter().any(|other| other.service.as_str() == name.as_str());
        let depends_on = made.depends_on.iter().filter(known);
        put("depends_on", depends_on.map(|name| (name.clone(), "ready".into())).collect::<Table>().into());
        if let Some(signal) = &made.stop_signal {
            put("stop_signal", text(signal));
        }
        if let Some(seconds) = made.stop_timeout.filter(|seconds| *seconds >= 0) {
            put("stop_timeout", format!("{seconds}s").into());
        }
        table
    }
}

/// A dollar sign is written twice, or it would be taken for a variable.
fn text(value: &str) -> Value {
    value.replace('$', "$$").into()
}

fn port(port: &Published) -> Value {
    let mut table = Table::from_iter([
        ("address".to_owned(), port.address.to_string().into()),
        ("container".to_owned(), i64::from(port.container).into()),
        ("protocol".to_owned(), port.protocol.as_str().into()),
    ]);
    table.extend(port.host.map(|host| ("host".to_owned(), i64::from(host).into())));
    table.into()
}

/// The name that services.toml most likely has for what is called so on the engine.
fn short<'a>(stack: &StackName, name: &'a str) -> &'a str {
    let short = name.strip_prefix(stack.as_str()).and_then(|rest| rest.strip_prefix('-'));
    short.filter(|short| !short.is_empty()).unwrap_or(name)
}

/// `[volumes]` or `[networks]`: those without the stack's label belong to another stack.
fn declared<'a>(stack: &StackName, names: impl Iterator<Item = &'a String>, own: &BTreeSet<String>) -> Value {
    let one = |name: &String| {
        let table = [("name".to_owned(), text(name)), ("external".to_owned(), (!own.contains(name)).into())];
        (short(stack, name).to_owned(), Value::from(Table::from_iter(table)))
    };
    names.map(one).collect::<Table>().into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Kind, MountSource, graph};
    use crate::plan::observed::{Network, Volume};
    use crate::plan::{Observed, Request, removable_volumes};

    fn made(service: &str) -> Made {
        Made {
            replica_of: None,
            service: ServiceName::parse(service).unwrap(),
            kind: "generic".into(),
            depends_on: Vec::new(),
            image: "sha256:0123".into(),
            command: Vec::new(),
            entrypoint: Vec::new(),
            env: Vec::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
            networks: vec!["shop-default".into()],
            stop_signal: None,
            stop_timeout: None,
            created: String::new(),
        }
    }

    fn shop(containers: Vec<Made>) -> (Remains, Stack) {
        let remains = Remains {
            containers,
            volumes: BTreeSet::from(["shop-data".into(), "renamed".into()]),
            networks: BTreeSet::from(["shop-default".into(), "shop-back".into()]),
            roots: Vec::new(),
        };
        let stack = remains.stack(&StackName::parse("shop").unwrap(), "/home/me/shop".into());
        (remains, stack)
    }

    #[test]
    fn what_containers_say_becomes_services() {
        let db = Made {
            kind: "postgres".into(),
            env: vec!["POSTGRES_PASSWORD=a$b${C}\n'\"".into(), "PATH=/bin".into()],
            ports: vec![Published {
                address: "127.0.0.1".parse().unwrap(),
                host: Some(5433),
                container: 5432,
                protocol: Protocol::Tcp,
            }],
            mounts: vec![
                ("shop-data".into(), "/var/lib/postgresql/data".into()),
                ("elsewhere".into(), "/x".into()),
                ("/home/me/shop/a:b".into(), "/y".into()),
            ],
            stop_timeout: Some(7),
            stop_signal: Some("SIGINT".into()),
            ..made("db")
        };
        let api = Made { depends_on: vec!["db".into(), "gone".into()], ..made("api") };
        let older = Made { kind: "job".into(), ..made("api") };
        let (_, stack) = shop(vec![api, older, db]);
        assert_eq!(graph::order(&stack).iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["db", "api"]);
        let db = &stack.services["db"];
        assert_eq!((db.kind, db.stop_timeout), (Kind::Postgres, Duration::from_secs(7)));
        assert_eq!((db.stop_signal.as_deref(), db.ports[0].host), (Some("SIGINT"), Some(5433)));
        assert_eq!(db.env["POSTGRES_PASSWORD"].value, "a$b${C}\n'\"");
        assert!(db.env["POSTGRES_PASSWORD"].secret);
        assert_eq!(stack.services["api"].kind, Kind::Generic, "the newest counts");
        let sources: Vec<_> = db.mounts.iter().map(|mount| mount.source.clone()).collect();
        assert_eq!(sources[2], MountSource::Bind("/home/me/shop/a:b".into()));
        let external = |name: &str| stack.volume(name).map(|volume| volume.external);
        assert_eq!([external("shop-data"), external("elsewhere")], [Some(false), Some(true)]);
    }

    #[test]
    fn volumes_are_the_stacks_own_by_label_and_by_service() {
        let db = Made { mounts: vec![("renamed".into(), "/data".into())], ..made("db") };
        let (remains, stack) = shop(vec![db]);
        let volume = |name: &String| Volume { stack: Some("shop".into()), ..Volume::named(name) };
        let seen = Observed { volumes: remains.volumes.iter().map(volume).collect(), ..Observed::default() };
        let of = |services: &[&str]| {
            let services = services.iter().map(|name| ServiceName::parse(name).unwrap()).collect();
            removable_volumes(&stack, &seen, &Request { services, volumes: true, ..Request::default() })
        };
        assert_eq!(of(&[]), BTreeSet::from(["renamed".into(), "shop-data".into()]));
        assert_eq!(of(&["db"]), BTreeSet::from(["renamed".into()]));
    }

    #[test]
    fn nothing_that_an_engine_says_makes_it_panic() {
        let odd = Made {
            kind: "of the future".into(),
            image: String::new(),
            command: vec![String::new(), "\u{0}".into()],
            env: vec!["novalue".into(), "=x".into(), " =".into()],
            mounts: vec![("../up".into(), "relative".into()), (String::new(), String::new())],
            networks: vec!["somebody's".into(), "host".into()],
            stop_signal: Some("SIGNONE".into()),
            stop_timeout: Some(-1),
            depends_on: vec!["odd".into()],
            ..made("odd")
        };
        let (_, stack) = shop(vec![odd]);
        let networks = [Network {
            name: "shop-default".into(),
            id: "1".into(),
            stack: Some("shop".into()),
            config: None,
            others: Vec::new(),
        }];
        let seen = Observed { networks: networks.into(), ..Observed::default() };
        let plan = crate::plan::down(&stack, &seen, &Request { volumes: true, ..Request::default() });
        assert_eq!(plan.steps.len(), 1);
        for name in &stack.services["odd"].networks {
            assert!(stack.networks.contains_key(name), "{name}");
        }
    }
}

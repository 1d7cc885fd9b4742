//! A stack of one test run: the same services under a name of their own, sharing nothing with the developer's stack.
//!
//! Only a change of data: who makes such stacks and removes them is `run::isolated`.

use serde::{Deserialize, Serialize};

use super::subnet::Subnet;
use super::{Kind, Mount, MountSource, Network, Port, Probe, Protocol, Service, ServiceName, Stack, StackName, graph};
use crate::kinds;

/// What names of isolated stacks begin with. Only stacks named so are ever removed without being asked for by name.
pub const PREFIX: &str = "taskava-t-";

/// Who made an isolated stack and until when it may stay. Written on everything it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The process that uses it.
    pub owner: Owner,
    /// When it may be removed even if nothing is known of its owner: seconds since 1970.
    pub expires: i64,
    /// Where its networks' addresses are taken from.
    pub pools: Vec<Subnet>,
}

/// A process, so that nobody takes another one of the same number for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The machine.
    pub host: String,
    /// Its present run: changes when it is restarted.
    pub boot: String,
    /// Where the number counts: containers have numbers of their own.
    pub space: String,
    /// Number.
    pub pid: u32,
    /// When it was started, in the system's own words.
    pub started: String,
}

/// How an isolated stack is made from one.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Only these services and what they need; empty = all active ones.
    pub services: Vec<ServiceName>,
    /// Who makes it; none when it is only looked at.
    pub isolation: Option<Isolation>,
    /// The engine's own network, for services none of which calls another.
    pub common_network: Option<String>,
}

/// Whether a stack of this name is an isolated one.
pub fn is_name(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The isolated stack of this name that is made from a stack.
///
/// Host ports are the engine's choice, volumes and networks its own, even those that the stack shares with others.
/// Images stay: what was built once is not built again for each run.
#[must_use]
pub fn isolate(mut stack: Stack, name: StackName, plan: Plan) -> Stack {
    for (short, volume) in &mut stack.volumes {
        volume.name = format!("{name}-{short}");
        volume.external = false;
        // A local volume can be a folder of the host under another name.
        if volume.options.get("device").is_some_and(|device| device != "tmpfs") {
            volume.options.clear();
            volume.driver = None;
        }
    }
    for (short, network) in &mut stack.networks {
        let external = network.external;
        network.name = format!("{name}-{short}");
        network.external = false;
        network.subnet = None;
        if external {
            network.driver = None;
        }
    }
    for service in stack.services.values_mut() {
        isolate_service(service);
    }
    if let Some(common) = plan.common_network
        && nobody_calls(&stack, &plan.services)
    {
        stack.networks["default"] = Network { name: common, external: true, ..Network::default() };
    }
    stack.name = name;
    stack.isolation = plan.isolation;
    stack
}

fn isolate_service(service: &mut Service) {
    let mut ports: Vec<Port> = Vec::new();
    let known = service.ports.iter().cloned().map(|port| Port { host: None, ..port });
    for port in known.chain(own_ports(service)) {
        let same = |other: &Port| (other.container, other.protocol) == (port.container, port.protocol);
        if !ports.iter().any(same) {
            ports.push(port);
        }
    }
    service.ports = ports;
    // Two servers on one folder would destroy each other's data.
    if let Some(data) = kinds::data_path(service) {
        let holds_data = |mount: &&mut Mount| {
            matches!(mount.source, MountSource::Bind(_)) && !mount.read_only && data.starts_with(&mount.target)
        };
        for mount in service.mounts.iter_mut().filter(holds_data) {
            mount.source = MountSource::Anonymous;
        }
    }
}

/// The ports that a client of this kind needs, published or not.
fn own_ports(service: &Service) -> Vec<Port> {
    let ports = match kinds::probe(service.kind, &service.env, service.command.as_deref()) {
        Probe::Postgres { port, .. }
        | Probe::Redis { port, .. }
        | Probe::Localstack { port }
        | Probe::Ministack { port } => vec![port],
        Probe::Mail { http, smtp, .. } => vec![http, smtp],
        _ => Vec::new(),
    };
    let loopback = std::net::Ipv4Addr::LOCALHOST.into();
    let port = |container| Port {
        address: loopback,
        host: None,
        container,
        protocol: Protocol::Tcp,
        place: service.place.clone(),
    };
    ports.into_iter().map(port).collect()
}

/// Whether no service of these needs another by name: then a network of their own, which takes a quarter of a second to
/// make and remove, would serve nobody.
fn nobody_calls(stack: &Stack, services: &[ServiceName]) -> bool {
    let active = stack.services.values().filter(|service| service.active).map(|service| &service.name);
    let all = if services.is_empty() { graph::closure(stack, active) } else { graph::closure(stack, services) };
    let quiet = |service: &Service| {
        let server = matches!(service.kind, Kind::Postgres | Kind::Redis | Kind::Mailhog | Kind::Mailpit);
        server && service.depends_on.is_empty() && service.networks == ["default"]
    };
    let default = &stack.networks["default"];
    let plain = default.driver.is_none() && !default.internal && default.labels.is_empty();
    plain && all.into_iter().all(|name| quiet(&stack.services[name]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::stack;

    fn isolated(text: &str, plan: Plan) -> Stack {
        isolate(stack(text), StackName::parse("taskava-t-1").unwrap(), plan)
    }

    fn common() -> Plan {
        Plan { common_network: Some("bridge".into()), ..Plan::default() }
    }

    #[test]
    fn nothing_is_shared() {
        let text = r#"
            [services.postgres]
            kind = "postgres"
            image = "postgres:15"
            ports = ["5432:5432", "15432:5432"]
            volumes = ["data:/var/lib/postgresql/data", "theirs:/theirs"]
            networks = ["default", "shared"]
            [volumes.theirs]
            external = true
            name = "somebodys"
            [networks.shared]
            external = true
            name = "everybodys"
        "#;
        let stack = isolated(text, common());
        let names: Vec<&str> = stack.volumes.values().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("taskava-t-1-")).count(), 2, "{names:?}");
        assert!(stack.networks.values().all(|network| !network.external && network.name.starts_with("taskava-t-1-")));
        let ports = &stack.services["postgres"].ports;
        assert_eq!(ports.iter().map(|port| (port.host, port.container)).collect::<Vec<_>>(), [(None, 5432)]);
    }

    #[test]
    fn a_servers_own_port_is_published_where_the_file_does_not() {
        let stack = isolated("[services.cache]\nkind = \"redis\"\nimage = \"redis:7\"", Plan::default());
        let ports = &stack.services["cache"].ports;
        assert_eq!(ports.len(), 1);
        assert_eq!((ports[0].host, ports[0].container, ports[0].address.is_loopback()), (None, 6379, true));
    }

    #[test]
    fn servers_that_call_nobody_need_no_network_of_their_own() {
        let two = "[services.db]\nkind = \"postgres\"\nimage = \"postgres:15\"\n[services.cache]\nkind = \"redis\"\nimage = \"redis:7\"\n";
        assert!(isolated(two, common()).networks["default"].external);
        assert!(!isolated(two, Plan::default()).networks["default"].external, "the engine has none");
        let three = format!("{two}[services.api]\nimage = \"api:1\"\n");
        assert!(!isolated(&three, common()).networks["default"].external, "an api may call both");
        let only = Plan { services: vec![ServiceName::parse("db").unwrap()], ..common() };
        assert!(isolated(&three, only).networks["default"].external, "the api is not in this run");
    }

    #[test]
    fn images_that_were_built_keep_their_name() {
        let text = "[services.api]\nimage = \"api:1\"\n";
        assert_eq!(isolated(text, Plan::default()).services["api"].image, stack(text).services["api"].image);
    }
}

//! The isolated stack of a test run: the same services under another name, sharing nothing with the developer's stack.
//!
//! This only converts data: `isolated` creates such stacks and removes them.

use std::path::Path;

use crate::kinds;
use crate::model::{Held, Isolation, MountSource, Port, Probe, Protocol, Service, Stack, StackName};

/// The isolated stack of this name that is made from a stack. `isolation`: who makes it; none when it is only looked at.
///
/// Host ports are the engine's choice, volumes and networks its own, even those that the stack shares with others. Of host
/// paths that can be written to it gets views.
/// Images stay: what was built once is not built again for each run.
#[must_use]
pub fn isolate(mut stack: Stack, name: StackName, isolation: Option<Isolation>) -> Stack {
    for (short, volume) in &mut stack.volumes {
        volume.name = format!("{name}-{short}");
        volume.external = false;
        volume.adopt = false;
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
        network.pools.clear();
        if external {
            network.driver = None;
        }
    }
    for service in stack.services.values_mut() {
        isolate_service(service);
    }
    // Two services only ever want the same host port, or the same name for their containers.
    stack.unusable.retain(|one| one.services.len() == 1);
    stack.name = name;
    stack.isolation = isolation;
    stack
}

fn isolate_service(service: &mut Service) {
    // The developer's has the name, and its networks have other addresses.
    let name = service.container_name.take();
    service.options.aliases.extend(name);
    service.options.ipv4_address.clear();
    service.options.ipv6_address.clear();
    service.options.mac_address = None;
    // This machine's ports, and another container, are used by others.
    if service.options.network_mode.as_deref().is_some_and(|mode| mode == "host" || mode.starts_with("container:")) {
        service.options.network_mode = None;
        service.networks = vec!["default".into()];
    }
    let mut ports: Vec<Port> = Vec::new();
    let known = service.ports.iter().cloned().map(|port| Port { host: None, through: None, ..port });
    for port in known.chain(own_ports(service)) {
        let same = |other: &Port| (other.container, other.protocol) == (port.container, port.protocol);
        if !ports.iter().any(same) {
            ports.push(port);
        }
    }
    service.ports = ports;
    // Two servers on one folder would destroy each other's data, and a test may not leave traces in anything.
    let data = kinds::data_path(service);
    for mount in service.mounts.iter_mut().filter(|mount| !mount.read_only && !mount.shared) {
        if let MountSource::Bind(path) = &mount.source {
            let holds_data = data.as_ref().is_some_and(|data| Path::new(data).starts_with(&mount.target));
            mount.source = match holds_data {
                true => MountSource::Anonymous,
                false => MountSource::View { of: path.clone(), held: Held::Unknown },
            };
        }
    }
}

/// The ports that a client of this kind needs, published or not.
fn own_ports(service: &Service) -> Vec<Port> {
    let ports = match service.own {
        Probe::Postgres { port, .. } | Probe::Localstack { port } | Probe::Ministack { port } => vec![port],
        Probe::Redis { port, .. } if port > 0 => vec![port],
        Probe::Mail { http, smtp, .. } => vec![http, smtp],
        _ => Vec::new(),
    };
    let loopback = std::net::Ipv4Addr::LOCALHOST.into();
    let port = |container| Port {
        address: loopback,
        through: None,
        chosen: None,
        host: None,
        container,
        protocol: Protocol::Tcp,
        place: service.place.clone(),
    };
    ports.into_iter().map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::sample::stack;

    fn isolated(text: &str) -> Stack {
        isolate(stack(text), StackName::parse("taskava-t-1").unwrap(), None)
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
        let stack = isolated(text);
        let names: Vec<&str> = stack.volumes.values().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names.iter().filter(|name| name.starts_with("taskava-t-1-")).count(), 2, "{names:?}");
        assert!(stack.networks.values().all(|network| !network.external && network.name.starts_with("taskava-t-1-")));
        let ports = &stack.services["postgres"].ports;
        assert_eq!(ports.iter().map(|port| (port.host, port.container)).collect::<Vec<_>>(), [(None, 5432)]);
    }

    #[test]
    fn a_servers_own_port_is_published_where_the_file_does_not() {
        let stack = isolated("[services.cache]\nkind = \"redis\"\nimage = \"redis:7\"");
        let ports = &stack.services["cache"].ports;
        assert_eq!(ports.len(), 1);
        assert_eq!((ports[0].host, ports[0].container, ports[0].address.is_loopback()), (None, 6379, true));
    }

    #[test]
    fn a_path_that_can_be_written_to_is_seen_through_a_view_unless_it_is_meant_to_be_shared() {
        let text = r#"
            [services.db]
            kind = "postgres"
            volumes = ["./pg:/var/lib/postgresql/data", "./init:/docker-entrypoint-initdb.d", "./a:/a:ro"]
            [services.app]
            image = "app:1"
            volumes = [".:/app", "/app/node_modules", { source = "./out", target = "/out", shared = true }]
        "#;
        let stack = isolated(text);
        let sources =
            |name: &str| stack.services[name].mounts.iter().map(|mount| mount.source.clone()).collect::<Vec<_>>();
        let db = sources("db");
        assert_eq!(db[0], MountSource::Anonymous, "another server works in the folder");
        assert!(matches!(&db[1], MountSource::View { of, held: Held::Unknown } if of.ends_with("init")), "{db:?}");
        assert!(matches!(&db[2], MountSource::Bind(_)), "{db:?}");
        let app = sources("app");
        assert!(matches!(&app[0], MountSource::View { .. }), "{app:?}");
        assert_eq!(app[1], MountSource::Anonymous);
        assert!(matches!(&app[2], MountSource::Bind(_)), "{app:?}");
    }

    #[test]
    fn images_that_were_built_keep_their_name() {
        let text = "[services.api]\nimage = \"api:1\"\n";
        assert_eq!(isolated(text).services["api"].image, stack(text).services["api"].image);
    }
}

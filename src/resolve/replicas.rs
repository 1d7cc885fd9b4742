//! Services that have several containers: each after the first becomes a service of its own with the same settings, so
//! that it is planned, started, probed and listed like any other.

use indexmap::IndexMap;

use super::Resolver;
use super::service::ports;
use crate::config::decode::Entry;
use crate::config::schema;
use crate::diag::Diagnostic;
use crate::model::{Kind, Replica, Service, ServiceName, Stack, Unusable, WatchAction};

/// Most containers that a service may have.
const MOST: u32 = 100;

impl Resolver<'_> {
    /// How many containers a service has.
    pub(super) fn replica_count(&mut self, name: &ServiceName, entry: &Entry<schema::Service>) -> u32 {
        let written = entry.replicas.as_ref();
        let place = written.map_or(&entry.key, |written| &written.place).clone();
        let asked = self.around.scale.get(name.as_str()).copied();
        let count = asked.or(written.map(|written| written.value)).unwrap_or(1);
        if count <= 1 {
            return count;
        }
        let kind = entry.kind.as_ref().map_or(Kind::Generic, |kind| kind.value);
        let own = |what: &str| format!("`{name}` has {count} containers, and only one can have {what}");
        let addresses = &entry.options;
        let refused = if count > MOST {
            Some((format!("`{name}` can't have {count} containers"), format!("there can be up to {MOST}")))
        } else if !matches!(kind, Kind::Generic | Kind::Job) {
            let message =
                format!("a service of kind `{}` has one container: its data is that of one server", kind.as_str());
            Some((message, "declare several services, each with a volume of its own".into()))
        } else if let Some(fixed) = &entry.container_name {
            Some((own(&format!("the name `{}`", fixed.value)), "remove `container_name`".into()))
        } else if !(addresses.ipv4_address.is_empty() && addresses.ipv6_address.is_empty()) {
            Some((own("a fixed IP address"), "remove `ipv4_address` and `ipv6_address`".into()))
        } else {
            None
        };
        match refused {
            Some((message, hint)) => {
                self.error_hint(&place, message, hint);
                1
            }
            None => count,
        }
    }

    /// Adds the further containers of each service.
    pub(super) fn scaled(&mut self, services: &mut IndexMap<ServiceName, Service>) {
        let several: Vec<Service> = services.values().filter(|service| service.replicas != 1).cloned().collect();
        for first in several {
            if first.replicas == 0 {
                remove(services, &first.name);
                continue;
            }
            let entry = &self.config.services[first.name.as_str()];
            self.host_ports(&first, entry);
            for number in 2..=first.replicas {
                let text = format!("{}-{number}", first.name);
                let name = match ServiceName::parse(&text) {
                    Ok(name) if !services.contains_key(&name) => name,
                    Ok(_) => {
                        let message = format!("`{text}` is the name of container {number} of `{}`", first.name);
                        let hint = format!("give [services.{text}] another name");
                        self.error_hint(&self.config.services[text.as_str()].key.clone(), message, hint);
                        continue;
                    }
                    Err(message) => {
                        self.error(
                            &entry.key,
                            format!("`{text}` can't name a container of `{}`: {message}", first.name),
                        );
                        continue;
                    }
                };
                let mut further = further(&first, name, number);
                further.ports = ports(entry, number);
                add(services, further);
            }
        }
    }

    /// Each container needs host ports of its own.
    fn host_ports(&mut self, service: &Service, entry: &Entry<schema::Service>) {
        let count = service.replicas;
        for spec in &entry.ports {
            let Some(host) = &spec.host else { continue };
            let (has, inside) = (host.len(), spec.container.len());
            if inside == 1 && has >= count as usize {
                continue;
            }
            let (first, port) = (host.start(), spec.container.start());
            let shared = match has {
                1 => format!("host port {first}"),
                _ => format!("the {has} host ports {first}-{}", host.end()),
            };
            let message = format!("the {count} containers of `{}` can't share {shared}", service.name);
            let last = u32::from(*first) + count - 1;
            let range =
                if inside == 1 && last <= 65_535 { format!("\"{first}-{last}:{port}\", or ") } else { String::new() };
            let hint = format!("give each its own: {range}\"{port}\", where the engine chooses");
            let problem = Diagnostic::error(spec.place.clone(), message).hint(hint);
            self.unusable.push(Unusable { services: vec![service.name.clone()], problem });
        }
    }
}

/// Adds the further containers that a stack has on its engine, each with the service it is of: `--scale` made more of them
/// than the file says.
pub fn observed<'a>(stack: &mut Stack, seen: impl IntoIterator<Item = (&'a ServiceName, &'a ServiceName)>) {
    let mut further: Vec<(u32, &ServiceName, &ServiceName)> =
        seen.into_iter().filter_map(|(name, of)| Some((Replica::named(name, of)?.number, name, of))).collect();
    further.sort_unstable();
    for (number, name, of) in further {
        let Some(first) = stack.services.get(of) else { continue };
        if !stack.services.contains_key(name) {
            let mut further = self::further(first, name.clone(), number);
            // Which ones they are, only its container knows.
            further.ports.iter_mut().for_each(|port| port.host = None);
            add(&mut stack.services, further);
        }
    }
}

/// A further container of a service.
fn further(first: &Service, name: ServiceName, number: u32) -> Service {
    let mut further = first.clone();
    if !further.networks.is_empty() {
        further.options.aliases.push(first.name.to_string());
    }
    further.replica = Some(Replica { of: first.name.clone(), number });
    further.name = name;
    // Two with one address would not be reached.
    further.options.mac_address = None;
    // The image is made once, and what is said of the service is said of the first.
    further.build = None;
    further.watch.retain(|rule| rule.action != WatchAction::Rebuild);
    further.exports.clear();
    further
}

/// Puts a further container after those before it. What depends on the service depends on it.
fn add(services: &mut IndexMap<ServiceName, Service>, further: Service) {
    let Some(replica) = &further.replica else { return };
    let of = replica.of.clone();
    for other in services.values_mut() {
        if let Some(condition) = other.depends_on.get(&of).copied() {
            other.depends_on.insert(further.name.clone(), condition);
        }
    }
    let is_one = |other: &Service| other.name == of || other.replica.as_ref().is_some_and(|replica| replica.of == of);
    let last = services.values().rposition(is_one).map_or(services.len(), |last| last + 1);
    services.shift_insert(last, further.name.clone(), further);
}

/// A service without a container: nothing waits for it.
fn remove(services: &mut IndexMap<ServiceName, Service>, name: &ServiceName) {
    for other in services.values_mut() {
        other.depends_on.shift_remove(name);
    }
    if let Some(service) = services.get_mut(name) {
        service.active = false;
    }
}

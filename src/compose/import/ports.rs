//! Published ports. Compose opens them to the network unless an address is written; so the address is written here.

use super::Importer;
use super::service::Draft;
use crate::compose::Note;
use crate::compose::template::split;
use crate::compose::toml::Value;
use crate::compose::yaml::{Entry, Node};
use crate::config::template::{Part, parts};
use crate::diag::Place;

/// A port as it is written, in Compose's notation.
struct Written {
    address: Option<String>,
    host: Option<String>,
    container: String,
    protocol: Option<String>,
}

impl Importer<'_> {
    pub(super) fn ports(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        let mut items = Vec::new();
        for node in entry.node.list().unwrap_or_default() {
            let written = match node.map() {
                Some(_) => self.long_port(node),
                None => self.short_port(node),
            };
            let Some(written) = written else {
                let message = format!("the port `{}` can't be understood", node.raw().unwrap_or_default());
                self.notes.push(Note::lost(&node.place, message, "write it as [[address:]host:]container[/protocol]"));
                continue;
            };
            let several = self.replica_count(draft.node) > 1;
            if let Some(text) = self.port(written, &node.place, several) {
                let item = self.item(&node.place, text);
                items.push(item);
            }
        }
        let field = self.field("ports", &entry.key, Value::List(items));
        draft.push(field);
    }

    fn long_port(&mut self, node: &Node) -> Option<Written> {
        for key in ["name", "app_protocol"] {
            if let Some(place) = node.map().and_then(|map| map.get(key)).map(|entry| entry.key.clone()) {
                self.lost(&place, key, "it only describes the port; a comment does that too");
            }
        }
        let text = |key: &str| node.get(key).and_then(Node::scalar);
        Some(Written {
            address: text("host_ip").filter(|address| !address.is_empty()),
            host: text("published"),
            container: text("target")?,
            protocol: text("protocol"),
        })
    }

    /// `[[address:]host:]container[/protocol]`
    fn short_port(&self, node: &Node) -> Option<Written> {
        // A number without quotes is not looked at as one: `22:22` is a port, not a time of day.
        let text = node.raw()?;
        let written = apart(text)?;
        // A variable that holds more than one part, but for an address before the port on the host, is put in as it is now.
        let container = &written.container;
        if container.contains('$') && self.evaluate(container).contains([':', '/']) {
            return apart(&self.evaluate(text));
        }
        Some(written)
    }

    /// A port in our notation. `several`: each container of the service gets a host port out of a range.
    fn port(&mut self, written: Written, place: &Place, several: bool) -> Option<String> {
        let protocol = written.protocol.map(|protocol| self.evaluate(&protocol).to_lowercase()).unwrap_or_default();
        let protocol = match protocol.as_str() {
            "" | "tcp" => "",
            "udp" => "/udp",
            other => {
                let message = format!("the port {}/{other} has no counterpart", written.container);
                self.notes.push(Note::lost(place, message, "tcp and udp can be published"));
                return None;
            }
        };
        let value_of_host = written.host.as_deref().map(|host| self.evaluate(host)).unwrap_or_default();
        let mut host =
            written.host.map(|host| self.template(&host, place)).filter(|host| !host.is_empty() && host != "0");
        let container = self.template(&written.container, place);
        if let Some((first, _)) = host
            .as_deref()
            .and_then(|host| host.split_once('-'))
            .filter(|(first, _)| !several && !container.contains('-') && !first.contains('$'))
        {
            let message = format!("one port out of {} has no counterpart", host.as_deref().unwrap_or_default());
            self.notes.push(Note::lost(
                place,
                message,
                format!("{first} is in use; `\"{container}\"` lets the engine choose"),
            ));
            host = Some(first.to_owned());
        }
        let everywhere = if self.options.loopback { "127.0.0.1" } else { "0.0.0.0" };
        let in_host = host.as_deref().is_some_and(|_| value_of_host.contains(':'));
        let address = match written.address {
            Some(address) if self.evaluate(&address).is_empty() => match &parts(&address)[..] {
                // It may have one elsewhere.
                [Part::Variable { name, operator: "" | "-" | ":-", operand }] if !operand.contains('$') => {
                    Some(format!("${{{name}:-{everywhere}}}"))
                }
                _ if self.options.loopback => None,
                _ => Some(everywhere.into()),
            },
            Some(address) if address.contains(':') && !address.contains(['[', '$']) => Some(format!("[{address}]")),
            Some(address) => Some(self.template(&address, place)),
            None if self.options.loopback || in_host => None,
            None => Some(everywhere.into()),
        };
        Some(match (address, host) {
            (Some(address), host) => format!("{address}:{}:{container}{protocol}", host.unwrap_or_default()),
            (None, Some(host)) => format!("{host}:{container}{protocol}"),
            (None, None) => format!("{container}{protocol}"),
        })
    }
}

/// The parts of `[[address:]host:]container[/protocol]`.
fn apart(text: &str) -> Option<Written> {
    let parts = split(text, '/');
    let (body, protocol) = match parts[..] {
        [body, protocol] => (body, Some(protocol.to_owned())),
        _ => (text, None),
    };
    let (address, rest) = match body.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((address, rest)) => (Some(format!("[{address}]")), rest),
        None => (None, body),
    };
    let parts = split(rest, ':');
    let own = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(match parts[..] {
        [container] => Written { address, host: None, container: container.to_owned(), protocol },
        [host, container] => Written { address, host: own(host), container: container.to_owned(), protocol },
        [v4, host, container] => {
            Written { address: own(v4), host: own(host), container: container.to_owned(), protocol }
        }
        _ => return None,
    })
}

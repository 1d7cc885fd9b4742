//! The engine's events of a stack: containers that start, exit and are removed, networks and volumes that are created
//! and removed. Reconnecting is up to the caller.

use std::collections::HashMap;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::{Stream, StreamExt as _};

use super::error::failed;
use super::{Engine, labels};
use crate::diag::Result;
use crate::model::{ServiceName, Stack, secret};

/// Something that happened on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Nanoseconds since 1970 by the engine's clock.
    pub at: u64,
    /// `container.die`.
    pub event: String,
    /// Its service, if it is about a container.
    pub service: Option<ServiceName>,
    /// It is about a one-off container of that service.
    pub one_off: bool,
    /// Id of the container it is about.
    pub container: Option<String>,
    /// Name of the container, network or volume.
    pub name: String,
    /// Exit code of what ended.
    pub exit_code: Option<i64>,
    /// Number of the signal that was sent.
    pub signal: Option<String>,
    /// What a health check says now.
    pub health: Option<String>,
    /// The command that was run inside; what looks like a password is masked.
    pub command: Option<String>,
}

/// The requested event types. Excluded are commands run in containers, most of which are readiness probes, and what
/// concerns only who looks at a container.
const USUAL: [&str; 18] = [
    "create",
    "destroy",
    "die",
    "health_status",
    "kill",
    "oom",
    "pause",
    "rename",
    "restart",
    "start",
    "stop",
    "unpause",
    "update",
    "connect",
    "disconnect",
    "remove",
    "mount",
    "unmount",
];

impl Engine {
    /// The events of a stack since a time, and until another if given, both in nanoseconds since 1970. `inside`:
    /// commands that are run inside, too.
    pub fn events(
        &self,
        stack: &Stack,
        since: u64,
        until: Option<u64>,
        inside: bool,
    ) -> impl Stream<Item = Result<Happened>> + Send + Unpin + use<> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let mut filters = HashMap::from([("type".to_owned(), words(&["container", "network", "volume"]))]);
        if !inside {
            filters.insert("event".into(), words(&USUAL));
        }
        let time = |at: u64| format!("{}.{:09}", at / 1_000_000_000, at % 1_000_000_000);
        let options = EventsOptions { since: Some(time(since)), until: until.map(time), filters: Some(filters) };
        // Only containers' events carry labels, so they are told apart here.
        let of = Of {
            project: stack.name.to_string(),
            names: stack
                .networks
                .values()
                .map(|network| network.name.clone())
                .chain(stack.volumes.values().map(|volume| volume.name.clone()))
                .collect(),
        };
        let events = self.docker.events(Some(options));
        Box::pin(events.filter_map(move |event| {
            std::future::ready(match event {
                Ok(event) => of.happened(event).map(Ok),
                Err(error) => Some(Err(failed("can't follow the engine's events", &error))),
            })
        }))
    }
}

/// The filter for a stack's events.
struct Of {
    project: String,
    /// Names of its networks and volumes.
    names: Vec<String>,
}

impl Of {
    fn happened(&self, event: EventMessage) -> Option<Happened> {
        let actor = event.actor?;
        let mut attributes = actor.attributes.unwrap_or_default();
        let kind = event.typ?.to_string();
        let (action, detail) = match event.action {
            Some(action) => match action.split_once(": ") {
                Some((action, detail)) => (action.to_owned(), Some(detail.to_owned())),
                None => (action, None),
            },
            None => return None,
        };
        let id = actor.id.unwrap_or_default();
        let mut happened = Happened {
            at: event.time_nano?.try_into().ok()?,
            event: format!("{kind}.{action}"),
            service: None,
            one_off: false,
            container: None,
            name: String::new(),
            exit_code: attributes.get("exitCode").and_then(|code| code.parse().ok()),
            signal: attributes.remove("signal"),
            health: None,
            command: None,
        };
        if kind == "container" {
            if attributes.get(labels::PROJECT) != Some(&self.project) {
                return None;
            }
            happened.one_off = attributes.contains_key(labels::ONEOFF);
            let service = attributes.get(labels::SERVICE).or(attributes.get(labels::ONEOFF))?;
            happened.service = Some(ServiceName::parse(service).ok()?);
            happened.container = Some(id);
            happened.name = attributes.remove("name").unwrap_or_default();
            match action.as_str() {
                "health_status" => happened.health = detail,
                action if action.starts_with("exec_") => happened.command = detail.map(|command| masked(&command)),
                _ => {}
            }
            return Some(happened);
        }
        let name = if kind == "volume" { id } else { attributes.remove("name").unwrap_or_default() };
        happened.container = attributes.remove("container");
        happened.name = name;
        self.names.contains(&happened.name).then_some(happened)
    }
}

fn masked(command: &str) -> String {
    let words: Vec<String> = command.split(' ').map(String::from).collect();
    secret::mask_words(&words).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(event: serde_json::Value) -> Option<Happened> {
        let of = Of { project: "p".into(), names: vec!["p-default".into(), "p-data".into()] };
        of.happened(serde_json::from_value(event).expect("as the engine writes it"))
    }

    #[test]
    fn containers_of_the_stack_are_told_by_their_labels() {
        let die = |project: &str, label: &str| {
            serde_json::json!({"Type": "container", "Action": "die", "timeNano": 5, "Actor": {"ID": "abc", "Attributes": {
                "dev.taskava.project": project, label: "db", "exitCode": "137", "name": "p-db"}}})
        };
        let found = happened(die("p", "dev.taskava.service")).unwrap();
        assert_eq!((found.event.as_str(), found.exit_code, found.one_off), ("container.die", Some(137), false));
        assert_eq!((found.at, found.service.unwrap().as_str(), found.name.as_str()), (5, "db", "p-db"));
        assert!(happened(die("p", "dev.taskava.oneoff")).unwrap().one_off);
        assert_eq!(happened(die("q", "dev.taskava.service")), None);
        assert_eq!(happened(die("p", "other")), None);
    }

    #[test]
    fn networks_and_volumes_are_told_by_their_names() {
        let network = |name: &str| {
            serde_json::json!({"Type": "network", "Action": "connect", "timeNano": 5,
                "Actor": {"ID": "n", "Attributes": {"name": name, "container": "abc"}}})
        };
        let found = happened(network("p-default")).unwrap();
        assert_eq!((found.event.as_str(), found.container.as_deref()), ("network.connect", Some("abc")));
        assert_eq!(happened(network("q-default")), None);
        let volume =
            serde_json::json!({"Type": "volume", "Action": "create", "timeNano": 5, "Actor": {"ID": "p-data"}});
        assert_eq!(happened(volume).unwrap().event, "volume.create");
    }

    #[test]
    fn what_is_behind_the_colon_has_a_place_of_its_own_and_secrets_are_masked() {
        let event = |action: &str| {
            let attributes = serde_json::json!({"dev.taskava.project": "p", "dev.taskava.service": "db"});
            let actor = serde_json::json!({"ID": "abc", "Attributes": attributes});
            happened(serde_json::json!({"Type": "container", "Action": action, "timeNano": 5, "Actor": actor})).unwrap()
        };
        let healthy = event("health_status: healthy");
        assert_eq!((healthy.event.as_str(), healthy.health.as_deref()), ("container.health_status", Some("healthy")));
        let exec = event("exec_create: login --password hunter2");
        assert_eq!(exec.event, "container.exec_create");
        assert_eq!(exec.command.as_deref(), Some("login --password ********"));
    }
}

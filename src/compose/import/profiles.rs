//! Which services are started: profiles, those that `COMPOSE_PROFILES` makes active, and services that are scaled to zero.

use super::Importer;
use super::service::Draft;
use crate::compose::Note;
use crate::compose::read::Document;
use crate::compose::toml::{Field, Value};
use crate::compose::yaml::{Entry, Node};
use crate::diag::Place;
use crate::model::Kind;

/// The variable that names active profiles.
const ACTIVE: &str = "COMPOSE_PROFILES";
/// The profile of services that Compose makes no container for.
const ZERO: &str = "scaled-to-zero";

/// The profiles that are active without being asked for.
pub(super) fn active(document: &Document) -> Vec<String> {
    let variable = document.variables.get(ACTIVE);
    let names = variable.into_iter().flat_map(|variable| variable.value.split(','));
    names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

impl Importer<'_> {
    /// Says once which profiles are always active, and why.
    pub(super) fn note_active(&mut self) {
        let known: Vec<String> = self.services().flat_map(|(_, entry)| self.written(&entry.node)).collect();
        let mut names: Vec<&String> = known.iter().filter(|name| self.is_active(name)).collect();
        names.sort();
        names.dedup();
        let Some(variable) = self.document.variables.get(ACTIVE).filter(|_| !names.is_empty()) else { return };
        let origin = match variable.origin.as_str() {
            "environment" => "the environment",
            file => file.rsplit('/').next().unwrap_or(file),
        };
        let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
        let names = names.join(" or ");
        let message = format!("services with the profile {names} are always active, because of {ACTIVE} in {origin}");
        let remedy = "they are written without `profiles`; with some they start only when asked for".into();
        self.notes.push(Note { place: None, number: None, lost: false, message, remedy });
    }

    fn is_active(&self, profile: &str) -> bool {
        self.active.iter().any(|active| active == profile || active == "*")
    }

    /// The profiles that are written at a service.
    fn written(&self, service: &Node) -> Vec<String> {
        let list = service.get("profiles").and_then(Node::list).unwrap_or_default();
        list.iter().map(|profile| self.value(profile)).collect()
    }

    /// The profiles a service still has: none when one of them is always active.
    fn profiles_of(&self, service: &Node) -> Vec<String> {
        let written = self.written(service);
        if written.iter().any(|profile| self.is_active(profile)) { Vec::new() } else { written }
    }

    pub(super) fn profiles(&mut self, draft: &mut Draft<'_>, entry: &Entry) {
        if !self.profiles_of(draft.node).is_empty() {
            self.list(draft, "profiles", entry);
        }
    }

    /// Where a service is scaled to zero, and by which key.
    fn zero(&self, service: &Node) -> Option<(Place, &'static str)> {
        let is_zero = |entry: &Entry| self.value(&entry.node) == "0";
        let entry =
            |node: &Node, key: &str| node.map().and_then(|map| map.get(key)).filter(|entry| is_zero(entry)).cloned();
        let scale = entry(service, "scale").map(|entry| (entry.key, "scale: 0"));
        let replicas = || service.get("deploy").and_then(|deploy| entry(deploy, "replicas"));
        scale.or_else(|| replicas().map(|entry| (entry.key, "replicas: 0")))
    }

    /// A service that is scaled to zero gets a profile of its own, which nothing activates.
    pub(super) fn scaled(&mut self, draft: &mut Draft<'_>) {
        let Some((place, words)) = self.zero(draft.node) else { return };
        draft.fields.retain(|field| field.key != "profiles");
        draft.push(Field::new("profiles", Value::from_iter([ZERO.to_owned()])));
        let message = format!("`{}` is not started, as `{words}` says", self.name(draft.name));
        self.changed(&place, message, format!("it has the profile `{ZERO}`, which nothing activates"));
    }

    /// How many containers a service has.
    pub(super) fn replicas(&mut self, draft: &mut Draft<'_>, key: &str, entry: &Entry) {
        let count = self.replica_count(draft.node);
        // None at all is a profile.
        if count <= 1 {
            return;
        }
        if !matches!(draft.kind, Kind::Generic | Kind::Job) {
            let remedy = "its data is that of one server; for several, declare several services";
            return self.lost(&entry.key, &format!("{key}: {count}"), remedy);
        }
        let field = self.field("replicas", &entry.key, Value::Integer(count.into()));
        draft.push(field);
    }

    /// How many containers a service has, as `scale`, else `deploy.replicas`, says.
    pub(super) fn replica_count(&self, service: &Node) -> u32 {
        let written = service.get("scale").or_else(|| service.get("deploy")?.get("replicas"));
        written.and_then(|node| self.value(node).trim().parse().ok()).unwrap_or(1)
    }

    /// Whether a dependency is on something that never runs, and so is left out: what is depended on is started here.
    pub(super) fn leaves_out(&mut self, draft: &Draft<'_>, name: &str, place: &Place) -> bool {
        let Some(service) = self.services().find(|(other, _)| *other == name).map(|(_, entry)| &entry.node) else {
            return false;
        };
        if self.zero(service).is_none() || self.zero(draft.node).is_some() {
            return false;
        }
        let (own, other) = (self.name(draft.name), self.name(name));
        let message = format!("`{own}` does not depend on `{other}`, which is scaled to zero");
        self.changed(place, message, "what is in `depends_on` is always started; write it there where you want that");
        true
    }
}

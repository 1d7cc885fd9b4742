//! The differences between declared resources and those of an emulator. Pure.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::model::aws::{Properties, Property, Resource, ResourceId, ResourceKind};
use crate::model::secret::MASK;

/// Which declared resources an emulator has, and which others it has that were created for this stack.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Seen {
    /// Declared resources that exist.
    pub existing: HashMap<ResourceId, Properties>,
    /// Resources that carry the stack's tag and are declared no more.
    pub undeclared: BTreeSet<ResourceId>,
}

/// Something to do, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// On what.
    pub id: ResourceId,
    /// What.
    pub what: What,
}

/// What is done to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It does not exist.
    Create,
    /// A property is another one.
    Set {
        /// Which.
        property: Property,
        /// What it is now.
        from: String,
        /// What it becomes.
        to: String,
    },
    /// It is declared no more.
    Remove,
}

/// What has to be done, in the order of services.toml. `prune`: also remove what is declared no more.
pub fn diff<'a>(declared: impl IntoIterator<Item = &'a Resource>, seen: &Seen, prune: bool) -> Vec<Change> {
    let mut changes = Vec::new();
    for resource in declared {
        let id = &resource.id;
        let Some(existing) = seen.existing.get(id) else {
            changes.push(Change { id: id.clone(), what: What::Create });
            continue;
        };
        for (property, to) in &resource.wanted {
            // What an emulator does not tell can't be compared.
            if let Some(from) = existing.get(property).filter(|from| *from != to) {
                let what = What::Set { property: *property, from: from.clone(), to: to.clone() };
                changes.push(Change { id: id.clone(), what });
            }
        }
    }
    if prune {
        // What belongs to something goes before it.
        let all = seen.undeclared.iter().rev();
        changes.extend(all.map(|id| Change { id: id.clone(), what: What::Remove }));
    }
    changes
}

/// `bucket uploads: versioning off → on`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.words())
    }
}

impl Change {
    /// Whether a bucket is made.
    pub fn is_new_bucket(&self) -> bool {
        self.id.kind == ResourceKind::Bucket && self.what == What::Create
    }

    /// What is done, without on what.
    fn words(&self) -> String {
        let (property, from, to) = match &self.what {
            What::Create => return "missing → created".into(),
            What::Remove => return "no longer declared → removed".into(),
            What::Set { property, from, to } => (property, from, to),
        };
        if is_secret(self.id.kind, *property) {
            return format!("{property} {MASK} → {MASK}");
        }
        // A document is not shown whole.
        let shown = |text: &String| text.chars().count() <= 60 && !text.starts_with(['[', '{']);
        if shown(from) && shown(to) { format!("{property} {from} → {to}") } else { format!("{property} changed") }
    }
}

fn is_secret(kind: ResourceKind, property: Property) -> bool {
    matches!((kind, property), (ResourceKind::Secret | ResourceKind::Parameter, Property::Value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(kind: ResourceKind, name: &str, wanted: &[(Property, &str)]) -> Resource {
        let wanted = wanted.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Resource { id: ResourceId::new(kind, name), wanted, seed: None }
    }

    fn seen(resources: &[Resource]) -> Seen {
        let existing = resources.iter().map(|resource| (resource.id.clone(), resource.wanted.clone())).collect();
        Seen { existing, undeclared: BTreeSet::new() }
    }

    fn words(declared: &[Resource], seen: &Seen, prune: bool) -> Vec<String> {
        diff(declared, seen, prune).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_as_declared_needs_nothing() {
        let declared = [resource(ResourceKind::Bucket, "uploads", &[(Property::Versioning, "on")])];
        assert_eq!(diff(&declared, &seen(&declared), true), []);
    }

    #[test]
    fn what_is_missing_is_made() {
        let declared = [resource(ResourceKind::Queue, "jobs", &[(Property::Delay, "0")])];
        assert_eq!(words(&declared, &Seen::default(), false), ["queue jobs: missing → created"]);
    }

    #[test]
    fn each_property_that_differs_is_named() {
        let declared = [
            resource(
                ResourceKind::Bucket,
                "uploads",
                &[(Property::Versioning, "on"), (Property::Cors, "[\"a\"]"), (Property::Public, "no")],
            ),
            resource(ResourceKind::Secret, "db", &[(Property::Value, "new")]),
        ];
        let existing = seen(&[
            resource(ResourceKind::Bucket, "uploads", &[(Property::Versioning, "off"), (Property::Cors, "none")]),
            resource(ResourceKind::Secret, "db", &[(Property::Value, "old")]),
        ]);
        assert_eq!(
            words(&declared, &existing, false),
            [
                "bucket uploads: versioning off → on",
                "bucket uploads: cors changed",
                "secret db: value ******** → ********"
            ]
        );
    }

    #[test]
    fn what_is_declared_no_more_goes_only_when_asked() {
        let mut seen = Seen::default();
        seen.undeclared.insert(ResourceId::new(ResourceKind::UserPool, "app"));
        seen.undeclared.insert(ResourceId::new(ResourceKind::UserPoolClient, "app/web"));
        assert_eq!(words(&[], &seen, false), Vec::<String>::new());
        assert_eq!(
            words(&[], &seen, true),
            ["user pool client app/web: no longer declared → removed", "user pool app: no longer declared → removed"]
        );
    }
}

//! Makes one emulator match the declaration: reads everything at once, compares, then creates or changes what differs,
//! in rounds, because some resources refer to others.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::Value;

use super::answer::{Answer, AwsError};
use super::client::Client;
use super::diff::{Change, Seen, What, diff};
use super::spec::spec;
use super::{Emulator, seed};
use crate::model::aws::{Api, NONE, Property, Resource, ResourceId, ResourceKind};

/// How many resources are made at once.
const AT_ONCE: usize = 16;

/// How an emulator is reconciled.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReconcileOptions {
    /// Remove what was made for the stack and is declared no more.
    pub prune: bool,
    /// It was started just now and has nothing yet: only what is declared is looked at.
    pub fresh: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done.
    pub done: Vec<Change>,
    /// What could not be done.
    pub failed: Vec<Failed>,
    /// What was made for the stack, is declared no more, and is still there.
    pub undeclared: BTreeSet<ResourceId>,
}

/// What could not be done.
#[derive(Debug)]
pub struct Failed {
    /// On what: `bucket uploads`, or `buckets`.
    pub what: String,
    /// The emulator's answer.
    pub refused: AwsError,
}

/// Makes an emulator have what is declared. `tell` hears of each change when it is done.
pub async fn reconcile(
    emulator: &Emulator,
    declared: &[&Resource],
    options: ReconcileOptions,
    tell: &dyn Fn(&Change),
) -> Outcome {
    let declared: Vec<Resource> = declared.iter().map(|resource| with_seed(resource)).collect();
    let (seen, failed) = look_at(emulator, &declared, options.fresh).await;
    let unseen: Vec<Api> = failed.iter().map(|(api, _)| *api).collect();
    let known = declared.iter().filter(|resource| !unseen.contains(&resource.id.kind.api()));
    let changes = diff(known, &seen, options.prune);
    let mut outcome = Outcome { undeclared: seen.undeclared, ..Outcome::default() };
    outcome.failed.extend(failed.into_iter().map(|(api, refused)| Failed { what: spec(api).plural.into(), refused }));
    let tasks = tasks(&declared, changes);
    for round in 0..ROUNDS {
        let now = tasks.iter().filter(|task| task.round == round);
        let mut running = futures_util::stream::iter(now.map(async |task| (task, task.carry_out(emulator).await)))
            .buffer_unordered(AT_ONCE);
        while let Some((task, result)) = running.next().await {
            match result {
                Ok(()) => {
                    task.changes.iter().for_each(tell);
                    outcome.done.extend(task.changes.iter().cloned());
                    if task.changes.iter().any(|change| change.what == What::Remove) {
                        outcome.undeclared.remove(&task.id);
                    }
                }
                Err(refused) => outcome.failed.push(Failed { what: task.id.to_string(), refused }),
            }
        }
    }
    outcome
}

/// What an emulator has of what is declared, without changing anything.
///
/// # Errors
/// The first answer that was none.
pub async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let declared: Vec<Resource> = declared.iter().map(|resource| with_seed(resource)).collect();
    let (seen, failed) = look_at(emulator, &declared, true).await;
    match failed.into_iter().next() {
        Some((_, refused)) => Err(refused),
        None => Ok(seen),
    }
}

/// What an emulator has of what is declared, and which services of AWS would not say.
pub async fn survey(emulator: &Emulator, declared: &[&Resource]) -> (Seen, Vec<(Api, AwsError)>) {
    let declared: Vec<Resource> = declared.iter().map(|resource| with_seed(resource)).collect();
    look_at(emulator, &declared, true).await
}

/// What would be done, without doing it.
///
/// # Errors
/// The first answer that was none.
pub async fn compare(emulator: &Emulator, declared: &[&Resource]) -> Answer<Vec<Change>> {
    let declared: Vec<Resource> = declared.iter().map(|resource| with_seed(resource)).collect();
    let (seen, failed) = look_at(emulator, &declared, true).await;
    match failed.into_iter().next() {
        Some((_, refused)) => Err(refused),
        None => Ok(diff(&declared, &seen, false)),
    }
}

/// The seed folder as it is now is a property like others.
fn with_seed(resource: &Resource) -> Resource {
    let mut resource = resource.clone();
    if let Some(folder) = &resource.seed {
        let files = seed::files(folder).unwrap_or_default();
        resource.wanted.insert(Property::Seed, seed::digest(&files));
    }
    resource
}

/// Looks at every service of AWS that has something declared, all at once; unless `fresh` also at those that may have
/// something from before.
async fn look_at(emulator: &Emulator, declared: &[Resource], fresh: bool) -> (Seen, Vec<(Api, AwsError)>) {
    let mut by_api: BTreeMap<Api, Vec<&Resource>> = BTreeMap::new();
    for resource in declared {
        by_api.entry(resource.id.kind.api()).or_default().push(resource);
    }
    if !fresh {
        let in_use = in_use(&emulator.client).await.unwrap_or_default();
        for api in in_use.into_iter().filter(|api| spec(*api).remove.is_some()) {
            by_api.entry(api).or_default();
        }
    }
    let looked = by_api.iter().map(async |(api, declared)| {
        let seen = (spec(*api).look)(emulator, declared).await;
        (*api, declared.is_empty(), seen)
    });
    let (mut all, mut failed) = (Seen::default(), Vec::new());
    for (api, only_from_before, seen) in join_all(looked).await {
        match seen {
            Ok(seen) => all = all.with(seen),
            // Nothing is wanted of it.
            Err(_) if only_from_before => {}
            Err(refused) => failed.push((api, refused)),
        }
    }
    (all, failed)
}

/// The services of AWS that the emulator has in memory. LocalStack loads one when it is first asked, which takes seconds:
/// what is not loaded has nothing.
pub(super) async fn in_use(client: &Client) -> Answer<Vec<Api>> {
    let health = client.own("/_localstack/health").await?;
    let health: Value = serde_json::from_str(&health).unwrap_or_default();
    // MiniStack calls everything available, and loads it in no time.
    let is_ministack = health["edition"] == "light" || health["services"]["cognito-idp"] == "available";
    let used = |name: &str| health["services"][name] == "running" || is_ministack;
    Ok(Api::ALL.iter().copied().filter(|api| used(api.as_str())).collect())
}

/// Rounds in which things are made; what is in a later one refers to what is in an earlier one.
const ROUNDS: usize = 5;

/// What is done to one resource in one round.
#[derive(Debug)]
struct Task<'a> {
    id: ResourceId,
    round: usize,
    resource: Option<&'a Resource>,
    /// Properties that are put right; none = it is created or removed.
    properties: Vec<Property>,
    /// Told when it is done.
    changes: Vec<Change>,
}

/// Properties that name another resource.
const REFERENCES: [Property; 2] = [Property::DeadLetter, Property::Subscriptions];

fn tasks(declared: &[Resource], changes: Vec<Change>) -> Vec<Task<'_>> {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for change in changes {
        let resource = declared.iter().find(|resource| resource.id == change.id);
        let id = change.id.clone();
        match &change.what {
            What::Create => {
                let round = match id.kind {
                    ResourceKind::UserPoolUser => 2,
                    ResourceKind::UserPoolClient | ResourceKind::UserPoolGroup | ResourceKind::Bucket => 1,
                    _ => 0,
                };
                tasks.push(Task { id: id.clone(), round, resource, properties: Vec::new(), changes: vec![change] });
                let wanted = resource.into_iter().flat_map(|resource| &resource.wanted);
                let later = wanted.filter(|(name, value)| REFERENCES.contains(name) && *value != NONE);
                let properties: Vec<_> = later.map(|(name, _)| *name).collect();
                if !properties.is_empty() {
                    tasks.push(Task { id, round: 1, resource, properties, changes: Vec::new() });
                }
            }
            What::Set { property, .. } => {
                let property = *property;
                let before = tasks.last_mut().filter(|task| task.id == id && !task.properties.is_empty());
                if let Some(task) = before {
                    task.properties.push(property);
                    task.changes.push(change);
                } else {
                    tasks.push(Task { id, round: 2, resource, properties: vec![property], changes: vec![change] });
                }
            }
            What::Remove => {
                // A pool takes what belongs to it along.
                let round = if id.kind == ResourceKind::UserPool { 4 } else { 3 };
                tasks.push(Task { id, round, resource: None, properties: Vec::new(), changes: vec![change] });
            }
        }
    }
    tasks
}

impl Task<'_> {
    async fn carry_out(&self, emulator: &Emulator) -> Answer<()> {
        let spec = spec(self.id.kind.api());
        match self.resource {
            None => match spec.remove {
                Some(remove) => remove(emulator, &self.id).await,
                None => Ok(()),
            },
            Some(resource) if self.properties.is_empty() => (spec.create)(emulator, resource).await,
            Some(resource) => (spec.update)(emulator, resource, &self.properties).await,
        }
    }
}

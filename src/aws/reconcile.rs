//! Makes one emulator match the declaration: reads everything at once, compares, then creates or changes what differs,
//! in rounds, because some resources refer to others.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::Value;

use super::client::{Answer, AwsError, Client};
use super::diff::{Change, Seen, What, diff};
use super::{
    Emulator, alarms, cognito, dynamodb, iam, kms, logs, s3, secrets, seed, ses, sns, sqs, ssm, user_pool_members,
};
use crate::model::aws::{Api, NONE, Resource, ResourceId, ResourceKind};

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
    outcome.failed.extend(failed.into_iter().map(|(api, refused)| Failed { what: plural(api).into(), refused }));
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
        resource.wanted.insert("seed", seed::digest(&files));
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
        for api in in_use(&emulator.client).await.unwrap_or_default() {
            by_api.entry(api).or_default();
        }
    }
    let looked = by_api.iter().map(async |(api, declared)| {
        let seen = match api {
            Api::S3 => s3::look(emulator, declared).await,
            Api::Sqs => sqs::look(emulator, declared).await,
            Api::Sns => sns::look(emulator, declared).await,
            Api::SecretsManager => secrets::look(emulator, declared).await,
            Api::Ssm => ssm::look(emulator, declared).await,
            Api::Kms => kms::look(emulator, declared).await,
            Api::Logs => logs::look(emulator, declared).await,
            Api::CloudWatch => alarms::look(emulator, declared).await,
            Api::Ses => ses::look(emulator, declared).await,
            Api::Iam => iam::look(emulator, declared).await,
            Api::Dynamodb => dynamodb::look(emulator, declared).await,
            Api::Cognito => cognito::look(emulator, declared).await,
        };
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
    let names = [
        (Api::S3, "s3"),
        (Api::Sqs, "sqs"),
        (Api::Sns, "sns"),
        (Api::SecretsManager, "secretsmanager"),
        (Api::Ssm, "ssm"),
        (Api::Kms, "kms"),
        (Api::Logs, "logs"),
        (Api::CloudWatch, "cloudwatch"),
        (Api::Iam, "iam"),
        (Api::Dynamodb, "dynamodb"),
        (Api::Cognito, "cognito-idp"),
    ];
    // MiniStack calls everything available, and loads it in no time.
    let is_ministack = health["edition"] == "light" || health["services"]["cognito-idp"] == "available";
    let used = |name: &str| health["services"][name] == "running" || is_ministack;
    Ok(names.into_iter().filter(|(_, name)| used(name)).map(|(api, _)| api).collect())
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
    properties: Vec<&'static str>,
    /// Told when it is done.
    changes: Vec<Change>,
}

/// Properties that name another resource.
const REFERENCES: [&str; 2] = ["dead_letter", "subscriptions"];

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
        match self.resource {
            None => remove(emulator, &self.id).await,
            Some(resource) if self.properties.is_empty() => create(emulator, resource).await,
            Some(resource) => update(emulator, resource, &self.properties).await,
        }
    }
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    match resource.id.kind {
        ResourceKind::Bucket => s3::create(emulator, resource).await,
        ResourceKind::Queue => sqs::create(emulator, resource).await,
        ResourceKind::Topic => sns::create(emulator, resource).await,
        ResourceKind::Secret => secrets::create(emulator, resource).await,
        ResourceKind::Parameter => ssm::create(emulator, resource).await,
        ResourceKind::Table => dynamodb::create(emulator, resource).await,
        ResourceKind::Key => kms::create(emulator, resource).await,
        ResourceKind::Identity => ses::create(emulator, resource).await,
        ResourceKind::UserPool => cognito::create(emulator, resource).await,
        ResourceKind::UserPoolClient | ResourceKind::UserPoolGroup | ResourceKind::UserPoolUser => {
            user_pool_members::create(emulator, resource).await
        }
        ResourceKind::LogGroup => logs::create(emulator, resource).await,
        ResourceKind::Alarm => alarms::create(emulator, resource).await,
        ResourceKind::Role => iam::create(emulator, resource).await,
    }
}

async fn update(emulator: &Emulator, resource: &Resource, properties: &[&'static str]) -> Answer<()> {
    match resource.id.kind {
        ResourceKind::Bucket => s3::update(emulator, resource, properties).await,
        ResourceKind::Queue => sqs::update(emulator, resource, properties).await,
        ResourceKind::Topic => sns::update(emulator, resource).await,
        ResourceKind::Secret => secrets::update(emulator, resource).await,
        ResourceKind::Parameter => ssm::update(emulator, resource).await,
        ResourceKind::Table => dynamodb::update(emulator, resource, properties).await,
        ResourceKind::Key => kms::update(emulator, resource, properties).await,
        ResourceKind::UserPool => cognito::update(emulator, resource, properties).await,
        ResourceKind::UserPoolClient | ResourceKind::UserPoolGroup | ResourceKind::UserPoolUser => {
            user_pool_members::update(emulator, resource, properties).await
        }
        ResourceKind::LogGroup => logs::update(emulator, resource).await,
        ResourceKind::Alarm => alarms::put(emulator, resource).await,
        ResourceKind::Role => iam::update(emulator, resource, properties).await,
        // It is there or not.
        ResourceKind::Identity => Ok(()),
    }
}

async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    match id.kind {
        ResourceKind::Bucket => s3::remove(emulator, &id.name).await,
        ResourceKind::Queue => sqs::remove(emulator, id).await,
        ResourceKind::Topic => sns::remove(emulator, id).await,
        ResourceKind::Secret => secrets::remove(emulator, &id.name).await,
        ResourceKind::Parameter => ssm::remove(emulator, &id.name).await,
        ResourceKind::Table => dynamodb::remove(emulator, &id.name).await,
        ResourceKind::Key => kms::remove(emulator, id).await,
        ResourceKind::UserPool => cognito::remove(emulator, id).await,
        ResourceKind::UserPoolGroup => user_pool_members::remove(emulator, id).await,
        ResourceKind::LogGroup => logs::remove(emulator, &id.name).await,
        ResourceKind::Alarm => alarms::remove(emulator, &id.name).await,
        ResourceKind::Role => iam::remove(emulator, &id.name).await,
        // Never known to be ours.
        ResourceKind::Identity | ResourceKind::UserPoolClient | ResourceKind::UserPoolUser => Ok(()),
    }
}

/// What a service of AWS holds, in words.
fn plural(api: Api) -> &'static str {
    match api {
        Api::S3 => "buckets",
        Api::Sqs => "queues",
        Api::Sns => "topics",
        Api::SecretsManager => "secrets",
        Api::Ssm => "parameters",
        Api::Kms => "keys",
        Api::Logs => "log groups",
        Api::CloudWatch => "alarms",
        Api::Ses => "identities",
        Api::Iam => "roles",
        Api::Dynamodb => "tables",
        Api::Cognito => "user pools",
    }
}

//! CloudWatch's log groups.

use futures_util::future::try_join_all;
use serde_json::json;

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG};
use crate::model::aws::{Properties, Property, Resource, ResourceId, ResourceKind};

const API: JsonApi = JsonApi { scope: "logs", prefix: "Logs_20140328", version: "1.1" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "log groups",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, _| Box::pin(update(emulator, resource)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, &id.name))),
};

/// The retention of a group whose lines stay.
pub(super) const NEVER: &str = "never";

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let (input, next) = (json!({ "limit": 50 }), ("nextToken", "nextToken"));
    let listed = emulator.client.pages(API, "DescribeLogGroups", input, "logGroups", next).await?;
    let mut seen = Seen::default();
    let mut others = Vec::new();
    for group in &listed {
        let id = ResourceId::new(ResourceKind::LogGroup, group["logGroupName"].as_str().unwrap_or_default());
        if declared.iter().any(|resource| resource.id == id) {
            let retention = group["retentionInDays"].as_u64().map_or_else(|| NEVER.into(), |days| days.to_string());
            seen.note(id, Some(Properties::from([(Property::Retention, retention)])), false);
        } else {
            others.push(id);
        }
    }
    let looked = others.into_iter().map(async |id| {
        let input = json!({ "logGroupName": id.name });
        let answer = emulator.client.json(API, "ListTagsLogGroup", &input).await?;
        Ok::<_, AwsError>((id, answer["tags"][STACK_TAG] == json!(emulator.stack)))
    });
    for (id, ours) in try_join_all(looked).await? {
        seen.note(id, None, ours);
    }
    Ok(seen)
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let input = json!({ "logGroupName": resource.id.name, "tags": { STACK_TAG: emulator.stack } });
    emulator.client.json(API, "CreateLogGroup", &input).await?;
    if resource.wanted[&Property::Retention] == NEVER { Ok(()) } else { update(emulator, resource).await }
}

async fn update(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let name = &resource.id.name;
    let (action, input) = match resource.wanted[&Property::Retention].parse::<u64>() {
        Ok(days) => ("PutRetentionPolicy", json!({ "logGroupName": name, "retentionInDays": days })),
        Err(_) => ("DeleteRetentionPolicy", json!({ "logGroupName": name })),
    };
    emulator.client.json(API, action, &input).await.map(drop)
}

async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    emulator.client.json(API, "DeleteLogGroup", &json!({ "logGroupName": name })).await.map(drop)
}

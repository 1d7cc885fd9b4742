//! Parameter Store's parameters.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::client::{Answer, AwsError};
use super::diff::Seen;
use super::{Emulator, STACK_TAG, objects};
use crate::model::aws::{Api, Properties, Resource, ResourceId, ResourceKind};

/// How many can be asked for at once.
const BATCH: usize = 10;

pub(super) async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let batches = declared.chunks(BATCH).map(|batch| values(emulator, batch));
    let (listed, values) = tokio::try_join!(names(emulator), try_join_all(batches))?;
    let mut seen = Seen::default();
    for (name, found) in values.into_iter().flatten() {
        seen.note(ResourceId::new(ResourceKind::Parameter, name), Some(found), false);
    }
    let others = listed.into_iter().map(|name| ResourceId::new(ResourceKind::Parameter, name));
    let others = others.filter(|id| !seen.existing.contains_key(id));
    let looked = others.map(async |id| {
        let input = json!({ "ResourceType": "Parameter", "ResourceId": id.name });
        let answer = emulator.client.json(Api::Ssm, "ListTagsForResource", &input).await?;
        Ok::<_, AwsError>((id, emulator.has_our_tag(&answer["TagList"])))
    });
    for (id, ours) in try_join_all(looked.collect::<Vec<_>>()).await? {
        seen.note(id, None, ours);
    }
    Ok(seen)
}

async fn names(emulator: &Emulator) -> Answer<Vec<String>> {
    let (mut found, mut input) = (Vec::new(), json!({ "MaxResults": 50 }));
    loop {
        let page: Value = emulator.client.json(Api::Ssm, "DescribeParameters", &input).await?;
        let named = objects(&page["Parameters"]).filter_map(|parameter| parameter["Name"].as_str());
        found.extend(named.map(str::to_owned));
        match page["NextToken"].as_str().filter(|next| !next.is_empty()) {
            Some(next) => input["NextToken"] = json!(next),
            None => return Ok(found),
        }
    }
}

async fn values(emulator: &Emulator, batch: &[&Resource]) -> Answer<BTreeMap<String, Properties>> {
    let names: Vec<&str> = batch.iter().map(|resource| resource.id.name.as_str()).collect();
    let input = json!({ "Names": names, "WithDecryption": true });
    let answer = emulator.client.json(Api::Ssm, "GetParameters", &input).await?;
    let found = objects(&answer["Parameters"]).filter_map(|parameter| {
        let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
        Some((
            parameter["Name"].as_str()?.to_owned(),
            Properties::from([("value", text("Value")), ("type", text("Type"))]),
        ))
    });
    Ok(found.collect())
}

pub(super) async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut input = input(resource);
    input["Tags"] = json!([{ "Key": STACK_TAG, "Value": emulator.stack }]);
    emulator.client.json(Api::Ssm, "PutParameter", &input).await.map(drop)
}

pub(super) async fn update(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut input = input(resource);
    input["Overwrite"] = json!(true);
    emulator.client.json(Api::Ssm, "PutParameter", &input).await.map(drop)
}

fn input(resource: &Resource) -> Value {
    json!({ "Name": resource.id.name, "Value": resource.wanted["value"], "Type": resource.wanted["type"] })
}

pub(super) async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    emulator.client.json(Api::Ssm, "DeleteParameter", &json!({ "Name": name })).await.map(drop)
}

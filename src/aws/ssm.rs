//! Parameter Store's parameters.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG, objects};
use crate::model::aws::{Properties, Property, Resource, ResourceId, ResourceKind};

const API: JsonApi = JsonApi { scope: "ssm", prefix: "AmazonSSM", version: "1.1" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "parameters",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, _| Box::pin(update(emulator, resource)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, &id.name))),
};

/// How many can be asked for at once.
const BATCH: usize = 10;

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
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
        let answer = emulator.client.json(API, "ListTagsForResource", &input).await?;
        Ok::<_, AwsError>((id, emulator.has_our_tag(&answer["TagList"])))
    });
    for (id, ours) in try_join_all(looked.collect::<Vec<_>>()).await? {
        seen.note(id, None, ours);
    }
    Ok(seen)
}

async fn names(emulator: &Emulator) -> Answer<Vec<String>> {
    let (input, next) = (json!({ "MaxResults": 50 }), ("NextToken", "NextToken"));
    let listed = emulator.client.pages(API, "DescribeParameters", input, "Parameters", next).await?;
    Ok(listed.iter().filter_map(|parameter| parameter["Name"].as_str()).map(str::to_owned).collect())
}

async fn values(emulator: &Emulator, batch: &[&Resource]) -> Answer<BTreeMap<String, Properties>> {
    let names: Vec<&str> = batch.iter().map(|resource| resource.id.name.as_str()).collect();
    let input = json!({ "Names": names, "WithDecryption": true });
    let answer = emulator.client.json(API, "GetParameters", &input).await?;
    let found = objects(&answer["Parameters"]).filter_map(|parameter| {
        let text = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
        Some((
            parameter["Name"].as_str()?.to_owned(),
            Properties::from([(Property::Value, text("Value")), (Property::Type, text("Type"))]),
        ))
    });
    Ok(found.collect())
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut input = input(resource);
    input["Tags"] = json!([{ "Key": STACK_TAG, "Value": emulator.stack }]);
    emulator.client.json(API, "PutParameter", &input).await.map(drop)
}

async fn update(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut input = input(resource);
    input["Overwrite"] = json!(true);
    emulator.client.json(API, "PutParameter", &input).await.map(drop)
}

fn input(resource: &Resource) -> Value {
    let wanted = &resource.wanted;
    json!({ "Name": resource.id.name, "Value": wanted[&Property::Value], "Type": wanted[&Property::Type] })
}

async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    emulator.client.json(API, "DeleteParameter", &json!({ "Name": name })).await.map(drop)
}

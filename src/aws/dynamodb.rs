//! DynamoDB's tables.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG, objects};
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

const API: JsonApi = JsonApi { scope: "dynamodb", prefix: "DynamoDB_20120810", version: "1.0" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "tables",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, properties| Box::pin(update(emulator, resource, properties)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, &id.name))),
};

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let next = ("LastEvaluatedTableName", "ExclusiveStartTableName");
    let listed = emulator.client.pages(API, "ListTables", json!({}), "TableNames", next).await?;
    let names = listed.iter().filter_map(Value::as_str);
    let looked = names.map(async |name| {
        let id = ResourceId::new(ResourceKind::Table, name);
        if declared.iter().any(|resource| resource.id == id) {
            return Ok::<_, AwsError>((id, Some(properties(emulator, name).await?), false));
        }
        let input = json!({ "ResourceArn": emulator.client.arn("dynamodb", &format!("table/{name}")) });
        let answer = emulator.client.json(API, "ListTagsOfResource", &input).await?;
        Ok((id, None, emulator.has_our_tag(&answer["Tags"])))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

async fn properties(emulator: &Emulator, name: &str) -> Answer<Properties> {
    let input = json!({ "TableName": name });
    let (about, ttl) = tokio::try_join!(
        emulator.client.json(API, "DescribeTable", &input),
        emulator.client.json(API, "DescribeTimeToLive", &input),
    )?;
    let table = &about["Table"];
    let types = |name: &str| {
        let mut all = objects(&table["AttributeDefinitions"]);
        all.find(|one| one["AttributeName"] == name)
            .and_then(|one| one["AttributeType"].as_str())
            .unwrap_or("S")
            .to_owned()
    };
    let keys = |schema: &Value| {
        let mut keys: Vec<&Value> = objects(schema).collect();
        keys.sort_by_key(|key| key["KeyType"] != "HASH");
        let named = keys.iter().filter_map(|key| key["AttributeName"].as_str());
        named.map(|name| format!("{name}:{}", types(name))).collect::<Vec<_>>().join(", ")
    };
    let mut indexes: Vec<String> = objects(&table["GlobalSecondaryIndexes"])
        .map(|index| format!("{}({})", index["IndexName"].as_str().unwrap_or_default(), keys(&index["KeySchema"])))
        .collect();
    indexes.sort();
    let ttl = &ttl["TimeToLiveDescription"];
    let ttl = ttl["AttributeName"].as_str().filter(|_| ttl["TimeToLiveStatus"] == "ENABLED").unwrap_or(NONE);
    Ok(Properties::from([
        (Property::Keys, keys(&table["KeySchema"])),
        (Property::Indexes, if indexes.is_empty() { NONE.into() } else { indexes.join("; ") }),
        (Property::Ttl, ttl.to_owned()),
    ]))
}

/// `id:S, created:N` as a key schema; what it names is added to the attributes.
fn schema(keys: &str, attributes: &mut Vec<Value>) -> Vec<Value> {
    let key = |(at, key): (usize, &str)| {
        let (name, kind) = key.split_once(':').unwrap_or((key, "S"));
        if !attributes.iter().any(|attribute| attribute["AttributeName"] == name) {
            attributes.push(json!({ "AttributeName": name, "AttributeType": kind }));
        }
        json!({ "AttributeName": name, "KeyType": if at == 0 { "HASH" } else { "RANGE" } })
    };
    keys.split(", ").enumerate().map(key).collect()
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut attributes = Vec::new();
    let keys = schema(&resource.wanted[&Property::Keys], &mut attributes);
    let indexes = resource.wanted[&Property::Indexes].split("; ").filter_map(|index| {
        let (name, keys) = index.strip_suffix(')')?.split_once('(')?;
        let keys = schema(keys, &mut attributes);
        Some(json!({ "IndexName": name, "KeySchema": keys, "Projection": { "ProjectionType": "ALL" } }))
    });
    let indexes: Vec<Value> = indexes.collect();
    let mut input = json!({
        "TableName": resource.id.name,
        "KeySchema": keys,
        "AttributeDefinitions": attributes,
        "BillingMode": "PAY_PER_REQUEST",
        "Tags": [{ "Key": STACK_TAG, "Value": emulator.stack }],
    });
    if !indexes.is_empty() {
        input["GlobalSecondaryIndexes"] = json!(indexes);
    }
    emulator.client.json(API, "CreateTable", &input).await?;
    if resource.wanted[&Property::Ttl] == NONE { Ok(()) } else { expire(emulator, resource, true).await }
}

async fn expire(emulator: &Emulator, resource: &Resource, enabled: bool) -> Answer<()> {
    let attribute = &resource.wanted[&Property::Ttl];
    let specification = json!({ "Enabled": enabled, "AttributeName": attribute });
    let input = json!({ "TableName": resource.id.name, "TimeToLiveSpecification": specification });
    emulator.client.json(API, "UpdateTimeToLive", &input).await.map(drop)
}

async fn update(emulator: &Emulator, resource: &Resource, properties: &[Property]) -> Answer<()> {
    let name = &resource.id.name;
    if let Some(property) = properties.iter().find(|property| **property != Property::Ttl) {
        return Err(super::fixed(*property, &format!("dynamodb delete-table --table-name {name}")));
    }
    expire(emulator, resource, resource.wanted[&Property::Ttl] != NONE).await
}

async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    emulator.client.json(API, "DeleteTable", &json!({ "TableName": name })).await.map(drop)
}

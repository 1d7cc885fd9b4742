//! Keys, by alias.

use futures_util::future::try_join_all;
use serde_json::json;

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG, objects};
use crate::model::aws::{Properties, Property, Resource, ResourceId, ResourceKind};

const API: JsonApi = JsonApi { scope: "kms", prefix: "TrentService", version: "1.1" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "keys",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, properties| Box::pin(update(emulator, resource, properties)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, id))),
};

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let (input, next) = (json!({ "Limit": 100 }), ("NextMarker", "Marker"));
    let listed = emulator.client.pages(API, "ListAliases", input, "Aliases", next).await?;
    let aliases = listed.iter().filter_map(|alias| {
        let name = alias["AliasName"].as_str()?.strip_prefix("alias/")?;
        // Those of AWS's own keys.
        (!name.starts_with("aws/")).then_some((name, alias["TargetKeyId"].as_str()?))
    });
    let looked = aliases.map(async |(name, key)| {
        let id = ResourceId::new(ResourceKind::Key, name);
        emulator.learn(&id, key);
        let input = json!({ "KeyId": key });
        if declared.iter().any(|resource| resource.id == id) {
            return Ok::<_, AwsError>((id, Some(properties(emulator, key).await?), false));
        }
        let answer = emulator.client.json(API, "ListResourceTags", &input).await?;
        let ours = objects(&answer["Tags"]).any(|tag| tag["TagKey"] == STACK_TAG && tag["TagValue"] == *emulator.stack);
        Ok((id, None, ours))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

async fn properties(emulator: &Emulator, key: &str) -> Answer<Properties> {
    let input = json!({ "KeyId": key });
    let (about, rotation) = tokio::try_join!(
        emulator.client.json(API, "DescribeKey", &input),
        emulator.client.json(API, "GetKeyRotationStatus", &input),
    )?;
    let rotation = if rotation["KeyRotationEnabled"] == true { "on" } else { "off" };
    let description = about["KeyMetadata"]["Description"].as_str().unwrap_or_default();
    Ok(Properties::from([(Property::Description, description.to_owned()), (Property::Rotation, rotation.to_owned())]))
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let tags = json!([{ "TagKey": STACK_TAG, "TagValue": emulator.stack }]);
    let input = json!({ "Description": resource.wanted[&Property::Description], "Tags": tags });
    let answer = emulator.client.json(API, "CreateKey", &input).await?;
    let key = answer["KeyMetadata"]["KeyId"].as_str().unwrap_or_default();
    emulator.learn(&resource.id, key);
    let input = json!({ "AliasName": format!("alias/{}", resource.id.name), "TargetKeyId": key });
    emulator.client.json(API, "CreateAlias", &input).await?;
    if resource.wanted[&Property::Rotation] == "on" { rotate(emulator, resource).await } else { Ok(()) }
}

async fn rotate(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let action = if resource.wanted[&Property::Rotation] == "on" { "EnableKeyRotation" } else { "DisableKeyRotation" };
    let input = json!({ "KeyId": emulator.known(&resource.id) });
    emulator.client.json(API, action, &input).await.map(drop)
}

async fn update(emulator: &Emulator, resource: &Resource, properties: &[Property]) -> Answer<()> {
    if properties.contains(&Property::Rotation) {
        rotate(emulator, resource).await?;
    }
    if properties.contains(&Property::Description) {
        let input =
            json!({ "KeyId": emulator.known(&resource.id), "Description": resource.wanted[&Property::Description] });
        emulator.client.json(API, "UpdateKeyDescription", &input).await?;
    }
    Ok(())
}

/// The alias goes at once, the key after the shortest time that KMS allows.
async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    let alias = json!({ "AliasName": format!("alias/{}", id.name) });
    emulator.client.json(API, "DeleteAlias", &alias).await?;
    let input = json!({ "KeyId": emulator.known(id), "PendingWindowInDays": 7 });
    emulator.client.json(API, "ScheduleKeyDeletion", &input).await.map(drop)
}

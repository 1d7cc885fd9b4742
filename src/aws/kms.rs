//! Keys, by alias.

use futures_util::future::try_join_all;
use serde_json::json;

use super::client::{Answer, AwsError};
use super::diff::Seen;
use super::{Emulator, STACK_TAG, objects};
use crate::model::aws::{Api, Properties, Resource, ResourceId, ResourceKind};

pub(super) async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let (input, next) = (json!({ "Limit": 100 }), ("NextMarker", "Marker"));
    let listed = emulator.client.pages(Api::Kms, "ListAliases", input, "Aliases", next).await?;
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
        let answer = emulator.client.json(Api::Kms, "ListResourceTags", &input).await?;
        let ours = objects(&answer["Tags"]).any(|tag| tag["TagKey"] == STACK_TAG && tag["TagValue"] == *emulator.stack);
        Ok((id, None, ours))
    });
    let mut seen = Seen::default();
    for (id, found, ours) in try_join_all(looked).await? {
        seen.note(id, found, ours);
    }
    Ok(seen)
}

async fn properties(emulator: &Emulator, key: &str) -> Answer<Properties> {
    let input = json!({ "KeyId": key });
    let (about, rotation) = tokio::try_join!(
        emulator.client.json(Api::Kms, "DescribeKey", &input),
        emulator.client.json(Api::Kms, "GetKeyRotationStatus", &input),
    )?;
    let rotation = if rotation["KeyRotationEnabled"] == true { "on" } else { "off" };
    let description = about["KeyMetadata"]["Description"].as_str().unwrap_or_default();
    Ok(Properties::from([("description", description.to_owned()), ("rotation", rotation.to_owned())]))
}

pub(super) async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let tags = json!([{ "TagKey": STACK_TAG, "TagValue": emulator.stack }]);
    let input = json!({ "Description": resource.wanted["description"], "Tags": tags });
    let answer = emulator.client.json(Api::Kms, "CreateKey", &input).await?;
    let key = answer["KeyMetadata"]["KeyId"].as_str().unwrap_or_default();
    emulator.learn(&resource.id, key);
    let input = json!({ "AliasName": format!("alias/{}", resource.id.name), "TargetKeyId": key });
    emulator.client.json(Api::Kms, "CreateAlias", &input).await?;
    if resource.wanted["rotation"] == "on" { rotate(emulator, resource).await } else { Ok(()) }
}

async fn rotate(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let action = if resource.wanted["rotation"] == "on" { "EnableKeyRotation" } else { "DisableKeyRotation" };
    let input = json!({ "KeyId": emulator.known(&resource.id) });
    emulator.client.json(Api::Kms, action, &input).await.map(drop)
}

pub(super) async fn update(emulator: &Emulator, resource: &Resource, properties: &[&'static str]) -> Answer<()> {
    if properties.contains(&"rotation") {
        rotate(emulator, resource).await?;
    }
    if properties.contains(&"description") {
        let input = json!({ "KeyId": emulator.known(&resource.id), "Description": resource.wanted["description"] });
        emulator.client.json(Api::Kms, "UpdateKeyDescription", &input).await?;
    }
    Ok(())
}

/// The alias is removed at once, the key after the shortest time that KMS allows.
pub(super) async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    let alias = json!({ "AliasName": format!("alias/{}", id.name) });
    emulator.client.json(Api::Kms, "DeleteAlias", &alias).await?;
    let input = json!({ "KeyId": emulator.known(id), "PendingWindowInDays": 7 });
    emulator.client.json(Api::Kms, "ScheduleKeyDeletion", &input).await.map(drop)
}

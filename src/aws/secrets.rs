//! Secrets Manager's secrets.

use futures_util::future::try_join_all;
use serde_json::json;

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG};
use crate::model::aws::{Properties, Property, Resource, ResourceId, ResourceKind};

const API: JsonApi = JsonApi { scope: "secretsmanager", prefix: "secretsmanager", version: "1.1" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "secrets",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, _| Box::pin(update(emulator, resource)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, &id.name))),
};

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let (input, next) = (json!({ "MaxResults": 100 }), ("NextToken", "NextToken"));
    let listed = emulator.client.pages(API, "ListSecrets", input, "SecretList", next).await?;
    let looked = listed.iter().map(async |secret| {
        let id = ResourceId::new(ResourceKind::Secret, secret["Name"].as_str().unwrap_or_default());
        emulator.learn(&id, secret["ARN"].as_str().unwrap_or_default());
        if declared.iter().any(|resource| resource.id == id) {
            let value = value(emulator, &id.name).await?;
            return Ok::<_, AwsError>((id, Some(Properties::from([(Property::Value, value)])), false));
        }
        Ok((id, None, emulator.has_our_tag(&secret["Tags"])))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

async fn value(emulator: &Emulator, name: &str) -> Answer<String> {
    match emulator.client.json(API, "GetSecretValue", &json!({ "SecretId": name })).await {
        Ok(answer) => Ok(answer["SecretString"].as_str().unwrap_or_default().to_owned()),
        // One that was made without a value.
        Err(refused) if refused.is_missing() => Ok(String::new()),
        Err(refused) => Err(refused),
    }
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let tags = json!([{ "Key": STACK_TAG, "Value": emulator.stack }]);
    let (name, value) = (&resource.id.name, &resource.wanted[&Property::Value]);
    let token = emulator.client.token(name);
    let input = json!({ "Name": name, "SecretString": value, "Tags": tags, "ClientRequestToken": token });
    let answer = emulator.client.json(API, "CreateSecret", &input).await?;
    emulator.learn(&resource.id, answer["ARN"].as_str().unwrap_or_default());
    Ok(())
}

async fn update(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let (name, value) = (&resource.id.name, &resource.wanted[&Property::Value]);
    let input = json!({ "SecretId": name, "SecretString": value, "ClientRequestToken": emulator.client.token(name) });
    emulator.client.json(API, "PutSecretValue", &input).await.map(drop)
}

async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    let input = json!({ "SecretId": name, "ForceDeleteWithoutRecovery": true });
    emulator.client.json(API, "DeleteSecret", &input).await.map(drop)
}

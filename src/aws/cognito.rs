//! User pools. Their clients, groups and users are in `user_pool_members`.

use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG, user_pool_members};
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

pub(super) const API: JsonApi =
    JsonApi { scope: "cognito-idp", prefix: "AWSCognitoIdentityProviderService", version: "1.1" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "user pools",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| match resource.id.kind {
        ResourceKind::UserPool => Box::pin(create(emulator, resource)),
        _ => Box::pin(user_pool_members::create(emulator, resource)),
    },
    update: |emulator, resource, properties| match resource.id.kind {
        ResourceKind::UserPool => Box::pin(update(emulator, resource, properties)),
        _ => Box::pin(user_pool_members::update(emulator, resource, properties)),
    },
    remove: Some(|emulator, id| match id.kind {
        ResourceKind::UserPool => Box::pin(remove(emulator, id)),
        _ => Box::pin(user_pool_members::remove(emulator, id)),
    }),
};

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let (input, next) = (json!({ "MaxResults": 60 }), ("NextToken", "NextToken"));
    let listed = emulator.client.pages(API, "ListUserPools", input, "UserPools", next).await?;
    let looked = listed.iter().map(async |pool| {
        let name = pool["Name"].as_str().unwrap_or_default();
        let id = ResourceId::new(ResourceKind::UserPool, name);
        let key = pool["Id"].as_str().unwrap_or_default();
        emulator.learn(&id, key);
        let input = json!({ "UserPoolId": key });
        let about = emulator.client.json(API, "DescribeUserPool", &input);
        if declared.iter().any(|resource| resource.id == id) {
            let (about, mut seen) = try_join(about, user_pool_members::look(emulator, name, key, declared)).await?;
            seen.note(id, Some(properties(&about["UserPool"])), false);
            return Ok(seen);
        }
        let mut seen = Seen::default();
        let ours = about.await?["UserPool"]["UserPoolTags"][STACK_TAG] == json!(emulator.stack);
        seen.note(id, None, ours);
        Ok::<_, AwsError>(seen)
    });
    let all = try_join_all(looked).await?;
    Ok(all.into_iter().fold(Seen::default(), Seen::with))
}

fn properties(pool: &Value) -> Properties {
    let mfa = match pool["MfaConfiguration"].as_str() {
        Some("ON") => "required",
        Some("OPTIONAL") => "optional",
        _ => "off",
    };
    let words = |name: &str| {
        let mut words: Vec<&str> = pool[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        words.sort_unstable();
        if words.is_empty() { NONE.into() } else { words.join(", ") }
    };
    let policy = &pool["Policies"]["PasswordPolicy"];
    let has = |(name, word): &(&str, &'static str)| (policy[*name] == true).then_some(*word);
    let length = policy["MinimumLength"].as_u64().unwrap_or(8).to_string();
    let password = std::iter::once(length.as_str()).chain(SORTS.iter().filter_map(has)).collect::<Vec<_>>().join(", ");
    Properties::from([
        (Property::Mfa, mfa.to_owned()),
        (Property::SignInWith, words("UsernameAttributes")),
        (Property::Password, password),
        (Property::Domain, pool["Domain"].as_str().filter(|domain| !domain.is_empty()).unwrap_or(NONE).to_owned()),
    ])
}

/// What a password must have: in Cognito's words and as it is declared.
const SORTS: [(&str, &str); 4] = [
    ("RequireUppercase", "uppercase"),
    ("RequireLowercase", "lowercase"),
    ("RequireNumbers", "digits"),
    ("RequireSymbols", "symbols"),
];

/// What can be said in the creation and changed afterwards. Whatever is not said again in a change is forgotten.
fn settings(resource: &Resource) -> Value {
    let words: Vec<&str> = resource.wanted[&Property::Password].split(", ").collect();
    let mut policy = json!({ "MinimumLength": words[0].parse::<u32>().unwrap_or(8) });
    for (name, word) in SORTS {
        policy[name] = json!(words.contains(&word));
    }
    let verified: Vec<&str> = resource.wanted[&Property::SignInWith].split(", ").filter(|word| *word != NONE).collect();
    // A code is sent to the address even when it is not what users sign in with.
    let verified = if verified.is_empty() { vec!["email"] } else { verified };
    json!({ "Policies": { "PasswordPolicy": policy }, "AutoVerifiedAttributes": verified })
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut input = settings(resource);
    input["PoolName"] = json!(resource.id.name);
    input["UserPoolTags"] = json!({ STACK_TAG: emulator.stack });
    let names: Vec<&str> = resource.wanted[&Property::SignInWith].split(", ").filter(|word| *word != NONE).collect();
    if !names.is_empty() {
        input["UsernameAttributes"] = json!(names);
    }
    let answer = emulator.client.json(API, "CreateUserPool", &input).await?;
    emulator.learn(&resource.id, answer["UserPool"]["Id"].as_str().unwrap_or_default());
    if resource.wanted[&Property::Mfa] != "off" {
        second_factor(emulator, resource).await?;
    }
    if resource.wanted[&Property::Domain] == NONE { Ok(()) } else { domain(emulator, resource).await }
}

async fn second_factor(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let state = match resource.wanted[&Property::Mfa].as_str() {
        "required" => "ON",
        "optional" => "OPTIONAL",
        _ => "OFF",
    };
    let input = json!({
        "UserPoolId": emulator.known(&resource.id),
        "MfaConfiguration": state,
        "SoftwareTokenMfaConfiguration": { "Enabled": state != "OFF" },
    });
    emulator.client.json(API, "SetUserPoolMfaConfig", &input).await.map(drop)
}

/// A pool has one domain: its old one is removed first.
async fn domain(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let pool = emulator.known(&resource.id);
    let about = emulator.client.json(API, "DescribeUserPool", &json!({ "UserPoolId": pool })).await?;
    if let Some(old) = about["UserPool"]["Domain"].as_str().filter(|domain| !domain.is_empty()) {
        emulator.client.json(API, "DeleteUserPoolDomain", &json!({ "UserPoolId": pool, "Domain": old })).await?;
    }
    let wanted = &resource.wanted[&Property::Domain];
    if wanted == NONE {
        return Ok(());
    }
    let input = json!({ "UserPoolId": pool, "Domain": wanted });
    emulator.client.json(API, "CreateUserPoolDomain", &input).await.map(drop)
}

async fn update(emulator: &Emulator, resource: &Resource, properties: &[Property]) -> Answer<()> {
    let pool = emulator.known(&resource.id);
    for property in properties {
        match *property {
            Property::Mfa => second_factor(emulator, resource).await?,
            Property::Domain => domain(emulator, resource).await?,
            Property::Password => {
                let mut input = settings(resource);
                input["UserPoolId"] = json!(pool);
                emulator.client.json(API, "UpdateUserPool", &input).await?;
                // What was not said again.
                second_factor(emulator, resource).await?;
            }
            property => {
                return Err(super::fixed(property, &format!("cognito-idp delete-user-pool --user-pool-id {pool}")));
            }
        }
    }
    Ok(())
}

async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    let pool = emulator.known(id);
    let about = emulator.client.json(API, "DescribeUserPool", &json!({ "UserPoolId": pool })).await?;
    if let Some(domain) = about["UserPool"]["Domain"].as_str().filter(|domain| !domain.is_empty()) {
        emulator.client.json(API, "DeleteUserPoolDomain", &json!({ "UserPoolId": pool, "Domain": domain })).await?;
    }
    emulator.client.json(API, "DeleteUserPool", &json!({ "UserPoolId": pool })).await.map(drop)
}

//! User pools. Their clients, groups and users are in `user_pool_members`.

use futures_util::future::{try_join, try_join_all};
use serde_json::{Value, json};

use super::client::{Answer, AwsError};
use super::diff::Seen;
use super::{Emulator, STACK_TAG, user_pool_members};
use crate::model::aws::{Api, NONE, Properties, Resource, ResourceId, ResourceKind};

const API: Api = Api::Cognito;

pub(super) async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
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
        ("mfa", mfa.to_owned()),
        ("sign_in_with", words("UsernameAttributes")),
        ("password", password),
        ("domain", pool["Domain"].as_str().filter(|domain| !domain.is_empty()).unwrap_or(NONE).to_owned()),
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
    let words: Vec<&str> = resource.wanted["password"].split(", ").collect();
    let mut policy = json!({ "MinimumLength": words[0].parse::<u32>().unwrap_or(8) });
    for (name, word) in SORTS {
        policy[name] = json!(words.contains(&word));
    }
    let verified: Vec<&str> = resource.wanted["sign_in_with"].split(", ").filter(|word| *word != NONE).collect();
    // A code is sent to the address even when it is not what users sign in with.
    let verified = if verified.is_empty() { vec!["email"] } else { verified };
    json!({ "Policies": { "PasswordPolicy": policy }, "AutoVerifiedAttributes": verified })
}

pub(super) async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut input = settings(resource);
    input["PoolName"] = json!(resource.id.name);
    input["UserPoolTags"] = json!({ STACK_TAG: emulator.stack });
    let names: Vec<&str> = resource.wanted["sign_in_with"].split(", ").filter(|word| *word != NONE).collect();
    if !names.is_empty() {
        input["UsernameAttributes"] = json!(names);
    }
    let answer = emulator.client.json(API, "CreateUserPool", &input).await?;
    emulator.learn(&resource.id, answer["UserPool"]["Id"].as_str().unwrap_or_default());
    if resource.wanted["mfa"] != "off" {
        second_factor(emulator, resource).await?;
    }
    if resource.wanted["domain"] == NONE { Ok(()) } else { domain(emulator, resource).await }
}

async fn second_factor(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let state = match resource.wanted["mfa"].as_str() {
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
    let wanted = &resource.wanted["domain"];
    if wanted == NONE {
        return Ok(());
    }
    let input = json!({ "UserPoolId": pool, "Domain": wanted });
    emulator.client.json(API, "CreateUserPoolDomain", &input).await.map(drop)
}

pub(super) async fn update(emulator: &Emulator, resource: &Resource, properties: &[&'static str]) -> Answer<()> {
    let pool = emulator.known(&resource.id);
    for property in properties {
        match *property {
            "mfa" => second_factor(emulator, resource).await?,
            "domain" => domain(emulator, resource).await?,
            "password" => {
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

pub(super) async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    let pool = emulator.known(id);
    let about = emulator.client.json(API, "DescribeUserPool", &json!({ "UserPoolId": pool })).await?;
    if let Some(domain) = about["UserPool"]["Domain"].as_str().filter(|domain| !domain.is_empty()) {
        emulator.client.json(API, "DeleteUserPoolDomain", &json!({ "UserPoolId": pool, "Domain": domain })).await?;
    }
    emulator.client.json(API, "DeleteUserPool", &json!({ "UserPoolId": pool })).await.map(drop)
}

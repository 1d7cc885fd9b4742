//! Members of a user pool: application clients, groups, users. Of those that are no longer declared, only groups record
//! their owner; clients and users may belong to the application, and are kept.

use futures_util::future::{try_join_all, try_join3};
use serde_json::{Value, json};

use super::Emulator;
use super::answer::{Answer, AwsError};
use super::cognito::API;
use super::diff::Seen;
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

/// How the next page is asked for.
const NEXT: (&str, &str) = ("NextToken", "NextToken");

/// The description of a group that was made here: groups and clients can't carry tags.
const OURS: &str = "declared in services.toml of ";

pub(super) async fn look(emulator: &Emulator, pool: &str, key: &str, declared: &[&Resource]) -> Answer<Seen> {
    let all = try_join3(
        clients(emulator, pool, key, declared),
        groups(emulator, pool, key, declared),
        users(emulator, pool, key, declared),
    );
    let (clients, groups, users) = all.await?;
    Ok(clients.with(groups).with(users))
}

fn id(kind: ResourceKind, pool: &str, name: &str) -> ResourceId {
    ResourceId::new(kind, format!("{pool}/{name}"))
}

/// Pool and name of what belongs to one.
fn split(id: &ResourceId) -> (ResourceId, &str) {
    let (pool, name) = id.name.split_once('/').unwrap_or_default();
    (ResourceId::new(ResourceKind::UserPool, pool), name)
}

async fn clients(emulator: &Emulator, pool: &str, key: &str, declared: &[&Resource]) -> Answer<Seen> {
    let input = json!({ "UserPoolId": key, "MaxResults": 60 });
    let listed = emulator.client.pages(API, "ListUserPoolClients", input, "UserPoolClients", NEXT).await?;
    let looked = listed.iter().map(async |client| {
        let id = id(ResourceKind::UserPoolClient, pool, client["ClientName"].as_str().unwrap_or_default());
        let client = client["ClientId"].as_str().unwrap_or_default();
        emulator.learn(&id, client);
        if !declared.iter().any(|resource| resource.id == id) {
            return Ok((id, None));
        }
        let input = json!({ "UserPoolId": key, "ClientId": client });
        let answer = emulator.client.json(API, "DescribeUserPoolClient", &input).await?;
        Ok::<_, AwsError>((id, Some(properties(&answer["UserPoolClient"]))))
    });
    let mut seen = Seen::default();
    for (id, found) in try_join_all(looked).await? {
        seen.note(id, found, false);
    }
    Ok(seen)
}

fn list(value: &Value) -> String {
    let mut words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.sort_unstable();
    if words.is_empty() { NONE.into() } else { words.join(", ") }
}

fn properties(client: &Value) -> Properties {
    let flows: Vec<&Value> =
        client["ExplicitAuthFlows"].as_array().into_iter().flatten().filter(|flow| **flow != REFRESH).collect();
    Properties::from([
        (Property::Flows, list(&json!(flows))),
        (Property::Callbacks, list(&client["CallbackURLs"])),
        (Property::Logouts, list(&client["LogoutURLs"])),
        (Property::Secret, if client["ClientSecret"].is_string() { "yes" } else { "no" }.to_owned()),
    ])
}

/// The flow that every client has.
const REFRESH: &str = "ALLOW_REFRESH_TOKEN_AUTH";

/// All settings of a client: whatever is not said again in a change is forgotten.
fn settings(emulator: &Emulator, resource: &Resource) -> Value {
    let (pool, name) = split(&resource.id);
    let words =
        |property: Property| resource.wanted[&property].split(", ").filter(|word| *word != NONE).collect::<Vec<_>>();
    let mut flows = words(Property::Flows);
    flows.push(REFRESH);
    let mut input = json!({
        "UserPoolId": emulator.known(&pool),
        "ClientName": name,
        "ExplicitAuthFlows": flows,
        "PreventUserExistenceErrors": "ENABLED",
    });
    let callbacks = words(Property::Callbacks);
    if !callbacks.is_empty() {
        input["CallbackURLs"] = json!(callbacks);
        input["LogoutURLs"] = json!(words(Property::Logouts));
        input["AllowedOAuthFlows"] = json!(["code"]);
        input["AllowedOAuthScopes"] = json!(["openid", "email", "profile"]);
        input["AllowedOAuthFlowsUserPoolClient"] = json!(true);
        input["SupportedIdentityProviders"] = json!(["COGNITO"]);
    }
    input
}

async fn groups(emulator: &Emulator, pool: &str, key: &str, declared: &[&Resource]) -> Answer<Seen> {
    let listed = emulator.client.pages(API, "ListGroups", json!({ "UserPoolId": key }), "Groups", NEXT).await?;
    let mut seen = Seen::default();
    for group in &listed {
        let id = id(ResourceKind::UserPoolGroup, pool, group["GroupName"].as_str().unwrap_or_default());
        let is_declared = declared.iter().any(|resource| resource.id == id);
        let ours = group["Description"] == json!(format!("{OURS}{}", emulator.stack));
        seen.note(id, is_declared.then(Properties::new), ours);
    }
    Ok(seen)
}

async fn users(emulator: &Emulator, pool: &str, key: &str, declared: &[&Resource]) -> Answer<Seen> {
    let of_pool =
        |resource: &&&Resource| resource.id.kind == ResourceKind::UserPoolUser && split(&resource.id).0.name == pool;
    let looked = declared.iter().filter(of_pool).map(async |resource| {
        let input = json!({ "UserPoolId": key, "Username": split(&resource.id).1 });
        match emulator.client.json(API, "AdminGetUser", &input).await {
            Err(refused) if refused.is_missing() => return Ok(None),
            answer => answer.map(drop)?,
        }
        let listed = emulator.client.pages(API, "AdminListGroupsForUser", input, "Groups", NEXT).await?;
        let names: Vec<&Value> = listed.iter().map(|group| &group["GroupName"]).collect();
        Ok::<_, AwsError>(Some((resource.id.clone(), Properties::from([(Property::Groups, list(&json!(names)))]))))
    });
    let mut seen = Seen::default();
    for (id, found) in try_join_all(looked.collect::<Vec<_>>()).await?.into_iter().flatten() {
        seen.note(id, Some(found), false);
    }
    Ok(seen)
}

pub(super) async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let (pool, name) = split(&resource.id);
    let pool = emulator.known(&pool);
    match resource.id.kind {
        ResourceKind::UserPoolClient => {
            let mut input = settings(emulator, resource);
            input["GenerateSecret"] = json!(resource.wanted[&Property::Secret] == "yes");
            let answer = emulator.client.json(API, "CreateUserPoolClient", &input).await?;
            emulator.learn(&resource.id, answer["UserPoolClient"]["ClientId"].as_str().unwrap_or_default());
            Ok(())
        }
        ResourceKind::UserPoolGroup => {
            let description = format!("{OURS}{}", emulator.stack);
            let input = json!({ "UserPoolId": pool, "GroupName": name, "Description": description });
            emulator.client.json(API, "CreateGroup", &input).await.map(drop)
        }
        _ => user(emulator, resource, &pool, name).await,
    }
}

/// A user who can sign in at once.
async fn user(emulator: &Emulator, resource: &Resource, pool: &str, name: &str) -> Answer<()> {
    let attributes: Value = serde_json::from_str(&resource.wanted[&Property::Attributes]).unwrap_or_default();
    let attributes = attributes.as_object().into_iter().flatten();
    let attributes: Vec<Value> = attributes.map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    let input = json!({
        "UserPoolId": pool, "Username": name, "UserAttributes": attributes, "MessageAction": "SUPPRESS",
    });
    emulator.client.json(API, "AdminCreateUser", &input).await?;
    let password = &resource.wanted[&Property::Password];
    let input = json!({ "UserPoolId": pool, "Username": name, "Password": password, "Permanent": true });
    emulator.client.json(API, "AdminSetUserPassword", &input).await?;
    join(emulator, resource, pool, name).await
}

/// Puts a user into the groups that are declared.
async fn join(emulator: &Emulator, resource: &Resource, pool: &str, name: &str) -> Answer<()> {
    for group in resource.wanted[&Property::Groups].split(", ").filter(|group| *group != NONE) {
        let input = json!({ "UserPoolId": pool, "Username": name, "GroupName": group });
        emulator.client.json(API, "AdminAddUserToGroup", &input).await?;
    }
    Ok(())
}

pub(super) async fn update(emulator: &Emulator, resource: &Resource, properties: &[Property]) -> Answer<()> {
    let (pool, name) = split(&resource.id);
    let pool = emulator.known(&pool);
    if resource.id.kind == ResourceKind::UserPoolUser {
        return leave_and_join(emulator, resource, &pool, name).await;
    }
    let client = emulator.known(&resource.id);
    if properties.contains(&Property::Secret) {
        let remedy = format!("cognito-idp delete-user-pool-client --user-pool-id {pool} --client-id {client}");
        return Err(super::fixed(Property::Secret, &remedy));
    }
    let mut input = settings(emulator, resource);
    input["ClientId"] = json!(client);
    emulator.client.json(API, "UpdateUserPoolClient", &input).await.map(drop)
}

async fn leave_and_join(emulator: &Emulator, resource: &Resource, pool: &str, name: &str) -> Answer<()> {
    let input = json!({ "UserPoolId": pool, "Username": name });
    let listed = emulator.client.pages(API, "AdminListGroupsForUser", input, "Groups", NEXT).await?;
    let wanted: Vec<&str> = resource.wanted[&Property::Groups].split(", ").collect();
    for group in listed.iter().filter_map(|group| group["GroupName"].as_str()) {
        if !wanted.contains(&group) {
            let input = json!({ "UserPoolId": pool, "Username": name, "GroupName": group });
            emulator.client.json(API, "AdminRemoveUserFromGroup", &input).await?;
        }
    }
    join(emulator, resource, pool, name).await
}

pub(super) async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    if id.kind != ResourceKind::UserPoolGroup {
        // Never known to be ours.
        return Ok(());
    }
    let (pool, name) = split(id);
    let pool = emulator.known(&pool);
    let input = json!({ "UserPoolId": pool, "GroupName": name });
    emulator.client.json(API, "DeleteGroup", &input).await.map(drop)
}

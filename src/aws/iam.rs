//! Roles, each with one policy of ours in it.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::answer::{Answer, AwsError};
use super::client::QueryApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::xml::{self, Node, all, text};
use super::{Emulator, STACK_TAG};
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

const API: QueryApi = QueryApi { scope: "iam", version: "2010-05-08" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "roles",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, properties| Box::pin(update(emulator, resource, properties)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, &id.name))),
};

/// Name of the policy inside a role.
const POLICY: &str = "taskava";

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let input = [("MaxItems", "1000")];
    let listed = emulator.client.query_pages(API, "ListRoles", &input, roles, ("Marker", "Marker")).await?;
    let looked = listed.into_iter().map(async |role| {
        let id = ResourceId::new(ResourceKind::Role, role.name);
        emulator.learn(&id, &role.arn);
        if declared.iter().any(|resource| resource.id == id) {
            let trust = trusted(&document(&role.trust));
            let found =
                Properties::from([(Property::AssumedBy, trust), (Property::Allow, allowed(emulator, &id.name).await?)]);
            return Ok::<_, AwsError>((id, Some(found), false));
        }
        let tags = emulator.client.query(API, "ListRoleTags", &[("RoleName", &id.name)]).await?;
        let ours = xml::read(&tags, |tags| xml::tags(tags, "member"))?.iter().any(|tag| emulator.is_ours(tag));
        Ok((id, None, ours))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

/// A role as it is listed.
struct Role {
    name: String,
    arn: String,
    /// Who may take it: a document, percent-encoded.
    trust: String,
}

fn roles(page: Node<'_, '_>) -> Vec<Role> {
    let role = |role| {
        let text = |name| text(role, name).unwrap_or_default();
        Role { name: text("RoleName"), arn: text("Arn"), trust: text("AssumeRolePolicyDocument") }
    };
    all(page, "Roles").flat_map(|roles| all(roles, "member")).map(role).collect()
}

/// A document as IAM returns it: percent-encoded.
fn document(text: &str) -> Value {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let digits = String::from_utf8_lossy(&digits).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            byte => bytes.push(byte),
        }
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// One or many, sorted.
fn words(value: &Value) -> String {
    let mut words: Vec<&str> = match value {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    words.sort_unstable();
    words.join(", ")
}

fn trusted(document: &Value) -> String {
    words(&document["Statement"][0]["Principal"]["Service"])
}

async fn allowed(emulator: &Emulator, role: &str) -> Answer<String> {
    let input = [("RoleName", role), ("PolicyName", POLICY)];
    let answer = match emulator.client.query(API, "GetRolePolicy", &input).await {
        Ok(answer) => answer,
        Err(refused) if refused.is_missing() => return Ok(NONE.into()),
        Err(refused) => return Err(refused),
    };
    let policy = xml::read(&answer, |answer| text(answer, "PolicyDocument"))?.unwrap_or_default();
    let statement = &document(&policy)["Statement"][0];
    Ok(format!("{} on {}", words(&statement["Action"]), words(&statement["Resource"])))
}

fn trust(resource: &Resource) -> String {
    let services: Vec<&str> = resource.wanted[&Property::AssumedBy].split(", ").collect();
    let statement = json!({ "Effect": "Allow", "Principal": { "Service": services }, "Action": "sts:AssumeRole" });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let (name, trust) = (resource.id.name.as_str(), trust(resource));
    let input = [
        ("RoleName", name),
        ("AssumeRolePolicyDocument", &trust),
        ("Tags.member.1.Key", STACK_TAG),
        ("Tags.member.1.Value", &emulator.stack),
    ];
    let answer = emulator.client.query(API, "CreateRole", &input).await?;
    emulator.learn(&resource.id, &xml::read(&answer, |answer| text(answer, "Arn"))?.unwrap_or_default());
    if resource.wanted[&Property::Allow] == NONE { Ok(()) } else { allow(emulator, resource).await }
}

async fn allow(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let name = resource.id.name.as_str();
    let Some((actions, on)) = resource.wanted[&Property::Allow].split_once(" on ") else {
        let input = [("RoleName", name), ("PolicyName", POLICY)];
        return emulator.client.query(API, "DeleteRolePolicy", &input).await.map(drop);
    };
    let list = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let statement = json!({ "Effect": "Allow", "Action": list(actions), "Resource": list(on) });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    let input = [("RoleName", name), ("PolicyName", POLICY), ("PolicyDocument", policy.as_str())];
    emulator.client.query(API, "PutRolePolicy", &input).await.map(drop)
}

async fn update(emulator: &Emulator, resource: &Resource, properties: &[Property]) -> Answer<()> {
    if properties.contains(&Property::AssumedBy) {
        let input = [("RoleName", resource.id.name.as_str()), ("PolicyDocument", &trust(resource))];
        emulator.client.query(API, "UpdateAssumeRolePolicy", &input).await?;
    }
    if properties.contains(&Property::Allow) { allow(emulator, resource).await } else { Ok(()) }
}

async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    let input = [("RoleName", name), ("PolicyName", POLICY)];
    match emulator.client.query(API, "DeleteRolePolicy", &input).await {
        Err(refused) if !refused.is_missing() => return Err(refused),
        _ => {}
    }
    emulator.client.query(API, "DeleteRole", &[("RoleName", name)]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_decoded() {
        let text =
            "%7B%22Statement%22%3A%5B%7B%22Principal%22%3A%7B%22Service%22%3A%5B%22b%22%2C%22a%22%5D%7D%7D%5D%7D";
        assert_eq!(trusted(&document(text)), "a, b");
        assert_eq!(document("%"), Value::Null);
    }
}

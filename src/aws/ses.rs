//! SES identities. They can't carry tags, so the owner of one that is no longer declared is unknown: it is kept.

use super::Emulator;
use super::answer::Answer;
use super::client::QueryApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::xml::{Node, all, texts};
use crate::model::aws::{Properties, Resource, ResourceId, ResourceKind};

const API: QueryApi = QueryApi { scope: "ses", version: "2010-12-01" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "identities",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    // It exists or not.
    update: |_, _, _| Box::pin(async { Ok(()) }),
    remove: None,
};

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let names = |page: Node<'_, '_>| all(page, "Identities").flat_map(|list| texts(list, "member")).collect();
    let listed: Vec<String> =
        emulator.client.query_pages(API, "ListIdentities", &[], names, ("NextToken", "NextToken")).await?;
    let mut seen = Seen::default();
    for name in listed {
        let id = ResourceId::new(ResourceKind::Identity, name);
        let is_declared = declared.iter().any(|resource| resource.id == id);
        seen.note(id, is_declared.then(Properties::new), false);
    }
    Ok(seen)
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let name = resource.id.name.as_str();
    let (action, parameter) =
        if name.contains('@') { ("VerifyEmailIdentity", "EmailAddress") } else { ("VerifyDomainIdentity", "Domain") };
    emulator.client.query(API, action, &[(parameter, name)]).await.map(drop)
}

//! SES identities. They can't carry tags, so the owner of one that is no longer declared is unknown: it is kept.

use super::Emulator;
use super::client::Answer;
use super::diff::Seen;
use super::xml::{all, texts};
use crate::model::aws::{Api, Properties, Resource, ResourceId, ResourceKind};

pub(super) async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let pages = emulator.client.query_pages(Api::Ses, "ListIdentities", &[], ("NextToken", "NextToken")).await?;
    let mut seen = Seen::default();
    for name in pages.iter().flat_map(|page| all(page, "Identities")).flat_map(|list| texts(list, "member")) {
        let id = ResourceId::new(ResourceKind::Identity, name);
        let is_declared = declared.iter().any(|resource| resource.id == id);
        seen.note(id, is_declared.then(Properties::new), false);
    }
    Ok(seen)
}

pub(super) async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let name = resource.id.name.as_str();
    let (action, parameter) =
        if name.contains('@') { ("VerifyEmailIdentity", "EmailAddress") } else { ("VerifyDomainIdentity", "Domain") };
    emulator.client.query(Api::Ses, action, &[(parameter, name)]).await.map(drop)
}

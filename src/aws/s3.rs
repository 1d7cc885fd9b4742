//! Buckets.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use futures_util::future::try_join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::{Answer, AwsError};
use super::client::Client;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::xml::{self, Node, all, escape, text, texts};
use super::{Emulator, STACK_TAG, seed};
use crate::byte_channel;
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "buckets",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, properties| Box::pin(update(emulator, resource, properties)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, &id.name))),
};

/// Tag with what was put into a bucket from its seed folder.
const SEED_TAG: &str = "taskava:seed";

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let looked = names(&emulator.client).await?.into_iter().map(async |name| {
        let id = ResourceId::new(ResourceKind::Bucket, name);
        let found = match declared.iter().find(|resource| resource.id == id) {
            Some(resource) => Some(properties(emulator, resource).await?),
            None => None,
        };
        let ours = found.is_none() && tags(emulator, &id.name).await?.iter().any(|tag| emulator.is_ours(tag));
        Ok::<_, AwsError>((id, found, ours))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

/// The names of all buckets.
pub(super) async fn names(client: &Client) -> Answer<Vec<String>> {
    let answer = client.s3(Method::GET, "/", &[], Vec::new()).await?;
    xml::read(&answer, |answer| all(answer, "Bucket").filter_map(|bucket| text(bucket, "Name")).collect())
}

async fn properties(emulator: &Emulator, resource: &Resource) -> Answer<Properties> {
    let name = &resource.id.name;
    let (versioning, key, origins, lifecycle, block, seeded) = tokio::try_join!(
        setting(emulator, name, "versioning", |setting| text(setting, "Status")),
        setting(emulator, name, "encryption", |setting| text(setting, "KMSMasterKeyID")),
        setting(emulator, name, "cors", |setting| texts(setting, "AllowedOrigin").collect::<Vec<_>>()),
        setting(emulator, name, "lifecycle", rules),
        setting(emulator, name, "publicAccessBlock", |setting| text(setting, "BlockPublicPolicy")),
        seeded(emulator, resource),
    )?;
    let versioning = if versioning.as_deref() == Some("Enabled") { "on" } else { "off" };
    let key = key.map(|key| key[key.find("alias/").unwrap_or(0)..].to_owned());
    let mut found = Properties::from([
        (Property::Versioning, versioning.to_owned()),
        (Property::Encryption, key.unwrap_or_else(|| "AES256".into())),
        (Property::Cors, if origins.is_empty() { NONE.into() } else { json!(origins).to_string() }),
        (Property::Lifecycle, lifecycle),
        (Property::Public, if block.as_deref() == Some("true") { "blocked" } else { "allowed" }.to_owned()),
    ]);
    found.extend(seeded.map(|seeded| (Property::Seed, seeded)));
    Ok(found)
}

/// What `find` finds in one setting of a bucket; that is empty where the bucket has none.
async fn setting<T>(
    emulator: &Emulator,
    bucket: &str,
    setting: &str,
    find: impl FnOnce(Node<'_, '_>) -> T,
) -> Answer<T> {
    match emulator.client.s3(Method::GET, &format!("/{bucket}"), &[(setting, "")], Vec::new()).await {
        Err(refused) if refused.status == 404 => xml::read("", find),
        answer => xml::read(&answer?, find),
    }
}

async fn put(emulator: &Emulator, bucket: &str, setting: &str, xml: String) -> Answer<()> {
    let path = format!("/{bucket}");
    // S3 insists on a checksum for some of these; the emulators take a request without one.
    emulator.client.s3(Method::PUT, &path, &[(setting, "")], xml.into_bytes()).await.map(drop)
}

async fn delete(emulator: &Emulator, bucket: &str, setting: &str) -> Answer<()> {
    emulator.client.s3(Method::DELETE, &format!("/{bucket}"), &[(setting, "")], Vec::new()).await.map(drop)
}

/// Lifecycle rules, as they are declared.
fn rules(setting: Node<'_, '_>) -> String {
    let rules = all(setting, "Rule").map(|rule| {
        let mut value = json!({ "prefix": text(rule, "Prefix").unwrap_or_default() });
        for (name, outer, inner) in RULE_PARTS {
            let days = all(rule, outer).next().and_then(|part| text(part, inner));
            if let Some(days) = days.and_then(|days| days.parse::<u32>().ok()) {
                value[*name] = json!(days);
            }
        }
        value
    });
    let rules: Vec<Value> = rules.collect();
    if rules.is_empty() { NONE.into() } else { json!(rules).to_string() }
}

/// Key of a declared rule, and the elements that say it in S3's words.
const RULE_PARTS: &[(&str, &str, &str)] = &[
    ("expire", "Expiration", "Days"),
    ("old", "NoncurrentVersionExpiration", "NoncurrentDays"),
    ("abandoned", "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
];

fn lifecycle_xml(rules: &str) -> String {
    let rules: Vec<Value> = serde_json::from_str(rules).unwrap_or_default();
    let mut xml = String::from("<LifecycleConfiguration>");
    for (number, rule) in rules.iter().enumerate() {
        let prefix = escape(rule["prefix"].as_str().unwrap_or_default());
        let _ = write!(
            xml,
            "<Rule><ID>rule-{number}</ID><Filter><Prefix>{prefix}</Prefix></Filter><Status>Enabled</Status>"
        );
        for (name, outer, inner) in RULE_PARTS {
            if let Some(days) = rule[*name].as_u64() {
                let _ = write!(xml, "<{outer}><{inner}>{days}</{inner}></{outer}>");
            }
        }
        xml.push_str("</Rule>");
    }
    xml + "</LifecycleConfiguration>"
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let (path, region) = (format!("/{}", resource.id.name), emulator.client.region());
    // S3 knows us-east-1 only as the default that must not be named.
    let body = match region {
        "us-east-1" => String::new(),
        region => format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        ),
    };
    emulator.client.s3(Method::PUT, &path, &[], body.into_bytes()).await?;
    tag(emulator, &resource.id.name, STACK_TAG, &emulator.stack).await?;
    let unlike_new = |(property, value): &(&Property, &String)| {
        !matches!(
            (**property, value.as_str()),
            (Property::Versioning, "off") | (Property::Encryption, "AES256") | (_, NONE)
        )
    };
    let properties: Vec<Property> = resource.wanted.iter().filter(unlike_new).map(|(property, _)| *property).collect();
    update(emulator, resource, &properties).await
}

async fn update(emulator: &Emulator, resource: &Resource, properties: &[Property]) -> Answer<()> {
    let bucket = &resource.id.name;
    for property in properties {
        let value = resource.wanted[property].as_str();
        match (*property, value) {
            (Property::Versioning, value) => {
                let status = if value == "on" { "Enabled" } else { "Suspended" };
                let xml = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
                put(emulator, bucket, "versioning", xml).await?;
            }
            (Property::Encryption, value) => {
                let key = match value {
                    "AES256" => "<SSEAlgorithm>AES256</SSEAlgorithm>".into(),
                    alias => format!(
                        "<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>{}</KMSMasterKeyID>",
                        emulator.client.arn("kms", alias)
                    ),
                };
                let xml = format!(
                    "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>{key}\
                     </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
                );
                put(emulator, bucket, "encryption", xml).await?;
            }
            (Property::Cors, NONE) => delete(emulator, bucket, "cors").await?,
            (Property::Lifecycle, NONE) => delete(emulator, bucket, "lifecycle").await?,
            (Property::Cors, origins) => put(emulator, bucket, "cors", cors_xml(origins)).await?,
            (Property::Lifecycle, rules) => put(emulator, bucket, "lifecycle", lifecycle_xml(rules)).await?,
            (Property::Public, value) => {
                let block = value == "blocked";
                let names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
                let settings: String = names.iter().map(|name| format!("<{name}>{block}</{name}>")).collect();
                let xml = format!("<PublicAccessBlockConfiguration>{settings}</PublicAccessBlockConfiguration>");
                put(emulator, bucket, "publicAccessBlock", xml).await?;
                allow_reading(emulator, bucket, !block).await?;
            }
            (Property::Seed, digest) => fill(emulator, resource, digest).await?,
            _ => {}
        }
    }
    Ok(())
}

/// The objects are public, or private unless other rules allow access.
async fn allow_reading(emulator: &Emulator, bucket: &str, allow: bool) -> Answer<()> {
    if !allow {
        return match delete(emulator, bucket, "policy").await {
            Err(refused) if refused.status == 404 => Ok(()),
            answer => answer,
        };
    }
    let statement = json!({
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*"),
    });
    put(emulator, bucket, "policy", json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()).await
}

fn cors_xml(origins: &str) -> String {
    let origins: Vec<String> = serde_json::from_str(origins).unwrap_or_default();
    let origins = origins.iter().map(|origin| format!("<AllowedOrigin>{}</AllowedOrigin>", escape(origin)));
    let methods =
        ["GET", "PUT", "POST", "DELETE", "HEAD"].map(|method| format!("<AllowedMethod>{method}</AllowedMethod>"));
    let rule: String = origins.chain(methods).collect();
    format!(
        "<CORSConfiguration><CORSRule>{rule}<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
         </CORSRule></CORSConfiguration>"
    )
}

async fn tags(emulator: &Emulator, bucket: &str) -> Answer<Vec<(String, String)>> {
    setting(emulator, bucket, "tagging", |setting| xml::tags(setting, "Tag")).await
}

/// Sets one tag and leaves the others.
async fn tag(emulator: &Emulator, bucket: &str, name: &str, value: &str) -> Answer<()> {
    let mut tags = tags(emulator, bucket).await?;
    tags.retain(|(other, _)| other != name);
    tags.push((name.into(), value.into()));
    let tag = |(name, value): &(String, String)| {
        format!("<Tag><Key>{}</Key><Value>{}</Value></Tag>", escape(name), escape(value))
    };
    let tags: String = tags.iter().map(tag).collect();
    put(emulator, bucket, "tagging", format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")).await
}

/// What of the seed folder is in the bucket: what was noted when it was put there, unless something is missing.
async fn seeded(emulator: &Emulator, resource: &Resource) -> Answer<Option<String>> {
    let Some(folder) = &resource.seed else { return Ok(None) };
    let bucket = &resource.id.name;
    let (tags, keys) = tokio::try_join!(tags(emulator, bucket), keys(emulator, bucket))?;
    let files = seed::files(folder).unwrap_or_default();
    let there = files.iter().filter(|file| keys.contains(&file.key)).count();
    if there < files.len() {
        return Ok(Some(format!("{there} of {} files", files.len())));
    }
    let noted = tags.into_iter().find(|(name, _)| name == SEED_TAG).map(|(_, value)| value);
    Ok(Some(noted.unwrap_or_else(|| NONE.into())))
}

/// The keys of all objects.
async fn keys(emulator: &Emulator, bucket: &str) -> Answer<Vec<String>> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let mut query = vec![("list-type", "2"), ("max-keys", "1000")];
        query.extend((!token.is_empty()).then_some(("continuation-token", token.as_str())));
        let page = emulator.client.s3(Method::GET, &format!("/{bucket}"), &query, Vec::new()).await?;
        let next = xml::read(&page, |page| {
            found.extend(all(page, "Contents").filter_map(|object| text(object, "Key")));
            text(page, "NextContinuationToken").filter(|next| !next.is_empty())
        })?;
        match next {
            Some(next) => token = next,
            None => return Ok(found),
        }
    }
}

/// Puts files of the seed folder into the bucket: all when one of them changed, else those that are missing there.
async fn fill(emulator: &Emulator, resource: &Resource, digest: &str) -> Answer<()> {
    let Some(folder) = &resource.seed else { return Ok(()) };
    let bucket = &resource.id.name;
    let broken = |error: std::io::Error| AwsError {
        status: 0,
        code: String::new(),
        message: format!("{} can't be read: {error}", folder.display()),
    };
    let (tags, there) = tokio::try_join!(tags(emulator, bucket), keys(emulator, bucket))?;
    let within = folder.canonicalize().map_err(broken)?;
    let changed = !tags.iter().any(|(name, value)| name == SEED_TAG && value == digest);
    for file in seed::files(folder).map_err(broken)? {
        if !changed && there.contains(&file.key) {
            continue;
        }
        // One that became a link is left out like every other.
        let Some(mut opened) = byte_channel::open_within(&within, &file.path).map_err(broken)? else { continue };
        let mut body = Vec::new();
        opened.read_to_end(&mut body).map_err(broken)?;
        let headers = [("content-type", content_type(&file.path))];
        let path = format!("/{bucket}/{}", file.key);
        emulator.client.s3_with(Method::PUT, &path, &[], &headers, body).await?;
    }
    tag(emulator, bucket, SEED_TAG, digest).await
}

/// What a browser should take a file for.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css",
        "js" | "mjs" => "text/javascript",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "pdf" => "application/pdf",
        "txt" | "md" | "csv" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    emulator.client.s3(Method::DELETE, &format!("/{name}"), &[], Vec::new()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifecycle_rules_come_back_as_they_were() {
        let declared = r#"[{"prefix":"tmp/","expire":1},{"prefix":"","old":90,"abandoned":7}]"#;
        let declared: Value = serde_json::from_str(declared).unwrap();
        assert_eq!(xml::read(&lifecycle_xml(&declared.to_string()), rules), Ok(declared.to_string()));
        assert_eq!(xml::read("", rules), Ok(NONE.into()));
    }
}

//! `[aws]` → the resources that must exist, each with its properties as text that can be compared with those of an
//! emulator. The references between them are checked in `aws`.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::json;

use super::{MustBe, Resolver};
use crate::config::aws::{self as config, Flow, Mfa, SignIn};
use crate::config::decode::Spanned;
use crate::config::forms::Pairs;
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

impl Resolver<'_> {
    /// Everything that is declared, in the order of the reference.
    pub(super) fn declared(&mut self, aws: &config::Aws) -> Vec<Resource> {
        let mut all = Vec::new();
        for (name, bucket) in &aws.buckets.0 {
            let seed = bucket.seed.as_ref().map(|seed| self.path(seed, "seed folder", MustBe::Folder, &seed.place));
            all.push(Resource { seed, ..resource(ResourceKind::Bucket, name, self::bucket(bucket)) });
        }
        all.extend(aws.queues.0.iter().map(|(name, one)| resource(ResourceKind::Queue, name, queue(name, one))));
        all.extend(aws.topics.0.iter().map(|(name, one)| resource(ResourceKind::Topic, name, topic(one))));
        for (name, secret) in &aws.secrets {
            let value = self.secret(name, secret);
            all.push(resource(ResourceKind::Secret, name, Properties::from([(Property::Value, value)])));
        }
        all.extend(aws.parameters.iter().map(|(name, one)| resource(ResourceKind::Parameter, name, parameter(one))));
        all.extend(aws.tables.iter().map(|(name, one)| resource(ResourceKind::Table, name, table(one))));
        all.extend(aws.keys.0.iter().map(|(name, one)| resource(ResourceKind::Key, name, key(one))));
        all.extend(aws.identities.iter().map(|name| resource(ResourceKind::Identity, name, Properties::new())));
        all.extend(aws.user_pools.0.iter().flat_map(|(name, one)| user_pool(name, one)));
        all.extend(aws.log_groups.0.iter().map(|(name, one)| {
            let retention = one.retention_days.as_ref().map_or_else(|| "never".into(), |days| days.value.to_string());
            resource(ResourceKind::LogGroup, name, Properties::from([(Property::Retention, retention)]))
        }));
        all.extend(aws.alarms.iter().map(|(name, one)| resource(ResourceKind::Alarm, name, alarm(one))));
        all.extend(aws.roles.0.iter().map(|(name, one)| resource(ResourceKind::Role, name, role(one))));
        all
    }

    /// The text of a secret. One that is made up is the same each time in one checkout: an emulator forgets it, what was
    /// encrypted with it stays.
    fn secret(&self, name: &str, secret: &config::Secret) -> String {
        match secret {
            config::Secret::Text(text) => text.clone(),
            config::Secret::Json(pairs) => object(pairs),
            config::Secret::Generated(length) => {
                made_up(&format!("{} {} {name}", self.around.root.display(), self.name), *length)
            }
        }
    }
}

/// Generated letters and digits, but the same ones for the same text.
fn made_up(from: &str, length: u16) -> String {
    use sha2::{Digest as _, Sha256};
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let blocks = (0_u32..).flat_map(|block| Sha256::digest(format!("{block} {from}")).to_vec());
    // Those above the last whole multiple would make the first signs likelier.
    let fair = blocks.filter(|byte| usize::from(*byte) < SIGNS.len() * (256 / SIGNS.len()));
    fair.take(length.into()).map(|byte| char::from(SIGNS[usize::from(byte) % SIGNS.len()])).collect()
}

fn resource(kind: ResourceKind, name: &str, wanted: Properties) -> Resource {
    Resource { id: ResourceId::new(kind, name), wanted, seed: None }
}

/// Sorted, because the order of these does not matter.
fn list<T: Display>(words: impl IntoIterator<Item = T>) -> String {
    let mut words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
    words.sort_unstable();
    words.dedup();
    if words.is_empty() { NONE.into() } else { words.join(", ") }
}

fn texts(words: &[Spanned<String>]) -> impl Iterator<Item = &str> {
    words.iter().map(|word| word.value.as_str())
}

fn object(pairs: &Pairs) -> String {
    let pairs = pairs.0.iter().map(|(name, value)| (name.clone(), json!(value.value.0)));
    serde_json::Value::Object(pairs.collect()).to_string()
}

fn on(value: Option<bool>) -> String {
    if value.unwrap_or(false) { "on" } else { "off" }.into()
}

fn bucket(bucket: &config::Bucket) -> Properties {
    let origins: Vec<&str> = texts(&bucket.cors.0).collect();
    let rule = |prefix: &str, parts: [(&str, Option<u32>); 3]| {
        let mut rule = json!({ "prefix": prefix });
        for (name, days) in parts {
            if let Some(days) = days {
                rule[name] = json!(days);
            }
        }
        rule
    };
    let short = bucket.expire_days.map(|days| rule("", [("expire", Some(days)), ("old", None), ("abandoned", None)]));
    let rules = bucket.lifecycle.iter().map(|one| {
        let parts = [("expire", one.expire_days), ("old", one.old_versions_days), ("abandoned", one.abandoned_days)];
        rule(one.prefix.as_deref().unwrap_or_default(), parts)
    });
    let rules: Vec<_> = short.into_iter().chain(rules).collect();
    Properties::from([
        (Property::Versioning, on(bucket.versioning)),
        (
            Property::Encryption,
            bucket.kms_key.as_ref().map_or_else(|| "AES256".into(), |key| format!("alias/{}", key.value)),
        ),
        (Property::Cors, if origins.is_empty() { NONE.into() } else { json!(origins).to_string() }),
        (Property::Lifecycle, if rules.is_empty() { NONE.into() } else { json!(rules).to_string() }),
        (Property::Public, if bucket.public.unwrap_or(false) { "allowed" } else { "blocked" }.into()),
    ])
}

fn queue(name: &str, queue: &config::Queue) -> Properties {
    let seconds = |duration: Option<std::time::Duration>, default: u64| {
        duration.map_or(default, |duration| duration.as_secs()).to_string()
    };
    let dead_letter = queue
        .dead_letter
        .as_ref()
        .map_or_else(|| NONE.into(), |other| format!("{} after {}", other.value, queue.max_receive.unwrap_or(5)));
    let mut wanted = Properties::from([
        (Property::Visibility, seconds(queue.visibility, 30)),
        (Property::Delay, seconds(queue.delay, 0)),
        (Property::Retention, seconds(queue.retention, 4 * 24 * 60 * 60)),
        (Property::DeadLetter, dead_letter),
    ]);
    if name.ends_with(".fifo") {
        wanted.insert(Property::Deduplicate, queue.deduplicate.unwrap_or(false).to_string());
    }
    wanted
}

fn topic(topic: &config::Topic) -> Properties {
    let raw = if topic.raw.unwrap_or(false) { " (raw)" } else { "" };
    Properties::from([(Property::Subscriptions, list(texts(&topic.queues).map(|queue| format!("{queue}{raw}"))))])
}

fn parameter(parameter: &config::Parameter) -> Properties {
    let kind = match parameter.0.r#type.unwrap_or_default() {
        config::ParameterType::String => "String",
        config::ParameterType::StringList => "StringList",
        config::ParameterType::SecureString => "SecureString",
    };
    Properties::from([(Property::Value, parameter.0.value.clone()), (Property::Type, kind.into())])
}

/// `id:S, created:N`
fn keys(hash: &str, range: Option<&Spanned<String>>) -> String {
    let typed = |key: &str| if key.contains(':') { key.to_owned() } else { format!("{key}:S") };
    match range {
        Some(range) => format!("{}, {}", typed(hash), typed(range)),
        None => typed(hash),
    }
}

fn table(table: &config::DynamoTable) -> Properties {
    let indexes =
        table.indexes.iter().map(|(name, index)| format!("{name}({})", keys(&index.hash, index.range.as_ref())));
    let mut indexes: Vec<String> = indexes.collect();
    indexes.sort_unstable();
    Properties::from([
        (Property::Keys, keys(&table.hash, table.range.as_ref())),
        (Property::Indexes, if indexes.is_empty() { NONE.into() } else { indexes.join("; ") }),
        (Property::Ttl, table.ttl.as_ref().map_or_else(|| NONE.into(), |ttl| ttl.value.clone())),
    ])
}

fn key(key: &config::Key) -> Properties {
    let description = key.description.clone().unwrap_or_default();
    Properties::from([(Property::Description, description), (Property::Rotation, on(key.rotation))])
}

/// A pool and what belongs to it.
fn user_pool(name: &str, pool: &config::UserPool) -> Vec<Resource> {
    let policy = pool.password.clone().unwrap_or_default();
    let length = policy.min_length.unwrap_or(8).to_string();
    let sorts = [
        (policy.uppercase, "uppercase"),
        (policy.lowercase, "lowercase"),
        (policy.digits, "digits"),
        (policy.symbols, "symbols"),
    ];
    let sorts = sorts.into_iter().filter(|(wanted, _)| wanted.unwrap_or(true)).map(|(_, word)| word);
    let sign_in = pool.sign_in_with.iter().map(|with| match with {
        SignIn::Email => "email",
        SignIn::Phone => "phone_number",
    });
    let mfa = match pool.mfa {
        Some(Mfa::Required) => "required",
        Some(Mfa::Optional) => "optional",
        Some(Mfa::Off) | None => "off",
    };
    let wanted = Properties::from([
        (Property::Mfa, mfa.to_owned()),
        (Property::SignInWith, list(sign_in)),
        (Property::Password, std::iter::once(length.as_str()).chain(sorts).collect::<Vec<_>>().join(", ")),
        (Property::Domain, pool.domain.as_ref().map_or_else(|| NONE.into(), |domain| domain.value.clone())),
    ]);
    let member = |kind, member: &str, wanted| resource(kind, &format!("{name}/{member}"), wanted);
    let mut all = vec![resource(ResourceKind::UserPool, name, wanted)];
    all.extend(pool.clients.0.iter().map(|(one, entry)| member(ResourceKind::UserPoolClient, one, client(entry))));
    all.extend(pool.groups.iter().map(|group| member(ResourceKind::UserPoolGroup, group, Properties::new())));
    all.extend(
        pool.users.iter().map(|(one, entry)| member(ResourceKind::UserPoolUser, one, user(one, &entry.value.0))),
    );
    all
}

fn client(client: &config::UserPoolClient) -> Properties {
    let flow = |flow: &Flow| match flow {
        Flow::Srp => "ALLOW_USER_SRP_AUTH",
        Flow::Password => "ALLOW_USER_PASSWORD_AUTH",
        Flow::AdminPassword => "ALLOW_ADMIN_USER_PASSWORD_AUTH",
        Flow::Custom => "ALLOW_CUSTOM_AUTH",
    };
    let flows = if client.flows.is_empty() { &[Flow::Srp][..] } else { &client.flows };
    Properties::from([
        (Property::Flows, list(flows.iter().map(flow))),
        (Property::Callbacks, list(texts(&client.callbacks))),
        (Property::Logouts, list(texts(&client.logouts))),
        (Property::Secret, if client.secret.unwrap_or(false) { "yes" } else { "no" }.into()),
    ])
}

/// Password and attributes only apply when the user is created; afterwards they can't be read.
fn user(name: &str, user: &config::UserTable) -> Properties {
    let mut attributes: BTreeMap<&str, &str> = BTreeMap::new();
    if name.contains('@') {
        attributes.extend([("email", name), ("email_verified", "true")]);
    }
    attributes.extend(user.attributes.0.iter().map(|(name, value)| (name.as_str(), value.value.0.as_str())));
    Properties::from([
        (Property::Groups, list(texts(&user.groups))),
        (Property::Password, user.password.clone()),
        (Property::Attributes, json!(attributes).to_string()),
    ])
}

fn alarm(alarm: &config::Alarm) -> Properties {
    let threshold = match (&alarm.above, &alarm.below) {
        (Some(above), _) => format!("> {}", above.value.0),
        (None, below) => format!("< {}", below.as_ref().map_or(0.0, |below| below.value.0)),
    };
    let statistic = match alarm.statistic.unwrap_or_default() {
        config::Statistic::Sum => "Sum",
        config::Statistic::Average => "Average",
        config::Statistic::Minimum => "Minimum",
        config::Statistic::Maximum => "Maximum",
        config::Statistic::SampleCount => "SampleCount",
    };
    Properties::from([
        (Property::Metric, format!("{}/{}", alarm.namespace, alarm.metric)),
        (
            Property::Dimensions,
            list(alarm.dimensions.0.iter().map(|(name, value)| format!("{name}={}", value.value.0))),
        ),
        (Property::Statistic, statistic.into()),
        (Property::Threshold, threshold),
        (Property::Period, alarm.period.map_or(60, |period| period.as_secs()).to_string()),
        (Property::Periods, alarm.periods.unwrap_or(1).to_string()),
        (Property::Topics, list(texts(&alarm.topics))),
    ])
}

fn role(role: &config::Role) -> Properties {
    let by =
        if role.assumed_by.0.is_empty() { "ecs-tasks.amazonaws.com".into() } else { list(texts(&role.assumed_by.0)) };
    let on = if role.on.0.is_empty() { "*".into() } else { list(texts(&role.on.0)) };
    let allow = list(texts(&role.allow));
    let allow = if allow == NONE { allow } else { format!("{allow} on {on}") };
    Properties::from([(Property::AssumedBy, by), (Property::Allow, allow)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_is_the_same_each_time() {
        assert_eq!(made_up("a", 40), made_up("a", 40));
        assert_ne!(made_up("a", 40), made_up("b", 40));
        assert_eq!(made_up("a", 300).len(), 300);
        assert!(made_up("a", 300).bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}

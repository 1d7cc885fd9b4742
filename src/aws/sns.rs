//! SNS topics and the queues subscribed to them.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use super::client::{Answer, AwsError};
use super::diff::Seen;
use super::xml::{self, all, text, texts};
use super::{Emulator, STACK_TAG};
use crate::model::aws::{Api, NONE, Properties, Resource, ResourceId, ResourceKind};

/// What stands behind a queue that gets messages as they are.
const RAW: &str = " (raw)";

/// How the next page is asked for.
const NEXT: (&str, &str) = ("NextToken", "NextToken");

/// A queue's subscription.
struct Subscription {
    arn: String,
    raw: bool,
}

pub(super) async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let listed = emulator.client.query_pages(Api::Sns, "ListTopics", &[], NEXT).await?;
    let looked = listed.iter().flat_map(|page| texts(page, "TopicArn")).map(async |arn| {
        let id = ResourceId::new(ResourceKind::Topic, arn.rsplit(':').next().unwrap_or_default());
        emulator.learn(&id, &arn);
        if declared.iter().any(|resource| resource.id == id) {
            let found = shown(&subscriptions(emulator, &arn).await?);
            return Ok::<_, AwsError>((id, Some(Properties::from([("subscriptions", found)])), false));
        }
        let tags = emulator.client.query(Api::Sns, "ListTagsForResource", &[("ResourceArn", &arn)]).await?;
        let ours = xml::tags(&tags, "member").iter().any(|tag| emulator.is_ours(tag));
        Ok((id, None, ours))
    });
    let mut seen = Seen::default();
    for (id, found, ours) in try_join_all(looked).await? {
        seen.note(id, found, ours);
    }
    Ok(seen)
}

/// The queues that listen to a topic, by name.
async fn subscriptions(emulator: &Emulator, topic: &str) -> Answer<BTreeMap<String, Subscription>> {
    let input = [("TopicArn", topic)];
    let listed = emulator.client.query_pages(Api::Sns, "ListSubscriptionsByTopic", &input, NEXT).await?;
    let queues = listed.iter().flat_map(|page| all(page, "member")).filter_map(|member| {
        let endpoint = text(member, "Endpoint").filter(|_| text(member, "Protocol").as_deref() == Some("sqs"))?;
        Some((endpoint.rsplit(':').next()?.to_owned(), text(member, "SubscriptionArn")?))
    });
    let looked = queues.map(async |(queue, arn)| {
        let input = [("SubscriptionArn", arn.as_str())];
        let answer = emulator.client.query(Api::Sns, "GetSubscriptionAttributes", &input).await?;
        let is_raw = |entry: &&str| text(entry, "key").as_deref() == Some("RawMessageDelivery");
        let raw = all(&answer, "entry").into_iter().find(is_raw).and_then(|entry| text(entry, "value"));
        Ok::<_, AwsError>((queue, Subscription { arn, raw: raw.as_deref() == Some("true") }))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

fn shown(subscriptions: &BTreeMap<String, Subscription>) -> String {
    let words = subscriptions.iter().map(|(queue, one)| format!("{queue}{}", if one.raw { RAW } else { "" }));
    let words: Vec<String> = words.collect();
    if words.is_empty() { NONE.into() } else { words.join(", ") }
}

pub(super) async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let name = resource.id.name.as_str();
    let mut input =
        vec![("Name", name), ("Tags.member.1.Key", STACK_TAG), ("Tags.member.1.Value", emulator.stack.as_str())];
    if name.ends_with(".fifo") {
        input.extend([("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", "true")]);
    }
    let answer = emulator.client.query(Api::Sns, "CreateTopic", &input).await?;
    emulator.learn(&resource.id, &text(&answer, "TopicArn").unwrap_or_default());
    Ok(())
}

/// Makes the queues that listen those that are declared. Others that listen (a function, an address) stay.
pub(super) async fn update(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let topic = emulator.known(&resource.id);
    let wanted: BTreeMap<&str, bool> = match resource.wanted["subscriptions"].as_str() {
        NONE => BTreeMap::new(),
        list => list.split(", ").map(|one| one.strip_suffix(RAW).map_or((one, false), |queue| (queue, true))).collect(),
    };
    let existing = subscriptions(emulator, &topic).await?;
    for (queue, subscription) in &existing {
        if wanted.get(queue.as_str()) != Some(&subscription.raw) {
            emulator.client.query(Api::Sns, "Unsubscribe", &[("SubscriptionArn", &subscription.arn)]).await?;
        }
    }
    for (queue, raw) in wanted {
        if existing.get(queue).is_none_or(|existing| existing.raw != raw) {
            let endpoint = emulator.client.arn("sqs", queue);
            let mut input = vec![("TopicArn", topic.as_str()), ("Protocol", "sqs"), ("Endpoint", endpoint.as_str())];
            if raw {
                input.extend([("Attributes.entry.1.key", "RawMessageDelivery"), ("Attributes.entry.1.value", "true")]);
            }
            emulator.client.query(Api::Sns, "Subscribe", &input).await?;
        }
    }
    Ok(())
}

pub(super) async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    emulator.client.query(Api::Sns, "DeleteTopic", &[("TopicArn", &emulator.known(id))]).await.map(drop)
}

//! SNS topics and the queues subscribed to them.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use super::answer::{Answer, AwsError};
use super::client::QueryApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::xml::{self, Node, all, text, texts};
use super::{Emulator, STACK_TAG};
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

const API: QueryApi = QueryApi { scope: "sns", version: "2010-03-31" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "topics",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, _| Box::pin(update(emulator, resource)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, id))),
};

/// What stands behind a queue that gets messages as they are.
const RAW: &str = " (raw)";

/// How the next page is asked for.
const NEXT: (&str, &str) = ("NextToken", "NextToken");

/// A queue's subscription.
struct Subscription {
    arn: String,
    raw: bool,
}

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let topics = |page: Node<'_, '_>| texts(page, "TopicArn").collect();
    let listed: Vec<String> = emulator.client.query_pages(API, "ListTopics", &[], topics, NEXT).await?;
    let looked = listed.into_iter().map(async |arn| {
        let id = ResourceId::new(ResourceKind::Topic, arn.rsplit(':').next().unwrap_or_default());
        emulator.learn(&id, &arn);
        if declared.iter().any(|resource| resource.id == id) {
            let found = shown(&subscriptions(emulator, &arn).await?);
            return Ok::<_, AwsError>((id, Some(Properties::from([(Property::Subscriptions, found)])), false));
        }
        let tags = emulator.client.query(API, "ListTagsForResource", &[("ResourceArn", &arn)]).await?;
        let ours = xml::read(&tags, |tags| xml::tags(tags, "member"))?.iter().any(|tag| emulator.is_ours(tag));
        Ok((id, None, ours))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

/// The queues that listen to a topic, by name.
async fn subscriptions(emulator: &Emulator, topic: &str) -> Answer<BTreeMap<String, Subscription>> {
    let input = [("TopicArn", topic)];
    let queue = |member: Node<'_, '_>| {
        let endpoint = text(member, "Endpoint").filter(|_| text(member, "Protocol").as_deref() == Some("sqs"))?;
        Some((endpoint.rsplit(':').next()?.to_owned(), text(member, "SubscriptionArn")?))
    };
    let queues = |page: Node<'_, '_>| all(page, "member").filter_map(queue).collect();
    let listed: Vec<(String, String)> =
        emulator.client.query_pages(API, "ListSubscriptionsByTopic", &input, queues, NEXT).await?;
    let looked = listed.into_iter().map(async |(queue, arn)| {
        let input = [("SubscriptionArn", arn.as_str())];
        let answer = emulator.client.query(API, "GetSubscriptionAttributes", &input).await?;
        let is_raw = |entry: &Node<'_, '_>| text(*entry, "key").as_deref() == Some("RawMessageDelivery");
        let raw = xml::read(&answer, |answer| all(answer, "entry").find(is_raw).and_then(|raw| text(raw, "value")))?;
        Ok::<_, AwsError>((queue, Subscription { arn, raw: raw.as_deref() == Some("true") }))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

fn shown(subscriptions: &BTreeMap<String, Subscription>) -> String {
    let words = subscriptions.iter().map(|(queue, one)| format!("{queue}{}", if one.raw { RAW } else { "" }));
    let words: Vec<String> = words.collect();
    if words.is_empty() { NONE.into() } else { words.join(", ") }
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let name = resource.id.name.as_str();
    let mut input =
        vec![("Name", name), ("Tags.member.1.Key", STACK_TAG), ("Tags.member.1.Value", emulator.stack.as_str())];
    if name.ends_with(".fifo") {
        input.extend([("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", "true")]);
    }
    let answer = emulator.client.query(API, "CreateTopic", &input).await?;
    emulator.learn(&resource.id, &xml::read(&answer, |answer| text(answer, "TopicArn"))?.unwrap_or_default());
    Ok(())
}

/// Makes the queues that listen those that are declared. Others that listen (a function, an address) stay.
async fn update(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let topic = emulator.known(&resource.id);
    let wanted: BTreeMap<&str, bool> = match resource.wanted[&Property::Subscriptions].as_str() {
        NONE => BTreeMap::new(),
        list => list.split(", ").map(|one| one.strip_suffix(RAW).map_or((one, false), |queue| (queue, true))).collect(),
    };
    let existing = subscriptions(emulator, &topic).await?;
    for (queue, subscription) in &existing {
        if wanted.get(queue.as_str()) != Some(&subscription.raw) {
            emulator.client.query(API, "Unsubscribe", &[("SubscriptionArn", &subscription.arn)]).await?;
        }
    }
    for (queue, raw) in wanted {
        if existing.get(queue).is_none_or(|existing| existing.raw != raw) {
            let endpoint = emulator.client.arn("sqs", queue);
            let mut input = vec![("TopicArn", topic.as_str()), ("Protocol", "sqs"), ("Endpoint", endpoint.as_str())];
            if raw {
                input.extend([("Attributes.entry.1.key", "RawMessageDelivery"), ("Attributes.entry.1.value", "true")]);
            }
            emulator.client.query(API, "Subscribe", &input).await?;
        }
    }
    Ok(())
}

async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    emulator.client.query(API, "DeleteTopic", &[("TopicArn", &emulator.known(id))]).await.map(drop)
}

//! Queues.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG};
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

const API: JsonApi = JsonApi { scope: "sqs", prefix: "AmazonSQS", version: "1.0" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "queues",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, properties| Box::pin(update(emulator, resource, properties)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, id))),
};

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let input = json!({ "MaxResults": 1000 });
    let listed = emulator.client.pages(API, "ListQueues", input, "QueueUrls", ("NextToken", "NextToken")).await?;
    let urls = listed.iter().filter_map(Value::as_str);
    let looked = urls.map(async |url| {
        let id = ResourceId::new(ResourceKind::Queue, url.rsplit('/').next().unwrap_or_default());
        emulator.learn(&id, url);
        if declared.iter().any(|resource| resource.id == id) {
            let input = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
            let answer = emulator.client.json(API, "GetQueueAttributes", &input).await?;
            return Ok::<_, AwsError>((id, Some(properties(&answer["Attributes"])), false));
        }
        let answer = emulator.client.json(API, "ListQueueTags", &json!({ "QueueUrl": url })).await?;
        let ours = answer["Tags"][STACK_TAG] == json!(emulator.stack);
        Ok((id, None, ours))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

fn properties(attributes: &Value) -> Properties {
    let text = |name: &str, default: &str| attributes[name].as_str().unwrap_or(default).to_owned();
    let redrive: Value =
        attributes["RedrivePolicy"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let dead_letter = redrive["deadLetterTargetArn"].as_str().map(|arn| {
        let name = arn.rsplit(':').next().unwrap_or_default();
        let times = &redrive["maxReceiveCount"];
        format!("{name} after {}", times.as_str().map_or_else(|| times.to_string(), str::to_owned))
    });
    Properties::from([
        (Property::Visibility, text("VisibilityTimeout", "30")),
        (Property::Delay, text("DelaySeconds", "0")),
        (Property::Retention, text("MessageRetentionPeriod", "345600")),
        (Property::Deduplicate, text("ContentBasedDeduplication", "false")),
        (Property::DeadLetter, dead_letter.unwrap_or_else(|| NONE.into())),
    ])
}

/// The attributes of a queue that are set in its creation too.
fn attributes(resource: &Resource) -> Value {
    let wanted = &resource.wanted;
    let mut attributes = json!({
        "VisibilityTimeout": wanted[&Property::Visibility],
        "DelaySeconds": wanted[&Property::Delay],
        "MessageRetentionPeriod": wanted[&Property::Retention],
    });
    if let Some(deduplicate) = wanted.get(&Property::Deduplicate) {
        attributes["ContentBasedDeduplication"] = json!(deduplicate);
    }
    attributes
}

async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let mut attributes = attributes(resource);
    if resource.id.name.ends_with(".fifo") {
        attributes["FifoQueue"] = json!("true");
    }
    let input =
        json!({ "QueueName": resource.id.name, "Attributes": attributes, "tags": { STACK_TAG: emulator.stack } });
    let answer = emulator.client.json(API, "CreateQueue", &input).await?;
    emulator.learn(&resource.id, answer["QueueUrl"].as_str().unwrap_or_default());
    Ok(())
}

async fn update(emulator: &Emulator, resource: &Resource, properties: &[Property]) -> Answer<()> {
    let mut attributes = attributes(resource);
    if properties.contains(&Property::DeadLetter) {
        attributes["RedrivePolicy"] = json!(match resource.wanted[&Property::DeadLetter].rsplit_once(" after ") {
            Some((queue, times)) => {
                let arn = emulator.client.arn("sqs", queue);
                json!({ "deadLetterTargetArn": arn, "maxReceiveCount": times }).to_string()
            }
            None => String::new(),
        });
    }
    let input = json!({ "QueueUrl": emulator.known(&resource.id), "Attributes": attributes });
    emulator.client.json(API, "SetQueueAttributes", &input).await.map(drop)
}

async fn remove(emulator: &Emulator, id: &ResourceId) -> Answer<()> {
    emulator.client.json(API, "DeleteQueue", &json!({ "QueueUrl": emulator.known(id) })).await.map(drop)
}

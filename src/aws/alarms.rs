//! CloudWatch's alarms.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::answer::{Answer, AwsError};
use super::client::JsonApi;
use super::diff::Seen;
use super::spec::ApiSpec;
use super::{Emulator, STACK_TAG, objects};
use crate::model::aws::{NONE, Properties, Property, Resource, ResourceId, ResourceKind};

const API: JsonApi = JsonApi { scope: "monitoring", prefix: "GraniteServiceVersion20100801", version: "1.0" };

pub(super) const SPEC: ApiSpec = ApiSpec {
    plural: "alarms",
    look: |emulator, declared| Box::pin(look(emulator, declared)),
    create: |emulator, resource| Box::pin(create(emulator, resource)),
    update: |emulator, resource, _| Box::pin(put(emulator, resource)),
    remove: Some(|emulator, id| Box::pin(remove(emulator, &id.name))),
};

async fn look(emulator: &Emulator, declared: &[&Resource]) -> Answer<Seen> {
    let (input, next) = (json!({ "MaxRecords": 100 }), ("NextToken", "NextToken"));
    let listed = emulator.client.pages(API, "DescribeAlarms", input, "MetricAlarms", next).await?;
    let looked = listed.iter().map(async |alarm| {
        let id = ResourceId::new(ResourceKind::Alarm, alarm["AlarmName"].as_str().unwrap_or_default());
        if declared.iter().any(|resource| resource.id == id) {
            return Ok::<_, AwsError>((id, Some(properties(alarm)), false));
        }
        let input = json!({ "ResourceARN": alarm["AlarmArn"] });
        let answer = emulator.client.json(API, "ListTagsForResource", &input).await?;
        Ok((id, None, emulator.has_our_tag(&answer["Tags"])))
    });
    Ok(try_join_all(looked).await?.into_iter().collect())
}

fn properties(alarm: &Value) -> Properties {
    let text = |name: &str| alarm[name].as_str().unwrap_or_default();
    let number = |name: &str| alarm[name].as_f64().unwrap_or_default();
    let sign = if text("ComparisonOperator").starts_with("Less") { "<" } else { ">" };
    let dimension =
        |pair: &Value| format!("{}={}", pair["Name"].as_str().unwrap_or(""), pair["Value"].as_str().unwrap_or(""));
    let topic = |arn: &Value| arn.as_str()?.rsplit(':').next().map(str::to_owned);
    let actions = alarm["AlarmActions"].as_array().into_iter().flatten();
    Properties::from([
        (Property::Metric, format!("{}/{}", text("Namespace"), text("MetricName"))),
        (Property::Dimensions, list(objects(&alarm["Dimensions"]).map(dimension).collect())),
        (Property::Statistic, text("Statistic").to_owned()),
        (Property::Threshold, format!("{sign} {}", number("Threshold"))),
        (Property::Period, number("Period").to_string()),
        (Property::Periods, number("EvaluationPeriods").to_string()),
        (Property::Topics, list(actions.filter_map(topic).collect())),
    ])
}

fn list(mut words: Vec<String>) -> String {
    words.sort();
    if words.is_empty() { NONE.into() } else { words.join(", ") }
}

/// Puts it right, or there: one action does both.
async fn put(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    let wanted = |property: Property| resource.wanted[&property].as_str();
    let words = |property: Property| {
        wanted(property).split(", ").filter(|word| *word != NONE).map(str::to_owned).collect::<Vec<_>>()
    };
    let (namespace, metric) = wanted(Property::Metric).rsplit_once('/').unwrap_or_default();
    let (sign, threshold) = wanted(Property::Threshold).split_once(' ').unwrap_or_default();
    let dimensions = words(Property::Dimensions).into_iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or_default();
        json!({ "Name": name, "Value": value })
    });
    let topics = words(Property::Topics).into_iter().map(|topic| emulator.client.arn("sns", &topic));
    let input = json!({
        "AlarmName": resource.id.name,
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": dimensions.collect::<Vec<_>>(),
        "Statistic": wanted(Property::Statistic),
        "ComparisonOperator": if sign == "<" { "LessThanThreshold" } else { "GreaterThanThreshold" },
        "Threshold": threshold.parse::<f64>().unwrap_or_default(),
        "Period": wanted(Property::Period).parse::<u64>().unwrap_or(60),
        "EvaluationPeriods": wanted(Property::Periods).parse::<u64>().unwrap_or(1),
        "AlarmActions": topics.collect::<Vec<_>>(),
        // What was not measured says nothing.
        "TreatMissingData": "notBreaching",
    });
    emulator.client.json(API, "PutMetricAlarm", &input).await.map(drop)
}

/// LocalStack forgets tags that come with the alarm itself.
async fn create(emulator: &Emulator, resource: &Resource) -> Answer<()> {
    put(emulator, resource).await?;
    let arn = emulator.client.arn("cloudwatch", &format!("alarm:{}", resource.id.name));
    let input = json!({ "ResourceARN": arn, "Tags": [{ "Key": STACK_TAG, "Value": emulator.stack }] });
    emulator.client.json(API, "TagResource", &input).await.map(drop)
}

async fn remove(emulator: &Emulator, name: &str) -> Answer<()> {
    emulator.client.json(API, "DeleteAlarms", &json!({ "AlarmNames": [name] })).await.map(drop)
}

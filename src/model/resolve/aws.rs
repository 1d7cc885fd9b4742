//! `[aws]`: do its parts refer to each other rightly? What is made of them is `aws`'s.

use super::Resolver;
use crate::config::decode::{At, similar};
use crate::model::Kind;

impl Resolver<'_> {
    pub(super) fn aws(&mut self) {
        let config = self.config;
        let Some(aws) = &config.aws else { return };
        if let Some(emulator) = &aws.emulator {
            let names = config.services.keys().map(String::as_str);
            self.refers("service", emulator, names);
        } else if !config.services.values().any(|service| {
            service.kind.as_ref().is_some_and(|kind| matches!(kind.value, Kind::Localstack | Kind::Ministack))
        }) {
            let message = "`[aws]` declares resources, but no service emulates AWS";
            let hint = "add a service with `kind = \"localstack\"`";
            self.error_hint(&aws.place, message, hint);
        }
        let queues = || aws.queues.0.keys().map(String::as_str);
        for queue in aws.queues.0.values() {
            if let Some(dead_letter) = &queue.dead_letter {
                self.refers("queue", dead_letter, queues());
            }
        }
        for queue in aws.topics.0.values().flat_map(|topic| &topic.queues) {
            self.refers("queue", queue, queues());
        }
        for key in aws.buckets.0.values().filter_map(|bucket| bucket.kms_key.as_ref()) {
            self.refers("key", key, aws.keys.0.keys().map(String::as_str));
        }
        for (name, bucket) in &aws.buckets.0 {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
            if !(3..=63).contains(&name.len()) || !name.chars().all(good) {
                let hint = "3 to 63 lower-case letters, digits, `-` and `.`";
                self.error_hint(&bucket.key, format!("`{name}` can't name a bucket"), hint);
            }
        }
    }

    fn refers<'a>(&mut self, what: &str, name: &At<String>, names: impl Iterator<Item = &'a str>) {
        let names: Vec<&str> = names.collect();
        if !names.contains(&name.value.as_str()) {
            let hint = match similar(name, names.iter().copied()) {
                Some(similar) => format!("did you mean `{similar}`?"),
                None if names.is_empty() => format!("no {what} is declared"),
                None => format!("declared: {}", names.join(", ")),
            };
            self.error_hint(&name.place, format!("the {what} `{}` doesn't exist", name.value), hint);
        }
    }
}

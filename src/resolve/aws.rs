//! Checks that the parts of `[aws]` refer to each other correctly. Creating them is up to `aws`.

use indexmap::IndexMap;

use super::Resolver;
use crate::config::aws as config;
use crate::config::decode::{Entry, Spanned, SpannedRaw};
use crate::diag::Diagnostic;
use crate::diag::similar;
use crate::model::aws::{self, Api, Aws, Emulators};
use crate::model::{EnvValue, Kind, Probe, Service, ServiceName, secret};

/// The days that CloudWatch keeps lines for.
const RETENTIONS: [u16; 23] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, 9999];

impl Resolver<'_> {
    /// What `[aws]` declares, checked; and the variables by which services find the emulators, where they set none.
    pub(super) fn aws(&mut self, services: &mut IndexMap<ServiceName, Service>) -> Aws {
        let config = self.config;
        let mut found = Aws::default();
        if let Some(aws) = &config.aws {
            self.emulator(aws);
            self.references(aws);
            self.values(aws);
            found.region = aws.region.as_ref().map(|region| region.value.clone());
            found.emulator = aws.emulator.as_ref().and_then(|name| ServiceName::parse(name).ok());
            found.resources = self.declared(aws);
            found.written = Some(aws.written.clone());
            self.enabled(aws, services, &found);
        }
        defaults(services, &found);
        found
    }

    /// There is one, and it can do what is declared.
    fn emulator(&mut self, aws: &SpannedRaw<config::Aws>) {
        let config = self.config;
        let kind = |name: &str| config.services.get(name).and_then(|one| one.kind.as_ref()).map(|kind| kind.value);
        let is_emulator = |kind| matches!(kind, Some(Kind::Localstack | Kind::Ministack));
        let has = |wanted| config.services.keys().any(|name| kind(name) == Some(wanted));
        let main = match &aws.emulator {
            Some(emulator) => {
                self.refers("service", emulator, config.services.keys().map(String::as_str));
                let kind = kind(emulator);
                if config.services.contains_key(&emulator.value) && !is_emulator(kind) {
                    let hint = "name one of kind \"localstack\" or \"ministack\"";
                    self.error_hint(&emulator.place, format!("`{}` does not emulate AWS", emulator.value), hint);
                }
                kind
            }
            None if has(Kind::Localstack) => Some(Kind::Localstack),
            None if has(Kind::Ministack) => Some(Kind::Ministack),
            None => {
                let message = "`[aws]` declares resources, but no service emulates AWS";
                self.error_hint(&aws.place, message, "add a service with `kind = \"localstack\"`");
                None
            }
        };
        let pool = aws.user_pools.0.values().next();
        if let Some(pool) = pool.filter(|_| main == Some(Kind::Localstack) && !has(Kind::Ministack)) {
            let message = "LocalStack's community edition has no Cognito";
            let hint = "add a service with `kind = \"ministack\"`: user pools are created in it";
            self.error_hint(&pool.key, message, hint);
        }
    }

    /// What is declared can be made where LocalStack is configured with the services of AWS that it may have.
    fn enabled(&mut self, aws: &SpannedRaw<config::Aws>, services: &IndexMap<ServiceName, Service>, found: &Aws) {
        let Some(emulators) = Emulators::among(services, found.emulator.as_ref()) else { return };
        let env = |name: &str| emulators.main.env.get(name).map(|value| value.value.as_str()).unwrap_or_default();
        let told = env("SERVICES");
        if emulators.main.kind != Kind::Localstack || told.trim().is_empty() || env("STRICT_SERVICE_LOADING") == "0" {
            return;
        }
        // `sqs:4576` was how ports were given once.
        let told: Vec<&str> = told.split(',').map(|name| name.split(':').next().unwrap_or_default().trim()).collect();
        let needed = found.resources.iter().map(|resource| resource.id.kind.api());
        let needed = needed.filter(|api| emulators.serving(*api).name == emulators.main.name).map(Api::as_str);
        let missing: Vec<&str> = needed.filter(|name| !told.contains(name)).collect();
        let mut each: Vec<&str> = Vec::new();
        missing.into_iter().for_each(|name| {
            if !each.contains(&name) {
                each.push(name);
            }
        });
        if !each.is_empty() {
            let name = &emulators.main.name;
            let message = format!("`env.SERVICES` of {name} leaves out what is declared: {}", each.join(", "));
            let hint = format!("add to `env.SERVICES` of services.{name}: {}", each.join(","));
            self.problems.push(Diagnostic::warning(aws.place.clone(), message).hint(hint));
        }
    }

    /// Everything that is referred to is declared.
    fn references(&mut self, aws: &config::Aws) {
        let queues = || aws.queues.0.keys().map(String::as_str);
        for (name, queue) in &aws.queues.0 {
            let Some(dead_letter) = &queue.dead_letter else { continue };
            self.refers("queue", dead_letter, queues());
            if aws.queues.0.contains_key(&dead_letter.value) && is_fifo(name) != is_fifo(dead_letter) {
                let (which, other) = if is_fifo(name) { ("a FIFO", "one") } else { ("no FIFO", "none") };
                let message = format!("`{name}` is {which} queue, so its dead-letter queue has to be {other} too");
                self.error(&dead_letter.place, message);
            }
        }
        for queue in aws.topics.0.values().flat_map(|topic| &topic.queues) {
            self.refers("queue", queue, queues());
        }
        for key in aws.buckets.0.values().filter_map(|bucket| bucket.kms_key.as_ref()) {
            self.refers("key", key, aws.keys.0.keys().map(String::as_str));
        }
        for topic in aws.alarms.values().flat_map(|alarm| &alarm.topics) {
            self.refers("topic", topic, aws.topics.0.keys().map(String::as_str));
        }
        for pool in aws.user_pools.0.values() {
            for group in pool.users.values().flat_map(|user| &user.value.0.groups) {
                self.refers("group", group, pool.groups.iter().map(|group| group.value.as_str()));
            }
        }
    }

    /// What an emulator would refuse, or take and the real account refuse.
    fn values(&mut self, aws: &config::Aws) {
        for (name, bucket) in &aws.buckets.0 {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
            if !(3..=63).contains(&name.len()) || !name.chars().all(good) {
                let hint = "3 to 63 lower-case letters, digits, `-` and `.`";
                self.error_hint(&bucket.key, format!("`{name}` can't name a bucket"), hint);
            }
        }
        for (name, queue) in &aws.queues.0 {
            if queue.deduplicate == Some(true) && !is_fifo(name) {
                let hint = format!("name it `{name}.fifo`, or remove `deduplicate`");
                self.error_hint(
                    &queue.key,
                    format!("`{name}` is not a FIFO queue, so it does not deduplicate messages"),
                    hint,
                );
            }
        }
        for (name, alarm) in &aws.alarms {
            if alarm.above.is_some() == alarm.below.is_some() && !alarm.broken {
                self.error(&alarm.key, format!("alarm `{name}` needs either `above` or `below`"));
            }
        }
        for days in aws.log_groups.0.values().filter_map(|group| group.retention_days.as_ref()) {
            if !RETENTIONS.contains(&days.value) {
                let known: Vec<String> = RETENTIONS.iter().map(ToString::to_string).collect();
                let message = format!("CloudWatch can't keep lines for {} days", days.value);
                self.error_hint(&days.place, message, format!("one of {}", known.join(", ")));
            }
        }
        for (name, table) in &aws.tables {
            self.keys(table, name, &table.hash, table.range.as_ref());
            for (name, index) in &table.indexes {
                self.keys(index, name, &index.hash, index.range.as_ref());
            }
        }
    }

    /// Keys of a table or index: `name`, or `name:` and a type.
    fn keys<T>(&mut self, entry: &Entry<T>, name: &str, hash: &str, range: Option<&Spanned<String>>) {
        let range = range.map(|range| range.value.as_str());
        let bad = |key: &&str| {
            let (name, kind) = key.split_once(':').unwrap_or((key, "S"));
            name.is_empty() || !matches!(kind, "S" | "N" | "B")
        };
        if let Some(key) = [Some(hash), range].into_iter().flatten().find(bad).filter(|_| !entry.broken) {
            let hint = "write the attribute's name, or its name and type: \"created:N\" (S, N or B)";
            self.error_hint(&entry.key, format!("`{key}` can't be a key of `{name}`"), hint);
        }
    }

    fn refers<'a>(&mut self, what: &str, name: &Spanned<String>, names: impl Iterator<Item = &'a str>) {
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

fn is_fifo(name: &str) -> bool {
    name.ends_with(".fifo")
}

/// What leads a service to the emulators it depends on, and the mail of MiniStack to the mail service; what a service
/// sets itself stays.
fn defaults(services: &mut IndexMap<ServiceName, Service>, declared: &Aws) {
    let Some(emulators) = Emulators::among(services, declared.emulator.as_ref()) else { return };
    let names: Vec<ServiceName> = emulators.all().map(|service| service.name.clone()).collect();
    let inside = |service: &Service| Some(format!("http://{}:{}", service.name, aws::port(service)?));
    let region = declared.region.clone().unwrap_or_else(|| aws::region_of(emulators.main));
    let variables = emulators.variables(&region, inside);
    let mail = services.values().filter(|service| service.active).find_map(|service| match &service.own {
        Probe::Mail { smtp, .. } => Some((service.name.clone(), *smtp)),
        _ => None,
    });
    for service in services.values_mut() {
        if service.kind == Kind::Ministack
            && let Some((mail, smtp)) = &mail
        {
            add(service, "SMTP_HOST", &format!("{mail}:{smtp}"), mail);
        }
        let uses = names.iter().find(|name| service.depends_on.contains_key(*name)).cloned();
        if let Some(emulator) = uses.filter(|_| matches!(service.kind, Kind::Generic | Kind::Job)) {
            for (name, value) in &variables {
                add(service, name, value, &emulator);
            }
        }
    }
}

fn add(service: &mut Service, name: &str, value: &str, because: &ServiceName) {
    let value = EnvValue {
        value: value.into(),
        origin: vec![format!("default, for {because}")],
        secret: secret::is_secret_name(name),
    };
    service.env.entry(name.into()).or_insert(value);
}

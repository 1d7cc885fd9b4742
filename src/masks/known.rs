//! The secret values of a stack, and which of them can be searched for in any text.
//!
//! A value is secret if it has a secret name (variables, build arguments, options of commands, `[aws]`), is a password
//! in a URL, or is what a probe signs in with. It is searched for everywhere only if that hides nothing else: it is not
//! short, not a common word, and not a public name in the stack (`postgres` is a user, a database and an image as well
//! as a password). Values that are excluded by this are still masked where their context shows what they are: see
//! `signs`.

use std::collections::BTreeSet;

use toml::Value;

use crate::model::secret::{is_secret_in_aws, is_secret_name, secret_words, url_passwords};
use crate::model::{Probe, Service, Stack};

/// Shorter values are parts of too much else.
const LEAST: usize = 6;

/// A line of a value of several lines, such as a key, has to be longer: it is only a part.
const LEAST_LINE: usize = 16;

/// What many people write, as a password too.
const WORDS: [&str; 40] = [
    "access",
    "accept",
    "anonymous",
    "authorization",
    "bearer",
    "change-me",
    "change_me",
    "changeit",
    "changeme",
    "database",
    "default",
    "default-token",
    "development",
    "disable",
    "disabled",
    "enable",
    "enabled",
    "example",
    "localhost",
    "localstack",
    "mailhog",
    "master",
    "ministack",
    "nopass",
    "optional",
    "password",
    "passwords",
    "postgres",
    "postgresql",
    "private",
    "production",
    "public",
    "required",
    "secret",
    "secrets",
    "server",
    "staging",
    "taskava",
    "testing",
    "username",
];

/// The last words of names whose values everyone may see.
const PUBLIC: [&str; 12] =
    ["USER", "USERNAME", "LOGIN", "DB", "DATABASE", "DBNAME", "SCHEMA", "NAME", "HOST", "BUCKET", "REGION", "IMAGE"];

/// The secret values of a stack that may be looked for everywhere.
pub(super) fn values(stack: &Stack) -> BTreeSet<String> {
    values_and(stack, [])
}

/// The same with more values, each with whether it stands under a secret name.
pub(super) fn values_and<'a>(stack: &Stack, more: impl IntoIterator<Item = (bool, &'a str)>) -> BTreeSet<String> {
    let mut found = Found::default();
    for (secret, value) in more {
        found.named(secret, value);
    }
    for service in stack.services.values() {
        found.service(service);
    }
    stack.secrets.iter().for_each(|secret| found.add(secret));
    if let Some(written) = &stack.aws.written {
        found.aws(written, false);
    }
    let public = public(stack);
    let is_telling = |value: &String| {
        let lower = value.to_ascii_lowercase();
        value.chars().count() >= LEAST && !WORDS.contains(&lower.as_str()) && !public.contains(&lower)
    };
    found.0.into_iter().filter(is_telling).collect()
}

#[derive(Debug, Default)]
struct Found(BTreeSet<String>);

impl Found {
    fn service(&mut self, service: &Service) {
        for value in service.env.values() {
            self.named(value.secret, &value.value);
        }
        for (name, value) in service.build.iter().flat_map(|build| &build.args) {
            self.named(is_secret_name(name), value);
        }
        for file in &service.files {
            self.named(file.is_secret(), file.content.trim());
        }
        for (name, template) in &service.exports {
            self.named(is_secret_name(name) && !template.contains("${"), template);
        }
        let commands = [service.command.as_ref(), service.entrypoint.as_ref()].into_iter().flatten();
        let watch = service.watch.iter().filter_map(|rule| rule.command.as_ref());
        let probe = match &service.ready.probe {
            Probe::Exec { command } => Some(command),
            _ => None,
        };
        let health = service.healthcheck.as_ref().map(|check| &check.test);
        for words in
            commands.chain(watch).chain(probe).chain(health).chain(service.hooks.all().map(|hook| &hook.command))
        {
            self.words(words);
        }
        for (name, value) in service.hooks.all().flat_map(|hook| &hook.env) {
            self.named(is_secret_name(name), value);
        }
        for probe in [&service.ready.probe, &service.own] {
            if let Probe::Postgres { password: Some(password), .. } | Probe::Redis { password: Some(password), .. } =
                probe
            {
                self.add(password);
            }
        }
    }

    /// A value under a name that is secret, or is not.
    fn named(&mut self, secret: bool, value: &str) {
        self.urls(value);
        if secret {
            self.add(value);
        }
    }

    fn words(&mut self, words: &[impl AsRef<str>]) {
        for (word, secret) in words.iter().map(AsRef::as_ref).zip(secret_words(words)) {
            self.urls(word);
            // The first `=` of a whole script is not an option's.
            if let Some(start) = secret.filter(|start| !word[..*start].contains(char::is_whitespace)) {
                self.add(&word[start..]);
            }
            // `sh -c '…'`: what a shell puts in is not known, and no secret.
            if word.contains(' ') {
                let bare = |word| str::trim_matches(word, ['"', '\'', ';']);
                let words: Vec<&str> = word.split_whitespace().map(bare).collect();
                let secrets = words.iter().zip(secret_words(&words)).filter_map(|(word, at)| Some(&word[at?..]));
                secrets.filter(|secret| !secret.contains(['$', '`'])).for_each(|secret| self.add(secret));
            }
        }
    }

    /// `secret`: a text here is one.
    fn aws(&mut self, value: &Value, secret: bool) {
        match value {
            Value::String(text) => self.named(secret, text),
            Value::Array(items) => items.iter().for_each(|item| self.aws(item, false)),
            Value::Table(table) => {
                for (key, value) in table {
                    // Their tables hold the values by the secrets' and the users' own names.
                    let all = matches!(key.as_str(), "secrets" | "users");
                    match value.as_table().filter(|_| all) {
                        Some(named) => named.values().for_each(|value| self.aws(value, true)),
                        None => self.aws(value, is_secret_in_aws(table, key)),
                    }
                }
            }
            _ => {}
        }
    }

    fn urls(&mut self, text: &str) {
        for password in url_passwords(text.as_bytes()) {
            let password = &text[password];
            self.add(password);
            self.add(&decoded(password));
        }
    }

    fn add(&mut self, value: &str) {
        let value = value.trim();
        self.0.insert(value.to_owned());
        if value.contains('\n') {
            let lines = value.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
            self.0.extend(lines.filter(|line| line.len() >= LEAST_LINE).map(String::from));
        }
        // A secret of several parts, as AWS has them for databases: `{"username": …, "password": …}`.
        if let Ok(serde_json::Value::Object(parts)) = serde_json::from_str(value) {
            for (name, part) in parts.iter().filter_map(|(name, part)| Some((name, part.as_str()?))) {
                self.named(is_secret_name(name), part);
            }
        }
    }
}

/// `p%40ss` → `p@ss`; what is no such text stays as it is.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let Some(byte) = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) else {
            return text.to_owned();
        };
        bytes.push(byte);
        rest = &rest[at + 3..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// User and database of a URL with a login: `postgres://shop:shop@db/shop`.
fn url_names(url: &str) -> Vec<String> {
    let parts = url.split_once("://").and_then(|(_, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        let path = place.split_once('/').map_or("", |(_, path)| path);
        Some([login.split_once(':')?.0, path.split(['?', '#']).next()?])
    });
    parts.into_iter().flatten().filter(|name| !name.is_empty()).map(decoded).collect()
}

/// What a stack calls things in public, in lower case.
fn public(stack: &Stack) -> BTreeSet<String> {
    let mut names = BTreeSet::from([stack.name.as_str().to_owned(), stack.region()]);
    names.extend(stack.volumes.iter().flat_map(|(short, volume)| [short.clone(), volume.name.clone()]));
    names.extend(stack.networks.iter().flat_map(|(short, network)| [short.clone(), network.name.clone()]));
    names.extend(stack.aws.resources.iter().flat_map(|resource| resource.id.name.split('/').map(String::from)));
    names.extend(stack.root.file_name().map(|name| name.to_string_lossy().into_owned()));
    for service in stack.services.values() {
        names.insert(service.name.as_str().to_owned());
        names.extend(service.image.split(['/', ':', '@']).map(String::from));
        names.extend([&service.user, &service.hostname].into_iter().flatten().cloned());
        let is_public = |name: &str| name.rsplit('_').next().is_some_and(|word| PUBLIC.contains(&word));
        let told = service.env.iter().filter(|(name, value)| !value.secret && is_public(&name.to_ascii_uppercase()));
        names.extend(told.map(|(_, value)| value.value.clone()));
        names.extend(service.env.values().flat_map(|value| url_names(&value.value)));
        if let Probe::Postgres { user, database, .. } = &service.own {
            names.extend([user, database].into_iter().flatten().cloned());
        }
    }
    names.into_iter().map(|name| name.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StackName;
    use crate::resolve::sample;

    fn found(stack: &Stack) -> Vec<String> {
        values(stack).into_iter().collect()
    }

    #[test]
    fn values_are_collected_from_everywhere() {
        let text = r#"
[services.db]
kind = "postgres"
env = { POSTGRES_PASSWORD = "pw-of-db", POSTGRES_USER = "shopkeeper", SHOP_PASSWORD = "shopkeeper" }
[services.cache]
kind = "redis"
command = "redis-server --requirepass pw-of-cache"
[services.api]
image = "api"
command = ["sh", "-c", "echo; API_TOKEN=$$OTHER_TOKEN serve --token 'pw-of-api' --port 80"]
env = { UPSTREAM = "http://u:p%40ss-of-url@h/x", TLS_KEY = """-----BEGIN KEY-----
MIIEvQIBADANBgkqhkiG
-----END KEY-----""", LOG_LEVEL = "debugging" }
exports = { API_TOKEN = "pw-exported", API_URL = "http://x:pw-in-url@${host}:${port}/" }
hooks = { ready = [["login", "--password=pw-of-hook"]], pre_stop = [{ command = "bye", env = { TOKEN = "token-of-hook" } }] }
ports = ["80"]
[services.aws]
kind = "ministack"
[aws]
secrets = { "app/db" = '{"username": "app-user", "password": "pw-in-json"}', plain = "pw-plain" }
[aws.parameters]
a = { type = "SecureString", value = "pw-secure" }
b = "not-a-secret"
[aws.user_pools.p]
users = { "dev@x.test" = "Pw-of-dev1", "ada@x.test" = { password = "Pw-of-ada1", attributes = { given_name = "Adalbert" } } }
"#;
        let found = found(&sample::stack(text));
        for value in [
            "pw-of-db",
            "pw-of-cache",
            "pw-of-api",
            "p@ss-of-url",
            "MIIEvQIBADANBgkqhkiG",
            "pw-exported",
            "pw-in-url",
            "pw-of-hook",
            "token-of-hook",
            "pw-in-json",
            "pw-plain",
            "pw-secure",
            "Pw-of-dev1",
            "Pw-of-ada1",
        ] {
            assert!(found.iter().any(|one| one == value), "{value}: {found:#?}");
        }
        for value in [
            "$OTHER_TOKEN",
            "$OTHER_TOKEN serve --token 'pw-of-api' --port 80",
            "shopkeeper",
            "debugging",
            "app-user",
            "not-a-secret",
            "Adalbert",
            "dev@x.test",
        ] {
            assert!(!found.iter().any(|one| one == value), "{value}: {found:#?}");
        }
    }

    #[test]
    fn what_is_a_word_or_a_name_is_no_secret() {
        let text = r#"
[services.postgres]
image = "registry.test/postgres:15-alpine"
env = { A_PASSWORD = "postgres", B_PASSWORD = "15-alpine", C_PASSWORD = "Shop-of-Ada", D_PASSWORD = "changeme", E_PASSWORD = "dev" }
[services.api]
image = "api"
env = { UPSTREAM = "postgres://librarian:librarian@db/shelves?x=1", F_PASSWORD = "shelves", ARGS = "x" }
command = ["serve", "--auth-local", "scram-sha-256", "--auth", "required", "--auth-host", "all-of-them"]
"#;
        let mut stack = sample::stack(text);
        stack.name = StackName::parse("shop-of-ada").unwrap();
        assert_eq!(found(&stack), [""; 0]);
    }
}

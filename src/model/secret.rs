//! Which values are masked when shown.
//!
//! This file decides what is secret by its name or its place. Secrets in text from other programs are up to `masks`.

use std::borrow::Cow;
use std::ops::Range;

use super::EnvValue;

/// What is shown instead of a secret.
pub const MASK: &str = "********";

/// Whether a variable of this name holds a password, token or key.
pub fn is_secret_name(name: &str) -> bool {
    // A shell's folder.
    if name == "PWD" {
        return false;
    }
    // Options are written with dashes.
    let name = name.to_ascii_uppercase().replace('-', "_");
    let word = |word: &str| {
        matches!(word, "PASS" | "PWD" | "KEY" | "KEYS" | "AUTH" | "REQUIREPASS" | "MASTERAUTH")
            || [
                "PASSWORD",
                "PASSWD",
                "PASSPHRASE",
                "SECRET",
                "SECRETS",
                "TOKEN",
                "TOKENS",
                "CREDENTIAL",
                "CREDENTIALS",
                "APIKEY",
                "ACCESSKEY",
                "SECRETKEY",
                "PRIVATEKEY",
            ]
            .iter()
            .any(|end| word.ends_with(end))
    };
    // `…_FILE`, `…_AUTH_METHOD` and the like say where a secret is or how it is used, not what it is.
    !["_FILE", "_METHOD", "_ID", "_PATH", "_TTL"].iter().any(|end| name.ends_with(end) && !name.ends_with("_KEY_ID"))
        && name.split(|c: char| !c.is_ascii_alphanumeric()).any(word)
}

/// Ways of proving who one is; of these every text may speak.
const METHODS: [&str; 14] = [
    "basic",
    "bearer",
    "cert",
    "digest",
    "gssapi",
    "ident",
    "md5",
    "oauth2",
    "peer",
    "reject",
    "scram-sha-1",
    "scram-sha-256",
    "scram-sha-512",
    "trust",
];

/// Whether what follows such a name is one: of options that only speak of `auth`, as `--auth-host` does, it has to look
/// like a secret.
pub(crate) fn is_value_of(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let others: Vec<&str> = words.iter().copied().filter(|word| !word.eq_ignore_ascii_case("auth")).collect();
    if others.len() == words.len() || is_secret_name(&others.join("_")) {
        return true;
    }
    let is_variable = !name.contains(|c: char| c.is_ascii_lowercase() || c == '-');
    let has_digits = value.len() >= LEAST_VALUE && value.bytes().any(|byte| byte.is_ascii_digit());
    // `user:password`
    let looks_like_it = is_variable || has_digits || value.contains(':');
    looks_like_it && !METHODS.contains(&value.to_ascii_lowercase().as_str())
}

/// Minimum length of a value under a name that is not a password's.
pub(crate) const LEAST_VALUE: usize = 8;

/// A value as it may be shown: secrets masked, passwords in URLs too.
pub fn shown(value: &EnvValue) -> Cow<'_, str> {
    if value.secret { Cow::Borrowed(if value.value.is_empty() { "" } else { MASK }) } else { mask_urls(&value.value) }
}

/// Whether what stands under a key of a table of `[aws]` is secret itself, unless it is a table.
pub fn is_secret_in_aws(table: &toml::Table, key: &str) -> bool {
    let secure = table.get("type").and_then(toml::Value::as_str) == Some("SecureString");
    // Names of keys of KMS are no secrets.
    (secure && key == "value") || is_secret_name(key) && !matches!(key, "kms_key" | "keys" | "secret")
}

/// A command as it may be shown: `--requirepass ********`, `--token=********`.
pub fn mask_words(words: &[String]) -> Vec<String> {
    let mask = |(word, secret): (&String, Option<usize>)| match secret {
        Some(start) => format!("{}{MASK}", &word[..start]),
        None => mask_urls(word).into_owned(),
    };
    words.iter().zip(secret_words(words)).map(mask).collect()
}

/// Where in each word of a command a secret begins that extends to the word's end.
pub(crate) fn secret_words(words: &[impl AsRef<str>]) -> Vec<Option<usize>> {
    let mut before: Option<&str> = None;
    let look = |word| {
        let option = str::split_once(word, '=').filter(|(name, _)| is_secret_name(name));
        let found = match option {
            Some((name, value)) => is_value_of(name, value).then_some(name.len() + 1),
            None => before.filter(|name| !word.starts_with("--") && is_value_of(name, word)).map(|_| 0),
        };
        before = (option.is_none() && word.starts_with('-') && is_secret_name(word)).then_some(word);
        found
    };
    words.iter().map(AsRef::as_ref).map(look).collect()
}

/// Masks the passwords of the URLs in a text: `postgres://app:secret@db/app` → `postgres://app:********@db/app`.
pub fn mask_urls(text: &str) -> Cow<'_, str> {
    let found: Vec<_> = url_passwords(text.as_bytes()).collect();
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut done) = (String::new(), 0);
    for password in found {
        out.push_str(&text[done..password.start]);
        out.push_str(MASK);
        done = password.end;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

/// Where the passwords of the URLs in a text are. None is empty.
pub(crate) fn url_passwords(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    memchr::memmem::find_iter(text, b"://").filter_map(|scheme| {
        let start = scheme + 3;
        let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'') || byte.is_ascii_whitespace();
        let length = text[start..].iter().position(ends).unwrap_or(text.len() - start);
        let authority = &text[start..start + length];
        let at = memchr::memrchr(b'@', authority)?;
        let colon = memchr::memchr(b':', &authority[..at])?;
        (colon + 1 < at).then_some(start + colon + 1..start + at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in [
            "POSTGRES_PASSWORD",
            "PGPASSWORD",
            "API_KEY",
            "AWS_ACCESS_KEY_ID",
            "aws_secret_access_key",
            "GITHUB_TOKEN",
            "DB_PASS",
            "DB_PWD",
            "LOCALSTACK_AUTH_TOKEN",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "POSTGRES_USER",
            "POSTGRES_PASSWORD_FILE",
            "KEYCLOAK_URL",
            "POSTGRES_HOST_AUTH_METHOD",
            "MONKEY",
            "PWD",
            "TOKENIZER",
            "COMPASS",
            "--tls-key-file",
            "--token-path",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn commands_lose_their_passwords() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        for (command, shown) in [
            ("redis-server --requirepass s3cret --save 60", "redis-server --requirepass ******** --save 60"),
            ("x --api-key=1234 --port=80", "x --api-key=******** --port=80"),
            ("x --token --verbose y", "x --token --verbose y"),
            ("env DB_PASSWORD=a BASIC_AUTH=b sh", "env DB_PASSWORD=******** BASIC_AUTH=******** sh"),
            ("psql postgres://u:p@db/x", "psql postgres://u:********@db/x"),
            (
                "initdb --auth-local trust --auth-host=scram-sha-256",
                "initdb --auth-local trust --auth-host=scram-sha-256",
            ),
            (
                "x --auth and --auth-token t --basic-auth u:p",
                "x --auth and --auth-token ******** --basic-auth ********",
            ),
        ] {
            assert_eq!(mask_words(&words(command)), words(shown));
        }
    }

    #[test]
    fn urls_lose_their_passwords() {
        for (text, shown) in [
            ("postgres://app:s3cret@db:5432/app", "postgres://app:********@db:5432/app"),
            ("redis://:p@ss@redis", "redis://:********@redis"),
            ("a=http://u:p@h/ b=http://x:1/@", "a=http://u:********@h/ b=http://x:1/@"),
            ("http://host:80/a@b", "http://host:80/a@b"),
            ("http://user@host", "http://user@host"),
        ] {
            assert_eq!(mask_urls(text), shown);
        }
    }
}

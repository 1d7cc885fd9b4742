//! Which values are masked when shown.

use std::borrow::Cow;

use super::EnvValue;

/// What is shown instead of a secret.
pub const MASK: &str = "********";

/// Whether a variable of this name holds a password, token or key.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
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
            ]
            .iter()
            .any(|end| word.ends_with(end))
    };
    // `…_FILE`, `…_AUTH_METHOD` and the like say where a secret is or how it is used, not what it is.
    !["_FILE", "_METHOD", "_ID", "_PATH", "_TTL"].iter().any(|end| name.ends_with(end) && !name.ends_with("_KEY_ID"))
        && name.split(|c: char| !c.is_ascii_alphanumeric()).any(word)
}

/// A value as it may be shown: secrets masked, passwords in URLs too.
pub fn shown(value: &EnvValue) -> Cow<'_, str> {
    if value.secret { Cow::Borrowed(if value.value.is_empty() { "" } else { MASK }) } else { mask_urls(&value.value) }
}

/// A command as it may be shown: `--requirepass ********`, `--token=********`.
pub fn mask_words(words: &[String]) -> Vec<String> {
    let is_secret = |word: &str| word.starts_with('-') && is_secret_name(word);
    let mut follows = false;
    let mask = |word: &String| {
        let option = word.split_once('=').filter(|(name, _)| is_secret(name) || is_secret_name(name));
        let shown = match option {
            Some((name, _)) => format!("{name}={MASK}"),
            None if follows && !word.starts_with("--") => MASK.into(),
            None => mask_urls(word).into_owned(),
        };
        follows = option.is_none() && is_secret(word);
        shown
    };
    words.iter().map(mask).collect()
}

/// Masks the passwords of the URLs in a text: `postgres://app:secret@db/app` → `postgres://app:********@db/app`.
pub fn mask_urls(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut done = 0;
    while let Some(scheme) = text[done..].find("://").map(|offset| done + offset + 3) {
        let end = text[scheme..].find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace());
        let authority = &text[scheme..end.map_or(text.len(), |offset| scheme + offset)];
        let password = authority.rfind('@').and_then(|at| Some((authority[..at].find(':')? + 1, at)));
        match password.filter(|(start, end)| start < end) {
            Some((start, end)) => {
                out.push_str(&text[done..scheme + start]);
                out.push_str(MASK);
                done = scheme + end;
            }
            None => {
                out.push_str(&text[done..scheme]);
                done = scheme;
            }
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
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
            "TOKENIZER",
            "COMPASS",
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
            ("env DB_PASSWORD=a sh", "env DB_PASSWORD=******** sh"),
            ("psql postgres://u:p@db/x", "psql postgres://u:********@db/x"),
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

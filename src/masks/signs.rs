//! Recognises what looks like a secret without being known: passwords in URLs, `password=…` and `"token": "…"`,
//! `--password …`, `Authorization: …`, keys of AWS and GitHub, web tokens, private keys.
//!
//! For a password, every value is masked. For other names, only values that look like a secret, so that `token:
//! unexpected end` stays readable: eight characters or more, with a digit, or in the form of a variable
//! (`API_TOKEN=…`).

use std::ops::Range;

use regex::bytes::{Captures, Regex};

use crate::model::secret::{LEAST_VALUE, MASK, is_secret_name, is_value_of, url_passwords};

/// Words that say that there is no value, or that it is masked already.
const NO_VALUES: [&str; 8] = ["null", "none", "nil", "true", "false", "undefined", "redacted", "filtered"];

/// What finds secrets by their looks.
#[derive(Debug)]
pub(super) struct Signs {
    /// A line without any of these words has no secret by name.
    words: Regex,
    named: Regex,
    option: Regex,
    whole: Regex,
    key: Regex,
}

impl Signs {
    pub(super) fn new() -> Self {
        let regex = |pattern: &str| Regex::new(pattern).expect("a pattern that was tested");
        Self {
            words: regex(r"(?i-u:pass|pwd|secret|token|key|credential|auth)"),
            // The name, what closes its quotes, the separator, what opens the value's.
            named: regex(r#"(?-u)([A-Za-z_][A-Za-z0-9_.\-]*)(\\?["'])?([ \t]*(?:=>|:=|[:=])[ \t]*)(\\?["'])?"#),
            option: regex(r"(?-u)--([A-Za-z][A-Za-z0-9_\-]*) +([^\s-]\S*)"),
            whole: regex(concat!(
                r#"(?-u)(?i:authorization(?:\\?["'])?[ \t]*[:=][ \t]*(?:\\?["'])?(?:basic|bearer|digest|token|negotiate|apikey|"#,
                r#"aws4-hmac-sha256)[ \t]+)([^"'\\\r\n]+)"#,
                r"|\b(?i:bearer)[ \t]+([A-Za-z0-9+/=._~\-]{16,})",
                r"|\b((?:AKIA|ASIA)[A-Z0-9]{16})\b",
                r"|\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})\b",
                r"|\b(eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*)",
            )),
            key: regex(r"(?-u)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\r|\\n|\s)*([^-\s\\][^-]*)"),
        }
    }

    /// Where secrets are in a line, in no order.
    pub(super) fn find(&self, line: &[u8], found: &mut Vec<Range<usize>>) {
        found.extend(url_passwords(line));
        found.extend(self.whole.captures_iter(line).filter_map(|seen| first_group(&seen)));
        if self.words.is_match(line) {
            found.extend(self.named.captures_iter(line).filter_map(|seen| value(line, &seen)));
            let options = self.option.captures_iter(line).filter_map(|seen| Some((seen.get(1)?, seen.get(2)?)));
            let is_secret = |name: &str, value: &str| says_secret(name) && is_value_of(name, value);
            found.extend(
                options
                    .filter(|(name, value)| is_secret(&text(name.as_bytes()), &text(value.as_bytes())))
                    .map(|(_, value)| value.range()),
            );
            found.extend(self.key.captures_iter(line).filter_map(|seen| first_group(&seen)));
        }
    }
}

/// Whether a line begins a private key that goes on in the next one.
pub(super) fn begins_key(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    line.ends_with(b"PRIVATE KEY-----") && memchr::memmem::find(line, b"-----BEGIN ").is_some()
}

/// Whether a line may be part of a private key: Base64, a header of an old form, nothing.
pub(super) fn is_of_key(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    line.iter().all(base64) || line.starts_with(b"Proc-Type:") || line.starts_with(b"DEK-Info:")
}

fn first_group(seen: &Captures<'_>) -> Option<Range<usize>> {
    seen.iter().skip(1).flatten().next().map(|group| group.range())
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The value after a name and a separator, if it is a secret.
fn value(line: &[u8], seen: &Captures<'_>) -> Option<Range<usize>> {
    let (name, separator) = (text(seen.get(1)?.as_bytes()), seen.get(3)?.as_bytes());
    if !says_secret(&name) {
        return None;
    }
    let start = seen.get(0)?.end();
    let length = end_of_value(&line[start..], seen.get(4).map(|quote| quote.as_bytes()));
    let value = text(&line[start..start + length]);
    let bare = value.trim_matches(|c: char| !c.is_alphanumeric());
    if bare.is_empty() || value == MASK || NO_VALUES.contains(&bare.to_ascii_lowercase().as_str()) {
        return None;
    }
    let is_variable = separator == b"=" && !name.contains(|c: char| c.is_ascii_lowercase());
    let looks_like_it = value.len() >= LEAST_VALUE && value.contains(|c: char| c.is_ascii_digit());
    let is_secret = is_password(&name) || is_variable || looks_like_it;
    (is_secret && is_value_of(&name, &value)).then_some(start..start + length)
}

/// How long a value is: to the quote that closes it, else to what no password in a log goes on after.
fn end_of_value(rest: &[u8], quote: Option<&[u8]>) -> usize {
    let end = match quote {
        Some(quote @ [b'\\', ..]) => memchr::memmem::find(rest, quote),
        Some([quote, ..]) => {
            let mut escaped = false;
            rest.iter().position(|byte| {
                let closes = byte == quote && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            })
        }
        _ => rest.iter().position(|byte| byte.is_ascii_whitespace() || b"\"'`,;&()[]{}<>|\\".contains(byte)),
    };
    end.unwrap_or(rest.len())
}

/// Whether what follows a name in a text is a secret. In texts `key` is mostly a key of something else.
fn says_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let last = upper.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let key = matches!(last, "KEY" | "KEYS");
    let of_what = ["API", "ACCESS", "SECRET", "PRIVATE", "SIGN", "ENCRYPT", "MASTER", "AUTH"];
    is_secret_name(name)
        && (!key || of_what.iter().any(|word| upper.contains(word)))
        && !matches!(&*upper, "PWD" | "AUTH")
}

fn is_password(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.contains("PASSW") || upper.contains("PASSPHRASE") || upper.ends_with("PASS") || upper.ends_with("PWD")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        let mut found = Vec::new();
        Signs::new().find(line.as_bytes(), &mut found);
        found.sort_by_key(|range| range.start);
        let (mut out, mut done) = (String::new(), 0);
        for range in found.into_iter().filter(|range| range.start < range.end) {
            if range.start >= done {
                out.push_str(&line[done..range.start]);
                out.push('~');
            }
            done = done.max(range.end);
        }
        out + &line[done..]
    }

    #[test]
    fn secrets_are_seen_by_their_looks() {
        for (line, expected) in [
            ("connecting to postgres://app:pw@db/x", "connecting to postgres://app:~@db/x"),
            ("password=pw host=db", "password=~ host=db"),
            (r#"{"user":"u","dbPassword":"p\"w,1","port":1}"#, r#"{"user":"u","dbPassword":"~","port":1}"#),
            (r#""{\"password\":\"p w\",\"a\":1}""#, r#""{\"password\":\"~\",\"a\":1}""#),
            ("user 'u' password: 'p w' ok", "user 'u' password: '~' ok"),
            ("API_TOKEN=abc", "API_TOKEN=~"),
            ("apiKey: 4f9a8c7d6e", "apiKey: ~"),
            ("$ login --password pw --verbose", "$ login --password ~ --verbose"),
            ("Authorization: Basic dTpw", "Authorization: Basic ~"),
            (r#""authorization": "Bearer a.b.c", "x": 1"#, r#""authorization": "Bearer ~", "x": 1"#),
            ("got Bearer abcdefgh12345678 from x", "got Bearer ~ from x"),
            ("key AKIAIOSFODNN7EXAMPLE is old", "key ~ is old"),
            (
                "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----",
                "-----BEGIN PRIVATE KEY-----\\n~-----END PRIVATE KEY-----",
            ),
        ] {
            assert_eq!(shown(line), expected);
        }
    }

    #[test]
    fn what_only_sounds_like_one_stays() {
        for line in [
            "password authentication failed for user \"app\"",
            "unexpected token: }",
            "token: unexpected end of input",
            "DETAIL: Key (id)=(12345678) already exists.",
            "primary_key: order-2024-0001",
            "auth: ok, PWD=/app",
            "password: null, secret: ********, token=\"\"",
            "POSTGRES_PASSWORD_FILE=/run/secrets/pw",
            "basic authentication is required for http://host:80/a@b",
            "option -A, or --auth-local and --auth-host, the next time you run initdb",
            "run --auth-host scram-sha-256 or auth-method=md5 or AUTH_METHOD=scram-sha-256",
            "loaded 3 secrets: 3 ok",
        ] {
            assert_eq!(shown(line), line);
        }
    }
}

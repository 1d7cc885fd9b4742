//! The forms in which a value may be written: plain, percent-encoded, escaped in JSON or SQL, in Base64.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Shorter pieces of Base64 could be any word.
const LEAST_BASE64: usize = 7;

/// All ways in which a value may be written, itself too.
pub(super) fn all(value: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([value.to_owned(), value.replace('\'', "''"), value.replace('\'', r"'\''")]);
    for keep in ["-._~", "-._~!*'()"] {
        for space in ["%20", "+"] {
            let encoded = percent(value, keep, space);
            found.insert(lower_hex(&encoded));
            found.insert(encoded);
        }
    }
    // What a service logs as JSON may be a text in JSON again.
    for once in json(value) {
        found.extend(json(&once));
        found.insert(once);
    }
    found.extend((0..3).flat_map(|shift| base64(value, shift)));
    found
}

fn percent(value: &str, keep: &str, space: &str) -> String {
    let mut encoded = String::new();
    for byte in value.bytes() {
        match byte {
            b' ' => encoded.push_str(space),
            byte if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) => encoded.push(byte.into()),
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// `%2F` → `%2f`.
fn lower_hex(encoded: &str) -> String {
    let mut digits = 0;
    let lower = |c: char| {
        let is_digit = digits > 0;
        digits = if c == '%' { 2_u8 } else { digits.saturating_sub(1) };
        if is_digit { c.to_ascii_lowercase() } else { c }
    };
    encoded.chars().map(lower).collect()
}

/// Inside a string of JSON, as different writers escape: what they must, everything but ASCII too, what means something in
/// HTML too, slashes too.
fn json(value: &str) -> [String; 5] {
    let quoted = serde_json::Value::from(value).to_string();
    let plain = quoted[1..quoted.len() - 1].to_owned();
    let mut ascii = String::new();
    for c in plain.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    let html = plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let quotes = html.replace('\'', "\\u0027").replace('=', "\\u003d");
    let slashes = ascii.replace('/', "\\/");
    [plain, ascii, html, quotes, slashes]
}

/// The characters of Base64 that a value alone decides when so many bytes are before it (modulo three): it may stand in the
/// middle of what is encoded, as the password in `user:password`.
fn base64(value: &str, before: usize) -> Vec<String> {
    let bytes = [&[0; 2][..before], value.as_bytes()].concat();
    let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    let codes = [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes)];
    let whole = codes.iter().filter_map(|code| code.get(first..last));
    whole.filter(|code| code.len() >= LEAST_BASE64).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_however_it_is_written() {
        let value = "it's /<€> \"s3cret\"";
        let found = all(value);
        for form in [
            value,
            "it''s /<€> \"s3cret\"",
            "it%27s%20%2F%3C%E2%82%AC%3E%20%22s3cret%22",
            "it%27s%20%2f%3c%e2%82%ac%3e%20%22s3cret%22",
            "it's+%2F%3C%E2%82%AC%3E+%22s3cret%22",
            r#"it's /<€> \"s3cret\""#,
            r#"it's /<\u20ac> \"s3cret\""#,
            r#"it's /\u003c€\u003e \"s3cret\""#,
            r#"it\u0027s /\u003c€\u003e \"s3cret\""#,
            r#"it's \/<\u20ac> \"s3cret\""#,
            r#"it's /<€> \\\"s3cret\\\""#,
        ] {
            assert!(found.contains(form), "{form}\n{found:#?}");
        }
    }

    #[test]
    fn base64_is_found_wherever_it_begins() {
        let found = all("s3cret-of-redis");
        for (before, after) in [("", ""), ("u:", ""), ("ap:", "x"), ("app:", "yz"), ("user:", "\n")] {
            let whole = STANDARD.encode(format!("{before}s3cret-of-redis{after}"));
            assert!(found.iter().any(|form| whole.contains(form)), "{whole}");
        }
    }
}

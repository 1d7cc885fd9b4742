//! Small notations inside strings: durations, sizes, command lines.

use std::time::Duration;

/// `60s`, `500ms`, `2m`, `1h`, `1m30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let fail =
        || format!("`{text}` is not a duration: write a number and a unit, such as \"500ms\", \"60s\" or \"2m\"");
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(fail());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(fail)?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: f64 = number.parse().map_err(|_| fail())?;
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(fail()),
        };
        // Longer than a day is a slip of the finger, and keeps the arithmetic far from overflow.
        if number * seconds > 86_400.0 {
            return Err(format!("`{text}` is longer than a day"));
        }
        total += Duration::from_millis((number * seconds * 1000.0).round() as u64);
        rest = tail;
    }
    Ok(total)
}

/// A duration as [`duration`] reads it.
pub fn show_duration(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1000 != 0 => format!("{ms}ms"),
        ms => format!("{}s", ms / 1000),
    }
}

/// `512`, `64k`, `64m`, `1g`, `1.5g`; `64mb`, `64MiB` mean the same: all are powers of 1024, as for docker.
pub fn size(text: &str) -> Result<u64, String> {
    let fail = || format!("`{text}` is not a size: write a number and a unit, such as \"64m\" or \"1g\"");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(fail()),
    };
    let number: f64 = number.parse().map_err(|_| fail())?;
    let bytes = number * (1_u64 << shift) as f64;
    if bytes > (1_u64 << 50) as f64 {
        return Err(format!("`{text}` is larger than a pebibyte"));
    }
    Ok(bytes as u64)
}

/// Splits a command line as a shell does, quotes and backslashes included; nothing is expanded.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("the single quote is not closed".into()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some('\n') => {}
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("the double quote is not closed".into()),
                        },
                        Some(c) => word.push(c),
                        None => return Err("the double quote is not closed".into()),
                    }
                }
            }
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("the backslash at the end escapes nothing".into()),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in
            [("60s", 60_000), ("500ms", 500), ("2m", 120_000), ("1m30s", 90_000), ("1.5s", 1500), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "60", "s", "1 s", "-1s", "1d", "1.2.3s", "99999999999999999999h", "é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(show_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("64m", 64 << 20), ("1g", 1 << 30), ("512", 512), ("1.5k", 1536), ("2GiB", 2 << 30), ("1MB", 1 << 20)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "m", "1x", "-1m", "9999999t", "1 g", "ä"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn command_lines() {
        assert_eq!(
            words(r#"sh -c 'a "b"' "c \" d" e\ f '' "#),
            Ok(["sh", "-c", "a \"b\"", "c \" d", "e f", ""].map(String::from).into())
        );
        assert_eq!(words("  "), Ok(vec![]));
        for bad in ["'a", "\"a", "a\\"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}

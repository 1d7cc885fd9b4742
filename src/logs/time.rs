//! Parses `--since` and `--until`. Pure.

use jiff::civil::DateTime;
use jiff::{Span, Timestamp, Zoned};

/// Nanoseconds since 1970 of a time as people write it: `10m` ago, RFC 3339 (without a zone: the user's), or seconds
/// since 1970.
///
/// # Errors
/// Says what would be understood.
pub fn parse(text: &str, now: &Zoned) -> Result<u64, String> {
    let nanoseconds = seconds(text).or_else(|| at(text, now).map(Timestamp::as_nanosecond)).ok_or_else(|| {
        format!("`{text}` is not a time: use 10m, 1h30m, 2026-05-04T10:00:00, 2026-05-04T10:00:00Z or 1777888800")
    })?;
    Ok(u64::try_from(nanoseconds).unwrap_or(0))
}

/// Whether a time is relative to now, so that it matters what time it is where the logs are written.
pub fn is_relative(text: &str) -> bool {
    seconds(text).is_none() && text.parse::<Span>().is_ok()
}

/// `1777888800` or `1777888800.5`.
fn seconds(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(fraction)
}

fn at(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(span) = text.parse::<Span>() {
        return now.checked_sub(span).ok().map(|at| at.timestamp());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil: DateTime = text.parse().ok()?;
    civil.to_zoned(now.time_zone().clone()).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-05-04T10:00:00+02:00[Europe/Berlin]".parse().unwrap_or_else(|_| {
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
            "2026-05-04T08:00:00Z".parse::<Timestamp>().expect("a valid time").to_zoned(zone)
        })
    }

    #[test]
    fn times_as_people_write_them() {
        let at = |text: &str| {
            "2026-05-04T08:00:00Z".parse::<Timestamp>().unwrap().as_nanosecond() - {
                i128::from(parse(text, &now()).unwrap())
            }
        };
        let second = 1_000_000_000;
        assert_eq!(at("10m"), 600 * second);
        assert_eq!(at("1h30m"), 5400 * second);
        assert_eq!(at("1.5s"), 3 * second / 2);
        assert_eq!(at("250ms"), second / 4);
        assert_eq!(at("2d"), 2 * 86_400 * second);
        assert_eq!(at("2026-05-04T07:59:00Z"), 60 * second);
        assert_eq!(at("2026-05-04T09:59:00+02:00"), 60 * second);
        assert_eq!(at("2026-05-04T09:59:00"), 60 * second, "without a zone: the user's");
        assert_eq!(at("2026-05-04"), 10 * 3600 * second);
        assert_eq!(parse("1777888800.25", &now()), Ok(1_777_888_800_250_000_000));
        assert_eq!(parse("1777888800", &now()), Ok(1_777_888_800_000_000_000));
    }

    #[test]
    fn what_is_no_time_says_what_would_be() {
        for bad in ["", "soon", "10 parsecs", "1.2.3", ".5", "12:00", "99999999999999999999999999999999999999999"] {
            let error = parse(bad, &now());
            assert!(error.as_ref().is_err_and(|text| text.contains("use 10m")), "{bad:?}: {error:?}");
        }
    }

    #[test]
    fn only_what_counts_from_now_is_relative() {
        assert!(is_relative("10m"));
        assert!(!is_relative("1777888800"));
        assert!(!is_relative("2026-05-04"));
    }
}

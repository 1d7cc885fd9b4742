//! Whether a log line matches `ready.log`. Pure.

use regex::bytes::Regex;

/// Whether a line matches: as it was written, or as it looks on a terminal, that is without colours and other control
/// sequences. Its end (LF or CR LF) is no part of it, so `^` and `$` fit; what was written over by a carriage return is a
/// line of its own. A pattern that asks for the line feed finds one.
pub(super) fn matches(pattern: &Regex, line: &[u8]) -> bool {
    let text = trimmed(line);
    if pattern.is_match(text) {
        return true;
    }
    let plain = is_controlled(text).then(|| plain(text));
    if let Some(plain) = &plain
        && plain.split(|byte| *byte == b'\r').any(|part| pattern.is_match(part))
    {
        return true;
    }
    let shown = plain.as_deref().unwrap_or(text);
    asks_for_the_end(pattern) && ["\n", "\r\n"].iter().any(|end| pattern.is_match(&[shown, end.as_bytes()].concat()))
}

/// A line without its end.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    &line[..line.len() - line.iter().rev().take_while(|byte| **byte == b'\r').count()]
}

/// Patterns made for other tools often end in `\n`.
fn asks_for_the_end(pattern: &Regex) -> bool {
    pattern.as_str().contains(r"\n") || pattern.as_str().contains('\n')
}

fn is_controlled(text: &[u8]) -> bool {
    text.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) || text.windows(2).any(|two| two == CSI)
}

/// U+009B, which begins a sequence as `ESC [` does.
const CSI: [u8; 2] = [0xc2, 0x9b];

/// The text without its escape sequences and control characters. Carriage returns and tabs stay.
fn plain(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&first, after)) = rest.split_first() {
        rest = match first {
            0x1b => &after[escape(after)..],
            _ if rest.starts_with(&CSI) => &rest[2 + sequence(&rest[2..])..],
            b'\t' | b'\r' => {
                out.push(first);
                after
            }
            0..0x20 | 0x7f => after,
            _ => {
                out.push(first);
                after
            }
        };
    }
    out
}

/// How many bytes after an ESC belong to it.
fn escape(after: &[u8]) -> usize {
    match after.first() {
        None => 0,
        Some(b'[') => 1 + sequence(&after[1..]),
        // A title, a link or other text for the terminal, up to BEL or `ESC \`.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let end = after.iter().position(|byte| matches!(byte, 0x07 | 0x1b));
            match end {
                Some(at) if after[at] == 0x07 => at + 1,
                Some(at) if after.get(at + 1) == Some(&b'\\') => at + 2,
                Some(at) => at,
                None => after.len(),
            }
        }
        Some(_) => {
            let between = after.iter().take_while(|byte| (0x20..0x30).contains(*byte)).count();
            (between + 1).min(after.len())
        }
    }
}

/// How long the parameters and the last byte of a control sequence are.
fn sequence(text: &[u8]) -> usize {
    let parameters = text.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
    let ends = text.get(parameters).is_some_and(|byte| (0x40..0x7f).contains(byte));
    parameters + usize::from(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, line: &[u8]) -> bool {
        matches(&Regex::new(pattern).unwrap(), line)
    }

    #[test]
    fn a_pattern_may_name_both_ends_of_a_line() {
        for line in [&b"server started"[..], b"server started\n", b"server started\r\n", b"server started\r"] {
            for pattern in
                ["^server started$", "started$", r"started\s*$", r"started\n", r"started\r?\n$", "(?m)^server started$"]
            {
                assert!(is_match(pattern, line), "{pattern} {line:?}");
            }
            assert!(!is_match("^started", line) && !is_match("server$", line), "{line:?}");
        }
        assert!(is_match("^$", b"\n") && !is_match("^$", b"x\n"));
    }

    #[test]
    fn the_line_feed_that_was_taken_away_is_no_character() {
        assert!(!is_match("[^d]$", b"server started\n"));
        assert!(!is_match(r"[^\nd]$", b"server started\n"));
    }

    #[test]
    fn colours_and_other_sequences_hide_nothing() {
        for line in [
            &b"\x1b[32mserver\x1b[0m started"[..],
            b"\x1b[1;38;5;10mserver started\x1b[m",
            b"\x1b]0;a title\x07server\x1b[K started\x1b[0K\r\n",
            b"\x1b]8;;http://x/\x1b\\server\x1b]8;;\x1b\\ started",
            b"\xc2\x9b32mserver\xc2\x9b0m started",
            b"\x1b(Bserver started\x1b>",
            b"ser\x00ver\x07 started",
        ] {
            assert!(is_match("^server started$", line), "{}", String::from_utf8_lossy(line));
        }
        assert!(is_match(r"\[32mserver", b"\x1b[32mserver\x1b[0m"), "as it was written");
    }

    #[test]
    fn what_was_written_over_is_a_line_of_its_own() {
        assert!(is_match("^server started$", b"starting 10%\rstarting 99%\rserver started"));
        assert!(is_match("^starting 10%$", b"starting 10%\r\x1b[Kserver started"));
    }

    #[test]
    fn broken_sequences_take_no_more_than_the_line() {
        for line in [&b"\x1b"[..], b"\x1b[", b"\x1b[31", b"\x1b]", b"\x1b(", b"\xc2\x9b", b"\x1b]x\x1b"] {
            assert!(!is_match("x", plain(line).as_slice()), "{line:?}");
        }
        assert!(is_match("^é→$", "\u{1b}[3mé→".as_bytes()));
    }
}

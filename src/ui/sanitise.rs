//! Sanitises text from other programs: colours pass, everything else that could move the cursor, change the terminal or
//! hide text does not. Pure; [`line()`] does not allocate, because every log line passes through it.
//!
//! Everything that `ui` prints passes [`printed`] at the end, and JSON passes [`json`], so callers need not think of
//! it. A message that contains text from other programs passes [`block`] or [`text`] before it is painted, so that only
//! our colours are left.

use std::fmt::Write as _;

/// Ends every colour a line began.
const RESET: &[u8] = b"\x1b[0m";

/// Appends a line to `out` without what a terminal would act on. Tabs stay, and with `colors` SGR sequences do, ended
/// by a reset. What is no UTF-8 becomes U+FFFD. Line feeds go too: where a line ends is the caller's business.
pub fn line(bytes: &[u8], colors: bool, out: &mut Vec<u8>) {
    let mut rest = bytes;
    let mut colored = false;
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let Some(&first) = rest.first() else { break };
        rest = match first {
            0x1b => {
                let length = escape_length(rest);
                if colors && is_sgr(&rest[..length]) {
                    out.extend_from_slice(&rest[..length]);
                    colored = !matches!(&rest[..length], b"\x1b[m" | b"\x1b[0m");
                }
                &rest[length..]
            }
            0..0x20 | 0x7f => &rest[1..],
            _ => character(rest, out),
        };
    }
    if colored {
        out.extend_from_slice(RESET);
    }
}

/// The same for text that is shown as part of a message: no colours, line feeds become spaces.
pub fn text(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for (at, part) in text.trim_end().split('\n').enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        line(part.as_bytes(), false, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The same for text of several lines that is part of a message: no colours, and no line but the first begins at the
/// margin, where it could be taken for a message of its own.
pub fn block(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    for (at, part) in text.trim_end().split('\n').enumerate() {
        if at > 0 {
            out.extend_from_slice(if part.is_empty() || part.starts_with(' ') { b"\n" } else { b"\n  " });
        }
        line(part.as_bytes(), false, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What may be printed of a whole text: its lines, tabs and, with `colors`, colours.
pub fn printed(text: &str, colors: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    for (at, part) in text.split('\n').enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        line(part.as_bytes(), colors, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// JSON with everything escaped that a terminal would act on: the same values to every reader. Only texts in JSON can
/// hold such characters, so that each can be replaced where it stands.
pub fn json(text: String) -> String {
    let acts = |c: char| is_hidden(c) || is_joiner(c) || c == '\u{7f}';
    if !text.contains(acts) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// How many bytes from the start can be copied as they are: printable ASCII and tabs, eight at a time.
fn plain_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 8).and_then(|chunk| <[u8; 8]>::try_from(chunk).ok()) {
        if !all_printable(u64::from_le_bytes(chunk)) {
            break;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|&&byte| (0x20..0x7f).contains(&byte) || byte == b'\t').count()
}

/// Whether eight bytes are all in 0x20..0x7f.
fn all_printable(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // With no byte above 0x7f, adding 1 carries into the high bit only from 0x7f, and adding 0x60 only from 0x20 up.
    word & HIGH == 0 && word.wrapping_add(ONES) & HIGH == 0 && word.wrapping_add(0x60 * ONES) & HIGH == HIGH
}

/// Takes characters that are not ASCII, or the bytes that should have been one. Returns what follows.
fn character<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let harmless = harmless_prefix(bytes);
    if harmless > 0 {
        out.extend_from_slice(&bytes[..harmless]);
        return &bytes[harmless..];
    }
    let length = match bytes[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let candidate = &bytes[..length.min(bytes.len())];
    match std::str::from_utf8(candidate) {
        Ok(text) => {
            // A joiner has no meaning after ASCII, but hides there that two words differ.
            let misused = text.starts_with(is_joiner) && out.last().is_none_or(u8::is_ascii);
            if !misused && !text.starts_with(is_hidden) {
                out.extend_from_slice(candidate);
            }
            &bytes[candidate.len()..]
        }
        Err(error) => {
            out.extend_from_slice("\u{fffd}".as_bytes());
            &bytes[error.error_len().unwrap_or(candidate.len()).max(1)..]
        }
    }
}

/// How many bytes from the start are characters of which none can be hidden: none begins as those of [`is_hidden`] do.
/// Bounded, so that what is no UTF-8 is not looked at again and again.
fn harmless_prefix(bytes: &[u8]) -> usize {
    let candidate = |byte: &&u8| **byte >= 0x80 && !matches!(**byte, 0xc2 | 0xd8 | 0xe1 | 0xe2 | 0xef | 0xf3);
    let length = bytes.iter().take(64).take_while(candidate).count();
    match std::str::from_utf8(&bytes[..length]) {
        Ok(_) => length,
        Err(error) => error.valid_up_to(),
    }
}

/// Control characters beyond ASCII, line and paragraph separators, those that turn the direction of text around, and those
/// that take no room by design.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Zero-width joiner and non-joiner, which scripts other than Latin and emoji need.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Length of the escape sequence at the start, at least 1. One that does not end takes the rest of the line: half of
/// it would be as bad.
fn escape_length(bytes: &[u8]) -> usize {
    match bytes.get(1) {
        None => 1,
        Some(b'[') => {
            let parameters = bytes[2..].iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
            match bytes.get(2 + parameters) {
                // What can't belong to the sequence is looked at by itself.
                Some(0x40..0x7f) => 3 + parameters,
                _ => 2 + parameters,
            }
        }
        // OSC, DCS, SOS, PM and APC carry text up to BEL or ST (ESC \, or the byte 0x9c).
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_length(bytes),
        Some(0x20..0x30) => {
            let between = bytes[1..].iter().take_while(|byte| (0x20..0x30).contains(*byte)).count();
            if matches!(bytes.get(1 + between), Some(0x30..0x7f)) { 2 + between } else { 1 + between }
        }
        Some(0x30..0x7f) => 2,
        Some(_) => 1,
    }
}

fn string_length(bytes: &[u8]) -> usize {
    let mut at = 2;
    while let Some(found) = memchr::memchr2(0x07, 0x1b, &bytes[at..]) {
        at += found;
        if bytes[at] == 0x07 {
            return at + 1;
        }
        if bytes.get(at + 1) == Some(&b'\\') {
            return at + 2;
        }
        at += 1;
    }
    bytes.len()
}

/// Colours and the like: `CSI`, digits and separators, `m`. Not what conceals text.
fn is_sgr(sequence: &[u8]) -> bool {
    match sequence {
        [0x1b, b'[', parameters @ .., b'm'] => {
            parameters.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':')) && !conceals(parameters)
        }
        _ => false,
    }
}

/// Whether there is an 8 that is no number of a colour.
fn conceals(parameters: &[u8]) -> bool {
    let mut numbers = parameters.split(|byte| matches!(byte, b';' | b':'));
    while let Some(number) = numbers.next() {
        match number.trim_ascii_start().strip_prefix(b"0").unwrap_or(number) {
            b"8" => return true,
            b"38" | b"48" | b"58" => match numbers.next() {
                Some(b"5") => drop(numbers.next()),
                Some(b"2") => drop(numbers.by_ref().take(3).last()),
                _ => {}
            },
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clean(bytes: impl AsRef<[u8]>, colors: bool) -> String {
        let mut out = Vec::new();
        line(bytes.as_ref(), colors, &mut out);
        String::from_utf8(out).expect("always UTF-8")
    }

    #[test]
    fn colours_pass_only_when_asked_and_end_with_the_line() {
        let red = "\x1b[31mred\x1b[0m plain";
        assert_eq!(clean(red, true), red);
        assert_eq!(clean(red, false), "red plain");
        assert_eq!(clean("\x1b[1;38:5:9mred", true), "\x1b[1;38:5:9mred\x1b[0m");
        assert_eq!(clean("\x1b[38;5;8mgrey", true), "\x1b[38;5;8mgrey\x1b[0m");
    }

    #[test]
    fn sequences_go_whole() {
        for sequence in [
            "\x1b[2J",
            "\x1b[?25l",
            "\x1b[10;20H",
            "\x1b[>4;2m",
            "\x1b]0;title\x07",
            "\x1b]52;c;aGk=\x1b\\",
            "\x1bPq#0\x1b\\",
            "\x1b_apc\x1b\\",
            "\x1b^pm\x1b\\",
            "\x1bXsos\x1b\\",
            "\x1bc",
            "\x1b(0",
            "\x1b7",
            "\x1b#8",
            "\r",
            "\x08",
            "\x00",
            "\x7f",
            "\u{9b}",
            "\u{202e}",
            "\u{2066}",
            "\u{200b}",
            "\u{feff}",
            "\u{e0041}",
            "\u{200d}",
            "\x1b[8m",
            "\x1b[1;08m",
            "\n",
        ] {
            assert_eq!(clean(format!("a{sequence}b"), true), "ab", "{sequence:?}");
        }
    }

    #[test]
    fn what_does_not_end_takes_the_rest() {
        assert_eq!(clean("a\x1b]0;title", true), "a");
        assert_eq!(clean("a\x1b[31", true), "a");
        assert_eq!(clean("a\x1b", true), "a");
    }

    #[test]
    fn an_escape_inside_a_sequence_begins_anew() {
        assert_eq!(clean("\x1b[3\x1b[2Jx", true), "x");
        assert_eq!(clean("\x1b\x1b[2Jx", true), "x");
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        assert_eq!(clean(b"a\x9bb", true), "a\u{fffd}b");
        assert_eq!(clean(b"a\xff\xe2\x82", true), "a\u{fffd}\u{fffd}");
        assert_eq!(clean(b"\xe2\x82A", true), "\u{fffd}A");
        assert_eq!(clean("\u{20ac} \u{1f600}\tend", true), "\u{20ac} \u{1f600}\tend");
    }

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(text("two\nlines\x1b[31m!\n"), "two lines!");
    }

    #[test]
    fn a_message_of_several_lines_can_not_forge_another() {
        assert_eq!(block("a\x1b[31m\r\nhint: b\n  c\n"), "a\n  hint: b\n  c");
        assert_eq!(printed("\x1b[31ma\nb\u{9b}2J\n", true), "\x1b[31ma\x1b[0m\nb2J\n");
        assert_eq!(printed("\x1b[31ma\tb\n\n", false), "a\tb\n\n");
    }

    #[test]
    fn joiners_stay_where_they_join() {
        for text in ["\u{1f468}\u{200d}\u{1f469}", "\u{645}\u{6cc}\u{200c}\u{62e}"] {
            assert_eq!(clean(text, false), text);
        }
        assert_eq!(clean("pay\u{200d}pal", false), "paypal");
    }

    #[test]
    fn json_says_the_same_in_harmless_characters() {
        let value = serde_json::json!({"a\u{9b}": "\u{202e}x\u{7f}\u{e0041}\u{200d}é\u{1b}"});
        let text = json(value.to_string());
        assert_eq!(text, r#"{"a\u009b":"\u202ex\u007f\udb40\udc41\u200dé\u001b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    proptest! {
        #[test]
        fn nothing_forbidden_comes_out(
            parts in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..12),
                    any::<String>().prop_map(String::into_bytes),
                    "\\x1b[\\[\\]PX^_(#c][0-9;?:]{0,4}[mHJ\\\\\\x07]?".prop_map(String::into_bytes),
                ],
                0..8,
            ),
        ) {
            let bytes = parts.concat();
            let plain = clean(&bytes, false);
            prop_assert!(plain.chars().all(|c| c == '\t' || !(c.is_control() || is_hidden(c))), "{plain:?}");
            let colored = clean(&bytes, true);
            let mut rest = colored.as_bytes();
            while let Some(at) = memchr::memchr(0x1b, rest) {
                let length = escape_length(&rest[at..]);
                prop_assert!(is_sgr(&rest[at..at + length]), "{colored:?}");
                rest = &rest[at + length..];
            }
            prop_assert_eq!(clean(&colored, false), plain, "colours are all the difference");
        }

        #[test]
        fn plain_text_is_unchanged(text in "[ -~\\t\u{ae}-\u{24f}\u{4e00}-\u{4eff}\u{1f600}-\u{1f64f}]{0,80}") {
            prop_assert_eq!(clean(&text, true), text);
        }

        #[test]
        fn eight_bytes_at_once_agree_with_one_at_a_time(
            bytes in proptest::array::uniform8(prop_oneof![8 => 0x20_u8..0x7f, 1 => Just(0x1f), 1 => 0x7f_u8..]),
        ) {
            let each = bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
            prop_assert_eq!(all_printable(u64::from_le_bytes(bytes)), each);
        }
    }
}

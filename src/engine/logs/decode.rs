//! Splits the bytes of a container's log into lines with their times, independent of how the bytes were chunked. Pure.
//! `engine::logs` reads the bytes; `crate::logs` orders the lines of several containers.
//!
//! A container without a terminal has frames of `[stream, 0, 0, 0, length (big endian)]` and a payload; one with a
//! terminal has plain lines. The engine splits lines at 16 KiB, into frames that do not end in a line feed.

use std::ops::Range;

/// Longest line that is put together again; a longer one comes out in pieces of this length.
pub const LINE_LIMIT: usize = 64 * 1024;
/// Longest payload that is waited for as a whole: a line and its time.
const PAYLOAD_LIMIT: usize = LINE_LIMIT + 64;
const HEADER: usize = 8;

/// What the header of a frame says: the stream, and the length of the payload in bytes.
pub(crate) fn frame(header: [u8; HEADER]) -> (u8, usize) {
    let [kind, _, _, _, a, b, c, d] = header;
    (kind, u32::from_be_bytes([a, b, c, d]) as usize)
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The container's stdout, or its terminal.
    Stdout,
    /// The container's stderr.
    Stderr,
    /// The engine, about the log.
    Engine,
}

impl Origin {
    fn of(kind: u8) -> Self {
        match kind {
            2 => Self::Stderr,
            3 => Self::Engine,
            _ => Self::Stdout,
        }
    }
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// When it was written, in nanoseconds since 1970 by the engine's clock. What has no time got that of the line before.
    pub at: u64,
    /// The same in the engine's words; empty if it had none.
    pub stamp: &'a [u8],
    /// Who wrote it.
    pub origin: Origin,
    /// What was written, without the line feed.
    pub text: &'a [u8],
}

/// Bytes in, lines out. Needs memory for one push and one line; allocates for neither once it is warm.
#[derive(Debug)]
pub struct Lines {
    /// Whether the engine was asked for times. Else what looks like one is part of the line.
    stamped: bool,
    buffer: Vec<u8>,
    /// How much of the buffer has been taken apart.
    taken: usize,
    framed: Option<bool>,
    /// What of the current payload has not been split into lines.
    payload: Option<Payload>,
    /// What is still to come of a payload that is too long to wait for: its stream and how many bytes (0: to a line feed).
    rest: Option<(u8, usize)>,
    /// Beginnings of lines by stream.
    partial: [Partial; 4],
    head: Option<Head>,
    clock: Clock,
    /// The time of the last line that had one.
    at: u64,
}

#[derive(Debug, Clone)]
struct Payload {
    kind: u8,
    /// It continues the previous payload, and has no time of its own.
    continued: bool,
    at: u64,
    stamp: Range<usize>,
    text: Range<usize>,
}

#[derive(Debug, Default)]
struct Partial {
    at: u64,
    stamp: Vec<u8>,
    text: Vec<u8>,
}

#[derive(Debug)]
struct Head {
    at: u64,
    kind: u8,
    /// Range of the line in the buffer; none = in the partial line of its stream.
    whole: Option<(Range<usize>, Range<usize>)>,
}

impl Lines {
    /// For a log that was asked for with times, or without.
    pub fn new(stamped: bool) -> Self {
        Self {
            stamped,
            buffer: Vec::new(),
            taken: 0,
            framed: None,
            payload: None,
            rest: None,
            partial: Default::default(),
            head: None,
            clock: Clock::default(),
            at: 0,
        }
    }

    /// Adds bytes, as they came. Call it when there is no more line, else the buffer grows.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.head.is_none() && self.payload.is_none() {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The line that [`Lines::advance`] went to.
    pub fn line(&self) -> Option<Line<'_>> {
        let head = self.head.as_ref()?;
        let partial = &self.partial[usize::from(head.kind)];
        let (stamp, text) = match &head.whole {
            Some((stamp, text)) => (&self.buffer[stamp.clone()], &self.buffer[text.clone()]),
            None => (partial.stamp.as_slice(), partial.text.as_slice()),
        };
        Some(Line { at: head.at, stamp, origin: Origin::of(head.kind), text })
    }

    /// Goes to the next line; its time. None: more bytes are needed.
    pub fn advance(&mut self) -> Option<u64> {
        if let Some(Head { kind, whole: None, .. }) = self.head.take() {
            self.partial[usize::from(kind)].text.clear();
        }
        loop {
            if let Some(payload) = self.payload.take() {
                if let Some(head) = self.split(payload) {
                    return Some(self.head.insert(head).at);
                }
            } else {
                self.payload = Some(self.next_payload()?);
            }
        }
    }

    /// No more bytes will come: goes to the next of the lines, those that nothing ended too.
    pub fn finish(&mut self) -> Option<u64> {
        if let Some(at) = self.advance() {
            return Some(at);
        }
        if self.framed != Some(true) && self.taken < self.buffer.len() {
            self.framed = Some(false);
            self.buffer.push(b'\n');
            return self.advance();
        }
        let kind = (0_u8..4).find(|kind| !self.partial[usize::from(*kind)].text.is_empty())?;
        let at = self.partial[usize::from(kind)].at;
        Some(self.head.insert(Head { at, kind, whole: None }).at)
    }

    /// Whether the bytes so far end in the middle of a frame.
    pub fn is_cut(&self) -> bool {
        self.framed == Some(true) && (self.rest.is_some() || self.taken < self.buffer.len())
    }

    fn next_payload(&mut self) -> Option<Payload> {
        let bytes = &self.buffer[self.taken..];
        let framed = match self.framed {
            Some(framed) => framed,
            None if bytes.len() < HEADER => return None,
            None => *self.framed.insert(bytes[0] < 4 && bytes[1..4] == [0; 3]),
        };
        if framed { self.next_frame() } else { self.next_bare_line() }
    }

    fn next_frame(&mut self) -> Option<Payload> {
        let bytes = &self.buffer[self.taken..];
        let (kind, length, header) = match self.rest {
            Some((kind, length)) => (kind, length, 0),
            None => {
                let (kind, length) = frame(bytes.get(..HEADER)?.try_into().ok()?);
                (kind.min(3), length, HEADER)
            }
        };
        let now = length.min(PAYLOAD_LIMIT);
        if bytes.len() < header + now {
            return None;
        }
        let start = self.taken + header;
        self.taken = start + now;
        let continued = self.rest.is_some();
        self.rest = (length > now).then_some((kind, length - now));
        Some(self.payload(kind, continued, start..start + now))
    }

    /// A container with a terminal writes `\r\n`, and frames nothing.
    fn next_bare_line(&mut self) -> Option<Payload> {
        let bytes = &self.buffer[self.taken..];
        let length = match memchr::memchr(b'\n', bytes) {
            Some(at) => at + 1,
            None if bytes.len() >= PAYLOAD_LIMIT => PAYLOAD_LIMIT,
            None => return None,
        };
        let start = self.taken;
        self.taken = start + length;
        let continued = self.rest.take().is_some();
        self.rest = (length == PAYLOAD_LIMIT).then_some((1, 0));
        Some(self.payload(1, continued, start..start + length))
    }

    fn payload(&mut self, kind: u8, continued: bool, bytes: Range<usize>) -> Payload {
        let stamped = if continued || !self.stamped { 0 } else { self.read_stamp(bytes.clone()) };
        let stamp = bytes.start..bytes.start + stamped;
        let text = if stamped == 0 { bytes.start } else { stamp.end + 1 };
        Payload { kind, continued, at: self.at, stamp, text: text..bytes.end }
    }

    /// Reads the time that a payload begins with into `self.at`; how long it is, without the space after it.
    fn read_stamp(&mut self, payload: Range<usize>) -> usize {
        let Some((at, length)) = self.clock.read(&self.buffer[payload]) else { return 0 };
        self.at = at;
        length
    }

    /// The next line of a payload; what is left of it stays for later. None: it holds only the beginning of a line.
    fn split(&mut self, payload: Payload) -> Option<Head> {
        let Payload { kind, continued, at, stamp, text } = payload;
        let bytes = &self.buffer[text.clone()];
        let partial = &mut self.partial[usize::from(kind)];
        let end = memchr::memchr(b'\n', bytes);
        let length = end.unwrap_or(bytes.len());
        let whole = end.is_some() && !continued && partial.text.is_empty() && length <= LINE_LIMIT;
        let used = if whole { length } else { length.min(LINE_LIMIT - partial.text.len()) };
        // The line feed belongs to what it ends, unless the line is cut before it.
        let next = text.start + used + usize::from(end == Some(used));
        if next < text.end {
            self.payload = Some(Payload { kind, continued, at, stamp: stamp.clone(), text: next..text.end });
        }
        if whole {
            let mut end = text.start + used;
            if self.framed == Some(false) && bytes[..used].ends_with(b"\r") {
                end -= 1;
            }
            return Some(Head { at, kind, whole: Some((stamp, text.start..end)) });
        }
        if partial.text.is_empty() && !continued {
            partial.at = at;
            partial.stamp.clear();
            partial.stamp.extend_from_slice(&self.buffer[stamp]);
        }
        partial.text.extend_from_slice(&bytes[..used]);
        let complete = end == Some(used) || partial.text.len() >= LINE_LIMIT;
        complete.then_some(Head { at: partial.at, kind, whole: None })
    }
}

/// Reads times such as `2026-11-24T02:10:00.123456789Z`. Lines come many to a second, so that second is kept.
#[derive(Debug, Default)]
struct Clock {
    second: [u8; 19],
    /// Seconds since 1970 of `second`, taken as UTC.
    seconds: i64,
}

impl Clock {
    /// The time at the start of a line, in nanoseconds since 1970, and its length.
    fn read(&mut self, bytes: &[u8]) -> Option<(u64, usize)> {
        let second: &[u8; 19] = bytes.first_chunk()?;
        if *second != self.second {
            let text = std::str::from_utf8(second).ok()?;
            let civil: jiff::civil::DateTime = text.parse().ok()?;
            self.seconds = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
            self.second = *second;
        }
        let mut at = second.len();
        let mut nanoseconds = 0;
        if bytes.get(at) == Some(&b'.') {
            let mut unit = 100_000_000;
            at += 1;
            while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
                nanoseconds += i64::from(digit - b'0') * unit;
                unit /= 10;
                at += 1;
            }
        }
        let mut offset = 0;
        match bytes.get(at)? {
            b'Z' => at += 1,
            sign @ (b'+' | b'-') => {
                let [h, hh, b':', m, mm] = *bytes.get(at + 1..)?.first_chunk::<5>()? else { return None };
                let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
                offset = (digit(h)? * 10 + digit(hh)?) * 3600 + (digit(m)? * 10 + digit(mm)?) * 60;
                if *sign == b'-' {
                    offset = -offset;
                }
                at += 6;
            }
            _ => return None,
        }
        if bytes.get(at) != Some(&b' ') {
            return None;
        }
        let nanoseconds = (self.seconds - offset).checked_mul(1_000_000_000)?.checked_add(nanoseconds)?;
        Some((u64::try_from(nanoseconds).ok()?, at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: &str = "2026-11-24T02:10:00.123456789Z";
    const AT: u64 = 1_795_486_200_123_456_789;

    fn frame(kind: u8, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(STAMP.len() + 1 + text.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0][..], &length, STAMP.as_bytes(), b" ", text].concat()
    }

    /// All lines of these bytes, when they come in pieces of these lengths (in turn).
    fn lines(bytes: &[u8], pieces: &[usize]) -> Vec<(Origin, Vec<u8>)> {
        let mut lines = Lines::new(true);
        let mut found = Vec::new();
        let mut rest = bytes;
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*piece));
            lines.push(now);
            while let Some(at) = lines.advance() {
                let line = lines.line().unwrap();
                assert_eq!((at, line.at, line.stamp), (AT, AT, STAMP.as_bytes()));
                found.push((line.origin, line.text.to_vec()));
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        while lines.finish().is_some() {
            let line = lines.line().unwrap();
            found.push((line.origin, line.text.to_vec()));
        }
        assert!(!lines.is_cut());
        found
    }

    #[test]
    fn streams_are_told_apart() {
        let bytes = [frame(1, b"out\n"), frame(2, b"err\n"), frame(3, b"sorry\n"), frame(1, b"\n")].concat();
        let expected =
            [(Origin::Stdout, "out"), (Origin::Stderr, "err"), (Origin::Engine, "sorry"), (Origin::Stdout, "")];
        assert_eq!(lines(&bytes, &[bytes.len()]), expected.map(|(origin, text)| (origin, text.as_bytes().to_vec())));
    }

    #[test]
    fn a_line_the_engine_cut_is_whole_again_even_between_lines_of_the_other_stream() {
        let (a, b) = (vec![b'a'; 16_384], vec![b'b'; 10]);
        let bytes = [frame(1, &a), frame(2, b"other\n"), frame(1, &[&b[..], b"\n"].concat())].concat();
        let expected = vec![(Origin::Stderr, b"other".to_vec()), (Origin::Stdout, [a, b].concat())];
        assert_eq!(lines(&bytes, &[100]), expected);
    }

    #[test]
    fn a_line_without_end_comes_out_in_pieces() {
        let part = vec![b'x'; 16_384];
        let bytes: Vec<u8> = (0..10).flat_map(|_| frame(1, &part)).chain(frame(1, b"end\n")).collect();
        let lengths: Vec<usize> = lines(&bytes, &[5000]).iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths, [LINE_LIMIT, LINE_LIMIT, 2 * 16_384 + 3]);
    }

    #[test]
    fn a_frame_longer_than_anything_is_not_waited_for() {
        let bytes = frame(1, &vec![b'x'; 10 * LINE_LIMIT]);
        let mut log = Lines::new(true);
        log.push(&bytes[..2 * LINE_LIMIT]);
        assert!(log.advance().is_some());
        let lengths: usize = lines(&bytes, &[8192]).iter().map(|(_, text)| text.len()).sum();
        assert_eq!(lengths, 10 * LINE_LIMIT);
    }

    #[test]
    fn without_times_what_looks_like_one_is_part_of_the_line() {
        let mut log = Lines::new(false);
        log.push(&frame(1, b"hello\n"));
        assert_eq!(log.advance(), Some(0));
        assert_eq!(log.line().unwrap().text, format!("{STAMP} hello").as_bytes());
    }

    #[test]
    fn a_terminal_has_bare_lines() {
        let bytes = format!("{STAMP} one\r\n{STAMP} two\r\n{STAMP} unfinished");
        let expected = ["one", "two", "unfinished"].map(|text| (Origin::Stdout, text.as_bytes().to_vec()));
        assert_eq!(lines(bytes.as_bytes(), &[7]), expected);
    }

    #[test]
    fn a_missing_end_is_noticed() {
        let mut log = Lines::new(true);
        log.push(&frame(1, b"hello\n")[..30]);
        assert!(log.advance().is_none() && log.finish().is_none() && log.is_cut());
    }

    #[test]
    fn times_of_any_zone_and_precision() {
        let mut clock = Clock::default();
        let mut read = |text: &str| clock.read(format!("{text} x").as_bytes());
        assert_eq!(read(STAMP), Some((AT, 30)));
        assert_eq!(read("2026-11-24T04:10:00.123456789+02:00"), Some((AT, 35)));
        assert_eq!(read("2026-11-23T20:40:00.123456789-05:30"), Some((AT, 35)));
        assert_eq!(read("2026-11-24T02:10:00Z"), Some((AT / 1_000_000_000 * 1_000_000_000, 20)));
        assert_eq!(read("2026-11-24T02:10:00.5Z"), Some((AT / 1_000_000_000 * 1_000_000_000 + 500_000_000, 22)));
        for none in ["", "hello", "2026-13-24T02:10:00Z", "2026-11-24T02:10:00", "2026-11-24T02:10:00+aa:00"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_bytes_were_cut(
            texts in prop::collection::vec((1_u8..=2, "[ -~é]{0,40}"), 0..20),
            pieces in prop::collection::vec(1_usize..200, 1..10),
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|(kind, text)| frame(*kind, format!("{text}\n").as_bytes())).collect();
            let expected: Vec<_> = texts.iter().map(|(kind, text)| (Origin::of(*kind), text.clone().into_bytes())).collect();
            prop_assert_eq!(lines(&bytes, &pieces), expected);
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let mut log = Lines::new(true);
            for piece in bytes.chunks(piece) {
                log.push(piece);
                while log.advance().is_some() {}
            }
            while log.finish().is_some() {}
        }
    }
}

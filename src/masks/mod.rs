//! Masks secrets in text from other programs: logs of services and builds, responses of the engine, events.
//!
//! Masked are the known values of the stack (see `known`), in every common form (see `forms`), and what looks like a
//! secret (see `signs`). A short value that could be a word or a number (only letters or only digits) is masked only
//! where it stands alone. Lines are the unit.

mod forms;
mod known;
mod signs;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use serde_json::Value;

use self::signs::Signs;
use crate::model::secret::{MASK, is_secret_name, mask_words};
use crate::model::{Failure, Stack};

/// A value of letters or digits alone that is as long is no word.
const WORD: usize = 12;

/// How much of a line is held back for secrets that are not known.
const LONGEST_UNKNOWN: usize = 512;

/// Masks the secrets of one stack. What it needs is made when it is needed.
#[derive(Debug, Default)]
pub struct Masks {
    values: BTreeSet<String>,
    search: OnceLock<Search>,
}

#[derive(Debug)]
struct Search {
    /// None when nothing is known.
    known: Option<AhoCorasick>,
    /// By the number of what is searched for: whether it counts only where it stands alone.
    alone: Vec<bool>,
    /// How long a secret may be, in bytes: the longest that is known, or that is seen by its looks.
    longest: usize,
    signs: Signs,
}

impl Masks {
    /// For the secrets of a stack.
    pub fn of(stack: &Stack) -> Self {
        Self { values: known::values(stack), search: OnceLock::new() }
    }

    /// The same, and values besides those of services.toml: each with whether it stands under a name that says it is secret.
    pub fn of_more<'a>(stack: &Stack, more: impl IntoIterator<Item = (bool, &'a str)>) -> Self {
        Self { values: known::values_and(stack, more), search: OnceLock::new() }
    }

    /// The secrets that are masked wherever they are, as they are.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }

    /// A text with its secrets masked; it may have several lines.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let (mut out, mut lines) = (Vec::new(), self.lines());
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                out.push(b'\n');
            }
            lines.line(line.as_bytes(), &mut out);
        }
        if out == text.as_bytes() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(
            String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        )
    }

    /// Lines of one log with their secrets masked.
    pub fn log(&self, log: &[String]) -> Vec<String> {
        let mut lines = self.lines();
        let mask = |line: &String| {
            let mut out = Vec::new();
            lines.line(line.as_bytes(), &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        log.iter().map(mask).collect()
    }

    /// A command with its secrets masked.
    pub fn words(&self, words: &[String]) -> Vec<String> {
        mask_words(words).iter().map(|word| self.text(word).into_owned()).collect()
    }

    /// Masks every text in a value; what stands under a secret name and what follows a secret option, however short.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text).into_owned(),
            Value::Array(items) => {
                let words: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(String::from)).collect();
                match words {
                    Some(words) => *items = self.words(&words).into_iter().map(Value::from).collect(),
                    None => items.iter_mut().for_each(|item| self.json(item)),
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if is_secret_name(name) && !text.is_empty() => *text = MASK.into(),
                        value => self.json(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// For lines that come one after the other from one writer.
    pub fn lines(&self) -> Lines<'_> {
        Lines { masks: self, in_key: false, held: Vec::new() }
    }

    fn search(&self) -> &Search {
        self.search.get_or_init(|| Search::new(&self.values))
    }
}

/// Lines of one writer: a private key goes over several.
#[derive(Debug)]
pub struct Lines<'a> {
    masks: &'a Masks,
    in_key: bool,
    /// The end of a piece of a line.
    held: Vec<u8>,
}

impl Lines<'_> {
    /// Appends a line, or the last piece of one, to `out` with its secrets masked.
    pub fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            let line = [&std::mem::take(&mut self.held), line].concat();
            return self.line(&line, out);
        }
        if self.in_key && signs::is_of_key(line) {
            if !line.trim_ascii().is_empty() {
                out.extend_from_slice(MASK.as_bytes());
            }
            return;
        }
        self.in_key = signs::begins_key(line);
        masked(line, &self.masks.search().find(line), out);
    }

    /// The same for a piece of a line that was too long. What may be the beginning of a secret comes with the next piece.
    pub fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.held.extend_from_slice(piece);
        let search = self.masks.search();
        let found = search.find(&self.held);
        let mut cut = self.held.len().saturating_sub(search.longest);
        if let Some(across) = found.iter().find(|secret| (secret.start + 1..secret.end).contains(&cut)) {
            // One without an end is not waited for.
            cut = if across.start > 0 { across.start } else { across.end };
        }
        let before: Vec<_> = found.into_iter().filter(|secret| secret.end <= cut).collect();
        masked(&self.held[..cut], &before, out);
        self.held.drain(..cut);
    }

    /// No more will come: what is left of a line's last piece, if there is anything.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> bool {
        let left = !self.held.is_empty();
        if left {
            self.line(&[], out);
        }
        left
    }
}

fn masked(line: &[u8], secrets: &[Range<usize>], out: &mut Vec<u8>) {
    let mut done = 0;
    for secret in secrets {
        out.extend_from_slice(&line[done..secret.start]);
        out.extend_from_slice(MASK.as_bytes());
        done = secret.end;
    }
    out.extend_from_slice(&line[done..]);
}

impl Search {
    fn new(values: &BTreeSet<String>) -> Self {
        let mut all: BTreeMap<String, bool> = BTreeMap::new();
        for value in values {
            let forms = forms::all(value).into_iter();
            all.extend(forms.map(|form| (form.clone(), form == *value && could_be_a_word(value))));
        }
        let known = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(all.keys());
        // It can only be too many secrets for it.
        let known = known.ok().filter(|_| !all.is_empty());
        let longest = all.keys().map(String::len).max().unwrap_or_default().max(LONGEST_UNKNOWN);
        Self { known, alone: all.into_values().collect(), longest, signs: Signs::new() }
    }

    /// Where secrets are in a line: in order, apart from each other.
    fn find(&self, line: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.find_known(line, &mut found);
        self.signs.find(line, &mut found);
        found.sort_by_key(|range| (range.start, range.end));
        let mut apart: Vec<Range<usize>> = Vec::new();
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }

    fn find_known(&self, line: &[u8], found: &mut Vec<Range<usize>>) {
        let Some(known) = &self.known else { return };
        let mut from = 0;
        while let Some(seen) = known.find(Input::new(line).range(from..)) {
            let is_word = |at: Option<usize>| at.and_then(|at| line.get(at)).is_some_and(u8::is_ascii_alphanumeric);
            let inside = is_word(seen.start().checked_sub(1)) || is_word(Some(seen.end()));
            if self.alone[seen.pattern()] && inside {
                from = seen.start() + 1;
            } else {
                found.push(seen.range());
                from = seen.end();
            }
        }
    }
}

fn could_be_a_word(value: &str) -> bool {
    value.len() < WORD && (value.chars().all(char::is_alphabetic) || value.chars().all(|c| c.is_ascii_digit()))
}

impl Failure {
    /// Masks the secrets in it.
    pub fn mask(&mut self, masks: &Masks) {
        let texts = [&mut self.last_probe, &mut self.reason, &mut self.next].into_iter().flatten();
        texts.chain([&mut self.message]).for_each(|text| *text = masks.text(text).into_owned());
        self.log = masks.log(&self.log);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masks(values: &[&str]) -> Masks {
        Masks { values: values.iter().map(|value| (*value).to_owned()).collect(), search: OnceLock::new() }
    }

    #[test]
    fn known_values_are_masked_in_every_form_and_words_only_alone() {
        let masks = masks(&["it's /@ s3cret", "hunter", "hunter2-is-longer"]);
        for (text, shown) in [
            ("a it's /@ s3cret b", "a ******** b"),
            ("x=it%27s%20%2F%40%20s3cret&y", "x=********&y"),
            ("the hunters hunt, hunter said", "the hunters hunt, ******** said"),
            ("xhunter2-is-longerx", "x********x"),
            ("nothing\nof it's /@ s3cret\n", "nothing\nof ********\n"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(masks.text(text), shown);
        }
        let basic = "Basic YXBwOml0J3MgL0AgczNjcmV0 sent";
        assert!(
            masks.text(basic).len() < basic.len() && !masks.text(basic).contains("gczNjcmV0"),
            "{}",
            masks.text(basic)
        );
    }

    #[test]
    fn private_keys_go_over_lines() {
        let text = "key:\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEvQ+/\nx9==\n-----END RSA PRIVATE KEY-----\nMIIE";
        let shown = "key:\n-----BEGIN RSA PRIVATE KEY-----\n********\n\n********\n********\n-----END RSA PRIVATE KEY-----\nMIIE";
        assert_eq!(masks(&[]).text(text), shown);
    }

    #[test]
    fn a_secret_is_masked_where_a_long_line_is_cut() {
        let masks = masks(&["s3cret-value"]);
        let line = format!("{}s3cret-value{} password=pw", "x".repeat(3000), "y".repeat(2000));
        for at in [1, 600, 2990, 3005, 3012, 3100, 4000, line.len() - 1] {
            let (mut lines, mut out) = (masks.lines(), Vec::new());
            lines.piece(&line.as_bytes()[..at], &mut out);
            lines.line(&line.as_bytes()[at..], &mut out);
            assert!(!lines.finish(&mut out));
            assert_eq!(String::from_utf8(out).unwrap(), masks.text(&line), "{at}");
        }
        let (mut lines, mut out) = (masks.lines(), Vec::new());
        lines.piece(b"s3cret-value", &mut out);
        assert_eq!(out, b"");
        assert!(lines.finish(&mut out));
        assert_eq!(out, MASK.as_bytes());
    }

    #[test]
    fn what_is_no_utf_8_stays_as_it_is() {
        let (masks, mut out) = (masks(&["s3cret-value"]), Vec::new());
        masks.lines().line(b"\xff s3cret-value \xfe", &mut out);
        assert_eq!(out, b"\xff ******** \xfe");
    }

    #[test]
    fn answers_of_the_engine_are_masked_by_name_place_and_value() {
        let mut seen = json!({
            "Config": {"Env": ["POSTGRES_PASSWORD=pw-1", "PATH=/bin", "URL=postgres://u:pw-2@h/d"]},
            "HttpProxy": "http://u:pw-3@proxy", "ApiToken": "pw-4", "Size": 3,
            "Args": ["--requirepass", "pw-5", "--save", "60"], "Mixed": [1, "pw-6-is-known"]
        });
        masks(&["pw-6-is-known"]).json(&mut seen);
        let text = seen.to_string();
        assert!(!text.contains("pw-"), "{text}");
        assert!(text.contains("PATH=/bin") && text.contains("\"Size\":3") && text.contains("60"), "{text}");
    }
}

//! Workflow commands, which the runner of a GitHub job reads on standard error.

use std::fmt::Write as _;

/// What comes after the last `::` of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// An annotation.
pub(super) fn error(title: &str, text: &str) -> String {
    let title = data(title).replace(':', "%3A").replace(',', "%2C");
    format!("::error title={title}::{}\n", data(text))
}

/// A text of which no line is a command: fenced off if one looks like it, as it is if none does.
pub(super) fn fenced(text: &str, fence: &str) -> String {
    if text.lines().any(|line| line.contains("::") || line.contains("##[")) {
        return format!("::stop-commands::{fence}\n{text}::{fence}::\n");
    }
    text.to_owned()
}

/// A line of a value of several lines is only a part: a shorter one, a brace above all, would hide too much else.
const LEAST_LINE: usize = 6;

/// Commands that keep these values out of the job's log from now on, also in Base64, in URLs and in JSON. The runner looks
/// at lines, so each line of a value is one.
pub fn masks<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let lines = values.into_iter().flat_map(|value| {
        let several = value.trim().contains('\n');
        let tells =
            move |line: &str| !line.is_empty() && (!several || line.len() >= LEAST_LINE && !line.starts_with("-----"));
        value.lines().filter(move |line| tells(line.trim()))
    });
    let mut seen = std::collections::HashSet::new();
    lines.filter(|line| seen.insert(*line)).fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "::add-mask::{}", data(line));
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_one_line() {
        assert_eq!(error("a:b", "x\n::y"), "::error title=a%3Ab::x%0A::y\n");
    }

    #[test]
    fn a_mask_is_a_line_that_the_runner_reads_back_as_it_was() {
        assert_eq!(
            masks(["50%25 off", "pw\n", "the first\nthe second\n", "pw", "the second"]),
            "::add-mask::50%2525 off\n::add-mask::pw\n::add-mask::the first\n::add-mask::the second\n"
        );
    }

    #[test]
    fn what_every_text_has_is_no_mask() {
        let json = "{\n  \"password\": \"s3cret\"\n}";
        assert_eq!(masks([json]), "::add-mask::  \"password\": \"s3cret\"\n");
        let key = "-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----";
        assert_eq!(masks([key]), "::add-mask::MIIEvQ\n");
    }
}

//! `${…}` between Compose's notation and ours. Both know `${VAR}`, `:-`, `-`, `:?`, `?` and `$$`; Compose also takes
//! `$VAR` and `${VAR:+word}`, and an unset variable without complaint.

use crate::config::Variables;
use crate::config::interpolate::closing;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    /// `$$`
    Dollar,
    Variable {
        name: &'a str,
        operator: &'a str,
        operand: &'a str,
    },
    /// A `$` that begins nothing.
    Stray,
}

/// A text of ours and what had to be given up for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Translated {
    /// The text.
    pub text: String,
    /// Variables that have no value here, and so are empty as in Compose.
    pub unset: Vec<String>,
    /// `${VAR:+word}`, which was put in as it is now.
    pub resolved: Vec<String>,
}

/// Compose's notation → ours.
pub(super) fn from_compose(text: &str, variables: &Variables) -> Translated {
    let mut out = Translated::default();
    translate(text, variables, &mut out);
    out
}

fn translate(text: &str, variables: &Variables, out: &mut Translated) {
    for part in parts(text) {
        match part {
            Part::Text(text) => out.text.push_str(text),
            Part::Dollar | Part::Stray => out.text.push_str("$$"),
            Part::Variable { name, operator: "", .. } => {
                let known = variables.get(name).is_some();
                out.text += &format!("${{{name}{}}}", if known { "" } else { ":-" });
                if !known && !out.unset.iter().any(|other| other == name) {
                    out.unset.push(name.to_owned());
                }
            }
            Part::Variable { name, operator: ":+" | "+", .. } => {
                out.resolved.push(name.to_owned());
                out.text += &value_of(&part, variables).replace('$', "$$");
            }
            Part::Variable { name, operator, operand } => {
                out.text += &format!("${{{name}{operator}");
                if operator.ends_with('-') {
                    translate(operand, variables, out);
                } else {
                    out.text.push_str(operand);
                }
                out.text.push('}');
            }
        }
    }
}

/// What Compose makes of a text with these variables. What is unset is empty.
pub(super) fn evaluate(text: &str, variables: &Variables) -> String {
    parts(text).iter().map(|part| value_of(part, variables)).collect()
}

fn value_of(part: &Part<'_>, variables: &Variables) -> String {
    match part {
        Part::Text(text) => (*text).to_owned(),
        Part::Dollar | Part::Stray => "$".to_owned(),
        Part::Variable { name, operator, operand } => {
            let value = variables.get(name).map(|variable| variable.value.as_str());
            let set = value.filter(|value| !operator.starts_with(':') || !value.is_empty());
            match (set, operator.trim_start_matches(':')) {
                (Some(_), "+") => evaluate(operand, variables),
                (None, "-") => evaluate(operand, variables),
                (None, _) => String::new(),
                (Some(value), _) => value.to_owned(),
            }
        }
    }
}

/// Our notation → Compose's. There a lone `$` would begin a variable.
pub(super) fn to_compose(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let length = match tail.as_bytes().get(1) {
            Some(b'$') => 2,
            Some(b'{') => closing(tail, 2, tail.len()).map_or(1, |end| end + 1),
            _ => 1,
        };
        out.push_str(if length == 1 { "$$" } else { &tail[..length] });
        rest = &tail[length..];
    }
    out + rest
}

/// Splits at a character that is outside of `${…}`.
pub(super) fn split(text: &str, at: char) -> Vec<&str> {
    let (mut pieces, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let bytes = text.as_bytes();
    for (index, c) in text.char_indices() {
        match c {
            '{' if index > 0 && bytes[index - 1] == b'$' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            c if c == at && depth == 0 => {
                pieces.push(&text[start..index]);
                start = index + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        let tail = &rest[at..];
        let (part, length) = match tail.as_bytes().get(1) {
            Some(b'$') => (Part::Dollar, 2),
            Some(b'{') => match closing(tail, 2, tail.len()).and_then(|end| Some((braced(&tail[2..end])?, end + 1))) {
                Some(found) => found,
                None => (Part::Stray, 1),
            },
            _ => match name_length(&tail[1..]) {
                0 => (Part::Stray, 1),
                length => (Part::Variable { name: &tail[1..=length], operator: "", operand: "" }, length + 1),
            },
        };
        parts.push(part);
        rest = &tail[length..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// What is between the braces, if it is a variable.
fn braced(inner: &str) -> Option<Part<'_>> {
    let length = name_length(inner);
    let (name, rest) = inner.split_at(length);
    let operator = [":-", ":?", ":+", "-", "?", "+"].into_iter().find(|operator| rest.starts_with(operator));
    match operator {
        _ if name.is_empty() => None,
        Some(operator) => {
            let (operator, operand) = rest.split_at(operator.len());
            Some(Part::Variable { name, operator, operand })
        }
        None if rest.is_empty() => Some(Part::Variable { name, operator: "", operand: "" }),
        None => None,
    }
}

fn name_length(text: &str) -> usize {
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => 0,
        false => text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        variables.add("SET", "value", "environment");
        variables.add("EMPTY", "", "environment");
        variables
    }

    #[test]
    fn into_our_notation() {
        for (compose, ours) in [
            ("plain", "plain"),
            ("$SET and ${SET}", "${SET} and ${SET}"),
            ("$NONE/${NONE}", "${NONE:-}/${NONE:-}"),
            ("${NONE:-a:${SET:-$OTHER}}", "${NONE:-a:${SET:-${OTHER:-}}}"),
            ("${NONE:?tell me}", "${NONE:?tell me}"),
            ("$${KEPT} costs 5$", "$${KEPT} costs 5$$"),
            ("a${SET:+-yes}b${NONE+no}", "a-yesb"),
            ("${EMPTY:+x}${EMPTY+y}", "y"),
        ] {
            assert_eq!(from_compose(compose, &variables()).text, ours, "{compose}");
        }
        let translated = from_compose("$NONE ${SET:+x} ${NONE}", &variables());
        assert_eq!(translated.unset, ["NONE"]);
        assert_eq!(translated.resolved, ["SET"]);
    }

    #[test]
    fn as_compose_evaluates_it() {
        for (text, value) in
            [("${NONE:-${SET}}-$NONE", "value-"), ("${EMPTY:-d}${EMPTY-e}", "d"), ("$$x", "$x"), ("${SET:+y}", "y")]
        {
            assert_eq!(evaluate(text, &variables()), value, "{text}");
        }
    }

    #[test]
    fn into_their_notation() {
        for (ours, compose) in
            [("$HOME ${A:-b} $$", "$$HOME ${A:-b} $$"), ("5$", "5$$"), ("${A:-${B}}c", "${A:-${B}}c")]
        {
            assert_eq!(to_compose(ours), compose);
        }
    }

    #[test]
    fn colons_inside_variables_do_not_split() {
        assert_eq!(split("${A:-1}:${B:-${C:-2}}:3", ':'), ["${A:-1}", "${B:-${C:-2}}", "3"]);
    }
}

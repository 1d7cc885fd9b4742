//! `${…}` between Compose's notation ([`crate::config::template`]) and ours. Ours has no `$VAR`, no `${VAR:+word}`, and wants a
//! default where a variable may be unset.

use crate::config::Variables;
use crate::config::interpolate::closing;
use crate::config::template::{Evaluated, Part, evaluate as evaluated, parts, put_part};

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
            Part::Dollar | Part::Stray | Part::Invalid => out.text.push_str("$$"),
            Part::Variable { name, operator: "", .. } => {
                let known = variables.get(name).is_some();
                out.text += &format!("${{{name}{}}}", if known { "" } else { ":-" });
                if !known && !out.unset.iter().any(|other| other == name) {
                    out.unset.push(name.to_owned());
                }
            }
            Part::Variable { name, operator: ":+" | "+", .. } => {
                out.resolved.push(name.to_owned());
                let mut value = Evaluated::default();
                put_part(part, variables, &mut value);
                out.text += &value.text.replace('$', "$$");
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
    evaluated(text, variables).text
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

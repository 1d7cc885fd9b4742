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

/// Puts in the variables that `known` has a text for, itself in Compose's notation, as is what comes out.
pub(super) fn fill(text: &str, known: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    for part in parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Dollar => out.push_str("$$"),
            Part::Stray | Part::Invalid => out.push('$'),
            Part::Variable { name, operator, operand } => {
                let operand = fill(operand, known);
                let value = known(name);
                let set = value.as_ref().is_some_and(|value| !operator.starts_with(':') || !value.is_empty());
                match (value, operator.trim_start_matches(':')) {
                    (None, _) => out += &format!("${{{name}{operator}{operand}}}"),
                    (Some(_), "+") if !set => {}
                    (Some(_), "+") => out += &operand,
                    (Some(_), "-") if !set => out += &operand,
                    // An empty value where one is required stays as it is, with what the file says about it.
                    (Some(_), "?") if !set => out += &format!("${{{name}{operator}{operand}}}"),
                    (Some(value), _) => out += &value,
                }
            }
        }
    }
    out
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
            '{' if depth > 0 || index > 0 && bytes[index - 1] == b'$' => depth += 1,
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
        assert_eq!(split(r#"${A:-{"a":1}}:3"#, ':'), [r#"${A:-{"a":1}}"#, "3"]);
    }

    #[test]
    fn what_is_known_is_put_in_and_the_rest_stays() {
        let known = |name: &str| match name {
            "A" => Some("${B:-b}".to_owned()),
            "E" => Some(String::new()),
            _ => None,
        };
        for (text, filled) in [
            ("$A-${A:-x}-${A:?no}", "${B:-b}-${B:-b}-${B:-b}"),
            ("${E:-${A}}${E-x}${E:+x}${E+y}", "${B:-b}y"),
            ("${C:-${A}} $$A $ ${D:+$A}", "${C:-${B:-b}} $$A $ ${D:+${B:-b}}"),
        ] {
            assert_eq!(fill(text, &known), filled, "{text}");
        }
    }
}

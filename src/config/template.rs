//! Compose's notation of variables, as its files and `.env` files have it: `$VAR`, `${VAR}`, the operators `:-`, `-`, `:?`,
//! `?`, `:+`, `+`, and `$$` for a dollar sign. An unset variable is empty. services.toml has a stricter one: [`super::interpolate`].

use super::Variables;
use super::interpolate::closing;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Plain text.
    Text(&'a str),
    /// `$$`
    Dollar,
    /// A variable; without an operator both `operator` and `operand` are empty.
    Variable {
        /// Its name.
        name: &'a str,
        /// `:-`, `-`, `:?`, `?`, `:+` or `+`.
        operator: &'a str,
        /// What follows the operator.
        operand: &'a str,
    },
    /// A `$` that begins nothing: a dollar sign.
    Stray,
    /// A `${` that is not closed, or has no variable in it. Compose refuses it.
    Invalid,
}

/// A text with its variables put in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Evaluated {
    /// The text.
    pub(crate) text: String,
    /// Variables that are unset and have no default: they are empty.
    pub(crate) unset: Vec<String>,
    /// What Compose refuses.
    pub(crate) faults: Vec<String>,
}

/// What Compose makes of a text with these variables.
pub(crate) fn evaluate(text: &str, variables: &Variables) -> Evaluated {
    let mut out = Evaluated::default();
    put(text, variables, &mut out);
    out
}

/// Appends what a text amounts to.
fn put(text: &str, variables: &Variables, out: &mut Evaluated) {
    for part in parts(text) {
        put_part(part, variables, out);
    }
}

/// Appends what a part amounts to.
pub(crate) fn put_part(part: Part<'_>, variables: &Variables, out: &mut Evaluated) {
    match part {
        Part::Text(text) => out.text.push_str(text),
        Part::Dollar | Part::Stray => out.text.push('$'),
        Part::Invalid => {
            out.text.push('$');
            out.faults.push("`${` does not begin a variable; write `$$` for a dollar sign".into());
        }
        Part::Variable { name, operator, operand } => {
            let value = variables.get(name).map(|variable| variable.value.as_str());
            let set = value.filter(|value| !operator.starts_with(':') || !value.is_empty());
            match (set, operator.trim_start_matches(':')) {
                (Some(_), "+") | (None, "-") => put(operand, variables, out),
                (None, "+") => {}
                (None, "?") => {
                    let message = if operand.is_empty() { "a value is required" } else { operand };
                    out.faults.push(format!("{name} is not set: {message}"));
                }
                (None, _) => out.unset.push(name.into()),
                (Some(value), _) => out.text.push_str(value),
            }
        }
    }
}

/// The parts of a text.
pub(crate) fn parts(text: &str) -> Vec<Part<'_>> {
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
                None => (Part::Invalid, 1),
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

    #[test]
    fn as_compose_evaluates_it() {
        let mut variables = Variables::default();
        variables.add("SET", "value", "environment");
        variables.add("EMPTY", "", "environment");
        for (text, value) in
            [("${NONE:-${SET}}-$NONE", "value-"), ("${EMPTY:-d}${EMPTY-e}", "d"), ("$$x", "$x"), ("${SET:+y}", "y")]
        {
            let evaluated = evaluate(text, &variables);
            assert_eq!((evaluated.text.as_str(), evaluated.faults.len()), (value, 0), "{text}");
        }
        assert_eq!(evaluate("$NONE$SET", &variables).unset, ["NONE"]);
        assert_eq!(evaluate("${NONE:?ask Kim}", &variables).faults, ["NONE is not set: ask Kim"]);
        assert_eq!(evaluate("x${", &variables).faults.len(), 1);
    }
}

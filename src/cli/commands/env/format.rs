//! The formats of `env`: one per reader, so that every value is read unchanged. The choice of variables is up to `env`.

use std::fmt::Write as _;

use crate::cli::context::FormatArg;
use crate::diag::{Error, ErrorKind, Result};
use crate::kinds::Variable;
use crate::ui::sanitise;

/// The variables in a format.
///
/// # Errors
/// When the format has no notation for a value.
pub(super) fn written(variables: &[Variable], format: &FormatArg) -> Result<String> {
    if *format == FormatArg::Json {
        let object: serde_json::Map<String, serde_json::Value> =
            variables.iter().map(|one| (one.name.clone(), one.value.clone().into())).collect();
        let text = serde_json::to_string_pretty(&object).map_err(anyhow::Error::from)?;
        return Ok(sanitise::json(text) + "\n");
    }
    let mut variables: Vec<&Variable> = variables.iter().collect();
    if !matches!(format, FormatArg::Shell | FormatArg::Github | FormatArg::Docker) {
        // A reader that takes one of these for something else may lose what follows.
        variables.sort_by_key(|one| !dotenv(&one.value).agreed);
    }
    let mut text = String::new();
    for Variable { name, value, .. } in variables {
        let _ = match format {
            FormatArg::Shell => writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''")),
            FormatArg::Github => writeln!(text, "{}", github(name, value)),
            FormatArg::Docker if value.contains(['\n', '\r']) => {
                let message =
                    format!("{name} has several lines, and files for `docker run --env-file` can't hold them");
                return Err(Error::new(ErrorKind::Other, message).hint("name the services whose variables you need"));
            }
            FormatArg::Docker => writeln!(text, "{name}={value}"),
            _ => writeln!(text, "{name}={}", dotenv(value).text),
        };
    }
    Ok(text)
}

/// What to say of the values that not every reader of a `.env` file reads alike; none when all are safe.
pub(super) fn disputed(variables: &[Variable]) -> Option<String> {
    let names: Vec<&str> =
        variables.iter().filter(|one| !dotenv(&one.value).agreed).map(|one| one.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "no notation of .env files is read alike by shells, docker compose, Node.js and python-dotenv for {}: written \
             for shells; other formats: --format shell, json, docker, github",
            names.join(", ")
        )
    })
}

/// A line of `$GITHUB_ENV`: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>. Several lines need a
/// delimiter that is in none of them.
fn github(name: &str, value: &str) -> String {
    if !value.contains(['\n', '\r']) {
        return format!("{name}={value}");
    }
    let mut end = String::from("END");
    while value.contains(&end) {
        end.push('_');
    }
    format!("{name}<<{end}\n{value}\n{end}")
}

/// A value of a `.env` file.
#[derive(Debug, PartialEq, Eq)]
struct Dotenv {
    text: String,
    /// Whether sh, docker compose, Node.js and python-dotenv all read this very value.
    agreed: bool,
}

/// As readers of `.env` files take it, and safe to source in a shell in any case.
///
/// What the readers have in common is little: bare words; single quotes, in which python-dotenv still knows `\\`, `\'` and
/// `${…}`, and compose `\'`; double quotes, whose escapes Node.js does not know. Quoted line feeds are read by all of them,
/// `\n` only by some; a carriage return is changed by python-dotenv.
fn dotenv(value: &str) -> Dotenv {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@%+,=".contains(c);
    if value.chars().all(plain) {
        return Dotenv { text: value.into(), agreed: true };
    }
    if value.ends_with('\\') && !value.contains('\n') {
        // Before a closing quote python-dotenv takes any backslash for an escape, and then the lines after it for the value.
        let escaped = |c: char| if plain(c) { String::from(c) } else { format!("\\{c}") };
        return Dotenv { text: value.chars().map(escaped).collect(), agreed: false };
    }
    if value.contains('\'') || value.ends_with('\\') {
        let agreed = !value.contains(['"', '$', '`', '\\', '\r']);
        let mut text = String::with_capacity(value.len() + 2);
        for c in value.chars() {
            if matches!(c, '"' | '$' | '`' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        return Dotenv { text: format!("\"{text}\""), agreed };
    }
    let agreed = !value.contains("${") && !value.contains(r"\\") && !value.contains('\r');
    Dotenv { text: format!("'{value}'"), agreed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;

    fn all(pairs: &[(&str, &str)]) -> Vec<Variable> {
        let variable = |(name, value): &(&str, &str)| Variable {
            name: (*name).into(),
            value: (*value).into(),
            secret: false,
            service: ServiceName::parse("db").unwrap(),
        };
        pairs.iter().map(variable).collect()
    }

    // What the readers themselves make of it is asked in tests/engine/env_formats.rs.
    #[test]
    fn each_format_keeps_what_its_reader_would_take_for_its_own() {
        let found =
            all(&[("A", "redis://h:1/0?x=1"), ("B", "it's $5"), ("C", "two\nEND"), ("D", "a b"), ("E", "x&id")]);
        let of = |format| written(&found, &format).unwrap();
        assert_eq!(of(FormatArg::Auto), "A='redis://h:1/0?x=1'\nC='two\nEND'\nD='a b'\nE='x&id'\nB=\"it's \\$5\"\n");
        assert_eq!(
            of(FormatArg::Shell),
            "export A='redis://h:1/0?x=1'\nexport B='it'\\''s $5'\nexport C='two\nEND'\nexport D='a b'\nexport E='x&id'\n"
        );
        assert_eq!(of(FormatArg::Github), "A=redis://h:1/0?x=1\nB=it's $5\nC<<END_\ntwo\nEND\nEND_\nD=a b\nE=x&id\n");
        let json: serde_json::Value = serde_json::from_str(&of(FormatArg::Json)).unwrap();
        assert_eq!(json["C"], "two\nEND");
        assert!(written(&found, &FormatArg::Docker).unwrap_err().to_string().starts_with("C has several lines"));
        assert!(disputed(&found).unwrap().contains("python-dotenv for B: "));
    }
}

//! `--format '{{.Name}}'`: rows of a list in a format of one's own, as docker takes it. Only fields are replaced; what else
//! Go's templates can do is refused.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Context;
use super::context::FormatArg;
use crate::diag::{Error, ErrorKind, Result};
use crate::ui::sanitise;
use crate::ui::table::{Table, stdout_width};

/// A row: values by the names that docker has for them.
pub(super) type Fields = Map<String, Value>;

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `{{.Name}}`
    Field(String),
    /// `{{json .Name}}`; all fields of `{{json .}}`.
    Json(Option<String>),
}

/// Prints rows in the format of one's own that was asked for, or as a table; false if neither was.
pub(super) fn show(context: &Context, rows: &[Fields]) -> Result<bool> {
    let FormatArg::Template(text) = &context.global.format else { return Ok(false) };
    let (is_table, text) = match text.strip_prefix("table ") {
        Some(rest) => (true, rest),
        None => (false, text.as_str()),
    };
    let parts = parse(text)?;
    if !is_table {
        let mut lines = String::new();
        for row in rows {
            lines += &line(&parts, row)?;
            lines.push('\n');
        }
        context.screen.out(&lines)?;
        return Ok(true);
    }
    let heading = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Field(name) | Part::Json(Some(name)) => name.to_uppercase(),
        Part::Json(None) => "ALL".into(),
    };
    let headings = parts.iter().map(heading).collect::<String>();
    let headings: Vec<&str> = headings.split('\t').collect();
    let mut table = Table::new(&headings);
    for row in rows {
        table.row(line(&parts, row)?.split('\t').map(ToOwned::to_owned));
    }
    context.screen.out(&table.render(stdout_width(), context.screen.color()))?;
    Ok(true)
}

fn parse(text: &str) -> Result<Vec<Part>> {
    // As docker: a shell passes these two on as they are.
    let text = text.replace("\\t", "\t").replace("\\n", "\n");
    let mut rest = text.as_str();
    let mut parts = Vec::new();
    while let Some((before, after)) = rest.split_once("{{") {
        let unknown = |inside: &str| {
            let message = format!("--format takes {{{{.Field}}}} and {{{{json .}}}}, and not {{{{{inside}}}}}");
            Error::new(ErrorKind::Usage, message)
        };
        let (inside, after) = after.split_once("}}").ok_or_else(|| unknown(after))?;
        let words: Vec<&str> = inside.split_whitespace().collect();
        let is_name = |name: &&str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
        let field = |word: &str| word.strip_prefix('.').filter(is_name).map(ToOwned::to_owned);
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(match words[..] {
            ["."] | ["json", "."] => Part::Json(None),
            ["json", word] => Part::Json(Some(field(word).ok_or_else(|| unknown(inside))?)),
            [word] => Part::Field(field(word).ok_or_else(|| unknown(inside))?),
            _ => return Err(unknown(inside)),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn line(parts: &[Part], row: &Fields) -> Result<String> {
    let value = |name: &String| {
        row.get(name).ok_or_else(|| {
            let names: Vec<&str> = row.keys().map(String::as_str).collect();
            Error::new(ErrorKind::Usage, format_args!("no field .{name}; there are: {}", names.join(", ")))
        })
    };
    let mut line = String::new();
    for part in parts {
        match part {
            Part::Text(text) => line += text,
            Part::Field(name) => match value(name)? {
                Value::String(text) => line += &sanitise::text(text),
                Value::Null => {}
                other => drop(write!(line, "{other}")),
            },
            Part::Json(Some(name)) => line += &sanitise::json(value(name)?.to_string()),
            Part::Json(None) => line += &sanitise::json(Value::Object(row.clone()).to_string()),
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(template: &str) -> Result<String, String> {
        let row = json!({ "Name": "shop-db", "ExitCode": 0, "Health": null });
        let Value::Object(row) = row else { unreachable!() };
        parse(template).and_then(|parts| line(&parts, &row)).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_replaced_and_what_is_not_known_is_refused() {
        assert_eq!(shown("{{.Name}}"), Ok("shop-db".into()));
        assert_eq!(shown("{{ .Name }}\\t{{.ExitCode}}:{{.Health}}!"), Ok("shop-db\t0:!".into()));
        assert_eq!(shown("{{json .Name}}"), Ok("\"shop-db\"".into()));
        assert!(shown("{{json .}}").unwrap().starts_with('{'));
        assert_eq!(shown("{{.Nme}}"), Err("no field .Nme; there are: ExitCode, Health, Name".into()));
        for wrong in ["{{range .}}", "{{.A.B}}", "{{.Name", "{{}}", "{{json}}"] {
            assert!(shown(wrong).unwrap_err().contains("--format takes {{.Field}}"), "{wrong}");
        }
    }
}

//! `env`: the variables an application finds the stack by.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use super::context::FormatArg;
use super::session::load_stack;
use super::{Context, block_on};
use crate::diag::{Error, ErrorKind, Result};
use crate::engine::Engine;
use crate::kinds::{self, Variable};
use crate::model::secret::{MASK, is_secret_name, mask_urls};
use crate::model::{Kind, Stack};
use crate::plan::observed::Container;
use crate::run::actual;
use crate::run::{address, provision};
use crate::ui::github;

/// Print connection variables for the application: DATABASE_URL, REDIS_URL, …
///
/// `--format` is one of dotenv (the default), shell, json and github:
///
///   eval "$(taskava dev env --format shell)"
///   taskava dev env --format github >>"$GITHUB_ENV"
///
/// Each service also has NAME_URL, NAME_HOST and NAME_PORT. Passwords are masked on a terminal only.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Passwords in clear text on a terminal, too
    #[arg(long)]
    pub show_secrets: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let stack = load_stack(context)?;
        let chosen = args.services.iter().map(|name| stack.named(name)).collect::<Result<Vec<_>>>()?;
        let engine = Engine::connect(&context.engine_ask()).await?;
        let containers = engine.containers(stack.name.as_str()).await?;
        let (stack, unknown) = actual::stack(&engine, &stack, &containers).await;
        let ids = provision::ids(&engine.about, &stack, &containers).await;
        let mut found = kinds::variables_with(&stack, address::published(&engine.about, &containers), &ids);
        found.retain(|variable| chosen.is_empty() || chosen.contains(&variable.service));
        tell_missing(context, &stack, &containers, |name| chosen.is_empty() || chosen.iter().any(|one| one == name))?;
        let is_meant =
            |note: &&String| chosen.is_empty() || chosen.iter().any(|name| note.starts_with(&format!("{name}: ")));
        // In JSON a remark would be a second object beside the one that is asked for.
        for note in unknown.iter().filter(is_meant).filter(|_| context.global.format != FormatArg::Json) {
            context.screen.note(note);
        }
        let masked = std::io::stdout().is_terminal() && !args.show_secrets;
        if masked {
            found.iter_mut().filter(|variable| variable.secret).for_each(mask);
        }
        context.screen.out(&written(&found, context.global.format)?)?;
        if context.global.format == FormatArg::Github && !masked {
            // Standard output goes to a file; the runner reads commands from standard error too.
            context.screen.commands(&masks(&found));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Variables of services that do not run would lead nowhere, so they are not there: that must not go unnoticed.
fn tell_missing(
    context: &Context,
    stack: &Stack,
    containers: &[Container],
    wanted: impl Fn(&crate::model::ServiceName) -> bool,
) -> Result<()> {
    let services = stack.services.values().filter(|service| service.active && service.kind != Kind::Job);
    let all: Vec<_> = services.map(|service| &service.name).filter(|name| wanted(name)).collect();
    let runs =
        |name: &&&crate::model::ServiceName| containers.iter().any(|seen| seen.service == ***name && seen.is_up());
    let missing: Vec<&str> = all.iter().filter(|name| !runs(name)).map(|name| name.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if missing.len() == all.len() {
        let message = format!("nothing runs of {}: there is nothing to connect to", stack.name);
        return Err(Error::new(ErrorKind::Other, message).hint("start it with: taskava dev up"));
    }
    // In JSON a remark would be a second object beside the one that is asked for.
    if context.global.format != FormatArg::Json {
        context.screen.note(&format!("not running, so left out: {}; start with: taskava dev up", missing.join(", ")));
    }
    Ok(())
}

fn mask(variable: &mut Variable) {
    variable.value = if is_secret_name(&variable.name) { MASK.into() } else { mask_urls(&variable.value).into_owned() };
}

fn written(variables: &[Variable], format: FormatArg) -> Result<String> {
    if format == FormatArg::Json {
        let object: serde_json::Map<String, serde_json::Value> =
            variables.iter().map(|one| (one.name.clone(), one.value.clone().into())).collect();
        return Ok(serde_json::to_string_pretty(&object).map_err(anyhow::Error::from)? + "\n");
    }
    let mut text = String::new();
    for Variable { name, value, .. } in variables {
        let _ = match format {
            FormatArg::Shell => writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''")),
            // https://docs.github.com/actions: several lines need a delimiter that is in none of them.
            FormatArg::Github if value.contains('\n') => {
                let mut end = String::from("END");
                while value.contains(&end) {
                    end.push('_');
                }
                writeln!(text, "{name}<<{end}\n{value}\n{end}")
            }
            FormatArg::Github => writeln!(text, "{name}={value}"),
            _ => writeln!(text, "{name}={}", dotenv(value)),
        };
    }
    Ok(text)
}

/// As every reader of `.env` files takes it: bare where nothing in it means anything, else in quotes.
fn dotenv(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@%+,?&=*".contains(c);
    if value.chars().all(plain) {
        return value.into();
    }
    if !value.contains(['\'', '\n']) {
        return format!("'{value}'");
    }
    let escaped = value.replace('\\', r"\\").replace('"', r#"\""#).replace('$', r"\$").replace('\n', r"\n");
    format!("\"{escaped}\"")
}

/// Keeps passwords out of the log of a GitHub job from now on.
fn masks(variables: &[Variable]) -> String {
    github::masks(variables.iter().filter(|variable| variable.secret).map(|variable| variable.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;

    fn all(pairs: &[(&str, &str)]) -> Vec<Variable> {
        let variable = |(name, value): &(&str, &str)| Variable {
            name: (*name).into(),
            value: (*value).into(),
            secret: is_secret_name(name) || value.contains(":pw@"),
            service: ServiceName::parse("db").unwrap(),
        };
        pairs.iter().map(variable).collect()
    }

    #[test]
    fn each_format_keeps_what_its_reader_would_take_for_its_own() {
        let found = all(&[("A", "redis://h:1/0?x=1"), ("B", "it's $5"), ("C", "two\nEND"), ("D", "a b")]);
        let of = |format| written(&found, format).unwrap();
        assert_eq!(of(FormatArg::Auto), "A=redis://h:1/0?x=1\nB=\"it's \\$5\"\nC=\"two\\nEND\"\nD='a b'\n");
        assert_eq!(
            of(FormatArg::Shell),
            "export A='redis://h:1/0?x=1'\nexport B='it'\\''s $5'\nexport C='two\nEND'\nexport D='a b'\n"
        );
        assert_eq!(of(FormatArg::Github), "A=redis://h:1/0?x=1\nB=it's $5\nC<<END_\ntwo\nEND\nEND_\nD=a b\n");
        let json: serde_json::Value = serde_json::from_str(&of(FormatArg::Json)).unwrap();
        assert_eq!(json["C"], "two\nEND");
    }

    #[test]
    fn secrets_are_masked_for_people_and_registered_with_github() {
        let mut found = all(&[("URL", "postgres://u:pw@h/d"), ("PGPASSWORD", "pw"), ("PGUSER", "u")]);
        assert_eq!(masks(&found), "::add-mask::postgres://u:pw@h/d\n::add-mask::pw\n");
        found.iter_mut().filter(|variable| variable.secret).for_each(mask);
        let values: Vec<&str> = found.iter().map(|variable| variable.value.as_str()).collect();
        assert_eq!(values, ["postgres://u:********@h/d", "********", "u"]);
    }
}

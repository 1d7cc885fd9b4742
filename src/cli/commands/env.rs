//! `env`: the variables through which an application finds the stack.

mod format;

use std::process::ExitCode;

use crate::cli::by_labels::stack_or_labels;
use crate::cli::context::FormatArg;
use crate::cli::{Context, block_on, direct};
use crate::diag::{Error, ErrorKind, Result};
use crate::kinds::{self, Variable};
use crate::masks::Masks;
use crate::model::secret::{MASK, is_secret_name, mask_urls};
use crate::model::{Kind, Stack};
use crate::plan::observed::Container;
use crate::run::{actual, address, provision};
use crate::ui::github;

/// Print variables for connecting to the services: DATABASE_URL, REDIS_URL, …
///
/// `--format` is one of dotenv (the default), shell, json, docker (for `docker run --env-file`) and github. Each
/// service also gets NAME_URL, NAME_HOST and NAME_PORT. Passwords are masked only on a terminal.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eval \"$(taskava dev env --format shell)\"
  taskava dev env --format github >>\"$GITHUB_ENV\"")]
pub struct Args {
    /// Only variables of these services
    #[arg(value_name = "SERVICE", add = super::completions::services())]
    pub services: Vec<String>,
    /// Show passwords even on a terminal
    #[arg(long)]
    pub show_secrets: bool,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    block_on(async {
        let mut here = stack_or_labels(context).await?;
        let chosen = here.stack.all_named(&args.services)?;
        let engine = here.engine(context).await?;
        let (stack, by_labels) = (here.stack, here.by_labels);
        let containers = engine.containers(stack.name.as_str()).await?;
        let (stack, unknown) = actual::stack(&engine, &stack, &containers).await;
        let ids = provision::ids(&engine.about, &stack, &containers).await;
        let mut found = kinds::variables_with(&stack, address::published(&engine.about, &containers), &ids);
        found.retain(|variable| chosen.is_empty() || chosen.contains(&variable.service));
        let start = if by_labels { "taskava dev start" } else { "taskava dev up" };
        tell_missing(context, &stack, &containers, start, |name| {
            chosen.is_empty() || chosen.iter().any(|one| one == name)
        })?;
        let is_meant =
            |note: &&String| chosen.is_empty() || chosen.iter().any(|name| note.starts_with(&format!("{name}: ")));
        // In JSON a remark would be a second object beside the one that is asked for.
        for note in unknown.iter().filter(is_meant).filter(|_| context.global.format != FormatArg::Json) {
            context.screen.note(note);
        }
        if by_labels && context.global.format != FormatArg::Json {
            context.screen.note("variables of `exports` and [aws] are left out: only services.toml has them");
        }
        let masked = !context.screen.shows_secrets(args.show_secrets);
        if masked {
            found.iter_mut().filter(|variable| variable.secret).for_each(mask);
        }
        context.screen.data(&format::written(&found, &context.global.format)?)?;
        if matches!(context.global.format, FormatArg::Auto | FormatArg::Dotenv)
            && let Some(note) = format::disputed(&found)
        {
            context.screen.note(&note);
        }
        if context.global.format == FormatArg::Github && !masked {
            // Standard output goes to a file; the runner reads commands from standard error too.
            context.screen.commands(&masks(&stack, &found));
        }
        let behind = direct::behind_a_proxy(&direct::hosts(&engine.about, &containers));
        if !behind.is_empty() && context.global.format != FormatArg::Json {
            let hosts = behind.join(", ");
            context.screen.note(&format!("a proxy is set here: programs that use it need {hosts} in NO_PROXY"));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Variables of services that do not run would lead nowhere, so they are not there: that must not go unnoticed.
fn tell_missing(
    context: &Context,
    stack: &Stack,
    containers: &[Container],
    start: &str,
    wanted: impl Fn(&crate::model::ServiceName) -> bool,
) -> Result<()> {
    let services = stack.services.values().filter(|service| service.active && service.kind != Kind::Job);
    let all: Vec<_> = services.map(|service| &service.name).filter(|name| wanted(name)).collect();
    let runs =
        |name: &&&crate::model::ServiceName| containers.iter().any(|seen| seen.service == ***name && seen.is_up());
    let missing: Vec<&str> = all.iter().filter(|name| !runs(name)).map(|name| name.as_str()).collect();
    if missing.is_empty() && !stack.services.is_empty() {
        return Ok(());
    }
    if missing.len() == all.len() {
        let message = format!("no service of {} is running: there is nothing to connect to", stack.name);
        return Err(Error::new(ErrorKind::Other, message).hint(format!("start it with: {start}")));
    }
    // In JSON a remark would be a second object beside the one that is asked for.
    if context.global.format != FormatArg::Json {
        context.screen.note(&format!("not running, so left out: {}; start with: {start}", missing.join(", ")));
    }
    Ok(())
}

fn mask(variable: &mut Variable) {
    variable.value = if is_secret_name(&variable.name) { MASK.into() } else { mask_urls(&variable.value).into_owned() };
}

/// Keeps passwords out of the log of a GitHub job from now on: the stack's, and what is made of it here.
fn masks(stack: &Stack, variables: &[Variable]) -> String {
    let secret = variables.iter().filter(|variable| variable.secret);
    let named = secret.map(|variable| (is_secret_name(&variable.name), variable.value.as_str()));
    github::masks(Masks::of_more(stack, named).values())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;
    use crate::resolve::sample;

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
    fn secrets_are_masked_for_people_and_registered_with_github() {
        let mut found = all(&[("URL", "postgres://u:pw@h/d"), ("PGPASSWORD", "pw"), ("PGUSER", "u")]);
        found.iter_mut().filter(|variable| variable.secret).for_each(mask);
        let values: Vec<&str> = found.iter().map(|variable| variable.value.as_str()).collect();
        assert_eq!(values, ["postgres://u:********@h/d", "********", "u"]);

        let stack =
            sample::stack("[services.db]\nkind = \"postgres\"\nenv = { POSTGRES_PASSWORD = \"s3cret-of-db\" }\n");
        let found = all(&[
            ("DATABASE_URL", "postgres://shopper:pw@h/d"),
            ("PGPASSWORD", "s3cret-of-db"),
            ("DB_PASSWORD", "s3cret-of-db"),
            ("API_TOKEN", "made-of-a-port-5432"),
            ("ONE_PASSWORD", "postgres"),
            ("TWO_PASSWORD", "short"),
            ("THREE_PASSWORD", stack.name.as_str()),
        ]);
        assert_eq!(masks(&stack, &found), "::add-mask::made-of-a-port-5432\n::add-mask::s3cret-of-db\n");
    }
}

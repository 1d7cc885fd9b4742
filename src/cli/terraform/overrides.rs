//! taskava_override.tf: what a configuration for the real account needs to use the mirror instead, in Terraform's own way
//! to replace parts of one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::diag::{Error, ErrorKind, Result};

/// The first line, by which a file that was left behind is known as ours.
const MARKER: &str = "# Written by `taskava dev terraform` for as long as it runs; safe to delete.";

/// Name of the file that replaces parts of the configuration.
const OVERRIDE: &str = "taskava_override.tf";

/// Name of the file for a configuration that has no provider of its own: there is nothing to replace.
const PROVIDER: &str = "taskava_provider.tf";

/// Names of services as the provider's `endpoints` has them, for those that LocalStack's community edition has.
const MAIN: &[&str] = &[
    "acm",
    "apigateway",
    "cloudformation",
    "cloudwatch",
    "dynamodb",
    "ec2",
    "events",
    "firehose",
    "iam",
    "kinesis",
    "kms",
    "lambda",
    "logs",
    "route53",
    "s3",
    "s3control",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
];

/// For those that go to MiniStack where there is one.
const BESIDE: &[&str] = &[
    "appautoscaling",
    "cloudfront",
    "cloudtrail",
    "cognitoidentity",
    "cognitoidp",
    "ecr",
    "ecs",
    "elasticache",
    "elbv2",
    "rds",
    "ses",
    "sesv2",
    "wafv2",
];

/// Where Terraform is led to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) region: String,
    /// URL of the emulator.
    pub(super) main: String,
    /// URL of the one for what the first lacks.
    pub(super) beside: Option<String>,
    /// Where the state is kept, from the folder of the configuration.
    pub(super) state: String,
}

/// Files that are there for as long as this is.
#[derive(Debug)]
pub(super) struct Written(Vec<PathBuf>);

impl Written {
    /// Writes what a folder's configuration needs.
    pub(super) fn new(folder: &Path, target: &Target) -> Result<Self> {
        let mut written = Self(Vec::new());
        // Left behind by a run that was killed: not to be read as the user's own.
        for name in [OVERRIDE, PROVIDER] {
            let path = folder.join(name);
            match std::fs::read_to_string(&path) {
                Ok(text) if text.starts_with(MARKER) => std::fs::remove_file(&path)?,
                Ok(_) => {
                    let message = format!("{} is not of taskava's making", path.display());
                    return Err(Error::new(ErrorKind::Usage, message).hint("rename it: this name is used here"));
                }
                Err(_) => {}
            }
        }
        let providers = providers(&configuration(folder)?);
        for (name, text) in texts(&providers, target) {
            let path = folder.join(name);
            // Noted before: a file that was cut off goes too.
            written.0.push(path.clone());
            std::fs::write(&path, text).map_err(|error| {
                Error::new(ErrorKind::Other, format_args!("{} can't be written: {error}", path.display()))
            })?;
        }
        Ok(written)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for path in &self.0 {
            // It may be gone; there is nobody to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// All of a folder's configuration.
fn configuration(folder: &Path) -> Result<String> {
    let unreadable = |error: std::io::Error| {
        Error::new(ErrorKind::Usage, format_args!("{} can't be read: {error}", folder.display()))
    };
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tf") {
            text.push_str(&std::fs::read_to_string(&path).map_err(unreadable)?);
            text.push('\n');
        }
    }
    Ok(text)
}

/// The alias of each `provider "aws"` in a configuration; none for the one without.
fn providers(text: &str) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !matches!(words[..], ["provider", "\"aws\"" | "aws", ..]) {
            continue;
        }
        // Up to the brace that closes it.
        let (mut depth, mut alias) = (0, None);
        for line in &lines[at..] {
            let inner = line.rsplit_once('{').filter(|_| depth == 0).map_or(*line, |(_, inner)| inner);
            if let Some(("alias", value)) = inner.split_once('=').map(|(name, value)| (name.trim(), value)) {
                alias = value.split('"').nth(1).map(str::to_owned);
            }
            depth += line.matches('{').count();
            depth = depth.saturating_sub(line.matches('}').count());
            if depth == 0 {
                break;
            }
        }
        if !found.contains(&alias) {
            found.push(alias);
        }
    }
    found
}

/// The files by name.
fn texts(providers: &[Option<String>], target: &Target) -> Vec<(&'static str, String)> {
    let mut replaced =
        format!("{MARKER}\n\nterraform {{\n  backend \"local\" {{\n    path = {:?}\n  }}\n}}\n", target.state);
    for alias in providers {
        replaced.push_str(&provider(alias.as_deref(), target));
    }
    let mut texts = vec![(OVERRIDE, replaced)];
    // What has only providers with an alias, or none, still has the one that is there by itself.
    if !providers.contains(&None) {
        texts.push((PROVIDER, format!("{MARKER}\n{}", provider(None, target))));
    }
    texts
}

fn provider(alias: Option<&str>, target: &Target) -> String {
    let mut text = String::from("\nprovider \"aws\" {\n");
    if let Some(alias) = alias {
        let _ = writeln!(text, "  alias = {alias:?}");
    }
    // Another region would be another, empty one in the emulator, but for what production has in two.
    if alias.is_none() {
        let _ = writeln!(text, "  region = {:?}", target.region);
    }
    text.push_str(
        "  access_key = \"test\"\n  secret_key = \"test\"\n  token = null\n  profile = null\n  \
         skip_credentials_validation = true\n  skip_metadata_api_check = true\n  skip_requesting_account_id = true\n  \
         skip_region_validation = true\n  s3_use_path_style = true\n  endpoints {\n",
    );
    let beside = target.beside.as_ref().unwrap_or(&target.main);
    let all = MAIN.iter().map(|name| (name, &target.main)).chain(BESIDE.iter().map(|name| (name, beside)));
    for (name, url) in all {
        let _ = writeln!(text, "    {name} = {url:?}");
    }
    text + "  }\n}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            region: "eu-central-1".into(),
            main: "http://127.0.0.1:1".into(),
            beside: Some("http://127.0.0.1:2".into()),
            state: "x.tfstate".into(),
        }
    }

    #[test]
    fn providers_and_their_aliases() {
        let text = r#"
            # provider "aws" { alias = "no" }
            provider "aws" {
              region = var.region
              default_tags { tags = { alias = "tag" } }
            }
            provider "aws" {
              alias  = "us_east_1" # for CloudFront
              region = "us-east-1"
            }
            provider "random" {}
            provider "aws" { alias = "dns" }
        "#;
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(providers(text), [None, named("us_east_1"), named("dns")]);
        assert_eq!(providers("resource \"aws_s3_bucket\" \"a\" {}"), Vec::<Option<String>>::new());
    }

    #[test]
    fn each_provider_is_led_to_the_right_emulator() {
        let texts = texts(&[None, Some("us".into())], &target());
        assert_eq!(texts.len(), 1);
        let text = &texts[0].1;
        assert_eq!(text.matches("provider \"aws\"").count(), 2);
        assert!(
            text.contains("    s3 = \"http://127.0.0.1:1\"")
                && text.contains("    cognitoidp = \"http://127.0.0.1:2\"")
        );
        assert_eq!(text.matches("region = \"eu-central-1\"").count(), 1, "{text}");
        assert!(text.contains("alias = \"us\""));
    }

    #[test]
    fn what_is_not_ours_is_not_touched_and_what_is_ours_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("main.tf"), "provider \"aws\" {}").unwrap();
        let path = folder.path().join(OVERRIDE);
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(Written::new(folder.path(), &target()).unwrap_err().kind, ErrorKind::Usage);
        std::fs::write(&path, format!("{MARKER}\nleft behind")).unwrap();
        let written = Written::new(folder.path(), &target()).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("endpoints"));
        drop(written);
        assert!(!path.exists() && !folder.path().join(PROVIDER).exists());
    }
}

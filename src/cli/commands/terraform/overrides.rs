//! taskava_override.tf: what a configuration for the real account needs to use the mirror instead, in Terraform's own way
//! to replace parts of one.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::providers::Providers;
use crate::bounded;
use crate::diag::{Error, ErrorKind, Result};
use crate::model::aws::BESIDE;

/// The first line, by which a file that was left behind is known as ours.
const MARKER: &str = "# Written by `taskava dev terraform` for as long as it runs; safe to delete.";

/// Name of the file that replaces parts of the configuration.
const OVERRIDE: &str = "taskava_override.tf";

/// Name of the file for a configuration that has no provider of its own: there is nothing to replace.
const PROVIDER: &str = "taskava_provider.tf";

/// Names of services as the provider's `endpoints` has them, for those that are not [`BESIDE`]. Whatever is missing here goes
/// where `AWS_ENDPOINT_URL` says, unless the configuration knows better.
const MAIN: &[&str] = &[
    "acm",
    "apigateway",
    "appautoscaling",
    "cloudformation",
    "cloudwatch",
    "dynamodb",
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

/// What a provider may be told that holds for the real account only.
const REAL: &[&str] = &[
    "allowed_account_ids",
    "custom_ca_bundle",
    "forbidden_account_ids",
    "http_proxy",
    "https_proxy",
    "profile",
    "shared_config_files",
    "shared_credentials_files",
    "sts_region",
    "token",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
];

/// Where Terraform is led to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) region: String,
    /// URL of the emulator.
    pub(super) main: String,
    /// URL of the one for what the first lacks.
    pub(super) beside: Option<String>,
    /// Where the state is kept, from the folder of the configuration: the path without what follows its last dot.
    pub(super) state: String,
    /// Whether the program is OpenTofu, which reads more files.
    pub(super) tofu: bool,
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
            match bounded::text(&path, bounded::WRITTEN) {
                Ok(text) if text.starts_with(MARKER) => std::fs::remove_file(&path)?,
                Ok(_) => {
                    let message = format!("{} was not written by taskava", path.display());
                    return Err(Error::new(ErrorKind::Usage, message).hint("rename it: taskava uses this name"));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&path, &error)),
            }
        }
        let providers = providers(folder, target.tofu)?;
        for (name, text) in texts(&providers.0, target) {
            let path = folder.join(name);
            let unwritable = |error: std::io::Error| {
                Error::new(ErrorKind::Other, format_args!("{} can't be written: {error}", path.display()))
            };
            // Only where there is none: it is removed afterwards.
            let mut file = File::create_new(&path).map_err(unwritable)?;
            written.0.push(path.clone());
            file.write_all(text.as_bytes()).map_err(unwritable)?;
        }
        Ok(written)
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        for path in &self.0 {
            // It may be missing; the error can't be reported here.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Usage, format_args!("{} can't be read: {error}", path.display()))
}

/// What providers of AWS a folder's configuration has.
fn providers(folder: &Path, tofu: bool) -> Result<Providers> {
    let mut providers = Providers::default();
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        paths.push(entry?.path());
    }
    // As a folder lists them in no order, and what is written should not depend on it.
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let ends =
            |suffix: &str| name.ends_with(&format!(".tf{suffix}")) || tofu && name.ends_with(&format!(".tofu{suffix}"));
        // Editors leave such beside the real ones; Terraform does not read them either.
        if name.starts_with(['.', '#']) || !(ends("") || ends(".json")) {
            continue;
        }
        let text = bounded::text(&path, bounded::WRITTEN).map_err(|error| unreadable(&path, &error))?;
        if ends(".json") { providers.read_json(&text) } else { providers.read(&text) }
    }
    Ok(providers)
}

/// The files by name.
fn texts(providers: &[Option<String>], target: &Target) -> Vec<(&'static str, String)> {
    let [state, workspaces] = ["tfstate", "workspaces"].map(|end| format!("{}.{end}", target.state));
    let mut replaced = format!(
        "{MARKER}\n\nterraform {{\n  backend \"local\" {{\n    path          = {state:?}\n    \
         workspace_dir = {workspaces:?}\n  }}\n}}\n"
    );
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
        "  access_key = \"test\"\n  secret_key = \"test\"\n  skip_credentials_validation = true\n  \
         skip_metadata_api_check = true\n  skip_region_validation = true\n  s3_use_path_style = true\n",
    );
    // The account is the emulator's, asked of it: ARNs that the provider makes up itself would have none otherwise.
    text.push_str("  skip_requesting_account_id = false\n");
    // What is the real account's alone: another one is not allowed, and nothing of this machine's is to be used.
    for name in REAL {
        let _ = writeln!(text, "  {name} = null");
    }
    // A block is taken away by one that makes none. A role would be one of another account, in the emulator too.
    for name in ["assume_role", "assume_role_with_web_identity"] {
        let _ = writeln!(text, "  dynamic {name:?} {{\n    for_each = []\n    content {{}}\n  }}");
    }
    text.push_str("  endpoints {\n");
    let beside = target.beside.as_ref().unwrap_or(&target.main);
    let main = MAIN.iter().map(|name| (*name, &target.main));
    for (name, url) in main.chain(BESIDE.iter().map(|api| (api.terraform, beside))) {
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
            state: "x".into(),
            tofu: false,
        }
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
        // Neither is what can't even be read.
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(Written::new(folder.path(), &target()).unwrap_err().kind, ErrorKind::Usage);
        assert_eq!(std::fs::read(&path).unwrap(), [0xff]);
        std::fs::write(&path, format!("{MARKER}\nleft behind")).unwrap();
        let written = Written::new(folder.path(), &target()).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("endpoints"));
        drop(written);
        assert!(!path.exists() && !folder.path().join(PROVIDER).exists());
    }
}

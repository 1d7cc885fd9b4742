//! `terraform`: the production modules of examples/terraform in the mirror, and a configuration as another user may have one.
//! Where Terraform or the provider of AWS can't be had these tests say so, past the harness, and in scripts/test's last lines.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stack::{Output, Running, Stack, heavy, wait_until};

/// What can't be empty in the second plan, as MiniStack does not say it: `availability_zone_rebalancing`.
const DRIFT: [&str; 1] = ["module.ecs.aws_ecs_service.api"];

/// How Terraform is run: with the providers of this machine where a folder of them was named.
struct Terraform {
    /// Holds the configuration of Terraform itself.
    _folder: TempDir,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Terraform {
    /// None, loudly, where there is no Terraform or no provider.
    fn find() -> Option<Self> {
        let folder = TempDir::with_prefix("taskava-terraform-").expect("a folder");
        let mut variables = vec![("CHECKPOINT_DISABLE", "1".into()), ("TF_IN_AUTOMATION", "1".into())];
        if let Some(mirror) = std::env::var_os("TASKAVA_TEST_TERRAFORM_MIRROR") {
            let file = folder.path().join("terraform.rc");
            #[expect(clippy::unnecessary_debug_formatting, reason = "quoted as in HCL")]
            let text = format!("provider_installation {{\n  filesystem_mirror {{\n    path = {mirror:?}\n  }}\n}}\n");
            std::fs::write(&file, text).expect("a file");
            variables.push(("TF_CLI_CONFIG_FILE", file));
        }
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/terraform/versions.tf");
        std::fs::copy(example, folder.path().join("versions.tf")).expect("a copy");
        let arguments = ["init", "-backend=false", "-input=false", "-no-color"];
        let init = |program: &str| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(folder.path()).envs(variables.iter().cloned()).output().ok()
        };
        let Some(init) = init("terraform").or_else(|| init("tofu")) else {
            not_run("neither terraform nor tofu is on this machine");
            return None;
        };
        if !init.status.success() {
            let said = String::from_utf8_lossy(&init.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(said.contains("provider packages") || said.contains("install provider"), "{said}");
            not_run(&format!("terraform is there, but not the provider of AWS: {said}"));
            return None;
        }
        Some(Self { _folder: folder, variables })
    }

    fn start(&self, stack: &Stack, arguments: &[&str]) -> Running {
        let all = [&["terraform", "--"], arguments].concat();
        let mut command = stack.command(&all);
        // As a user has them who works in the real account.
        command.env("AWS_PROFILE", "production").env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        Running::start(command.envs(self.variables.iter().cloned()))
    }

    #[track_caller]
    fn run(&self, stack: &Stack, arguments: &[&str]) -> Output {
        self.start(stack, arguments).finish()
    }
}

/// The harness keeps to itself what a test prints that passes; this is to be seen.
fn not_run(why: &str) {
    let line = format!("NOT RUN: the tests of `taskava dev terraform`: {why}");
    writeln!(std::io::stderr(), "\n{line}\n").expect("stderr");
    if let Some(file) = std::env::var_os("TASKAVA_TEST_NOT_RUN") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(file).expect("the file of scripts/test");
        writeln!(file, "{line}").expect("written");
    }
}

/// What stands in a folder, but for what Terraform keeps there itself.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (name, path) = (entry.file_name(), entry.path());
        if name == ".terraform" || name == ".terraform.lock.hcl" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

/// What the AWS CLI answers, as JSON.
#[track_caller]
fn aws(stack: &Stack, arguments: &str) -> Value {
    let arguments: Vec<&str> = ["aws", "--"].into_iter().chain(arguments.split(' ')).collect();
    let mut command = stack.command(&[&arguments[..], &["--output", "json"]].concat());
    let said = Running::start(command.env("AWS_PROFILE", "production")).finish().ends(0);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}

#[test]
fn the_production_modules_are_made_found_and_removed() {
    let Some(terraform) = Terraform::find() else { return };
    let stack = {
        let _turn = heavy();
        let stack = Stack::of_the_example("terraform");
        stack.up();
        stack
    };
    let own = files(stack.path());
    let dev = "-var-file=environments/dev.tfvars";
    // Most of the time is Terraform's own waiting, so everything waits at once.
    let change = ["-auto-approve", "-input=false", "-no-color", "-parallelism=50", dev];
    terraform.run(&stack, &["init", "-input=false", "-no-color"]).ends(0);
    terraform.run(&stack, &[&["apply"], &change[..]].concat()).ends(0);

    // Once more there is nothing to do, but for what an emulator does not tell.
    let plan = terraform.run(&stack, &["plan", "-detailed-exitcode", "-input=false", "-no-color", "-out=plan", dev]);
    assert!([0, 2].contains(&plan.code), "{}\n{}", plan.stdout, plan.stderr);
    let shown = terraform.run(&stack, &["show", "-json", "plan"]).ends(0).json().remove(0);
    let changes = shown["resource_changes"].as_array().expect("changes").iter();
    let changes =
        changes.filter(|change| !["no-op", "read"].contains(&change["change"]["actions"][0].as_str().unwrap()));
    let changed: Vec<_> = changes.filter_map(|change| change["address"].as_str()).collect();
    assert_eq!(changed, DRIFT, "{}", plan.stdout);
    std::fs::remove_file(stack.path().join("plan")).expect("a plan");

    // Each emulator has what is its own.
    let versioning = aws(&stack, "s3api get-bucket-versioning --bucket taskava-dev-uploads");
    assert_eq!(versioning["Status"], "Enabled");
    let names = |answer: &Value, list: &str, key: &str| -> Vec<String> {
        let all = answer[list].as_array().into_iter().flatten();
        all.filter_map(|one| Some(if key.is_empty() { one } else { &one[key] }.as_str()?.to_owned())).collect()
    };
    let exist = || {
        let pools = names(&aws(&stack, "cognito-idp list-user-pools --max-results 10"), "UserPools", "Name");
        let clusters = names(&aws(&stack, "ecs list-clusters"), "clusterArns", "");
        let buckets = names(&aws(&stack, "s3api list-buckets"), "Buckets", "Name");
        let databases = names(&aws(&stack, "rds describe-db-instances"), "DBInstances", "DBInstanceIdentifier");
        [pools, clusters, buckets, databases]
    };
    let [pools, clusters, mut buckets, databases] = exist();
    buckets.sort();
    assert_eq!(pools, ["taskava-dev-users"]);
    assert_eq!(clusters, ["arn:aws:ecs:eu-central-1:000000000000:cluster/taskava-dev-cluster"]);
    assert_eq!(buckets, ["taskava-dev-static", "taskava-dev-trail", "taskava-dev-uploads"]);
    assert_eq!(databases, ["taskava-dev-db"]);

    terraform.run(&stack, &[&["destroy"], &change[..]].concat()).ends(0);
    assert_eq!(exist(), [const { Vec::<String>::new() }; 4]);
    assert_eq!(files(stack.path()), own);
}

/// A configuration for another account than the mirror's, with everything in it that must not be used here.
fn somebody_elses(stack: &Stack) {
    let role = json!([{ "role_arn": "arn:aws:iam::123456789012:role/deploy" }]);
    let main = json!({
        "terraform": {
            "required_providers": { "aws": { "source": "hashicorp/aws", "version": "~> 5.0" } },
            "backend": { "s3": { "bucket": "states", "key": "x", "region": "eu-west-1" } },
        },
        "provider": { "aws": [
            { "region": "eu-west-1", "profile": "production", "allowed_account_ids": ["123456789012"] },
            { "alias": "far", "region": "us-east-1", "assume_role": role },
        ] },
        "module": { "queue": { "source": "./queue", "name": "${var.name}", "providers": { "aws": "aws.near" } } },
        "resource": { "aws_ssm_parameter": { "far": {
            "provider": "aws.far", "name": "/far", "type": "String", "value": "${var.name}",
        } } },
    });
    stack.file("infra/main.tf.json", &main.to_string());
    stack.file(
        "infra/near.tf",
        "variable \"name\" {}\nprovider \"aws\" {\n  alias  = \"near\" /* } */\n  region = \"eu-west-1\"\n}\n",
    );
    stack.file("infra/mine_override.tf", "variable \"name\" {\n  type = string\n}\n");
    let queue = "variable \"name\" {}\nresource \"aws_sqs_queue\" \"this\" {\n  name = var.name\n}\n";
    stack.file("infra/queue/main.tf", queue);
    stack.file("infra/vars/dev.tfvars", "name = \"first\"\n");
}

#[test]
fn a_configuration_of_somebody_elses_is_used_as_it_is_and_left_as_it_was() {
    let Some(terraform) = Terraform::find() else { return };
    let stack = Stack::new(
        "tf",
        "[services.ministack]\nkind = \"ministack\"\nimage = \"image:ministack\"\nports = [\"4566\"]\n",
    );
    somebody_elses(&stack);
    let own = files(stack.path());
    let infra = "-chdir=infra";
    let change = ["-auto-approve", "-input=false", "-no-color", "-var-file=vars/dev.tfvars"];
    stack.up();
    terraform.run(&stack, &[infra, "init", "-input=false", "-no-color"]).ends(0);
    assert_eq!(files(stack.path()), own);

    // Ctrl-C in the middle: Terraform ends in its own time, and what was written for it goes.
    let apply = terraform.start(&stack, &[&[infra, "apply"], &change[..]].concat());
    wait_until("a queue being made", || apply.printed().contains("aws_sqs_queue.this: Creating").then_some(()));
    assert!(stack.path().join("infra/taskava_override.tf").exists());
    // A second one would take the first one's file away.
    terraform.run(&stack, &[infra, "validate"]).ends(8).says(&["is being changed by `taskava dev terraform`"]);
    apply.signal("INT");
    assert_ne!(apply.finish().code, 0);
    assert_eq!(files(stack.path()), own);

    terraform.run(&stack, &[&[infra, "apply"], &change[..]].concat()).ends(0);
    let parameter = aws(&stack, "ssm get-parameter --name /far --region us-east-1");
    assert_eq!(parameter["Parameter"]["ARN"], "arn:aws:ssm:us-east-1:000000000000:parameter/far");
    terraform.run(&stack, &[infra, "fmt", "-check", "-recursive"]).ends(0);

    // What has our name but is not ours is not touched.
    let theirs = stack.file("infra/taskava_override.tf", "# mine\n");
    terraform.run(&stack, &[infra, "plan"]).ends(2).says(&["was not written by taskava"]);
    std::fs::remove_file(theirs).expect("still there");
    terraform.run(&stack, &[&[infra, "destroy"], &change[..]].concat()).ends(0);
    assert_eq!(files(stack.path()), own);
}

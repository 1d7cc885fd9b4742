//! The AWS mirror: declared resources in the real emulators, and the mail that comes out of them.

use crate::aws_map::{has, is, map};
use crate::clients::get;
use crate::docker;
use crate::stack::{Stack, heavy, wait_until};

/// LocalStack with MiniStack beside it, a mail service, and what depends on both.
const MIRROR: &str = r#"
[services.localstack]
kind = "localstack"
image = "image:localstack"
ready = { timeout = "4m" }
ports = ["4566"]

[services.ministack]
kind = "ministack"
image = "image:ministack"
ports = ["4566"]

[services.mail]
kind = "mailhog"
image = "image:mailhog"
ports = ["1025", "8025"]

[services.api]
image = "image:busybox"
command = ["httpd", "-f", "-p", "8080", "-h", "/etc"]
stop_signal = "SIGKILL"
ports = ["8080"]
depends_on = ["localstack", "ministack"]

[aws]
region = "eu-central-1"
secrets = { "app/db" = "s3cret", "app/made" = { generate = 32 } }
parameters = { "/app/level" = "debug" }
keys = ["app"]
log_groups = { "/app/api" = { retention_days = 7 } }
identities = ["noreply@taskava.test"]
buckets = { uploads = { versioning = true, kms_key = "app", seed = "seed" } }
queues = { jobs = { dead_letter = "jobs-failed" }, jobs-failed = {} }
topics = { orders = { queues = ["jobs"], raw = true } }
alarms = { errors = { namespace = "app", metric = "errors", above = 5, topics = ["orders"] } }
roles = { task = { allow = ["s3:GetObject"] } }

[aws.user_pools.app]
clients = { web = { flows = ["password"] } }
groups = ["admin"]
users = { "dev@taskava.test" = { password = "Passw0rd!", groups = ["admin"] } }
"#;

#[test]
fn what_is_declared_exists_when_up_returns_and_only_what_differs_is_made() {
    let _turn = heavy();
    let stack = Stack::new("aws", MIRROR);
    stack.file("seed/img/a.svg", "<svg/>");
    stack.up().says(&["localstack  ready", "ministack   ready"]);
    stack.up().says(&["nothing to do"]);
    stack.dev(&["plan"]).ends(0);

    stack.edit("versioning = true", "versioning = false");
    stack.edit("retention_days = 7", "retention_days = 14");
    stack.edit(", groups = [\"admin\"] } }", " } }");
    stack.edit("roles = { task = { allow = [\"s3:GetObject\"] } }\n", "");
    let plan = stack.dev(&["plan", "--exit-code"]).ends(10);
    assert!(plan.stdout.contains("bucket uploads: versioning on → off"), "{}", plan.stdout);
    stack.up().says(&[
        "bucket uploads: versioning on → off",
        "log group /app/api: retention 7 → 14",
        "user pool user app/dev@taskava.test: groups admin → none",
        "no longer declared in [aws]: role task",
        "up --prune",
        "done: 3 changes",
    ]);
    stack.dev(&["up", "--prune"]).ends(0).says(&["role task: no longer declared → removed"]);
    stack.up().says(&["nothing to do"]);

    // The emulator forgets everything; what is declared is back.
    stack.dev(&["restart", "localstack"]).ends(0);
    let env = stack.dev(&["env", "--show-secrets"]).ends(0).stdout;
    for name in ["SQS_JOBS_QUEUE_URL=", "COGNITO_APP_WEB_CLIENT_ID=", "KMS_KEY_ID=", "AWS_ENDPOINT_URL_SES="] {
        assert!(env.contains(name), "no {name} in\n{env}");
    }
    stack.up().says(&["nothing to do"]);
    mail_arrives(&stack);

    // What LocalStack lacks is missing where no other emulator runs beside it.
    is(&map(&stack, &[])("Cognito user pools"), "partial", &["ministack"]);
    stack.dev(&["stop", "ministack"]).ends(0);
    let alone = map(&stack, &[]);
    is(&alone("Cognito user pools"), "missing", &[]);
    has(&alone("Cognito user pools")["why"], "ministack does not run");
    is(&alone("SQS"), "partial", &["localstack"]);
}

/// What SES sends is in the mail service, and a service that depends on the emulators received their addresses.
fn mail_arrives(stack: &Stack) {
    let send = "Action=SendEmail&Version=2010-12-01&Source=noreply%40taskava.test&Destination.ToAddresses.member.1=\
                a%40taskava.test&Message.Subject.Data=hello&Message.Body.Text.Data=there";
    let key = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/ses/aws4_request, \
               SignedHeaders=host, Signature=0\r\n";
    let (status, answer) = get(&stack.address("ministack", 4566), &format!("/?{send}"), key);
    assert_eq!(status, 200, "{answer}");
    let mail = stack.address("mail", 8025);
    wait_until("the mail", || get(&mail, "/api/v2/messages", "").1.contains("hello").then_some(()));
    let inside = docker::output(&stack.container("api"), &["env"]);
    for variable in ["AWS_ENDPOINT_URL=http://localstack:4566", "AWS_ENDPOINT_URL_SES=http://ministack:4566"] {
        assert!(inside.lines().any(|line| line == variable), "no {variable} in\n{inside}");
    }
}

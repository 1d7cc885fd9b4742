//! `aws map`: the verdicts follow what runs and answers, not what is written somewhere.

use serde_json::Value;

use crate::stack::{Stack, heavy};

/// The light variant: MiniStack alone, with the two servers that do the work of RDS and ElastiCache.
const LIGHT: &str = r#"
[services.ministack]
kind = "ministack"
image = "image:ministack"
ports = ["4566"]

[services.postgres]
kind = "postgres"
image = "image:postgres"
ports = ["5432"]
env = { POSTGRES_PASSWORD = "secret" }

[services.redis]
kind = "redis"
image = "image:redis"
ports = ["6379"]

[aws]
parameters = { "/app/level" = "debug" }
buckets = { uploads = { versioning = true } }
"#;

/// The components by name.
#[track_caller]
pub(crate) fn map(stack: &Stack, before: &[&str]) -> impl Fn(&str) -> Value + use<> {
    let said = stack.dev(&[before, &["aws", "map", "--json"]].concat()).ends(0).json().remove(0);
    assert_eq!(said["v"], 1);
    move |name| {
        let all = said["components"].as_array().expect("an array");
        all.iter().find(|one| one["component"] == name).unwrap_or_else(|| panic!("no {name} in {said}")).clone()
    }
}

/// Verdict and who gave it.
#[track_caller]
pub(crate) fn is(line: &Value, verdict: &str, services: &[&str]) {
    assert_eq!((line["verdict"].as_str(), &line["services"]), (Some(verdict), &serde_json::json!(services)), "{line}");
}

/// Whether a list of sentences has one with these words.
#[track_caller]
pub(crate) fn has(list: &Value, words: &str) {
    assert!(
        list.as_array().is_some_and(|all| all.iter().any(|one| one.to_string().contains(words))),
        "no {words:?} in {list}"
    );
}

#[test]
fn verdicts_follow_what_answers() {
    let _turn = heavy();
    let stack = Stack::new("awsmap", LIGHT);
    stack.dev(&["aws", "map"]).ends(1).says(&["no service of", "taskava dev up"]);
    stack.up();

    let before = map(&stack, &[]);
    is(&before("RDS PostgreSQL 15 Multi-AZ"), "partial", &["postgres", "ministack"]);
    has(&before("RDS PostgreSQL 15 Multi-AZ")["said"], "PostgreSQL 15.");
    has(&before("RDS PostgreSQL 15 Multi-AZ")["why"], "no standby");
    is(&before("ElastiCache Redis 7"), "partial", &["redis", "ministack"]);
    has(&before("ElastiCache Redis 7")["said"], "Redis 7.");
    is(&before("S3"), "partial", &["ministack"]);
    has(&before("S3")["said"], "versioning of 1");
    is(&before("Parameter Store"), "mirrored", &["ministack"]);
    assert_eq!(before("Parameter Store")["declared"], serde_json::json!({ "declared": 1, "existing": 1 }));
    has(&before("IAM")["why"], "not enforced");
    has(&before("SES")["why"], "no mail service");
    for described in ["WAF", "CloudTrail", "ECR", "CloudFront", "ECS Fargate"] {
        assert_eq!(before(described)["verdict"], "metadata-only", "{}", before(described));
    }

    // What is stopped is missing, however much is written about it; and so is what was declared and not made yet.
    stack.dev(&["stop", "redis"]).ends(0);
    stack.edit("parameters = {", "parameters = { \"/app/new\" = \"x\",");
    let after = map(&stack, &[]);
    is(&after("ElastiCache Redis 7"), "metadata-only", &["ministack"]);
    is(&after("Parameter Store"), "partial", &["ministack"]);
    has(&after("Parameter Store")["why"], "taskava dev up");
    stack.dev(&["stop", "ministack"]).ends(0);
    let table = stack.dev(&["aws", "map"]).ends(0).stdout;
    for name in ["S3", "ElastiCache Redis 7", "WAF"] {
        let line = table.lines().find(|line| line.starts_with(&format!("{name}  "))).expect(name);
        assert!(line.contains("  missing  ") && line.contains("does not run"), "{line}");
    }
    assert!(table.contains("postgres is PostgreSQL 15."), "{table}");
}

/// More of each than fits on a page: log groups 50, alarms 100, clients of a pool 60.
#[test]
fn what_is_on_later_pages_is_seen() {
    let _turn = heavy();
    let of = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let groups = of(55, &|at| format!("\"/app/{at}\" = {{ retention_days = 7 }}"));
    let alarms = of(105, &|at| format!("a{at} = {{ namespace = \"app\", metric = \"m{at}\", above = 5 }}"));
    let clients = of(65, &|at| format!("c{at} = {{ flows = [\"password\"] }}"));
    let (ministack, _) = LIGHT.split_once("[services.postgres]").expect("it comes first");
    let stack = Stack::new(
        "pages",
        &format!(
            "{ministack}[aws]\nlog_groups = {{ {groups} }}\nalarms = {{ {alarms} }}\n\
             [aws.user_pools.app]\nclients = {{ {clients} }}\n"
        ),
    );
    stack.up();
    // What is not seen is made again, and refused.
    stack.up().says(&["nothing to do"]);
    let found = map(&stack, &[]);
    for (component, count) in
        [("CloudWatch Logs", 55), ("CloudWatch metrics and alarms", 105), ("Cognito user pools", 66)]
    {
        let all = serde_json::json!({ "declared": count, "existing": count });
        assert_eq!(found(component)["declared"], all, "{component}");
    }
}

"""The whole stack with the account's resources: from nothing to ready, and again when all of it is there.

taskava declares the resources in `[aws]`. Compose has a script that LocalStack runs when it is up and that makes the same ones
with the AWS CLI, those of Cognito and SES in MiniStack. LocalStack counts as healthy when the script has come to its end.
"""

import secrets
import subprocess

import measure
import stacks
from table import Row

REGION = "eu-central-1"
# As cheap as a check can be: python or curl once a second would slow compose down.
MINISTACK_ANSWERS = (
    "exec 3<>/dev/tcp/127.0.0.1/4566 && printf 'GET /_ministack/health HTTP/1.0\\r\\n\\r\\n' >&3"
    # A dollar is doubled for compose.
    " && read -r line <&3 && [[ $$line == *' 200 '* ]]"
)

BUCKETS, QUEUES = ("uploads", "static", "exports", "logs"), ("jobs", "mail", "thumbnails", "events")
PARAMETERS, SECRETS, LOG_GROUPS = ("greeting", "limit", "theme"), ("session-key", "webhook-key"), ("/bench/api", "/bench/worker")



def declared(names, what):
    """One declared resource a line."""
    return "\n".join(f'"{name}" = {{ {what} }}' for name in names)


def named(names):
    return [f"bench-{name}" for name in names]


RESOURCES = f"""
[aws]
region = "{REGION}"
identities = ["noreply@bench.test"]
[aws.buckets]
{declared(named(BUCKETS), "versioning = true")}
[aws.queues]
{declared(named(QUEUES), "")}
[aws.topics]
bench-news = {{}}
[aws.secrets]
{declared(named(SECRETS), 'value = "secret"')}
[aws.parameters]
{declared((f"/bench/{name}" for name in PARAMETERS), 'value = "value"')}
[aws.keys]
bench = {{}}
[aws.log_groups]
{declared(LOG_GROUPS, "retention_days = 7")}
[aws.alarms]
bench-errors = {{ namespace = "bench", metric = "Errors", above = 5, period = "60s" }}
[aws.user_pools.bench-users]
clients = {{ web = {{ flows = ["password"] }} }}
"""
COUNT = len(BUCKETS) + len(QUEUES) + len(PARAMETERS) + len(SECRETS) + len(LOG_GROUPS) + 5


def script():
    """What compose's side runs: the resources of `RESOURCES`, one command of the AWS CLI after the other."""
    lines = ["#!/bin/bash", "set -euo pipefail"]
    lines.append("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test")
    lines.append("other() { aws --endpoint-url http://ministack:4566 \"$@\"; }")
    for name in BUCKETS:
        lines.append(f"awslocal s3api create-bucket --bucket bench-{name} --create-bucket-configuration LocationConstraint={REGION}")
        lines.append(f"awslocal s3api put-bucket-versioning --bucket bench-{name} --versioning-configuration Status=Enabled")
    lines += [f"awslocal sqs create-queue --queue-name bench-{name}" for name in QUEUES]
    lines.append("awslocal sns create-topic --name bench-news")
    lines += [f"awslocal secretsmanager create-secret --name bench-{name} --secret-string secret" for name in SECRETS]
    lines += [f"awslocal ssm put-parameter --name /bench/{name} --type String --value value" for name in PARAMETERS]
    lines.append("key=$(awslocal kms create-key --query KeyMetadata.KeyId --output text)")
    lines.append('awslocal kms create-alias --alias-name alias/bench --target-key-id "$key"')
    for name in LOG_GROUPS:
        lines.append(f"awslocal logs create-log-group --log-group-name {name}")
        lines.append(f"awslocal logs put-retention-policy --log-group-name {name} --retention-in-days 7")
    lines.append(
        "awslocal cloudwatch put-metric-alarm --alarm-name bench-errors --namespace bench --metric-name Errors --threshold 5"
        " --comparison-operator GreaterThanThreshold --statistic Sum --period 60 --evaluation-periods 1"
    )
    lines.append("other ses verify-email-identity --email-address noreply@bench.test")
    lines.append("pool=$(other cognito-idp create-user-pool --pool-name bench-users --query UserPool.Id --output text)")
    lines.append(
        'other cognito-idp create-user-pool-client --user-pool-id "$pool" --client-name web'
        " --explicit-auth-flows ALLOW_USER_PASSWORD_AUTH ALLOW_REFRESH_TOKEN_AUTH"
    )
    lines.append("touch /tmp/resources-are-there")
    return "\n".join(lines) + "\n"


def stack(file):
    """PostgreSQL, Redis, both emulators and MailHog, on ports that the engine chooses."""
    whole = stacks.small(None)
    del whole["app"]
    whole["ministack"] = {
        "kind": "ministack",
        "image": "taskava/ministack:1.5.33",
        "port": 4566,
        "host_port": None,
        "check": ["CMD", "bash", "-c", MINISTACK_ANSWERS],
    }
    whole["localstack"] = {
        "kind": "localstack",
        "image": "taskava/localstack:4.14.0",
        "env": {"AWS_DEFAULT_REGION": REGION},
        "port": 4566,
        "host_port": None,
        "check": ["CMD", "test", "-e", "/tmp/resources-are-there"],
        "script": file,
    }
    # Its image has nothing but the program: compose can't check it.
    whole["mailhog"] = {"kind": "mailhog", "image": "taskava/mailhog:1.0.1", "port": 8025, "host_port": None}
    return whole


def rows(bench, say_round):
    """Measures everything, and returns the rows of the table."""
    folder = bench.folder / "mirror"
    folder.mkdir()
    init = folder / "resources.sh"
    init.write_text(script())
    init.chmod(0o755)
    project, whole = f"bench-mirror-{secrets.token_hex(4)}", stack(init)
    services, compose = folder / "services.toml", folder / "compose.yaml"
    services.write_text(stacks.services_toml(project, whole) + RESOURCES)
    theirs = {**whole, "localstack": {**whole["localstack"], "depends_on": ["ministack"]}}
    compose.write_text(stacks.compose_yaml(f"{project}-compose", theirs))
    ours = [bench.taskava, "dev", "-f", str(services)]
    peer = [bench.compose, "-f", str(compose)]
    remove = {"taskava": [*ours, "down", "-v", "-y", "--no-snapshot"], "compose": [*peer, "down", "-v", "--timeout", "3"]}
    cold, again = ({side: measure.Samples() for side in ("taskava", "compose")} for _ in range(2))

    def own_side():
        cold["taskava"].add(*measure.command([*ours, "up"]))
        for _ in range(4):
            again["taskava"].add(*measure.command([*ours, "up"]))

    def peer_side():
        cold["compose"].add(*measure.command([*peer, "up", "-d", "--wait"]))

    for number in range(bench.args.rounds):
        sides = {"taskava": own_side, "compose": peer_side}
        for side in sorted(sides, reverse=number % 2 == 0):
            try:
                sides[side]()
            finally:
                subprocess.run(remove[side], capture_output=True)
        say_round("the whole stack", number, {"taskava": cold["taskava"], "compose": cold["compose"], "again": again["taskava"]})
    return [
        Row(f"whole stack, {COUNT} resources: cold up", cold, 0.50, None),
        Row(f"whole stack, {COUNT} resources: up, nothing to do", again, None, None, 0.150),
    ]

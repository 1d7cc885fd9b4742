"""Runs on every start, when LocalStack answers; it counts as ready only once this is done.

Python, because LocalStack runs it in its own process: the same in a shell script costs seconds, one for each `awslocal`.
"""

import os

import boto3

BUCKETS = ["taskava-dev-uploads"]

region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
s3 = boto3.client(
    "s3",
    endpoint_url="http://localhost:4566",
    region_name=region,
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
# What is there already (PERSISTENCE=1, or a restart) is what was asked for.
existing = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
for name in BUCKETS:
    if name not in existing:
        # S3 knows us-east-1 only as the default that must not be named.
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **where)

"""What the environment says, and the clients made from it. As in production: `taskava-{env}-{service}` names everything."""

import os
from functools import cache

import boto3
import psycopg
import redis
from botocore.config import Config

ENV = os.environ.get("APP_ENV", "dev")
PREFIX = f"taskava-{ENV}"
# The bucket in the path, not in the host name: works with every endpoint.
STYLE = Config(s3={"addressing_style": "path"})


@cache
def aws(service: str):
    """A client of an AWS service. Region, credentials and endpoints are the SDK's own variables."""
    return boto3.client(service, config=STYLE)


@cache
def parameter(name: str) -> str:
    """A value of Parameter Store under /taskava/{env}/."""
    answer = aws("ssm").get_parameter(Name=f"/taskava/{ENV}/{name}", WithDecryption=True)
    return answer["Parameter"]["Value"]


@cache
def secret(name: str) -> str:
    """A secret of Secrets Manager."""
    return aws("secretsmanager").get_secret_value(SecretId=f"{PREFIX}-{name}")["SecretString"]


@cache
def cache_client() -> redis.Redis:
    """The cache."""
    return redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


def database() -> psycopg.Connection:
    """A connection to the database; closes with its `with` block."""
    return psycopg.connect(os.environ["DATABASE_URL"])

"""What operations look at: health, settings, metrics with their alarm, logs."""

import socket
import time
from functools import cache

from flask import Blueprint, jsonify
from werkzeug.exceptions import ServiceUnavailable

from .settings import ENV, PREFIX, aws, cache_client, database, parameter, secret

routes = Blueprint("operations", __name__)
LOG_GROUP = f"/taskava/{ENV}/api"


@cache
def log_stream() -> str:
    """One stream a process, as ECS does it."""
    name = f"api/{socket.gethostname()}"
    try:
        aws("logs").create_log_stream(logGroupName=LOG_GROUP, logStreamName=name)
    except aws("logs").exceptions.ResourceAlreadyExistsException:
        pass
    return name


def log(message: str) -> None:
    """A line for CloudWatch Logs, and for a user who looks at the container."""
    print(message)
    event = {"timestamp": int(time.time() * 1000), "message": message}
    aws("logs").put_log_events(logGroupName=LOG_GROUP, logStreamName=log_stream(), logEvents=[event])


@routes.get("/health")
def health():
    """What the load balancer asks: can it do its work?"""
    try:
        with database() as connection:
            connection.execute("select 1")
        cache_client().ping()
    except Exception as error:
        raise ServiceUnavailable(str(error)) from error
    return jsonify(ok=True)


@routes.get("/settings")
def settings():
    """Shows that both stores are read; a secret itself is never shown."""
    return jsonify(greeting=parameter("greeting"), secret_length=len(secret("session-key")))


@routes.post("/trouble")
def trouble():
    """Something went wrong: a metric that an alarm watches, and a line in the log."""
    metric = {"MetricName": "Errors", "Value": 10, "Unit": "Count"}
    aws("cloudwatch").put_metric_data(Namespace=PREFIX, MetricData=[metric])
    log("trouble was reported")
    return jsonify(ok=True), 202

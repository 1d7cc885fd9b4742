"""Files: uploaded straight to S3 with a presigned URL; the bucket keeps old versions."""

import os

import boto3
from flask import Blueprint, jsonify

from .accounts import user
from .settings import PREFIX, STYLE, aws

routes = Blueprint("files", __name__)
BUCKET = f"{PREFIX}-uploads"


def public_s3():
    """S3 as browsers reach it: where that is another address than the service's own (a CDN, an edge), it is given."""
    return boto3.client("s3", endpoint_url=os.environ.get("PUBLIC_S3_ENDPOINT_URL"), config=STYLE)


@routes.post("/files/<name>/upload")
def upload(name: str):
    key = f"{user()}/{name}"
    url = public_s3().generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=300)
    return jsonify(url=url, method="PUT")


@routes.get("/files/<name>")
def download(name: str):
    key = f"{user()}/{name}"
    url = public_s3().generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=300)
    return jsonify(url=url)


@routes.get("/files/<name>/versions")
def versions(name: str):
    key = f"{user()}/{name}"
    answer = aws("s3").list_object_versions(Bucket=BUCKET, Prefix=key)
    found = [version for version in answer.get("Versions", []) if version["Key"] == key]
    return jsonify(versions=[{"id": one["VersionId"], "size": one["Size"], "latest": one["IsLatest"]} for one in found])

"""Buckets: create, look, delete, and the configurations that are stored but not acted on."""

import re
from functools import partial
from typing import Final

from starlette.responses import Response

from models.embedded.s3_front.buckets import (
    Bucket,
    create_bucket,
    delete_bucket,
    delete_configuration,
    find_configuration,
    list_buckets,
    put_configuration,
    require_bucket,
)
from models.embedded.s3_front.call import Call, Operation, now_ms
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.markup import element, iso_time, parse, reply, text

DEFAULT_REGION: Final = "us-east-1"
REGION: Final = re.compile("[a-z0-9-]{1,32}")
# Kind of configuration: the root of its document (a policy is JSON) and the word for its absence.
CONFIGURATIONS: Final = {
    "cors": ("CORSConfiguration", "NoSuchCORSConfiguration"),
    "lifecycle": ("LifecycleConfiguration", "NoSuchLifecycleConfiguration"),
    "policy": (None, "NoSuchBucketPolicy"),
    "tagging": ("Tagging", "NoSuchTagSet"),
}


def list_all(call: Call) -> Response:
    buckets = (
        element("Bucket", text("Name", item.name), text("CreationDate", iso_time(item.created)))
        for item in list_buckets(call.store.index.reading)
    )
    owner = element("Owner", text("ID", "strata"), text("DisplayName", "strata"))
    return reply("ListAllMyBucketsResult", owner, element("Buckets", *buckets))


def create(call: Call) -> Response:
    region = DEFAULT_REGION
    if call.document:
        tree = parse(call.document, "CreateBucketConfiguration")
        region = tree.findtext("LocationConstraint") or DEFAULT_REGION
    if not REGION.fullmatch(region):
        raise S3Error("InvalidLocationConstraint")
    with call.store.changing() as (db, _):
        create_bucket(db, Bucket(call.bucket, now_ms(), region))
    return Response(headers={"location": f"/{call.bucket}"})


def head(call: Call) -> Response:
    found = require_bucket(call.store.index.reading, call.bucket)
    return Response(headers={"x-amz-bucket-region": found.region})


def delete(call: Call) -> Response:
    with call.store.changing() as (db, stale):
        stale += delete_bucket(db, call.bucket)
    return Response(status_code=204)


def location(call: Call) -> Response:
    found = require_bucket(call.store.index.reading, call.bucket)
    # S3 says nothing at all for its first region.
    return reply("LocationConstraint", "" if found.region == DEFAULT_REGION else found.region)


def versioning(call: Call) -> Response:
    require_bucket(call.store.index.reading, call.bucket)
    return reply("VersioningConfiguration")  # empty: never switched on


def configuration_operations(kind: str) -> dict[str, Operation]:
    """GET, PUT and DELETE of one kind of configuration."""
    return {
        "GET": partial(show_configuration, kind),
        "PUT": partial(keep_configuration, kind),
        "DELETE": partial(drop_configuration, kind),
    }


def show_configuration(kind: str, call: Call) -> Response:
    root, absence = CONFIGURATIONS[kind]
    document = find_configuration(call.store.index.reading, call.bucket, kind)
    if document is None:
        raise S3Error(absence)
    return Response(document, media_type="application/xml" if root else "application/json")


def keep_configuration(kind: str, call: Call) -> Response:
    root, _ = CONFIGURATIONS[kind]
    if root:
        parse(call.document, root)
    with call.store.changing() as (db, _):
        put_configuration(db, call.bucket, kind, call.document)
    return Response(status_code=200 if root else 204)


def drop_configuration(kind: str, call: Call) -> Response:
    with call.store.changing() as (db, _):
        delete_configuration(db, call.bucket, kind)
    return Response(status_code=204)

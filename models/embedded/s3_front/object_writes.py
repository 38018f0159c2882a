"""PUT and DELETE of objects, tagging, and the deletion of many."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from starlette.responses import Response

from models.embedded.s3_front.attributes import (
    check_tags,
    checksum_headers,
    read_attributes,
    read_tags,
    refuse_what_is_not_done,
)
from models.embedded.s3_front.call import Call, now_ms
from models.embedded.s3_front.conditions import WriteConditions, quoted, write_conditions
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.intake import Received
from models.embedded.s3_front.markup import element, parse, reply, required, text
from models.embedded.s3_front.objects import (
    Piece,
    StoredObject,
    delete_keys,
    find_object,
    require_object,
    set_tags,
    swap_object,
)
from models.embedded.s3_front.receiving import keep_body
from models.embedded.s3_front.wire import KEY_BYTES

MOST_KEYS = 1000  # of one DeleteObjects


async def put_object(call: Call) -> Response:
    refuse_what_is_not_done(call.headers)
    conditions = write_conditions(call.headers)
    headers, tags = read_attributes(call.headers), read_tags(call.headers.get("x-amz-tagging"))

    def commit(received: Received, piece: Piece) -> StoredObject:
        new = whole_object(call.bucket, call.key, received, piece, headers=headers, tags=tags)
        return commit_object(call, new, conditions)

    stored = await keep_body(call, commit)
    return Response(headers={"etag": quoted(stored.etag), **checksum_headers(stored.checksum)})


def whole_object(
    bucket: str,
    key: str,
    received: Received,
    piece: Piece,
    *,
    headers: Mapping[str, str],
    tags: Mapping[str, str],
) -> StoredObject:
    return StoredObject(
        bucket=bucket,
        key=key,
        size=received.size,
        etag=received.md5,
        modified=now_ms(),
        headers=headers,
        tags=tags,
        pieces=(piece,),
        checksum=received.checksum,
    )


def commit_object(call: Call, new: StoredObject, conditions: WriteConditions) -> StoredObject:
    with call.store.changing() as (db, stale):
        stale += swap_object(db, new, conditions)
    return new


def delete_object(call: Call) -> Response:
    if_match = call.headers.get("if-match")
    with call.store.changing() as (db, stale):
        if if_match is not None:
            current = find_object(db, call.bucket, call.key)
            WriteConditions(if_match).check(current)
        stale += delete_keys(db, call.bucket, [call.key])
    return Response(status_code=204)


def delete_objects(call: Call) -> Response:
    """Delete up to a thousand keys in one transaction; Quiet leaves out what went well."""
    tree = parse(call.document, "Delete")
    wanted = tree.findall("Object")
    if not 1 <= len(wanted) <= MOST_KEYS:
        raise S3Error("MalformedXML", f"Between 1 and {MOST_KEYS} objects, please")
    keys = [required(item, "Key") for item in wanted]
    refused = {key: why for key, item in zip(keys, wanted, strict=True) if (why := refusal(item))}
    with call.store.changing() as (db, stale):
        stale += delete_keys(db, call.bucket, [key for key in keys if key not in refused])
    quiet = tree.findtext("Quiet", "false").strip().lower() == "true"
    deleted = [] if quiet else [key for key in keys if key not in refused]
    return reply(
        "DeleteResult",
        *(element("Deleted", text("Key", key)) for key in deleted),
        *(
            element("Error", text("Key", key), text("Code", why.code), text("Message", why.message))
            for key, why in refused.items()
        ),
    )


def refusal(item: Element) -> S3Error | None:
    if item.findtext("VersionId", "null") != "null":
        return S3Error("NoSuchVersion")
    if item.find("ETag") is not None:
        return S3Error("NotImplemented", "Conditional deletion of many objects")
    if len(required(item, "Key").encode()) > KEY_BYTES:
        return S3Error("KeyTooLongError")
    return None


def get_tagging(call: Call) -> Response:
    found = require_object(call.store.index.reading, call.bucket, call.key)
    return reply("Tagging", tag_set(found.tags))


def put_tagging(call: Call) -> Response:
    tags = read_tag_set(call.document)
    with call.store.changing() as (db, _):
        set_tags(db, call.bucket, call.key, tags)
    return Response()


def delete_tagging(call: Call) -> Response:
    with call.store.changing() as (db, _):
        set_tags(db, call.bucket, call.key, {})
    return Response(status_code=204)


def tag_set(tags: Mapping[str, str]) -> str:
    pairs = (element("Tag", text("Key", key), text("Value", tags[key])) for key in tags)
    return element("TagSet", *pairs)


def read_tag_set(document: bytes) -> dict[str, str]:
    tags = parse(document, "Tagging").iterfind("TagSet/Tag")
    return check_tags([(required(tag, "Key"), required(tag, "Value")) for tag in tags])

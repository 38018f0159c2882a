"""POST of a browser form: its signed policy checked, its file stored.

Such a request has no Authorization header; the policy is what was signed, and every field of the
form must be allowed by it.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from models.embedded.s3_front.attributes import read_attributes
from models.embedded.s3_front.call import Call
from models.embedded.s3_front.checksums import Algorithm
from models.embedded.s3_front.conditions import WriteConditions, quoted
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.form_reader import FormReader
from models.embedded.s3_front.intake import LARGEST_BODY, Promise, Received
from models.embedded.s3_front.markup import reply, text
from models.embedded.s3_front.object_writes import commit_object, read_tag_set, whole_object
from models.embedded.s3_front.objects import Piece, StoredObject
from models.embedded.s3_front.receiving import keep_stream
from models.embedded.s3_front.signature import ALGORITHM, parse_credential, sign, signing_key
from models.embedded.s3_front.wire import KEY_BYTES, Wire, encode

# Fields a policy need not mention; "bucket" comes from the address.
UNCOVERED: Final = frozenset({"policy", "x-amz-signature", "file", "bucket"})
SIZE_CONDITION: Final = "content-length-range"


def is_form(wire: Wire) -> bool:
    kind = wire.headers.get("content-type", "")
    unsigned = "authorization" not in wire.headers and not wire.query
    return wire.method == "POST" and unsigned and kind.startswith("multipart/form-data")


async def post_object(call: Call) -> Response:
    if call.proof is not None:
        raise S3Error("MethodNotAllowed")
    form = FormReader(call.request.stream(), call.headers["content-type"])
    try:
        await form.read_fields()
    except UnicodeDecodeError:
        raise S3Error("MalformedPOSTRequest", "A field is not UTF-8") from None
    fields = form.fields | {"bucket": call.bucket}
    smallest, largest = verify_policy(fields, call.secrets, datetime.now(UTC))
    key = object_key(fields, form.filename)

    def commit(received: Received, piece: Piece) -> StoredObject:
        if received.size < smallest:
            raise S3Error("EntityTooSmall", "The file is smaller than the policy allows")
        headers, tags = read_attributes(fields), read_form_tags(fields)
        new = whole_object(call.bucket, key, received, piece, headers=headers, tags=tags)
        return commit_object(replace(call, key=key), new, WriteConditions())

    checksums = {item: fields[item.header] for item in Algorithm if item.header in fields}
    promise = Promise(limit=largest, checksums=checksums)
    stored = await keep_stream(call, form.file(), promise, None, commit)
    return describe(call, fields, stored)


def object_key(fields: Mapping[str, str], filename: str) -> str:
    key = fields.get("key", "").replace("${filename}", filename)
    if not key:
        raise S3Error("InvalidArgument", "The form names no key")
    if len(key.encode()) > KEY_BYTES:
        raise S3Error("KeyTooLongError")
    return key


def read_form_tags(fields: Mapping[str, str]) -> dict[str, str]:
    return read_tag_set(fields["tagging"].encode()) if "tagging" in fields else {}


def verify_policy(
    fields: Mapping[str, str], secrets: Mapping[str, str], now: datetime
) -> tuple[int, int]:
    """Check signature, expiry and every condition; returns the sizes the file may have."""
    check_signature(fields, secrets)
    try:
        policy = json.loads(base64.b64decode(fields["policy"]))
        expiration = datetime.fromisoformat(policy["expiration"])
        conditions = [simplify(condition) for condition in policy["conditions"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise S3Error("InvalidPolicyDocument", "The policy could not be read") from None
    if now > (expiration if expiration.tzinfo else expiration.replace(tzinfo=UTC)):
        raise S3Error("AccessDenied", "Invalid according to Policy: Policy expired.")
    sizes = [wanted for kind, _, wanted in conditions if kind == SIZE_CONDITION]
    check_fields(fields, [item for item in conditions if item[0] != SIZE_CONDITION])
    return max((low for low, _ in sizes), default=0), min(
        (high for _, high in sizes), default=LARGEST_BODY
    )


def check_fields(fields: Mapping[str, str], conditions: list[tuple[str, str, Any]]) -> None:
    covered = {name for _, name, _ in conditions} | UNCOVERED
    if extra := {name for name in fields if not name.startswith("x-ignore-")} - covered:
        raise S3Error("AccessDenied", f"Extra input fields: {', '.join(sorted(extra))}")
    for kind, name, wanted in conditions:
        if not holds(kind, fields.get(name, ""), wanted):
            raise S3Error("AccessDenied", f"Policy condition failed: {kind} ${name}")


def check_signature(fields: Mapping[str, str], secrets: Mapping[str, str]) -> None:
    try:
        credential = parse_credential(fields["x-amz-credential"])
        policy, signature = fields["policy"], fields["x-amz-signature"]
    except (KeyError, ValueError):
        raise S3Error("AccessDenied") from None
    if fields.get("x-amz-algorithm") != ALGORITHM:
        raise S3Error("InvalidArgument", f"The algorithm must be {ALGORITHM}")
    secret = secrets.get(credential.access_key)
    if secret is None:
        raise S3Error("InvalidAccessKeyId")
    expected = sign(signing_key(secret, credential), policy)
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise S3Error("SignatureDoesNotMatch")


def simplify(condition: Any) -> tuple[str, str, Any]:
    """Both spellings of a condition as (kind, field, wanted)."""
    if isinstance(condition, dict):
        ((name, wanted),) = condition.items()
        return "eq", name.lower(), str(wanted)
    kind, name, wanted = condition
    if kind == SIZE_CONDITION:
        return SIZE_CONDITION, "", (int(name), int(wanted))
    if kind not in ("eq", "starts-with"):
        raise ValueError(kind)
    return kind, name.removeprefix("$").lower(), str(wanted)


def holds(kind: str, value: str, wanted: str) -> bool:
    return value == wanted if kind == "eq" else value.startswith(wanted)


def describe(call: Call, fields: Mapping[str, str], stored: StoredObject) -> Response:
    etag = quoted(stored.etag)
    place = f"/{stored.bucket}/{encode(stored.key, safe='/')}"
    if target := fields.get("success_action_redirect"):
        query = urlencode({"bucket": stored.bucket, "key": stored.key, "etag": etag})
        return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{query}", 303)
    headers = {"etag": etag, "location": place}
    status = fields.get("success_action_status", "204")
    if status == "201":
        response = reply(
            "PostResponse",
            text("Location", str(call.request.url.replace(path=place))),
            text("Bucket", stored.bucket),
            text("Key", stored.key),
            text("ETag", etag),
            headers=headers,
        )
        response.status_code = 201
        return response
    return Response(status_code=200 if status == "200" else 204, headers=headers)

"""The headers that an object keeps, is answered with, and may be refused for."""

import re
from collections.abc import Mapping
from email.utils import formatdate
from typing import Final

from starlette.datastructures import Headers

from models.embedded.s3_front.checksums import Checksum
from models.embedded.s3_front.conditions import quoted
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.objects import StoredObject
from models.embedded.s3_front.wire import parse_query

METADATA: Final = "x-amz-meta-"
METADATA_BYTES: Final = 2048  # names and values together, S3's own limit
KEPT: Final = ("cache-control", "content-disposition", "content-language", "expires")
DEFAULT_TYPE: Final = "binary/octet-stream"
OVERRIDES: Final = (*KEPT, "content-type", "content-encoding")
PRIVATE_ACLS: Final = frozenset({"private", "bucket-owner-full-control"})
# Asked for on purpose and not done here: silence would be a promise.
NOT_DONE: Final = re.compile(
    "x-amz-(server-side-encryption|object-lock|grant|website-redirect|copy-source-server-side)"
)


def read_attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers worth keeping of a request that creates an object."""
    kept = {name: headers[name] for name in KEPT if name in headers}
    kept["content-type"] = headers.get("content-type") or DEFAULT_TYPE
    if encoding := stored_encoding(headers.get("content-encoding", "")):
        kept["content-encoding"] = encoding
    metadata = {name: value for name, value in headers.items() if name.startswith(METADATA)}
    size = sum(len(name) - len(METADATA) + len(value) for name, value in metadata.items())
    if size > METADATA_BYTES:
        raise S3Error("MetadataTooLarge")
    return kept | metadata


def stored_encoding(text: str) -> str:
    """The encoding of the object itself: aws-chunked was only the way it travelled."""
    encodings = (part.strip() for part in text.split(","))
    return ",".join(part for part in encodings if part and part != "aws-chunked")


def refuse_what_is_not_done(headers: Headers) -> None:
    if refused := sorted(name for name in headers if NOT_DONE.match(name)):
        raise S3Error("NotImplemented", f"Not supported: {', '.join(refused)}")
    if headers.get("x-amz-acl", "private") not in PRIVATE_ACLS:
        raise S3Error("AccessControlListNotSupported")
    if headers.get("x-amz-storage-class", "STANDARD") != "STANDARD":
        raise S3Error("NotImplemented", "The only storage class is STANDARD")


def read_tags(text: str | None) -> dict[str, str]:
    """Tags of the `x-amz-tagging` header, which is written like a query."""
    return check_tags(list(parse_query(text or "")))


def check_tags(pairs: list[tuple[str, str]]) -> dict[str, str]:
    tags = dict(pairs)
    fitting = all(0 < len(name) <= 128 and len(value) <= 256 for name, value in pairs)
    if len(pairs) > 10 or len(tags) < len(pairs) or not fitting:
        raise S3Error("InvalidTag")
    return tags


def checksum_headers(checksum: Checksum | None) -> dict[str, str]:
    if checksum is None:
        return {}
    return {checksum.algorithm.header: checksum.value, "x-amz-checksum-type": checksum.kind}


def answer_headers(found: StoredObject, query: Mapping[str, str]) -> dict[str, str]:
    """What GET and HEAD say about an object, with the `response-` overrides of the query."""
    headers = {
        **found.headers,
        "etag": quoted(found.etag),
        "last-modified": http_time(found.modified),
        "accept-ranges": "bytes",
    }
    if found.tags:
        headers["x-amz-tagging-count"] = str(len(found.tags))
    for name in OVERRIDES:
        if value := query.get(f"response-{name}"):
            headers[name] = value
    return headers


def http_time(milliseconds: int) -> str:
    return formatdate(milliseconds // 1000, usegmt=True)

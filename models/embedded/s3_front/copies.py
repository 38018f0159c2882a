"""CopyObject and UploadPartCopy.

A whole object is copied by linking its files; a part is read and written, since it needs its own
MD5. A copied multipart object keeps its pieces and so its entity tag.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from starlette.responses import Response

from models.embedded.s3_front.attributes import (
    read_attributes,
    read_tags,
    refuse_what_is_not_done,
)
from models.embedded.s3_front.call import Call, now_ms
from models.embedded.s3_front.checksums import (
    Algorithm,
    Checksum,
    encode_digest,
    parse_algorithm,
    start,
)
from models.embedded.s3_front.conditions import (
    WriteConditions,
    check_read,
    quoted,
    write_conditions,
)
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.intake import LARGEST_BODY, Promise, Received
from models.embedded.s3_front.markup import iso_time, reply, text
from models.embedded.s3_front.multipart import commit_part, part_number, upload_id
from models.embedded.s3_front.object_reads import pinned, slices_of
from models.embedded.s3_front.object_writes import commit_object
from models.embedded.s3_front.objects import Piece, StoredObject
from models.embedded.s3_front.ranges import Span, segments
from models.embedded.s3_front.receiving import Landing
from models.embedded.s3_front.uploads import Part, require_upload
from models.embedded.s3_front.wire import split_path

SOURCE_RANGE: Final = re.compile(r"bytes=(\d+)-(\d+)")


def copy_object(call: Call) -> Response:
    refuse_what_is_not_done(call.headers)
    with pinned(call, *source_address(call)) as source:
        check_read(call.headers, source, prefix="x-amz-copy-source-")
        draft = replace(
            source,
            bucket=call.bucket,
            key=call.key,
            modified=now_ms(),
            headers=copied_headers(call, source),
            tags=copied_tags(call, source),
            checksum=copied_checksum(call, source),
        )
        stored = commit_links(call, draft, write_conditions(call.headers))
    return describe("CopyObjectResult", stored.etag, stored.modified, stored.checksum)


def commit_links(call: Call, draft: StoredObject, conditions: WriteConditions) -> StoredObject:
    """Give the copy files of its own, then its row; without the row the files go again."""
    linked: list[Piece] = []
    try:
        linked.extend(
            Piece(call.store.blobs.link(piece.blob), piece.size) for piece in draft.pieces
        )
        return commit_object(call, replace(draft, pieces=tuple(linked)), conditions)
    except BaseException:
        call.store.blobs.drop([piece.blob for piece in linked])
        raise


def source_address(call: Call) -> tuple[str, str]:
    raw, _, version = call.headers["x-amz-copy-source"].partition("?versionId=")
    if version not in ("", "null"):
        raise S3Error("NoSuchVersion")
    bucket, key = split_path("/" + raw.removeprefix("/"))
    if not bucket or not key:
        raise S3Error("InvalidArgument", "x-amz-copy-source names no object")
    return bucket, key


def copied_headers(call: Call, source: StoredObject) -> Mapping[str, str]:
    if replaces(call, "x-amz-metadata-directive"):
        return read_attributes(call.headers)
    if (call.bucket, call.key) == (source.bucket, source.key):
        raise S3Error("InvalidRequest", "A copy onto itself must replace the metadata")
    return source.headers


def copied_tags(call: Call, source: StoredObject) -> Mapping[str, str]:
    if replaces(call, "x-amz-tagging-directive"):
        return read_tags(call.headers.get("x-amz-tagging"))
    return source.tags


def replaces(call: Call, directive: str) -> bool:
    word = call.headers.get(directive, "COPY").upper()
    if word not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", f"{directive} is COPY or REPLACE")
    return word == "REPLACE"


def copied_checksum(call: Call, source: StoredObject) -> Checksum | None:
    """The source's checksum, or the one asked for, computed over the bytes."""
    name = call.headers.get("x-amz-checksum-algorithm")
    if name is None:
        return source.checksum
    algorithm = parse_algorithm(name)
    if source.checksum and source.checksum.algorithm is algorithm:
        return source.checksum
    running = start(algorithm)
    whole = segments(source.pieces, Span(0, source.size))
    for data in slices_of(call.store.blobs, list(whole)):
        running.update(data)
    return Checksum(algorithm, encode_digest(running.digest()))


def copy_part(call: Call) -> Response:
    number = part_number(call)
    upload = require_upload(call.store.index.reading, call.bucket, call.key, upload_id(call))
    with pinned(call, *source_address(call)) as source:
        check_read(call.headers, source, prefix="x-amz-copy-source-")
        span = source_span(call, source.size)
        wanted = upload.checksum.algorithm if upload.checksum else None
        part = write_part(call, number, source, span, wanted)
    return describe("CopyPartResult", part.etag, part.modified, part.checksum)


def source_span(call: Call, size: int) -> Span:
    given = call.headers.get("x-amz-copy-source-range")
    if given is None:
        span = Span(0, size)
    elif match := SOURCE_RANGE.fullmatch(given):
        span = Span(int(match[1]), int(match[2]) + 1)
    else:
        raise S3Error("InvalidArgument", "x-amz-copy-source-range is not bytes=first-last")
    if span.end > size or span.first > span.end:
        raise S3Error("InvalidArgument", "The range lies outside the source")
    if span.size > LARGEST_BODY:
        raise S3Error("EntityTooLarge")
    return span


def write_part(
    call: Call, number: int, source: StoredObject, span: Span, wanted: Algorithm | None
) -> Part:
    def commit(received: Received, piece: Piece) -> Part:
        return commit_part(call, number, received, piece)

    landing = Landing(call, Promise(wanted=wanted), None)
    try:
        for data in slices_of(call.store.blobs, list(segments(source.pieces, span))):
            landing.feed(data)
    except BaseException:
        landing.abandon()
        raise
    return landing.conclude(b"", commit)


def describe(root: str, etag: str, modified: int, checksum: Checksum | None) -> Response:
    return reply(
        root,
        text("ETag", quoted(etag)),
        text("LastModified", iso_time(modified)),
        text(f"Checksum{checksum.algorithm}", checksum.value) if checksum else "",
    )

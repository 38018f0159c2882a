"""Multipart uploads: create, send, complete, abort.

Completing records the list of part files as the object's pieces; no byte is copied.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from xml.etree.ElementTree import Element

from starlette.responses import Response

from models.embedded.s3_front.attributes import (
    checksum_headers,
    read_attributes,
    read_tags,
    refuse_what_is_not_done,
)
from models.embedded.s3_front.call import Call, now_ms
from models.embedded.s3_front.checksums import (
    WIDTH,
    Algorithm,
    Checksum,
    ChecksumType,
    combine,
    parse_algorithm,
)
from models.embedded.s3_front.conditions import quoted, write_conditions
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.intake import Received
from models.embedded.s3_front.markup import parse, reply, required, text
from models.embedded.s3_front.objects import Piece, StoredObject, swap_object
from models.embedded.s3_front.receiving import keep_body
from models.embedded.s3_front.uploads import (
    Part,
    Upload,
    close_upload,
    create_upload,
    new_upload_id,
    parts_of,
    put_part,
    require_upload,
)

SMALLEST_PART: Final = 5 << 20  # but for the last, S3's own limit
MOST_PARTS: Final = 10_000


def create(call: Call) -> Response:
    refuse_what_is_not_done(call.headers)
    upload = Upload(
        id=new_upload_id(),
        bucket=call.bucket,
        key=call.key,
        created=now_ms(),
        headers=read_attributes(call.headers),
        tags=read_tags(call.headers.get("x-amz-tagging")),
        checksum=wanted_checksum(call),
    )
    with call.store.changing() as (db, _):
        create_upload(db, upload)
    headers: dict[str, str] = {}
    if upload.checksum:
        headers["x-amz-checksum-algorithm"] = upload.checksum.algorithm
        headers["x-amz-checksum-type"] = upload.checksum.kind
    return reply(
        "InitiateMultipartUploadResult",
        text("Bucket", call.bucket),
        text("Key", call.key),
        text("UploadId", upload.id),
        headers=headers,
    )


def wanted_checksum(call: Call) -> Checksum | None:
    name = call.headers.get("x-amz-checksum-algorithm")
    if name is None:
        return None
    algorithm = parse_algorithm(name)
    usual = "FULL_OBJECT" if algorithm is Algorithm.CRC64NVME else "COMPOSITE"
    try:
        kind = ChecksumType(call.headers.get("x-amz-checksum-type", usual).upper())
    except ValueError:
        raise S3Error("InvalidRequest", "Unknown checksum type") from None
    if kind is ChecksumType.FULL_OBJECT and algorithm not in WIDTH:
        raise S3Error("InvalidRequest", f"{algorithm} of parts cannot become one of the object")
    if kind is ChecksumType.COMPOSITE and algorithm is Algorithm.CRC64NVME:
        raise S3Error("InvalidRequest", f"{algorithm} is only FULL_OBJECT")
    return Checksum(algorithm, "", kind)


async def put_part_body(call: Call) -> Response:
    number = part_number(call)
    upload = require_upload(call.store.index.reading, call.bucket, call.key, upload_id(call))

    def commit(received: Received, piece: Piece) -> Part:
        return commit_part(call, number, received, piece)

    wanted = upload.checksum.algorithm if upload.checksum else None
    part = await keep_body(call, commit, wanted=wanted)
    headers = checksum_headers(part.checksum)
    headers.pop("x-amz-checksum-type", None)  # only whole objects have one
    return Response(headers={"etag": quoted(part.etag), **headers})


def commit_part(call: Call, number: int, received: Received, piece: Piece) -> Part:
    part = Part(
        number=number,
        piece=piece,
        etag=received.md5,
        modified=now_ms(),
        checksum=received.checksum,
    )
    with call.store.changing() as (db, stale):
        # Completed or aborted meanwhile: then this part has nowhere to go.
        upload = require_upload(db, call.bucket, call.key, upload_id(call))
        stale += put_part(db, upload.id, part)
    return part


def part_number(call: Call) -> int:
    number = call.number("partNumber", 0, highest=MOST_PARTS + 1)
    if not 1 <= number <= MOST_PARTS:
        raise S3Error("InvalidArgument", f"A part number lies between 1 and {MOST_PARTS}")
    return number


def upload_id(call: Call) -> str:
    return call.query["uploadId"]


def abort(call: Call) -> Response:
    with call.store.changing() as (db, stale):
        upload = require_upload(db, call.bucket, call.key, upload_id(call))
        stale += [part.piece.blob for part in parts_of(db, upload.id)]
        close_upload(db, upload.id)
    return Response(status_code=204)


@dataclass(frozen=True, slots=True)
class Named:
    """A part as the completing client names it."""

    number: int
    etag: str
    checksums: dict[Algorithm, str]


def complete(call: Call) -> Response:
    named = [read_named(item) for item in parse(call.document, "CompleteMultipartUpload")]
    conditions = write_conditions(call.headers)
    with call.store.changing() as (db, stale):
        upload = require_upload(db, call.bucket, call.key, upload_id(call))
        sent = parts_of(db, upload.id)
        chosen = choose_parts(sent, named)
        new = assemble(upload, chosen)
        check_promised(call, new)
        stale += swap_object(db, new, conditions)
        kept = {part.piece.blob for part in chosen}
        stale += [part.piece.blob for part in sent if part.piece.blob not in kept]
        close_upload(db, upload.id)
    return describe(call, new)


def read_named(item: Element) -> Named:
    try:
        number = int(required(item, "PartNumber"))
    except ValueError:
        raise S3Error("MalformedXML") from None
    checksums = {name: item.findtext(f"Checksum{name}", "") for name in Algorithm}
    given = {name: value for name, value in checksums.items() if value}
    return Named(number, required(item, "ETag").strip('"'), given)


def choose_parts(sent: Sequence[Part], named: Sequence[Named]) -> list[Part]:
    """The parts in the order named, each one exactly as it was sent."""
    if not named:
        raise S3Error("MalformedXML", "No part is named")
    numbers = [item.number for item in named]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise S3Error("InvalidPartOrder")
    by_number = {part.number: part for part in sent}
    chosen = [match_part(by_number.get(item.number), item) for item in named]
    if any(part.piece.size < SMALLEST_PART for part in chosen[:-1]):
        raise S3Error("EntityTooSmall")
    return chosen


def match_part(part: Part | None, named: Named) -> Part:
    if part is None or part.etag != named.etag:
        raise S3Error("InvalidPart", f"Part {named.number} was not sent so")
    checksum = part.checksum
    if checksum and named.checksums.get(checksum.algorithm, checksum.value) != checksum.value:
        raise S3Error("InvalidPart", f"Part {named.number} has another checksum")
    return part


def assemble(upload: Upload, chosen: Sequence[Part]) -> StoredObject:
    digests = b"".join(bytes.fromhex(part.etag) for part in chosen)
    return StoredObject(
        bucket=upload.bucket,
        key=upload.key,
        size=sum(part.piece.size for part in chosen),
        etag=f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(chosen)}",
        modified=now_ms(),
        headers=upload.headers,
        tags=upload.tags,
        pieces=tuple(part.piece for part in chosen),
        checksum=whole_checksum(upload, chosen),
    )


def whole_checksum(upload: Upload, chosen: Sequence[Part]) -> Checksum | None:
    if upload.checksum is None:
        return None
    algorithm, kind = upload.checksum.algorithm, upload.checksum.kind
    values = [
        (part.checksum.value, part.piece.size)
        for part in chosen
        if part.checksum and part.checksum.algorithm is algorithm
    ]
    if len(values) < len(chosen):
        raise S3Error("InvalidRequest", f"Every part must carry {algorithm}")
    return combine(algorithm, kind, values)


def check_promised(call: Call, new: StoredObject) -> None:
    size = call.headers.get("x-amz-mp-object-size")
    if size is not None and size != str(new.size):
        raise S3Error("InvalidRequest", "The object does not have the announced size")
    if new.checksum is None:
        return
    promised = call.headers.get(new.checksum.algorithm.header)
    # A composite value may come with or without its "-n".
    if promised and promised not in (new.checksum.value, new.checksum.value.partition("-")[0]):
        raise S3Error("BadDigest")


def describe(call: Call, new: StoredObject) -> Response:
    checksum = []
    if new.checksum:
        checksum = [
            text(f"Checksum{new.checksum.algorithm}", new.checksum.value),
            text("ChecksumType", new.checksum.kind),
        ]
    return reply(
        "CompleteMultipartUploadResult",
        text("Location", str(call.request.url.replace(query=""))),
        text("Bucket", new.bucket),
        text("Key", new.key),
        text("ETag", quoted(new.etag)),
        *checksum,
    )

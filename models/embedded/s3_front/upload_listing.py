"""ListParts and ListMultipartUploads."""

from typing import Final

from starlette.responses import Response

from models.embedded.s3_front.call import Call
from models.embedded.s3_front.conditions import quoted
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.listing import spell
from models.embedded.s3_front.markup import element, iso_time, reply, text
from models.embedded.s3_front.uploads import (
    Part,
    Upload,
    parts_of,
    require_upload,
    uploads_from,
)

MOST: Final = 1000


def list_parts(call: Call) -> Response:
    db = call.store.index.reading
    upload = require_upload(db, call.bucket, call.key, call.query["uploadId"])
    marker = call.number("part-number-marker", 0, highest=10_000)
    limit = call.number("max-parts", MOST, highest=MOST)
    following = parts_of(db, upload.id, after=marker)
    page = following[:limit]
    return reply(
        "ListPartsResult",
        text("Bucket", call.bucket),
        text("Key", call.key),
        text("UploadId", upload.id),
        text("PartNumberMarker", marker),
        text("NextPartNumberMarker", page[-1].number if page else marker),
        text("MaxParts", limit),
        text("IsTruncated", len(following) > limit),
        text("StorageClass", "STANDARD"),
        *(describe_part(part) for part in page),
    )


def describe_part(part: Part) -> str:
    checksum = part.checksum
    return element(
        "Part",
        text("PartNumber", part.number),
        text("LastModified", iso_time(part.modified)),
        text("ETag", quoted(part.etag)),
        text("Size", part.piece.size),
        text(f"Checksum{checksum.algorithm}", checksum.value) if checksum else "",
    )


def list_uploads(call: Call) -> Response:
    """Open uploads; those of one prefix are few, so pages are cut from the whole list."""
    if call.query.get("delimiter"):
        raise S3Error("NotImplemented", "A delimiter in ListMultipartUploads")
    key_marker = call.query.get("key-marker", "")
    # Without an id the whole key is behind us; "g" follows every hexadecimal id.
    start = (key_marker, call.query.get("upload-id-marker") or ("g" if key_marker else ""))
    prefix = call.query.get("prefix", "")
    limit = call.number("max-uploads", MOST, highest=MOST)
    found = uploads_from(call.store.index.reading, call.bucket, start=start)
    following = [upload for upload in found if upload.key.startswith(prefix)]
    page = following[:limit]
    truncated = len(following) > limit
    return reply(
        "ListMultipartUploadsResult",
        text("Bucket", call.bucket),
        text("KeyMarker", spell(call, key_marker)),
        text("UploadIdMarker", call.query.get("upload-id-marker", "")),
        text("Prefix", spell(call, prefix)),
        text("MaxUploads", limit),
        text("EncodingType", "url") if "encoding-type" in call.query else "",
        text("IsTruncated", truncated),
        text("NextKeyMarker", spell(call, page[-1].key)) if truncated else "",
        text("NextUploadIdMarker", page[-1].id) if truncated else "",
        *(describe_upload(call, upload) for upload in page),
    )


def describe_upload(call: Call, upload: Upload) -> str:
    return element(
        "Upload",
        text("Key", spell(call, upload.key)),
        text("UploadId", upload.id),
        text("Initiated", iso_time(upload.created)),
        text("StorageClass", "STANDARD"),
    )

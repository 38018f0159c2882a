"""ListObjects, both versions: prefixes, delimiters, pages.

A delimiter jumps: once a common prefix is known, the walk goes on behind all of its keys with a
new query, so a folder of a million keys costs one step.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from sqlite3 import Connection, Row
from typing import Final

from starlette.responses import Response

from models.embedded.s3_front.buckets import require_bucket
from models.embedded.s3_front.call import Call
from models.embedded.s3_front.conditions import quoted
from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.markup import element, iso_time, reply, text
from models.embedded.s3_front.objects import load_checksum
from models.embedded.s3_front.wire import encode

MOST_KEYS: Final = 1000
LAST_CHARACTER: Final = 0x10FFFF
SURROGATES: Final = range(0xD800, 0xE000)  # no character has these numbers
OWNER: Final = element("Owner", text("ID", "strata"), text("DisplayName", "strata"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing: an object, or a common prefix, which has no row."""

    name: str
    row: Row | None

    @property
    def following(self) -> str:
        """Where the walk goes on: right behind the key, or behind every key of the prefix."""
        return self.name + "\0" if self.row else after_prefix(self.name)


@dataclass(slots=True)
class Page:
    """As many lines as asked for, and whether more follow."""

    entries: list[Entry] = field(default_factory=list)
    truncated: bool = False


def after_prefix(prefix: str) -> str:
    """The smallest string above all that begin with the prefix, in the order of UTF-8."""
    head = prefix.rstrip(chr(LAST_CHARACTER))
    if not head:
        return ""
    following = ord(head[-1]) + 1
    return head[:-1] + chr(SURROGATES.stop if following in SURROGATES else following)


def walk(
    db: Connection, bucket: str, *, prefix: str, delimiter: str, start: str
) -> Iterator[Entry]:
    """Every line from `start` on, in order."""
    start = max(start, prefix)
    while True:
        entry: Entry | None = None
        for row in db.execute(
            "SELECT key, size, etag, modified, checksum FROM objects"
            " WHERE bucket = ? AND key >= ? ORDER BY key",
            (bucket, start),
        ):
            key: str = row["key"]
            if not key.startswith(prefix):
                return
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                entry = Entry(key[: cut + len(delimiter)], None)
                break
            yield Entry(key, row)
        if entry is None:
            return
        yield entry
        start = entry.following
        if not start:
            return


def read_page(lines: Iterator[Entry], limit: int) -> Page:
    entries = list(islice(lines, limit + 1)) if limit else []
    return Page(entries[:limit], truncated=len(entries) > limit)


def list_objects(call: Call) -> Response:
    require_bucket(call.store.index.reading, call.bucket)
    if call.query.get("encoding-type", "url") != "url":
        raise S3Error("InvalidArgument", "The only encoding type is url")
    return list_v2(call) if call.query.get("list-type") == "2" else list_v1(call)


def list_v2(call: Call) -> Response:
    token, start_after = call.query.get("continuation-token"), call.query.get("start-after")
    start = start_after + "\0" if start_after else ""
    if token is not None:
        start = read_token(token)
    page, limit = find_page(call, start)
    lines = describe(call, page, with_owner=call.query.get("fetch-owner") == "true")
    head = [text("KeyCount", len(page.entries))]
    if token is not None:
        head.append(text("ContinuationToken", token))
    if start_after is not None:
        head.append(text("StartAfter", spell(call, start_after)))
    if page.truncated:
        head.append(text("NextContinuationToken", make_token(page.entries[-1].following)))
    return reply("ListBucketResult", *common(call, page, limit), *head, *lines)


def list_v1(call: Call) -> Response:
    marker = call.query.get("marker", "")
    delimiter = call.query.get("delimiter", "")
    # A marker may be a common prefix handed out as NextMarker: go on behind all of it.
    whole = bool(delimiter) and marker.endswith(delimiter)
    start = after_prefix(marker) if whole else marker + "\0" if marker else ""
    page, limit = find_page(call, start)
    head = [text("Marker", spell(call, marker))]
    if page.truncated:
        head.append(text("NextMarker", spell(call, page.entries[-1].name)))
    lines = describe(call, page, with_owner=True)
    return reply("ListBucketResult", *common(call, page, limit), *head, *lines)


def find_page(call: Call, start: str) -> tuple[Page, int]:
    limit = call.number("max-keys", MOST_KEYS, highest=MOST_KEYS)
    lines = walk(
        call.store.index.reading,
        call.bucket,
        prefix=call.query.get("prefix", ""),
        delimiter=call.query.get("delimiter", ""),
        start=start,
    )
    return read_page(lines, limit), limit


def common(call: Call, page: Page, limit: int) -> Iterator[str]:
    yield text("Name", call.bucket)
    yield text("Prefix", spell(call, call.query.get("prefix", "")))
    if delimiter := call.query.get("delimiter"):
        yield text("Delimiter", spell(call, delimiter))
    if "encoding-type" in call.query:
        yield text("EncodingType", "url")
    yield text("MaxKeys", limit)
    yield text("IsTruncated", page.truncated)


def describe(call: Call, page: Page, *, with_owner: bool) -> Iterator[str]:
    for entry in page.entries:
        name = spell(call, entry.name)
        if entry.row is None:
            yield element("CommonPrefixes", text("Prefix", name))
        else:
            yield describe_object(name, entry.row, with_owner=with_owner)


def describe_object(name: str, row: Row, *, with_owner: bool) -> str:
    checksum = load_checksum(row["checksum"])
    return element(
        "Contents",
        text("Key", name),
        text("LastModified", iso_time(row["modified"])),
        text("ETag", quoted(row["etag"])),
        text("ChecksumAlgorithm", checksum.algorithm) if checksum else "",
        text("ChecksumType", checksum.kind) if checksum else "",
        text("Size", row["size"]),
        OWNER if with_owner else "",
        text("StorageClass", "STANDARD"),
    )


def spell(call: Call, name: str) -> str:
    return encode(name, safe="/") if "encoding-type" in call.query else name


def make_token(start: str) -> str:
    return base64.urlsafe_b64encode(start.encode()).decode()


def read_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, ValueError):
        raise S3Error("InvalidArgument", "The continuation token is not one of ours") from None

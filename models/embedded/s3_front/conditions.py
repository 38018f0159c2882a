"""If-Match and its relatives, for writes and for reads."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from starlette.datastructures import Headers

from models.embedded.s3_front.errors import S3Error


class Tagged(Protocol):
    """What conditions look at; an object is one."""

    @property
    def etag(self) -> str: ...

    @property
    def modified(self) -> int: ...


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """Checked inside the transaction that swaps the row, so exactly one racer wins."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, current: Tagged | None) -> None:
        if self.if_none_match is not None and current:
            raise S3Error("PreconditionFailed")
        if self.if_match is not None:
            if current is None:
                raise S3Error("NoSuchKey")
            if not names(self.if_match, current.etag):
                raise S3Error("PreconditionFailed")


def write_conditions(headers: Headers) -> WriteConditions:
    if_none_match = headers.get("if-none-match")
    if if_none_match not in (None, "*"):
        raise S3Error("NotImplemented", "If-None-Match of a write takes only *")
    return WriteConditions(headers.get("if-match"), if_none_match)


def check_read(headers: Headers, found: Tagged, *, prefix: str = "") -> None:
    """RFC 9110's order: an entity tag decides before a date; 412 before 304.

    `prefix` is `x-amz-copy-source-` for the source of a copy, which answers 412 for both.
    """
    missed = "PreconditionFailed" if prefix else "NotModified"
    if_match = headers.get(f"{prefix}if-match")
    if if_match is not None:
        if not names(if_match, found.etag):
            raise S3Error("PreconditionFailed")
    elif changed_since(headers.get(f"{prefix}if-unmodified-since"), found) is True:
        raise S3Error("PreconditionFailed")
    if_none_match = headers.get(f"{prefix}if-none-match")
    if if_none_match is not None:
        if names(if_none_match, found.etag):
            raise S3Error(missed, headers={"etag": quoted(found.etag)})
    elif changed_since(headers.get(f"{prefix}if-modified-since"), found) is False:
        raise S3Error(missed, headers={"etag": quoted(found.etag)})


def names(condition: str, etag: str) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in condition.split(",")}
    return "*" in tags or etag in tags


def quoted(etag: str) -> str:
    return f'"{etag}"'


def changed_since(text: str | None, found: Tagged) -> bool | None:
    """Whether the object is newer than the date; None when no usable date was given."""
    if text is None:
        return None
    try:
        since = parsedate_to_datetime(text)
    except ValueError:
        return None
    modified = datetime.fromtimestamp(found.modified // 1000, UTC)  # dates have whole seconds
    return modified > (since if since.tzinfo else since.replace(tzinfo=UTC))

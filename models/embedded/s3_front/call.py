"""One request after its signature held: what every operation is given.

An operation that streams its body is awaited; every other one is a plain function, run in a
thread with its whole, small body in `document`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from models.embedded.s3_front.errors import S3Error
from models.embedded.s3_front.signature import Proof
from models.embedded.s3_front.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A verified request, its address taken apart."""

    request: Request
    store: Store
    proof: Proof | None  # None for a browser form, which proves itself by its policy
    secrets: Mapping[str, str] = field(repr=False)
    bucket: str
    key: str
    query: Mapping[str, str]
    document: bytes = b""

    @property
    def headers(self) -> Headers:
        return self.request.headers

    def number(self, name: str, default: int, *, highest: int) -> int:
        """A whole number of the query, capped as S3 caps it."""
        try:
            value = int(self.query.get(name, default))
        except ValueError:
            raise S3Error("InvalidArgument", f"{name} is not a number") from None
        if value < 0:
            raise S3Error("InvalidArgument", f"{name} must not be negative")
        return min(value, highest)


Operation = Callable[[Call], Response]
StreamingOperation = Callable[[Call], Awaitable[Response]]


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)

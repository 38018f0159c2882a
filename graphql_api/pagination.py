"""Connections by keyset: cursors that survive inserts and deletions, bound to list and namespace.

A cursor is base64 of `version|list|id` and a signature over it and the namespace.
"""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Generic, TypeVar

import strawberry

from graphql_api.scalars import BigInt
from models.errors import InvalidCursor, InvalidInput
from models.scope import Page
from models.stored import Stored

_VERSION: Final = "1"
_SIGNATURE_BYTES: Final = 12
MAX_PAGE: Final = 100
T = TypeVar("T")
M = TypeVar("M", bound=Stored)


class Cursors:
    """Makes and reads cursors with the deployment's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(b"cursor:" + secret).digest()

    def write(self, kind: str, namespace_id: str, position: str) -> str:
        """Return an opaque cursor for a position in a list."""
        body = f"{_VERSION}|{kind}|{position}".encode()
        return base64.urlsafe_b64encode(self._sign(body, namespace_id) + body).decode().rstrip("=")

    def read(self, kind: str, namespace_id: str, cursor: str, *, path: str = "after") -> str:
        """Return the position behind a cursor; raises InvalidCursor."""
        try:
            raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (ValueError, UnicodeEncodeError):
            raw = b""
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        head = f"{_VERSION}|{kind}|".encode()
        genuine = hmac.compare_digest(signature, self._sign(body, namespace_id))
        if not genuine or not body.startswith(head):
            raise InvalidCursor(
                "The cursor does not belong to this list.",
                path=(path,),
                hint="Take cursors from the same field with the same filter.",
            )
        return body[len(head) :].decode()

    def _sign(self, body: bytes, namespace_id: str) -> bytes:
        message = namespace_id.encode() + b"|" + body
        return hmac.digest(self._secret, message, "sha256")[:_SIGNATURE_BYTES]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's page information."""

    has_next_page: bool = strawberry.field(description="Whether more items follow.")
    has_previous_page: bool = strawberry.field(description="Whether items precede.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item.")


@strawberry.type(description="One item of a list, with its cursor.")
class Edge(Generic[T]):
    """Relay's edge."""

    cursor: str = strawberry.field(description="Where this item stands; pass it as `after`.")
    node: T = strawberry.field(description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """Relay's connection."""

    edges: list[Edge[T]] = strawberry.field(description="The items with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="How many items the whole list has; counted when asked for.")
    async def total_count(self) -> BigInt:
        """Count the list."""
        return BigInt(await self.count())


First = Annotated[
    int | None, strawberry.argument(description="How many items from the front; 1 to 100.")
]
After = Annotated[str | None, strawberry.argument(description="Only items past this cursor.")]
Last = Annotated[
    int | None, strawberry.argument(description="How many items from the back; 1 to 100.")
]
Before = Annotated[str | None, strawberry.argument(description="Only items before this cursor.")]


def page_size(first: int | None, last: int | None, *, default: int = 20) -> tuple[int, bool]:
    """Return the page's size and whether it is taken from the back; raises InvalidInput."""
    if first is not None and last is not None:
        raise InvalidInput("Give `first` or `last`, not both.", path=("first",))
    name, size = ("last", last) if last is not None else ("first", first)
    size = default if size is None else size
    if not 1 <= size <= MAX_PAGE:
        raise InvalidInput(f"`{name}` must be 1 to {MAX_PAGE}.", path=(name,))
    return size, last is not None


def connect(
    page: Page[M],
    wrap: Callable[[M], T],
    *,
    cursor: Callable[[str], str],
    count: Callable[[], Awaitable[int]],
) -> Connection[T]:
    """Return a page as a connection."""
    edges = [Edge(cursor=cursor(item.id), node=wrap(item)) for item in page.items]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        count=count,
    )

"""Which status an answer has, and its bytes.

Two profiles: `audit` is what the published audits of GraphQL over HTTP ask for, where a request
error in plain JSON is a 200; `draft` follows the specification's draft.
"""

import hashlib
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, Final, Literal

from starlette.types import Send

from graphql_api.operations.running import Answer
from graphql_api.requests import write_json
from graphql_api.transport.negotiation import GRAPHQL, Media

Profile = Literal["audit", "draft"]
Header = tuple[bytes, bytes]
_ALWAYS: Final[Mapping[str, int]] = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "RATE_LIMITED": 429,
    "BAD_REQUEST": 400,
}
_WITHOUT_DATA: Final = frozenset({"OPERATION_TIMEOUT", "INTERNAL_SERVER_ERROR"})
_TYPES: Final[Mapping[Media, Header]] = {
    media: (b"content-type", f"{media}; charset=utf-8".encode())
    for media in ("application/json", "application/graphql-response+json")
}
_VARY: Final = (b"vary", b"accept")


class Refusal(Exception):
    """A request that never became an operation."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: tuple[Header, ...] = (),
        *,
        reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.reason = reason

    def body(self, request_id: str) -> dict[str, Any]:
        """Return it in GraphQL's shape."""
        extensions = {"code": self.code, "requestId": request_id}
        if self.reason is not None:
            extensions["reason"] = self.reason
        return {"errors": [{"message": self.message, "extensions": extensions}]}


def status_of(answer: Answer, media: Media, profile: Profile) -> int:
    """Return an answer's status."""
    if answer.ran:
        return 200
    code = answer.code
    if code in _ALWAYS:
        return _ALWAYS[code]
    if code in _WITHOUT_DATA:
        return 503 if code == "OPERATION_TIMEOUT" else 500
    if profile == "audit":
        return 400 if media == GRAPHQL else 200
    return 400 if code == "GRAPHQL_PARSE_FAILED" else 422


def headers_of(answer: Answer) -> Iterable[Header]:
    """Return what an answer says of the caller's points."""
    charge = answer.charge
    if charge is not None:
        yield b"ratelimit-limit", str(charge.limit).encode()
        yield b"ratelimit-remaining", str(charge.remaining).encode()
        yield b"ratelimit-reset", str(charge.full_in).encode()
    if answer.retry_after is not None:
        yield b"retry-after", str(max(1, ceil(answer.retry_after))).encode()


def tag_of(answer: Answer) -> bytes:
    """Return an ETag of an answer's data; a weak one, since what it cost may differ."""
    return b'W/"%s"' % hashlib.sha256(write_json(answer.data)).hexdigest()[:32].encode()


def is_known(tag: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether the client has that answer already, as If-None-Match says."""
    given = headers.get(b"if-none-match", b"")
    return given.strip() == b"*" or tag in [one.strip() for one in given.split(b",")]


async def send_unchanged(send: Send, answer: Answer, extra: Iterable[Header]) -> None:
    """Send that what the client has is still so."""
    headers = [_VARY, *headers_of(answer), *extra]
    await send({"type": "http.response.start", "status": 304, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def send_answer(
    send: Send, answer: Answer, media: Media, profile: Profile, extra: Iterable[Header] = ()
) -> None:
    """Send what an operation came to."""
    headers = [*headers_of(answer), *extra]
    await send_json(send, status_of(answer, media, profile), answer.body(), media, headers)


async def send_json(
    send: Send, status: int, body: Any, media: Media, extra: Iterable[Header] = ()
) -> None:
    """Send one JSON body."""
    content = write_json(body)
    headers = [_TYPES[media], (b"content-length", b"%d" % len(content)), _VARY, *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})

"""One effect however often a request comes: the first does the work, the others get its answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from pymongo.errors import PyMongoError

from models.ending import end_tasks
from models.errors import IdempotencyInProgress, InvalidInput
from models.failpoints import Failpoint, reach
from models.idempotency import (
    LEASE_SECONDS,
    Claim,
    IdempotentRequest,
    claim_request,
    release_claim,
    renew_claim,
)
from models.settings import ApiSettings
from workers.names import require_text

_KEY_LENGTH: Final = 255
_FIRST_LOOK_SECONDS: Final = 0.02
_LAST_LOOK_SECONDS: Final = 0.25
_PATH: Final = ("idempotencyKey",)
T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What tells one request from another: who asks what, under which key, with which input."""

    owner: str
    operation: str
    key: str | None
    sha256: str


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The answer, and whether the effect is that of an earlier request."""

    value: T
    replayed: bool = False


async def once(
    settings: ApiSettings,
    request: Request,
    work: Callable[[Claim], Awaitable[T]],
    recall: Callable[[dict[str, Any]], Awaitable[T]],
) -> Outcome[T]:
    """Do `work` unless its key has done it, in which case `recall` reads what it answered.

    `work` settles the claim in the transaction of its effect, with what `recall` needs. Without a
    key it is simply done. A failure leaves the key free, since nothing was changed.

    Raises:
        InvalidInput: the key is empty or too long.
        IdempotencyKeyReused: the key came with another input before.
        IdempotencyInProgress: the first request still runs after the time that we may wait.
    """
    if request.key is None:
        return Outcome(await work(Claim()))
    _require_key(request.key)
    found = await _claim(settings, request, request.key)
    if isinstance(found, IdempotentRequest):
        return Outcome(await recall(found.answer or {}), replayed=True)
    await reach(Failpoint.REQUEST_CLAIMED)
    async with _held(found):
        value = await work(found)
    if not found.settled:
        raise RuntimeError(f"{request.operation} did not settle its claim")
    await reach(Failpoint.REQUEST_SETTLED)
    return Outcome(value)


def _require_key(key: str) -> None:
    require_text(key, path=_PATH)
    if not 1 <= len(key) <= _KEY_LENGTH:
        raise InvalidInput(f"A key has 1 to {_KEY_LENGTH} characters.", path=_PATH)


async def _claim(settings: ApiSettings, request: Request, key: str) -> Claim | IdempotentRequest:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.idempotency_wait_seconds
    pause = _FIRST_LOOK_SECONDS
    while True:
        found = await claim_request(
            owner=request.owner,
            operation=request.operation,
            key=key,
            sha256=request.sha256,
            retention=timedelta(hours=settings.idempotency_hours),
        )
        if found is not None:
            return found
        if loop.time() >= deadline:
            raise IdempotencyInProgress(
                "The first request with this key still runs.",
                path=_PATH,
                hint="Send it again with the same key; it will answer as the first one.",
            )
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LAST_LOOK_SECONDS)


@contextlib.asynccontextmanager
async def _held(claim: Claim) -> AsyncIterator[None]:
    """Renew a claim while work goes on; give it up when the work changed nothing."""
    renewing = asyncio.create_task(_renew(claim), name="idempotency-lease")
    try:
        yield
    except BaseException:
        with contextlib.suppress(PyMongoError):  # then its lease runs out
            await asyncio.shield(release_claim(claim))
        raise
    finally:
        await end_tasks(renewing)


async def _renew(claim: Claim) -> None:
    while True:
        await asyncio.sleep(LEASE_SECONDS / 3)
        with contextlib.suppress(PyMongoError):
            await renew_claim(claim)

"""Idempotency keys: which request of a client had which effect, kept for a day.

A claim is taken before the work, held under a lease, and settled in the transaction of the effect:
either both are there or neither is. Whoever finds a claim whose lease ran out takes it over under
the next epoch, and the late transaction of the former holder fails.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final

from pydantic import Field
from pymongo import IndexModel, ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from models.errors import IdempotencyInProgress, IdempotencyKeyReused
from models.ids import request_id
from models.stored import Stored, now, server_time_in

LEASE_SECONDS: Final = 60.0


class ClaimState(StrEnum):
    """How far a request is."""

    RUNNING = "RUNNING"  # somebody works on it, or died while doing so: the lease tells
    SETTLED = "SETTLED"  # its effect is committed, and `answer` says which


class IdempotentRequest(Stored):
    """One key of one mutation; `owner` is a namespace, or the operator."""

    owner: str
    operation: str
    sha256: str  # of the input, so that another input under the same key is noticed
    state: ClaimState = ClaimState.RUNNING
    epoch: int = 1
    lease_until: datetime
    answer: dict[str, Any] | None = None
    expires_at: datetime
    updated_at: datetime = Field(default_factory=now)

    class Settings:
        """Where it is stored and how it is found."""

        name = "idempotent_requests"
        indexes: ClassVar = [
            IndexModel([("owner", 1)], name="owner"),
            IndexModel([("expires_at", 1)], name="expiry", expireAfterSeconds=0),
        ]


@dataclass
class Claim:
    """The right to do one request; without a key there is nothing to settle."""

    id: str | None = None
    epoch: int = 0
    settled: bool = False

    async def settle(self, session: AsyncClientSession | None, **answer: Any) -> None:
        """Write the answer in the transaction of the effect.

        Raises:
            IdempotencyInProgress: another holder has the claim by now; the effect must not happen.
        """
        if self.id is None:
            return
        result = await IdempotentRequest.get_pymongo_collection().update_one(
            {"_id": self.id, "epoch": self.epoch, "state": str(ClaimState.RUNNING)},
            {"$set": {"state": str(ClaimState.SETTLED), "answer": answer, "updated_at": now()}},
            session=session,
        )
        if not result.matched_count:
            raise IdempotencyInProgress(
                "The request was taken over by a repetition of it.", path=("idempotencyKey",)
            )
        self.settled = True

    async def commit(
        self, work: Callable[[AsyncClientSession], Awaitable[object]], **answer: Any
    ) -> None:
        """Do a whole effect and settle, in a transaction of their own."""

        async def both(session: AsyncClientSession) -> None:
            await work(session)
            await self.settle(session, **answer)

        client = IdempotentRequest.get_pymongo_collection().database.client
        async with client.start_session() as session:
            await session.with_transaction(both)


async def claim_request(
    *, owner: str, operation: str, key: str, sha256: str, retention: timedelta
) -> Claim | IdempotentRequest | None:
    """Claim a request: the claim; or the settled request; or None while somebody else works on it.

    Raises:
        IdempotencyKeyReused: the key came with another input before.
    """
    moment = now()
    request = IdempotentRequest(
        id=request_id(owner=owner, operation=operation, key=key),
        owner=owner,
        operation=operation,
        sha256=sha256,
        lease_until=moment + timedelta(seconds=LEASE_SECONDS),
        expires_at=moment + retention,
    )
    rows = IdempotentRequest.get_pymongo_collection()
    try:
        await rows.insert_one(request.to_mongo())
    except DuplicateKeyError:
        return await _join(request)
    return Claim(request.id, request.epoch)


async def _join(request: IdempotentRequest) -> Claim | IdempotentRequest | None:
    rows = IdempotentRequest.get_pymongo_collection()
    row: dict[str, Any] | None = await rows.find_one({"_id": request.id})
    if row is None:  # its holder has just given it up
        return None
    found: IdempotentRequest = IdempotentRequest.model_validate(row)
    if found.sha256 != request.sha256:
        raise IdempotencyKeyReused(
            "The key came with another input before.",
            path=("idempotencyKey",),
            hint="Take a new key for each request, and the same one only to repeat it.",
        )
    if found.state is ClaimState.SETTLED:
        return found
    taken = await rows.find_one_and_update(
        {
            "_id": request.id,
            "state": str(ClaimState.RUNNING),
            "$expr": {"$lt": ["$lease_until", "$$NOW"]},
        },
        {"$inc": {"epoch": 1}, "$set": {"lease_until": request.lease_until}},
        return_document=ReturnDocument.AFTER,
    )
    return None if taken is None else Claim(request.id, int(taken["epoch"]))


async def renew_claim(claim: Claim) -> None:
    """Keep a claim while its work goes on."""
    lease = server_time_in(LEASE_SECONDS)
    await IdempotentRequest.get_pymongo_collection().update_one(
        {"_id": claim.id, "epoch": claim.epoch}, [{"$set": {"lease_until": lease}}]
    )


async def release_claim(claim: Claim) -> None:
    """Give up a claim whose work changed nothing: the key is as good as new."""
    await IdempotentRequest.get_pymongo_collection().delete_one(
        {"_id": claim.id, "epoch": claim.epoch, "state": str(ClaimState.RUNNING)}
    )

"""Sessions and transactions as PyMongo runs them, over the network to one server.

Whose call it is, the task knows: the classes of Beanie have one collection for all processes.
"""

import contextlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pymongo.errors import AutoReconnect, PyMongoError

from tests.simulation.mongo.server import (
    TRANSACTION_SECONDS,
    Server,
    Transaction,
    no_such_transaction,
)
from tests.simulation.network import Network, server_timer

T = TypeVar("T")
_RETRY_SECONDS: Final = 120.0  # as PyMongo has it, and its backoff between retries
_BACKOFF_SECONDS: Final = 0.005
_BACKOFF_CAP: Final = 0.5


class Mongo:
    """A server and the network to it."""

    def __init__(self, server: Server, network: Network) -> None:
        self.server = server
        self.network = network


MONGO: Final[ContextVar[Mongo]] = ContextVar("mongo")


def lost() -> AutoReconnect:
    """Return what a caller hears whose connection broke."""
    return AutoReconnect("connection closed")


def lost_in_transaction() -> AutoReconnect:
    """Return the same in a transaction, which is to be run again."""
    return AutoReconnect("connection closed", {"errorLabels": ["TransientTransactionError"]})


def _lost_in_commit() -> AutoReconnect:
    return AutoReconnect("connection closed", {"errorLabels": ["UnknownTransactionCommitResult"]})


@dataclass
class Attempt:
    """One run of a transaction, which begins at the server with its first operation."""

    transaction: Transaction | None = None
    over: bool = False  # what still arrives of it comes too late

    def at_server(self, mongo: Mongo) -> Transaction:
        """Return the transaction, begun if need be; raises when it has ended."""
        if self.over or (self.transaction is not None and self.transaction.state != "open"):
            raise no_such_transaction()
        if self.transaction is None:
            begun = self.transaction = mongo.server.begin()
            server_timer(mongo.network, TRANSACTION_SECONDS, lambda: mongo.server.abort(begun))
        return self.transaction


class Session:
    """A session, which runs one transaction after the other."""

    def __init__(self) -> None:
        self.attempt: Attempt | None = None

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._abort()

    async def with_transaction(self, callback: Callable[[Any], Awaitable[T]]) -> T:
        """Run a transaction as PyMongo does: all of it again on a conflict, a commit until known.

        The whole is given up after two minutes.
        """
        network = MONGO.get().network
        start, retries = network.loop.time(), 0
        while True:
            if retries:
                longest = min(_BACKOFF_SECONDS * 1.5**retries, _BACKOFF_CAP)
                await sleep(network, network.chance.random() * longest)
            retries += 1
            self.attempt = Attempt()
            try:
                answer = await callback(self)
            except BaseException as error:
                await self._abort()
                in_time = network.loop.time() - start < _RETRY_SECONDS
                if in_time and _has(error, "TransientTransactionError"):
                    continue
                raise
            if await self._commit(start):
                return answer

    async def _commit(self, start: float) -> bool:
        """Commit; False when the transaction has to be run again."""
        mongo = MONGO.get()
        attempt, self.attempt = self.attempt, None
        if attempt is None or attempt.transaction is None:
            return True
        transaction = attempt.transaction

        def commit() -> None:
            mongo.server.commit(transaction)
            attempt.over = True

        while True:
            try:
                await mongo.network.call("mongo", "commit", commit, _lost_in_commit)
            except PyMongoError as error:
                in_time = mongo.network.loop.time() - start < _RETRY_SECONDS
                if _has(error, "UnknownTransactionCommitResult") and in_time:
                    continue
                if _has(error, "TransientTransactionError") and in_time:
                    return False
                raise
            return True

    async def _abort(self) -> None:
        attempt, self.attempt = self.attempt, None
        if attempt is None:
            return
        mongo = MONGO.get()

        def abort() -> None:
            attempt.over = True
            if attempt.transaction is not None:
                mongo.server.abort(attempt.transaction)

        with contextlib.suppress(PyMongoError):  # the server ends it in time
            await mongo.network.call("mongo", "abort", abort, lost)


def _has(error: BaseException, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)


async def sleep(network: Network, seconds: float) -> None:
    """Let virtual time pass."""
    future = network.loop.create_future()
    network.loop.call_later(seconds, future.set_result, None)
    await future

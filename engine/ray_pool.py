"""A warm pool of Ray actors for one extractor and its parameters, grown from one.

One actor reserves no CPU, so every pool can always start and competing batches cannot deadlock;
further ones reserve what the spec asks for, and are given back when idle so that other pools may
grow.
"""

import asyncio
import logging
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import ray
from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
)

from engine.byte_gate import ByteGate
from engine.catalog import extractor_spec
from engine.extractor_process import ExtractorProcess
from engine.plugins import allowed_plugins
from engine.pools import Pool, ProgressClock
from engine.spec import Extraction
from models.endpoints import Endpoints
from models.errors import ExtractorDied, PoolUnavailable
from models.fields import ExtractorChoice

logger = logging.getLogger(__name__)
_IDLE_SECONDS: Final = 10.0  # of an actor that reserves a CPU, while another pool waits for one
_SPARE_SECONDS: Final = 60.0  # of such an actor while nobody here waits
_RETIRE_SECONDS: Final = 600.0  # of the last actor of a pool that nobody warmed
_START_SECONDS: Final = 120.0
_GROWTH_PAUSE: Final = 5.0  # after an actor beyond the first did not start
_RESTART_PAUSE: Final = 1.0  # after the only one did not
_PATIENCE: Final = 60.0  # for a place to start in: Ray takes a while to know that a node is gone
_PROGRESS_SECONDS: Final = 1.0
_MEBIBYTE: Final = 1024 * 1024
_USUAL_STORE: Final = 200 * _MEBIBYTE  # where no node says how large its own is
_NODE_DIED: Final = "node has died"  # of an actor, Ray says it in words only
_GONE: Final = (ActorUnavailableError, NodeDiedError, ObjectLostError)


@dataclass(eq=False)
class _Member:
    actor: Any
    reserves: bool
    busy: bool = False
    ready: bool = False
    idle_since: float = field(default_factory=time.monotonic)

    def idle_for(self) -> float:
        return time.monotonic() - self.idle_since if self.ready and not self.busy else 0.0


class RayPools:
    """The pools of one conductor.

    What they are sent at once is bounded by `in_flight_bytes`; by default half of the smallest
    object store, so that there is room for what comes back.
    """

    def __init__(
        self,
        cache: Path,
        *,
        size: int,
        endpoints: Endpoints | None = None,
        in_flight_bytes: int | None = None,
    ) -> None:
        self._cache = cache
        self._endpoints = endpoints
        self._size = size
        self._gate = ByteGate(in_flight_bytes or _smallest_store() // 2)
        self._pools: dict[tuple[str, str], RayPool] = {}

    def pool(self, choice: ExtractorChoice) -> Pool:
        """Return the pool of a choice, made at first use."""
        return self._pool(choice)

    def warm(self, choice: ExtractorChoice) -> None:
        """Start the first process of a pool before it is needed, and keep it."""
        self._pool(choice).warm()

    def shrink(self) -> None:
        """Give back processes that have been idle for a while: sooner if another pool waits."""
        waiting = any(pool.waits for pool in self._pools.values())
        for pool in self._pools.values():
            pool.shrink(spare=_IDLE_SECONDS if waiting else _SPARE_SECONDS)

    def close(self) -> None:
        """End every process."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, choice: ExtractorChoice) -> "RayPool":
        key = (choice.label, choice.parameters_hash)
        if key not in self._pools:
            self._pools[key] = RayPool(
                choice, self._cache, size=self._size, gate=self._gate, endpoints=self._endpoints
            )
        return self._pools[key]


class RayPool:
    """Actors of one extractor; calls go to idle ones in the order they came."""

    def __init__(
        self,
        choice: ExtractorChoice,
        cache: Path,
        *,
        size: int,
        gate: ByteGate,
        endpoints: Endpoints | None = None,
    ) -> None:
        self._choice = choice
        self._spec = extractor_spec(choice.label)
        self._cache = cache
        self._endpoints = endpoints
        self._size = size
        self._gate = gate
        self._members: list[_Member] = []
        self._queue: deque[asyncio.Future[_Member]] = deque()
        self._starting: set[asyncio.Task[None]] = set()
        self._grow_again = 0.0
        self._failing_since: float | None = None
        self._keep = False

    @property
    def processes(self) -> int:
        """Processes that live or start."""
        return len(self._members)

    @property
    def waits(self) -> bool:
        """Tell whether calls wait here for a process."""
        return bool(self._queue)

    async def extract(self, rows: pa.RecordBatch, progress: ProgressClock) -> Extraction:
        """Extract on an idle actor; on another when its node goes away, which is no row's fault.

        Raises:
            ExtractorDied: the actor's process ended; another takes its place.
            PoolUnavailable: no actor starts, or one node after the other goes away.
        """
        for _ in range(self._size + 1):  # every actor may have been on the node
            with progress.waiting():
                member = await self._acquire()
            try:
                return await self._send(member, rows, progress)
            except RayTaskError as error:
                raise error.cause from None  # what the extractor itself raised
            except RayError as error:
                self._discard(member)
                if not _place_is_gone(error):
                    raise self._death(error) from error
                progress.restart()
            except asyncio.CancelledError:
                self._discard(member)  # what it computes nobody waits for
                raise
            finally:
                self._release(member)
        raise PoolUnavailable(f"The nodes that ran {self._choice.label} are gone.")

    def warm(self) -> None:
        """Start the first actor if there is none, and never retire it."""
        self._keep = True
        if not self._members:
            self._start()

    def shrink(self, *, spare: float) -> None:
        """Give back actors idle for `spare` seconds; the one that reserves nothing stays longer."""
        for member in tuple(self._members):
            limit = spare if member.reserves else _RETIRE_SECONDS
            if member.idle_for() > limit and (member.reserves or not self._keep):
                self._discard(member)

    def close(self) -> None:
        """End every actor."""
        for member in tuple(self._members):
            self._discard(member)

    async def _send(
        self, member: _Member, rows: pa.RecordBatch, progress: ProgressClock
    ) -> Extraction:
        """Call once there is room for the rows; whoever has room has an actor and goes on."""
        async with AsyncExitStack() as room:
            with progress.waiting():
                await room.enter_async_context(self._gate.hold(rows.nbytes))
            return await self._call(member, rows, progress)

    async def _call(
        self, member: _Member, rows: pa.RecordBatch, progress: ProgressClock
    ) -> Extraction:
        watcher = asyncio.create_task(self._watch(member, progress))
        try:
            result: Extraction = await member.actor.extract.remote(rows)
        finally:
            watcher.cancel()
        return result

    async def _watch(self, member: _Member, progress: ProgressClock) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            try:
                progress.advance(await member.actor.progress.remote())
            except RayError:
                return

    async def _acquire(self) -> _Member:
        place: asyncio.Future[_Member] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        self._serve()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._release(place.result())
            raise

    def _release(self, member: _Member) -> None:
        member.busy = False
        member.idle_since = time.monotonic()
        self._serve()

    def _serve(self) -> None:
        """Give idle actors to those who wait, first come first served; grow for the rest."""
        while (member := self._idle()) is not None and self._queue:
            place = self._queue.popleft()
            if not place.done():
                member.busy = True
                place.set_result(member)
        if self._queue and all(member.ready for member in self._members):
            self._grow()

    def _idle(self) -> _Member | None:
        return next((one for one in self._members if one.ready and not one.busy), None)

    def _grow(self) -> None:
        paused = self._members and time.monotonic() < self._grow_again
        if len(self._members) < self._size and not paused:
            self._start()

    def _start(self) -> None:
        reserves = any(not member.reserves for member in self._members)
        actor = ray.remote(ExtractorProcess).options(
            num_cpus=self._spec.cpus if reserves else 0,
            num_gpus=self._spec.gpus,
            memory=self._spec.memory_mb * _MEBIBYTE if reserves else 0,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2,
        )
        made = actor.remote(self._choice, self._cache, self._endpoints, allowed_plugins())
        member = _Member(made, reserves)
        self._members.append(member)
        task = asyncio.create_task(self._await_start(member))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _await_start(self, member: _Member) -> None:
        try:
            async with asyncio.timeout(_START_SECONDS):
                await member.actor.setup.remote()
        except (RayError, TimeoutError) as error:
            self._discard(member)
            self._grow_again = time.monotonic() + _GROWTH_PAUSE
            if self._may_pass(error):
                asyncio.get_running_loop().call_later(_RESTART_PAUSE, self._serve)
                return
            self._refuse(self._cause(error))
        else:
            self._failing_since = None
            member.ready = True
            member.idle_since = time.monotonic()
        self._serve()

    def _may_pass(self, error: RayError | TimeoutError) -> bool:
        """Tell whether to try again to start: nothing of the extractor failed, but its place."""
        if isinstance(error, RayTaskError | TimeoutError):
            return False
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        return now - self._failing_since < _PATIENCE

    def _death(self, error: RayError) -> Exception:
        label = self._choice.label
        if isinstance(error, OutOfMemoryError):
            return ExtractorDied(f"The process of {label} was ended: its node ran out of memory.")
        return ExtractorDied(f"The process of {label} ended.")

    def _cause(self, error: RayError | TimeoutError) -> Exception:
        if isinstance(error, RayTaskError) and error.cause is not None:
            cause: Exception = error.cause
            return cause
        waited = f" within {_START_SECONDS:.0f} s" if isinstance(error, TimeoutError) else ""
        return PoolUnavailable(f"A process of {self._choice.label} did not start{waited}.")

    def _refuse(self, failure: Exception) -> None:
        logger.warning("%s did not start: %s", self._choice.label, failure)
        while self._queue and not self._members:
            place = self._queue.popleft()
            if not place.done():
                place.set_exception(failure)

    def _discard(self, member: _Member) -> None:
        if member in self._members:
            self._members.remove(member)
            ray.kill(member.actor, no_restart=True)


def _place_is_gone(error: RayError) -> bool:
    """Tell whether a node went away with its actors.

    Until the cluster knows of it, a call says only that its actor cannot be reached; of an actor
    whose process ended on a node that lives, Ray knows at once. An answer that was ready but not
    yet here is lost with the object store of its node.
    """
    return isinstance(error, _GONE) or _NODE_DIED in str(error)


def _smallest_store() -> int:
    """Return the bytes of the smallest object store in the cluster."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    sizes = [one["Resources"].get("object_store_memory", 0) for one in nodes if one["Alive"]]
    return int(min(sizes, default=0)) or _USUAL_STORE

"""Watches every committed change in the raw stores, and says which promise one breaks.

Knows the layout of the stores and nothing of the product's code: a rule that both had from one
place could be wrong in both.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from tests.simulation.errors import Violation
from tests.simulation.mongo.server import Server
from tests.simulation.mongo.tables import Change
from tests.simulation.objects import Objects
from tests.simulation.receiver import Receiver

Row = Mapping[str, Any]


class Quotas(Protocol):
    """What a namespace may have at once."""

    @property
    def processing_batches(self) -> int | None:
        """Batches that are PROCESSING, but for those on hold."""

    @property
    def blocks_in_flight(self) -> int | None:
        """Blocks under a lease that has not run out."""


MAX_ATTEMPTS: Final = 3
_MOVES: Final[Mapping[str, frozenset[str]]] = {
    "DRAFT": frozenset({"QUEUED"}),
    "QUEUED": frozenset({"PROCESSING", "FAILED", "CANCELING"}),
    "PROCESSING": frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELING"}),
    "CANCELING": frozenset({"CANCELED"}),
    "COMPLETED": frozenset(),
    "COMPLETED_WITH_ERRORS": frozenset({"QUEUED"}),  # by a retry
    "FAILED": frozenset({"QUEUED"}),
    "CANCELED": frozenset({"QUEUED"}),
}
ENDS: Final = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "CANCELED"})
_BLOCK_ENDS: Final = frozenset({"DONE", "FAILED", "CANCELED"})
_SETTLED: Final = (
    "rows_filtered", "rows_missing_input", "rows_failed", "rows_skipped", "rows_succeeded",
)  # fmt: skip


def require(promise: str, held: bool, said: str) -> None:
    """Raise when a promise is broken."""
    if not held:
        raise Violation(f"{promise}: {said}")


class Checker:
    """Looks at one deployment's stores after every change."""

    def __init__(
        self,
        server: Server,
        objects: Objects,
        receiver: Receiver,
        clock: Callable[[], datetime],
        quotas: Quotas,
    ) -> None:
        self._server = server
        self._objects = objects
        self._receiver = receiver
        self._clock = clock
        self._quotas = quotas
        self.harmed: set[str] = set()  # batches that were damaged on purpose
        self._sequences: dict[str, int] = {}  # the last of each batch
        self._settled: dict[str, int] = {}  # rows, as the last event of each batch has them
        self._positions: dict[str, int] = {}  # the last of each namespace
        self._claims: dict[str, int] = {}  # of each block since it was opened
        self._rules: dict[str, Callable[[Row | None, Row | None], None]] = {
            "batches": self._batch,
            "blocks": self._block,
            "events": self._event,
            "documents": self._document,
            "deliveries": self._delivery,
            "webhook_payloads": self._payload,
            "idempotent_requests": self._request,
        }
        self.changes = 0

    def look(self) -> None:
        """Judge every change since the last look; raises Violation."""
        journal = self._server.journal
        if not journal:
            return
        changes: list[Change] = list(journal)
        journal.clear()
        self.changes += len(changes)
        placed: dict[str, list[int]] = {}
        for name, before, after in changes:
            rule = self._rules.get(name)
            old = None if before is None else before.value
            new = None if after is None else after.value
            if rule is not None:
                rule(old, new)
            if name == "events" and new is not None and new["position"]:
                placed.setdefault(new["namespace_id"], []).append(new["position"])
        for namespace_id, positions in placed.items():
            self._place(namespace_id, sorted(positions))

    def _rows(self, name: str) -> Mapping[Any, Any]:
        return self._server.table(name).rows

    def _batch(self, old: Row | None, new: Row | None) -> None:
        if new is None or old is None:
            require("I1", new is None or new["status"] == "DRAFT", "a batch began elsewhere")
            return
        name = new["_id"]
        if old["status"] != new["status"]:
            move = f"{name} went from {old['status']} to {new['status']}"
            require("I1", new["status"] in _MOVES[old["status"]], move)
            require("I5", new["sequence"] == old["sequence"] + 1, f"{move} without an event")
            if old["status"] in ENDS:
                require("I1", new["retries"] == old["retries"] + 1, f"{move} without a retry")
            if new["status"] in ENDS:
                self._ended(new)
            if new["status"] == "PROCESSING":
                self._has_room("batches", self._quotas.processing_batches, new, self._is_under_way)
        require("I5", new["sequence"] >= old["sequence"], f"{name}: its sequence fell")
        require("I8", new["epoch"] >= old["epoch"], f"{name}: its epoch fell")
        require("I4", new["blocks_open"] >= 0, f"{name}: fewer than no blocks are open")
        require("I4", min(new["counts"].values()) >= 0, f"{name}: {new['counts']}")

    def _has_room(
        self, table: str, most: int | None, new: Row, counts: Callable[[Row], bool]
    ) -> None:
        if most is not None:
            mine = [row.value for row in self._rows(table).values()]
            number = sum(one["namespace_id"] == new["namespace_id"] and counts(one) for one in mine)
            require("quota", number <= most, f"{number} {table} at once, of {most}")

    def _is_under_way(self, batch: Row) -> bool:
        return batch["status"] == "PROCESSING" and not batch["hold"]

    def _is_in_work(self, block: Row) -> bool:
        return block["status"] == "LEASED" and bool(block["lease_until"] >= self._clock())

    def _ended(self, batch: Row) -> None:
        if (batch["reason"] or {}).get("code") == "DEADLINE_EXCEEDED":
            late = batch["deadline_at"] < self._clock()
            require("deadline", late, f"{batch['_id']} was ended before its deadline")
        live = [row.value["_id"] for row in self._blocks_of(batch) if not _has_ended(row.value)]
        require("I9", not live, f"{batch['_id']} ended {batch['status']} with live blocks {live}")
        if batch["status"] in ("COMPLETED", "COMPLETED_WITH_ERRORS"):
            counts = batch["counts"]
            settled = sum(counts[name] for name in _SETTLED)
            require("I4", settled == counts["rows_in"], f"{batch['_id']} {counts}")

    def _blocks_of(self, batch: Row) -> list[Any]:
        return [
            row
            for row in self._rows("blocks").values()
            if row.value["batch_id"] == batch["_id"]
            and row.value["submission"] == batch["submission"]
        ]

    def _block(self, old: Row | None, new: Row | None) -> None:
        if new is None or old is None:
            return
        name, batch = new["_id"], self._rows("batches")[new["batch_id"]].value
        require("I8", new["epoch"] >= old["epoch"], f"{name}: its epoch fell")
        bound = MAX_ATTEMPTS + ((new.get("isolation") or {}).get("runs") or 0)
        if new["status"] == "LEASED" and new["epoch"] > old["epoch"]:
            self._claimed(old, new, bound)
            require("pause", not batch["hold"], f"{name} was claimed while its batch is paused")
            self._has_room("blocks", self._quotas.blocks_in_flight, new, self._is_in_work)
        if new["status"] == "DONE" and old["status"] != "DONE":
            self._done(old, new, batch)
        if _has_ended(old) and not _has_ended(new):
            require("I1", batch["status"] == "QUEUED", f"{name} was opened without a retry")
            require("I8", new["epoch"] > old["epoch"], f"{name} was opened under its old epoch")
            self._claims[name] = 0

    def _claimed(self, old: Row, new: Row, bound: int) -> None:
        name, now = new["_id"], self._clock()
        claims = self._claims[name] = self._claims.get(name, 0) + 1
        require("I10", claims <= bound, f"{name} was claimed {claims} times, of {bound}")
        require(
            "I10", new["attempts"] == old["attempts"] + 1, f"{name}: an attempt was not counted"
        )
        if old["status"] == "LEASED":
            require("I8", old["lease_until"] < now, f"{name} was claimed from under its holder")
        else:
            require("I8", old["status"] == "READY", f"{name} was claimed while {old['status']}")
            require("I8", old["not_before"] <= now, f"{name} was claimed before it was due")

    def _done(self, old: Row, new: Row, batch: Row) -> None:
        name = new["_id"]
        require("I8", old["status"] == "LEASED", f"{name} was done while {old['status']}")
        require("I8", old["epoch"] == new["epoch"], f"{name} was done under another epoch")
        require("I12", batch["status"] == "PROCESSING", f"{name}: its batch is {batch['status']}")
        key = new["output"]["key"]
        require("I8", key.endswith(f"{name}-{new['epoch']}.parquet"), f"{name} points to {key}")
        stored = self._objects.stored.get(key)
        require("I2", stored is not None, f"{name} points to nothing")
        assert stored is not None
        same = stored.metadata["sha256"] == new["output"]["sha256"]
        require("I2", same, f"{name} points to other bytes")

    def _event(self, old: Row | None, new: Row | None) -> None:
        if new is None:
            return
        if old is not None:
            same = {**old, "position": 0} == {**new, "position": 0}
            require("I5", same, f"the event {new['_id']} was changed")
            return
        if "batch_id" not in new:
            return
        if new["type"] == "batch.healed":
            said = f"{new['batch_id']} was mended though nobody had harmed it: {new}"
            require("heal", new["batch_id"] in self.harmed, said)
        batch_id, number = new["batch_id"], new["sequence"]
        last = self._sequences.get(batch_id, 0)
        require("I5", number == last + 1, f"{batch_id}: event {number} follows {last}")
        self._sequences[batch_id] = number
        settled = sum(new["counts"].get(name, 0) for name in _SETTLED)
        if new["type"] != "batch.queued":  # a retry takes back what failed
            before = self._settled.get(batch_id, 0)
            require("I5", settled >= before, f"{batch_id}: its progress fell at event {number}")
        self._settled[batch_id] = settled

    def _place(self, namespace_id: str, positions: list[int]) -> None:
        last = self._positions.get(namespace_id, 0)
        wanted = list(range(last + 1, last + 1 + len(positions)))
        require("I5", positions == wanted, f"{namespace_id}: {positions} follow {last}")
        self._positions[namespace_id] = positions[-1]

    def _document(self, old: Row | None, new: Row | None) -> None:
        if new is None:
            return
        block = self._rows("blocks")[new["block_id"]].value
        said = f"the document {new['_id']} of {new['block_id']}"
        require("I12", block["status"] == "DONE", f"{said} was written while {block['status']}")
        require("I8", block["epoch"] == new["epoch"], f"{said} is of another epoch")
        collection = self._rows("collections")[new["collection_id"]].value
        require("I7", collection["namespace_id"] == new["namespace_id"], f"{said}: a stranger's")
        if old is not None and old["block_id"] == new["block_id"]:
            require("I8", old["epoch"] <= new["epoch"], f"{said}: an earlier epoch came later")

    def _delivery(self, old: Row | None, new: Row | None) -> None:
        if old is not None and new is not None and new["status"] == "DELIVERED":
            webhook = self._rows("webhooks")[new["webhook_id"]].value
            arrived = any(
                one.headers["webhook-id"] == new["event_id"]
                and one.url == webhook["url"]
                and one.status == 200
                for one in self._receiver.received
            )
            require("I6", arrived, f"{new['event_id']} counts as delivered and was not")

    def _payload(self, old: Row | None, new: Row | None) -> None:
        require("I6", old is None, "a webhook's body was changed")

    def _request(self, old: Row | None, new: Row | None) -> None:
        if old is not None and old["state"] == "SETTLED":
            same = new is not None and new["answer"] == old["answer"]
            require("D2", same, f"the answer to {old['_id']} was changed")

    def is_quiet(self) -> bool:
        """Tell whether nothing is left to be told to anybody."""
        if self._server.locks:
            return False
        events = self._rows("events").values()
        if any(not row.value["position"] for row in events):
            return False
        if any(row.value["status"] == "PENDING" for row in self._rows("deliveries").values()):
            return False
        logs = self._rows("event_logs").values()
        return all(row.value["rolled_up"] == row.value["position"] for row in logs)

    def require_rest(self) -> None:
        """Check what must be true once everything has ended."""
        now = self._clock()
        for row in self._rows("blocks").values():
            block = row.value
            batch = self._rows("batches")[block["batch_id"]].value
            if block["submission"] == batch["submission"]:  # others mean nothing
                said = f"{block['_id']} is {block['status']} at the end"
                require("I9", _has_ended(block), said)
        for row in self._rows("batches").values():
            batch = row.value
            events = [one.value for one in self._rows("events").values()]
            mine = [one for one in events if one.get("batch_id") == batch["_id"]]
            last = max(mine, key=lambda one: one["sequence"])
            require("I1", batch["status"] in ENDS, f"{batch['_id']} is {batch['status']}")
            require("I5", last["status"] == batch["status"], f"{batch['_id']}: its last event")
            require("I5", last["sequence"] == batch["sequence"], f"{batch['_id']}: its last event")
        for row in self._rows("tasks").values():
            batch = self._rows("batches")[row.value["batch_id"]].value
            require("I1", row.value["status"] == batch["status"], f"{batch['_id']}: its task")
        late = now + timedelta(minutes=2)
        for row in self._rows("webhooks").values():
            require("I9", row.value["lease_until"] < late, "a webhook is held for long")


def _has_ended(block: Row) -> bool:
    return block["status"] in _BLOCK_ENDS

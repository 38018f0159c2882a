"""The server: documents, unique indexes, and transactions that see one snapshot.

Every operation is done at once. A transaction that writes what was changed since its snapshot, or
what another one has written and not yet committed, conflicts and is over; an operation outside of
transactions waits for them instead. An abandoned transaction holds what it wrote for a minute.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from tests.simulation.errors import Locked
from tests.simulation.mongo.matching import compile_filter
from tests.simulation.mongo.tables import Change, Stored, Table, Unique
from tests.simulation.mongo.updates import Update, apply_update
from tests.simulation.mongo.values import MISSING, candidates, order_of

TRANSACTION_SECONDS: Final = 60.0
_DUPLICATE_KEY: Final = 11000
_WRITE_CONFLICT: Final = 112
_NO_SUCH_TRANSACTION: Final = 251


@dataclass(eq=False)
class Transaction:
    """What one transaction sees and has written."""

    snapshot: dict[str, dict[Any, Stored]]
    written: dict[str, dict[Any, Stored | None]] = field(default_factory=dict)
    seen: dict[str, dict[Any, Stored]] = field(default_factory=dict)  # where it has written
    locks: set[tuple[Any, ...]] = field(default_factory=set)
    state: str = "open"


class Server:
    """One database."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.tables: dict[str, Table] = {}
        self.journal: list[Change] = []  # committed changes that nobody has looked at yet
        self.locks: dict[tuple[Any, ...], Transaction] = {}
        self.conflicts = 0
        self.commits = 0
        self.writes = 0

    def table(self, name: str) -> Table:
        """Return a collection, made at first use."""
        if name not in self.tables:
            self.tables[name] = Table(name, self.journal)
        return self.tables[name]

    def begin(self) -> Transaction:
        """Begin a transaction: from here on it sees what is committed now."""
        snapshot = {}
        for name, table in self.tables.items():
            table.shared = True
            snapshot[name] = table.rows
        return Transaction(snapshot)

    def commit(self, transaction: Transaction) -> None:
        """Make a transaction's writes true; again, if it has been done."""
        if transaction.state == "aborted":
            raise no_such_transaction()
        if transaction.state == "open":
            for name, rows in transaction.written.items():
                table = self.table(name)
                # Removed keys first: another document may take them.
                for item_id, row in sorted(rows.items(), key=lambda one: one[1] is not None):
                    table.put(item_id, row)
            self.commits += 1
            self._end(transaction, "committed")

    def abort(self, transaction: Transaction) -> None:
        """Forget a transaction's writes."""
        if transaction.state == "open":
            self._end(transaction, "aborted")

    def _end(self, transaction: Transaction, state: str) -> None:
        transaction.state = state
        for lock in transaction.locks:
            del self.locks[lock]
        transaction.locks.clear()

    def rows(self, name: str, transaction: Transaction | None) -> Mapping[Any, Stored]:
        """Return what somebody sees of a collection."""
        if transaction is None:
            return self.table(name).rows
        if name in transaction.seen:
            return transaction.seen[name]
        return transaction.snapshot.get(name, {})

    def find(
        self, name: str, match: Mapping[str, Any], transaction: Transaction | None = None
    ) -> list[Stored]:
        """Return the documents that match, in the order in which they were inserted."""
        found = _by_id(match, self.rows(name, transaction))
        if not found or not match or (len(match) == 1 and isinstance(match.get("_id"), str)):
            return found
        test = compile_filter(match, self.clock())
        return [row for row in found if test(row.value)]

    def insert(
        self, name: str, documents: Sequence[Mapping[str, Any]], transaction: Transaction | None
    ) -> None:
        """Insert documents."""
        for document in documents:
            row = Stored.of(document)
            self._write(name, row.value["_id"], row, transaction, inserting=True)

    def update(
        self,
        name: str,
        rows: Sequence[Stored],
        update: Update,
        transaction: Transaction | None,
    ) -> list[Stored]:
        """Change documents that were found; returns what they are now.

        One that is as it was needs no write, and so waits for nobody.
        """
        now = self.clock()
        changed = [row.become(apply_update(row.copy(), update, now)) for row in rows]
        pairs = list(zip(rows, changed, strict=True))
        self.require_free(name, [one for one, new in pairs if one is not new], transaction)
        for before, after in pairs:
            if after is not before:
                self._write(name, before.value["_id"], after, transaction)
        return changed

    def replace(
        self, name: str, row: Stored, document: Mapping[str, Any], transaction: Transaction | None
    ) -> Stored:
        """Replace one document that was found."""
        changed = Stored.of({"_id": row.value["_id"], **document})
        self._write(name, row.value["_id"], changed, transaction)
        return changed

    def upsert(
        self,
        name: str,
        match: Mapping[str, Any],
        update: Update,
        transaction: Transaction | None,
    ) -> Stored:
        """Insert what an update makes of the equalities of its filter."""
        start = {key: value for key, value in match.items() if not isinstance(value, dict)}
        made = Stored.of(apply_update(start, update, self.clock(), inserting=True))
        self._write(name, made.value["_id"], made, transaction, inserting=True)
        return made

    def delete(self, name: str, row: Stored, transaction: Transaction | None) -> None:
        """Remove one document that was found."""
        self._write(name, row.value["_id"], None, transaction)

    def require_free(
        self, name: str, rows: Sequence[Stored], transaction: Transaction | None
    ) -> None:
        """Let an operation on many documents wait or conflict before it has changed the first."""
        for row in rows:
            self._require_free(name, row.value["_id"], transaction)

    def _require_free(self, name: str, item_id: Any, transaction: Transaction | None) -> None:
        holder = self.locks.get((name, item_id))
        if holder is not None and holder is not transaction:
            if transaction is None:
                raise Locked
            raise self._conflict(transaction)

    def _write(
        self,
        name: str,
        item_id: Any,
        row: Stored | None,
        transaction: Transaction | None,
        *,
        inserting: bool = False,
    ) -> None:
        self._require_free(name, item_id, transaction)
        table = self.table(name)
        if inserting and item_id in self.rows(name, transaction):
            raise duplicate_key(name, "_id_", item_id)
        locks = self._require_unique(name, item_id, row, transaction)
        self.writes += 1
        if transaction is None:
            table.put(item_id, row)
            return
        if table.rows.get(item_id) is not transaction.snapshot.get(name, {}).get(item_id):
            raise self._conflict(transaction)
        for lock in [(name, item_id), *locks]:
            self.locks[lock] = transaction
            transaction.locks.add(lock)
        if name not in transaction.seen:
            transaction.seen[name] = dict(transaction.snapshot.get(name, {}))
            transaction.written[name] = {}
        transaction.written[name][item_id] = row
        if row is None:
            transaction.seen[name].pop(item_id, None)
        else:
            transaction.seen[name][item_id] = row

    def _require_unique(
        self, name: str, item_id: Any, row: Stored | None, transaction: Transaction | None
    ) -> list[tuple[Any, ...]]:
        """Return the keys of unique indexes that a write takes."""
        taken: list[tuple[Any, ...]] = []
        table = self.table(name)
        for number, unique in enumerate(table.uniques):
            key = None if row is None else unique.key(row.value)
            if key is None:
                continue
            lock = (name, number, key)
            holder = self.locks.get(lock)
            if holder is not None and holder is not transaction:
                if transaction is None:
                    raise Locked
                raise self._conflict(transaction)
            if self._has_key(name, number, unique, key, item_id, transaction):
                raise duplicate_key(name, "+".join(unique.fields), key)
            taken.append(lock)
        return taken

    def _has_key(
        self,
        name: str,
        number: int,
        unique: Unique,
        key: Any,
        item_id: Any,
        transaction: Transaction | None,
    ) -> bool:
        other = self.table(name).keys.get((number, key), MISSING)
        if transaction is None:
            return other is not MISSING and other != item_id
        written = transaction.written.get(name, {})
        if any(
            one != item_id and row is not None and unique.key(row.value) == key
            for one, row in written.items()
        ):
            return True
        if other is MISSING or other == item_id or other in written:
            return False
        if other not in transaction.snapshot.get(name, {}):  # committed after it began
            raise self._conflict(transaction)
        return True

    def _conflict(self, transaction: Transaction) -> OperationFailure:
        self.conflicts += 1
        return transient("Write conflict.", _WRITE_CONFLICT)


def _by_id(match: Mapping[str, Any], rows: Mapping[Any, Stored]) -> list[Stored]:
    """Return the documents that a filter can mean: by id where it names some."""
    wanted = match.get("_id", MISSING)
    if isinstance(wanted, str):
        row = rows.get(wanted)
        return [] if row is None else [row]
    if isinstance(wanted, dict) and set(wanted) == {"$in"}:
        return [rows[one] for one in sorted(set(wanted["$in"])) if one in rows]
    return list(rows.values())


def distinct_values(rows: Sequence[Stored], path: str) -> list[Any]:
    """Return the values of a field, each once, sorted."""
    found: dict[Any, Any] = {}
    for row in rows:
        for value in candidates(row.value, path):
            if not isinstance(value, list):
                found[order_of(value)] = value
    return [found[key] for key in sorted(found)]


def transient(message: str, code: int) -> OperationFailure:
    """Return the error after which a whole transaction is to be tried again."""
    details = {"errorLabels": ["TransientTransactionError"], "code": code}
    return OperationFailure(message, code, details)


def no_such_transaction() -> OperationFailure:
    """Return what a transaction hears that was ended without it."""
    return transient("The transaction was aborted.", _NO_SUCH_TRANSACTION)


def duplicate_key(name: str, index: str, key: Any) -> DuplicateKeyError:
    """Return what a second document of one key hears."""
    message = f"E11000 duplicate key: {name} {index} {key}"
    return DuplicateKeyError(message, _DUPLICATE_KEY, {"code": _DUPLICATE_KEY})

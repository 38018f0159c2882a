"""Which blocks of an ended batch a retry opens again, and what becomes of their readers.

A block that failed or was canceled is begun afresh. Rows that failed in a done block get a block of
their own, so that its good rows are not touched, and so do, further down, the documents that these
rows yield. Only an extractor that needs its whole tier starts again with all that it reads.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from models.block import Block, BlockCounts
from models.reopening import make_reader, make_rest
from models.row_error import RowError
from models.states import BlockStatus


class RetryMode(StrEnum):
    """Which failures are tried again."""

    TRANSIENT_ONLY = "TRANSIENT_ONLY"  # those of which another try may succeed
    ALL = "ALL"


@dataclass(frozen=True)
class RetryChoice:
    """What of a batch is tried again; each part that is given narrows it."""

    mode: RetryMode = RetryMode.TRANSIENT_ONLY
    tiers: frozenset[int] | None = None
    collection_ids: frozenset[str] | None = None
    object_ids: frozenset[str] | None = None  # rows that failed alone, of these objects
    max_attempts: int | None = None  # what was tried as often already stays failed

    def has_place(self, block: Block) -> bool:
        """Tell whether a block is in the chosen tiers and collections."""
        return (self.tiers is None or block.tier in self.tiers) and (
            self.collection_ids is None or block.collection_id in self.collection_ids
        )

    def has(self, error: RowError) -> bool:
        """Tell whether a failure is one to be tried again."""
        return (
            (self.mode is RetryMode.ALL or error.transient)
            and (self.object_ids is None or error.object_id in self.object_ids)
            and (self.max_attempts is None or error.attempts < self.max_attempts)
        )


@dataclass
class Reopening:
    """What a retry does."""

    begun_afresh: dict[str, Block] = field(default_factory=dict)
    added: list[Block] = field(default_factory=list)
    taken_out: list[tuple[Block, int]] = field(default_factory=list)  # of done blocks, failed rows
    errors: list[str] = field(default_factory=list)  # single rows' records that are over
    undone: BlockCounts = field(default_factory=BlockCounts)  # what the batch has to forget
    rows: int = 0  # failed ones that are tried again

    @property
    def blocks(self) -> list[Block]:
        """Every block that is open afterwards."""
        return [*self.begun_afresh.values(), *self.added]

    @property
    def tiers(self) -> list[int]:
        """The tiers that are open afterwards."""
        return sorted({block.tier for block in self.blocks})


def plan_reopening(
    blocks: Iterable[Block],
    errors: Iterable[RowError],
    choice: RetryChoice,
    needs_whole_tier: Callable[[str], bool],
) -> Reopening:
    """Return what to open of an ended batch; `blocks` come in the order of their tiers."""
    plan = _Plan(choice, needs_whole_tier)
    for error in errors:
        plan.errors[error.block_id].append(error)
    for block in blocks:
        plan.add(block)
    return plan.reopening


class _Plan:
    """Goes through the tiers from the first to the last: a block is decided after what it reads."""

    def __init__(self, choice: RetryChoice, needs_whole_tier: Callable[[str], bool]) -> None:
        self.errors: dict[str, list[RowError]] = defaultdict(list)
        self.reopening = Reopening()
        self._choice = choice
        self._needs_whole_tier = needs_whole_tier
        self._ended: dict[str, BlockStatus] = {}
        self._instead: dict[str, list[Block]] = {}  # new blocks beside those that stay

    def add(self, block: Block) -> None:
        """Decide what becomes of a block."""
        self._ended[block.id] = block.status
        fresh = [one for read in block.reads for one in self._instead.get(read, [])]
        again = any(read in self.reopening.begun_afresh for read in block.reads)
        chosen = self._chosen(block)
        whole = self._needs_whole_tier(block.collection_id)
        if self._is_begun_afresh(block, chosen, fresh=bool(fresh), again=again, whole=whole):
            self._begin(block, chosen, fresh)
            return
        beside = []
        if chosen and block.status is BlockStatus.DONE:
            beside.append(self._take_out(block, chosen))
        if fresh and not whole:
            beside.append(make_reader(block, fresh))
        if beside:
            self._instead[block.id] = beside
            self.reopening.added += beside

    def _chosen(self, block: Block) -> list[RowError]:
        if not self._choice.has_place(block):
            return []
        return [error for error in self.errors[block.id] if self._choice.has(error)]

    def _is_begun_afresh(
        self, block: Block, chosen: list[RowError], *, fresh: bool, again: bool, whole: bool
    ) -> bool:
        if block.status is BlockStatus.CANCELED:
            readable = all(
                self._ended.get(read) is BlockStatus.DONE or read in self.reopening.begun_afresh
                for read in block.reads
            )
            return readable and (again or fresh or self._choice.has_place(block))
        if block.status is BlockStatus.FAILED:
            return again or bool(chosen)
        return again or (whole and (fresh or bool(chosen)))

    def _begin(self, block: Block, chosen: list[RowError], fresh: list[Block]) -> None:
        new = [one.id for one in fresh]
        waits = [read for read in block.reads if read in self.reopening.begun_afresh]
        self.reopening.begun_afresh[block.id] = block.model_copy(
            update={"reads": [*block.reads, *new], "waits_for": [*waits, *new]}
        )
        self.reopening.rows += sum(error.rows for error in chosen)
        self._undo(block, block.counts)

    def _take_out(self, block: Block, chosen: list[RowError]) -> Block:
        self.reopening.taken_out.append((block, len(chosen)))
        self.reopening.errors += [error.id for error in chosen]
        self.reopening.rows += len(chosen)
        self._undo(block, BlockCounts(rows_in=len(chosen), rows_failed=len(chosen)))
        return make_rest(block, [error.source_id or "" for error in chosen])

    def _undo(self, block: Block, counts: BlockCounts) -> None:
        """Take counts back as the engine gave them: a first tier's rows came in with the submit."""
        kept = {"rows_in", "rows_missing_input"} if block.tier == 0 else set()
        for name, number in counts:
            if name not in kept:
                setattr(self.reopening.undone, name, getattr(self.reopening.undone, name) + number)

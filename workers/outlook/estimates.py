"""When the live batches of a namespace are likely to begin and to end, from stored state alone."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from models.collection import Collection
from models.pace import Pace, Paces, read_paces
from models.scope import Scope
from models.settings import Settings
from models.states import BatchStatus, BlockStatus
from models.stored import now
from models.turns import read_live
from models.vitals import BlockGroup
from workers.diagnosis.case import Case
from workers.outlook.passage import Entry, Passage, run_ahead
from workers.outlook.work import PaceOf, Work, is_left_alone, own_paces, work_left

MOST: Final = 200  # live batches of a namespace that are looked at, in the order of their turns
Groups = Mapping[str, Sequence[BlockGroup]]  # by batch
ReadGroups = Callable[[Sequence[tuple[str, str]]], Awaitable[Groups]]


@dataclass(frozen=True)
class Estimate:
    """When a batch is likely to begin, or to go on, and to end; None where nothing is known."""

    start_at: datetime | None = None
    finish_at: datetime | None = None


async def estimate_batches(
    settings: Settings, scope: Scope, read_groups: ReadGroups
) -> dict[str, Estimate]:
    """Return the estimates of a namespace's live batches, by at most four calls for all of them."""
    batches = await read_live(scope, limit=MOST)
    if not batches:
        return {}
    groups = await read_groups([(one.id, one.submission or "") for one in batches])
    moment = now()
    cases = [Case(one, groups[one.id], settings, moment) for one in batches]
    pace_of = await _read_pace_of(scope, cases)
    works = {case.batch.id: work_left(case, pace_of) for case in cases}
    return estimate(cases, works, settings)


async def _read_pace_of(scope: Scope, cases: Sequence[Case]) -> PaceOf:
    """Return the pace of a collection: its own lately, or else its extractor's."""
    paces = await read_paces(scope)
    strange = {
        one.collection_id
        for case in cases
        for one in case.groups
        if one.live and one.collection_id not in {*paces.by_collection, *own_paces(case)}
    }
    found = await scope.find_many(Collection, sorted(strange)) if strange else {}
    return partial(_pace_of, paces, {key: one.extractor.label for key, one in found.items()})


def _pace_of(paces: Paces, labels: Mapping[str, str], collection_id: str) -> Pace | None:
    own = paces.by_collection.get(collection_id)
    return own or paces.by_extractor.get(labels.get(collection_id, ""))


def estimate(
    cases: Sequence[Case], works: Mapping[str, Work], settings: Settings
) -> dict[str, Estimate]:
    """Return the estimates of batches, given in the order of their turns."""
    slots = settings.engine.conductors * settings.engine.conductor_blocks
    slots = min(slots, settings.quotas.blocks_in_flight or slots)
    places = settings.quotas.processing_batches
    free, held = list[Entry](), list[Entry]()  # what is on hold takes no place
    for case in cases:
        (free if case.batch.hold is None else held).append(_entry(case, works, settings))
    passages = run_ahead(free, slots=slots, places=places) | run_ahead(held, slots=slots)
    return {case.batch.id: _told(case, passages[case.batch.id]) for case in cases}


def _entry(case: Case, works: Mapping[str, Work], settings: Settings) -> Entry:
    work = works[case.batch.id]
    at_work = case.blocks(BlockStatus.LEASED)
    # With more that could run, what runs is all that it is given.
    most = at_work if at_work and case.blocks_due else settings.engine.blocks_in_flight
    under_way = case.batch.status is BatchStatus.PROCESSING or case.batch.hold is not None
    return Entry(case.batch.id, work.seconds, work.lanes(most), under_way)


def _told(case: Case, passage: Passage) -> Estimate:
    if is_left_alone(case):
        return Estimate()
    waits = case.batch.status is BatchStatus.QUEUED and case.batch.hold is None
    start_at = _moment(case, passage.begins) if waits else _goes_on_at(case)
    return Estimate(start_at, _moment(case, passage.ends))


def _goes_on_at(case: Case) -> datetime | None:
    """Return when the first block can run, if all that is left waits for another attempt."""
    if not case.is_processing or case.blocks_due or case.blocks(BlockStatus.LEASED):
        return None
    due = (one.due_at for one in case.groups if one.due_at is not None)
    return min(due, default=None)


def _moment(case: Case, seconds: float) -> datetime | None:
    return None if seconds == math.inf else case.moment + timedelta(seconds=seconds)

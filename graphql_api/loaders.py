"""Loaders: one database call for all items of a kind that an operation asks for."""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

from models.batch import Batch
from models.block import sum_blocks_of
from models.bucket import Bucket
from models.collection import Collection
from models.document import Document
from models.events import Event, read_transitions_of
from models.object import Object, count_objects
from models.quotas import Congestion, count_in_work, read_congestion
from models.scope import Scope
from models.settings import Settings
from models.stored import Namespaced
from models.task import Task
from models.turns import read_positions
from models.vitals import BlockGroup, read_block_groups
from workers.outlook.estimates import Estimate, estimate_batches

M = TypeVar("M", bound=Namespaced)
Submission = tuple[str, str]  # of a batch: which submit attempt counts
Sums = dict[str, Any]


class Loaders:
    """Loaders of one operation, named WhatByKey."""

    def __init__(self, scope: Scope, settings: Settings) -> None:
        self.bucket_by_id = _by_id(scope, Bucket)
        self.collection_by_id = _by_id(scope, Collection)
        self.batch_by_id = _by_id(scope, Batch)
        self.object_by_id = _by_id(scope, Object)
        self.document_by_id = _by_id(scope, Document)
        self.task_by_id = _by_id(scope, Task)
        self.object_count_by_bucket_id: DataLoader[str, int] = DataLoader(
            load_fn=partial(_count_objects, scope)
        )
        self.queue_position_by_batch_id: DataLoader[str, int | None] = DataLoader(
            load_fn=partial(_load_positions, scope)
        )
        # Of batches that were found in the scope before.
        self.transitions_by_batch_id: DataLoader[str, list[Event]] = DataLoader(_load_transitions)
        self.block_sums_by_submission: DataLoader[Submission, list[Sums]] = DataLoader(_sum_blocks)
        self.block_groups_by_submission: DataLoader[Submission, list[BlockGroup]] = DataLoader(
            partial(_group_blocks, scope)
        )
        self.blocks_in_work_by_namespace_id: DataLoader[str, int] = DataLoader(_count_in_work)
        self.congestion_by_namespace_id: DataLoader[str, Congestion] = DataLoader(_read_congestion)
        self.estimate_by_batch_id: DataLoader[str, Estimate] = DataLoader(
            partial(_estimate, scope, settings, self.block_groups_by_submission)
        )


def _by_id(scope: Scope, model: type[M]) -> DataLoader[str, M | None]:
    async def load(ids: list[str]) -> list[M | None]:
        found = await scope.find_many(model, ids)
        return [found.get(item_id) for item_id in ids]

    return DataLoader(load_fn=load)


async def _count_objects(scope: Scope, bucket_ids: list[str]) -> list[int]:
    counts = await count_objects(scope.namespace_id, bucket_ids)
    return [counts.get(bucket_id, 0) for bucket_id in bucket_ids]


async def _load_positions(scope: Scope, batch_ids: list[str]) -> list[int | None]:
    found = await read_positions(scope.namespace_id)
    return [found.get(batch_id) for batch_id in batch_ids]


async def _load_transitions(batch_ids: list[str]) -> list[list[Event]]:
    found = await read_transitions_of(batch_ids)
    return [found[batch_id] for batch_id in batch_ids]


async def _sum_blocks(submissions: list[Submission]) -> list[list[Sums]]:
    found = await sum_blocks_of(submissions)
    return [found[batch_id] for batch_id, _ in submissions]


async def _group_blocks(scope: Scope, submissions: list[Submission]) -> list[list[BlockGroup]]:
    found = await read_block_groups(scope, submissions)
    return [found[batch_id] for batch_id, _ in submissions]


async def _count_in_work(namespace_ids: list[str]) -> list[int]:
    """Count for each; an operation sees one namespace."""
    return [await count_in_work(None, one) for one in namespace_ids]


async def _read_congestion(namespace_ids: list[str]) -> list[Congestion]:
    """Read for each; an operation sees one namespace."""
    return [await read_congestion(one) for one in namespace_ids]


async def _estimate(
    scope: Scope,
    settings: Settings,
    groups: DataLoader[Submission, list[BlockGroup]],
    batch_ids: list[str],
) -> list[Estimate]:
    async def read_groups(submissions: Sequence[Submission]) -> dict[str, list[BlockGroup]]:
        found = await groups.load_many(submissions)
        return {batch_id: one for (batch_id, _), one in zip(submissions, found, strict=True)}

    known = await estimate_batches(settings, scope, read_groups)
    return [known.get(batch_id, Estimate()) for batch_id in batch_ids]

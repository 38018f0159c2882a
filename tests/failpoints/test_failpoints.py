"""S6: whatever commit a process ends at, and the next one too, the end is that of a calm run.

`make test` ends a process at some of the places, `make test-long` at each of them and at some of
the pairs, `make failpoints` at all pairs.
"""

import os
from collections.abc import Sequence
from typing import Any, Final

import pytest

from models.failpoints import Failpoint
from models.ids import new_id
from models.scope import Scope
from models.stores import Stores
from tests.chaos.checker import RawStores
from tests.failpoints.intake import INTAKE, INTAKE_VERDICTS
from tests.failpoints.life import Life, let_leases_run_out
from tests.failpoints.scene import Scene, set_scene
from tests.failpoints.stories import BATCHES
from tests.failpoints.story import Story
from tests.failpoints.upkeep import UPKEEP, UPKEEP_VERDICTS
from tests.failpoints.verdicts import VERDICTS, Judge, rehearsed
from tests.receiver import Receiver
from workers.namespaces import open_namespace

_EVERY: Final = 1 if os.environ.get("STRATA_TEST_PAIRS") == "all" else 17
_ALWAYS: Final = {Failpoint.BATCH_CLAIMED, Failpoint.BLOCK_COMMITTED, Failpoint.DELIVERY_SENT}
STORIES: Final = (*BATCHES, *INTAKE, *UPKEEP)
_VERDICTS: Final = {**VERDICTS, **INTAKE_VERDICTS, **UPKEEP_VERDICTS}
SINGLES: Final = [(story, (point,)) for story in STORIES for point in story.firsts]
PAIRS: Final = [(story, pair) for story in STORIES for pair in story.pairs][::_EVERY]


def named(cases: Sequence[tuple[Story, tuple[Failpoint, ...]]]) -> list[Any]:
    return [
        pytest.param(
            story,
            points,
            id=f"{story.name}-{'-'.join(points)}",
            marks=() if len(points) == 1 and points[0] in _ALWAYS else pytest.mark.long,
        )
        for story, points in cases
    ]


async def open_scene(stores: Stores, receiver: Receiver) -> Scene:
    namespace, _ = await open_namespace(stores, new_id("ns"))
    return await set_scene(stores, Scope(namespace.id), receiver)


@pytest.fixture(scope="package")
async def judge(reached: Stores, receiver: Receiver, raw: RawStores) -> Judge:
    """What a run without any crash writes."""
    scene = await open_scene(reached, receiver)
    await Life(reached).do(lambda life: STORIES[0].tell(life, scene))
    return await rehearsed(raw, scene)


async def violations(
    judge: Judge, scene: Scene, story: Story, points: Sequence[Failpoint]
) -> tuple[list[bool], list[str]]:
    """Tell a story by processes that end at places, and a last one that does not.

    Returns which of them ended before their time, and what is wrong afterwards.
    """
    await Life(scene.stores).do(lambda life: story.before(life, scene))
    lives = [*(Life(scene.stores, point) for point in points), Life(scene.stores)]
    try:
        for life in lives:
            await life.do(lambda living: story.tell(living, scene))
            await let_leases_run_out()
        return [life.died for life in lives], await _VERDICTS[story.name](judge, scene)
    finally:
        for life in lives:
            await life.bury()


@pytest.mark.parametrize(("story", "points"), named(SINGLES))
async def test_s6_a_process_ends_once(
    reached: Stores,
    receiver: Receiver,
    judge: Judge,
    story: Story,
    points: tuple[Failpoint],
) -> None:
    scene = await open_scene(reached, receiver)

    died, wrong = await violations(judge, scene, story, points)

    assert wrong == []
    assert died == [True, False]


@pytest.mark.parametrize(("story", "points"), named(PAIRS))
async def test_s6_two_processes_end_one_after_the_other(
    reached: Stores,
    receiver: Receiver,
    judge: Judge,
    story: Story,
    points: tuple[Failpoint, Failpoint],
) -> None:
    scene = await open_scene(reached, receiver)

    died, wrong = await violations(judge, scene, story, points)

    assert wrong == []
    assert (died[0], died[-1]) == (True, False)  # what the first has done the second passes over


def test_s6_every_failpoint_is_died_at() -> None:
    assert {point for _, (point,) in SINGLES} == set(Failpoint)

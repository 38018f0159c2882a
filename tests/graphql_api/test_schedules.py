"""Schedules over the API: made, read, changed, and each way in which they are refused."""

from typing import Any

import pytest

from models.bucket import Bucket
from tests.factories import make_bucket, store
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.calls import ERRORS, call, codes

FIELDS = """id name cron everySeconds timeZone selection overlap catchUp paused nextRunAt
  nextRuns(count: 3) bucket { name } lastBatch { id }
  runs(first: 5) { totalCount edges { node { manual status } } }"""
CREATE = f"""mutation($input: CreateScheduleInput!) {{
  createSchedule(input: $input) {{ replayed schedule {{ {FIELDS} }} {ERRORS} }} }}"""
UPDATE = f"""mutation($input: UpdateScheduleInput!) {{
  updateSchedule(input: $input) {{ schedule {{ {FIELDS} }} {ERRORS} }} }}"""
READ = f"query($id: ID!) {{ schedule(id: $id) {{ {FIELDS} }} }}"
LIST = "query { schedules { totalCount edges { node { name } } } }"


def act(name: str, answer: str) -> str:
    """Return the mutation that does one thing to one schedule."""
    kind = f"{name[0].upper()}{name[1:]}Input"
    return f"mutation($input: {kind}!) {{ {name}(input: $input) {{ {answer} {ERRORS} }} }}"


@pytest.fixture
async def bucket(namespace: NamespaceOfTest) -> Bucket:
    made = make_bucket(namespace.id, name="objects")
    await store(made)
    return made


async def create(caller: GraphQL, bucket: Bucket, **values: Any) -> dict[str, Any]:
    given = {"name": "nightly", "bucketId": bucket.id, "cron": "0 2 * * *", **values}
    return await call(caller, CREATE, input=given)


async def test_a_schedule_is_made_with_sensible_defaults(caller: GraphQL, bucket: Bucket) -> None:
    made = await create(caller, bucket, timeZone="Europe/Berlin", idempotencyKey="one")
    again = await create(caller, bucket, timeZone="Europe/Berlin", idempotencyKey="one")

    schedule = made["schedule"]
    assert (made["userErrors"], made["replayed"], again["replayed"]) == ([], False, True)
    assert again["schedule"]["id"] == schedule["id"]
    assert (schedule["selection"], schedule["overlap"], schedule["catchUp"]) == (
        "CHANGED", "SKIP", "LATEST",
    )  # fmt: skip
    assert schedule["nextRuns"][0] == schedule["nextRunAt"]
    assert (schedule["bucket"], schedule["lastBatch"]) == ({"name": "objects"}, None)
    assert (await call(caller, LIST))["totalCount"] == 1


async def test_a_schedule_is_changed_paused_triggered_and_deleted(
    caller: GraphQL, bucket: Bucket
) -> None:
    schedule_id = (await create(caller, bucket))["schedule"]["id"]
    given = {"scheduleId": schedule_id}

    changed = await call(caller, UPDATE, input={**given, "everySeconds": 60, "overlap": "QUEUE"})
    paused = await call(caller, act("pauseSchedule", "schedule { paused nextRunAt }"), input=given)
    run = await call(caller, act("triggerSchedule", "run { manual status batch { id } }"),
                     input=given)  # fmt: skip
    resumed = await call(caller, act("resumeSchedule", "schedule { paused }"), input=given)
    read = await call(caller, READ, id=schedule_id)
    gone = await call(caller, act("deleteSchedule", "deletedScheduleId"), input=given)

    now = changed["schedule"]
    assert (now["cron"], now["everySeconds"], now["overlap"]) == (None, 60, "QUEUE")
    assert paused["schedule"] == {"paused": True, "nextRunAt": None}
    assert run["run"] == {"manual": True, "status": "PENDING", "batch": None}
    assert resumed["schedule"] == {"paused": False}
    assert read["runs"]["totalCount"] == 1
    assert gone["deletedScheduleId"] == schedule_id
    assert await caller.data(READ, id=schedule_id) == {"schedule": None}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"cron": None}, ("INVALID_INPUT", ["cron"])),
        ({"everySeconds": 60}, ("INVALID_INPUT", ["cron"])),
        ({"cron": "every day"}, ("INVALID_INPUT", ["cron"])),
        ({"timeZone": "Nowhere"}, ("INVALID_INPUT", ["timeZone"])),
        ({"name": ""}, ("INVALID_INPUT", ["name"])),
        ({"bucketId": "bkt_unknown"}, ("NOT_FOUND", ["bucketId"])),
    ],
)
async def test_what_is_wrong_with_a_schedule_is_named(
    caller: GraphQL, bucket: Bucket, change: dict[str, Any], error: tuple[str, list[str]]
) -> None:
    made = await create(caller, bucket, **change)

    assert (made["schedule"], codes(made)) == (None, [error])


async def test_a_schedule_of_another_namespace_is_not_there(
    caller: GraphQL, other_caller: GraphQL, bucket: Bucket
) -> None:
    schedule_id = (await create(caller, bucket))["schedule"]["id"]

    assert await other_caller.data(READ, id=schedule_id) == {"schedule": None}
    for name, answer in [
        ("pauseSchedule", "schedule { id }"),
        ("resumeSchedule", "schedule { id }"),
        ("triggerSchedule", "run { id }"),
        ("deleteSchedule", "deletedScheduleId"),
    ]:
        refused = await call(other_caller, act(name, answer), input={"scheduleId": schedule_id})
        assert codes(refused) == [("NOT_FOUND", ["scheduleId"])]

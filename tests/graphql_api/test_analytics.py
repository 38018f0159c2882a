"""Analytics over the API: rates and percentiles from the rollups of the caller's namespace."""

from datetime import UTC, datetime
from typing import Any

from models.rollup import Rollup
from tests.factories import store
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest

ANALYTICS = """query($since: DateTime!, $until: DateTime!, $by: [Dimension!],
    $filter: AnalyticsFilter, $interval: Interval) {
  analytics(since: $since, until: $until, by: $by, filter: $filter, interval: $interval) {
    time collectionId extractor rowsIn rowFailureRate documentsWritten documentsPerBusySecond
    durations { name count mean p50 p99 } } }"""
DAY = {"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}


def make_rollup(namespace_id: str, hour: int, **values: Any) -> Rollup:
    usual = {
        "id": f"{namespace_id}/{hour}/{values.get('collection_id', 'col_1')}",
        "namespace_id": namespace_id,
        "hour": datetime(2026, 3, 1, hour, tzinfo=UTC),
        "bucket_id": "bkt_1",
        "collection_id": "col_1",
        "extractor": "text@v1",
        "counts": {"rows_in": 10, "rows_failed": 1, "documents_written": 20},
        "timings": {"block": {"count": 2, "seconds": 4.0, "buckets": {"0": 1, "8": 1}}},
    }
    made: Rollup = Rollup.model_validate({**usual, **values})
    return made


async def test_hours_are_added_up_with_rates_and_percentiles(
    caller: GraphQL, other_caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    other = make_rollup(namespace.id, 3, collection_id="col_2", extractor="image@v1")
    await store(make_rollup(namespace.id, 1), make_rollup(namespace.id, 2), other)

    (image, text) = sorted(
        (await caller.data(ANALYTICS, **DAY, by=["EXTRACTOR"]))["analytics"],
        key=lambda row: str(row["extractor"]),
    )
    (one,) = (await caller.data(ANALYTICS, **DAY, filter={"collectionId": "col_1"}))["analytics"]
    hours = (await caller.data(ANALYTICS, **DAY, interval="HOUR"))["analytics"]

    assert (text["extractor"], text["rowsIn"], text["documentsWritten"]) == ("text@v1", 20, 40)
    assert (text["rowFailureRate"], text["documentsPerBusySecond"]) == (0.1, 5.0)
    assert text["durations"] == [{"name": "block", "count": 4, "mean": 2.0, "p50": 1.0, "p99": 4.0}]
    assert (image["extractor"], image["rowsIn"]) == ("image@v1", 10)
    assert (one["rowsIn"], one["collectionId"]) == (20, None)
    assert [row["time"] for row in hours] == [f"2026-03-01T0{n}:00:00.000Z" for n in (1, 2, 3)]
    assert (await other_caller.data(ANALYTICS, **DAY))["analytics"] == []


async def test_times_the_wrong_way_round_are_a_typed_error(caller: GraphQL) -> None:
    answer = await caller.answer(ANALYTICS, since=DAY["until"], until=DAY["since"])

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "until" in error["message"]

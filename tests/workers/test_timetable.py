from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.errors import InvalidInput
from models.schedule import Schedule
from workers.timetable import MAX_MISSED, first_time, next_times, plan_due, require_timetable

pytestmark = pytest.mark.usefixtures("stores")  # nothing is stored; Beanie has to know the models


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def make_schedule(**values: Any) -> Schedule:
    moment = at("2026-01-01T00:00:00")
    usual = {
        "id": "sch_1",
        "namespace_id": "ns_1",
        "name": "nightly",
        "bucket_id": "bkt_1",
        "anchor": moment,
        "next_at": moment,
        "updated_at": moment,
    }
    made: Schedule = Schedule.model_validate({**usual, **values})
    return made


def test_cron_is_read_in_the_time_zone_of_the_schedule() -> None:
    schedule = make_schedule(cron="30 6 * * MON-FRI", time_zone="Europe/Berlin")

    found = next_times(schedule, at("2026-03-26T12:00:00"), 3)

    # Friday in winter time, then Monday and Tuesday in summer time.
    assert found == [at(f"2026-03-{day}T{hour}:30:00") for day, hour in
                     (("27", "05"), ("30", "04"), ("31", "04"))]  # fmt: skip


def test_a_time_that_summer_time_skips_or_repeats_comes_once() -> None:
    schedule = make_schedule(cron="30 2 * * *", time_zone="Europe/Berlin")

    skipped = next_times(schedule, at("2026-03-28T12:00:00"), 2)
    repeated = next_times(schedule, at("2026-10-24T12:00:00"), 2)

    assert [time.date().day for time in skipped] == [29, 30]
    assert [time.date().day for time in repeated] == [25, 26]


def test_an_interval_counts_from_its_anchor() -> None:
    schedule = make_schedule(every_seconds=90)

    assert first_time(schedule, at("2026-01-01T00:00:00")) == at("2026-01-01T00:01:30")
    assert first_time(schedule, at("2026-01-01T00:01:29")) == at("2026-01-01T00:01:30")
    assert first_time(schedule, at("2026-01-01T00:01:30")) == at("2026-01-01T00:03:00")


@pytest.mark.parametrize("when", [{"cron": "0 * * * *"}, {"every_seconds": 3600}])
def test_what_has_come_is_counted_from_the_next_time(when: dict[str, Any]) -> None:
    schedule = make_schedule(**when, next_at=at("2026-01-01T02:00:00"))

    due = plan_due(schedule, at("2026-01-01T05:00:00"))

    assert due.times == [at(f"2026-01-01T0{hour}:00:00") for hour in (2, 3, 4, 5)]
    assert due.next_at == at("2026-01-01T06:00:00")


def test_a_long_absence_is_remembered_in_part() -> None:
    schedule = make_schedule(every_seconds=10)

    due = plan_due(schedule, at("2027-01-01T00:00:00"))

    assert len(due.times) == MAX_MISSED
    assert due.times[-1] == at("2027-01-01T00:00:00")
    assert due.next_at == due.times[-1] + timedelta(seconds=10)


@pytest.mark.parametrize(
    ("cron", "every_seconds", "time_zone", "path"),
    [
        (None, None, "UTC", "cron"),
        ("0 * * * *", 60, "UTC", "cron"),
        ("0 * * *", None, "UTC", "cron"),
        ("0 0 * * * *", None, "UTC", "cron"),
        ("61 * * * *", None, "UTC", "cron"),
        ("0 0 31 2 *", None, "UTC", "cron"),
        (None, 9, "UTC", "everySeconds"),
        (None, 10**9, "UTC", "everySeconds"),
        ("0 * * * *", None, "Mars/Olympus", "timeZone"),
        ("0 * * * *", None, "../etc/passwd", "timeZone"),
        ("0 * * * *", None, "", "timeZone"),
    ],
)
def test_what_names_no_times_is_refused(
    cron: str | None, every_seconds: int | None, time_zone: str, path: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_timetable(cron, every_seconds, time_zone)

    assert refused.value.path == (path,)

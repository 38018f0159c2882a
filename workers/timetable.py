"""When a schedule is due: cron expressions in a time zone, or an interval. Touches no store.

Cron is Debian's, five fields, by cronsim: a time that daylight saving skips runs just after the
gap, and one that it repeats runs once.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from models.errors import InvalidInput
from models.schedule import NEVER, Schedule

MIN_SECONDS: Final = 10
MAX_SECONDS: Final = 366 * 24 * 3600
MAX_MISSED: Final = 100  # times that are remembered one by one


@dataclass(frozen=True)
class Due:
    """Times of a schedule up to a moment, the latest last, and when it is due again."""

    times: list[datetime]
    next_at: datetime


def require_timetable(cron: str | None, every_seconds: int | None, time_zone: str) -> None:
    """Refuse what names no times.

    Raises:
        InvalidInput: not exactly one of both, an expression that cannot be read or never comes, an
            interval out of range, or an unknown time zone.
    """
    if (cron is None) == (every_seconds is None):
        raise InvalidInput("Give exactly one of `cron` and `everySeconds`.", path=("cron",))
    try:
        zone = ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as error:  # absent, no name, a folder
        raise InvalidInput(
            f"No time zone {time_zone!r}.", path=("timeZone",), hint="Such as Europe/Berlin."
        ) from error
    if every_seconds is not None and not MIN_SECONDS <= every_seconds <= MAX_SECONDS:
        raise InvalidInput(
            f"An interval has {MIN_SECONDS} to {MAX_SECONDS} seconds.", path=("everySeconds",)
        )
    if cron is not None:
        _require_cron(cron, zone)


def _require_cron(cron: str, zone: ZoneInfo) -> None:
    hint = "Five fields: minute, hour, day, month, weekday, such as `30 6 * * MON-FRI`."
    if len(cron.split()) != 5:
        raise InvalidInput("A cron expression has five fields.", path=("cron",), hint=hint)
    try:
        next(CronSim(cron, datetime.now(zone)))
    except CronSimError as error:
        raise InvalidInput(f"Cron: {error}.", path=("cron",), hint=hint) from error
    except StopIteration as error:
        raise InvalidInput("This time never comes.", path=("cron",), hint=hint) from error


def first_time(schedule: Schedule, after: datetime) -> datetime:
    """Return the first time past a moment; NEVER when there is none."""
    return next(_times(schedule, after), NEVER)


def next_times(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the next times past a moment."""
    return list(islice(_times(schedule, after), count))


def plan_due(schedule: Schedule, moment: datetime) -> Due:
    """Return which times of a schedule have come, counted from its `next_at`."""
    missed = takewhile(lambda time: time >= schedule.next_at, _times_back(schedule, moment))
    latest: deque[datetime] = deque(islice(missed, MAX_MISSED))
    latest.reverse()
    return Due(list(latest), first_time(schedule, moment))


def _times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    if schedule.cron is not None:
        for time in CronSim(schedule.cron, after.astimezone(ZoneInfo(schedule.time_zone))):
            yield time.astimezone(UTC)
    else:
        step = timedelta(seconds=schedule.every_seconds or MIN_SECONDS)
        time = schedule.anchor + step * max((after - schedule.anchor) // step + 1, 0)
        while time < NEVER:
            yield time
            time += step


def _times_back(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    """Times at or before a moment, the latest first."""
    if schedule.cron is not None:
        # The search begins before the moment given; a time that is just now has come, too.
        start = (moment + timedelta(seconds=1)).astimezone(ZoneInfo(schedule.time_zone))
        for time in CronSim(schedule.cron, start.replace(microsecond=0), reverse=True):
            if time <= moment:
                yield time.astimezone(UTC)
    else:
        step = timedelta(seconds=schedule.every_seconds or MIN_SECONDS)
        time = schedule.anchor + step * ((moment - schedule.anchor) // step)
        while time >= schedule.anchor:
            yield time
            time -= step

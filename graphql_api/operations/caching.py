"""What an answer says about the cache: `extensions.cache`.

An operation asks for an answer to be computed anew by `"extensions": {"cache": false}` in its
request, on any transport, or over HTTP by `Cache-Control: no-cache`.
"""

from collections.abc import Sequence
from typing import Any, Final

from workers.caches import CacheStatus

_ORDER: Final = (CacheStatus.MISS, CacheStatus.BYPASS, CacheStatus.HIT)  # one of the first tells


def show_cache(recalled: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return what happened to each field that may be cached; None when there was none."""
    if not recalled:
        return None
    statuses = {one["status"] for one in recalled}
    shown: dict[str, Any] = {"status": next(one.value for one in _ORDER if one.value in statuses)}
    if ages := [one["ageSeconds"] for one in recalled if "ageSeconds" in one]:
        shown["ageSeconds"] = max(ages)
    shown["fields"] = list(recalled)
    return shown
